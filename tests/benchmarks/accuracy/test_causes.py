# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Causes of false alarms, at places of a real simulated head that are known from the simulator."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.accuracy.causes import false_lesion, miss
from simulator.geometry import ScanGeometry, draw_geometry
from simulator.mimics import Mimics
from simulator.population import REALISTIC
from simulator.scan import SimulatedScan, simulate_scan
from tests.benchmarks.accuracy.made_records import record

SEED = next(
    seed
    for seed in range(6_500_000, 6_500_100)
    if {"pineal", "large sinuses"} <= set(names := Mimics.draw(seed).names) and "falx plaques" not in names
)


@pytest.fixture(scope="module")
def scan() -> SimulatedScan:
    geometry = draw_geometry(SEED, REALISTIC)
    small = replace(geometry, rows=128, columns=128, pixel_spacing_mm=tuple(4 * mm for mm in geometry.pixel_spacing_mm))
    made = simulate_scan(SEED, "none", geometry=small, population=REALISTIC)
    return replace(made, scanner=replace(made.scanner, motion_mm=0.0))


def voxels_near(scan: SimulatedScan, mni: tuple[float, float, float], reach_mm: float) -> np.ndarray:
    """Return the voxels [N, 3] of the series near a point (z, y, x) of the atlas."""
    geometry: ScanGeometry = scan.geometry
    z, y, x = np.indices(geometry.shape).reshape(3, -1)
    row, column, _ = geometry.axes
    dy, dx = geometry.pixel_spacing_mm
    points = geometry.origins_mm[z] + y[:, None] * dy * column + x[:, None] * dx * row
    origin = scan.head.anatomy.atlas.origin_mni
    index = scan.head.anatomy.atlas_index(points)
    place = index * [1, -1, -1] + origin
    return np.stack([z, y, x], axis=1)[np.linalg.norm(place - mni, axis=1) < reach_mm]


def test_a_false_lesion_on_the_pineal_calcification_is_a_calcification(scan: SimulatedScan) -> None:
    anatomy = scan.head.anatomy
    plain = replace(anatomy, mimics=anatomy.mimics.without("pineal"))
    bright = anatomy.intracranial - plain.intracranial
    z, y, x = np.unravel_index(int(bright.argmax()), bright.shape)
    start = np.array([one.start for one in anatomy.cavity_box])
    mni = (np.array([z, y, x]) + start) * [1, -1, -1] + anatomy.atlas.origin_mni
    cause, facts = false_lesion(scan, scan.geometry, voxels_near(scan, tuple(mni), 3.5))
    assert cause == "calcification"
    assert facts["mimics_hu"]["pineal"] > 20


def test_where_no_mimic_is_the_place_names_the_cause(scan: SimulatedScan) -> None:
    anatomy = scan.head.anatomy
    bare = replace(anatomy, mimics=anatomy.mimics.without(*anatomy.mimics.names))
    clean = replace(scan, head=replace(scan.head, anatomy=bare))
    assert false_lesion(clean, scan.geometry, voxels_near(clean, (45.0, 5.0, 0.0), 4.0))[0] == "falx"
    assert false_lesion(clean, scan.geometry, voxels_near(clean, (-40.0, -60.0, 20.0), 4.0))[0] == "posterior fossa"
    assert false_lesion(clean, scan.geometry, voxels_near(clean, (28.0, -20.0, 28.0), 4.0))[0] == "nothing in the truth"
    moved = replace(clean, scanner=replace(scan.scanner, motion_mm=3.0))
    assert false_lesion(moved, scan.geometry, voxels_near(clean, (28.0, -20.0, 28.0), 4.0))[0] == "motion"


def test_what_lies_in_the_air_is_outside_the_skull(scan: SimulatedScan) -> None:
    assert false_lesion(scan, scan.geometry, np.array([[3, 0, 0], [3, 0, 1]]))[0] == "outside the skull"


@pytest.mark.parametrize(
    ("diagnosis", "true_ml", "contrast", "cause"),
    [
        ("sah", 3.0, 8.0, "faint SAH"),
        ("edh_sdh", 30.0, 4.0, "isodense"),
        ("iph", 0.004, 40.0, "punctate"),
        ("iph", 1.0, 40.0, "small"),
        ("edh_sdh", 30.0, 30.0, "large enough and bright"),
    ],
)
def test_a_miss_is_explained_by_size_and_contrast(diagnosis: str, true_ml: float, contrast: float, cause: str) -> None:
    assert miss(record(1, diagnosis, 0.2, true_ml, contrast_hu=contrast)) == cause
