# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Records of a small simulated scan under each kind of condition, read by a stand-in that marks what it is told to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from appliance.inference.detections import ModelIdentity, Reading
from appliance.reading.detections import Box, Detection
from benchmarks.accuracy.conditions import AS_DRAWN, CONDITIONS
from benchmarks.accuracy.reading import OPERATING, at_threshold, record_of, scan_under
from simulator.diagnosis import Diagnosis
from simulator.geometry import draw_geometry
from simulator.manifest import Entry
from simulator.population import POPULATIONS
from simulator.scan import SimulatedScan, simulate_scan

ENTRY = Entry(6_500_003, Diagnosis.IPH, 45.0, "clear")
CRITERIA = at_threshold(0.9, 10.0)


@pytest.fixture(scope="module")
def scan() -> SimulatedScan:
    geometry = draw_geometry(ENTRY.seed, POPULATIONS["clear"])
    small = replace(
        geometry,
        rows=128,
        columns=128,
        pixel_spacing_mm=(geometry.pixel_spacing_mm[0] * 4, geometry.pixel_spacing_mm[1] * 4),
    )
    return simulate_scan(ENTRY.seed, "iph", volume_ml=45.0, geometry=small, population=POPULATIONS["clear"])


class Marks:
    """A network that marks one box, the whole slice if not said, on every slice it is given; it remembers how many."""

    def __init__(self, score: float = 0.95, box: Box | None = None) -> None:
        self.score, self.slices = score, 0
        self.box = box or Box(0, 0, 512, 512)

    def __call__(self, hu: np.ndarray) -> Reading:
        self.slices = len(hu)
        mask = np.ones((4, 4), np.float32)
        found = tuple(Detection(z, self.box, (self.score, 0.0, 0.0), mask) for z in range(len(hu)))
        return Reading(found, (), ModelIdentity("stand-in", "1", "0" * 64), 0.9)


def test_a_network_that_marks_everything_hits_all_blood_and_shares_all_of_it(scan: SimulatedScan) -> None:
    found = record_of(ENTRY, AS_DRAWN, scan, Marks(), CRITERIA, None, 1.0)
    assert all(lesion.score == 0.95 for lesion in found.true)
    assert found.blood["iph"].shared_ml == pytest.approx(found.blood["iph"].true_ml)
    assert found.blood["iph"].true_ml == pytest.approx(45.0, rel=0.35)
    assert found.score == 0.95
    assert [one.hit > 0 for one in found.operating] == [at <= 0.95 for at in OPERATING]


def test_what_touches_no_blood_is_a_false_lesion_and_hits_nothing(scan: SimulatedScan) -> None:
    found = record_of(ENTRY, AS_DRAWN, scan, Marks(box=Box(0, 0, 12, 12)), CRITERIA, None, 1.0)
    assert [lesion.true_ml for lesion in found.found] == [0.0]
    assert {lesion.score for lesion in found.true} == {0.0}
    assert max(one.false for one in found.operating) == 1
    assert found.blood["iph"].shared_ml == 0


def test_thin_slices_are_read_as_means_and_answered_on_their_own_planes(scan: SimulatedScan) -> None:
    network = Marks()
    found = record_of(ENTRY, CONDITIONS["1.25 mm averaged"], scan, network, CRITERIA, None, 1.0)
    assert network.slices == -(-found.slices // 4)
    assert found.blood["iph"].shared_ml == pytest.approx(found.blood["iph"].true_ml)
    plain = record_of(ENTRY, CONDITIONS["thickness 1.25 mm"], scan, network, CRITERIA, None, 1.0)
    assert network.slices == plain.slices == found.slices


@pytest.mark.parametrize(
    ("name", "share"), [("noise 9 HU", 0.2), ("sharp kernel", 0.2), ("motion 5 mm", 0.1), ("metal", 0.02)]
)
def test_a_condition_of_the_scanner_changes_the_image_and_leaves_the_truth(
    scan: SimulatedScan, name: str, share: float
) -> None:
    hu, labels, geometry = scan_under(CONDITIONS[name], scan)
    assert geometry == scan.geometry
    np.testing.assert_array_equal(labels, scan.labels)
    assert (hu != scan.hu).mean() > share


@pytest.mark.parametrize("name", ["tilt 15°", "turned +10°", "bent 10°", "thickness 2.5 mm"])
def test_a_condition_of_the_planes_shows_the_same_blood(scan: SimulatedScan, name: str) -> None:
    _, labels, geometry = scan_under(CONDITIONS[name], scan)
    assert geometry != scan.geometry
    ml = float(np.count_nonzero(labels == 1, axis=(1, 2)) @ geometry.voxel_ml)
    assert ml == pytest.approx(scan.volumes_ml[Diagnosis.IPH.type], rel=0.15)
