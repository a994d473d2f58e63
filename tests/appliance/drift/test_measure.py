# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What is measured of a simulated head, and how it follows what is done to the images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset

from appliance.drift.features import FEATURES, Side
from appliance.drift.measure import NOT_STATED, Measured, measure
from appliance.imaging.check import check
from appliance.imaging.skull import Enclosed
from appliance.imaging.volume import Turn, Volume
from simulator.diagnosis import Diagnosis
from simulator.geometry import ScanGeometry, draw_geometry
from simulator.population import REALISTIC
from simulator.scan import SimulatedScan, simulate_scan

MATRIX = 256


@pytest.fixture(scope="module")
def head() -> SimulatedScan:
    """A simulated head on few slices."""
    drawn = draw_geometry(7_000_010, REALISTIC)
    every = max(1, len(drawn.positions_mm) // 12)
    pixel_mm = drawn.pixel_spacing_mm[0] * drawn.columns / MATRIX
    geometry = replace(
        drawn,
        rows=MATRIX,
        columns=MATRIX,
        pixel_spacing_mm=(pixel_mm, pixel_mm),
        positions_mm=drawn.positions_mm[::every],
        thickness_mm=drawn.thickness_mm[::every],
    )
    return simulate_scan(7_000_010, Diagnosis.NONE, geometry=geometry, population=REALISTIC)


def measured(hu: NDArray[np.int16], geometry: ScanGeometry, **header: object) -> Measured:
    """Return what is measured of planes [Z, Y, X]."""
    dataset = Dataset()
    dataset.SOPInstanceUID, dataset.SeriesInstanceUID = "1.2.3", "1.2"
    for keyword, value in header.items():
        setattr(dataset, keyword, value)
    positions = np.array(geometry.positions_mm, np.float64)
    volume = Volume(hu, geometry.pixel_spacing_mm, positions, Turn(), (dataset,) * len(hu))
    return measure(volume, check(volume))


def test_every_feature_of_the_images_is_measured_and_nothing_else(head: SimulatedScan) -> None:
    seen = measured(head.hu, head.geometry, PatientName="Doe^Jane", PatientID="4711", KVP=120)
    assert set(seen) == {feature.name for feature in FEATURES if feature.side is Side.INPUT}
    assert "Doe" not in str(seen)
    assert 20 < float(seen["brain_hu"]) < 40
    assert 0.01 < float(seen["fluid_share"]) < 0.4


@pytest.mark.parametrize("offset", [-3, 4])
def test_an_offset_shows_in_the_brain_and_hardly_in_the_noise(head: SimulatedScan, offset: int) -> None:
    before = measured(head.hu, head.geometry)
    after = measured(head.hu + np.int16(offset), head.geometry)
    assert float(after["brain_hu"]) - float(before["brain_hu"]) == pytest.approx(offset, abs=0.6)
    assert float(after["noise_hu"]) == pytest.approx(float(before["noise_hu"]), rel=0.1)


def test_a_noisier_scan_of_the_same_head_has_more_noise_and_the_same_brain(head: SimulatedScan) -> None:
    quiet, loud = (
        measured(head.head.render(head.geometry, scanner=replace(head.scanner, noise_hu=noise)), head.geometry)
        for noise in (3.0, 6.0)
    )
    assert float(loud["noise_hu"]) > 1.4 * float(quiet["noise_hu"])
    assert float(loud["brain_hu"]) == pytest.approx(float(quiet["brain_hu"]), abs=1.0)


def test_white_noise_is_measured_as_strong_as_it_is(head: SimulatedScan) -> None:
    flat = np.where((head.hu > -10) & (head.hu < 90), 35, head.hu)
    noisy = flat + np.random.default_rng(1).normal(0, 5, flat.shape)
    assert float(measured(np.rint(noisy).astype(np.int16), head.geometry)["noise_hu"]) == pytest.approx(5, rel=0.1)


def test_the_protocol_is_taken_from_geometry_and_headers(head: SimulatedScan) -> None:
    said = {
        "ConvolutionKernel": ["Hr40f", "3"],
        "Manufacturer": "ACME",
        "ManufacturerModelName": "One " * 40,
        "KVP": 100,
        "SliceThickness": 4.5,
    }
    seen = measured(head.hu, head.geometry, **said)
    assert (seen["kernel"], seen["kvp"], seen["thickness_mm"]) == ("Hr40f 3", "100", 4.5)
    assert str(seen["scanner"]).startswith("ACME One One")
    assert len(str(seen["scanner"])) == 64
    assert seen["pixel_mm"] == pytest.approx(head.geometry.pixel_spacing_mm[0], abs=1e-4)
    bare = measured(head.hu, head.geometry)
    assert {bare[name] for name in ("kernel", "scanner", "kvp")} == {NOT_STATED}


def test_what_cannot_be_measured_is_left_out_and_never_ends_an_answer(head: SimulatedScan) -> None:
    header = Dataset()
    planes = np.zeros((3, 8, 8), np.int16)
    volume = Volume(planes, (1.0, 1.0), np.arange(3.0), Turn(), (header,) * 3)
    nothing = Enclosed(0.0, 0.0, 0.0, 0.0)
    assert {"brain_hu", "noise_hu", "fluid_share"}.isdisjoint(seen := measure(volume, nothing))
    assert seen["thickness_mm"] == 1.0
    assert measure(replace(volume, headers=()), nothing) == {}  # a fault
