# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import numpy as np

from training.instances import MAX_PIECE_PX, MAX_PIECES, Cutting, pieces


def plane(*blobs: tuple[int, int, int, int, int]) -> np.ndarray:
    labels = np.zeros((512, 512), np.uint8)
    for y1, x1, y2, x2, label in blobs:
        labels[y1:y2, x1:x2] = label
    return labels


def test_a_blob_is_one_piece_with_its_bounding_box_and_type() -> None:
    boxes, kinds = pieces(plane((100, 120, 150, 200, 2)))
    np.testing.assert_array_equal(boxes, [[100, 120, 150, 200]])
    assert kinds.tolist() == [2]


def test_a_crescent_longer_than_the_largest_anchor_is_cut_into_pieces_that_cover_it() -> None:
    labels = plane((60, 100, 445, 112, 2))
    boxes, _ = pieces(labels)
    assert len(boxes) == 4
    assert (boxes[:, 2:] - boxes[:, :2]).max() <= MAX_PIECE_PX
    covered = np.zeros_like(labels)
    for y1, x1, y2, x2 in boxes.astype(int):
        covered[y1:y2, x1:x2] = 1
    assert covered[labels > 0].all()


def test_other_lengths_cut_finer_or_not_at_all() -> None:
    labels = plane((60, 100, 445, 112, 2))
    assert len(pieces(labels, Cutting(longest_px=64))[0]) == 7
    np.testing.assert_array_equal(pieces(labels, Cutting(longest_px=math.inf))[0], [[60, 100, 445, 112]])


def test_a_small_lesion_gets_a_box_of_at_least_eight_pixels_about_it() -> None:
    boxes, _ = pieces(plane((300, 300, 303, 303, 3)))
    np.testing.assert_array_equal(boxes, [[297.5, 297.5, 305.5, 305.5]])


def test_strands_a_few_pixels_apart_are_one_piece_and_others_are_not() -> None:
    near = plane((100, 100, 102, 140, 3), (106, 100, 108, 140, 3))
    far = plane((100, 100, 102, 140, 3), (120, 100, 122, 140, 3))
    assert len(pieces(near)[0]) == 1
    assert len(pieces(far)[0]) == 2


def test_a_speck_is_a_piece_where_its_type_has_nothing_larger_on_the_slice() -> None:
    speck = (300, 300, 301, 302, 1)
    np.testing.assert_array_equal(pieces(plane(speck))[0], [[296.5, 297, 304.5, 305]])
    assert len(pieces(plane(speck, (100, 100, 140, 140, 3)))[0]) == 2
    assert len(pieces(plane(speck, (100, 100, 140, 140, 1)))[0]) == 1


def test_types_that_touch_stay_apart() -> None:
    _, kinds = pieces(plane((100, 100, 140, 140, 1), (100, 140, 140, 180, 3)))
    assert sorted(kinds) == [1, 3]


def test_the_largest_pieces_are_kept_when_there_are_too_many() -> None:
    blobs = [(20 * i, 20 * j, 20 * i + 4 + (i + j) % 3, 20 * j + 4, 1) for i in range(10) for j in range(10)]
    boxes, _ = pieces(plane(*blobs))
    assert len(boxes) == MAX_PIECES


def test_a_piece_at_the_edge_of_a_slice_lies_where_it_would_in_a_larger_one() -> None:
    labels = plane((100, 100, 103, 140, 2), (107, 120, 109, 150, 2), (120, 90, 150, 101, 3))
    cut = labels[100:150, 90:150]
    for here, there in zip(pieces(np.ascontiguousarray(cut)), pieces(labels), strict=True):
        if here.ndim == 2:
            here = here + np.array([100, 90, 100, 90], np.float32)
        np.testing.assert_array_equal(here, there)


def test_a_slice_without_blood_has_no_pieces() -> None:
    boxes, kinds = pieces(plane())
    assert boxes.shape == (0, 4)
    assert kinds.shape == (0,)
