# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydicom.uid import generate_uid

from appliance.intake.files import Files
from appliance.orthanc import Orthanc
from appliance.orthanc_errors import NotThereError
from appliance.settings import Settings
from tests.appliance.stand_in import head_series

LOOK = 2**20


@pytest.fixture
def orthanc(settings: Settings) -> Iterator[Orthanc]:
    client = Orthanc(settings.orthanc)
    yield client
    client.close()


def store_slices(orthanc: Orthanc, count: int = 1) -> list[tuple[str, bytes]]:
    """Return Orthanc's identifiers of some slices, with their files."""
    files = head_series(str(generate_uid()))[:count]
    return [(orthanc.store(file)[0], file) for file in files]


def test_a_file_that_came_for_its_header_is_not_fetched_again(orthanc: Orthanc) -> None:
    files = Files(orthanc, 10 * LOOK)
    ((instance, file),) = store_slices(orthanc)
    assert files.beginning(instance, LOOK) == file
    orthanc.delete_instance(instance)
    assert files.whole(instance) == file
    assert files.beginning(instance, 500) == file[:500]


def test_what_is_forgotten_is_fetched_again(orthanc: Orthanc) -> None:
    files = Files(orthanc, 10 * LOOK)
    (one, file), (other, _) = store_slices(orthanc, 2)
    for instance in (one, other):
        files.beginning(instance, LOOK)
    files.forget([one, "never seen"])
    assert files.whole(one) == file
    orthanc.delete_instance(one)
    with pytest.raises(NotThereError):
        files.whole(one)
    files.forget([other])
    assert files.kept_bytes == 0


def test_no_more_is_kept_than_was_set_aside_and_the_newest_stays(orthanc: Orthanc) -> None:
    held = store_slices(orthanc, 3)
    most = len(held[1][1]) + len(held[2][1])
    files = Files(orthanc, most)
    for instance, _ in (*held, held[2]):
        files.beginning(instance, LOOK)
        assert files.kept_bytes <= most
    for instance, _ in held:
        orthanc.delete_instance(instance)
    with pytest.raises(NotThereError):
        files.whole(held[0][0])
    assert [files.whole(instance) for instance, _ in held[1:]] == [file for _, file in held[1:]]


def test_nothing_is_kept_of_a_file_that_is_too_large_for_the_look_or_for_what_was_set_aside(orthanc: Orthanc) -> None:
    ((instance, file),) = store_slices(orthanc)
    files = Files(orthanc, 10 * LOOK)
    assert files.beginning(instance, 500) == file[:500]
    assert files.kept_bytes == 0
    assert files.whole(instance) == file
    none = Files(orthanc, 0)
    assert none.beginning(instance, LOOK) == file
    assert none.kept_bytes == 0
