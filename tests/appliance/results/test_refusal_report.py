# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The report about a study that could not be read, as other people's programs and viewers see it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.uid import MRImageStorage, generate_uid

from appliance.errors import Refusal, RefusalCode
from appliance.imaging.instances import Instance, parse_instance
from appliance.results.refusal_report import NOT_READ, refusal_report
from appliance.sections.answers import ResultsSettings
from appliance.settings import Settings
from tests.appliance.results.answers import CREATED
from tests.appliance.results.validators import dciodvfy_errors, dsrdump_text, tid1500, write_dicom
from tests.appliance.stand_in import head_series

GAP = Refusal(RefusalCode.MISSING_SLICE, "no slice between 30 and 40 mm", "1.2.3")
NOT_A_HEAD = Refusal(RefusalCode.NOT_HEAD, "the description says pelvis", "1.2.3")


def instances(study: str = "1.2.826.0.1.7", series: str = "1.2.826.0.1.7.1", **attributes: Any) -> list[Instance]:
    files = head_series(study, 9, series=series, **attributes)
    return [parse_instance(str(number), data) for number, data in enumerate(files)]


def report_of(*refusals: Refusal, of: list[Instance] | None = None, **more: Any) -> Dataset:
    made = {"instance_set": "a", "settings": Settings(), "created": CREATED, **more}
    report = refusal_report(instances() if of is None else of, refusals or (GAP,), **made)
    assert report is not None
    return report


def codes(report: Dataset) -> set[str]:
    """Return all code values in the content tree."""
    found: set[str] = set()

    def walk(item: Dataset) -> None:
        found.update(code.CodeValue for code in item.get("ConceptCodeSequence", ()))
        for child in item.get("ContentSequence", ()):
            walk(child)

    walk(report)
    return found


@pytest.mark.parametrize("sop_class", ["comprehensive-3d", "comprehensive"])
@pytest.mark.parametrize(
    "attributes",
    [{}, {"PatientName": "Müller^Zoë", "SpecificCharacterSet": "ISO_IR 100", "SeriesDescription": "Schädel"}],
)
def test_other_peoples_programs_take_it_without_a_word(
    tmp_path: Path, sop_class: str, attributes: dict[str, str]
) -> None:
    settings = Settings(results=ResultsSettings(sr_sop_class=sop_class))
    many = tuple(Refusal(RefusalCode.BAD_PIXELS, f"slice {n} – cut off after 5 µs", "1.2") for n in range(60))
    report = report_of(GAP, *many, of=instances(**attributes), settings=settings, supersedes=("1.2.840.1", "1.2.9"))
    path = write_dicom(report, tmp_path)
    assert dciodvfy_errors(path) == []
    told = dsrdump_text(path)
    assert not [line for line in told.splitlines() if line.startswith(("E:", "F:", "W:"))]
    assert NOT_READ in told
    assert "missing_slice: no slice between 30 and 40 mm" in told
    assert "And 21 further reasons" in told
    assert tid1500(path, tmp_path)["Measurements"]


def test_it_says_that_no_algorithm_succeeded_and_nothing_of_hemorrhage() -> None:
    report = report_of(GAP)
    assert {"111245", "111235", "373068000"} <= codes(report)
    assert not {"52101004", "272519000", "111241", "111242"} & codes(report)
    assert report.CompletionFlag == "PARTIAL"
    assert report.PreliminaryFlag == "FINAL"


def test_only_images_that_are_at_fault_are_called_unusable() -> None:
    assert "111235" not in codes(report_of(NOT_A_HEAD))
    assert "111235" in codes(report_of(NOT_A_HEAD, GAP))


def test_it_is_about_the_same_patient_and_study_and_names_an_image_of_each_ct_series() -> None:
    of = [*instances(PatientID="P 1"), *instances(series="1.2.826.0.1.7.2", PatientID="P 1")]
    report = report_of(GAP, of=of)
    assert (report.PatientID, report.StudyInstanceUID) == ("P 1", "1.2.826.0.1.7")
    (evidence,) = report.CurrentRequestedProcedureEvidenceSequence
    named = {one.SeriesInstanceUID for one in evidence.ReferencedSeriesSequence}
    assert named == {"1.2.826.0.1.7.1", "1.2.826.0.1.7.2"}


def test_the_same_refusal_of_the_same_images_has_the_same_uids_and_any_other_does_not() -> None:
    first = report_of(GAP)
    assert report_of(GAP).SOPInstanceUID == first.SOPInstanceUID
    others = [
        report_of(NOT_A_HEAD),
        report_of(GAP, instance_set="b"),
        report_of(GAP, of=instances(PatientID="another")),
        report_of(GAP, settings=Settings(results=ResultsSettings(institution="Elsewhere"))),
    ]
    uids = {report.SOPInstanceUID for report in (first, *others)}
    assert len(uids) == 5
    assert len({report.SeriesInstanceUID for report in (first, *others)}) == 5


def test_a_study_without_a_ct_image_gets_none() -> None:
    made = {"instance_set": "a", "settings": Settings(), "created": CREATED}
    foreign = instances(str(generate_uid()), Modality="MR", SOPClassUID=MRImageStorage)
    assert refusal_report(foreign, (GAP,), **made) is None
    assert refusal_report([], (GAP,), **made) is None


def test_it_refers_to_an_image_so_that_a_viewer_shows_one() -> None:
    """OHIF shows black where a report has no coordinates."""
    found = instances()
    (line,) = [one for one in _items(report_of(of=found)) if one.ValueType == "SCOORD"]
    header = found[0].header
    assert line.GraphicData == [0, 0, header.Columns, 0, header.Columns, header.Rows, 0, header.Rows, 0, 0]
    (image,) = line.ContentSequence
    assert image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == header.SOPInstanceUID


def test_an_image_whose_size_is_not_known_gets_no_coordinates() -> None:
    found = instances()
    del found[0].header.Rows
    assert [one for one in _items(report_of(of=found[:1])) if one.ValueType == "SCOORD"] == []


def _items(item: Dataset) -> Iterator[Dataset]:
    for child in item.get("ContentSequence", ()):
        yield child
        yield from _items(child)
