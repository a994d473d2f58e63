# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from appliance.errors import UnavailableError
from appliance.inference.detector import TritonDetector
from appliance.inference.golden import READY, RETRY_S, VALID_S, GoldenAnswer, Readiness
from appliance.inference.server import TritonServer
from appliance.reading import contract
from appliance.reading.golden import golden_chunk, golden_matches, golden_summary
from appliance.sections.triton import TritonSettings
from tests.appliance.inference.blob_detector import answers, onnx_model, write_repository
from tests.appliance.inference.ports import triton_settings

Outputs = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def right() -> Outputs:
    """What the small detector answers to the golden chunk."""
    return answers(onnx_model().SerializeToString(), golden_chunk())


@pytest.fixture
def outputs(right: Outputs) -> Outputs:
    return {name: value.copy() for name, value in right.items()}


def test_the_golden_chunk_is_the_same_to_the_bit_everywhere() -> None:
    chunk = golden_chunk()
    assert chunk.shape == contract.INPUT_SHAPE
    assert chunk.dtype == np.int16
    assert np.abs(chunk).max() <= contract.WIRE_CLIP_HU
    digest = hashlib.sha256(chunk.astype("<i2").tobytes()).hexdigest()
    assert digest == "379229b9044f87724b6ca793af8aecf188eb72a014e1e329524a2a5b0adb534c"


def test_the_recorded_answer_matches_itself_and_is_small(right: Outputs) -> None:
    summary = golden_summary(right)
    assert golden_matches(summary, right) is None
    assert len(summary) < 4096
    assert json.loads(summary)["detections"][0]["type"] == "iph"


def test_scores_and_boxes_of_a_reduced_precision_still_match(right: Outputs, outputs: Outputs) -> None:
    outputs["detection_score"] = np.clip(outputs["detection_score"] * np.float32(0.95), 0, 1)
    outputs["detection_box"] = np.clip(outputs["detection_box"] + 3, 0, 512)
    assert golden_matches(golden_summary(right), outputs) is None


def test_the_order_of_detections_does_not_matter(right: Outputs, outputs: Outputs) -> None:
    count = int(outputs["detection_count"][0])
    for name in ("detection_slice", "detection_box", "detection_score", "detection_mask"):
        outputs[name][:count] = outputs[name][:count][::-1]
    assert golden_matches(golden_summary(right), outputs) is None


def test_empty_tensors_are_not_taken_for_nothing_seen(right: Outputs) -> None:
    blank = {output.name: np.zeros(output.shape, output.dtype) for output in contract.OUTPUTS}
    nothing_found = {**right, "detection_count": np.zeros(1, np.int32)}
    assert golden_matches(golden_summary(nothing_found), nothing_found) is None
    assert "no dismissed proposal" in str(golden_matches(golden_summary(nothing_found), blank))


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("detection_count", lambda v: v * 0, "the highest IPH score on target slice 4 is 0.000, not 0.980"),
        ("detection_score", lambda v: v * 0.5, "the highest IPH score"),
        ("detection_slice", lambda v: (v + 1) % 16, "the highest"),
        ("detection_score", lambda v: v[:, [2, 1, 0]], "the highest"),
        ("detection_box", lambda v: v * 0.5, "the iph detection with score 0.980"),
        ("detection_mask", lambda v: v * 0.2, "the iph detection with score 0.980"),
        ("dismissed_count", lambda v: v * 0, "no dismissed proposal came back, where 128 are known"),
        ("detection_mask", lambda v: v * np.nan, "not finite"),
        ("detection_count", lambda v: v + 999, "detection_count is 1031, not 0 to 128"),
        ("detection_slice", lambda v: v + 16, "detection_slice leaves 0 to 15"),
        ("dismissed_box", lambda v: v[:, [2, 3, 0, 1]], "turned inside out"),
        ("detection_score", lambda v: v + 1, "detection_score leaves 0 to 1"),
        ("detection_box", lambda v: v[:, :3], "output detection_box has shape [128, 3], not [128, 4]"),
        ("dismissed_slice", lambda v: None, "output dismissed_slice is missing"),
    ],
)
def test_a_wrong_answer_is_told_apart_and_why(
    right: Outputs, outputs: Outputs, name: str, change: object, said: str
) -> None:
    value = change(outputs[name])  # type: ignore[operator]
    if value is None:
        del outputs[name]
    else:
        outputs[name] = value
    assert said in str(golden_matches(golden_summary(right), outputs))


def test_a_summary_that_cannot_be_read_is_a_difference_not_a_crash(right: Outputs) -> None:
    for summary in ("", "null", "{}", '{"scores": [1], "tolerance": 0.1, "lowest": 0.05}'):
        assert "the recorded golden answer cannot be read" in str(golden_matches(summary, right))


def test_outputs_that_break_the_contract_are_never_recorded(outputs: Outputs) -> None:
    outputs["detection_score"][0] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        golden_summary(outputs)


def test_when_the_list_was_full_scores_below_its_end_do_not_count(outputs: Outputs) -> None:
    """128 detections were told; a slice whose best lies below the 128th may or may not be among them."""
    outputs["detection_count"][:] = contract.MAX_DETECTIONS
    outputs["detection_score"] = np.maximum(outputs["detection_score"], np.float32([0.3, 0, 0]))
    summary = golden_summary(outputs)
    outputs["detection_slice"][100:] = 0
    assert golden_matches(summary, outputs) is None


def test_a_right_answer_stands_long_and_a_wrong_one_shortly() -> None:
    now = [0.0]
    answer = GoldenAnswer(clock=lambda: now[0])
    assert answer.standing is None
    wrong = answer.keep(Readiness(False, "for a reason"))
    assert answer.standing is wrong
    now[0] = RETRY_S
    assert answer.standing is None
    assert answer.last is wrong
    answer.keep(READY)
    now[0] += VALID_S - 1
    assert answer.standing is READY
    answer.forget()
    assert answer.standing is None
    assert answer.last is None


def test_a_right_server_is_ready_and_is_asked_once(served: TritonSettings) -> None:
    detector = TritonDetector(served)
    assert detector.check_readiness() == READY
    sent = 0
    original = detector._stream.answers

    def count_calls(*arguments: object) -> object:
        nonlocal sent
        sent += 1
        return original(*arguments)  # type: ignore[arg-type]

    detector._stream.answers = count_calls  # type: ignore[assignment, method-assign]
    assert all(detector.check_readiness() for _ in range(5))
    assert sent == 0
    detector.close()


def test_a_server_whose_model_answers_otherwise_is_not_ready_and_says_what_differs(tmp_path: Path) -> None:
    settings = triton_settings(tmp_path / "models")
    write_repository(settings.model_repository)
    config = settings.model_repository / contract.DETECTOR / "configs" / "cpu.pbtxt"
    config.write_text(config.read_text().replace('\\"slice\\":4', '\\"slice\\":14'))
    with TritonServer(settings, tmp_path / "state"):
        detector = TritonDetector(settings)
        readiness = detector.check_readiness()
        detector.close()
    assert not readiness
    assert "the iph detection with score 0.980 on target slice 14" in readiness.reason
    assert "restart Triton" in readiness.reason


def test_a_model_that_answers_wrongly_reads_no_study_and_is_restarted_once(tmp_path: Path) -> None:
    settings = triton_settings(tmp_path / "models")
    write_repository(settings.model_repository, wrong_at_first=True)
    with TritonServer(settings, tmp_path / "state"):
        detector = TritonDetector(settings)
        with pytest.raises(UnavailableError, match="the golden chunk came back wrong"):
            detector.read(golden_chunk())
        reading = detector.read(golden_chunk())
        assert detector.check_readiness() == READY
        detector.close()
    assert max(max(one.scores) for one in reading.detections) == pytest.approx(0.98, abs=1e-3)


def test_a_model_process_that_fails_is_not_ready_and_its_message_is_told(tmp_path: Path) -> None:
    settings = triton_settings(tmp_path / "models")
    write_repository(settings.model_repository, fails=True)
    with TritonServer(settings, tmp_path / "state"):
        detector = TritonDetector(settings)
        readiness = detector.check_readiness()
        detector.close()
    assert not readiness
    assert "full" in readiness.reason
