# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Which voxels detections make blood; the ways in which lesions join and extend are in `findings/test_extension.py`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from appliance.reading.contract import EXTEND_SCORE, JOIN_MM, MASK_SIZE, MATRIX
from appliance.reading.detections import Box, Detection
from appliance.reading.lesions import Criteria, lesions, type_labels
from appliance.reading.masks import patch
from appliance.reading.pieces import even_coordinates_mm


def detection(z: int, box: Sequence[float], scores: Sequence[float], mask: np.ndarray | float = 1.0) -> Detection:
    """Return a detection on slice `z` with one mask value in every cell, or with a mask [56, 56]."""
    iph, edh_sdh, sah = map(float, scores)
    cells = np.broadcast_to(np.float32(mask), (MASK_SIZE, MASK_SIZE))
    return Detection(z, Box(*map(float, box)), (iph, edh_sdh, sah), np.asarray(cells))


def labels(found: Iterable[Detection], slices: int, threshold: float) -> np.ndarray:
    """Return the types [slices, 512, 512] that detections give voxels 5 x 0.45 x 0.45 mm apart."""
    shape = (slices, MATRIX, MATRIX)
    criteria = Criteria(threshold, min(EXTEND_SCORE, threshold), JOIN_MM)
    patches = [patch(one, (MATRIX, MATRIX)) for one in found]
    extents, _ = lesions(patches, shape, even_coordinates_mm(shape, (5.0, 0.45, 0.45)), criteria)
    return type_labels(extents, shape)


def test_a_full_mask_fills_exactly_the_pixels_whose_centre_is_in_the_box() -> None:
    volume = labels([detection(1, [10.2, 20.6, 14.2, 30.4], [0.0, 0.9, 0.0])], 3, 0.5)
    expected = np.zeros_like(volume)
    expected[1, 10:14, 21:30] = 2
    np.testing.assert_array_equal(volume, expected)


def test_half_a_mask_fills_half_the_box() -> None:
    mask = np.zeros((MASK_SIZE, MASK_SIZE), np.float32)
    mask[:, : MASK_SIZE // 2] = 1
    volume = labels([detection(0, [100, 100, 200, 300], [0.9, 0.0, 0.0], mask)], 1, 0.5)
    expected = np.zeros_like(volume)
    expected[0, 100:200, 100:200] = 1
    np.testing.assert_array_equal(volume, expected)


def test_the_surest_detection_wins_and_those_below_the_threshold_leave_nothing() -> None:
    found = [
        detection(0, [0, 0, 10, 10], [0.9, 0.0, 0.0]),
        detection(0, [0, 5, 10, 15], [0.0, 0.0, 0.6]),
        detection(0, [50, 50, 60, 60], [0.0, 0.4, 0.0]),
    ]
    plane = labels(found, 1, 0.5)[0]
    assert (plane[0, :10] == 1).all()
    assert (plane[0, 10:15] == 3).all()
    assert not plane[50:].any()


def test_less_sure_detections_extend_a_lesion_of_their_type_within_reach_and_none_else() -> None:
    box, far, other = [100, 100, 140, 140], [300, 300, 340, 340], [100, 400, 140, 440]
    found = [
        detection(2, box, [0.9, 0, 0]),
        detection(3, box, [0.6, 0, 0]),  # touches it
        detection(5, box, [0.6, 0, 0]),  # 10 mm further: joined through the one before
        detection(5, far, [0.7, 0, 0]),  # out of reach
        detection(2, other, [0, 0.7, 0]),  # of a type that nothing at the threshold is of
        detection(4, box, [0.4, 0, 0]),  # not sure enough to extend
    ]
    volume = labels(found, 8, 0.8)
    expected = np.zeros_like(volume)
    expected[[2, 3, 5], 100:140, 100:140] = 1
    np.testing.assert_array_equal(volume, expected)
