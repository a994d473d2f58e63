# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The long run: training in the background for days, behind everything else that the machine does.

A keeper process starts two others and restarts them when they die: the trainer, and the maker of heads. All of them run
at the lowest priority. The keeper holds the folder's pid file, so a second one is refused; SIGTERM to it ends the
trainer, which writes a checkpoint if it has begun. One folder holds the whole run: `pool/` and `validation/` (heads),
`run/` (checkpoints, log), the pid file, and the output of the processes.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from training.checkpoints import Checkpoints
from training.history import LOG, entries
from training.lock import hold, holder

log = logging.getLogger(__name__)

FOLDER: Final = Path("var/training/long")
AUTOGROUP: Final = Path("/proc/self/autogroup")
"""The niceness of a whole session; it is there where the kernel schedules by session."""
PID: Final = "keeper.pid"
PATIENCE_S: Final = 180.0
"""How long a stop may take: a step, a head of a validation, a checkpoint; the first step is compiled for a minute."""
FIRST_WAIT_S, LONGEST_WAIT_S = 10.0, 600.0
"""The pause between the death of a process and its next start, s: the first, and the longest after doubling."""
WELL_AFTER_S: Final = 1800.0
"""A process that ran this long was well, s: after its next death the pause is the shortest again."""


@dataclass(frozen=True)
class Places:
    """Where the parts of a long run lie."""

    folder: Path

    @property
    def pid(self) -> Path:
        """The keeper's locked pid file."""
        return self.folder / PID

    @property
    def pool(self) -> Path:
        """Heads to learn from."""
        return self.folder / "pool"

    @property
    def validation(self) -> Path:
        """Heads to validate on."""
        return self.folder / "validation"

    @property
    def run(self) -> Path:
        """Checkpoints and log."""
        return self.folder / "run"

    @property
    def log(self) -> Path:
        """The run's log."""
        return self.run / LOG

    @property
    def last_part(self) -> Path:
        """What `begin_last_part` writes: the run's last part is asked for."""
        return self.folder / "last-part.json"

    def step(self) -> int:
        """Return the step that the log has reached."""
        return max((int(line["step"]) for line in entries(self.log)), default=0)


def begin_last_part(places: Places, steps: int) -> None:
    """Let the run end with `steps` steps on whole slices from its newest checkpoint on.

    One that has begun goes on as it was asked for.

    Raises
    ------
    ValueError
        If the run has no checkpoint yet, or a part of another length has begun.
    """
    if steps < 1:
        raise ValueError(f"a last part has one step at least, not {steps}")
    if places.last_part.exists():
        if (begun := int(json.loads(places.last_part.read_text())["steps"])) != steps:
            raise ValueError(f"the last part in {places.folder} has {begun:,} steps; `--crops` gives it up")
        return
    first = Checkpoints(places.run / "checkpoints").newest_step()
    if first is None:
        raise ValueError(f"there is no checkpoint in {places.run} yet: whole slices are the last part of a run")
    partial = places.last_part.with_name(f".{places.last_part.name}.partial")
    partial.write_text(json.dumps({"first": first, "steps": steps}) + "\n")
    partial.replace(places.last_part)


def start(places: Places) -> int:
    """Start the keeper in the background and return the number of its process.

    Raises
    ------
    AlreadyRunningError
        If the run is going on already.
    RuntimeError
        If the keeper ended at once; its output says why.
    """
    with hold(places.pid):  # refuses a second one with its number
        pass
    said = places.folder / "keeper.log"
    idle = ["ionice", "-c", "3"] if shutil.which("ionice") else []
    with said.open("a") as output:
        keeper = subprocess.Popen(
            [*idle, *_command("keep", places.folder)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    for _ in range(600):
        if holder(places.pid) is not None:
            return keeper.pid
        if keeper.poll() is not None:
            break
        time.sleep(0.2)
    raise RuntimeError(f"the run did not start; {said} says why")


def stop(places: Places, patience_s: float = PATIENCE_S) -> int | None:
    """End the run, with a checkpoint once it has begun; return the number of its keeper, None if there was none.

    Raises
    ------
    TimeoutError
        If it has not ended after `patience_s`.
    """
    keeper = holder(places.pid)
    if keeper is None:
        return None
    os.kill(keeper, signal.SIGTERM)
    until = time.monotonic() + patience_s
    while holder(places.pid) is not None:
        if time.monotonic() > until:
            raise TimeoutError(f"process {keeper} has not ended after {patience_s:.0f} s; it still may")
        time.sleep(0.2)
    return keeper


def keep(places: Places) -> None:
    """Keep trainer and maker of heads running until SIGTERM or SIGINT, or until the trainer has finished."""
    take_lowest_priority()
    stopping = watch_for_stop(by_parents_death=False)
    with hold(places.pid):
        children = [
            Child([*_command("train", places.folder)], places.folder / "trainer.log", required=True),
            Child([*_command("heads", places.folder)], places.folder / "heads.log"),
        ]
        try:
            while not stopping() and not any(child.has_finished() for child in children):
                for child in children:
                    child.tend()
                time.sleep(0.5)
        finally:
            for child in children:
                child.end()
            for child in children:
                child.wait()


def take_lowest_priority() -> None:
    """Give this process, and those that it starts, the processor only when nobody else wants it.

    If the kernel groups processes by session (`kernel.sched_autogroup_enabled`, sched(7)), niceness counts only inside
    a session, and the keeper leads its own: then the whole group has to be nice.
    """
    os.setpriority(os.PRIO_PROCESS, 0, 19)
    with contextlib.suppress(OSError):  # a kernel without such groups, or a group that belongs to somebody else
        AUTOGROUP.write_text("19")


class Child:
    """A process that is restarted when it dies, after a pause that grows with each death."""

    def __init__(self, command: Sequence[str], output: Path, required: bool = False):
        self.command = list(command)
        self.output = output
        self.required = required
        self.process: subprocess.Popen[bytes] | None = None
        self.wait_s = FIRST_WAIT_S
        self.started = 0.0
        self.due = 0.0

    def has_finished(self) -> bool:
        """Return whether the run is over because this process came to its own end."""
        return self.required and self.process is not None and self.process.poll() == 0

    def tend(self) -> None:
        """Start the process if it is due, and set a time for its next start if it has died."""
        now = time.monotonic()
        if self.process is None:
            if now >= self.due:
                with self.output.open("a") as output:
                    self.process = subprocess.Popen(
                        self.command, stdin=subprocess.DEVNULL, stdout=output, stderr=output
                    )
                self.started = now
        elif (status := self.process.poll()) is not None:
            if now - self.started > WELL_AFTER_S:
                self.wait_s = FIRST_WAIT_S
            log.warning("%s ended with %d, next start in %.0f s", self.command[-3:], status, self.wait_s)
            self.process, self.due = None, now + self.wait_s
            self.wait_s = min(LONGEST_WAIT_S, 2 * self.wait_s)

    def end(self) -> None:
        """Tell the process to end."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def wait(self) -> None:
        """Wait until the process has ended."""
        if self.process is not None:
            self.process.wait()


def watch_for_stop(by_parents_death: bool = True) -> Callable[[], bool]:
    """Return a function that says whether SIGTERM or SIGINT has come, or whoever started this process has died.

    The keeper outlives whoever started it; the others shall not outlive the keeper, however it ended.
    """
    parent = os.getppid()
    told: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _: told.append(received))
    return lambda: bool(told) or (by_parents_death and os.getppid() != parent)


def _command(part: str, folder: Path) -> list[str]:
    """Return the command line of a part of the run."""
    return [sys.executable, "-m", "training", "long", part, "--folder", str(folder)]
