# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Stacks of planes: where their voxels lie, however they are stored, reformatted or projected."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.simulator.tiny_study import MATRIX, tiny_axial
from training.simulator.series import PatientPosition, SeriesKind, Stack, projected, reformatted, turned

BLOOD_CENTRE_MM = (30.0, 20.0, 5.0)


def blood_mm(stack: Stack) -> np.ndarray:
    """Return the patient coordinates [N, 3] of the labelled voxels, in a fixed order, to a micrometre."""
    points = stack.patient_mm(np.argwhere(stack.labels)).round(3) + 0.0
    return points[np.lexsort(points.T)]


@pytest.mark.parametrize("tilt_deg", [0.0, 18.0])
@pytest.mark.parametrize("position", PatientPosition)
def test_the_same_blood_lies_at_the_same_millimetres_in_every_orientation(
    position: PatientPosition, tilt_deg: float
) -> None:
    axial = tiny_axial(tilt_deg)
    np.testing.assert_allclose(blood_mm(turned(axial, position)), blood_mm(axial), atol=0.002)


def test_the_eight_patient_positions_store_the_planes_in_eight_orientations() -> None:
    axial = tiny_axial()
    orientations = {
        tuple(np.concatenate([t.row, t.column]).round()) for t in (turned(axial, p) for p in PatientPosition)
    }
    assert len(orientations) == 8


@pytest.mark.parametrize(
    ("position", "normal_z", "down"),
    [
        # What lies lowest on the table is lowest in the image; the image's normal points into the gantry's back.
        (PatientPosition.HFS, 1, (0, 1, 0)),
        (PatientPosition.HFP, 1, (0, -1, 0)),
        (PatientPosition.HFDL, 1, (1, 0, 0)),
        (PatientPosition.HFDR, 1, (-1, 0, 0)),
        (PatientPosition.FFS, -1, (0, 1, 0)),
        (PatientPosition.FFP, -1, (0, -1, 0)),
        (PatientPosition.FFDL, -1, (1, 0, 0)),
        (PatientPosition.FFDR, -1, (-1, 0, 0)),
    ],
)
def test_a_position_stores_what_the_gantry_sees(
    position: PatientPosition, normal_z: int, down: tuple[int, int, int]
) -> None:
    stack = turned(tiny_axial(), position)
    assert np.cross(stack.row, stack.column)[2] == normal_z
    assert tuple(stack.column) == down


def test_tilted_slices_are_closer_along_their_normal_than_the_table_moves() -> None:
    tilted = tiny_axial(20.0)
    np.testing.assert_allclose(np.diff(tilted.origins[:, 2]), 10.0)
    np.testing.assert_allclose(np.diff(tilted.positions_mm), 10.0 * np.cos(np.deg2rad(20)))


def test_a_slice_stands_for_half_the_way_to_each_neighbour() -> None:
    np.testing.assert_allclose(tiny_axial(steps_mm=(2.5, 2.5, 5.0, 5.0)).spans_mm, [2.5, 2.5, 3.75, 5.0, 5.0])


@pytest.mark.parametrize("tilt_deg", [0.0, 15.0])
@pytest.mark.parametrize("kind", [SeriesKind.CORONAL, SeriesKind.SAGITTAL])
def test_a_reformat_sees_the_blood_at_the_same_millimetres(kind: SeriesKind, tilt_deg: float) -> None:
    source = tiny_axial(tilt_deg, steps_mm=(4.0,) * 30)
    marked = Stack(**{**vars(source), "hu": np.where(source.labels, 1000, -1000).astype(np.int16)})
    reformat = reformatted(marked, kind, thickness_mm=3.0, pixel_mm=2.0)
    centre = reformat.patient_mm(np.argwhere(reformat.hu > 0)).mean(axis=0)
    np.testing.assert_allclose(centre, BLOOD_CENTRE_MM, atol=1.0)


def test_the_scout_is_dark_in_air_and_bright_through_the_head() -> None:
    scout = projected(tiny_axial(), pixel_mm=2.0)
    assert scout.hu.shape[0] == 1
    assert scout.hu[0, 0, 0] < 0 < scout.hu[0, scout.hu.shape[1] // 2, scout.hu.shape[2] // 2]
    np.testing.assert_array_equal(scout.row, (0, 1, 0))


def test_turning_keeps_the_field_of_view_with_the_planes() -> None:
    axial = tiny_axial()
    outside = np.zeros((MATRIX, MATRIX), bool)
    outside[:3, :7] = True
    marked = Stack(
        **{**vars(axial), "outside": outside, "labels": np.broadcast_to(outside, axial.hu.shape).astype("u1")}
    )
    for position in PatientPosition:
        stack = turned(marked, position)
        np.testing.assert_array_equal(stack.labels[0].astype(bool), stack.outside)
