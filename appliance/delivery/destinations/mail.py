# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""People who get an e-mail. It names no patient; the same delivery has the same Message-ID in each try."""

from __future__ import annotations

import smtplib
from email.message import EmailMessage
from email.utils import formatdate

from appliance.delivery.destinations.destination import AwayError, NotTakenError, Parcel, RejectedError, secret_in
from appliance.delivery.destinations.webhook import tls_context
from appliance.delivery.message import headline, sentences
from appliance.delivery.variables import answer_of, values_of
from appliance.sections.delivery import MailSettings


class Mail:
    """Sends mail by SMTP."""

    def __init__(self, settings: MailSettings) -> None:
        self._settings = settings

    def deliver(self, parcel: Parcel) -> str:
        """Send one mail to all recipients; see `Destination`."""
        message = mail(parcel, self._settings)
        try:
            with self._server() as server:
                refused = server.send_message(message)
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _ in error.recipients.values()]
            said = f"the mail server takes no recipient ({', '.join(map(str, sorted(set(codes))))})"
            raise (RejectedError if all(code >= 500 for code in codes) else NotTakenError)(said) from None
        except (smtplib.SMTPDataError, smtplib.SMTPSenderRefused) as error:
            said = f"the mail server does not take the mail ({error.smtp_code})"
            raise (RejectedError if error.smtp_code >= 500 else NotTakenError)(said) from None
        except (smtplib.SMTPException, OSError) as error:
            raise self._away(error) from None
        taken = len(self._settings.recipients) - len(refused)
        return f"the mail server took it for {taken} of {len(self._settings.recipients)} recipients"

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
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                settings.host, settings.port, timeout=settings.timeout_s, context=tls_context(settings.ca)
            )
        else:
            server = smtplib.SMTP(settings.host, settings.port, timeout=settings.timeout_s)
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
        said = getattr(error, "strerror", None) or type(error).__name__
        return AwayError(f"{at} does not answer ({said})")


def mail(parcel: Parcel, settings: MailSettings) -> EmailMessage:
    """Return the mail about an answer."""
    job = parcel.situation.job
    urgent = answer_of(job) == "present" and values_of(parcel.situation)["urgency"] != "old"
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
