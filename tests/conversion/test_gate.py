# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Whether the graph that a TensorRT engine is built from has passed the precision gate."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conversion.gate import HALF, JUDGED_AS, GateFault, gate_fault
from conversion.precision_command import TENSORRT_FP16
from conversion.triton_model import FULL, GATE


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / FULL
    path.write_bytes(b"a model")
    return path


HALVED = "the sha256 of the model's graph in half precision"


def judge(model: Path, of: str = HALVED, **verdict: object) -> None:
    report = {"sha256": {FULL: "of the model", HALF: of}, "engines": {JUDGED_AS: verdict} if verdict else {}}
    (model.parent / GATE).write_text(json.dumps(report))


def unjudged(model: Path) -> str:
    """Return why the gate has not judged a model's graph in half precision."""
    fault = gate_fault(model, "fp16", HALVED)
    assert fault is not None
    assert not fault.failed
    return fault.why


def test_the_verdict_is_looked_for_under_the_name_that_the_gate_gives() -> None:
    assert TENSORRT_FP16.name == JUDGED_AS
    assert TENSORRT_FP16.file == HALF


def test_half_precision_that_passed_and_full_precision_have_no_fault(model: Path) -> None:
    assert gate_fault(model, "fp32", HALVED) is None
    judge(model, passed=True, faults=[])
    assert gate_fault(model, "fp16", HALVED) is None


def test_half_precision_that_failed_says_in_what(model: Path) -> None:
    judge(model, passed=False, faults=["AUC falls by 0.0100, more than 0.002"])
    assert gate_fault(model, "fp16", HALVED) == GateFault("AUC falls by 0.0100, more than 0.002", failed=True)


def test_what_was_never_judged_or_only_as_another_graph_says_how_to_have_it_judged(model: Path) -> None:
    assert "--engines tensorrt-fp16" in unjudged(model)
    judge(model)
    assert "it was not judged" in unjudged(model)
    judge(model, of="another graph", passed=True, faults=[])
    assert "it was not judged" in unjudged(model)


@pytest.mark.parametrize("damaged", ["", "[]", "null", '{"engines": 1}', '{"engines": {"tensorrt-fp16": 1}}'])
def test_a_damaged_verdict_is_said_to_be_unreadable(model: Path, damaged: str) -> None:
    (model.parent / GATE).write_text(damaged)
    assert f"{GATE} cannot be read" in unjudged(model)
