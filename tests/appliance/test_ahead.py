# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Reading ahead: what is read in the quiet time, for whom, and what it never holds up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from pydicom.uid import generate_uid

from appliance.ahead import IN_TIME, IN_VAIN, Read, ReadingAhead, Taken
from appliance.errors import GaveWayError, UnavailableError
from appliance.imaging.instances import parse_instance
from appliance.intake.snapshot import Snapshot
from appliance.metrics import Metrics
from appliance.pipeline import Pipeline, ReadStudy, Study
from appliance.settings import Settings
from tests.appliance.running import PATIENCE_S, until
from tests.appliance.stand_in import StandInDetector, head_series


class Reader:
    """The real pipeline over a stand-in network, which a test can hold in the middle of a study."""

    def __init__(self) -> None:
        self.pipeline = Pipeline(Settings(), StandInDetector())  # type: ignore[arg-type]
        self.begun: list[str] = []
        self.in_the_middle = threading.Event()
        self.go = threading.Event()
        self.go.set()
        self.fault: Exception | None = None

    def read(self, study: Study, go_on: Callable[[], bool]) -> Read:
        self.begun.append(study.uid)
        self.in_the_middle.set()
        assert self.go.wait(2 * PATIENCE_S)  # longer than a test waits for whoever must not wait for this
        if self.fault is not None:
            raise self.fault
        if not go_on():
            raise GaveWayError("asked to")
        return self.pipeline.read(study, go_on)


class Studies:
    """Snapshots of small heads, and their files."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def one(self, name: str, instance_set: str = "all") -> Snapshot:
        uid = str(generate_uid())
        refs = {f"{name} {instance_set} {i}": data for i, data in enumerate(head_series(uid))}
        self.files |= refs
        instances = tuple(parse_instance(ref, data) for ref, data in refs.items())
        return Snapshot(name, uid, instances, (), instance_set)


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.fixture
def studies() -> Studies:
    return Studies()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(dict, dict)


@pytest.fixture
def ahead(reader: Reader, studies: Studies, metrics: Metrics) -> Iterator[ReadingAhead]:
    yield from running(ReadingAhead(lambda: reader, lambda ref: studies.files[ref], lambda: 0, metrics, 64))


def running(ahead: ReadingAhead) -> Iterator[ReadingAhead]:
    stopping = threading.Event()
    thread = threading.Thread(target=ahead.run, args=(stopping,), daemon=True)  # a test that fails does not end it
    thread.start()
    yield ahead
    stopping.set()
    ahead.wake()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


def left_out(metrics: Metrics, why: str) -> float:
    return metrics.registry.get_sample_value("hemorrhage_studies_not_read_ahead_total", {"why": why}) or 0.0


def count(metrics: Metrics, outcome: str) -> float:
    return metrics.registry.get_sample_value("hemorrhage_studies_read_ahead_total", {"outcome": outcome}) or 0.0


def settle(ahead: ReadingAhead) -> None:
    end = time.monotonic() + PATIENCE_S
    while ahead.is_busy:
        assert time.monotonic() < end, "it does not settle"
        time.sleep(0.01)


def test_a_study_that_was_offered_is_read_and_its_worker_takes_what_was_read(
    ahead: ReadingAhead, studies: Studies, metrics: Metrics
) -> None:
    ahead.offer(studies.one("a"))
    settle(ahead)
    asked_at = time.monotonic()
    taken = ahead.take("a", "all")
    waited_s = time.monotonic() - asked_at
    assert taken is not None
    assert isinstance(taken.read, ReadStudy)
    assert taken.read.finding.present
    # Nobody waited for any of it, but for what `take` itself took.
    read_s = sum(taken.read.clock.timing_ms.values()) / 1000
    assert max(0.0, read_s - waited_s) <= taken.ahead_s <= read_s
    assert ahead.take("a", "all") is None
    assert (count(metrics, IN_TIME), count(metrics, IN_VAIN)) == (1, 0)


def test_what_was_read_of_other_instances_is_never_taken(
    ahead: ReadingAhead, studies: Studies, metrics: Metrics
) -> None:
    ahead.offer(studies.one("a", "of eight slices"))
    settle(ahead)
    assert ahead.take("a", "of sixteen slices") is None
    assert count(metrics, IN_VAIN) == 1


def test_a_reading_from_before_a_promotion_or_a_rollback_is_never_taken(
    studies: Studies, reader: Reader, metrics: Metrics
) -> None:
    moves = [0]
    for ahead in running(ReadingAhead(lambda: reader, lambda ref: studies.files[ref], lambda: moves[-1], metrics, 64)):
        ahead.offer(studies.one("kept"))
        settle(ahead)
        reader.in_the_middle.clear()
        reader.go.clear()
        ahead.offer(studies.one("in progress"))
        assert reader.in_the_middle.wait(PATIENCE_S)
        moves.append(1)  # promoted, and rolled back at once: what answers is the same again
        moves.append(2)
        reader.go.set()
        settle(ahead)
        assert ahead.take("kept", "all") is None
        assert ahead.take("in progress", "all") is None
        assert (count(metrics, IN_TIME), count(metrics, IN_VAIN)) == (0, 2)
        ahead.offer(studies.one("after it"))
        settle(ahead)
        assert ahead.take("after it", "all") is not None


def test_a_reading_is_not_taken_while_the_ledger_does_not_say_which_version_answers(
    studies: Studies, reader: Reader, metrics: Metrics
) -> None:
    away = threading.Event()

    def last_move() -> int:
        if away.is_set():
            raise UnavailableError("the ledger does not answer")
        return 0

    for ahead in running(ReadingAhead(lambda: reader, lambda ref: studies.files[ref], last_move, metrics, 64)):
        ahead.offer(studies.one("a"))
        settle(ahead)
        away.set()
        with pytest.raises(UnavailableError, match="the ledger"):
            ahead.take("a", "all")
        ahead.offer(studies.one("b"))
        settle(ahead)
        assert len(reader.begun) == 1
        assert count(metrics, IN_VAIN) == 1


def test_an_instance_that_comes_meanwhile_throws_the_reading_away(
    ahead: ReadingAhead, studies: Studies, reader: Reader, metrics: Metrics
) -> None:
    reader.go.clear()
    ahead.offer(studies.one("a", "half"))
    assert reader.in_the_middle.wait(PATIENCE_S)
    ahead.withdraw("a")
    whole = studies.one("a", "whole")
    ahead.offer(whole)
    reader.go.set()
    settle(ahead)
    assert ahead.take("a", "whole") is not None
    assert reader.begun.count(whole.study_uid) == 1
    assert count(metrics, IN_VAIN) >= 1


def test_a_decided_study_that_is_being_read_is_waited_for(
    ahead: ReadingAhead, studies: Studies, reader: Reader
) -> None:
    reader.go.clear()
    ahead.offer(studies.one("a"))
    assert reader.in_the_middle.wait(PATIENCE_S)
    taken: list[Taken | None] = []
    worker = threading.Thread(target=lambda: taken.append(ahead.take("a", "all")))
    worker.start()
    until(lambda: ahead._begun is not None and ahead._begun.wanted, "waited for")
    assert worker.is_alive()
    with ahead.aside():  # another study is answered meanwhile: this one is wanted all the same
        reader.go.set()
        worker.join(PATIENCE_S)
    assert taken[0] is not None
    assert taken[0].ahead_s == 0.0  # all of it ran while the worker waited


def test_a_reading_of_other_instances_of_a_decided_study_is_given_up_and_not_waited_for(
    ahead: ReadingAhead, studies: Studies, reader: Reader, metrics: Metrics
) -> None:
    reader.go.clear()
    ahead.offer(studies.one("a", "half"))
    assert reader.in_the_middle.wait(PATIENCE_S)
    taken: list[Taken | None] = []
    worker = threading.Thread(target=lambda: taken.append(ahead.take("a", "whole")))
    worker.start()
    worker.join(PATIENCE_S)
    waited = worker.is_alive()
    reader.go.set()
    worker.join(PATIENCE_S)
    settle(ahead)
    assert not waited
    assert taken == [None]
    assert ahead.take("a", "half") is None
    assert count(metrics, IN_VAIN) == 1


def test_a_reading_gives_way_to_another_study_that_was_decided_and_is_begun_again_afterwards(
    ahead: ReadingAhead, studies: Studies, reader: Reader
) -> None:
    reader.go.clear()
    later = studies.one("later")
    ahead.offer(later)
    assert reader.in_the_middle.wait(PATIENCE_S)
    with ahead.aside():
        reader.go.set()
        assert ahead.take("decided", "all") is None
        until(lambda: len(reader.begun) > 1 or ahead._begun is None, "given up")
        assert reader.begun == [later.study_uid]
    settle(ahead)
    assert reader.begun == [later.study_uid] * 2
    assert ahead.take("later", "all") is not None


def test_a_reading_gives_way_to_a_decided_study_before_its_next_file(
    studies: Studies, reader: Reader, metrics: Metrics
) -> None:
    fetched: list[str] = []
    second, go = threading.Event(), threading.Event()

    def fetch(ref: str) -> bytes:
        fetched.append(ref)
        if len(fetched) == 2:
            second.set()
            assert go.wait(PATIENCE_S)
        return studies.files[ref]

    for ahead in running(ReadingAhead(lambda: reader, fetch, lambda: 0, metrics, 64)):
        ahead.offer(studies.one("later"))
        assert second.wait(PATIENCE_S)
        with ahead.aside():
            go.set()
            while ahead._begun is not None:
                threading.Event().wait(0.01)
            assert len(fetched) == 2
        settle(ahead)
        assert ahead.take("later", "all") is not None


def test_a_study_whose_turn_has_not_come_is_left_to_the_worker(
    ahead: ReadingAhead, studies: Studies, reader: Reader
) -> None:
    with ahead.aside():
        ahead.offer(studies.one("a"))
        assert ahead.take("a", "all") is None
    settle(ahead)
    assert not reader.begun


@pytest.mark.parametrize("fault", [UnavailableError("Triton is away"), ValueError("a defect")])
def test_a_reading_that_fails_is_left_to_the_worker_and_the_next_one_goes_on(
    fault: Exception, ahead: ReadingAhead, studies: Studies, reader: Reader
) -> None:
    reader.fault = fault
    ahead.offer(studies.one("a"))
    settle(ahead)
    assert ahead.take("a", "all") is None
    reader.fault = None
    ahead.offer(studies.one("b"))
    settle(ahead)
    assert ahead.take("b", "all") is not None


def test_the_oldest_goes_when_memory_is_short_and_a_series_that_is_too_large_is_not_begun(
    reader: Reader, studies: Studies, metrics: Metrics
) -> None:
    first, second = studies.one("first"), studies.one("second")
    alone = reader.pipeline.read(Study(first.study_uid, first.instances, lambda ref: studies.files[ref]))
    assert isinstance(alone, ReadStudy)
    most_mib = 1.5 * alone.volume.hu.nbytes / 2**20 + 0.3
    for ahead in running(ReadingAhead(lambda: reader, lambda ref: studies.files[ref], lambda: 0, metrics, most_mib)):
        for snapshot in (first, second):
            ahead.offer(snapshot)
            settle(ahead)
        assert ahead.take("first", "all") is None
        assert ahead.take("second", "all") is not None
    for ahead in running(ReadingAhead(lambda: reader, lambda ref: studies.files[ref], lambda: 0, metrics, 0)):
        reader.begun.clear()
        ahead.offer(first)
        settle(ahead)
        assert not reader.begun
    assert left_out(metrics, "size") == 0  # it is off, not short of memory
    for ahead in running(ReadingAhead(lambda: reader, lambda ref: studies.files[ref], lambda: 0, metrics, 0.01)):
        ahead.offer(first)
        settle(ahead)
        assert not reader.begun
    assert left_out(metrics, "size") == 1


def test_behind_a_long_queue_only_the_newest_studies_wait_to_be_read_as_they_hold_their_headers(
    ahead: ReadingAhead, studies: Studies, reader: Reader, metrics: Metrics
) -> None:
    reader.fault = UnavailableError("not now")
    one = studies.one("a")
    offered = [replace(one, study=str(number), study_uid=str(number)) for number in range(200)]
    with ahead.aside():  # a worker is never idle behind such a queue
        for snapshot in offered:
            ahead.offer(snapshot)
    settle(ahead)
    read = len(reader.begun)
    assert reader.begun == [snapshot.study_uid for snapshot in offered[-read:]]
    assert left_out(metrics, "queue") == len(offered) - read
    assert 16 * 2**20 / 40960 - len(one.instances) < read * len(one.instances) <= 16 * 2**20 / 40960


def test_one_study_is_read_ahead_even_where_its_headers_are_more_than_may_wait(
    reader: Reader, studies: Studies, metrics: Metrics
) -> None:
    for ahead in running(ReadingAhead(lambda: reader, lambda ref: studies.files[ref], lambda: 0, metrics, 1)):
        reader.fault = UnavailableError("not now")
        for name in ("a", "b"):
            offered = studies.one(name)
            ahead.offer(offered)
        settle(ahead)
        assert reader.begun[-1] == offered.study_uid


def test_studies_that_cannot_be_read_take_room_too(reader: Reader, studies: Studies, metrics: Metrics) -> None:
    for ahead in running(ReadingAhead(lambda: reader, lambda ref: studies.files[ref], lambda: 0, metrics, 0.5)):
        names = [f"study {number}" for number in range(8)]
        for name in names:
            whole = studies.one(name)
            ahead.offer(replace(whole, instances=whole.instances[:1]))
            settle(ahead)
        kept = [name for name in names if ahead.take(name, "all") is not None]
        assert kept
        assert kept == names[-len(kept) :]
        assert len(kept) < len(names)


def test_what_nobody_comes_for_is_thrown_away(reader: Reader, studies: Studies, metrics: Metrics) -> None:
    now = [0.0]
    for ahead in running(
        ReadingAhead(lambda: reader, lambda ref: studies.files[ref], lambda: 0, metrics, 64, clock=lambda: now[0])
    ):
        ahead.offer(studies.one("taken by another service"))
        settle(ahead)
        now[0] = 700.0
        ahead.offer(studies.one("next"))
        settle(ahead)
        assert ahead.take("taken by another service", "all") is None
        assert ahead.take("next", "all") is not None


def test_stopping_lets_a_worker_go_that_waits_for_a_reading(reader: Reader, studies: Studies, metrics: Metrics) -> None:
    stopping = threading.Event()
    ahead = ReadingAhead(lambda: reader, lambda ref: studies.files[ref], lambda: 0, metrics, 64)
    thread = threading.Thread(target=ahead.run, args=(stopping,))
    thread.start()
    reader.go.clear()
    ahead.offer(studies.one("a"))
    assert reader.in_the_middle.wait(PATIENCE_S)
    worker = threading.Thread(target=ahead.take, args=("a", "all"))
    worker.start()
    stopping.set()
    ahead.wake()
    reader.go.set()
    for one in (thread, worker):
        one.join(PATIENCE_S)
        assert not one.is_alive()
