# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from appliance.errors import UnavailableError
from appliance.health import Health


def test_a_service_is_ready_only_when_every_neighbour_answered() -> None:
    faults: dict[str, Exception] = {"triton": UnavailableError("Triton is away")}

    def probe(name: str) -> None:
        if name in faults:
            raise faults[name]

    recovered: list[str] = []
    health = Health({name: lambda name=name: probe(name) for name in ("orthanc", "triton")}, recovered.append)  # type: ignore[misc]
    assert not health.ready
    health.ask()
    assert not health.ready
    assert health.states["triton"].reason == "Triton is away"
    assert recovered == ["orthanc"]
    faults.clear()
    health.ask()
    assert health.ready
    assert recovered == ["orthanc", "triton"]


@pytest.mark.parametrize("error", [UnavailableError("the ledger is away"), KeyError("a fault of our own")])
def test_a_recovery_that_cannot_be_told_of_stops_nothing(error: Exception) -> None:
    def tell(_: str) -> None:
        raise error

    health = Health({"orthanc": lambda: None}, tell)
    health.ask()
    assert health.ready


def test_since_tells_when_a_neighbour_went_and_not_when_it_was_asked_last() -> None:
    now = 10.0
    faults = ["one reason"]

    def probe() -> None:
        if faults:
            raise UnavailableError(faults[0])

    health = Health({"orthanc": probe}, lambda _: None, lambda: now)
    health.ask()
    now, faults[0] = 20.0, "another reason"
    health.ask()
    assert (health.states["orthanc"].since, health.states["orthanc"].reason) == (10.0, "another reason")
    now = 30.0
    faults.clear()
    health.ask()
    assert health.states["orthanc"].since == 30.0


def test_a_probe_that_breaks_is_a_neighbour_that_is_not_well() -> None:
    def probe() -> None:
        raise KeyError("Doe^Jane")

    health = Health({"orthanc": probe}, lambda _: None)
    health.ask()
    assert not health.ready
    assert "KeyError" in health.states["orthanc"].reason
    assert "Doe" not in health.states["orthanc"].reason
