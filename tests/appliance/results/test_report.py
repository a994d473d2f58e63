# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The step `report` as a whole."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest

from appliance.delivery.store import result_objects
from appliance.results.warm_up import warm_up
from appliance.settings import ResultsSettings, Settings
from tests.appliance.results.answers import answered, negative, volumes
from tests.appliance.results.validators import written


def test_objects_come_with_what_is_referenced_before_what_refers_to_it() -> None:
    names = [name for name, _ in answered().results.named_datasets()]
    assert names == ["seg", "sr", *(f"key-image-{number}" for number in range(1, 7)), "key-objects"]
    assert [name for name, _ in negative().results.named_datasets()] == [
        "sr",
        "key-image-1",
        "key-image-2",
        "key-image-3",
        "key-objects",
    ]


def test_objects_are_announced_as_they_are_stored_but_without_pictures() -> None:
    results = answered().results
    stored = list(results.named_datasets())
    announced = results.announced()
    assert not [name for name, dataset in announced if name.startswith("key-image") and "PixelData" in dataset]
    assert result_objects(announced) == result_objects(stored)
    assert all("PixelData" in dataset for name, dataset in stored if name.startswith("key-image"))


@pytest.mark.parametrize("volume", volumes().values(), ids=volumes().keys())
def test_every_object_is_a_dicom_file_that_reads_back_the_same(volume: object, tmp_path: Path) -> None:
    for name, dataset in answered(volume).results.named_datasets():  # type: ignore[arg-type]
        again = pydicom.dcmread(written(dataset, tmp_path, name))
        assert again.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID
        assert again.to_json_dict() == dataset.to_json_dict()


@pytest.mark.parametrize(
    "settings", [Settings(), Settings(results=ResultsSettings(key_images=0))], ids=["some", "none"]
)
def test_warming_up_works_with_the_sites_settings(settings: Settings) -> None:
    warm_up(settings)
