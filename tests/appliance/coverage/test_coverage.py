# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What an answer is about: every slice of the head that the study holds, or a part that says so."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset

from appliance.delivery.summary import summary
from appliance.pipeline import Pipeline, ReadAnswer
from appliance.results.wording import covered_words
from appliance.settings import Settings
from tests.appliance.coverage.heads import images, study_of, whole
from tests.appliance.imaging.scans import ROOT
from tests.appliance.stand_in import StandInDetector

HALF = 16


def answer_of(made: list[Dataset]) -> ReadAnswer:
    answer = Pipeline(Settings(), StandInDetector()).answer(study_of(made))  # type: ignore[arg-type]
    assert isinstance(answer, ReadAnswer), answer.refusals
    return answer


def halves(**other: Any) -> list[Dataset]:
    """Return the head as a base and a vertex whose images say something else."""
    positions = whole()
    return [*images(positions[:HALF]), *images(positions[HALF:], group=2, **other)]


def test_a_whole_head_is_covered_and_nothing_is_missing() -> None:
    covered = answer_of(images(whole())).covered
    assert (covered.slices, covered.slices_there, covered.slices_empty, covered.missing) == (29, 29, 2, ())
    assert covered.extent_mm == pytest.approx(145)


@pytest.mark.parametrize(
    "other",
    [
        {"AcquisitionNumber": 2, "AcquisitionTime": "120200"},
        {"FrameOfReferenceUID": f"{ROOT}.99"},
        {"FrameOfReferenceUID": None},
        {"SeriesInstanceUID": f"{ROOT}.77"},
    ],
    ids=repr,
)
def test_a_head_in_two_parts_is_read_whole(other: dict) -> None:
    covered = answer_of(halves(**other)).covered
    assert (covered.slices, covered.slices_there, covered.partial) == (29, 29, False)


def test_a_slice_that_base_and_vertex_share_is_read_once_and_not_counted_twice() -> None:
    positions = whole()
    vertex = images(positions[HALF - 1 :], group=2, AcquisitionNumber=2, AcquisitionTime="120200")
    answer = answer_of([*images(positions[:HALF]), *vertex])
    assert (answer.covered.slices, answer.covered.slices_there, answer.covered.partial) == (29, 29, False)
    assert len(answer.stack.repeats) == 1


def test_every_other_slice_of_a_head_is_a_part_though_nothing_but_the_thickness_tells() -> None:
    answer = answer_of(images(whole(10), SliceThickness=5))
    assert answer.covered.missing == ("slices 5.0 mm thick lie 10.0 mm apart: 75 mm between them were not read",)
    assert summary(answer)["coverage"]["partial"]


@pytest.mark.parametrize(
    ("step_mm", "thickness_mm"),
    [(5, 5), (5, 4), (5, 3.75), (3, 5), (10, 10), (5, None)],
    ids=["close", "apart", "a quarter apart", "overlapping", "thick", "not said"],
)
def test_slices_that_lie_close_or_do_not_say_are_no_part(step_mm: float, thickness_mm: float | None) -> None:
    assert not answer_of(images(whole(step_mm), SliceThickness=thickness_mm)).covered.partial


def reformat(**other: Any) -> list[Dataset]:
    """Return axial slices every 5 mm that still say how thick the slices were that they were made of."""
    return images(whole(5), SliceThickness=0.625, ImageType=["DERIVED", "SECONDARY", "REFORMATTED", "AVERAGE"], **other)


@pytest.mark.parametrize(
    ("of", "to"), [((12,), (13,)), ((12,) * 4, (13, 14, 15, 16)), ((18, 19, 20), (8, 9, 10))], ids=repr
)
def test_a_picture_that_stands_at_two_positions_leaves_a_part_unread(of: tuple[int, ...], to: tuple[int, ...]) -> None:
    made = images(whole())
    for source, target in zip(of, to, strict=True):
        made[target].PixelData = made[source].PixelData
    (said,) = answer_of(made).covered.missing
    assert said.startswith(f"{len(to)} slice{'s show' if len(to) > 1 else ' shows'} exactly what another one shows")


@pytest.mark.parametrize("lost", [range(1, 31, 2), range(17, 31, 2)], ids=["throughout", "in the upper half"])
def test_every_other_slice_is_missed_by_the_numbers_where_no_thickness_is_said(lost: range) -> None:
    made = images(whole(), SliceThickness=None)
    covered = answer_of([dataset for index, dataset in enumerate(made) if index not in lost]).covered
    assert [said.split(":")[0] for said in covered.missing] == ["slices 5.0 mm thick lie 10.0 mm apart"]


def test_numbers_that_jump_without_a_wider_space_miss_nothing() -> None:
    made = images(whole(), SliceThickness=None)
    for index, dataset in enumerate(made):
        dataset.InstanceNumber = 1 + index + (index > HALF) * 20
    assert not answer_of(made).covered.partial


def test_a_reformat_that_keeps_the_thickness_of_its_source_is_a_part_as_nothing_tells_what_it_shows() -> None:
    (missing,) = answer_of(reformat()).covered.missing
    assert missing == "slices 0.6 mm thick lie 5.0 mm apart: 131 mm between them were not read"


def test_the_slices_of_the_scanner_itself_are_read_and_not_such_a_reformat() -> None:
    own = images(whole(5))
    answer = answer_of([*reformat(group=2, SeriesInstanceUID=f"{ROOT}.77"), *own])
    assert answer.stack.series_uid == own[0].SeriesInstanceUID
    assert not answer.covered.partial


def test_halves_of_a_head_by_turns_in_two_series_leave_no_spaces() -> None:
    positions = whole()
    turns = [*images(positions[::2]), *images(positions[1::2], group=2, SeriesInstanceUID=f"{ROOT}.77")]
    assert not answer_of(turns).covered.partial


@pytest.mark.parametrize(
    "vertex",
    [
        {"ConvolutionKernel": "H60s", "SeriesInstanceUID": f"{ROOT}.77"},
        {"matrix": 100, "SeriesInstanceUID": f"{ROOT}.77"},
        {"pixel_mm": 1.9},
    ],
    ids=repr,
)
def test_what_goes_on_above_and_cannot_be_read_with_it_makes_the_answer_one_of_a_part(vertex: dict) -> None:
    answer = answer_of(halves(**vertex))
    covered = answer.covered
    assert (covered.slices, covered.slices_there, covered.slices_empty) == (HALF - 1, 30, 1)
    assert any("15 slices of series" in said and "above" in said for said in covered.missing)
    assert any(said.startswith("the top of the head is missing") for said in covered.missing)


def test_a_tilted_vertex_makes_the_answer_one_of_a_part() -> None:
    tilted = images(whole()[HALF:], group=2, SeriesInstanceUID=f"{ROOT}.77")
    for dataset in tilted:
        dataset.ImageOrientationPatient = [1, 0, 0, 0, np.cos(0.3), -np.sin(0.3)]
    covered = answer_of([*images(whole()[:HALF]), *tilted]).covered
    assert covered.partial
    assert covered.slices_there > covered.slices


def test_a_sender_that_broke_off_leaves_a_part() -> None:
    answer = answer_of(images(whole(10.0)[:12]))
    assert answer.covered.partial
    facts = summary(answer)["coverage"]
    assert facts["partial"] is True
    assert (facts["slices_read"], facts["slices_empty"]) == (11, 1)
    assert facts["missing"][0].startswith("the top of the head is missing")


def test_a_neck_below_a_base_that_is_seen_is_no_missing_part() -> None:
    neck = images(list(np.arange(-215.0, -77.0, 3)), group=2, matrix=100, SeriesInstanceUID=f"{ROOT}.77")
    assert not answer_of([*images(whole()), *neck]).covered.partial


BELOW = 5
"""How many slices lie below a base that can be one: the lowest that is left shows 56 cm2, the next below it 34."""


@pytest.mark.parametrize(
    "below",
    [
        {"pixel_mm": 1.9},
        {"pixel_mm": 1.9, "SeriesInstanceUID": f"{ROOT}.77"},
        {"matrix": 100, "SeriesInstanceUID": f"{ROOT}.77"},
        {"ConvolutionKernel": "H60s", "SeriesInstanceUID": f"{ROOT}.77"},
        {"ContrastBolusAgent": "Iomeron", "SeriesInstanceUID": f"{ROOT}.77"},
        {"matrix": 100, "SeriesInstanceUID": f"{ROOT}.77", "BodyPartExamined": "NECK"},
    ],
    ids=repr,
)
def test_brain_below_a_base_that_can_be_one_and_cannot_be_read_with_it_is_missing(below: dict) -> None:
    positions = whole()
    covered = answer_of([*images(positions[BELOW:]), *images(positions[:BELOW], group=2, **below)]).covered
    (said,) = covered.missing
    assert f"{BELOW} slices of series" in said
    assert "below the part that was read" in said


def test_a_slice_of_the_same_series_below_the_base_is_missing_whatever_it_shows() -> None:
    positions = whole()
    covered = answer_of([*images(positions[2:]), *images(positions[:2], group=2, pixel_mm=1.9)]).covered
    assert any("2 slices of series" in said and "below" in said for said in covered.missing)


@pytest.mark.parametrize("words", [{"BodyPartExamined": "CSPINE"}, {"SeriesDescription": "C-Spine 2.0"}], ids=repr)
def test_a_spine_that_says_so_is_no_missing_part(words: dict) -> None:
    spine = images(list(np.arange(-160.0, -77.0, 2)), group=2, matrix=100, SeriesInstanceUID=f"{ROOT}.77", **words)
    assert not answer_of([*images(whole()), *spine]).covered.partial


def test_another_reconstruction_of_the_same_slices_is_no_missing_part() -> None:
    sharp = images(whole(), group=2, ConvolutionKernel="H60s", SeriesInstanceUID=f"{ROOT}.77")
    covered = answer_of([*images(whole()), *sharp]).covered
    assert (covered.slices, covered.slices_there, covered.partial) == (29, 29, False)


def test_a_vertex_in_another_series_is_there_even_if_much_is_missing_between() -> None:
    positions = whole()
    covered = answer_of(
        [*images(positions[:14]), *images(positions[22:], group=2, SeriesInstanceUID=f"{ROOT}.77")]
    ).covered
    assert (covered.slices, covered.slices_there) == (13, 22)


SHARP: dict[str, Any] = {"group": 2, "ConvolutionKernel": "H60s", "SeriesInstanceUID": f"{ROOT}.77"}


@pytest.mark.parametrize("shown", [20, 24, 26], ids="{} of 31 slices".format)
def test_a_part_of_an_open_skull_beside_a_sharp_scan_of_the_whole_says_so(shown: int) -> None:
    whole_scan = images(whole(), opened=True, **SHARP)
    covered = answer_of([*images(whole()[:shown], opened=True), *whole_scan]).covered
    assert any(f"slices of series {ROOT}.77 above" in said for said in covered.missing)
    assert (covered.slices, covered.slices_there) == (shown - 1, shown - 1 + 31 - shown)


def test_a_base_cut_off_by_little_is_seen_where_another_scan_shows_it() -> None:
    cut = 4
    covered = answer_of([*images(whole()[cut:], opened=True), *images(whole(1.25), opened=True, **SHARP)]).covered
    assert any("below the part that was read" in said for said in covered.missing)


def test_slices_that_two_other_scans_show_are_there_once() -> None:
    again = images(whole(), group=3, opened=True, ConvolutionKernel="H70s", SeriesInstanceUID=f"{ROOT}.78")
    made = [*images(whole()[:24], opened=True), *images(whole(), opened=True, **SHARP), *again]
    covered = answer_of(made).covered
    assert len(covered.missing) == 2
    assert (covered.slices, covered.slices_there) == (23, 30)


@pytest.mark.parametrize("opened", [True, False], ids=["open skull", "closed skull"])
@pytest.mark.parametrize("beyond_mm", [10.0, 25.0, 40.0])
def test_another_scan_that_shows_air_above_a_whole_head_misses_nothing(beyond_mm: float, opened: bool) -> None:
    longer = list(np.arange(-75.0, 75.0 + beyond_mm + 1, 5.0))
    covered = answer_of([*images(whole(), opened=opened), *images(longer, opened=opened, **SHARP)]).covered
    assert covered.missing == ()


def test_another_scan_that_shows_the_neck_of_a_whole_head_misses_nothing() -> None:
    longer = images(list(np.arange(-125.0, 76.0, 5.0)), **SHARP)
    for dataset in longer[:12]:
        neck = scans_of_neck()
        dataset.PixelData = neck.tobytes()
    assert answer_of([*images(whole()), *longer]).covered.missing == ()


def scans_of_neck() -> np.ndarray:
    """Return the stored pixels of a slice of neck: soft tissue with a vertebra in it."""
    side = (np.arange(120) - 59.5) * 2.0
    y, x = np.meshgrid(side, side, indexing="ij")
    reach = np.hypot(y, x)
    hu = np.where(reach < 20, 600, np.where(reach < 65, 45, -1000))
    return np.asarray(hu + 1024, np.uint16)


def test_empty_slices_are_neither_slices_of_the_head_nor_millimetres() -> None:
    made = images(whole())
    for dataset in made[18:]:
        dataset.PixelData = bytes(len(dataset.PixelData))
    covered = answer_of([*made, *images(whole(), **SHARP)]).covered
    assert (covered.slices, covered.slices_empty, covered.extent_mm) == (17, 14, pytest.approx(85))
    assert covered.slices_there == 17 + 13
    assert covered_words(covered.facts) == "17 of 30 slices, 85 mm (and 14 empty)"
    assert [said.split()[0] for said in covered.missing] == ["the", "13"]


@pytest.mark.parametrize("named", ["SKULL", "BRAIN", "CSPINE", "", "NONSENSE"])
def test_a_vertex_in_a_series_of_its_own_is_read_whatever_part_of_the_body_it_names(named: str) -> None:
    covered = answer_of(halves(SeriesInstanceUID=f"{ROOT}.77", BodyPartExamined=named)).covered
    assert (covered.slices, covered.slices_there, covered.partial) == (29, 29, False)


def test_a_vertex_that_names_the_spine_and_cannot_be_read_with_the_base_is_missing() -> None:
    covered = answer_of(halves(SeriesInstanceUID=f"{ROOT}.77", BodyPartExamined="CSPINE", pixel_mm=1.9)).covered
    assert any("above the part that was read" in said for said in covered.missing)


def test_a_neck_that_says_so_is_not_read_as_the_base_of_a_head() -> None:
    neck = images(list(np.arange(-115.0, -79.0, 5.0)), group=2, SeriesInstanceUID=f"{ROOT}.77", BodyPartExamined="NECK")
    answer = answer_of([*images(whole()), *neck])
    assert (len(answer.stack.instances), answer.covered.partial) == (31, False)


def test_a_whole_head_by_a_lesser_series_goes_before_a_part_by_the_best() -> None:
    best = images(whole()[:22])
    lesser = images(whole(1.25), group=2, SeriesInstanceUID=f"{ROOT}.77", SliceThickness=1.25)
    detector = StandInDetector()
    answer = Pipeline(Settings(), detector).answer(study_of([*best, *lesser]))  # type: ignore[arg-type]
    assert isinstance(answer, ReadAnswer)
    assert answer.stack.series_uid == f"{ROOT}.77"
    assert not answer.covered.partial
    assert detector.asked == 1


def test_a_part_is_answered_where_the_fuller_series_cannot_be_read() -> None:
    lesser = images(whole(1.25), group=2, SeriesInstanceUID=f"{ROOT}.77", SliceThickness=1.25)
    lesser[40].PixelData = b"\0" * 10
    answer = answer_of([*images(whole()[:22]), *lesser])
    assert answer.stack.series_uid == f"{ROOT}.1"
    assert answer.covered.partial


def test_images_that_cannot_be_read_make_the_answer_one_of_a_part() -> None:
    study = replace(study_of(images(whole())), unread=2)
    answer = Pipeline(Settings(), StandInDetector()).answer(study)  # type: ignore[arg-type]
    assert isinstance(answer, ReadAnswer)
    assert answer.covered.missing == ("2 images of the study cannot be read and may belong to it",)
