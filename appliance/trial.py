# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Tries a study in a process of its own, to learn whether reading it kills the process that reads it.

A service that ended in the middle of a study proves nothing: it may have been killed, or the power may have failed. So
a study in whose middle the service ended more than once is read first by a process that does nothing else
(`trial_process`). When that dies by a fault of its own, or for the memory that it took, this is the study's doing; so
it is when that does not come to an end, unless it was Orthanc that it waited for.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from appliance.errors import ApplianceError, UnavailableError
from appliance.settings import Settings

MOST_DEATHS: Final = 2
"""So many times the service may end in the middle of a study before that is first read in a process of its own."""
UNAVAILABLE: Final = os.EX_TEMPFAIL
"""Exit status of a trial in which a neighbour did not answer."""

WAITING: Final = b"trial waits since "
WAITED: Final = b"trial waited "
"""How a trial tells of its waiting for Orthanc: since when (by the monotonic clock of the machine), and then the sum of
it so far, s; a line each."""

_ROOT: Final = Path(__file__).parents[1]
_VM_STATISTICS: Final = Path("/proc/vmstat")
_OWN_FAULTS: Final = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSYS)


class KillsReaderError(ApplianceError):
    """The process that did nothing but read the study died of it; the text is the evidence."""


class Trial:
    """Runs trials with the service's settings, each for `longest_s` at most.

    `program` is the module that is run, and its arguments.
    """

    def __init__(self, settings: Settings, program: Sequence[str], longest_s: float) -> None:
        self._settings = settings
        self._program = tuple(program)
        self._longest_s = longest_s

    def run(self, study_uid: str, instances: Sequence[str], left_out: Sequence[str] = ()) -> None:
        """Return when the study, given by Orthanc's identifiers of its instances, was read without a death.

        `left_out` are the stacks, by their slice-set hashes, that are not to be read.

        Raises
        ------
        KillsReaderError
            when the process died of it, or did not come to an end though Orthanc did not keep it waiting.
        UnavailableError
            when that cannot be told: a neighbour is away or slow, or somebody else ended the process.
        """
        request = {
            "settings": self._settings.model_dump(mode="json"),
            "study": study_uid,
            "instances": list(instances),
            "left_out": list(left_out),
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
        """Return what a trial that did not end tells: little, where Orthanc had most of its time, or the last of it."""
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
    """Tells, from within a trial, of its waiting for Orthanc."""

    def __init__(self, tell: Callable[[bytes], object]) -> None:
        self._tell = tell
        self._waited_s = 0.0

    def wrap(self, fetch: Callable[[str], bytes]) -> Callable[[str], bytes]:
        """Return `fetch`, which tells of itself from now on."""

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
    """Return how long a trial that was ended had waited for Orthanc, s, and whether it was just doing so."""
    waited_s, since = 0.0, None
    for line in said.splitlines():
        if line.startswith(WAITING):
            since = float(line.removeprefix(WAITING))
        elif line.startswith(WAITED):
            waited_s, since = float(line.removeprefix(WAITED)), None
    return (waited_s, False) if since is None else (waited_s + ended_at - since, True)


def _last_line(told: bytes) -> str:
    """Return the last line of what a trial said: its own sentences, which name no patient."""
    lines = told.decode(errors="replace").strip().splitlines()
    return lines[-1][:500] if lines else ""


def _count_killed_for_memory() -> int:
    """Return how many processes the kernel has killed for lack of memory since the boot."""
    try:
        lines = _VM_STATISTICS.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
