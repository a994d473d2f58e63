# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m deploy.local.watch FILE`: makes sure that the servers that the supervisor keeps running also answer.

A server that runs and does not answer counts as dead and is restarted; one that failed to come up gets twice the time
with each start. The findings are logged, and kept in a file that `make status` shows.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import structlog

from appliance.errors import ApplianceError
from appliance.log import describe, log_to
from appliance.private import be_private
from appliance.settings_sources import load_settings
from deploy.local.answering import Asked, questions
from deploy.local.supervisor import Control, ProgramState

WATCH: Final = "watch"
"""The name of this program."""
SEEN: Final = "servers.json"
_LOOKED_AT_EVERY_S: Final = 2.0
_FEWEST_FAULTS: Final = 3
_MOST_PATIENCE: Final = 8
_STOPPED: Final = ("STOPPED", "EXITED", "FATAL")


@dataclass
class Seen:
    """What was seen of one server: its process, whether and why it does not answer, how often it was restarted."""

    pid: int = 0
    answers: bool = False
    fault: str = ""
    restarts: int = 0
    last_restart: str = ""
    why: str = ""
    """Why it was last restarted."""
    hung: str = ""
    """Why the watch ended this process."""


@dataclass
class _Wait:
    """Since when the watch has waited for a server (monotonic), how many answers failed, and for how long to wait."""

    since: float
    faults: int = 0
    factor: int = 1


class Watch:
    """Looks at the servers with `look`; `asked` has the question for each by name."""

    def __init__(
        self,
        control: Control,
        asked: Mapping[str, Asked],
        patience_s: float,
        starting_s: float,
        kept: Path,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._control = control
        self._asked = asked
        self._patience_s = patience_s
        self._starting_s = starting_s
        self._kept = kept
        self._clock = clock
        self._log = structlog.get_logger("watch")
        known = read_seen(kept)
        self.seen = {name: known.get(name, Seen()) for name in asked}
        self._waits = {name: _Wait(clock()) for name in asked}

    def look(self) -> None:
        """Look at each server once. Raises `UnavailableError` when the supervisor does not answer."""
        for name, asked in self._asked.items():
            self._look_at(name, self._control.programs()[name], asked)
        self._keep()

    def _look_at(self, name: str, state: ProgramState, asked: Asked) -> None:
        seen, wait = self.seen[name], self._waits[name]
        if state.pid != seen.pid and state.pid:
            if seen.pid:
                self._note_restart(name)
            seen.pid, seen.answers = state.pid, False
            wait.since, wait.faults = self._clock(), 0
        if not state.pid:
            seen.answers, seen.fault = False, state.fault or "has ended and is started again in a moment"
            if state.state in _STOPPED:
                self._control.start(name)
            return
        fault = asked()
        if not fault:
            if not seen.answers:
                self._log.info("server answers", server=name, pid=seen.pid)
            seen.answers, seen.fault = True, ""
            wait.since, wait.faults, wait.factor = self._clock(), 0, 1
            return
        wait.faults += 1
        seen.fault = fault
        allowed = self._patience_s if seen.answers else self._starting_s * wait.factor
        if wait.faults >= _FEWEST_FAULTS and self._clock() - wait.since > allowed:
            self._log.error("server does not answer: it is started again", server=name, pid=seen.pid, fault=fault)
            seen.hung = f"it did not answer for {allowed:.0f} s: {fault}"
            wait.factor = min(_MOST_PATIENCE, 2 * wait.factor)
            self._control.restart(name)

    def _note_restart(self, name: str) -> None:
        seen = self.seen[name]
        seen.why, seen.hung = seen.hung or "it had ended", ""
        seen.restarts += 1
        seen.last_restart = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        self._log.warning("server was started again", server=name, why=seen.why, restarts=seen.restarts)

    def _keep(self) -> None:
        aside = self._kept.with_suffix(".new")
        aside.write_text(json.dumps({name: asdict(seen) for name, seen in self.seen.items()}, indent=2) + "\n")
        aside.replace(self._kept)


def read_seen(file: Path) -> dict[str, Seen]:
    """Return what a watch kept in its file; nothing if there is no readable file."""
    try:
        kept: dict[str, dict[str, Any]] = json.loads(file.read_text())
        return {name: Seen(**values) for name, values in kept.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def main(settings_file: Path, folder: Path) -> None:
    """Watch until SIGTERM comes; `folder` is the supervisor's."""
    be_private()
    log_to()
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    settings = load_settings(settings_file)
    watch = Watch(
        Control(folder / "control.sock"),
        questions(settings),
        settings.supervisor.patience_s,
        settings.supervisor.starting_s,
        folder / SEEN,
    )
    failing = ""
    while not stopping.wait(_LOOKED_AT_EVERY_S):
        try:
            watch.look()
            failing = ""
        except (ApplianceError, OSError) as error:  # a full disk, or a supervisor that stops: look again
            if describe(error) != failing:
                failing = describe(error)
                structlog.get_logger("watch").error("cannot watch", error=failing)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
