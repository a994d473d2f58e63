# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Stacks of planes: where their voxels lie, however they are stored, reformatted or projected."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.series import (
    PatientPosition,
    Planes,
    Protocol,
    SeriesKind,
    project_scout,
    series_geometry,
    slabs,
    turn_planes,
    within_circle,
)
from tests.simulator.tiny_study import BLOOD_CENTRE_MM, MATRIX, tiny_geometry, tiny_stack


def blood_mm(stack: Planes) -> np.ndarray:
    """Return the patient coordinates [N, 3] of the labelled voxels, in a fixed order, to a micrometre."""
    points = stack.patient_mm(np.argwhere(stack.labels)).round(3) + 0.0
    return points[np.lexsort(points.T)]


@pytest.mark.parametrize("tilt_deg", [0.0, 18.0])
@pytest.mark.parametrize("position", PatientPosition)
def test_the_same_blood_lies_at_the_same_millimetres_in_every_orientation(
    position: PatientPosition, tilt_deg: float
) -> None:
    axial = tiny_stack(tiny_geometry(tilt_deg))
    np.testing.assert_allclose(blood_mm(turn_planes(axial, position)), blood_mm(axial), atol=0.002)


def test_the_eight_patient_positions_store_the_planes_in_eight_orientations() -> None:
    axial = tiny_stack(tiny_geometry())
    orientations = {
        tuple(np.concatenate([t.row, t.column]).round()) for t in (turn_planes(axial, p) for p in PatientPosition)
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
    stack = turn_planes(tiny_stack(tiny_geometry()), position)
    assert np.cross(stack.row, stack.column)[2] == normal_z
    assert tuple(stack.column) == down


def test_tilted_slices_are_closer_along_their_normal_than_the_table_moves() -> None:
    tilted = tiny_stack(tiny_geometry(20.0))
    np.testing.assert_allclose(np.diff(tilted.positions_mm), 20.0)
    np.testing.assert_allclose(np.diff(tilted.origins[:, 2]), 20.0 / np.cos(np.deg2rad(20)))
    np.testing.assert_allclose(np.diff(tilted.origins[:, :2], axis=0), 0, atol=1e-9)


def test_a_slice_stands_for_half_the_way_to_each_neighbour() -> None:
    np.testing.assert_allclose(
        tiny_stack(tiny_geometry(steps_mm=(2.5, 2.5, 5.0, 5.0))).spans_mm, [2.5, 3.125, 4.375, 5.0]
    )


@pytest.mark.parametrize("tilt_deg", [0.0, 15.0])
@pytest.mark.parametrize("kind", SeriesKind)
def test_every_series_sees_the_blood_at_the_same_millimetres(kind: SeriesKind, tilt_deg: float) -> None:
    if kind in (SeriesKind.DOSE, SeriesKind.RESCAN):
        return
    stack = tiny_stack(series_geometry(kind, tiny_geometry(tilt_deg, (4.0,) * 36)))
    centre = stack.patient_mm(np.argwhere(stack.labels)).mean(axis=0)
    np.testing.assert_allclose(centre, BLOOD_CENTRE_MM, atol=1.0)


def test_reformats_and_thin_slices_cover_the_range_of_the_axial_series() -> None:
    axial = tiny_geometry(15.0, (4.0,) * 30)
    height = 30 * 4.0 / np.cos(np.deg2rad(15))
    assert series_geometry(SeriesKind.BONE, axial) == axial
    thin = series_geometry(SeriesKind.THIN, axial)
    assert (thin.tilt_deg, thin.thickness_mm[0]) == (0.0, 1.0)
    assert thin.spans_mm.sum() == pytest.approx(height, abs=1.0)
    for kind in (SeriesKind.CORONAL, SeriesKind.SAGITTAL):
        reformat = series_geometry(kind, axial)
        assert reformat.rows * reformat.pixel_spacing_mm[0] == pytest.approx(height, abs=7)
        assert reformat.spans_mm.sum() == pytest.approx(220, abs=3)


def test_the_scout_is_dark_in_air_and_bright_through_the_head() -> None:
    scout = project_scout(tiny_stack(series_geometry(SeriesKind.SCOUT, tiny_geometry())))
    assert scout.hu.shape[0] == len(scout.origins) == 1
    assert scout.hu[0, 60, 0] < 0 < scout.hu[0, scout.hu.shape[1] // 2, scout.hu.shape[2] // 2]
    np.testing.assert_array_equal(scout.row, (0, 1, 0))
    np.testing.assert_array_equal(scout.column, (0, 0, -1))


def test_turning_keeps_the_field_of_view_with_the_planes() -> None:
    axial = tiny_stack(tiny_geometry())
    outside = np.zeros((MATRIX, MATRIX), bool)
    outside[:3, :7] = True
    marked = Planes(
        **{**vars(axial), "outside": outside, "labels": np.broadcast_to(outside, axial.hu.shape).astype("u1")}
    )
    for position in PatientPosition:
        stack = turn_planes(marked, position)
        np.testing.assert_array_equal(stack.labels[0].astype(bool), stack.outside)


def test_the_field_of_view_is_a_circle_that_touches_the_edges() -> None:
    outside = within_circle(tiny_stack(tiny_geometry())).outside
    assert outside[0, 0]
    assert outside[-1, 0]
    assert not outside[MATRIX // 2, 0]
    assert not outside[0, MATRIX // 2]
    assert outside.mean() == pytest.approx(1 - np.pi / 4, abs=0.02)


def test_a_rescan_sees_the_head_where_it_has_moved_to() -> None:
    axial = tiny_geometry(steps_mm=(4.0,) * 36)
    moved = series_geometry(SeriesKind.RESCAN, axial, Protocol(moved_mm=(3.0, -2.0, 1.0)))
    np.testing.assert_allclose(moved.origins_mm - axial.origins_mm, np.broadcast_to([3.0, -2.0, 1.0], (36, 3)))


def test_slabs_keep_the_brightest_of_their_planes_at_their_middle() -> None:
    thin = tiny_stack(series_geometry(SeriesKind.CTA, tiny_geometry()))
    thick = slabs(thin, 10.0, 5.0)
    np.testing.assert_allclose(np.diff(thick.positions_mm), 5.0)
    np.testing.assert_array_equal(thick.hu[3], thin.hu[15:25].max(axis=0))
    np.testing.assert_allclose(thick.origins[3], thin.origins[15:25].mean(axis=0))
    assert set(thick.thickness_mm) == {10.0}


def test_sites_differ_in_their_thin_slices_and_reformats() -> None:
    protocols = [Protocol.draw(np.random.default_rng(seed)) for seed in range(40)]
    assert len({protocol.thin_mm for protocol in protocols}) > 2
    assert len({protocol.reformat_mm for protocol in protocols}) > 2
    assert any(protocol.thin_step_mm < protocol.thin_mm for protocol in protocols)
