# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What images look like is one piece of evidence: it ranks series, outweighs words, and is never waited for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset

from appliance.errors import RefusalCode, UnavailableError
from appliance.imaging.stacks import Stack, stacks
from appliance.reading.series import CLASSES, INPUT_SHAPE, MOST_SERIES, SeriesClass, shown_slices
from appliance.sections.answers import SelectionSettings
from appliance.selection.look import BUDGET_S, Look, look_at
from appliance.selection.select import Judgement, Selection, select
from tests.appliance.imaging.scans import file, headers_only
from tests.appliance.selection.offered import BONE, scan

SOFT, SHARP, CONTRAST = SeriesClass.SOFT_TISSUE, SeriesClass.SHARP, SeriesClass.CONTRAST
AGENT = {"ContrastBolusAgent": "ULTRAVIST", "SeriesDescription": "Head post contrast"}
SILENT = {"ConvolutionKernel": None, "WindowCenter": None, "WindowWidth": None, "BodyPartExamined": None}


class Said:
    """A classifier that gives each series in turn the class named, and keeps what it was shown."""

    def __init__(self, *classes: SeriesClass, probability: float = 0.95) -> None:
        self.rows = np.full((len(classes), len(CLASSES)), (1 - probability) / (len(CLASSES) - 1), np.float32)
        for row, one in zip(self.rows, classes, strict=True):
            row[CLASSES.index(one)] = probability
        self.shown: NDArray[np.uint8] | None = None

    def is_there(self) -> bool:
        return True

    def classify(self, thumbnails: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        self.shown = thumbnails
        return self.rows[: len(thumbnails)]


class Away:
    def __init__(self, there: bool) -> None:
        self.there = there

    def is_there(self) -> bool:
        return self.there

    def classify(self, thumbnails: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        return None


def study(*series: list[Dataset]) -> tuple[tuple[Stack, ...], Callable[[str], bytes]]:
    """Return the stacks of a study and what fetches their files."""
    images = [dataset for one in series for dataset in one]
    instances = headers_only(images)
    files = {instance.ref: file(dataset) for instance, dataset in zip(instances, images, strict=True)}
    return stacks(instances), files.__getitem__


def by_headers(found: Iterable[Stack], looks: dict[Stack, Look] | None = None) -> Selection:
    return select(found, SelectionSettings(), looks=looks)


def by_number(selection: Selection, number: int) -> Judgement:
    (one,) = [one for one in selection.judgements if int(one.stack.header.SeriesNumber) == number]
    return one


def by_look(*series: tuple[dict[str, Any], SeriesClass | None], probability: float = 0.95) -> Selection:
    """Return the selection among head series with these headers, numbered from 1, that look like these classes."""
    found, _ = study(*(scan(number, **attributes) for number, (attributes, _) in enumerate(series, start=1)))
    classes = [one for _, one in series]
    looks = {
        stack: Look(looks_like, probability)
        for stack in found
        if (looks_like := classes[int(stack.header.SeriesNumber) - 1]) is not None
    }
    return by_headers(found, looks)


def chosen_number(selection: Selection) -> int | None:
    return None if selection.chosen is None else int(selection.chosen.header.SeriesNumber)


def test_a_look_is_one_piece_of_evidence_with_points_and_a_sentence() -> None:
    plain, seen = by_look(({}, None)), by_look(({}, SOFT))
    assert by_number(seen, 1).score > by_number(plain, 1).score
    assert set(by_number(seen, 1).reasons_for) - set(by_number(plain, 1).reasons_for) == {
        "the images look like axial soft tissue of a head without contrast agent (95%)"
    }
    against = by_look(({}, SHARP))
    assert "the images look like a bone or lung kernel (95%)" in by_number(against, 1).reasons_against
    assert by_number(against, 1).score < by_number(plain, 1).score


@pytest.mark.parametrize("words", [BONE, {**BONE, "SeriesDescription": "bone"}, AGENT])
@pytest.mark.parametrize("other", [SHARP, CONTRAST])
def test_of_two_series_with_each_others_words_the_one_that_looks_right_is_read(
    words: dict[str, Any], other: SeriesClass
) -> None:
    assert chosen_number(by_look((words, None), ({}, None))) == 2
    seen = by_look((words, SOFT), ({}, other))
    assert chosen_number(seen) == 1
    assert any(reason.endswith("whatever the header says") for reason in by_number(seen, 1).reasons_for)


def test_thick_slices_that_look_right_go_before_thin_ones_though_their_words_are_those_of_bone() -> None:
    thin = {"slices": 150, "spacing_mm": 1}
    assert chosen_number(by_look((BONE, None), (thin, None))) == 2
    assert chosen_number(by_look((BONE, SOFT), (thin, SOFT))) == 1


def test_a_look_that_is_only_likely_makes_up_for_no_words() -> None:
    assert chosen_number(by_look((BONE, SOFT), probability=0.8)) is None


def test_a_dynamic_study_stays_one_however_its_images_look() -> None:
    images = [
        image
        for time in range(5)
        for image in scan(1, slices=20, AcquisitionNumber=time + 1, TemporalPositionIdentifier=time + 1)
    ]
    for number, image in enumerate(images):
        image.SOPInstanceUID = f"{image.SOPInstanceUID}.{number}"
    found, _ = study(images)
    assert {stack.passes for stack in found} == {5}
    assert chosen_number(by_headers(found, {stack: Look(SOFT, 1.0) for stack in found})) is None


@pytest.mark.parametrize("looks_like", [SHARP, CONTRAST, SeriesClass.REFORMAT, SeriesClass.SCOUT, SeriesClass.NOT_HEAD])
def test_a_look_alone_never_refuses_what_the_header_says_is_the_series_to_read(looks_like: SeriesClass) -> None:
    attributes = {"SeriesDescription": "Head w/o contrast"}
    assert chosen_number(by_look((attributes, looks_like), probability=1.0)) == 1


@pytest.mark.parametrize(
    ("looks_like", "code"),
    [
        (SHARP, RefusalCode.NOT_SOFT_TISSUE),
        (CONTRAST, RefusalCode.CONTRAST),
        (SeriesClass.NOT_HEAD, RefusalCode.NOT_HEAD),
    ],
)
def test_where_the_header_is_silent_a_clear_look_refuses_and_an_unclear_one_does_not(
    looks_like: SeriesClass, code: RefusalCode
) -> None:
    refused = by_look((SILENT, looks_like))
    assert [refusal.code for refusal in refused.refusals] == [code]
    assert "the images look like" in refused.refusals[0].reason
    assert chosen_number(by_look((SILENT, looks_like), probability=0.7)) == 1
    assert chosen_number(by_look((SILENT, looks_like), probability=0.4)) == 1


def test_a_look_does_not_make_readable_what_geometry_or_image_type_refuse() -> None:
    derived = {"ImageType": ["DERIVED", "SECONDARY", "MIP"]}
    assert chosen_number(by_look((derived, SOFT), probability=1.0)) is None
    assert (
        chosen_number(by_look(({"BodyPartExamined": "ABDOMEN", "slices": 70, "matrix": 128}, SOFT), probability=1.0))
        is None
    )


def test_only_stacks_that_a_look_can_help_are_fetched_and_of_each_the_slices_of_the_contract() -> None:
    found, fetch = study(
        scan(1),
        scan(2, **BONE),
        scan(3, along=1, orientation=(1, 0, 0, 0, 0, -1)),
        scan(4, slices=2, along=1, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], orientation=(1, 0, 0, 0, 0, -1)),
    )
    fetched = []

    def count_calls(ref: str) -> bytes:
        fetched.append(ref)
        return fetch(ref)

    classifier = Said(SOFT, SHARP)
    looks = look_at(by_headers(found).candidates, count_calls, classifier)
    assert {int(stack.header.SeriesNumber): look.series_class for stack, look in looks.items()} == {1: SOFT, 2: SHARP}
    wanted = {
        stack.instances[index].ref
        for stack in found
        if int(stack.header.SeriesNumber) in (1, 2)
        for index in shown_slices(len(stack.instances))
    }
    assert sorted(fetched) == sorted(wanted)
    assert classifier.shown is not None
    assert classifier.shown.shape == (2, *INPUT_SHAPE)


def test_no_answer_leaves_the_choice_to_the_headers() -> None:
    found, fetch = study(scan(1, **BONE), scan(2))
    assert look_at(by_headers(found).candidates, fetch, Away(there=True)) == {}
    assert chosen_number(by_headers(found, {})) == 2


def test_no_image_is_fetched_for_a_classifier_that_is_not_there() -> None:
    found, _ = study(scan(1))

    def fetch(_: str) -> bytes:
        raise AssertionError("an image was fetched")

    assert look_at(by_headers(found).candidates, fetch, Away(there=False)) == {}


def test_a_stack_whose_pixels_cannot_be_read_is_judged_by_its_header_and_the_others_are_looked_at() -> None:
    found, fetch = study(scan(1), scan(2))
    broken = next(stack for stack in found if int(stack.header.SeriesNumber) == 1)
    refs = {instance.ref for instance in broken.instances}
    looks = look_at(by_headers(found).candidates, lambda ref: b"" if ref in refs else fetch(ref), Said(SOFT, SOFT))
    assert [int(stack.header.SeriesNumber) for stack in looks] == [2]


def test_an_orthanc_that_does_not_answer_is_not_hidden() -> None:
    found, _ = study(scan(1))

    def away(_: str) -> bytes:
        raise UnavailableError("Orthanc is away")

    with pytest.raises(UnavailableError):
        look_at(by_headers(found).candidates, away, Said(SOFT))


def test_once_the_time_is_used_up_no_further_stack_is_begun_with_and_those_seen_count() -> None:
    found, fetch = study(*(scan(number) for number in range(1, 5)))
    times = iter([0.0, 0.0, 0.8 * BUDGET_S, 1.1 * BUDGET_S, 9.0])
    looks = look_at(by_headers(found).candidates, fetch, Said(SOFT, SOFT), clock=lambda: next(times))
    assert len(looks) == 2


def test_of_very_many_stacks_the_best_by_header_are_looked_at() -> None:
    found, fetch = study(*(scan(number, slices=12) for number in range(1, MOST_SERIES + 3)))
    candidates = by_headers(found).candidates
    looks = look_at(candidates, fetch, Said(*[SOFT] * MOST_SERIES), clock=lambda: 0.0)
    assert list(looks) == [candidate.stack for candidate in candidates[:MOST_SERIES]]
