# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""One run of chaos: studies come while faults are made, then all is left in peace, then it is audited."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, Final

from appliance.inference.regions import SHARED_MEMORY, region_prefix
from tests.chaos.audit import faults_of
from tests.chaos.bench import Bench
from tests.chaos.faults import FAULTS, faults_for
from tests.chaos.senders import Sent, send_study

SENDERS: Final = 3
_SENT_BY_S: Final = 5400.0
_SETTLED_BY_S: Final = 900.0
_MIB_A_STUDY: Final = 4.0
_DISK_MIB: Final = 480
"""The service is ready with 200 MB free, as a head CT may take so much."""
_WARMING: Final = 3
"""Studies that come before the first fault: what the servers hold after them is what they are compared with."""
_NOTED_EVERY_S: Final = 20.0
_MOST_WAITING: Final = 20
"""With so many studies unanswered the senders wait, so that there are faults for as long as there is work."""


def run(
    studies: int,
    seed: int,
    gap_s: tuple[float, float] = (1.0, 8.0),
    only: tuple[str, ...] = (),
    *,
    on_postgres: bool = False,
    minutes: float = 0,
    note: Callable[[dict[str, Any]], None] = lambda _: None,
) -> dict[str, Any]:
    """Return what was seen, as plain JSON: `wrong_studies` has an entry for each study that is not as it should be.

    `gap_s` is the shortest and longest time between two faults, `only` the faults that are made, each at least once.
    After `minutes` no further study is sent, unless they are 0. `note` hears meanwhile how far it is.
    """
    random = Random(seed)
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    bench = Bench(folder, int(_DISK_MIB + _MIB_A_STUDY * studies), on_postgres=on_postgres)
    seeds = [Random(random.getrandbits(64)) for _ in range(studies)]
    confirmed: list[Sent] = []
    try:
        bench.up()
        known = faults_for(bench)
        end = time.monotonic() + (60 * minutes or _SENT_BY_S)
        sent = _send(bench, folder, seeds[:_WARMING], 0, end, confirmed)
        bench.wait_until(bench.has_settled, _SETTLED_BY_S)
        begun = bench.burden()
        storm = _Storm(bench, Random(seed + 1), gap_s, [name for name in known if not only or name in only])
        storm.thread.start()
        with _notes(lambda: note({"confirmed": len(confirmed), "faults": dict(storm.made), **bench.burden()})):
            sent += _send(bench, folder, seeds[_WARMING:], _WARMING, end, confirmed)
            storm.end()
        calm = time.monotonic()
        bench.wait_until(bench.is_idle, _SETTLED_BY_S)
        answered_s = time.monotonic() - calm
        settled = bench.wait_until(bench.has_settled, _SETTLED_BY_S)
        settled_s = time.monotonic() - calm
        seen = _audit(bench, confirmed)
        restarts = {name: one.restarts for name, one in bench.seen().items()}
        ended = bench.burden()
    finally:
        bench.down()
    left = [file.name for file in SHARED_MEMORY.iterdir() if file.name.startswith(region_prefix(bench.settings.triton))]
    shutil.rmtree(folder, ignore_errors=True)
    return {
        "seed": seed,
        "ledger": "PostgreSQL" if on_postgres else "SQLite",
        "studies": sent,
        "confirmed": len(confirmed),
        "senders": dict(Counter(sent.sender for sent in confirmed)),
        "faults": dict(storm.made),
        "faults_not_made_here": sorted(set(FAULTS) - set(known)),
        "restarts": restarts,
        "settled": settled,
        "last_answered_after_s": round(answered_s, 1),
        "settled_after_s": round(settled_s, 1),
        "begun": begun,
        "ended": ended,
        "shared_memory_left": left,
        **seen,
    }


class _Storm:
    """Makes faults, one after another, each of the list once before any is made again."""

    def __init__(self, bench: Bench, random: Random, gap_s: tuple[float, float], names: list[str]) -> None:
        self.made: Counter[str] = Counter()
        self.thread = threading.Thread(target=self._make, args=(bench, random, gap_s, names))
        self._over = threading.Event()

    def _make(self, bench: Bench, random: Random, gap_s: tuple[float, float], names: list[str]) -> None:
        known = faults_for(bench)
        while True:
            for name in random.sample(names, len(names)):
                time.sleep(random.uniform(*gap_s))
                if self._over.is_set() and self.made.total() >= len(names):
                    return
                known[name](bench, random)
                self.made[name] += 1

    def end(self) -> None:
        """Make what is left of the first round, and no more."""
        self._over.set()
        self.thread.join()


def _send(bench: Bench, folder: Path, seeds: Sequence[Random], first: int, end: float, confirmed: list[Sent]) -> int:
    """Send a study for each seed, numbered from `first`; return how many were begun before `end` (monotonic).

    Each one is added to `confirmed` once Orthanc has all of it, unless that takes it very long.
    """

    def send(number: int, random: Random) -> bool:
        while bench.waiting() > _MOST_WAITING and time.monotonic() < end:
            time.sleep(1)
        if time.monotonic() > end:
            return False
        sent = send_study(bench.settings, folder / str(number), random, number, end + _SETTLED_BY_S)
        shutil.rmtree(folder / str(number))
        if sent is not None:
            confirmed.append(sent)
        return True

    with ThreadPoolExecutor(SENDERS) as senders:
        return sum(senders.map(send, range(first, first + len(seeds)), seeds))


@contextmanager
def _notes(take: Callable[[], None]) -> Iterator[None]:
    """Take a note every so often, in a thread of its own."""
    over = threading.Event()

    def take_notes() -> None:
        while not over.wait(_NOTED_EVERY_S):
            take()

    thread = threading.Thread(target=take_notes)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _audit(bench: Bench, confirmed: list[Sent]) -> dict[str, Any]:
    states: Counter[str] = Counter()
    wrong = {}
    for sent in confirmed:
        study = bench.study(sent.uid)
        told = next(iter(bench.status(study)["studies"]), None) if study else None
        states[told["state"] if told else "unknown"] += 1
        if found := faults_of(bench, sent, told):
            wrong[sent.uid] = found
    kinds = Counter(fault.partition(":")[0] for found in wrong.values() for fault in found)
    return {
        "answered": states["done"],
        "refused": states["refused"],
        **{kind: kinds[kind] for kind in ("lost", "twice", "unsaid", "wrong", "part", "orphan")},
        "wrong_studies": wrong,
    }
