# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The supervisor of `make up`: in which order it starts programs, and how long it waits before it starts one again.

A real Supervisor keeps the programs of an appliance; each one's command is replaced by one that ends at once.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from appliance.settings import Settings
from deploy.local.ports import with_free_ports
from deploy.local.supervised import SupervisedAppliance
from deploy.local.supervisor import Supervisor

_RECORD = re.compile(r"^(\S+ \S+) \w+ (spawned|exited): '?(\w+)", re.MULTILINE)
_STARTS = 4
_LONGEST_S = 240
_BETWEEN_RECORD_AND_PAUSE_S = 0.1
"""The supervisor takes the time for its pause just before it writes its record of the end."""


class Ending:
    """A supervisor whose programs all end at once, and its own records of what it did."""

    def __init__(self, folder: Path) -> None:
        programs = SupervisedAppliance(with_free_ports(Settings(), folder)).supervisor._programs
        commands = [replace(one, command=["false"], folder=folder, log=folder / f"{one.name}.log") for one in programs]
        self.names = [one.name for one in commands]
        self._supervisor = Supervisor(folder / "supervisor", commands, max_mib=1)
        self.pid = self._supervisor.launch()

    def records(self) -> list[tuple[float, str, str]]:
        """Return what the supervisor noted: the time, s, what happened, and to which program."""
        log = self._supervisor.log
        found = _RECORD.findall(log.read_text()) if log.exists() else []
        return [(datetime.strptime(at, "%Y-%m-%d %H:%M:%S,%f").timestamp(), what, name) for at, what, name in found]

    def await_starts(self) -> None:
        end = time.monotonic() + _LONGEST_S
        while min([sum(one[1:] == ("spawned", name) for one in self.records()) for name in self.names]) < _STARTS:
            assert time.monotonic() < end, self.records()
            assert not self._supervisor.has_ended()
            time.sleep(0.1)

    def close(self) -> None:
        os.kill(self.pid, signal.SIGTERM)
        end = time.monotonic() + _LONGEST_S
        while not self._supervisor.has_ended() and time.monotonic() < end:
            time.sleep(0.05)


@pytest.fixture
def ending(tmp_path: Path) -> Iterator[Ending]:
    made = Ending(tmp_path)
    yield made
    made.close()


def test_orthanc_triton_and_the_service_start_in_order_and_again_after_pauses_that_grow(ending: Ending) -> None:
    ending.await_starts()
    records = ending.records()
    assert [name for _, what, name in records if what == "spawned"][:4] == ["orthanc", "triton", "service", "watch"]
    for program in ("orthanc", "triton", "service"):
        own = [(at, what) for at, what, name in records if name == program][: 2 * _STARTS - 1]
        assert [what for _, what in own] == [*["spawned", "exited"] * (_STARTS - 1), "spawned"]
        pauses = [own[number + 1][0] - own[number][0] for number in range(1, len(own), 2)]
        # A busy machine makes a pause longer, never shorter than what the supervisor decided.
        assert all(pause > second - _BETWEEN_RECORD_AND_PAUSE_S for second, pause in enumerate(pauses, start=1))
