# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The faults that the appliance suffers while studies come: one function for each, and one table of them.

A fault lasts as long as its function; what it took away, it gives back before it returns.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Final

from tests.chaos.bench import Bench
from tests.chaos.links import Conduct

Fault = Callable[[Bench, Random], None]
_LONGEST_PAUSE_S: Final = 12.0
"""Longer than the watch is patient, so that it takes some paused processes for dead."""


def _send(pids: list[int], blow: signal.Signals) -> list[int]:
    """Send a signal to processes; return those that existed."""
    reached = []
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            if pid:
                os.kill(pid, blow)
                reached.append(pid)
    return reached


@contextmanager
def _stop(pids: list[int]) -> Iterator[None]:
    reached = _send(pids, signal.SIGSTOP)
    try:
        yield
    finally:
        _send(reached, signal.SIGCONT)


def _kill(server: str) -> Fault:
    return lambda bench, _: void(_send([bench.pid(server)], signal.SIGKILL))


def _restart(server: str) -> Fault:
    return lambda bench, _: void(_send([bench.pid(server)], signal.SIGTERM))


def _pause(server: str) -> Fault:
    def pause(bench: Bench, random: Random) -> None:
        with _stop([bench.pid(server)]):
            time.sleep(random.uniform(0.5, _LONGEST_PAUSE_S))

    return pause


def void(_: object) -> None:
    """Take a value that nobody needs."""


def _kill_model_process(bench: Bench, _: Random) -> None:
    _send(bench.model_processes(), signal.SIGKILL)


def _pause_model_process(bench: Bench, random: Random) -> None:
    with _stop(bench.model_processes()):
        time.sleep(random.uniform(0.5, _LONGEST_PAUSE_S))


def _lock_ledger(bench: Bench, random: Random) -> None:
    with (
        contextlib.closing(sqlite3.connect(bench.ledger_file, isolation_level=None, timeout=20)) as other,
        contextlib.suppress(sqlite3.OperationalError),  # the disk may be full just now
    ):
        other.execute("BEGIN IMMEDIATE")
        time.sleep(random.uniform(0.5, _LONGEST_PAUSE_S))
        other.execute("ROLLBACK")


def _fill_disk(bench: Bench, random: Random) -> None:
    filler = bench.disk / "filler"
    try:
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(2**16))
        time.sleep(random.uniform(0.5, _LONGEST_PAUSE_S))
    finally:
        filler.unlink(missing_ok=True)


def _kill_all(bench: Bench, _: Random) -> None:
    """Kill everything except the supervisor at once, as a power cut would."""
    pids = [bench.pid(server) for server in ("orthanc", "triton", "service", "watch")]
    _send([*pids, *bench.model_processes()], signal.SIGKILL)


def _link(conduct: Conduct) -> Fault:
    """Put one link, or all of them, into a state for a while."""

    def misbehave(bench: Bench, random: Random) -> None:
        links = [*bench.links.values()]
        chosen = random.choice([*([link] for link in links), links])
        try:
            for link in chosen:
                link.behave(conduct)
            time.sleep(random.uniform(0.5, _LONGEST_PAUSE_S))
        finally:
            for link in chosen:
                link.behave(Conduct.OPEN)

    return misbehave


def _move_clock(bench: Bench, random: Random) -> None:
    """Move the service's clock by up to a day; half of the time the service restarts meanwhile."""
    try:
        bench.set_clock(random.choice((-1, 1)) * random.choice((30.0, 3600.0, 86_400.0)))
        if random.random() < 0.5:
            _send([bench.pid("service")], signal.SIGKILL)
        time.sleep(random.uniform(0.5, _LONGEST_PAUSE_S))
    finally:
        bench.set_clock(0)


def _stop_postgres(bench: Bench, random: Random) -> None:
    assert bench.postgres is not None
    bench.postgres.stop()
    try:
        time.sleep(random.uniform(0.5, _LONGEST_PAUSE_S))
    finally:
        bench.postgres.start()


FAULTS: Final[dict[str, Fault]] = {
    **{f"{server} killed": _kill(server) for server in ("orthanc", "triton", "service", "watch")},
    **{f"{server} paused": _pause(server) for server in ("orthanc", "triton", "service")},
    **{f"{server} restarted": _restart(server) for server in ("orthanc", "service")},
    "model process killed": _kill_model_process,
    "model process paused": _pause_model_process,
    "all killed": _kill_all,
    "ledger locked": _lock_ledger,
    "ledger stopped": _stop_postgres,
    "disk filled": _fill_disk,
    **{f"network {conduct.value}": _link(conduct) for conduct in Conduct if conduct is not Conduct.OPEN},
    "clock moved": _move_clock,
}


def faults_for(bench: Bench) -> dict[str, Fault]:
    """Return the faults that can be made here.

    Only a disk of its own is filled, only a file is locked, and only PostgreSQL is stopped.
    """
    apart = {
        "disk filled": bench.is_mounted,
        "ledger locked": bench.postgres is None,
        "ledger stopped": bench.postgres is not None,
    }
    return {name: fault for name, fault in FAULTS.items() if apart.get(name, True)}
