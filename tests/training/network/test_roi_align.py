# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

pytest.importorskip("tensorflow", reason="needs the training environment")

import numpy as np
import tensorflow as tf

from training.network.roi_align import align, box_level

pytestmark = pytest.mark.training


def linear_pyramid(slices: int, matrix: int) -> list[tf.Tensor]:
    """Levels whose three channels are the pixel's y, its x and its slice: bilinear interpolation is exact on them."""
    pyramid = []
    for stride in (4, 8, 16, 32):
        centres = (np.arange(matrix // stride) + 0.5) * stride
        y, x = np.meshgrid(centres, centres, indexing="ij")
        level = [np.stack([y, x, np.full_like(y, s)], axis=-1) for s in range(slices)]
        pyramid.append(tf.constant(np.stack(level), tf.float32))
    return pyramid


def test_each_cell_gets_the_features_at_its_centre_on_its_slice() -> None:
    boxes = np.array([[40, 60, 54, 95], [100, 30, 165, 110], [70, 70, 180, 200], [50, 40, 210, 215]], np.float32)
    slices = np.array([0, 2, 1, 2], np.int32)
    assert box_level(tf.constant(boxes), 4).numpy().tolist() == [0, 1, 2, 3]
    grid = align(linear_pyramid(3, 256), tf.constant(boxes), tf.constant(slices), 7).numpy()
    cell = (np.arange(7) + 0.5) / 7
    for box, number, found in zip(boxes, slices, grid, strict=True):
        y = box[0] + cell * (box[2] - box[0])
        x = box[1] + cell * (box[3] - box[1])
        np.testing.assert_allclose(found[..., 0], np.repeat(y[:, None], 7, 1), atol=1e-3)
        np.testing.assert_allclose(found[..., 1], np.repeat(x[None], 7, 0), atol=1e-3)
        np.testing.assert_array_equal(found[..., 2], number)


def test_a_box_at_the_border_reads_the_border() -> None:
    boxes = tf.constant([[0.0, 0.0, 4.0, 4.0], [252.0, 252.0, 256.0, 256.0]])
    grid = align(linear_pyramid(1, 256), boxes, tf.constant([0, 0]), 7).numpy()
    assert grid[0, 0, 0].tolist() == [2.0, 2.0, 0.0]
    assert grid[1, -1, -1].tolist() == [254.0, 254.0, 0.0]
