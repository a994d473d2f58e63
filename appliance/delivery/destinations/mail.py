# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""People who get an e-mail. It names no patient; the same delivery has the same Message-ID in each try.

What a server answers to sender and recipients is never about this mail: all mails have the same. So it is tried again
for a recipient that is refused for the moment (4xx, as greylisting does) while others have it, and where nobody is
taken, all wait. A recipient that is refused for good while others are taken is told of as an error.
"""

from __future__ import annotations

import hashlib
import smtplib
import socket
import threading
from collections.abc import Mapping
from email.message import EmailMessage
from email.utils import formatdate
from typing import Final

from appliance.delivery.destinations.destination import (
    AwayError,
    NotTakenError,
    Parcel,
    RejectedError,
    UnfinishedError,
    secret_in,
)
from appliance.delivery.destinations.tls import certificate_fault, tls_context
from appliance.delivery.message import headline, sentences
from appliance.delivery.variables import values_of
from appliance.findings.outcome import Outcome
from appliance.sections.delivery import MailSettings

_CLOSING: Final = 421
_SERVERS_OWN: Final = frozenset({503, 521, 530, 534, 535, 538, 552})
"""Codes after the text of a mail that are about the server: it has no room, or wants something else of its callers."""
_MOST_REMEMBERED: Final = 400
"""Of more recipients, who has a mail already does not fit into the handle of its delivery."""


class _Server(smtplib.SMTP):
    """A mail server each of whose replies has to come whole in time, however many bytes still come."""

    def getreply(self) -> tuple[int, bytes]:
        """Read a reply; a connection on which it takes too long is ended."""
        late = threading.Timer(self.timeout, _hang_up, [self.sock])
        late.daemon = True
        late.start()
        try:
            return super().getreply()
        finally:
            late.cancel()


class _TlsServer(_Server, smtplib.SMTP_SSL):
    """The same, over TLS from its first byte."""


def _hang_up(connection: socket.socket | None) -> None:
    try:
        if connection is not None:
            socket.socket.shutdown(connection, socket.SHUT_RDWR)
    except OSError:  # it has ended by itself
        return


class Mail:
    """Sends mail by SMTP."""

    def __init__(self, settings: MailSettings) -> None:
        self._settings = settings

    def deliver(self, parcel: Parcel) -> str:
        """Send one mail to all recipients that do not have it; see `Destination`."""
        everybody = self._settings.recipients
        had = _taken_before(parcel.delivery.handle, everybody)
        missing = [one for one in dict.fromkeys(everybody) if one not in had]
        try:
            refused = self._send(mail(parcel, self._settings), missing)
        except (AwayError, NotTakenError) as error:
            if had:
                raise UnfinishedError(str(error), parcel.delivery.handle) from None
            raise
        has = had | {one for one in missing if one not in refused}
        said = f"the mail server took it for {len(has)} of {len(had) + len(missing)} recipients"
        later = {one: code for one, code in refused.items() if code < 500}
        if not has and (not later or _CLOSING in later.values()):
            raise AwayError(f"the mail server takes no recipient ({_codes(refused)}); see `recipients` and its rules")
        if not has:
            raise NotTakenError(f"the mail server takes no recipient now ({_codes(refused)})")
        if later:
            raise UnfinishedError(f"{said}; not now (4xx) or never (5xx) for {_codes(refused)}", _taken(has, everybody))
        if refused:
            said += f", and never for {_codes(refused)}"
            parcel.complain(said)
        return said

    def _send(self, message: EmailMessage, recipients: list[str]) -> Mapping[str, int]:
        """Send a mail; return the recipients that were refused, with the server's codes."""
        try:
            with self._server() as server:
                refused = server.send_message(message, to_addrs=recipients)
        except smtplib.SMTPRecipientsRefused as error:
            refused = error.recipients
            if any(code == _CLOSING for code, _said in refused.values()):  # the others were not asked, or not sent to
                refused = dict.fromkeys(recipients, (_CLOSING, b"")) | refused
        except smtplib.SMTPSenderRefused as error:
            raise AwayError(f"the mail server does not take mail from `sender` ({error.smtp_code})") from None
        except smtplib.SMTPDataError as error:
            said = f"the mail server does not take the mail ({error.smtp_code})"
            for_good = error.smtp_code >= 500 and error.smtp_code not in _SERVERS_OWN
            raise (RejectedError if for_good else NotTakenError)(said) from None
        except (smtplib.SMTPException, OSError) as error:
            raise self._away(error) from None
        return {one: code for one, (code, _said) in refused.items()}

    def test(self) -> str:
        """Connect, and log in where there is a user; no mail is sent."""
        try:
            with self._server() as server:
                server.noop()
        except (smtplib.SMTPException, OSError) as error:
            raise self._away(error) from None
        return "the mail server answers" + (" and takes user and password" if self._settings.username else "")

    def _server(self) -> smtplib.SMTP:
        """Return a connection that is encrypted, and logged in, as the settings say."""
        settings = self._settings
        if settings.security == "tls":
            server: smtplib.SMTP = _TlsServer(
                settings.host, settings.port, timeout=settings.timeout_s, context=tls_context(settings.ca)
            )
        else:
            server = _Server(settings.host, settings.port, timeout=settings.timeout_s)
        try:
            if settings.security == "starttls":
                server.starttls(context=tls_context(settings.ca))
            if settings.username:
                server.login(settings.username, secret_in(settings.password_file))
        except BaseException:
            server.close()
            raise
        return server

    def _away(self, error: Exception) -> AwayError:
        at = f"the mail server {self._settings.host}:{self._settings.port}"
        if isinstance(error, smtplib.SMTPAuthenticationError):
            return AwayError(f"{at} does not take user and password ({error.smtp_code})")
        if isinstance(error, smtplib.SMTPNotSupportedError):
            return AwayError(f"{at} offers no STARTTLS, or no login: see `security` of the destination")
        if isinstance(error, smtplib.SMTPResponseException):
            return AwayError(f"{at} answers {error.smtp_code}")
        said = certificate_fault(error) or getattr(error, "strerror", None) or type(error).__name__
        return AwayError(f"{at} does not answer ({said})")


def _codes(refused: Mapping[str, int]) -> str:
    return ", ".join(f"{one}: {code}" for one, code in sorted(refused.items()))


def _taken(has: set[str], everybody: tuple[str, ...]) -> str:
    """Return a handle that says which of the recipients have a mail."""
    if len(everybody) > _MOST_REMEMBERED:
        return "part"
    marks = sum(1 << number for number, one in enumerate(everybody) if one in has)
    return f"{_name(everybody)} {marks:x}"


def _taken_before(handle: str, everybody: tuple[str, ...]) -> set[str]:
    """Return who has a mail by its handle; nobody where the settings have had other recipients since."""
    name, _, marks = handle.partition(" ")
    if name != _name(everybody):
        return set()
    return {one for number, one in enumerate(everybody) if int(marks, 16) >> number & 1}


def _name(everybody: tuple[str, ...]) -> str:
    return hashlib.sha256("\n".join(everybody).encode()).hexdigest()[:16]


def mail(parcel: Parcel, settings: MailSettings) -> EmailMessage:
    """Return the mail about an answer."""
    job = parcel.situation.job
    urgent = job.outcome is Outcome.PRESENT and values_of(parcel.situation)["urgency"] != "old"
    message = EmailMessage()
    message["From"] = settings.sender
    message["To"] = ", ".join(settings.recipients)
    message["Subject"] = f"Head CT: {headline(job)}"
    message["Date"] = formatdate()
    message["Message-ID"] = f"<{parcel.delivery.key}@{settings.sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    if urgent:
        message["X-Priority"] = "1"
        message["Importance"] = "high"
    message.set_content("\n".join(sentences(parcel)) + "\n")
    return message
