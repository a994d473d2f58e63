# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""E-mail, sent to a real mail server."""

from __future__ import annotations

import socket
import ssl
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import AuthResult, LoginPassword

from appliance.delivery.destinations.destination import AwayError, NotTakenError, RejectedError, UnfinishedError
from appliance.delivery.destinations.mail import Mail
from appliance.ledger.states import JobState
from appliance.sections.delivery import MailSettings
from deploy.local.ports import free_ports
from tests.appliance.delivery.parcels import HEADER, KEY, parcel, with_handle
from tests.appliance.delivery.receivers import MailServer
from tests.certificates import Authority

TO = ("stroke@hospital.example", "radiology@hospital.example")


def settings(port: int, **more: Any) -> MailSettings:
    values = {"kind": "mail", "host": "127.0.0.1", "port": port, "security": "none", "timeout_s": 60}
    return MailSettings(**(values | {"sender": "box@hospital.example", "recipients": TO} | more))


def test_a_mail_says_what_was_found_and_names_no_patient(mail_server: MailServer) -> None:
    said = Mail(settings(mail_server.port)).deliver(parcel())
    assert said == "the mail server took it for 2 of 2 recipients"
    (mail,) = mail_server.came
    assert mail["Subject"] == "Head CT: hemorrhage found (IPH 32.0 mL, SAH 1.5 mL)"
    assert mail["Message-ID"] == f"<{KEY}@hospital.example>"
    assert mail["Importance"] == "high"
    body = mail.get_payload(decode=True)
    assert isinstance(body, bytes)
    text = body.decode()
    for expected in ("Accession number: ER-12", "Study: 1.2", "Not a medical device."):
        assert expected in text
    for name in ("PatientName", "PatientID", "PatientBirthDate"):
        assert HEADER[name] not in mail.as_string() + text
    assert mail_server.envelopes[0].rcpt_tos == list(TO)


def test_a_study_that_was_not_read_is_told_with_its_reasons(mail_server: MailServer) -> None:
    refused = [{"code": "missing_slice", "reason": "a gap"}]
    Mail(settings(mail_server.port)).deliver(parcel(answer={}, state=JobState.REFUSED, refusals=refused))
    (mail,) = mail_server.came
    assert mail["Subject"] == "Head CT: not read"
    assert "Importance" not in mail
    assert b"Reasons: missing_slice" in (mail.get_payload(decode=True) or b"")  # type: ignore[operator]


def test_a_recipient_that_is_refused_for_the_moment_gets_it_later_and_the_others_get_it_once(
    mail_server: MailServer,
) -> None:
    mail = Mail(settings(mail_server.port))
    mail_server.replies = {TO[0]: "451 greylisted"}
    with pytest.raises(UnfinishedError, match=r"1 of 2 recipients; not now .* for stroke@.*: 451") as first:
        mail.deliver(parcel())
    again = with_handle(parcel(), first.value.handle)
    with pytest.raises(UnfinishedError) as second:
        mail.deliver(again)
    assert second.value.handle == first.value.handle
    mail_server.replies = {}
    assert mail.deliver(again) == "the mail server took it for 2 of 2 recipients"
    assert [one.rcpt_tos for one in mail_server.envelopes] == [[TO[1]], [TO[0]]]
    others = Mail(settings(mail_server.port, recipients=TO[::-1]))  # other recipients since: nobody is left out
    others.deliver(again)
    assert mail_server.envelopes[-1].rcpt_tos == list(TO[::-1])


def test_who_has_a_mail_is_remembered_while_the_server_is_away(mail_server: MailServer) -> None:
    mail_server.replies = {TO[0]: "451 greylisted"}
    with pytest.raises(UnfinishedError) as first:
        Mail(settings(mail_server.port)).deliver(parcel())
    again = with_handle(parcel(), first.value.handle)
    mail_server.replies = {TO[0]: "421 closing"}
    for port in (mail_server.port, *free_ports(1)):
        with pytest.raises(UnfinishedError) as later:
            Mail(settings(port)).deliver(again)
        assert later.value.handle == first.value.handle
    assert len(mail_server.came) == 1


def test_a_recipient_that_is_refused_for_good_takes_it_from_no_other_and_is_complained_of(
    mail_server: MailServer,
) -> None:
    complaints: list[str] = []
    mail_server.replies = {TO[0]: "550 no such user"}
    said = Mail(settings(mail_server.port)).deliver(replace(parcel(), complain=complaints.append))
    assert said == "the mail server took it for 1 of 2 recipients, and never for stroke@hospital.example: 550"
    assert complaints == [said]


@pytest.mark.parametrize(
    ("replies", "error"),
    [
        ({TO[0]: "550 no such user", TO[1]: "550 no such user"}, AwayError),
        ({TO[0]: "554 relay access denied", TO[1]: "530 authenticate first"}, AwayError),
        ({TO[1]: "421 closing"}, AwayError),
        ({TO[0]: "550 no such user", TO[1]: "451 try later"}, NotTakenError),
    ],
)
def test_where_nobody_is_taken_the_mail_is_not_to_blame(
    mail_server: MailServer, replies: dict[str, str], error: type[Exception]
) -> None:
    mail_server.replies = replies
    with pytest.raises(error, match="no recipient"):
        Mail(settings(mail_server.port)).deliver(parcel())
    assert mail_server.came == []


@pytest.mark.parametrize("reply", ["550 relaying denied", "530 authenticate first", "451 later"])
def test_a_sender_that_the_server_does_not_take_lets_all_wait(mail_server: MailServer, reply: str) -> None:
    mail_server.sender_reply = reply
    with pytest.raises(AwayError, match=f"`sender` \\({reply[:3]}\\)"):
        Mail(settings(mail_server.port)).deliver(parcel())


def test_a_mail_that_the_server_does_not_take_is_tried_again_or_rejected_as_it_says(mail_server: MailServer) -> None:
    mail = Mail(settings(mail_server.port))
    for reply in ("452 no room", "552 no room", "530 authenticate first", "503 no recipients"):
        mail_server.data_reply = reply
        with pytest.raises(NotTakenError, match=reply[:3]):
            mail.deliver(parcel())
    mail_server.data_reply = "554 no"
    with pytest.raises(RejectedError, match="554"):
        mail.deliver(parcel())


def test_a_server_that_is_away_or_offers_no_encryption_lets_it_wait(mail_server: MailServer) -> None:
    with pytest.raises(AwayError, match="does not answer"):
        Mail(settings(*free_ports(1))).deliver(parcel())
    with pytest.raises(AwayError, match="STARTTLS"):
        Mail(settings(mail_server.port, security="starttls")).deliver(parcel())
    assert mail_server.came == []


def test_a_server_that_drips_is_waited_for_no_longer_than_the_setting() -> None:
    gone = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                try:
                    while not gone.wait(0.05):
                        connection.sendall(b"2")
                except OSError:  # the appliance has hung up
                    gone.set()

        thread = threading.Thread(target=drip)
        thread.start()
        with pytest.raises(AwayError):
            Mail(settings(server.getsockname()[1], timeout_s=0.5)).deliver(parcel())
        assert gone.wait(60)
        thread.join()


def test_user_and_password_go_over_starttls_alone(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.sign("mail")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    password = tmp_path / "password"
    password.write_text("pass word\n")

    def authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        known = isinstance(data, LoginPassword) and (data.login, data.password) == (b"box", b"pass word")
        return AuthResult(success=known, handled=False)

    options = {"tls_context": context, "require_starttls": True, "authenticator": authenticate, "auth_required": True}
    with MailServer().opened(**options) as server:
        more = {"security": "starttls", "username": "box", "password_file": password, "ca": authority.pair.certificate}
        mail = Mail(settings(server.port, **more))
        assert mail.test() == "the mail server answers and takes user and password"
        assert server.came == []
        mail.deliver(parcel())
        assert len(server.came) == 1
        password.write_text("another")  # read at each use
        with pytest.raises(AwayError, match="does not take user and password"):
            mail.deliver(parcel())
        with pytest.raises(AwayError):  # nobody's authority signed it
            Mail(settings(server.port, security="starttls")).test()
