# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A bleeding patient in the viewer: the masks lie where the blood is, and the report leads to the lesion."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset

from appliance.web.viewer import study_link
from simulator.study import WrittenStudy
from simulator.truth import TRUTH_NPY
from tests.end_to_end.ohif import Ohif, browser_page
from tests.end_to_end.patient import Patient
from tests.end_to_end.running import Running
from tests.end_to_end.stored import content, frames


@pytest.fixture(scope="module")
def answered(running: Running, bleeding: Patient, tmp_path_factory: pytest.TempPathFactory) -> WrittenStudy:
    """The study of a bleeding patient, answered."""
    study = bleeding.study(tmp_path_factory.mktemp("viewed"))
    running.send(study.all_files)
    assert running.answered(study.truth.study_uid)["present"]
    return study


@pytest.fixture(scope="module")
def ohif(running: Running, answered: WrittenStudy) -> Iterator[Ohif]:
    """The viewer, opened by the link to the study."""
    segmentation = running.stored(answered.truth.study_uid).segmentation
    with browser_page() as page:
        viewer = Ohif(page)
        link = study_link(answered.truth.study_uid, str(segmentation.SeriesInstanceUID))
        viewer.open(running.local.service.url + link)
        yield viewer


def test_the_link_opens_the_study_with_the_masks_where_the_blood_is(
    running: Running, answered: WrittenStudy, ohif: Ohif
) -> None:
    ohif.until_coloured()
    most = max(answered.truth.slices, key=lambda one: sum(one.volumes_ml.values()))
    ohif.scroll_to(most.sop_instance_uid)
    ohif.until_coloured()
    shown = ohif.look()
    blood = shown.project(np.load(answered.folder / TRUTH_NPY)[most.index] > 0)
    masks = [
        mask
        for _, source, _, mask in frames(running.stored(answered.truth.study_uid).segmentation)
        if source == most.sop_instance_uid
    ]
    segmented = shown.project(np.any(masks, axis=0))
    assert overlap(shown.coloured, segmented) > 0.9, "the viewer shows the masks elsewhere than they are"
    assert overlap(shown.coloured, blood) > 0.6, "the masks are not where the blood is"
    assert ohif.faults == []


def test_a_double_click_on_the_report_leads_to_the_lesion_and_its_outline(
    running: Running, answered: WrittenStudy, ohif: Ohif
) -> None:
    report = running.stored(answered.truth.study_uid).report
    (study_group, *_) = content(report, "125007")
    outlines: dict[str, list[NDArray[np.float64]]] = {}
    for region in content(report, "111030"):
        outlines.setdefault(image_of(region), []).append(points_of(region))
    ohif.open_report()
    shown = ohif.look()
    (frame,) = content(study_group, "121112")
    assert shown.instance == image_of(frame), "another slice than that of the surest lesion"
    for expected in (points_of(frame), *outlines[shown.instance]):
        assert any(line.shape == expected.shape and np.abs(line - expected).max() < 0.3 for line in shown.lines)
    (volume, *_) = content(report, "118565006")
    assert f"Volume: {float(volume.MeasuredValueSequence[0].NumericValue):.2f} mL" in shown.text
    assert "Long axis: " in shown.text
    assert not shown.coloured.any(), "the image without the masks is not grey"
    assert np.ptp(shown.pixels) > 200, "a black viewport"
    assert ohif.faults == []


def overlap(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Dice's coefficient."""
    return float(2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other)))


def points_of(line: Dataset) -> NDArray[np.float64]:
    """The (row, column) of a SCOORD."""
    return np.array(line.GraphicData, np.float64).reshape(-1, 2)[:, ::-1]


def image_of(line: Dataset) -> str:
    """The SOP Instance UID of the image that a SCOORD is on."""
    return str(line.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
