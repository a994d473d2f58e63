# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What the golden chunk catches, shown with the shipped detector."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from appliance.reading import contract
from appliance.reading.detections import Outputs
from appliance.reading.golden import GOLDEN_TOLERANCE, golden_chunk, golden_matches, golden_summary
from benchmarks.golden import INPUT_FAULTS, OUTPUT_FAULTS, distances, perturb
from conversion.triton_model import FULL, Detector

MODEL = Path(__file__).parents[2] / "model_repository" / contract.DETECTOR / "1" / FULL


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector(MODEL, str(contract.CONTRACT_VERSION), 2)


@pytest.fixture(scope="module")
def reference(detector: Detector) -> Outputs:
    return detector(golden_chunk())


@pytest.mark.parametrize("name", ["rows taken for columns", "one slice off", "2 HU off"])
def test_a_chunk_that_arrives_otherwise_than_it_was_sent_is_caught(
    detector: Detector, reference: Outputs, name: str
) -> None:
    spoilt = np.ascontiguousarray(INPUT_FAULTS[name](golden_chunk()), np.float32)
    assert golden_matches(golden_summary(reference), detector(spoilt)) is not None


@pytest.mark.parametrize("name", OUTPUT_FAULTS)
def test_a_runtime_that_breaks_the_answer_is_caught(reference: Outputs, name: str) -> None:
    assert golden_matches(golden_summary(reference), reference) is None
    assert golden_matches(golden_summary(reference), OUTPUT_FAULTS[name](reference)) is not None


def test_weights_that_are_off_by_a_hundredth_are_caught(reference: Outputs, tmp_path: Path) -> None:
    onnx.save(perturb(onnx.load(str(MODEL)), 0.01, 0), str(tmp_path / FULL))
    outputs = Detector(tmp_path / FULL, str(contract.CONTRACT_VERSION), 2)(golden_chunk())
    assert golden_matches(golden_summary(reference), outputs) is not None


def move(outputs: Outputs, *scores: tuple[int, int, float]) -> Outputs:
    """Return the outputs with other best scores of types on slices, given as slice, type and score."""
    changed = {**outputs, "detection_score": outputs["detection_score"].copy()}
    for slice_index, kind, score in scores:
        of_slice = outputs["detection_slice"] == slice_index
        of_slice[int(outputs["detection_count"][0]) :] = False
        changed["detection_score"][of_slice, kind] = np.minimum(changed["detection_score"][of_slice, kind], score)
        first = int(np.flatnonzero(of_slice)[0])
        changed["detection_score"][first, kind] = score
    return changed


def test_one_faint_score_may_be_turned_by_rounding_and_a_second_one_or_a_sure_one_may_not(reference: Outputs) -> None:
    summary, sah = golden_summary(reference), 2
    one = move(reference, (7, sah, 0.319 - 1.5 * GOLDEN_TOLERANCE))
    assert golden_matches(summary, one) is None
    assert distances(reference, one) == (pytest.approx(1.5 * GOLDEN_TOLERANCE, abs=0.001), 0.0)
    assert "SAH score on target slice 7" in str(golden_matches(summary, move(reference, (7, sah, 0.1))))
    two = move(one, (10, sah, 0.243 - 0.6 * GOLDEN_TOLERANCE))
    assert "SAH score on target slice 10 is 0.183, not 0.243 ± 0.05" in str(golden_matches(summary, two))
    sure = move(reference, (13, 1, 0.94))
    assert "EDH/SDH score on target slice 13 is 0.940" in str(golden_matches(summary, sure))
