# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The axial soft-tissue head series before contrast is chosen, for reasons that people can follow."""

from __future__ import annotations

import random

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from appliance.errors import RefusalCode
from appliance.imaging.stacks import stacks
from appliance.sections.answers import SelectionSettings
from appliance.selection.select import Judgement, Selection, select
from tests.appliance.imaging.scans import ROOT, headers_only, image
from tests.appliance.selection.offered import BONE, scan

CORONAL = (1, 0, 0, 0, 0, -1)


def selection_of(
    *series: list[Dataset], settings: SelectionSettings | None = None, refuse_gaps: bool = True
) -> Selection:
    images = [dataset for one in series for dataset in one]
    random.Random(0).shuffle(images)
    return select(stacks(headers_only(images)), settings or SelectionSettings(), refuse_gaps=refuse_gaps)


def chosen_number(selection: Selection) -> int | None:
    return None if selection.chosen is None else int(selection.chosen.header.SeriesNumber)


def judgement_of(selection: Selection, number: int) -> Judgement:
    (found,) = [one for one in selection.judgements if int(one.stack.header.SeriesNumber) == number]
    return found


def test_the_axial_soft_tissue_series_wins_among_everything_that_scanners_send() -> None:
    selection = selection_of(
        scan(1, slices=2, along=1, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], orientation=CORONAL),
        scan(2, **BONE),
        scan(3, slices=150, spacing_mm=1),
        scan(4),
        scan(5, slices=40, along=1, orientation=CORONAL, ImageType=["DERIVED", "SECONDARY", "REFORMATTED"]),
        scan(6, slices=40, ImageType=["DERIVED", "SECONDARY", "REFORMATTED", "MIP"]),
        scan(7, ContrastBolusAgent="ULTRAVIST"),
        scan(8, slices=60, BodyPartExamined="NECK", SeriesDescription="Neck 5.0"),
        scan(9, slices=1, SOPClassUID=SecondaryCaptureImageStorage, SeriesDescription="Dose report"),
    )
    assert chosen_number(selection) == 4
    assert {int(one.stack.header.SeriesNumber): one.refusal.code for one in selection.judgements if one.refusal} == {
        1: RefusalCode.LOCALIZER,
        2: RefusalCode.NOT_SOFT_TISSUE,
        5: RefusalCode.NOT_AXIAL,
        6: RefusalCode.DERIVED,
        7: RefusalCode.CONTRAST,
        8: RefusalCode.NOT_HEAD,
        9: RefusalCode.NOT_CT,
    }
    assert [int(stack.header.SeriesNumber) for stack in selection.suitable] == [4, 3]


@pytest.mark.parametrize(("tilt_deg", "code"), [(34, None), (37, RefusalCode.NOT_AXIAL), (-37, RefusalCode.NOT_AXIAL)])
def test_a_head_is_read_up_to_a_tilt_of_35_degrees(tilt_deg: float, code: RefusalCode | None) -> None:
    angle = np.deg2rad(tilt_deg)
    selection = selection_of(scan(1, orientation=(1, 0, 0, 0, np.cos(angle), np.sin(angle))))
    (judgement,) = selection.judgements
    assert (judgement.refusal.code if judgement.refusal else None) == code
    assert chosen_number(selection) == (None if code else 1)


def test_the_reasons_are_sentences_with_figures() -> None:
    selection = selection_of(scan(1, SeriesDescription="Head w/o"), scan(2, **BONE))
    soft, bone = judgement_of(selection, 1), judgement_of(selection, 2)
    assert "2.5-5 mm slices (5.0 mm)" in soft.reasons_for
    assert "soft-tissue kernel H31s" in soft.reasons_for
    assert "30 slices cover 150 mm, a head's extent" in soft.reasons_for
    assert soft.reasons_against == ()
    assert "sharp kernel H60s" in bone.reasons_against
    assert "bone window 2500/500" in bone.reasons_against
    assert bone.refusal is not None
    assert bone.refusal.reason == "sharp kernel H60s; bone window 2500/500"
    assert bone.refusal.series_uid == f"{ROOT}.2"


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        pytest.param({"SeriesDescription": "bone"}, {**BONE, "SeriesDescription": "brain w/o"}, id="swapped words"),
        pytest.param({"SeriesDescription": "C-Spine"}, {"slices": 150, "spacing_mm": 1}, id="called a spine"),
        pytest.param({"SeriesDescription": "MIP"}, {"slices": 150, "spacing_mm": 1}, id="called a projection"),
        pytest.param({}, {"ConvolutionKernel": None, "WindowWidth": 3000, "WindowCenter": 600}, id="bone window only"),
        pytest.param({}, {"slices": 19, "spacing_mm": 8}, id="thick"),
        pytest.param({"spacing_mm": 2.5, "slices": 60}, {"slices": 240, "spacing_mm": 0.625}, id="thin"),
        pytest.param({}, {"ConvolutionKernel": "DETAIL"}, id="half sharp"),
        pytest.param({}, {"ImageType": ["DERIVED", "SECONDARY", "MPR"]}, id="axial reformat"),
        pytest.param({}, {"SeriesDescription": "Head post contrast"}, id="after contrast by words"),
        pytest.param({}, {"matrix": 64}, id="wide field"),
        pytest.param({}, {"slices": 70}, id="half the body"),
        pytest.param({}, {"slices": 15}, id="part of the head"),
        pytest.param({}, {"AcquisitionTime": "130000"}, id="the earlier one"),
        pytest.param({"slices": 31}, {}, id="the longer one"),
    ],
)
@pytest.mark.parametrize("worse_first", [False, True])
def test_of_two_series_the_better_one_is_chosen(better: dict, worse: dict, worse_first: bool) -> None:
    number = 2 if worse_first else 1
    assert chosen_number(selection_of(scan(number, **better), scan(3 - number, **worse))) == number


UPPER = 20
"""Of the 30 slices of a scan so many from above say something else."""


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"ContrastBolusAgent": "Iomeron 300"}, RefusalCode.CONTRAST),
        ({"ContrastBolusVolume": 80}, RefusalCode.CONTRAST),
        ({"ImageType": ["DERIVED", "SECONDARY", "AXIAL", "MIP"]}, RefusalCode.DERIVED),
        ({"ConvolutionKernel": None, "WindowWidth": 3000, "WindowCenter": 600}, RefusalCode.NOT_SOFT_TISSUE),
    ],
    ids=repr,
)
@pytest.mark.parametrize("low", [True, False], ids=["below", "above"])
def test_what_a_part_of_the_slices_says_against_a_stack_counts_wherever_they_lie(
    said: dict, code: RefusalCode, low: bool
) -> None:
    images = scan(1)
    for dataset in images[:UPPER] if low else images[-UPPER:]:
        for keyword, value in said.items():
            setattr(dataset, keyword, value)
    (refusal,) = selection_of(images).refusals
    assert refusal.code is code
    assert f"(on {UPPER} of 30 slices)" in refusal.reason


def test_lowest_slices_that_are_called_a_neck_make_no_neck_of_a_head() -> None:
    images = scan(1)
    for dataset in images[:6]:
        dataset.BodyPartExamined = "NECK"
    assert chosen_number(selection_of(images)) == 1


def test_a_single_slice_with_words_of_its_own_changes_nothing() -> None:
    images = scan(1)
    images[12].ContrastBolusAgent = "Iomeron 300"
    assert chosen_number(selection_of(images)) == 1


def test_mixed_spacing_is_shown_as_a_range() -> None:
    images = scan(1, slices=12, spacing_mm=2.5) + [
        image(np.zeros((32, 32)), (0, 0, 27.5 + 5 * z), number=12 + z, SliceThickness=5) for z in range(1, 22)
    ]
    selection = selection_of(images)
    assert selection.chosen is not None
    assert "2.5-5 mm slices (2.5 to 5.0 mm)" in selection.judgements[0].reasons_for


def test_a_tilted_head_is_chosen_and_the_tilt_is_said() -> None:
    angle = np.radians(20)
    selection = selection_of(scan(1, orientation=(1, 0, 0, 0, np.cos(angle), np.sin(angle))))
    assert chosen_number(selection) == 1
    assert "axial planes, tilted by 20 degrees" in selection.judgements[0].reasons_for


def test_a_chest_is_no_head_even_alone() -> None:
    selection = selection_of(
        scan(
            1, slices=60, matrix=56, BodyPartExamined="CHEST", SeriesDescription="Thorax 5.0", ConvolutionKernel="B30f"
        )
    )
    assert selection.chosen is None
    assert [refusal.code for refusal in selection.refusals] == [RefusalCode.NOT_HEAD]


@pytest.mark.parametrize(
    "words",
    [
        {"BodyPartExamined": "EXTREMITY"},
        {"BodyPartExamined": "FEMUR", "SeriesDescription": "Axial 5.0"},
        {"BodyPartExamined": "PHANTOM"},
        {"BodyPartExamined": None, "SeriesDescription": "Water", "StudyDescription": "Phantom"},
        {"BodyPartExamined": "", "ProtocolName": "ACR QA", "StudyDescription": "Daily QA"},
        {"BodyPartExamined": "CHEST", "StudyDescription": "CT Thorax"},
        {"BodyPartExamined": "UNKNOWN", "SeriesDescription": "Femur", "ProtocolName": "Knee and thigh"},
    ],
)
def test_a_named_other_part_of_the_body_is_not_outvoted_by_size(words: dict) -> None:
    selection = selection_of(scan(1, **words))
    assert selection.chosen is None
    assert [refusal.code for refusal in selection.refusals] == [RefusalCode.NOT_HEAD]


@pytest.mark.parametrize(
    "words",
    [
        {"BodyPartExamined": "NECK", "SeriesDescription": "Head 5.0"},
        {"BodyPartExamined": "CSPINE", "ProtocolName": "Head and C-spine"},
        {"BodyPartExamined": "CHEST", "StudyDescription": "CT head"},
        {"BodyPartExamined": "HEAD", "SeriesDescription": "C-Spine"},
        {"BodyPartExamined": "WHOLEBODY"},
        {"BodyPartExamined": None, "SeriesDescription": "Neck 5.0"},
        {"BodyPartExamined": None},
    ],
)
def test_where_words_disagree_or_are_silent_the_series_is_left_to_its_pixels(words: dict) -> None:
    assert chosen_number(selection_of(scan(1, **words))) == 1


@pytest.mark.parametrize("slices", [54, 58, 60, 65])
@pytest.mark.parametrize("words", [{"BodyPartExamined": "HEAD"}, {"BodyPartExamined": None}])
def test_a_head_with_the_upper_neck_is_a_head_without_its_description(slices: int, words: dict) -> None:
    assert chosen_number(selection_of(scan(1, slices=slices, **words))) == 1


def test_a_head_with_the_upper_neck_in_a_wide_field_of_view_is_a_head() -> None:
    assert chosen_number(selection_of(scan(1, slices=60, matrix=48, BodyPartExamined="HEAD"))) == 1


@pytest.mark.parametrize("agent", ["NONE", "", "NO", "ORAL", None])
def test_ways_to_write_that_no_contrast_was_given_are_understood(agent: str | None) -> None:
    assert chosen_number(selection_of(scan(1, ContrastBolusAgent=agent))) == 1


def test_before_contrast_wins_over_after_within_one_series() -> None:
    after = scan(1, ContrastBolusAgent="IOMERON", AcquisitionTime="110000")
    for dataset in after:
        dataset.SOPInstanceUID += ".2"
    selection = selection_of(scan(1), after)
    assert selection.chosen is not None
    assert "ContrastBolusAgent" not in selection.chosen.header


def test_a_perfusion_study_is_not_a_head_ct() -> None:
    phases = []
    for phase in range(12):
        images = scan(1, slices=20, AcquisitionTime=f"1200{phase:02}")
        for dataset in images:
            dataset.SOPInstanceUID += f".{phase}"
        phases += images
    selection = selection_of(phases)
    assert selection.chosen is None
    assert {refusal.code for refusal in selection.refusals} == {RefusalCode.CONTRAST}


@pytest.mark.parametrize(
    ("scanned", "settings"),
    [
        ({"slices": 1}, {}),
        ({"slices": 7, "spacing_mm": 10}, {}),
        ({"slices": 11}, {}),
        ({"slices": 30}, {"min_slices": 31}),
        ({"slices": 30}, {"min_coverage_mm": 151.0}),
    ],
)
def test_too_few_slices_are_refused_and_may_still_grow(scanned: dict, settings: dict) -> None:
    selection = selection_of(scan(1, **scanned), settings=SelectionSettings(**settings))
    assert selection.chosen is None
    assert [refusal.code for refusal in selection.refusals] == [RefusalCode.TOO_FEW_SLICES]
    assert len(selection.growing) == 1


def test_a_stack_too_large_for_the_memory_is_refused() -> None:
    selection = selection_of(
        scan(1, slices=20, matrix=1024, pixel_mm=(0.2, 0.2)), settings=SelectionSettings(max_volume_mib=39)
    )
    assert [refusal.code for refusal in selection.refusals] == [RefusalCode.TOO_LARGE]


def test_a_gap_refuses_only_when_asked_and_the_next_series_is_taken_then() -> None:
    holed = scan(1)
    del holed[10]
    others = scan(2, slices=150, spacing_mm=1)
    waiting = selection_of(holed, others, refuse_gaps=False)
    assert chosen_number(waiting) == 1
    assert waiting.chosen is not None
    assert not waiting.chosen.complete
    decided = selection_of(holed, others)
    assert chosen_number(decided) == 2
    (refusal,) = decided.refusals
    assert refusal.code is RefusalCode.MISSING_SLICE
    assert [int(stack.header.SeriesNumber) for stack in decided.growing] == [1]


def test_equal_series_are_decided_the_same_way_whatever_their_order() -> None:
    images = scan(1) + scan(2) + scan(3)
    choices = set()
    for seed in range(6):
        random.Random(seed).shuffle(images)
        choices.add(chosen_number(select(stacks(headers_only(images)), SelectionSettings())))
    assert len(choices) == 1


def test_a_study_without_instances_has_no_choice_and_no_judgement() -> None:
    selection = selection_of()
    assert selection.chosen is None
    assert selection.judgements == ()
