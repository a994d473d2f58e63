# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""ABC/2 of shapes whose diameters are known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from appliance.findings.abc2 import abc2_ml

SPACING = (0.5, 0.4)


def ellipse(a_mm: float, b_mm: float, degrees: float = 0.0, shape: tuple[int, int] = (220, 260)) -> NDArray[np.bool_]:
    """An ellipse with diameters `a_mm` and `b_mm`, turned, on the test's spacing."""
    y = (np.arange(shape[0]) - shape[0] / 2)[:, None] * SPACING[0]
    x = (np.arange(shape[1]) - shape[1] / 2)[None] * SPACING[1]
    angle = np.deg2rad(degrees)
    along = x * np.cos(angle) + y * np.sin(angle)
    across = -x * np.sin(angle) + y * np.cos(angle)
    return np.hypot(along / (a_mm / 2), across / (b_mm / 2)) <= 1


@pytest.mark.parametrize("degrees", [0, 20, 45, 70, 90, 135])
def test_a_and_b_are_the_perpendicular_diameters_however_the_lesion_lies(degrees: float) -> None:
    lesion = ellipse(60, 30, degrees)[None]
    assert abc2_ml(lesion, SPACING, np.array([5.0])) == pytest.approx(60 * 30 * 5 / 2 / 1000, rel=0.04)


@pytest.mark.parametrize(("share", "grade"), [(1.0, 1.0), (0.8, 1.0), (0.75, 1.0), (0.7, 0.5), (0.25, 0.5), (0.2, 0.0)])
def test_a_slice_counts_whole_half_or_not_by_its_share_of_the_largest_area(share: float, grade: float) -> None:
    lesion = np.zeros((2, 40, 40), bool)
    lesion[0, :20, :20] = True
    lesion[1, :20, :].reshape(-1)[: int(400 * share)] = True
    lesion[1, 20:] = False
    alone = abc2_ml(lesion[:1], (1, 1), np.array([4.0]))
    both = abc2_ml(lesion, (1, 1), np.array([4.0, 6.0]))
    assert both / alone == pytest.approx((4 + 6 * grade) / 4)


def test_thin_slices_of_an_ellipsoid_are_graded_like_thick_ones() -> None:
    at = np.arange(-19.5, 20)
    lesion = np.stack([ellipse(50 * size, 30 * size) for size in np.sqrt(1 - (at / 20) ** 2)])
    # Area falls with the square: 75 % at half of the half diameter (20 slices), 25 % at 0.87 of it (14 more).
    assert abc2_ml(lesion, SPACING, np.ones(40)) == pytest.approx(50 * 30 * (20 + 14 / 2) / 2 / 1000, rel=0.03)


def test_one_voxel_has_an_estimate_too() -> None:
    lesion = np.zeros((1, 5, 5), bool)
    lesion[0, 2, 2] = True
    diagonal = np.hypot(0.5, 0.5)
    assert abc2_ml(lesion, (0.5, 0.5), np.array([5.0])) == pytest.approx(diagonal * diagonal * 5 / 2 / 1000)
