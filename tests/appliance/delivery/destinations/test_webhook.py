# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Webhooks, posted to a real web server."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import threading
from pathlib import Path

import pytest

from appliance.delivery.destinations import webhook
from appliance.delivery.destinations.destination import AwayError, NotTakenError, RejectedError
from appliance.delivery.destinations.webhook import SIGNATURE, TIMESTAMP, Webhook
from appliance.delivery.variables import VARIABLES
from appliance.errors import ApplianceError
from appliance.sections.delivery import WebhookSettings
from deploy.local.ports import free_ports
from tests.appliance.delivery.parcels import HEADER, KEY, parcel
from tests.appliance.delivery.receivers import Hook


def settings(url: str, secret_file: Path | None = None) -> WebhookSettings:
    return WebhookSettings(kind="webhook", url=url, timeout_s=60, secret_file=secret_file)


def test_the_facts_are_posted_with_the_key_and_without_the_patient(hook: Hook) -> None:
    assert Webhook(settings(hook.url)).deliver(parcel(replaces="1.2.6")) == "HTTP 204"
    (posted,) = hook.came
    told = json.loads(posted.body)
    assert {variable.name for variable in VARIABLES} <= set(told)
    assert (told["answer"], told["volume_ml"]["iph"], told["accession"]) == ("present", 32.0, "ER-12")
    assert (told["report_uid"], told["replaces_report_uid"], told["follows"]) == ("1.2.7", "1.2.6", True)
    assert told["delivery"] == posted.headers["idempotency-key"] == KEY
    assert "Not a medical device" in told["notice"]
    for name in ("PatientName", "PatientID", "PatientBirthDate"):
        assert HEADER[name] not in posted.body.decode()
    assert SIGNATURE.lower() not in posted.headers


def test_the_signature_is_the_hmac_of_time_and_body_under_the_secret_in_the_file(hook: Hook, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("s3cret\n")
    Webhook(settings(hook.url, file)).deliver(parcel())
    (posted,) = hook.came
    signed = posted.headers[TIMESTAMP.lower()].encode() + b"." + posted.body
    expected = hmac.new(b"s3cret", signed, hashlib.sha256).hexdigest()
    assert posted.headers[SIGNATURE.lower()] == f"sha256={expected}"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, RejectedError),
        (422, RejectedError),
        (409, NotTakenError),
        (413, NotTakenError),
        (415, NotTakenError),
        (403, AwayError),
        (410, AwayError),
        (411, AwayError),
        (500, NotTakenError),
        (301, AwayError),
        (401, AwayError),
        (404, AwayError),
        (429, AwayError),
        (503, AwayError),
    ],
)
def test_the_status_decides(hook: Hook, status: int, error: type[Exception]) -> None:
    hook.status = status
    with pytest.raises(error, match=f"HTTP {status}"):
        Webhook(settings(hook.url)).deliver(parcel())


@pytest.mark.parametrize("status", [400, 409, 404])
def test_the_path_of_an_address_is_not_told(hook: Hook, status: int) -> None:
    hook.status = status
    with pytest.raises(ApplianceError) as caught:
        Webhook(settings(f"{hook.url}/T0/B0")).deliver(parcel())
    assert f"http://127.0.0.1:{hook.port} answers" in str(caught.value)
    hook.close()
    with pytest.raises(AwayError) as away:
        Webhook(settings(f"{hook.url}/T0/B0")).deliver(parcel())
    for told in (str(caught.value), str(away.value)):
        assert not any(part in told for part in ("T0", "B0", "/told"))


@pytest.mark.parametrize("opening", [b"", b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_a_server_that_drips_is_waited_for_no_longer_than_the_setting(
    opening: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = threading.Event()
    # A minute is over after half a second, but for httpx, which would give up if nothing dripped for so long.
    deadline = webhook._Deadline
    monkeypatch.setattr(webhook, "_Deadline", lambda left_s: deadline(left_s / 120))
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                try:
                    connection.sendall(opening)
                    for _ in range(2400):
                        if gone.wait(0.05):
                            break
                        connection.sendall(b"H")
                except OSError:  # the appliance has hung up
                    gone.set()

        thread = threading.Thread(target=drip)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(NotTakenError, match="does not end in time"):
            Webhook(settings(url)).deliver(parcel())
        assert gone.wait(60)
        thread.join()


def test_a_server_that_is_away_and_a_secret_that_is_not_there_let_it_wait(hook: Hook, tmp_path: Path) -> None:
    away = Webhook(settings(f"http://127.0.0.1:{free_ports(1)[0]}"))
    with pytest.raises(AwayError, match="does not answer"):
        away.deliver(parcel())
    with pytest.raises(AwayError, match="does not answer"):
        away.test()
    with pytest.raises(AwayError, match="cannot be read"):
        Webhook(settings(hook.url, tmp_path / "none")).deliver(parcel())
    assert hook.came == []
    assert "is listened on" in Webhook(settings(hook.url)).test()
