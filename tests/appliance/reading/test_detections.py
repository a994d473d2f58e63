# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np

from appliance.reading.contract import MASK_SIZE, MATRIX, MAX_DETECTIONS, MAX_DISMISSED, HemorrhageType
from appliance.reading.detections import chunk_detections, chunk_dismissed, study_detections


def run(hu: np.ndarray) -> dict[str, np.ndarray]:
    """Answer with a detection and a dismissed proposal on targets 0 and 15, their boxes at the HU of the first."""
    box = np.zeros((MAX_DETECTIONS, 4), np.float32)
    box[:2] = [hu[2, 0, 0], 0, hu[2, 0, 0] + 8, 8]
    number = np.zeros(MAX_DETECTIONS, np.int32)
    number[1] = 15
    score = np.tile(np.array([0.1, 0.5, 0.2], np.float32), (MAX_DETECTIONS, 1))
    assert MAX_DISMISSED == MAX_DETECTIONS
    return {
        "detection_count": np.array([2], np.int32),
        "detection_slice": number,
        "detection_box": box,
        "detection_score": score,
        "detection_mask": np.ones((MAX_DETECTIONS, MASK_SIZE, MASK_SIZE), np.float32),
        "dismissed_count": np.array([2], np.int32),
        "dismissed_slice": number,
        "dismissed_box": box,
        "dismissed_score": score / 100,
    }


def study(slices: int) -> np.ndarray:
    """Return a study [slices, 512, 512] whose first voxel of each slice is the slice's number."""
    hu = np.zeros((slices, MATRIX, MATRIX), np.int16)
    hu[:, 0, 0] = np.arange(slices)
    return hu


def test_chunks_are_put_together_and_each_slice_told_by_one_of_them() -> None:
    found = study_detections(run, study(20))
    assert [(one.slice_index, one.box.y1) for one in found] == [(0, 0.0), (15, 0.0), (19, 4.0)]


def test_detections_on_the_padding_of_a_short_study_are_dropped() -> None:
    assert [one.slice_index for one in study_detections(run, study(10))] == [0]


def test_dismissed_proposals_are_told_as_detections_are() -> None:
    outputs = run(np.zeros((20, 1, 1)))
    assert [one.slice_index for one in chunk_dismissed(outputs, 1, 20)] == [19]
    assert [one.slice_index for one in chunk_dismissed(outputs, 0, 40)] == [0, 15]


def test_a_detection_is_of_its_best_type_and_keeps_nothing_of_the_tensors() -> None:
    outputs = run(np.zeros((20, 1, 1)))
    one = next(chunk_detections(outputs, 0, 16))
    outputs["detection_mask"][:] = 0
    outputs["detection_score"][:] = 0
    assert one.type is HemorrhageType.EDH_SDH
    assert one.score == 0.5
    assert one.mask.all()
