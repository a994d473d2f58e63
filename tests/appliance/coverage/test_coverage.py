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
    assert (covered.slices, covered.slices_there, covered.missing) == (31, 31, ())
    assert covered.extent_mm == pytest.approx(155)


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
    assert (covered.slices, covered.slices_there, covered.partial) == (31, 31, False)


def test_a_slice_that_base_and_vertex_share_is_read_once_and_not_counted_twice() -> None:
    positions = whole()
    vertex = images(positions[HALF - 1 :], group=2, AcquisitionNumber=2, AcquisitionTime="120200")
    answer = answer_of([*images(positions[:HALF]), *vertex])
    assert (answer.covered.slices, answer.covered.slices_there, answer.covered.partial) == (31, 31, False)
    assert len(answer.stack.repeats) == 1


@pytest.mark.parametrize(
    "vertex",
    [
        {"ConvolutionKernel": "H60s", "SeriesInstanceUID": f"{ROOT}.77"},
        {"matrix": 100, "SeriesInstanceUID": f"{ROOT}.77"},
        {"pixel_mm": 1.9},
        {"SeriesInstanceUID": f"{ROOT}.77", "BodyPartExamined": "SKULL"},
    ],
    ids=repr,
)
def test_what_goes_on_above_and_cannot_be_read_with_it_makes_the_answer_one_of_a_part(vertex: dict) -> None:
    answer = answer_of(halves(**vertex))
    covered = answer.covered
    assert (covered.slices, covered.slices_there) == (HALF, 31)
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
    assert facts["slices_read"] == 12
    assert facts["missing"][0].startswith("the top of the head is missing")


def test_a_neck_below_a_base_that_is_seen_is_no_missing_part() -> None:
    neck = images(list(np.arange(-215.0, -77.0, 3)), group=2, matrix=100, SeriesInstanceUID=f"{ROOT}.77")
    assert not answer_of([*images(whole()), *neck]).covered.partial


@pytest.mark.parametrize("words", [{"BodyPartExamined": "CSPINE"}, {"SeriesDescription": "C-Spine 2.0"}], ids=repr)
def test_a_spine_that_says_so_is_no_missing_part(words: dict) -> None:
    spine = images(list(np.arange(-160.0, -77.0, 2)), group=2, matrix=100, SeriesInstanceUID=f"{ROOT}.77", **words)
    assert not answer_of([*images(whole()), *spine]).covered.partial


def test_another_reconstruction_of_the_same_slices_is_no_missing_part() -> None:
    sharp = images(whole(), group=2, ConvolutionKernel="H60s", SeriesInstanceUID=f"{ROOT}.77")
    covered = answer_of([*images(whole()), *sharp]).covered
    assert (covered.slices, covered.slices_there, covered.partial) == (31, 31, False)


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
