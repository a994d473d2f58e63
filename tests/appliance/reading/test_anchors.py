# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from appliance.reading.anchors import PER_CELL, anchor_boxes, level_anchors
from appliance.reading.contract import ANCHOR_ASPECTS, ANCHOR_SIZES_PX, ANCHOR_STRIDES_PX, MATRIX


@pytest.mark.parametrize("level", range(len(ANCHOR_SIZES_PX)))
def test_anchors_of_a_level_have_its_area_its_aspects_and_the_centres_of_its_cells(level: int) -> None:
    size, stride = ANCHOR_SIZES_PX[level], ANCHOR_STRIDES_PX[level]
    cells = MATRIX // stride
    anchors = level_anchors(MATRIX, level).reshape(cells, cells, PER_CELL, 4).astype(float)
    height, width = anchors[..., 2] - anchors[..., 0], anchors[..., 3] - anchors[..., 1]
    np.testing.assert_allclose(height * width, size**2, rtol=1e-4)
    np.testing.assert_allclose(height / width, np.broadcast_to(ANCHOR_ASPECTS, height.shape), rtol=1e-4)
    row, column = 3, 5
    centre = (anchors[row, column, :, :2] + anchors[row, column, :, 2:]) / 2
    np.testing.assert_allclose(centre, [[(row + 0.5) * stride, (column + 0.5) * stride]] * PER_CELL, atol=1e-4)


def test_anchors_of_a_crop_are_those_of_the_grids_corner() -> None:
    whole = {tuple(box) for box in np.round(anchor_boxes(512), 3)}
    assert all(tuple(box) in whole for box in np.round(anchor_boxes(256), 3))


def test_the_finest_level_comes_first() -> None:
    np.testing.assert_array_equal(anchor_boxes(64)[: 16 * 16 * PER_CELL], level_anchors(64, 0))
