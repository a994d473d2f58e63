# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Tries a study in a process of its own, to learn whether reading it kills the process that reads it.

A service that ended in the middle of a study proves nothing: it may have been killed, or the power may have failed. So
when the service ended more than once in the middle of a study, a process that does nothing else reads it first
(`trial_process`). If that process dies by a fault of its own, or is killed for its memory, the study is the cause. The
same is true if it does not end, unless it was waiting for Orthanc.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from appliance.errors import ApplianceError, UnavailableError
from appliance.inference.served_model import SHIPPED, Target
from appliance.settings import Settings

MOST_DEATHS: Final = 2
"""How often the service may end in the middle of a study before a process of its own reads the study first."""
_MORE_DEATHS: Final = 2
"""By which factor the deaths must have grown since a trial that went well before there is another."""
UNAVAILABLE: Final = os.EX_TEMPFAIL
"""Exit status of a trial in which a neighbour did not answer."""

WAITING: Final = b"trial waits since "
WAITED: Final = b"trial waited "
"""How a trial reports its waits for Orthanc: a line with the start (by the machine's monotonic clock), and one with
the sum so far, s."""

_ROOT: Final = Path(__file__).parents[1]
_VM_STATISTICS: Final = Path("/proc/vmstat")
_OWN_FAULTS: Final = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSYS)


class KillsReaderError(ApplianceError):
    """The process that only read the study died of it; the text is the evidence."""


def is_trial_due(deaths: int, deaths_at_trial: int) -> bool:
    """Return whether a trial must read a study before the service does, given its `deaths` now and at its last trial.

    A service that is killed every few seconds would never come to an answer if each of its starts began with a trial of
    the same study.
    """
    return deaths >= max(MOST_DEATHS, _MORE_DEATHS * deaths_at_trial)


class Trial:
    """Runs trials with the service's settings, each for `longest_s` at most.

    `program` is the module that is run, and its arguments. `targets` returns the models that may answer, as for the
    worker: the study is tried with the model that would read it.
    """

    def __init__(
        self,
        settings: Settings,
        program: Sequence[str],
        longest_s: float,
        targets: Callable[[], Sequence[Target]] = lambda: (SHIPPED,),
    ) -> None:
        self._settings = settings
        self._program = tuple(program)
        self._longest_s = longest_s
        self._targets = targets

    def run(self, study_uid: str, instances: Sequence[str], left_out: Sequence[str] = ()) -> None:
        """Read a study, given by Orthanc's identifiers of its instances; return if the process did not die.

        `left_out` are the stacks, by their slice-set hashes, that are not read.

        Raises
        ------
        KillsReaderError
            when the process died of it, or did not end although Orthanc did not keep it waiting.
        UnavailableError
            when this cannot be decided: a neighbour is away or slow, or somebody else ended the process.
        """
        request = {
            "settings": self._settings.model_dump(mode="json"),
            "study": study_uid,
            "instances": list(instances),
            "left_out": list(left_out),
            "targets": [asdict(target) for target in self._targets()],
        }
        killed_for_memory = _count_killed_for_memory()
        with subprocess.Popen(
            [sys.executable, "-m", *self._program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=_ROOT,
            start_new_session=True,
        ) as process:
            try:
                _, told = process.communicate(json.dumps(request).encode(), self._longest_s)
            except subprocess.TimeoutExpired:
                ended_at = time.monotonic()
                process.kill()
                said, _ = process.communicate()
                raise self._explain_delay(said, ended_at) from None
        self._judge(process.returncode, told, _count_killed_for_memory() - killed_for_memory)

    def _explain_delay(self, said: bytes, ended_at: float) -> KillsReaderError | UnavailableError:
        """Return the error of a trial that did not end: no evidence if it waited, or mostly waited, for Orthanc."""
        waited_s, is_waiting = _sum_waits(said, ended_at)
        if is_waiting or waited_s > self._longest_s / 2:
            return UnavailableError(
                f"a study could not be tried: {waited_s:.0f} of {self._longest_s:.0f} s went on waiting for Orthanc"
            )
        return KillsReaderError(f"the process that did nothing but read it had not ended after {self._longest_s:.0f} s")

    def _judge(self, status: int, told: bytes, killed_for_memory: int) -> None:
        if status >= 0:
            if status:
                raise UnavailableError(f"a study could not be tried: {_last_line(told) or f'exit status {status}'}")
            return
        name = signal.Signals(-status).name
        if -status in _OWN_FAULTS:
            raise KillsReaderError(f"the process that did nothing but read it died by {name}")
        if -status == signal.SIGKILL and killed_for_memory > 0:
            raise KillsReaderError("the process that did nothing but read it was killed for the memory that it took")
        raise UnavailableError(f"the process that tried the study was ended from outside ({name})")


class Waits:
    """Reports, from within a trial, its waits for Orthanc."""

    def __init__(self, tell: Callable[[bytes], object]) -> None:
        self._tell = tell
        self._waited_s = 0.0

    def wrap(self, fetch: Callable[[str], bytes]) -> Callable[[str], bytes]:
        """Return `fetch`, which now reports its waits."""

        def fetch_and_tell(name: str) -> bytes:
            begun = time.monotonic()
            self._tell(b"\n%s%.3f\n" % (WAITING, begun))
            try:
                return fetch(name)
            finally:
                self._waited_s += time.monotonic() - begun
                self._tell(b"\n%s%.3f\n" % (WAITED, self._waited_s))

        return fetch_and_tell


def _sum_waits(said: bytes, ended_at: float) -> tuple[float, bool]:
    """Return how long a trial had waited for Orthanc, s, and whether it was waiting when it was ended."""
    waited_s, since = 0.0, None
    for line in said.splitlines():
        if line.startswith(WAITING):
            since = float(line.removeprefix(WAITING))
        elif line.startswith(WAITED):
            waited_s, since = float(line.removeprefix(WAITED)), None
    return (waited_s, False) if since is None else (waited_s + ended_at - since, True)


def _last_line(told: bytes) -> str:
    """Return the last line that a trial wrote: its own sentences, which name no patient."""
    lines = told.decode(errors="replace").strip().splitlines()
    return lines[-1][:500] if lines else ""


def _count_killed_for_memory() -> int:
    """Return how many processes the kernel has killed for lack of memory since it booted."""
    try:
        lines = _VM_STATISTICS.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
