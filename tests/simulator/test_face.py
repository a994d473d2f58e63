# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What lies below the skull base: teeth, jaws, airway and spine, whether the head bleeds or not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from simulator.anatomy import Anatomy
from simulator.bleeding import simulate_head
from simulator.contrast import Phase, enhance
from simulator.face import DEPTH_MM, Face
from simulator.fields import stream
from simulator.fillings import Fillings
from simulator.geometry import LOW_MM, ScanGeometry, draw_geometry
from simulator.population import POPULATIONS, REALISTIC, TRAINING
from simulator.teeth import BITE_Z, Teeth

GEOMETRY = ScanGeometry(
    rows=128,
    columns=128,
    pixel_spacing_mm=(1.8, 1.8),
    positions_mm=tuple(float(p) for p in np.arange(-120, 85, 5)),
    thickness_mm=(5.0,) * 41,
    centre_mm=(0.0, 10.0, 0.0),
)
ALL = ((True,) * 8,) * 4
NONE = ((False,) * 8,) * 4


@pytest.fixture(scope="module")
def anatomy() -> Anatomy:
    return Anatomy.draw(6, REALISTIC)


def at(anatomy: Anatomy, hu: np.ndarray, z: float, y: float, x: float) -> float:
    """HU at an MNI point of what `below` gave."""
    origin = anatomy.atlas.origin_mni
    return float(hu[round(z - origin[0]) + DEPTH_MM, round(origin[1] - y), round(origin[2] - x)])


def with_teeth(anatomy: Anatomy, there: tuple[tuple[bool, ...], ...]) -> np.ndarray:
    """The neck and face of a head with other teeth."""
    exterior = anatomy.exterior
    face = replace(exterior.face, teeth=replace(exterior.face.teeth, there=there))
    return face.below(
        exterior.atlas, exterior.tissue, (exterior.hu[0], exterior.skin_distance[0]), 2.0, anatomy.seed, DEPTH_MM
    )


@pytest.mark.parametrize("population", ["realistic", "new anatomy"])
def test_a_scan_from_the_jaw_up_shows_teeth_airway_and_spine(population):
    head = simulate_head(6, "none", geometry=GEOMETRY, population=POPULATIONS[population])
    low = head.noise_free(GEOMETRY)[:8]
    rows, columns = np.mgrid[:128, :128]
    inside = low > -400
    middle = abs(columns - np.argwhere(inside)[:, 2].mean()) < 14
    front = rows < np.argwhere(inside)[:, 1].mean()

    # Denser than any bone of the vault, in front; air that skin closes in; bone behind the middle of the neck.
    assert (low[:, front] > 1900).sum() > 20
    enclosed = [ndimage.binary_fill_holes(plane > -400) & (plane < -700) for plane in low]
    assert sum(hole.any() for hole in enclosed) >= 6
    assert all((plane[middle & ~front] > 400).sum() > 5 for plane in low)


def test_face_and_neck_do_not_tell_whether_the_head_bleeds():
    bleeding, healthy = (simulate_head(6, diagnosis, geometry=GEOMETRY) for diagnosis in ("sah", "none"))
    assert bleeding.blood

    np.testing.assert_array_equal(bleeding.noise_free(GEOMETRY)[:8], healthy.noise_free(GEOMETRY)[:8])


def test_a_deep_scan_shows_the_same_face_as_a_shallow_one(anatomy):
    deep, shallow = anatomy.exterior.below(DEPTH_MM), anatomy.exterior.below(12)

    np.testing.assert_array_equal(deep[-12:], shallow)


def test_the_neck_goes_on_where_the_atlas_ends(anatomy):
    lowest, next_one = anatomy.exterior.hu[0], anatomy.exterior.below(4)[-1]

    assert np.mean(np.abs(lowest - next_one) > 150) < 0.08


def test_only_teeth_that_are_left_are_drawn(anatomy):
    full, toothless = with_teeth(anatomy, ALL), with_teeth(anatomy, NONE)
    crowns = slice(round(BITE_Z - 8 - anatomy.atlas.origin_mni[0]) + DEPTH_MM, None)

    assert (full[crowns] > 1900).sum() > 1500
    assert (toothless > 1900).sum() == 0


def test_the_cord_lies_in_its_fluid_within_the_spine(anatomy):
    hu = anatomy.exterior.below(DEPTH_MM)
    slope = anatomy.exterior.face.spine_slope
    z = -91.0
    y = -43 - slope * (-71 - z)

    assert 20 < at(anatomy, hu, z, y, 0) < 45
    assert -10 < at(anatomy, hu, z, y - 7.5, 0) < 30
    assert at(anatomy, hu, z, y + 18, 0) > 200


def test_the_nose_is_hollow_but_for_septum_and_turbinates(anatomy):
    atlas = anatomy.atlas
    z, y, x = atlas.mni()
    nose = np.broadcast_to((z < -50) & (y > 24) & (y < 60) & (abs(x) < 11), atlas.shape)
    hu = anatomy.exterior.hu[nose]

    assert 0.25 < np.mean(hu < -500) < 0.85
    assert np.mean((hu > 0) & (hu < 120)) > 0.1


def test_the_muscles_of_the_neck_lie_alike_on_both_sides(anatomy):
    hu = anatomy.exterior.below(DEPTH_MM)[DEPTH_MM - 50 : DEPTH_MM - 20]
    y = anatomy.atlas.mni()[1].ravel()
    behind = hu[:, (y < -60) & (y > -95)]
    soft = (behind > -150) & (behind < 120)
    fat = ndimage.gaussian_filter((soft & (behind < 10)).astype(float), (0, 2, 2))
    both = soft & soft[..., ::-1]

    assert np.corrcoef(fat[both], fat[..., ::-1][both])[0, 1] > 0.5


def test_the_rami_of_the_mandible_diverge_backwards(anatomy):
    origin = anatomy.atlas.origin_mni
    level = anatomy.exterior.below(DEPTH_MM)[DEPTH_MM - 8]

    def middle(y: float) -> float:
        columns = np.flatnonzero(level[round(origin[1] - y), : round(origin[2]) - 38] > 350)
        return float(origin[2] - columns[columns > origin[2] - 66].mean())

    assert middle(-8) - middle(20) > 5


def test_contrast_agent_fills_the_vessels_of_the_neck():
    head = simulate_head(6, "none", geometry=GEOMETRY, population=REALISTIC)
    plain, filled = head.noise_free(GEOMETRY)[:5], enhance(head, Phase.ARTERIAL).noise_free(GEOMETRY)[:5]

    assert all((gained > 100).sum() > 4 for gained in filled - plain)


@pytest.mark.parametrize(("population", "share"), [(TRAINING, (0.25, 0.55)), (REALISTIC, (0.18, 0.42))])
def test_many_scans_begin_in_the_face_and_none_of_them_loses_the_vertex(population, share):
    plans = [draw_geometry(seed, population) for seed in range(400)]
    low = [plan.positions_mm[0] for plan in plans if plan.positions_mm[0] < -75]

    assert share[0] < len(low) / len(plans) < share[1]
    assert min(low) > -62 - 20 - LOW_MM[1]
    whole = [plan for plan in plans if plan.positions_mm[0] < -75 and plan.positions_mm[-1] > 85]
    assert len(whole) > 0.7 * len(low)


def test_fillings_sit_in_molars_that_are_there():
    there = ((False,) * 6 + (True, False),) + ((False,) * 8,) * 3
    teeth = Teeth(there, 2500.0, 1500.0, 1.0)
    drawn = [Fillings.draw(stream(seed, "fillings"), teeth).pieces for seed in range(60)]
    crown = np.array(teeth.crown(0, 0, 6))

    assert 15 < sum(bool(pieces) for pieces in drawn) < 45
    assert max(len(pieces) for pieces in drawn) == 1
    assert max(np.linalg.norm(np.array(place) - crown) for pieces in drawn for place, _ in pieces) < 5


def test_teeth_are_lost_with_age():
    young, old = (
        [sum(map(sum, Face.draw(stream(seed, "face"), age).teeth.there)) for seed in range(200)] for age in (25, 85)
    )

    assert np.mean(young) > 24
    assert np.mean(old) < np.mean(young) - 6
    assert 0.05 < np.mean([count == 0 for count in old]) < 0.5
