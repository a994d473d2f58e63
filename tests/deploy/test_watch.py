# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""When a server counts as dead though it runs; the real thing is in `test_supervised`."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from deploy.local.supervisor import Control, ProgramState
from deploy.local.watch import Watch, read_seen

PATIENCE_S, STARTING_S = 60.0, 100.0


class Bench(Control):
    """A supervisor of the test's own with one program, its clock, and what that program answers."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "no.sock")
        self.kept = folder / "servers.json"
        self.now = 0.0
        self.state = ProgramState("RUNNING", 100, "")
        self.fault = ""
        self.did: list[str] = []
        self.watch = self.new_watch()

    def new_watch(self) -> Watch:
        return Watch(self, {"orthanc": lambda: self.fault}, PATIENCE_S, STARTING_S, self.kept, lambda: self.now)

    def programs(self) -> dict[str, ProgramState]:
        return {"orthanc": self.state}

    def start(self, name: str) -> None:
        self.did.append(f"start {name}")

    def restart(self, name: str) -> None:
        self.did.append(f"restart {name}")
        self.state = ProgramState("RUNNING", self.state.pid + 1, "")

    def look_for(self, seconds: float) -> None:
        for _ in range(int(seconds)):
            self.now += 1
            self.watch.look()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_server_that_answers_again_in_time_is_left_alone(bench: Bench) -> None:
    bench.look_for(10)
    for _ in range(5):
        bench.fault = "no answer"
        bench.look_for(PATIENCE_S - 5)
        bench.fault = ""
        bench.look_for(1)
    assert bench.did == []


def test_a_server_that_never_answers_gets_twice_the_time_with_each_start_and_never_less(bench: Bench) -> None:
    bench.fault = "no answer"
    at = []
    for _ in range(5000):
        done = len(bench.did)
        bench.look_for(1)
        if len(bench.did) > done:
            at.append(bench.now)
    gaps = [round(later - sooner) for sooner, later in itertools.pairwise(at)]
    assert gaps[:3] == pytest.approx([200, 400, 800], abs=5)
    assert all(gap == pytest.approx(800, abs=5) for gap in gaps[3:])


def test_one_late_look_is_no_proof_that_a_server_hangs(bench: Bench) -> None:
    bench.look_for(10)
    bench.now += 10_000  # the watch itself was stopped, or its machine
    bench.fault = "no answer"
    bench.look_for(1)
    assert bench.did == []


def test_a_program_that_a_watch_had_stopped_before_it_died_is_started(bench: Bench) -> None:
    bench.look_for(1)
    bench.state = ProgramState("STOPPED", 0, "")
    bench.watch = bench.new_watch()
    bench.look_for(1)
    assert bench.did == ["start orthanc"]
    assert read_seen(bench.kept)["orthanc"].fault


def test_what_was_seen_outlives_the_watch(bench: Bench) -> None:
    bench.look_for(1)
    bench.state = ProgramState("RUNNING", 555, "")
    bench.watch = bench.new_watch()
    bench.look_for(1)
    seen = read_seen(bench.kept)["orthanc"]
    assert (seen.pid, seen.restarts, seen.why) == (555, 1, "it had ended")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"orthanc": 3}', '{"orthanc": {"zzz": 1}}'])
def test_a_damaged_record_of_what_was_seen_is_begun_anew(bench: Bench, text: str) -> None:
    bench.kept.write_text(text)
    bench.watch = bench.new_watch()
    bench.look_for(1)
    assert read_seen(bench.kept)["orthanc"].answers
