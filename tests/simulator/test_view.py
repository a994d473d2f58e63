# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Views of slices: what a crop shows, turned, scaled and mirrored, and what lies beyond."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.view import View, cut


def ramps() -> tuple[np.ndarray, np.ndarray]:
    y, x = np.meshgrid(np.arange(512), np.arange(512), indexing="ij")
    hu = np.stack([y, x]).astype(np.int16)
    return hu, np.stack([y >= 256, x >= 256]).astype(np.uint8)


def both(hu: np.ndarray, marks: np.ndarray, view: View, size: int) -> tuple[np.ndarray, np.ndarray]:
    return cut(hu, view, (size, size)), cut(marks, view, (size, size), nearest=True, around=0)


def test_a_view_is_the_square_about_its_centre() -> None:
    values, labels = both(*ramps(), View((200.5, 300.5)), 64)
    np.testing.assert_allclose(values[0, :, 5], np.arange(169, 233))
    np.testing.assert_allclose(values[1, 5, :], np.arange(269, 333))
    np.testing.assert_array_equal(labels[1], 1)


def test_a_mirrored_view_swaps_left_and_right_only() -> None:
    straight, _ = both(*ramps(), View((200.5, 300.5)), 64)
    mirrored, _ = both(*ramps(), View((200.5, 300.5), mirrored=True), 64)
    np.testing.assert_array_equal(mirrored, straight[..., ::-1])


def test_a_turned_and_scaled_view_keeps_values_and_labels_together() -> None:
    hu, marks = ramps()
    values, labels = both(hu, marks, View((256, 256), angle=0.3, scale=1.2), 128)
    inside = np.abs(values[0] - 255.5) > 1
    np.testing.assert_array_equal(labels[0][inside], (values[0] > 255.5)[inside])
    assert np.ptp(values[0]) == pytest.approx(127 * 1.2 * (np.cos(0.3) + np.sin(0.3)), rel=0.02)


def test_beyond_the_slice_lies_air_without_blood() -> None:
    values, labels = both(*ramps(), View((0, 500)), 64)
    assert (values[:, :20] == -1024).all()
    assert (labels[:, :20] == 0).all()


def test_a_stored_box_gives_the_same_view_as_the_whole_slice() -> None:
    hu, _ = ramps()
    outside = np.ones(hu.shape, bool)
    outside[:, 100:400, 150:420] = False
    hu[outside] = -1000
    view = View((250, 300), angle=0.2, scale=1.1, mirrored=True)
    whole = cut(hu, view, (200, 320), around=-1000)
    boxed = cut(hu[:, 98:402, 148:422], view, (200, 320), corner=(98, 148), around=-1000)
    np.testing.assert_allclose(boxed, whole, atol=1e-3)


def test_the_whole_view_is_the_slice() -> None:
    hu, _ = ramps()
    np.testing.assert_array_equal(cut(hu, View.whole((512, 512)), (512, 512)), hu)
