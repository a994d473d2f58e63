# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A volume says where its planes lie in one way, however its headers spell it."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.imaging.volume import Turn
from tests.appliance.phantom import made_volume

TILT = np.deg2rad(18)


@pytest.mark.parametrize(
    ("spelled", "meant"),
    [
        (["1", "-1.2e-16", "0", "1.2e-16", "1", "-0.0"], (1, 0, 0, 0, 1, 0)),
        (["1.000", "0.000", "-0.000", "0.000", "0.951", "-0.309"], (1, 0, 0, 0, np.cos(TILT), -np.sin(TILT))),
        (["0.9999", "0.01", "0", "0", "1", "0"], (0.99995, 0.01, 0, -0.01, 0.99995, 0)),
    ],
    ids=["noise", "three decimals", "not at a right angle"],
)
def test_directions_are_unit_vectors_at_a_right_angle_without_noise(
    spelled: list[str], meant: tuple[float, ...]
) -> None:
    volume = made_volume()
    volume.headers[0].ImageOrientationPatient = spelled
    along_row, along_column = volume.directions
    np.testing.assert_allclose([*along_row, *along_column], meant, atol=1e-3)
    assert abs(along_row @ along_column) < 1e-9
    np.testing.assert_allclose([np.linalg.norm(along_row), np.linalg.norm(along_column)], 1, atol=1e-9)
    assert not [value for value in (*along_row, *along_column) if 0 < abs(value) < 1e-9 or str(value) == "-0.0"]


def test_matrix_and_spacing_of_the_stored_planes_are_turned_back() -> None:
    volume = made_volume(turn=Turn(transpose=True), matrix=(96, 80), spacing_mm=(2.4, 2.0))
    header = volume.headers[0]
    assert volume.stored_matrix == (header.Rows, header.Columns) == (80, 96)
    assert volume.stored_spacing_mm == tuple(map(float, header.PixelSpacing)) == (2.0, 2.4)


def test_a_slice_without_a_usable_thickness_is_as_thick_as_what_it_stands_for() -> None:
    volume = made_volume(slices=5, positions_mm=np.array([0, 2.5, 5, 10, 15.0]))
    for header, said in zip(volume.headers, ("2.5", "0", "", "-5", "5"), strict=True):
        header.SliceThickness = said
    del volume.headers[2].SliceThickness
    assert volume.slice_thicknesses_mm == (2.5, 2.5, 3.75, 5, 5)
