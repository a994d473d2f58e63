# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What the demo says of the answers that came back."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from deploy.local.demo import faults, remarks
from simulator.study import WrittenStudy


def simulate(type_: str) -> WrittenStudy:
    truth: Any = SimpleNamespace(type=type_, series_uid="1.2")
    return SimpleNamespace(truth=truth)  # type: ignore[return-value]


def record(present: bool, *lesions: tuple[str, float], series: str = "1.2", state: str = "done") -> dict[str, Any]:
    return {
        "state": state,
        "present": present,
        "series": {"uid": series},
        "lesions": [{"type": type_, "volume_ml": ml} for type_, ml in lesions],
    }


def test_a_right_answer_has_no_fault_and_needs_no_remark() -> None:
    assert faults(simulate("iph"), record(True, ("iph", 20.0), ("sah", 3.0))) == []
    assert remarks(simulate("iph"), record(True, ("iph", 20.0), ("sah", 3.0))) == []
    assert faults(simulate("none"), record(False)) == []


def test_a_wrong_answer_is_not_called_a_broken_part() -> None:
    for truth, answer in (("sah", record(False)), ("none", record(True, ("sah", 1.0)))):
        (sentence,) = faults(simulate(truth), answer)
        assert "the network erred, as it does now and then on clear heads too, or a part is broken" in sentence


def test_another_series_or_no_answer_is_a_fault() -> None:
    assert faults(simulate("none"), record(False, series="1.3")) == [
        "another series than the axial soft-tissue one was read"
    ]
    assert "its state is failed" in faults(simulate("none"), record(False, state="failed"))


def test_blood_that_is_called_by_another_type_is_remarked_on_and_no_fault() -> None:
    answer = record(True, ("sah", 18.0), ("iph", 5.0), ("sah", 2.0))
    assert faults(simulate("iph"), answer) == []
    (sentence,) = remarks(simulate("iph"), answer)
    assert "its blood is iph, and 20 of the 25 mL found are called sah" in sentence
