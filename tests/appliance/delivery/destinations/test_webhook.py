# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Webhooks, posted to a real web server."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path

import pytest

from appliance.delivery.destinations.destination import AwayError, NotTakenError, RejectedError
from appliance.delivery.destinations.webhook import SIGNATURE, TIMESTAMP, Webhook
from appliance.delivery.variables import VARIABLES
from appliance.sections.delivery import WebhookSettings
from deploy.local.ports import free_ports
from tests.appliance.delivery.parcels import HEADER, KEY, parcel
from tests.appliance.delivery.receivers import Hook


def settings(url: str, secret_file: Path | None = None) -> WebhookSettings:
    return WebhookSettings(kind="webhook", url=url, timeout_s=5, secret_file=secret_file)


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
        (413, RejectedError),
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
