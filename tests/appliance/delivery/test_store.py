# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless, generate_uid

from appliance.delivery.store import orthanc_ids, result_objects, store
from appliance.errors import UnavailableError
from appliance.orthanc import Orthanc
from appliance.orthanc_errors import NotThereError
from appliance.settings import Settings
from deploy.local.orthanc import OrthancProcess
from deploy.local.ports import free_ports, with_free_ports
from tests.appliance.imaging import scans
from tests.appliance.results.answers import answer_of
from tests.appliance.running import until


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


def a_small_result() -> Dataset:
    made = a_result()
    made.Rows = made.Columns = 1
    made.PixelData = bytes(2)
    return made


@contextmanager
def losing(orthanc: Orthanc, monkeypatch: pytest.MonkeyPatch, result: Dataset) -> Iterator[None]:
    """Let Orthanc confirm a result and give nothing of it back."""
    file, lost = orthanc.file, orthanc_ids(result)[0]
    with monkeypatch.context() as full:
        full.setattr(orthanc, "file", lambda instance: b"" if instance == lost else file(instance))
        yield


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


@pytest.mark.parametrize("part", [0.0, 0.5, 0.99])
@pytest.mark.parametrize("kind", ["sr", "seg", "key-image-1"])
def test_a_result_of_which_orthanc_keeps_a_part_is_noticed_and_whole_after_the_next_try(
    orthanc: Orthanc, monkeypatch: pytest.MonkeyPatch, kind: str, part: float
) -> None:
    """As after a disk that was full: the object is in Orthanc's index, and half of it in its storage."""
    result = dict(answer_of().results.make_datasets())[kind]
    instance = store(orthanc, result)
    whole = orthanc.file(instance)
    with monkeypatch.context() as damaged:
        damaged.setattr(orthanc, "file", lambda _: whole[: int(part * len(whole))])
        with pytest.raises(UnavailableError, match="the whole of a result"):
            store(orthanc, result)
    assert not orthanc.holds_instance(instance)
    refusal = orthanc.store_refusal.within(60)
    assert refusal is not None  # the service is not ready until a result is kept
    assert "the whole of a result" in refusal.reason
    assert store(orthanc, result) == instance
    assert orthanc.store_refusal.within(60) is None
    orthanc.delete_instance(instance)


def test_a_small_result_that_finds_room_says_nothing_of_a_large_one_that_was_refused(
    orthanc: Orthanc, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, large, small = a_result(), a_result(), a_small_result()
    store(orthanc, held)
    with losing(orthanc, monkeypatch, large), pytest.raises(UnavailableError):
        store(orthanc, large)
    store(orthanc, small)
    store(orthanc, held)  # as large, but it took no room
    refusal = orthanc.store_refusal.within(60)
    assert refusal is not None
    assert refusal.uid == large.SOPInstanceUID
    store(orthanc, large)
    assert orthanc.store_refusal.within(60) is None


def test_a_result_as_large_as_the_refused_one_shows_that_there_is_room(
    orthanc: Orthanc, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refused one may never come again: another service has stored it, or its study has grown."""
    refused = a_result()
    with losing(orthanc, monkeypatch, refused), pytest.raises(UnavailableError):
        store(orthanc, refused)
    assert orthanc.store_refusal.within(60)
    store(orthanc, a_result())
    assert orthanc.store_refusal.within(60) is None


def test_a_filter_that_rejects_one_patients_results_says_nothing_of_the_others(
    orthanc: Orthanc, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as filtered:
        told = json.dumps({"ID": "00000000-00000000-00000000-00000000-00000000", "Status": "FilteredOut"}).encode()
        filtered.setattr(orthanc._connection, "transfer", lambda *_: told)
        with pytest.raises(UnavailableError, match="filter"):
            store(orthanc, a_result())
    assert orthanc.store_refusal.within(60)
    store(orthanc, a_small_result())
    assert orthanc.store_refusal.within(60) is None


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


@pytest.mark.parametrize(
    ("takes", "arrives_as"), [([], {ExplicitVRLittleEndian, ImplicitVRLittleEndian}), (["+xr"], {RLELossless})],
    ids=["uncompressed only", "RLE"],
)  # fmt: skip
def test_orthanc_shows_compressed_key_images_and_sends_them_as_their_destination_takes_them(
    orthanc: Orthanc, tmp_path: Path, takes: list[str], arrives_as: set[UID]
) -> None:
    image = answer_of().results.key_images[0]
    instance = store(orthanc, image.capture)
    with httpx.Client(base_url=orthanc.url, trust_env=False, timeout=30) as client:
        preview = client.get(f"/instances/{instance}/preview", headers={"Accept": "image/png"}).raise_for_status()
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(preview.content)).convert("RGB")), image.picture)
        (port,) = free_ports(1)
        archive = subprocess.Popen(["storescp", *takes, "-od", str(tmp_path), "-aet", "ARCHIVE", str(port)])
        try:
            client.put(f"/modalities/archive-{port}", json=["ARCHIVE", "127.0.0.1", port]).raise_for_status()
            echo = f"/modalities/archive-{port}/echo"
            until(lambda: client.post(echo, json={}).is_success, "ready")  # it does not say so
            client.post(f"/modalities/archive-{port}/store", json=instance).raise_for_status()
        finally:
            archive.terminate()
            archive.wait()
    (arrived,) = tmp_path.iterdir()
    received = dcmread(arrived)
    assert received.file_meta.TransferSyntaxUID in arrives_as
    assert received.SOPInstanceUID == image.capture.SOPInstanceUID
    np.testing.assert_array_equal(received.pixel_array, image.picture)
