# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Records of started processes: the very process is ended, and no other one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.errors import ApplianceError
from deploy.local.records import end, forget, read, record_of, write


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"]) as process:
        yield process
        process.kill()


def test_a_recorded_process_is_ended_once(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    write([record_of("server", sleeper.pid, "http://127.0.0.1:1", tmp_path / "log")], tmp_path)
    (record,) = read(tmp_path)
    assert record.is_running()
    assert end(record)
    assert not record.is_running()
    assert sleeper.wait(240) == -15
    assert not end(record)
    forget(tmp_path)
    assert read(tmp_path) == []


@pytest.mark.parametrize("change", [{"started": 1}, {"boot": "another"}])
def test_another_process_with_the_same_number_is_left_alone(
    sleeper: subprocess.Popen[bytes], tmp_path: Path, change: dict[str, object]
) -> None:
    record = replace(record_of("server", sleeper.pid, "", tmp_path / "log"), **change)
    assert not record.is_running()
    assert not end(record)
    assert sleeper.poll() is None


def test_a_process_that_has_ended_is_not_recorded(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    with pytest.raises(ApplianceError, match="has ended; its log is"):
        record_of("server", process.pid, "", tmp_path / "log")


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    for content in ("{", '[{"name": "server"}]'):
        (tmp_path / "processes.json").write_text(content)
        with pytest.raises(ApplianceError, match=r"processes\.json is not a list of started processes"):
            read(tmp_path)
