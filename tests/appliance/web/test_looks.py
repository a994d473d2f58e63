# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from appliance.errors import UnavailableError
from appliance.ledger.records import AuditEvent
from appliance.web.accounts import Accounts, Role, new_account, write_accounts
from appliance.web.login import HERE, Login
from appliance.web.looks import AGAIN_S, Looks
from tests.appliance.web.site import OTHER, SERIES, Site


class Now:
    at = 0.0

    def __call__(self) -> float:
        return self.at


def list_entries(looks: Looks) -> list[tuple[Any, ...]]:
    told: list[tuple[Any, ...]] = []
    looks.write(lambda event, who, **details: told.append((event, who, details)))
    return told


def test_who_goes_on_looking_is_told_of_once_in_a_while() -> None:
    now = Now()
    looks = Looks(now)
    for second in range(0, int(2 * AGAIN_S), 5):
        now.at = float(second)
        looks.note(AuditEvent.LOOKED, "anna", origin="10.0.0.9")
        looks.note(AuditEvent.LOOKED, "carl", origin="10.0.0.9")
    assert len(list_entries(looks)) == 4
    assert list_entries(looks) == []


def test_what_the_ledger_does_not_take_waits_and_a_flood_of_it_is_bounded() -> None:
    looks = Looks()
    for number in range(10_000):
        looks.note(AuditEvent.TURNED_AWAY, "nobody", origin=f"10.0.{number // 256}.{number % 256}")

    def away(*_: Any, **__: Any) -> None:
        raise UnavailableError("the ledger is away")

    with pytest.raises(UnavailableError):
        looks.write(away)
    told = list_entries(looks)
    assert len(told) == 2000
    assert told[0] == (AuditEvent.TURNED_AWAY, "nobody", {"origin": "10.0.0.0"})


def test_the_trail_tells_who_looked_asked_and_was_turned_away(tmp_path: Path) -> None:
    site = Site(tmp_path)
    account, secret = new_account("anna", Role.LOOK)
    write_accounts(tmp_path / "accounts.toml", [account])
    outside = Login(site.client.app, Accounts(tmp_path / "accounts.toml"), site.metrics, site.looks)
    site.client.get("/")
    site.client.get("/metrics")
    site.client.get("/health/ready")
    site.client.post(f"/series/{SERIES}/analyze")
    client = TestClient(outside, base_url="http://127.0.0.1:8443")
    key = {"Authorization": f"Bearer {secret}"}
    client.get("/status", params={"study": SERIES}, headers=key)
    client.get("/status", params={"study": "Mustermann"}, headers=key)
    client.get(f"/studies/{SERIES}", headers=key)
    client.get(f"/studies/{OTHER}", headers=key)
    client.post(f"/series/{SERIES}/analyze", headers=key)
    client.get("/status")
    site.looks.write(site.ledger.audit.record)
    entries = [
        (entry.event.value, entry.who, entry.details.get("study"), entry.details.get("why"))
        for entry in site.ledger.audit.entries()
    ]
    assert entries == [
        ("looked", HERE, None, None),
        ("looked", "anna", SERIES, None),
        ("looked", "anna", None, None),
        ("looked", "anna", OTHER, None),
        ("turned away", "anna", None, "role"),
        ("turned away", "nobody", None, "no account"),
    ]
    assert site.askers == [HERE]
    site.ledger.close()
