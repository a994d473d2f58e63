# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.uid import generate_uid

from appliance.errors import UnavailableError
from appliance.orthanc import Orthanc
from appliance.orthanc_errors import NotThereError, OrthancError
from appliance.orthanc_records import StoreStatus
from appliance.sections.orthanc import OrthancSettings
from appliance.settings import Settings
from deploy.local.orthanc import OrthancProcess
from deploy.local.ports import free_ports, with_free_ports
from tests.appliance.stand_in import head_series

NOBODY = "00000000-00000000-00000000-00000000-00000000"


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancProcess]:
    """An Orthanc that wants a password."""
    folder = tmp_path_factory.mktemp("orthanc")
    settings = with_free_ports(Settings(), folder)
    user = settings.orthanc.model_copy(update={"username": "appliance", "password": "s3cret"})
    with OrthancProcess(settings.model_copy(update={"orthanc": user}), folder, doorbell=False) as running:
        yield running


@pytest.fixture
def orthanc(process: OrthancProcess) -> Iterator[Orthanc]:
    client = Orthanc(process.settings.orthanc)
    yield client
    client.close()


def test_what_is_stored_is_found_and_comes_back_as_it_was(orthanc: Orthanc) -> None:
    study = str(generate_uid())
    files = head_series(study)
    before = orthanc.newest_change().last
    stored = [orthanc.store(file) for file in files]
    assert {status for _, status in stored} == {StoreStatus.SUCCESS}
    assert orthanc.store(files[0]) == (stored[0][0], StoreStatus.ALREADY_STORED)
    series = orthanc.series(orthanc.series_of_instance(stored[0][0]))
    assert (series.modality, set(series.instances)) == ("CT", {identifier for identifier, _ in stored})
    assert orthanc.study(series.study).uid == study
    assert series.id in orthanc.series_ids()
    assert orthanc.file(stored[3][0]) == files[3]
    new = [change for change in orthanc.changes(before, 1000).changes if change.type == "NewInstance"]
    assert [change.resource for change in new] == [identifier for identifier, _ in stored]
    assert all(abs(change.date - time.time()) < 60 for change in new)


def test_a_large_file_can_be_read_in_part_and_the_next_one_in_full(orthanc: Orthanc) -> None:
    file = head_series(str(generate_uid()))[0]
    instance, _ = orthanc.store(file)
    assert orthanc.file(instance, limit=500) == file[:500]
    assert orthanc.file(instance, limit=10**6) == file
    assert orthanc.file(instance) == file


def test_an_idle_connection_that_orthanc_closed_is_replaced_without_a_word(
    process: OrthancProcess, orthanc: Orthanc
) -> None:
    file = head_series(str(generate_uid()))[0]
    instance, _ = orthanc.store(file)
    process.stop()
    process.start()
    assert orthanc.file(instance) == file
    assert orthanc.holds_instance(instance)


def test_several_threads_may_ask_at_once(orthanc: Orthanc) -> None:
    files = head_series(str(generate_uid()))
    ids = [orthanc.store(file)[0] for file in files]
    got: dict[int, list[bytes]] = {}

    def ask(number: int) -> None:
        got[number] = [orthanc.file(identifier) for identifier in ids]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(got[number] == files for number in range(4))


def test_what_is_not_there_is_said_to_be_not_there(orthanc: Orthanc) -> None:
    for ask in (orthanc.series, orthanc.study, orthanc.file, orthanc.series_of_instance):
        with pytest.raises(NotThereError):
            ask(NOBODY)
    assert not orthanc.holds_instance(NOBODY)


def test_what_is_no_dicom_is_refused_and_not_tried_again(orthanc: Orthanc) -> None:
    with pytest.raises(OrthancError, match="400"):
        orthanc.store(b"not DICOM")


def test_an_orthanc_that_is_not_there_is_unavailable_and_named(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    nobody = Orthanc(OrthancSettings(url=f"http://127.0.0.1:{port}"))
    for ask in (nobody.system, lambda: nobody.file(NOBODY), lambda: nobody.store(b"")):
        with pytest.raises(UnavailableError, match=str(port)):
            ask()


def test_a_wrong_password_waits_for_the_right_one_and_says_so(process: OrthancProcess) -> None:
    wrong = process.settings.orthanc.model_copy(update={"password": "other"})
    stranger = Orthanc(wrong)
    for ask in (stranger.system, lambda: stranger.file(NOBODY)):
        with pytest.raises(UnavailableError, match=r"orthanc\.password") as raised:
            ask()
        assert "other" not in str(raised.value)
