# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The anatomy kept for the independent cohort: another brain in another vault, in which every bleed can be drawn."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from appliance.reading.contract import HemorrhageType
from simulator.anatomy import Anatomy
from simulator.atlas import REGIONS, load_atlas
from simulator.geometry import ScanGeometry
from simulator.noise_free import simulate_noise_free
from simulator.population import POPULATIONS, TRAINING

SECOND = POPULATIONS["new anatomy"]
GEOMETRY = ScanGeometry(
    rows=128,
    columns=128,
    pixel_spacing_mm=(1.8, 1.8),
    positions_mm=tuple(float(p) for p in np.arange(-50, 85, 9)),
    thickness_mm=(5.0,) * 15,
    centre_mm=(0.0, 15.0, 0.0),
)


@pytest.fixture(scope="module")
def hu() -> np.ndarray:
    return Anatomy.draw(5, SECOND).hu()


def test_training_never_draws_the_second_anatomy():
    assert TRAINING.anatomy != SECOND.anatomy
    assert Anatomy.draw(5).atlas is load_atlas(TRAINING.anatomy)


def test_the_second_brain_is_another_one():
    first, second = load_atlas(TRAINING.anatomy), load_atlas(SECOND.anatomy)
    both = (first.cavity_distance < -3) & (second.cavity_distance < -3)

    assert np.corrcoef(first.grey[both], second.grey[both])[0, 1] < 0.6
    assert np.abs(first.cavity_distance - second.cavity_distance)[both].mean() > 1


@pytest.mark.parametrize("name", [TRAINING.anatomy, SECOND.anatomy])
def test_left_differs_from_right(name):
    atlas = load_atlas(name)
    middle = round(atlas.origin_mni[2])
    right, left = atlas.grey[:, :, middle - 60 : middle], atlas.grey[:, :, middle + 1 : middle + 61][:, :, ::-1]

    assert np.abs(right - left).mean() > 0.03


@pytest.mark.parametrize("name", [TRAINING.anatomy, SECOND.anatomy])
def test_sulci_are_as_sharp_as_one_subjects(name):
    atlas = load_atlas(name)
    shell = (
        (atlas.cavity_distance < -2) & (atlas.cavity_distance > -14) & np.broadcast_to(atlas.mni()[0] > 10, atlas.shape)
    )
    brain = (atlas.grey + atlas.white)[shell]

    # Most voxels are brain or CSF, few the grey of an average.
    assert np.mean((brain > 0.2) & (brain < 0.8)) < 0.3
    assert 0.08 < np.mean(brain < 0.5) < 0.5


@pytest.mark.parametrize("name", [TRAINING.anatomy, SECOND.anatomy])
def test_an_atlas_names_every_region_and_leaves_air_around_the_head(name):
    atlas = load_atlas(name)

    assert set(np.unique(atlas.region)) == set(REGIONS.values())
    sides = [atlas.head_distance[:, :, side] for side in (0, -1)] + [atlas.head_distance[:, 0], atlas.head_distance[-1]]
    assert min(side.min() for side in sides) > 0


def test_its_vault_is_round():
    atlas = load_atlas(SECOND.anatomy)
    z = atlas.mni()[0].ravel()
    off = []
    for height in (40.0, 55.0, 65.0):
        plane = np.asarray(atlas.skull_distance[int(np.argmin(np.abs(z - height)))]) < 0
        ys, xs = np.nonzero(plane)
        angle = np.linspace(-np.pi, np.pi, 72, endpoint=False)
        middle = (ys.mean(), xs.mean())
        out = np.arange(10, 100, 0.5)[:, None]
        rows, columns = middle[0] + out * np.sin(angle), middle[1] + out * np.cos(angle)
        radius = 10 + 0.5 * ndimage.map_coordinates(plane.astype(float), [rows, columns], order=1).sum(0)
        # What an ellipse with a little more has: the first waves around.
        waves = np.fft.rfft(radius)
        waves[:4] = 0
        off.append(np.fft.irfft(waves, 72).std())

    assert max(off) < 1.2


def test_its_vault_is_closed(hu):
    passable = hu[75:150] < 150
    pieces, _ = ndimage.label(passable)

    assert pieces[20, 120, 100] > 0
    assert pieces[20, 120, 100] != pieces[20, 0, 0]


@pytest.mark.parametrize("diagnosis", [kind.value for kind in HemorrhageType])
def test_every_type_of_bleed_can_be_drawn_in_it(diagnosis):
    scan = simulate_noise_free(21, diagnosis, volume_ml=20.0, geometry=GEOMETRY, population=SECOND)

    assert (scan.labels == HemorrhageType(diagnosis).label).sum() > 100
