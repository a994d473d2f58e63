# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""UIDs: the same answer has the same ones, another answer never has them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from io import BytesIO

import numpy as np
import pydicom
import pytest
from pydicom import Dataset

from appliance.coverage.coverage import Coverage
from appliance.findings.find import find
from appliance.inference.detections import ModelIdentity
from appliance.reading.lesions import Criteria
from appliance.results import identity
from appliance.results.report import Results, report
from appliance.sections.answers import FindingSettings, ResultsSettings
from appliance.settings import Settings
from tests.appliance.phantom import made_volume, stroke_reading
from tests.appliance.results.answers import CREATED, Answered, answer_of


def uids(results: Results) -> set[str]:
    """Every UID that the objects of an answer give themselves."""
    found = set()
    for _, dataset in results.make_datasets():
        found |= {str(dataset.SOPInstanceUID), str(dataset.SeriesInstanceUID)}
    if results.seg is not None:
        found |= {str(segment.TrackingUID) for segment in results.seg.SegmentSequence}
    return found


def as_file(dataset: Dataset) -> bytes:
    file = BytesIO()
    pydicom.dcmwrite(file, dataset, enforce_file_format=True)
    return file.getvalue()


@pytest.fixture(scope="module")
def first() -> Answered:
    return answer_of()


def test_every_object_and_series_has_a_uid_of_its_own(first: Answered) -> None:
    instances = [str(dataset.SOPInstanceUID) for _, dataset in first.results.make_datasets()]
    assert len(set(instances)) == len(instances)
    assert all(uid.startswith("2.25.") and len(uid) <= 64 for uid in uids(first.results))
    assert len(uids(first.results)) == len(instances) + 4 + len(first.finding.lesions)


def test_a_repeat_at_the_same_time_is_the_same_to_the_byte(first: Answered) -> None:
    again = answer_of().results
    for (name, one), (other_name, other) in zip(first.results.make_datasets(), again.make_datasets(), strict=True):
        assert name == other_name
        assert as_file(one) == as_file(other)


def test_a_repeat_at_another_time_has_the_same_uids(first: Answered) -> None:
    later = answer_of(created=CREATED + timedelta(days=1)).results
    assert uids(later) == uids(first.results)


def other_words(**attributes: str) -> Answered:
    """An answer about the same slices, with other words in the headers."""
    volume = made_volume()
    for header in volume.headers:
        for keyword, value in attributes.items():
            setattr(header, keyword, value)
    return answer_of(volume, stroke_reading())


CHANGES = {
    "a corrected Patient ID": other_words(PatientID="CORRECTED"),
    "no Patient ID": other_words(PatientID=""),
    "another issuer of the Patient ID": other_words(IssuerOfPatientID="OTHER HOSPITAL"),
    "another study": other_words(StudyInstanceUID="1.2.3.99"),
    "another series": answer_of(made_volume(series=2)),
    "one slice more": answer_of(made_volume(slices=13), stroke_reading()),
    "another threshold": answer_of(threshold=0.51),
    "another score that extends": answer_of(settings=Settings(finding=FindingSettings(extend_score=0.45))),
    "another joining distance": answer_of(settings=Settings(finding=FindingSettings(join_mm=11))),
    "another SOP class": answer_of(settings=Settings(results=ResultsSettings(sr_sop_class="comprehensive"))),
    "fewer key images": answer_of(settings=Settings(results=ResultsSettings(key_images=2))),
    "another institution": answer_of(settings=Settings(results=ResultsSettings(institution="X"))),
    "another model": answer_of(reading=replace(stroke_reading(), model=ModelIdentity("x", "1", "cd" * 32))),
}


@pytest.mark.parametrize("changed", CHANGES.values(), ids=CHANGES.keys())
def test_a_change_of_the_answer_shares_no_uid_with_the_one_before(first: Answered, changed: Answered) -> None:
    assert not uids(changed.results) & uids(first.results)


def test_a_new_result_format_shares_no_uid_with_the_old(first: Answered, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "RESULT_FORMAT", identity.RESULT_FORMAT + 1)
    assert not uids(answer_of().results) & uids(first.results)


def test_the_order_in_which_slices_came_does_not_matter() -> None:
    volume, reading = made_volume(), stroke_reading()
    criteria, covered = Criteria(0.5, 0.5, 10), Coverage(12, 12, 60.0)
    there = identity.answer_identity(volume, reading.model, criteria, Settings(), covered)
    turned = replace(volume, headers=volume.headers[::-1])
    back = identity.answer_identity(turned, reading.model, criteria, Settings(), covered)
    assert there == back


def test_padding_of_the_patient_id_changes_no_uid(first: Answered) -> None:
    there = str(first.volume.headers[0].PatientID)
    assert uids(other_words(PatientID=f"{there} ").results) == uids(first.results)


def test_superseding_an_older_report_changes_no_uid(first: Answered) -> None:
    finding = find(first.reading, first.volume, first.finding.criteria)
    again = report(
        first.volume,
        first.reading,
        finding,
        covered=Coverage(12, 12, 60.0),
        settings=first.settings,
        created=CREATED,
        supersedes=("1.2.840.10008.5.1.4.1.1.88.34", "2.25.99"),
    )
    assert uids(again) == uids(first.results)
    np.testing.assert_array_equal(finding.lesion_map, first.finding.lesion_map)
