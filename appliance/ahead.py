# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Reading ahead: while a study's quiet time runs, what it holds already is read, so that only reporting is left.

Most studies are complete when their last instance is in; the quiet time is there for those that are not. Intake offers
each study that looks complete, this thread reads it, and the worker that answers it takes the reading. Nothing depends
on it: where there is no reading, or one of other instances than the job's, the worker reads the study itself. Nor does
a reading outlive a promotion or a rollback of the detector: the version that answers now reads the study.

A decided study goes first. While one is answered nothing is read ahead, and a reading that has begun gives way before
its next file and its next chunk. If it is the decided study's own reading, the worker waits for it.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from appliance.errors import GaveWayError
from appliance.imaging.header import integer
from appliance.intake.snapshot import Snapshot
from appliance.log import describe
from appliance.metrics import LEFT_AS_TOO_LARGE, LEFT_FOR_NEWER, Metrics
from appliance.pipeline import ReadStudy, Study, UnreadAnswer
from appliance.traces import OFF, Trace

IN_TIME: Final = "in_time"
IN_VAIN: Final = "in_vain"
_MIB: Final = 1 << 20
_STUDY_BYTES: Final = 1 << 16
_INSTANCE_BYTES: Final = 1 << 14
"""About how much a study takes besides its volume: lesions, reasons and the header of each instance."""
_HEADER_BYTES: Final = 40 << 10
"""About how much memory the header of an instance takes in a study that waits to be read.

By tracemalloc over what `parse_instance` returns: 25 kB with 35 elements, 60 kB with 95. Those of CT scanners have
about 60.
"""
_SHARE_OF_OFFERS: Final = 4
"""Studies that wait to be read may take one part in so many of the memory for those that were read."""
_KEPT_S: Final = 600.0
_LOOKED_AT_EVERY_S: Final = 60.0

Read = ReadStudy | UnreadAnswer


class ReadsStudies(Protocol):
    """What reading ahead needs of the pipeline."""

    def read(self, study: Study, go_on: Callable[[], bool]) -> Read:
        """Return what there is to report of a study; raise `GaveWayError` once `go_on` says no."""
        ...


@dataclass(frozen=True)
class Taken:
    """What was read of a study, and for how many seconds it was read within the quiet time, before a worker asked."""

    read: Read
    ahead_s: float
    trace: Trace = OFF


@dataclass(frozen=True)
class _Kept:
    """A reading that waits for its worker: its size in bytes, and since when it waits."""

    instance_set: str
    read: Read
    bytes: int
    at: float
    move: int
    """The newest promotion or rollback when the reading began."""
    trace: Trace = OFF


@dataclass
class _Begun:
    """The reading in progress."""

    snapshot: Snapshot
    stale: bool = False
    wanted: bool = False


class ReadingAhead:
    """What was read of studies whose quiet time runs; `run` is the body of its thread.

    `reader` returns the pipeline, `fetch` an instance's file, `last_move` the number of the newest promotion or
    rollback of the detector, or raises `UnavailableError`. At most `most_mib` are kept, volumes and the rest; with 0
    nothing is read. Of studies that wait to be read, which hold their headers, the newest are kept within a quarter of
    that: behind a long queue none is read for hours. A reading that nobody has taken for ten minutes is dropped:
    another service took the job.
    """

    def __init__(
        self,
        reader: Callable[[], ReadsStudies],
        fetch: Callable[[str], bytes],
        last_move: Callable[[], int],
        metrics: Metrics,
        most_mib: float,
        clock: Callable[[], float] = time.monotonic,
        begin_trace: Callable[[], Trace] = lambda: OFF,
    ) -> None:
        self._begin_trace = begin_trace
        self._last_move = last_move
        self._reader = reader
        self._fetch = fetch
        self._outcomes = metrics.read_ahead
        self._left_out = metrics.not_read_ahead
        self._most = int(most_mib * _MIB)
        self._changed = threading.Condition()
        self._offers: OrderedDict[str, Snapshot] = OrderedDict()
        self._begun: _Begun | None = None
        self._read: OrderedDict[str, _Kept] = OrderedDict()
        self._clock = clock
        self._answering = 0
        self._ended = False
        self._log = structlog.get_logger("ahead")

    @property
    def is_busy(self) -> bool:
        """Whether a study is being read, or waits to be."""
        with self._changed:
            return bool(self._offers) or self._begun is not None

    @property
    def is_live(self) -> bool:
        """Whether a decided study is being answered, or another is read ahead or waits to be."""
        with self._changed:
            return bool(self._answering or self._offers) or self._begun is not None

    def offer(self, snapshot: Snapshot) -> None:
        """Have a study read as it is in the snapshot; an earlier reading of other instances is thrown away."""
        if not self._most:
            return
        if _volume_bytes(snapshot) > self._most:
            self._left_out.labels(LEFT_AS_TOO_LARGE).inc()
            return
        with self._changed:
            if self._is_known(snapshot):
                return
            self._throw_away(snapshot.study)
            self._offers[snapshot.study] = snapshot
            self._keep_newest_offers()
            self._changed.notify_all()

    def withdraw(self, study: str) -> None:
        """Throw away the reading of a study, finished or not: the study holds other instances by now, or is gone."""
        with self._changed:
            self._throw_away(study)

    def take(self, study: str, instance_set: str) -> Taken | None:
        """Take the reading of a study of exactly these instances; None when there is none.

        A reading of these instances in progress is waited for; one of other instances is given up, and so is one from
        before a promotion or a rollback. Raises `UnavailableError` when the ledger does not say whether there was one.
        """
        asked_at = time.monotonic()
        with self._changed:
            self._offers.pop(study, None)
            begun = self._begun
            if begun is not None and begun.snapshot.study == study and begun.snapshot.instance_set != instance_set:
                begun.stale = True
            if begun is not None and begun.snapshot.study == study and not begun.stale:
                begun.wanted = True
                self._changed.wait_for(lambda: self._begun is not begun or self._ended)
            kept = self._read.pop(study, None)
        if kept is None:
            return None
        fits = False
        try:
            fits = kept.instance_set == instance_set and kept.move == self._last_move()
        finally:
            self._outcomes.labels(IN_TIME if fits else IN_VAIN).inc()
        if not fits:
            return None
        waited_s = time.monotonic() - asked_at
        return Taken(kept.read, max(0.0, _seconds(kept.read) - waited_s), kept.trace)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Read nothing ahead while inside: a decided study is answered."""
        with self._changed:
            self._answering += 1
        try:
            yield
        finally:
            with self._changed:
                self._answering -= 1
                self._changed.notify_all()

    def run(self, stopping: threading.Event) -> None:
        """Read what is offered until `stopping` is set and `wake` called."""
        while not stopping.is_set():
            begun = self._begin(stopping)
            if begun is not None:
                self._read_one(begun, stopping)
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def wake(self) -> None:
        """Let `run` see that it is to stop."""
        with self._changed:
            self._changed.notify_all()

    def _begin(self, stopping: threading.Event) -> _Begun | None:
        with self._changed:
            self._keep_to_most()
            wait_s = _LOOKED_AT_EVERY_S if self._read else None
            self._changed.wait_for(lambda: stopping.is_set() or (self._offers and not self._answering), wait_s)
            if stopping.is_set() or not self._offers or self._answering:
                return None
            _, snapshot = self._offers.popitem(last=False)
            self._begun = _Begun(snapshot)
            return self._begun

    def _read_one(self, begun: _Begun, stopping: threading.Event) -> None:
        snapshot = begun.snapshot

        def go_on() -> bool:
            return not begun.stale and not stopping.is_set() and (begun.wanted or not self._answering)

        def fetch(instance: str) -> bytes:
            if not go_on():
                raise GaveWayError("a reading ahead gave way to a study")
            return self._fetch(instance)

        read: Read | None = None
        move = 0
        again = False
        trace = self._begin_trace()
        with structlog.contextvars.bound_contextvars(study=snapshot.study_uid):
            try:
                move = self._last_move()  # before the detector asks which version answers
                study = Study(snapshot.study_uid, snapshot.instances, fetch, unread=snapshot.unread, trace=trace)
                read = self._reader().read(study, go_on)
            except GaveWayError:
                again = not begun.stale
            except Exception as error:  # the worker meets it too, and records it with the job
                self._log.info("not read ahead", error=describe(error))
            finally:
                structlog.contextvars.unbind_contextvars("step")
        with self._changed:
            self._begun = None
            if again and not begun.wanted:
                self._offers.setdefault(snapshot.study, snapshot)
                self._keep_newest_offers()
            elif read is not None and not begun.stale:
                instances = len(snapshot.instances)
                self._read[snapshot.study] = _Kept(
                    snapshot.instance_set, read, _bytes(read, instances), self._clock(), move, trace
                )
                self._keep_to_most()
            elif read is not None or begun.stale:
                self._outcomes.labels(IN_VAIN).inc()
            self._changed.notify_all()

    def _is_known(self, snapshot: Snapshot) -> bool:
        waiting = self._offers.get(snapshot.study)
        begun = self._begun
        kept = self._read.get(snapshot.study)
        return (
            (kept is not None and kept.instance_set == snapshot.instance_set)
            or (waiting is not None and waiting.instance_set == snapshot.instance_set)
            or (
                begun is not None
                and not begun.stale
                and (begun.snapshot.study, begun.snapshot.instance_set) == (snapshot.study, snapshot.instance_set)
            )
        )

    def _throw_away(self, study: str) -> None:
        self._offers.pop(study, None)
        if self._read.pop(study, None) is not None:
            self._outcomes.labels(IN_VAIN).inc()
        if self._begun is not None and self._begun.snapshot.study == study:
            self._begun.stale = True

    def _keep_newest_offers(self) -> None:
        """Forget the oldest offers until the headers of the rest take no more than their share; keep the newest one."""
        while len(self._offers) > 1:
            instances = sum(len(snapshot.instances) for snapshot in self._offers.values())
            if instances * _HEADER_BYTES * _SHARE_OF_OFFERS <= self._most:
                break
            self._offers.popitem(last=False)
            self._left_out.labels(LEFT_FOR_NEWER).inc()

    def _keep_to_most(self) -> None:
        """Throw away readings that nobody took, and then the oldest until the rest is no larger than allowed."""
        while self._read:
            oldest = next(iter(self._read.values()))
            too_much = sum(kept.bytes for kept in self._read.values()) > self._most
            if not too_much and self._clock() - oldest.at < _KEPT_S:
                break
            self._read.popitem(last=False)
            self._outcomes.labels(IN_VAIN).inc()


def _seconds(read: Read) -> float:
    timing_ms = read.clock.timing_ms if isinstance(read, ReadStudy) else read.timing_ms
    return sum(timing_ms.values()) / 1000


def _bytes(read: Read, instances: int) -> int:
    """Return about how much memory the reading of a study of so many instances takes, bytes."""
    volume = read.volume.hu.nbytes if isinstance(read, ReadStudy) else 0
    return volume + _STUDY_BYTES + instances * _INSTANCE_BYTES


def _volume_bytes(snapshot: Snapshot) -> int:
    """Return the size of the study's largest series as int16 HU, bytes, from its headers."""
    sizes: dict[str, int] = {}
    for instance in snapshot.instances:
        pixels = (integer(instance.header, "Rows") or 0) * (integer(instance.header, "Columns") or 0)
        sizes[instance.series_uid] = sizes.get(instance.series_uid, 0) + 2 * pixels
    return max(sizes.values(), default=0)
