# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import threading
from pathlib import Path

import pytest

from appliance.log_files import KEPT, LogFiles, bound, older, set_aside
from appliance.settings import Settings
from deploy.local.appliance import LocalAppliance
from tests.appliance.log_lines import lines


def test_a_log_that_has_grown_is_emptied_under_its_writer_and_nothing_is_lost(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"first\n")
        assert not bound(log, 6)
        writer.write(b"second\n")
        assert bound(log, 6)
        writer.write(b"third\n")
    assert older(log, 1).read_bytes() == b"first\nsecond\n"
    assert log.read_bytes() == b"third\n"


def test_older_logs_are_kept_in_their_order_and_no_more_than_so_many(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    for number in range(KEPT + 3):
        set_aside(log)
        log.write_text(f"{number}")
    assert [older(log, number).read_text() for number in range(1, KEPT + 1)] == ["6", "5", "4", "3", "2"]
    assert len(list(tmp_path.iterdir())) == KEPT + 1


def test_a_log_that_cannot_be_kept_small_is_told_of_once_and_the_others_are_looked_after(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stream: object,
) -> None:
    stuck, good = tmp_path / "stuck", tmp_path / "good.log"
    stuck.mkdir()
    (stuck / "entry").write_text("a folder is no log")
    good.write_text("long enough")
    stopping, rounds = threading.Event(), iter(range(3))

    def wait(_: float) -> bool:
        if next(rounds) == 2:
            stopping.set()
        return stopping.is_set()

    monkeypatch.setattr(stopping, "wait", wait)
    LogFiles((tmp_path / "not-yet.log", stuck, good), max_mib=1e-6).run(stopping)
    told = lines(stream)  # type: ignore[arg-type]
    assert [line["event"] for line in told] == ["a log file grows without bound"]
    assert str(stuck) in told[0]["error"]
    assert good.read_text() == ""
    assert older(good, 1).read_text() == "long enough"


def test_the_service_of_a_stack_looks_after_the_logs_of_all_three_servers(tmp_path: Path) -> None:
    local = LocalAppliance(Settings(state_dir=tmp_path))
    assert set(local.service.settings.log.files) == {local.orthanc.log, local.triton.log, local.service.log}
