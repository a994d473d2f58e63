# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Images that could not become slices, and that may go on where the stack ends: they make the answer one of a part."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import EnhancedCTImageStorage

from appliance.pipeline import Pipeline, ReadAnswer
from appliance.settings import Settings
from tests.appliance.coverage.heads import images, study_of, whole
from tests.appliance.imaging.scans import ROOT
from tests.appliance.stand_in import StandInDetector

BASE = 4
OTHER = {"SeriesInstanceUID": f"{ROOT}.77"}


def missing_of(made: list[Dataset]) -> tuple[str, ...]:
    answer = Pipeline(Settings(), StandInDetector()).answer(study_of(made))  # type: ignore[arg-type]
    assert isinstance(answer, ReadAnswer), answer.refusals
    return answer.covered.missing


def base(**attributes: Any) -> list[Dataset]:
    """Return the lowest slices of the head with these attributes; None takes one away."""
    return images(whole()[:BASE], group=2, **attributes)


def vertex() -> list[Dataset]:
    return images(whole()[BASE:])


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"ImagePositionPatient": None}, "no_position"),
        ({"ImageOrientationPatient": None}, "no_position"),
        ({"ImagePositionPatient": None, "ImageOrientationPatient": None}, "no_position"),
        ({"RescaleIntercept": None}, "no_rescale"),
        ({"PixelSpacing": None}, "bad_geometry"),
        ({"BitsStored": 40}, "bad_pixels"),
    ],
    ids=repr,
)
def test_slices_in_a_series_of_their_own_that_lack_what_a_slice_needs_may_belong_to_the_head(
    fault: dict, code: str
) -> None:
    (said,) = missing_of([*vertex(), *without(base(**OTHER), fault)])
    assert said == f"{BASE} images of series {ROOT}.77 could not be read ({code}) and may belong to it"


def without(made: list[Dataset], fault: dict[str, Any]) -> list[Dataset]:
    """Return images with a fault in their headers."""
    for dataset in made:
        for keyword, value in fault.items():
            if value is None:
                del dataset[keyword]
            else:
                setattr(dataset, keyword, value)
    return made


def test_slices_of_the_same_series_that_do_not_say_that_they_are_ct_may_belong_to_the_head() -> None:
    (said,) = missing_of([*vertex(), *base(Modality=None)])
    assert said == f"{BASE} images of series {ROOT}.1 could not be read (not_ct) and may belong to it"


@pytest.mark.parametrize(
    "made",
    [
        {"ImageType": ["DERIVED", "SECONDARY", "OTHER"], "ImagePositionPatient": None, "ImageOrientationPatient": None},
        {"ConvolutionKernel": "H60s", "ImagePositionPatient": None},
        {"SliceThickness": 0.6, "ImagePositionPatient": None},
        {"matrix": 100, "ImagePositionPatient": None},
        {"SeriesDescription": "C-Spine", "ImagePositionPatient": None},
        {"ImageOrientationPatient": [1, 0, 0, 0, 0, -1], "RescaleIntercept": None},
        {"Modality": "OT"},
        {"RescaleIntercept": None},
    ],
    ids=["a page", "sharp", "thin", "another matrix", "a spine", "coronal", "no CT", "within the stack"],
)
def test_what_says_that_it_is_something_else_or_lies_elsewhere_takes_nothing_from_a_whole_head(made: dict) -> None:
    gone = {keyword: None for keyword, value in made.items() if value is None}
    said = {keyword: value for keyword, value in made.items() if value is not None}
    other = without(images(whole()[8:14], group=2, **OTHER, **said), gone)
    assert missing_of([*images(whole()), *other]) == ()


def enhanced(positions_mm: list[float]) -> Dataset:
    """Return an enhanced CT image with frames at these positions."""
    (made,) = images([0.0], group=3, SOPClassUID=EnhancedCTImageStorage, **OTHER)
    made.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    frames = []
    for position in positions_mm:
        place, frame = Dataset(), Dataset()
        place.ImagePositionPatient = [-100, -100, float(np.round(position, 3))]
        frame.PlanePositionSequence = Sequence([place])
        frames.append(frame)
    made.PerFrameFunctionalGroupsSequence = Sequence(frames)
    made.NumberOfFrames = len(frames)
    return made


def test_frames_of_an_enhanced_ct_that_go_on_below_may_belong_to_the_head_and_a_copy_of_it_does_not() -> None:
    (said,) = missing_of([*vertex(), enhanced(whole()[:BASE])])
    assert "(enhanced_ct) and may belong to it" in said
    assert missing_of([*images(whole()), enhanced(whole())]) == ()
