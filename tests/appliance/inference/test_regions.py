# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.inference import regions as regions_module
from appliance.inference.regions import (
    MODEL_PROCESS,
    SETTLED_S,
    is_of_the_dead,
    model_processes,
    new_name,
    remove_regions_of_the_dead,
    remove_stale_regions,
    stem,
)


def dead_process() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    return ended.pid


def test_a_region_of_a_running_process_is_kept_and_no_two_have_one_name() -> None:
    first, second = new_name(), new_name()
    assert first != second
    assert first.startswith(f"{stem()}{os.getpid()}-")
    assert not is_of_the_dead(first)


def test_a_region_whose_process_id_another_process_has_by_now_is_of_the_dead() -> None:
    host_and_process, started, number = new_name().rsplit("-", 2)
    assert is_of_the_dead(f"{host_and_process}-{int(started) - 1}-{number}")
    assert not is_of_the_dead(f"{host_and_process}-{number}")  # of a version that did not tell the start


def test_only_what_this_machines_dead_left_is_removed(tmp_path: Path) -> None:
    dead = dead_process()
    names = [f"{stem()}{dead}-123-0", f"{stem()}{dead}-1", new_name(), f"hemorrhage-elsewhere-{dead}-123-0", "other"]
    for name in names:
        (tmp_path / name).write_bytes(bytes(10))
    assert sorted(remove_regions_of_the_dead(tmp_path)) == sorted(names[:2])
    assert {path.name for path in tmp_path.iterdir()} == set(names[2:])


def test_a_killed_owner_is_dead_though_nobody_has_waited_for_it() -> None:
    program = (
        "import time\nfrom appliance.inference.regions import new_name\nprint(new_name(), flush=True)\ntime.sleep(99)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]
    ) as owner:
        assert owner.stdout is not None
        name = owner.stdout.readline().strip()
        assert not is_of_the_dead(name)
        os.kill(owner.pid, signal.SIGKILL)
        os.waitid(os.P_PID, owner.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and is a zombie
        assert is_of_the_dead(name)


def test_a_region_that_is_just_being_made_is_left(tmp_path: Path) -> None:
    (tmp_path / "region_1").write_bytes(bytes(10))
    assert remove_stale_regions("region_", tmp_path, settled_s=SETTLED_S) == []
    assert remove_stale_regions("region_", tmp_path) == [tmp_path / "region_1"]


def test_a_model_process_is_known_once_its_command_line_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(regions_module, "_PROC", tmp_path)
    whole = (f"/opt{MODEL_PROCESS}", "/models/x/1/model.py", "region_1", "1048576", "1048576", "77", "/opt", "")
    for process, arguments in {11: whole, 12: whole[:1], 13: whole[:3], 14: ("",)}.items():
        (tmp_path / str(process)).mkdir()
        (tmp_path / str(process) / "cmdline").write_text("\0".join(arguments))
    assert list(model_processes("region_")) == [(11, 77)]
