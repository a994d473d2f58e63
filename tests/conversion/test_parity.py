# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from appliance.reading.contract import MASK_SIZE, MAX_DETECTIONS
from conversion.parity import describe, difference


def answer(detections: list[tuple[int, float, float]]) -> dict[str, np.ndarray]:
    """The outputs for detections given as slice, left edge of a 20 px box, score of the first type."""
    out = {
        "detection_count": np.array([len(detections)], np.int32),
        "detection_slice": np.zeros(MAX_DETECTIONS, np.int32),
        "detection_box": np.zeros((MAX_DETECTIONS, 4), np.float32),
        "detection_score": np.zeros((MAX_DETECTIONS, 3), np.float32),
        "detection_mask": np.zeros((MAX_DETECTIONS, MASK_SIZE, MASK_SIZE), np.float32),
        "dismissed_count": np.array([0], np.int32),
    }
    for i, (number, left, score) in enumerate(detections):
        out["detection_slice"][i] = number
        out["detection_box"][i] = [10, left, 30, left + 20]
        out["detection_score"][i, 0] = score
    return out


def test_the_same_answer_has_no_difference() -> None:
    out = answer([(3, 50, 0.9), (4, 60, 0.5)])
    found = difference("x", out, out)
    assert found.small
    assert (found.detections, found.unpaired, found.box_px, found.score, found.mask) == (2, 0, 0, 0, 0)


def test_detections_of_almost_the_same_score_may_change_places() -> None:
    found = difference("x", answer([(3, 50, 0.50001), (4, 60, 0.5)]), answer([(4, 60, 0.50002), (3, 50, 0.5)]))
    assert found.small
    assert found.score == pytest.approx(2e-5, rel=0.1)


@pytest.mark.parametrize(
    "other",
    [
        [(3, 50, 0.9)],
        [(3, 50, 0.9), (4, 60.5, 0.5)],
        [(3, 50, 0.9), (4, 60, 0.51)],
        [(3, 50, 0.9), (5, 60, 0.5)],
        [(3, 50, 0.9), (4, 60, 0.5), (8, 60, 0.5)],
    ],
    ids=["missing", "moved", "another score", "on another slice", "one more"],
)
def test_a_detection_that_differs_is_a_difference(other: list[tuple[int, float, float]]) -> None:
    assert not difference("x", answer([(3, 50, 0.9), (4, 60, 0.5)]), answer(other)).small


def test_a_detection_at_the_floor_may_be_on_one_side_only() -> None:
    assert difference("x", answer([(3, 50, 0.9), (4, 60, 0.0501)]), answer([(3, 50, 0.9)])).small


def test_a_mask_that_differs_is_a_difference() -> None:
    first, second = answer([(3, 50, 0.9)]), answer([(3, 50, 0.9)])
    second["detection_mask"][0, 5, 5] = 0.1
    found = difference("x", first, second)
    assert found.mask == pytest.approx(0.1)
    assert not found.small


def test_what_differs_is_said_with_its_cure_where_only_the_choice_of_detections_differs() -> None:
    alike = difference("a", answer([(3, 50, 0.9)]), answer([(3, 50, 0.9)]))
    other = difference("b", answer([(3, 50, 0.9), (4, 60, 0.5)]), answer([(3, 50, 0.9), (5, 60, 0.5)]))
    told = describe([alike, other])
    assert told.startswith("1 of 2 chunks are answered differently (b), all of them only in which detections")
    assert "2 have no partner" in told
    assert told.endswith("train it longer")
    moved = difference("c", answer([(3, 50, 0.9)]), answer([(3, 50.5, 0.9)]))
    assert describe([alike, other, moved]) == (
        "2 of 3 chunks are answered differently (b, c): at most box_px by 5.0e-01, score by 0.0e+00, mask by 0.0e+00"
    )
    with pytest.raises(ValueError, match="answered the same"):
        describe([alike])
