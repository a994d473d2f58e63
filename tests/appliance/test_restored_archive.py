# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""An archive restored from an older backup lacks answers that the ledger knows: a real Orthanc's folder is put back."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.ledger.states import JobState
from appliance.settings import Settings
from deploy.local.orthanc import OrthancProcess
from deploy.local.ports import with_free_ports
from tests.appliance.bench import Bench, bench_on
from tests.appliance.stand_in import head_series

_LONGEST_S = 120


@pytest.fixture
def orthanc(tmp_path: Path) -> Iterator[OrthancProcess]:
    """An Orthanc whose archive a test may put back."""
    with OrthancProcess(with_free_ports(Settings(), tmp_path), tmp_path / "orthanc", doorbell=False) as started:
        yield started


@pytest.fixture
def bench(orthanc: OrthancProcess, tmp_path: Path) -> Iterator[Bench]:
    """A worker on that Orthanc."""
    with bench_on(orthanc.settings, tmp_path) as made:
        yield made


def test_an_answer_lost_because_the_archive_was_restored_from_an_older_backup_is_noticed_and_given_again(
    orthanc: OrthancProcess, bench: Bench, study: str, tmp_path: Path
) -> None:
    archive, backup = tmp_path / "orthanc" / "storage", tmp_path / "backup"
    bench.send(*head_series(study))
    orthanc.stop()
    shutil.copytree(archive, backup)
    orthanc.start()
    assert bench.worker.work()
    before = {one.SOPInstanceUID for one in bench.held(study)}
    assert before

    orthanc.stop()
    shutil.rmtree(archive)
    shutil.copytree(backup, archive)
    orthanc.start()
    bench.desk.start_again("desk/2")
    assert bench.held(study) == []

    end = time.monotonic() + _LONGEST_S
    while len(bench.desk.jobs(study)) == 1:
        assert time.monotonic() < end, "nobody noticed"
        bench.desk.quiet()
    assert bench.worker.work()
    first, again = bench.desk.jobs(study)
    assert (again.state, again.sr_uid) == (JobState.DONE, first.sr_uid)
    assert {one.SOPInstanceUID for one in bench.held(study)} == before
