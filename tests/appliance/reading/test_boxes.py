# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from appliance.reading.boxes import decode, encode, overlaps, suppress
from appliance.reading.contract import MATRIX


def random_boxes(count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 400, (count, 2))
    return np.concatenate([corner, corner + rng.uniform(5, 110, (count, 2))], axis=1).astype(np.float32)


def test_overlap_is_the_intersection_over_the_union() -> None:
    a = np.array([[0.0, 0.0, 10.0, 10.0]])
    b = np.array([[0.0, 0.0, 10.0, 10.0], [0.0, 5.0, 10.0, 15.0], [20.0, 20.0, 30.0, 30.0]])
    np.testing.assert_allclose(overlaps(a, b)[0], [1.0, 1 / 3, 0.0])


def test_boxes_without_area_do_not_overlap() -> None:
    point = np.array([[3.0, 3.0, 3.0, 3.0]])
    assert overlaps(point, point) == 0


def test_of_boxes_that_overlap_too_much_the_surest_stays_and_what_only_a_suppressed_one_covers() -> None:
    chain = np.array([[0, 0, 10, 10], [0, 3, 10, 13], [0, 6, 10, 16]], np.float32)
    assert suppress(chain, 0.5).tolist() == [True, False, True]
    assert suppress(chain, 0.2).tolist() == [True, False, False]


def test_decoding_what_was_encoded_gives_the_box_back() -> None:
    boxes = random_boxes(50)
    reference = boxes + np.random.default_rng(1).uniform(-2, 2, boxes.shape).astype(np.float32)
    np.testing.assert_allclose(decode(encode(boxes, reference), reference), boxes, atol=1e-3)


@pytest.mark.parametrize("offset", [1e30, -1e30])
def test_wild_offsets_stay_inside_the_grid_and_never_empty(offset: float) -> None:
    box = decode(np.full((50, 4), offset, np.float32), random_boxes(50))
    assert box.min() >= 0
    assert box.max() <= MATRIX
    assert (box[:, 2:] - box[:, :2]).min() >= 1
