# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""One run of chaos: studies come while faults are made, then the appliance is left in peace, then it is audited."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, Final

import httpx

from appliance.errors import UnavailableError
from appliance.inference.regions import SHARED_MEMORY, region_prefix
from tests.chaos.audit import count_images, faults_of
from tests.chaos.bench import Bench
from tests.chaos.faults import FAULTS, faults_for
from tests.chaos.senders import Sent, send_study

SENDERS: Final = 3
FAULTS_A_STUDY: Final = 0.2
_SENT_BY_S: Final = 5400.0
_PATIENCE_S: Final = 900.0
"""How long something is waited for that does not come nearer."""
_AUDITED_BY_S: Final = 1800.0
_MIB_A_STUDY: Final = 5.0
_DISK_MIB: Final = 480
"""The service is ready with 200 MB free, because a head CT may take that much."""
_WARMING: Final = 20
"""Studies that come before the first fault, and again after the last: what the servers hold after them is compared."""
_NOTED_EVERY_S: Final = 20.0
_MOST_WAITING: Final = 20
"""The senders wait while this many studies are unanswered, so that faults come for as long as there is work."""


def run(
    studies: int,
    seed: int,
    gap_s: tuple[float, float] = (1.0, 8.0),
    only: tuple[str, ...] = (),
    *,
    faults: int | None = None,
    on_postgres: bool = False,
    doorbell: bool = True,
    minutes: float = 0,
    note: Callable[[dict[str, Any]], None] = lambda _: None,
) -> dict[str, Any]:
    """Return what was seen, as plain JSON: `wrong_studies` has an entry for each study that is not as it should be.

    `asked` is how many studies had to be sent, with `minutes` those that were. `gap_s` is the
    shortest and longest time between two faults, `only` the faults that are made, each at least once; `faults` is how
    many are made in all at least, one for each five studies unless given, and studies wait for them. After `minutes` no
    further study is sent, unless they are 0. `note` hears meanwhile how far it is.
    """
    random = Random(seed)
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    bench = Bench(folder, int(_DISK_MIB + _MIB_A_STUDY * studies), on_postgres=on_postgres, doorbell=doorbell)
    seeds = [Random(random.getrandbits(64)) for _ in range(studies)]
    warming = min(_WARMING, studies // 3)
    progress = _Progress(bench, studies, note)
    storm = None
    try:
        progress.phase = "starting"
        bench.up()
        version = str(bench.orthanc.get("/system").raise_for_status().json()["Version"])
        known = faults_for(bench)
        names = [name for name in known if not only or name in only]
        wanted = max(len(names), round(FAULTS_A_STUDY * studies)) if faults is None else faults
        storm = progress.storm = _Storm(bench, Random(seed + 1), gap_s, names, wanted)
        end = time.monotonic() + (60 * minutes or _SENT_BY_S)
        with progress.shown():
            progress.phase = "warming"
            sent = _send(bench, folder, seeds[:warming], 0, end, progress)
            _wait(bench, bench.has_settled)
            begun = bench.burden()
            progress.phase = "under fire"
            storm.thread.start()
            sent += _send(bench, folder, seeds[warming : studies - warming], warming, end, progress)
            storm.end()
            calm = time.monotonic()
            progress.phase = "settling"
            _wait(bench, bench.is_idle)
            answered_s = time.monotonic() - calm
            settled = _wait(bench, bench.has_settled)
            settled_s = time.monotonic() - calm
            progress.phase = "in peace again"
            end = time.monotonic() + _SENT_BY_S  # however long it took to settle
            sent += _send(bench, folder, seeds[studies - warming :], studies - warming, end, progress)
            settled = _wait(bench, bench.has_settled) and settled
            progress.phase = "audit"
            seen = _audit(bench, progress.confirmed)
        restarts = {name: one.restarts for name, one in bench.seen().items()}
        ended = bench.burden()
    finally:
        if storm is not None:
            storm.break_off()
        bench.down()
        shutil.rmtree(folder, ignore_errors=True)
    left = [file.name for file in SHARED_MEMORY.iterdir() if file.name.startswith(region_prefix(bench.settings.triton))]
    return {
        "seed": seed,
        "orthanc": version,
        "ledger": "PostgreSQL" if on_postgres else "SQLite",
        "asked": sent if minutes else studies,
        "studies": sent,
        "confirmed": len(progress.confirmed),
        "confirmed_and_not_kept": sum(one.images - (one.kept or 0) for one in progress.confirmed if not one.is_kept),
        "senders": dict(Counter(sent.sender for sent in progress.confirmed)),
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
        "burdens": progress.burdens,
    }


def _wait(bench: Bench, holds: Callable[[], bool]) -> bool:
    """Wait until something holds; return whether it did before no study was answered for `_PATIENCE_S`.

    How long a long queue takes depends on the machine, and says nothing about the appliance.
    """
    fewest, end = bench.waiting(), time.monotonic() + _PATIENCE_S
    while not holds():
        if (waiting := bench.waiting()) < fewest:
            fewest, end = waiting, time.monotonic() + _PATIENCE_S
        if time.monotonic() > end:
            return False
        time.sleep(1)
    return True


class _Storm:
    """Makes faults, one after another, each of the list once before any is made again, and at least `wanted`."""

    def __init__(
        self, bench: Bench, random: Random, gap_s: tuple[float, float], names: Sequence[str], wanted: int
    ) -> None:
        self.made: Counter[str] = Counter()
        self.wanted = wanted if names else 0
        self.thread = threading.Thread(target=self._make, args=(bench, random, gap_s, names))
        self._over = threading.Event()

    def _make(self, bench: Bench, random: Random, gap_s: tuple[float, float], names: Sequence[str]) -> None:
        known = faults_for(bench)
        until = time.monotonic() + _SENT_BY_S + _PATIENCE_S
        while self.wanted and time.monotonic() < until:
            for name in random.sample(names, len(names)):
                time.sleep(random.uniform(*gap_s))
                if self._over.is_set() and self.made.total() >= self.wanted:
                    return
                with suppress(UnavailableError):  # the supervisor is busy: such a one does not count as made
                    known[name](bench, random)
                    self.made[name] += 1

    def end(self) -> None:
        """Make the rest of the wanted faults, and no more."""
        self._over.set()
        self.thread.join()

    def break_off(self) -> None:
        """Make no more faults, however many were wanted."""
        self.wanted = 0
        if self.thread.is_alive():
            self.end()


class _Progress:
    """How far a run has come; a thread prints, notes and keeps it at intervals."""

    def __init__(self, bench: Bench, studies: int, note: Callable[[dict[str, Any]], None]) -> None:
        self.phase = ""
        self.confirmed: list[Sent] = []
        self.burdens: list[dict[str, Any]] = []
        self.storm: _Storm | None = None
        self.studies = studies
        self._bench = bench
        self._note = note
        self._begun = time.monotonic()

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show it while the context lasts."""
        over = threading.Event()

        def take_notes() -> None:
            while not over.wait(_NOTED_EVERY_S):
                with suppress(OSError, UnavailableError):  # what is just being started is asked again later
                    self._take()

        thread = threading.Thread(target=take_notes)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _take(self) -> None:
        faults = dict(self.storm.made) if self.storm is not None else {}
        burden = self._bench.burden()
        elapsed_s = round(time.monotonic() - self._begun)
        self.burdens.append({"after_s": elapsed_s, "confirmed": len(self.confirmed), **burden})
        memory = ", ".join(f"{server} {held['memory_mib']} MiB" for server, held in burden.items())
        print(
            f"{elapsed_s} s, {self.phase}: {len(self.confirmed)} of {self.studies} studies confirmed, "
            f"{sum(faults.values())} faults; {memory}",
            flush=True,
        )
        self._note({"phase": self.phase, "confirmed": len(self.confirmed), "faults": faults, "burdens": self.burdens})


def _send(bench: Bench, folder: Path, seeds: Sequence[Random], first: int, end: float, progress: _Progress) -> int:
    """Send a study for each seed, numbered from `first`; return how many were begun before `end` (monotonic).

    Each one is confirmed once Orthanc has all of it, unless that takes it very long.
    """

    def send(number: int, random: Random) -> bool:
        while time.monotonic() < end and (bench.waiting() > _MOST_WAITING or _is_ahead_of_faults(progress, number)):
            time.sleep(1)
        if time.monotonic() > end:
            return False
        sent = send_study(bench.settings, folder / str(number), random, number, end + _PATIENCE_S)
        shutil.rmtree(folder / str(number))
        if sent is not None:
            progress.confirmed.append(replace(sent, kept=_count_kept(bench, sent)))
        return True

    with ThreadPoolExecutor(SENDERS) as senders:
        try:
            return sum(senders.map(send, range(first, first + len(seeds)), seeds))
        finally:
            senders.shutdown(wait=False, cancel_futures=True)  # of a run that is broken off


def _is_ahead_of_faults(progress: _Progress, number: int) -> bool:
    """Return whether a study has to wait, so that the faults that are wanted are spread over all studies."""
    storm = progress.storm
    if storm is None or not storm.thread.is_alive():
        return False
    return storm.made.total() < storm.wanted * number / progress.studies - 1


def _count_kept(bench: Bench, sent: Sent) -> int | None:
    """Return how many of the images that Orthanc has just confirmed it gives back; None when it does not answer."""
    end = time.monotonic() + _PATIENCE_S
    while time.monotonic() < end:
        with suppress(httpx.HTTPError):
            return count_images(bench, sent.uid)
        time.sleep(1)
    return None


def _audit(bench: Bench, confirmed: list[Sent]) -> dict[str, Any]:
    states: Counter[str] = Counter()
    wrong = {}
    end = time.monotonic() + _AUDITED_BY_S
    for sent in confirmed:
        state, found = _ask(bench, sent, end)
        states[state] += 1
        if found:
            wrong[sent.uid] = found
    kinds = Counter(fault.partition(":")[0] for found in wrong.values() for fault in found)
    return {
        "answered": states["done"],
        "refused": states["refused"],
        **{kind: kinds[kind] for kind in ("lost", "twice", "unsaid", "wrong", "part", "orphan", "not asked")},
        "wrong_studies": wrong,
    }


def _ask(bench: Bench, sent: Sent, end: float) -> tuple[str, list[str]]:
    """Return the state of a study and what is wrong with it; a study that nobody knows by `end` is wrong too."""
    error = ""
    while time.monotonic() < end:
        try:
            study = bench.study(sent.uid)
            told = next(iter(bench.status(study)["studies"]), None) if study else None
            return told["state"] if told else "unknown", faults_of(bench, sent, told)
        except httpx.HTTPError as fault:
            error = type(fault).__name__
            time.sleep(1)
    return "unknown", [f"not asked: {error}"]
