# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydicom import Dataset
from pydicom.uid import generate_uid

from appliance.delivery.store import orthanc_ids, result_objects, store
from appliance.orthanc import NotThereError, Orthanc
from appliance.settings import Settings
from deploy.local.orthanc import OrthancProcess
from deploy.local.ports import with_free_ports
from tests.appliance.imaging import scans


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    folder = tmp_path_factory.mktemp("orthanc")
    settings = with_free_ports(Settings(), folder)
    with OrthancProcess(settings, folder, doorbell=False):
        client = Orthanc(settings.orthanc)
        yield client
        client.close()


def a_result(**attributes: object) -> Dataset:
    study, series, uid = generate_uid(), generate_uid(), generate_uid()
    made = scans.image(
        scans.head(1)[0], (0, 0, 0), uid=uid, StudyInstanceUID=study, SeriesInstanceUID=series, **attributes
    )
    made.file_meta.MediaStorageSOPInstanceUID = uid
    return made


@pytest.mark.parametrize(
    "patient",
    [
        {},
        {"PatientID": ""},
        {"PatientID": None},
        {"PatientID": " PADDED "},
        {"PatientID": "ÄÖ-7"},
        {"PatientID": "患者", "SpecificCharacterSet": "ISO_IR 192"},
    ],
    ids=["plain", "empty", "missing", "padded", "Latin-1", "UTF-8"],
)
def test_orthanc_gives_the_identifiers_that_were_foretold(orthanc: Orthanc, patient: dict[str, str | None]) -> None:
    result = a_result(**patient)
    instance, series = orthanc_ids(result)
    assert store(orthanc, result) == instance
    assert orthanc.series_of_instance(instance) == series


def test_storing_twice_keeps_one(orthanc: Orthanc) -> None:
    result = a_result()
    once, twice = store(orthanc, result), store(orthanc, result)
    assert once == twice
    assert orthanc.series(orthanc.series_of_instance(once)).instances == (once,)


def test_the_ledger_is_told_each_object_by_its_kind(orthanc: Orthanc) -> None:
    result = a_result()
    (listed,) = result_objects([("sr", result)])
    assert (listed.kind, listed.sop_instance_uid) == ("sr", result.SOPInstanceUID)
    assert (listed.orthanc_instance, listed.orthanc_series) == orthanc_ids(result)


def test_a_result_that_was_deleted_can_be_deleted_again(orthanc: Orthanc) -> None:
    instance = store(orthanc, a_result())
    orthanc.delete_instance(instance)
    orthanc.delete_instance(instance)
    assert not orthanc.holds_instance(instance)
    with pytest.raises(NotThereError):
        orthanc.file(instance)
