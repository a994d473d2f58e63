# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What counts as a fault of a recorded run."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.objective.run import FAST, Seen, faults

GOOD = Seen(
    begun=0.0,
    killed=300.0,
    back=450.0,
    ended=1000.0,
    step_s=2.5,
    sent={"1": 310.0},
    records={"1": {"state": "done", "turnaround_s": 200.0}},
    alerts={FAST: {"firing": [500.0, 600.0]}},
    told={FAST: [(501.0, "firing"), (603.0, "resolved")]},
)


def test_a_run_whose_alert_fires_and_ends_is_well() -> None:
    assert faults(GOOD) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"records": {"1": {"state": "queued"}}}, "1 of 1 studies were not answered"),
        ({"records": {"1": {"state": "done", "turnaround_s": 5.0}}}, "no study was late"),
        ({"alerts": {}}, "never fired"),
        ({"alerts": {FAST: {"firing": [200.0, 600.0]}}}, "fired before Triton was killed"),
        ({"alerts": {FAST: {"firing": [500.0, 997.5]}}}, "still fires"),
        ({"told": {FAST: [(501.0, "firing")]}}, "was told of"),
        ({"told": {FAST: [(501.0, "firing"), (603.0, "resolved")] * 2}}, "was told of"),
        ({"not_sent": ["head 3: ConnectionError()"]}, "head 3"),
    ],
)
def test_what_should_have_been_otherwise_is_said(changed: dict[str, object], said: str) -> None:
    assert said in " ".join(faults(replace(GOOD, **changed)))
