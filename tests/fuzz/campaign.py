# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Feeds targets with spoiled input, one after the other, and keeps the findings."""

from __future__ import annotations

import ctypes
import gc
import hashlib
import random
import re
import resource
import signal
import time
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
_MEASURED_TOGETHER: Final = 50
"""Measuring the most memory takes as long as most inputs: it is done once for so many, for each alone if they grew."""
MOST_LEAKED_MIB: Final = 32
"""A campaign after which the process holds so much more than once it was warm is a finding: something is kept."""
_WARMING: Final = 0.1
"""This share of the inputs, the first ones, fills what is kept once: imports, dictionaries and caches."""
_FEWEST: Final = 50
"""Growth over fewer inputs is nothing steady."""
NEXT_EVERY: Final = 2000
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


@dataclass
class Tally:
    """What was fed to a target: how many inputs, how long the slowest took (processor time, ms), how many findings.

    `grown_mib` is by how much the process grew while it was fed, once it was warm; what others free later counts too.
    """

    inputs: int = 0
    slowest_ms: float = 0.0
    found: int = 0
    grown_mib: float = 0.0


def try_input(target: Target, data: bytes) -> Found | None:
    """Feed one input and return what went wrong, or None."""
    before = _peak_mib(anew=True)
    found = _feed(target, data)
    grown = _peak_mib() - before
    if found is None and grown > MOST_MIB:
        return Found(target.name, data, f"grew by {grown:.0f} MiB", "memory")
    return found


def _feed(target: Target, data: bytes) -> Found | None:
    def give_up(_number: int, _frame: FrameType | None) -> None:
        raise TookLongError(f"longer than {LONGEST_S:g} s")

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
    return None


def campaign(
    inputs: int,
    seed: int,
    only: str = "",
    told: Callable[[int, int], bool] = lambda _done, _found: True,
    tallies: dict[str, Tally] | None = None,
) -> tuple[int, list[Found]]:
    """Feed inputs and return how many were fed and what was found, each finding once.

    Memory that grows a little with every input is a finding of the target under which it grew most.

    `told` hears after each input how many were fed and found, and ends the campaign by returning False. `tallies`
    gets what was fed to each target.
    """
    targets = {name: make() for name, make in TARGETS.items() if only in ("", name)}
    tallies = {} if tallies is None else tallies
    tallies |= {name: Tally() for name in targets}
    names, shares = list(targets), [SHARES[one] for one in targets]
    found: dict[tuple[str, str], Found] = {}
    unmeasured: list[tuple[Target, bytes]] = []
    gc.collect()  # what came before and is freed later would hide what grows
    before = _peak_mib(anew=True)

    def keep(one: Found) -> None:
        tallies[one.target].found += (one.target, one.where) not in found
        found.setdefault((one.target, one.where), one)

    def measure() -> None:
        """Feed the inputs since the last measurement again, each alone, if they grew."""
        if unmeasured and _peak_mib() - before > MOST_MIB:
            for target, data in unmeasured:
                if (one := try_input(target, data)) and one.where == "memory":
                    keep(one)
        unmeasured.clear()

    done, warm = 0, int(inputs * _WARMING)
    held_mib = 0.0
    last: dict[str, bytes] = {}
    for number in range(inputs):
        if number == warm:
            for target in targets.values():  # the rarest may not have been fed yet, and imports much
                target.check_next()
            held_mib = _kept_mib()
        rng = random.Random(f"{seed}-{number}")
        name = rng.choices(names, shares)[0]
        data = targets[name].make(rng)
        began, holds_mib = time.process_time(), _held_mib()
        one = _feed(targets[name], data)
        tally = tallies[name]
        tally.slowest_ms = max(tally.slowest_ms, 1000 * (time.process_time() - began))
        tally.inputs += 1
        if number >= warm:
            tally.grown_mib += _held_mib() - holds_mib
            last[name] = data
        done += 1
        unmeasured.append((targets[name], data))
        if one is not None:
            keep(one)
        if len(unmeasured) == _MEASURED_TOGETHER:
            measure()
            before = _peak_mib(anew=True)
        if number % NEXT_EVERY == NEXT_EVERY - 1:
            for target in targets.values():
                target.check_next()
        if not told(done, len(found)):
            break
    measure()
    if done - warm >= _FEWEST and (leaked := _kept_mib() - held_mib) > MOST_LEAKED_MIB:
        name = max(last, key=lambda one: tallies[one].grown_mib)
        words = f"grew by {leaked:.0f} MiB in {done - warm} inputs, {tallies[name].grown_mib:.0f} of them under {name}"
        keep(Found(name, last[name], words, "leak"))
    return done, list(found.values())


def replay(file: Path) -> Found | None:
    """Feed a kept input to the target that its name begins with."""
    return try_input(TARGETS[file.name.partition("-")[0]](), file.read_bytes())


def _held_mib() -> float:
    """Return the memory that this process holds now (Linux, proc(5))."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def _kept_mib() -> float:
    """Return the memory that this process holds once all that is free has gone back to the system (glibc)."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return _held_mib()


def _peak_mib(*, anew: bool = False) -> float:
    """Return the most memory that this process has held; with `anew`, count from now on (Linux, proc(5))."""
    if anew:
        Path("/proc/self/clear_refs").write_text("5")
    return int(re.findall(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())[0]) / 1024
