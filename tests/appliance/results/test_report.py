# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The step `report` as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from pydicom import Dataset
from pydicom.uid import RawDataStorage

from appliance.delivery.store import result_objects
from appliance.results import report as report_module
from appliance.results.kinds import ResultKind
from appliance.results.report import RESULT_TYPES, Draft, ResultType
from appliance.results.warm_up import warm_up
from appliance.sections.answers import ResultsSettings
from appliance.settings import Settings
from tests.appliance.results.answers import answer_of, negative, volumes
from tests.appliance.results.validators import dciodvfy_errors, dsrdump_text, write_dicom


def test_objects_come_with_what_is_referenced_before_what_refers_to_it() -> None:
    names = [name for name, _ in answer_of().results.make_datasets()]
    assert names == ["seg", "sr", *(f"key-image-{number}" for number in range(1, 7)), "key-objects"]
    assert [name for name, _ in negative().results.make_datasets()] == [
        "sr",
        "key-image-1",
        "key-image-2",
        "key-image-3",
        "key-objects",
    ]


@pytest.mark.parametrize("error", [ValueError("source images differ"), AttributeError("Rows"), MemoryError()])
def test_an_answer_comes_without_a_segmentation_that_cannot_be_made_and_says_so(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Dataset:
        raise error

    whole = answer_of().results
    monkeypatch.setattr(report_module, "segmentation", fail)
    results = answer_of().results
    assert [name for name in results.objects if not name.startswith("key-image-")] == ["sr", "key-objects"]
    assert results.unmade["seg"].startswith(type(error).__name__)
    path = write_dicom(results.sr, tmp_path)
    assert dciodvfy_errors(path) == []
    text = dsrdump_text(path)
    assert not [line for line in text.splitlines() if line.startswith(("E:", "F:"))]
    assert "Intracranial hemorrhage found: 3 lesions" in text
    assert "The segmentation could not be made" in text
    assert text.count('"Volume")=') == dsrdump_text(write_dicom(whole.sr, tmp_path, "whole")).count('"Volume")=') == 3
    assert results.sr.SOPInstanceUID != whole.sr.SOPInstanceUID  # or Orthanc would keep the poorer one for good


def test_an_answer_comes_without_key_images_whose_headers_cannot_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyError("SOPClassUID")

    monkeypatch.setattr(report_module, "key_images", fail)
    results = answer_of().results
    assert list(results.objects) == ["seg", "sr"]
    assert list(results.unmade) == ["key-image"]


def test_objects_are_announced_as_they_are_stored_but_without_pictures() -> None:
    results = answer_of().results
    stored = list(results.make_datasets())
    announced = results.list_announced()
    assert not [name for name, dataset in announced if name.startswith("key-image") and "PixelData" in dataset]
    assert result_objects(announced) == result_objects(stored)
    assert all("PixelData" in dataset for name, dataset in stored if name.startswith("key-image"))


@pytest.mark.parametrize("volume", volumes().values(), ids=volumes().keys())
def test_every_object_is_a_dicom_file_that_reads_back_the_same(volume: object, tmp_path: Path) -> None:
    for name, dataset in answer_of(volume).results.make_datasets():  # type: ignore[arg-type]
        again = pydicom.dcmread(write_dicom(dataset, tmp_path, name))
        assert again.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID
        assert again.to_json_dict() == dataset.to_json_dict()


@pytest.mark.parametrize(
    "settings", [Settings(), Settings(results=ResultsSettings(key_images=0))], ids=["some", "none"]
)
def test_warming_up_works_with_the_sites_settings(settings: Settings) -> None:
    warm_up(settings)


def test_one_new_type_of_result_is_announced_stored_and_written_with_a_heading_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kind = ResultKind("raw", "OT", 9009, "One more kind")

    def build(draft: Draft) -> Iterator[Dataset]:
        dataset = Dataset()
        draft.head.write(dataset, kind, RawDataStorage)
        yield dataset

    monkeypatch.setattr(report_module, "RESULT_TYPES", (*RESULT_TYPES, ResultType(kind, build)))
    results = answer_of().results
    assert [result.kind for result in result_objects(results.list_announced())][-1] == "raw"
    (name, dataset) = list(results.make_datasets())[-1]
    again = pydicom.dcmread(write_dicom(dataset, tmp_path, name))
    assert (again.SeriesNumber, again.SeriesDescription, again.PatientID) == (
        9009,
        "One more kind",
        results.sr.PatientID,
    )
