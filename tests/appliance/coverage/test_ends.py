# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A stack that ends within the skull is seen to, by its pixels alone."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.coverage.ends import TOP_CM2, Ends, ends_of, ends_of_volume, intracranial_cm2
from appliance.imaging.read import read_volume
from tests.appliance.coverage.heads import images, made_head, whole
from tests.appliance.imaging.scans import Archive

SPACING = (2.0, 2.0)


def missing_of(positions: list[float]) -> tuple[str, ...]:
    archive = Archive(images(positions))
    ends = ends_of(archive.stack, archive.fetch)
    assert ends is not None
    geometry = archive.stack.geometry
    assert geometry is not None
    return ends.missing(geometry.extent_mm)


def test_a_whole_head_has_both_ends() -> None:
    assert missing_of(whole()) == ()


@pytest.mark.parametrize("cut", [4, 6, 10, 15])
def test_a_head_without_its_top_is_missed_its_top(cut: int) -> None:
    (said,) = missing_of(whole()[:-cut])
    assert said.startswith("the top of the head is missing: the highest slice still shows")


@pytest.mark.parametrize("cut", [6, 8, 10, 15])
def test_a_head_without_its_base_is_missed_its_base(cut: int) -> None:
    (said,) = missing_of(whole()[cut:])
    assert said.startswith("the base of the head is missing: the lowest slice still shows")


def test_a_middle_piece_misses_both_ends() -> None:
    assert len(missing_of(whole()[8:-8])) == 2


@pytest.mark.parametrize(("stored", "noise"), [(0, 0), (0, 9), (1024, 0)])
def test_empty_slices_above_or_below_are_no_end(stored: int, noise: int) -> None:
    positions = whole()
    for empty, said in (
        (range(16, 31), "the top of the head is missing: the highest slice still shows"),
        (range(15), "the base of the head is missing: the lowest slice still shows"),
        (range(10), "the base of the head is missing: the lowest slice still shows"),
    ):
        made = images(positions)
        random = np.random.default_rng(1)
        for at in empty:
            pixels = stored + random.integers(0, noise + 1, (made[at].Rows, made[at].Columns))
            made[at].PixelData = pixels.astype(np.uint16).tobytes()
        archive = Archive(made)
        ends = ends_of(archive.stack, archive.fetch)
        assert ends is not None
        (sentence,) = ends.missing(155.0)
        assert sentence.startswith(said)
        assert sentence.endswith(f"the {len(empty)} slices {'above' if empty[0] else 'below'} it are empty")
        assert ends_of_volume(read_volume(archive.stack, archive.fetch)) == ends


def test_one_empty_slice_above_a_whole_head_changes_nothing_and_a_few_slices_are_looked_at() -> None:
    made = images(whole())
    for at in (-1, -2):
        made[at].PixelData = bytes(len(made[at].PixelData))
    archive = Archive(made)
    looked_at: list[str] = []
    ends = ends_of(archive.stack, lambda ref: looked_at.append(ref) or archive.fetch(ref))  # type: ignore[func-returns-value]
    assert ends is not None
    assert ends.missing(155.0) == ()
    assert len(looked_at) <= 10


def test_the_area_within_the_skull_is_measured_whatever_the_pixels() -> None:
    (fine,) = made_head([0.0], matrix=480, pixel_mm=0.5)
    (coarse,) = made_head([0.0])
    expected = np.pi * 6.4 * 8.0
    assert intracranial_cm2(fine, (0.5, 0.5)) == pytest.approx(expected, rel=0.05)
    assert intracranial_cm2(coarse, SPACING) == pytest.approx(expected, rel=0.05)


def test_a_suture_does_not_open_the_skull_and_a_craniectomy_does() -> None:
    (plane,) = made_head([30.0])
    middle = len(plane) // 2
    suture, craniectomy = plane.copy(), plane.copy()
    suture[:30, middle : middle + 2] = np.where(
        plane[:30, middle : middle + 2] > 300, 40, plane[:30, middle : middle + 2]
    )
    craniectomy[:, middle + 20 :] = np.where(plane[:, middle + 20 :] > 300, 40, plane[:, middle + 20 :])
    assert intracranial_cm2(suture, SPACING) > TOP_CM2
    assert intracranial_cm2(craniectomy, SPACING) == 0


@pytest.mark.parametrize("value", [-1000, 34, 900])
def test_a_slice_of_one_value_shows_no_inside_of_a_skull(value: int) -> None:
    assert intracranial_cm2(np.full((120, 120), value, np.int16), SPACING) == 0


def test_air_within_a_ring_is_not_the_inside_of_a_skull() -> None:
    (plane,) = made_head([0.0])
    assert (
        intracranial_cm2(np.where(plane == 34, -1000, np.where(plane > 300, plane, -1000)).astype(np.int16), SPACING)
        == 0
    )


def test_a_short_head_is_whole_where_its_ends_are_seen_and_not_where_they_cannot_be() -> None:
    assert Ends(base_cm2=5, middle_cm2=80, top_cm2=0).missing(90) == ()
    (said,) = Ends(base_cm2=0, middle_cm2=0, top_cm2=0).missing(90)
    assert said == "the slices cover 90 mm, less than a head, and its ends cannot be seen"
    assert Ends(base_cm2=0, middle_cm2=0, top_cm2=0).missing(150) == ()


def test_ends_that_cannot_be_read_are_not_said_to_be_missing() -> None:
    made = images(whole())
    made[-1].PixelData = b"\0" * 10
    archive = Archive(made)
    assert ends_of(archive.stack, archive.fetch) is None
