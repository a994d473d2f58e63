# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Feeds targets with spoiled input, one after the other, and keeps the findings."""

from __future__ import annotations

import hashlib
import random
import re
import signal
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final

from tests.fuzz.targets import SHARES, TARGETS, Target

LONGEST_S: Final = 20.0
"""An input that takes more processor time is a finding; the time of other processes does not count."""
MOST_MIB: Final = 400
"""An input that makes the process grow by more is a finding."""
NEXT_EVERY: Final = 250
SEEDS: Final = Path(__file__).parent / "seeds"


class TookLongError(Exception):
    """An input took longer than `LONGEST_S`."""


@dataclass(frozen=True)
class Found:
    """An input with which something went wrong; two with the same `where`, the end of the trace, count as one."""

    target: str
    data: bytes
    error: str
    where: str

    @property
    def name(self) -> str:
        """A file name for it."""
        return f"{self.target}-{hashlib.sha256(self.data).hexdigest()[:16]}.bin"


def try_input(target: Target, data: bytes) -> Found | None:
    """Feed one input and return what went wrong, or None."""

    def give_up(_number: int, _frame: FrameType | None) -> None:
        raise TookLongError(f"longer than {LONGEST_S:g} s")

    before = _peak_mib(anew=True)
    earlier = signal.signal(signal.SIGPROF, give_up)
    signal.setitimer(signal.ITIMER_PROF, LONGEST_S)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            target.feed(data)
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        where = " > ".join(f"{Path(frame.filename).name}:{frame.name}:{frame.lineno}" for frame in frames[-4:])
        return Found(target.name, data, f"{type(error).__name__}: {error}"[:300], where)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, earlier)
    grown = _peak_mib() - before
    if grown > MOST_MIB:
        return Found(target.name, data, f"grew by {grown:.0f} MiB", "memory")
    return None


def campaign(
    inputs: int, seed: int, only: str = "", told: Callable[[int, int], bool] = lambda _done, _found: True
) -> tuple[int, list[Found]]:
    """Feed inputs and return how many were fed and what was found, each finding once.

    `told` hears after each input how many were fed and found, and ends the campaign by returning False.
    """
    targets = {name: make() for name, make in TARGETS.items() if only in ("", name)}
    found: dict[tuple[str, str], Found] = {}
    done = 0
    for number in range(inputs):
        rng = random.Random(f"{seed}-{number}")
        name = rng.choices(list(targets), [SHARES[one] for one in targets])[0]
        data = targets[name].make(rng)
        one = try_input(targets[name], data)
        done += 1
        if one is not None:
            found.setdefault((one.target, one.where), one)
        if number % NEXT_EVERY == NEXT_EVERY - 1:
            for target in targets.values():
                target.check_next()
        if not told(done, len(found)):
            break
    return done, list(found.values())


def replay(file: Path) -> Found | None:
    """Feed a kept input to the target that its name begins with."""
    return try_input(TARGETS[file.name.partition("-")[0]](), file.read_bytes())


def _peak_mib(*, anew: bool = False) -> float:
    """Return the most memory that this process has held; with `anew`, count from now on (Linux, proc(5))."""
    if anew:
        Path("/proc/self/clear_refs").write_text("5")
    return int(re.findall(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())[0]) / 1024
