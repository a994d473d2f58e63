# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The long run as processes: one keeper, its children, their ends."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from training import long_run
from training.__main__ import main
from training.checkpoints import Checkpoints
from training.lock import AlreadyRunningError, holder
from training.long_run import Places, start, stop

# A keeper whose trainer and maker of heads note each start, and that they were told to end.
CHILD = """
import os, signal, sys, time
part, folder, life = sys.argv[1], sys.argv[2], float(sys.argv[3])
note = lambda word: open(f"{folder}/{part}.notes", "a").write(
    f"{word} {os.getpid()} {os.getpriority(os.PRIO_PROCESS, 0)}\\n"
)
signal.signal(signal.SIGTERM, lambda *_: (note("ended"), sys.exit(0)))
note("started")
time.sleep(life)
sys.exit(3)
"""
KEEPER = """
import sys
from pathlib import Path
from training import long_run
folder, child = sys.argv[1], sys.argv[2]
long_run.FIRST_WAIT_S = 0.1
lives = {"train": "3600", "heads": "0.1"}
long_run._command = lambda part, _: [sys.executable, "-c", child, part, folder, lives[part]]
long_run.keep(long_run.Places(Path(folder)))
"""


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    keeper = [sys.executable, "-c", KEEPER, str(tmp_path), CHILD]
    monkeypatch.setattr(long_run, "_command", lambda part, folder: keeper)
    return Places(tmp_path)


PATIENCE_S = 900.0
"""What runs at the lowest priority gets hardly any of a busy machine."""


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.05)


def notes(places: Places, part: str) -> list[list[str]]:
    path = places.folder / f"{part}.notes"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def test_a_run_starts_once_at_the_lowest_priority_and_stops_with_its_children(places: Places) -> None:
    number = start(places)
    try:
        assert holder(places.pid) == number
        with pytest.raises(AlreadyRunningError, match=str(number)):
            start(places)
        wait_for(lambda: bool(notes(places, "train")))
        assert notes(places, "train")[0][2] == "19"
        if long_run.AUTOGROUP.exists():  # where the kernel schedules by session, the session has to be nice too
            assert Path(f"/proc/{number}/autogroup").read_text().split()[-1] == "19"
    finally:
        assert stop(places, patience_s=PATIENCE_S) == number
    assert [word for word, *_ in notes(places, "train")] == ["started", "ended"]
    assert holder(places.pid) is None
    assert stop(places) is None


def test_stop_tells_of_a_checkpoint_only_where_there_is_one(places: Places, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["long", "stop", "--folder", str(places.folder)]
    assert main(asked) == 0
    assert capsys.readouterr().out == "no long run is going on\n"
    number = start(places)
    wait_for(lambda: bool(notes(places, "train")))
    assert main(asked) == 0
    told = capsys.readouterr().out
    assert told == f"process {number} has ended before the training began: there is no checkpoint\n"
    Checkpoints(places.run / "checkpoints").save({"step": 1250}, {})
    number = start(places)
    wait_for(lambda: len(notes(places, "train")) > 2)
    assert main(asked) == 0
    assert capsys.readouterr().out == f"process {number} has ended; the newest checkpoint is of step 1,250\n"


def test_a_last_part_begins_at_the_newest_checkpoint_and_is_given_up_for_crops(
    places: Places, capsys: pytest.CaptureFixture[str]
) -> None:
    def asked(*options: str) -> None:
        main(["long", "start", "--folder", str(places.folder), *options])

    with pytest.raises(SystemExit, match="2"):
        asked("--whole-slices", "40")
    assert "there is no checkpoint" in capsys.readouterr().err
    Checkpoints(places.run / "checkpoints").save({"step": 1250}, {})
    asked("--whole-slices", "40")
    told = places.last_part.read_text()
    assert json.loads(told) == {"first": 1250, "steps": 40}
    with pytest.raises(SystemExit, match="2"):
        asked("--crops")
    assert "stop it first" in capsys.readouterr().err
    stop(places, patience_s=PATIENCE_S)
    Checkpoints(places.run / "checkpoints").save({"step": 1260}, {})
    asked("--whole-slices", "40")  # goes on
    stop(places, patience_s=PATIENCE_S)
    assert places.last_part.read_text() == told
    with pytest.raises(SystemExit, match="2"):
        asked("--whole-slices", "50")
    assert "has 40 steps" in capsys.readouterr().err
    asked("--crops")
    stop(places, patience_s=PATIENCE_S)
    assert not places.last_part.exists()


def test_a_child_that_dies_is_started_anew(places: Places) -> None:
    start(places)
    try:
        wait_for(lambda: len(notes(places, "heads")) >= 2)
    finally:
        stop(places, patience_s=PATIENCE_S)
    assert len(notes(places, "train")) == 2  # it lived all the time


def test_a_killed_keeper_leaves_the_folder_free_for_the_next(places: Places) -> None:
    number = start(places)
    wait_for(lambda: bool(notes(places, "train")))
    os.kill(number, signal.SIGKILL)
    wait_for(lambda: holder(places.pid) is None)
    os.kill(int(notes(places, "train")[0][1]), signal.SIGTERM)  # the real trainer sees that its parent is gone
    again = start(places)
    assert again != number
    stop(places, patience_s=PATIENCE_S)


def test_what_outlives_the_keeper_is_told_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        stopping, staying = long_run.watch_for_stop(), long_run.watch_for_stop(by_parents_death=False)
        assert not stopping()
        monkeypatch.setattr(os, "getppid", lambda: -1)  # 1 may be the real one, where a test's own parent has gone
        assert stopping()
        assert not staying()
        os.kill(os.getpid(), signal.SIGTERM)
        assert staying()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
