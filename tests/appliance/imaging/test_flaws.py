# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Each flaw is seen on a simulated head that has it, and on none that does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pydicom import Dataset
from scipy import ndimage

from appliance.imaging.check import check
from appliance.imaging.flaws import FlawCode, flaws
from appliance.imaging.geometry import Geometry, Plane
from appliance.imaging.volume import Turn, Volume
from simulator.geometry import ScanGeometry, draw_geometry
from simulator.population import REALISTIC
from simulator.scan import simulate_scan

MATRIX = 192
SEED = 7_000_005
HU = NDArray[np.int16]


class Head:
    """A simulated head, lying still and moving."""

    def __init__(self) -> None:
        drawn = draw_geometry(SEED, REALISTIC)
        pixel_mm = drawn.pixel_spacing_mm[0] * drawn.columns / MATRIX
        self.geometry: ScanGeometry = replace(drawn, rows=MATRIX, columns=MATRIX, pixel_spacing_mm=(pixel_mm, pixel_mm))
        scan = simulate_scan(SEED, "none", geometry=self.geometry, population=REALISTIC)
        still = replace(scan.scanner, motion_mm=0.0)
        self.still: HU = scan.head.render(self.geometry, scanner=still)
        self.moved: HU = scan.head.render(self.geometry, scanner=replace(still, motion_mm=6.0))


@pytest.fixture(scope="module")
def head() -> Head:
    return Head()


def find_flaws(
    head: Head, hu: HU, tilt_deg: float = 0.0, positions_mm: Any = None, **header: Any
) -> dict[FlawCode, str]:
    """Return what is said of these HU, as slices of the head's geometry."""
    headers = []
    for number in range(len(hu)):
        dataset = Dataset()
        dataset.SOPInstanceUID, dataset.SeriesInstanceUID = f"1.2.{number + 1}", "1.2"
        dataset.update(header)
        headers.append(dataset)
    positions = np.array(head.geometry.positions_mm if positions_mm is None else positions_mm, np.float64)
    volume = Volume(hu, head.geometry.pixel_spacing_mm, positions, Turn(), tuple(headers))
    angle = np.deg2rad(tilt_deg)
    along_column = np.array([0, np.cos(angle), np.sin(angle)])
    seen = flaws(volume, lying(volume, along_column), check(volume).slices)
    return {flaw.code: flaw.reason for flaw in seen}


def lying(volume: Volume, along_column: NDArray[np.float64]) -> Geometry:
    """The geometry of a volume whose columns run that way."""
    rows, columns = volume.hu.shape[1:]
    plane = Plane(rows, columns, np.zeros(3), np.array([1.0, 0, 0]), along_column, volume.pixel_spacing_mm)
    return Geometry(plane, volume.positions_mm)


def brain_slice(head: Head) -> int:
    return int(len(head.still) * 0.6)


def disc(head: Head, y: int, x: int, radius_mm: float) -> NDArray[np.bool_]:
    rows, columns = np.mgrid[:MATRIX, :MATRIX]
    return np.asarray(np.hypot(rows - y, columns - x) * head.geometry.pixel_spacing_mm[0] < radius_mm)


def middle(head: Head) -> tuple[int, int]:
    rows, columns = np.nonzero(head.still[brain_slice(head)] > -200)
    return int(rows.mean()), int(columns.mean())


def test_an_ordinary_head_has_no_flaw(head: Head) -> None:
    assert find_flaws(head, head.still) == {}


def test_a_head_that_moves_during_slices_is_said_to_have_moved(head: Head) -> None:
    assert set(find_flaws(head, head.moved)) == {FlawCode.MOTION}


def test_a_head_that_moves_between_slices_is_said_to_have_moved(head: Head) -> None:
    z = brain_slice(head)
    shifted = head.still.copy()
    pixels = round(5.0 / head.geometry.pixel_spacing_mm[1])
    shifted[z] = np.roll(shifted[z], pixels, axis=1)
    assert "beside those above and below" in find_flaws(head, shifted)[FlawCode.MOTION]


def test_metal_at_the_height_of_the_brain_is_told_and_a_calcification_is_none(head: Head) -> None:
    z, (y, x) = brain_slice(head), middle(head)
    for hu, expected in ((3071, {FlawCode.METAL}), (1900, set())):
        changed = head.still.copy()
        changed[z][disc(head, y - 10, x + 12, 3.0)] = hu
        assert set(find_flaws(head, changed)) == expected


def test_metal_below_the_brain_is_not_told(head: Head) -> None:
    changed = head.still.copy()
    y, x = middle(head)
    inside = disc(head, y, x, 20.0)
    seen = [one.z for one in check(_volume(head, head.still)).slices]
    below = min(seen) - 1
    assert below >= 0
    changed[below][inside] = 3071
    assert FlawCode.METAL not in find_flaws(head, changed)


def _volume(head: Head, hu: HU) -> Volume:
    dataset = Dataset()
    dataset.SeriesInstanceUID = "1.2"
    positions = np.array(head.geometry.positions_mm)
    return Volume(hu, head.geometry.pixel_spacing_mm, positions, Turn(), (dataset,) * len(hu))


def test_an_image_that_cuts_brain_off_is_told_and_a_skull_that_is_open_is_not_taken_for_one(head: Head) -> None:
    y, x = middle(head)
    cut = head.still.copy()
    _, columns = np.nonzero(head.still[brain_slice(head)] > 300)
    edge = int(columns.max() - (columns.max() - columns.min()) * 0.2)
    cut[:, :, edge:] = -1024  # outside the field of view
    assert FlawCode.CUT_OFF in find_flaws(head, cut)
    opened = head.still.copy()
    flap = np.zeros((MATRIX, MATRIX), bool)
    flap[y - 25 : y + 25, x + 10 :] = True
    bone = ndimage.binary_dilation(opened > 150, iterations=1) & flap
    opened[bone] = np.int16(35)
    assert FlawCode.CUT_OFF not in find_flaws(head, opened)


@pytest.mark.parametrize(("value", "y"), [(3071, 4), (255, 70), (1200, 4)])
def test_drawn_text_is_told_wherever_it_stands(head: Head, value: int, y: int) -> None:
    picture = Image.new("1", (MATRIX, MATRIX))
    ImageDraw.Draw(picture).text((60, y), "ID 0815 R", fill=1)
    drawn = head.still.copy()
    for plane in drawn[8:14]:
        plane[np.asarray(picture)] = value
    volume = _volume(head, drawn)
    geometry = lying(volume, np.array([0, 1.0, 0]))
    seen = {flaw.code: flaw.reason for flaw in flaws(volume, geometry, check(volume).slices)}
    assert "6 of" in seen[FlawCode.BURNED_IN]


def test_staples_on_the_skin_are_metal_and_no_text(head: Head) -> None:
    stapled = head.still.astype(np.float32)
    for z in range(brain_slice(head) - 3, brain_slice(head) + 4):
        rows, columns = np.nonzero(head.still[z] > -200)
        staples = np.zeros((MATRIX, MATRIX), np.float32)
        for y in range(int(rows.mean()) - 24, int(rows.mean()) + 24, 8):
            staples[y, columns[rows == y].max()] = 60_000
        stapled[z] += ndimage.gaussian_filter(staples, 0.9)
    assert set(find_flaws(head, np.clip(stapled, -1024, 3071).astype(np.int16))) == {FlawCode.METAL}


def test_what_the_header_says_is_told(head: Head) -> None:
    assert set(find_flaws(head, head.still, BurnedInAnnotation="YES")) == {FlawCode.BURNED_IN}
    assert find_flaws(head, head.still, BurnedInAnnotation="NO") == {}
    assert set(find_flaws(head, head.still, ConvolutionKernel="DETAIL")) == {FlawCode.KERNEL}
    assert find_flaws(head, head.still, ConvolutionKernel=["H31s", "3"]) == {}


def test_a_steep_tilt_is_told_and_a_usual_one_is_not(head: Head) -> None:
    assert set(find_flaws(head, head.still, tilt_deg=30)) == {FlawCode.STEEP_TILT}
    assert find_flaws(head, head.still, tilt_deg=20) == {}


def test_many_distances_are_told_and_two_are_a_protocol(head: Head) -> None:
    slices = len(head.still)
    fine_then_coarse = np.cumsum([2.5] * (slices // 2) + [5.0] * (slices - slices // 2))
    assert find_flaws(head, head.still, positions_mm=fine_then_coarse) == {}
    uneven = np.cumsum(np.linspace(3.0, 7.0, slices))
    jittered = np.cumsum(5 + 0.3 * np.sin(np.arange(slices)))
    assert find_flaws(head, head.still, positions_mm=jittered) == {}
    assert set(find_flaws(head, head.still, positions_mm=uneven)) == {FlawCode.UNEVEN_SPACING}
