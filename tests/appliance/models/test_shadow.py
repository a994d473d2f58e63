# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The shadow on a real Orthanc and a real ledger, beside a worker, with everything real but the networks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.uid import generate_uid

from appliance.errors import UnavailableError
from appliance.inference.detections import ModelIdentity
from appliance.inference.served_model import Target
from appliance.leases import Leases
from appliance.ledger.models import ModelFacts
from appliance.ledger.records import ModelEvent
from appliance.models.shadow import MOST_FAULTS, Shadow
from appliance.settings import Settings
from tests.appliance.bench import worker_at
from tests.appliance.intake.desk import Desk
from tests.appliance.stand_in import StandInDetector, StandInRoom, head_series

SHADOW = ModelFacts("hemorrhage_detector_2", "2", "2d" * 32)


class ShadowDetector(StandInDetector):
    """Reads as the stand-in does, under another name, and takes less for blood."""

    identity = ModelIdentity("hemorrhage_detector", SHADOW.version, SHADOW.sha256)
    suggested_threshold = 0.95

    def close(self) -> None:
        pass


class NoTrial:
    def run(self, *_: object) -> None:
        raise AssertionError("nothing here kills its reader")


class Bench:
    """A worker and a shadow, worked by hand, behind an intake turned by hand."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.room = StandInRoom(desk.settings)
        desk.reader = self.room.pipeline()
        leases = Leases(desk.ledger, "worker", desk.settings.ledger.lease_s, desk.settings.ledger.stall_s)
        self.worker = worker_at(desk, leases, self.room, NoTrial())
        self.detector = ShadowDetector()
        self.asked: list[Target] = []
        self.stopping = threading.Event()
        self.answers = self.room.model()["sha256"]
        self.shadow = Shadow(
            desk.settings,
            desk.ledger,
            desk.orthanc,
            desk.snapshots,
            desk.ahead,
            None,
            desk.metrics,
            self.detector_of,
            lambda: self.answers,
        )

    def detector_of(self, target: Target) -> ShadowDetector:
        self.asked.append(target)
        return self.detector

    def begin(self) -> None:
        self.desk.ledger.models.record(ModelEvent.SHADOWED, SHADOW, "a tester")

    def answer(self, *files: bytes) -> str:
        """Send a study and let it be answered; return Orthanc's identifier of one of its instances."""
        ids = self.desk.send(*files)
        self.desk.quiet()
        assert self.worker.work()
        return ids[0]

    def work(self) -> bool:
        return self.shadow.work(self.stopping)


@pytest.fixture
def bench(settings: Settings, tmp_path: Path) -> Iterator[Bench]:
    desk = Desk(settings, tmp_path / "ledger.sqlite")
    desk.take_in()
    yield Bench(desk)
    desk.close()


def test_the_shadow_reads_what_was_answered_and_its_answer_is_kept_and_not_delivered(bench: Bench) -> None:
    bench.begin()
    study = str(generate_uid())
    bench.answer(*head_series(study))
    (job,) = bench.desk.jobs(study)
    results = bench.desk.ledger.jobs.results(job.id)
    assert bench.work()
    (pair,) = bench.desk.ledger.shadows.pairs(SHADOW.sha256)
    assert (pair.job.id, pair.shadow.version, pair.shadow.unread) == (job.id, "2", "")
    assert (pair.job.answer["present"], pair.shadow.answer["present"]) == (True, False)
    assert pair.shadow.answer["probability"] == pytest.approx(0.9)
    assert bench.desk.ledger.jobs.results(job.id) == results
    bench.desk.take_in()
    assert [one.id for one in bench.desk.jobs(study)] == [job.id]
    assert bench.desk.jobs(study)[0] == job
    assert not bench.work()
    assert bench.asked == [Target(SHADOW.served_as, SHADOW.sha256)]


def test_without_a_shadow_nothing_is_read_and_studies_from_before_it_are_left(bench: Bench) -> None:
    bench.answer(*head_series(str(generate_uid())))
    assert not bench.work()
    bench.desk.clock.now += 10
    bench.begin()
    assert not bench.work()
    assert bench.asked == []


def test_a_shadow_that_stands_in_reads_nothing_in_its_shadow_until_the_promoted_version_is_back(bench: Bench) -> None:
    bench.begin()
    bench.answer(*head_series(str(generate_uid())))
    promoted, bench.answers = bench.answers, SHADOW.sha256
    assert not bench.work()
    assert bench.asked == []
    bench.answers = promoted
    assert bench.work()


def test_the_shadow_waits_while_a_study_is_to_be_answered(bench: Bench) -> None:
    bench.begin()
    bench.answer(*head_series(str(generate_uid())))
    bench.desk.send(*head_series(str(generate_uid())))
    bench.desk.quiet()
    assert not bench.work()
    assert bench.detector.asked == 0
    assert bench.worker.work()
    assert bench.work()


def test_the_shadow_gives_way_before_the_next_chunk_when_a_study_is_read_ahead(bench: Bench) -> None:
    bench.begin()
    bench.answer(*head_series(str(generate_uid())))

    def another_comes(_: int) -> None:
        ids = bench.desk.send(*head_series(str(generate_uid())))
        bench.desk.ahead.offer(bench.desk.snapshots.of(bench.desk.study_of(ids[0])))

    bench.detector.conduct = another_comes
    assert not bench.work()
    assert bench.desk.ledger.shadows.pairs(SHADOW.sha256) == []
    bench.detector.conduct = lambda _: None
    bench.desk.read_ahead()
    bench.desk.quiet()
    assert bench.worker.work()
    assert bench.work()


def test_a_study_that_was_deleted_or_breaks_the_shadow_is_passed_over_with_the_reason(bench: Bench) -> None:
    bench.begin()
    gone = bench.answer(*head_series(str(generate_uid())))
    bench.desk.delete_study(bench.desk.study_of(gone))
    assert bench.work()
    bench.desk.take_in()

    def break_down(_: int) -> None:
        raise ZeroDivisionError

    bench.answer(*head_series(str(generate_uid())))
    bench.detector.conduct = break_down
    assert bench.work()
    first, second = bench.desk.ledger.shadows.pairs(SHADOW.sha256)
    assert first.shadow.unread == "the study was deleted"
    assert "ZeroDivisionError" in second.shadow.unread
    assert not bench.work()


def test_a_shadow_that_is_away_leaves_the_study_for_later(bench: Bench) -> None:
    bench.begin()
    bench.answer(*head_series(str(generate_uid())))

    def be_away(_: int) -> None:
        raise UnavailableError("away")

    bench.detector.conduct = be_away
    with pytest.raises(UnavailableError):
        bench.work()
    bench.detector.conduct = lambda _: None
    assert bench.work()


def test_a_study_at_which_the_shadow_is_away_each_time_is_passed_over_in_the_end(bench: Bench) -> None:
    bench.begin()
    bench.answer(*head_series(str(generate_uid())))
    bench.answer(*head_series(str(generate_uid())))

    def end(_: int) -> None:
        raise UnavailableError("the model process had ended")

    bench.detector.conduct = end
    pauses = []
    for _ in range(MOST_FAULTS - 1):
        with pytest.raises(UnavailableError):
            bench.work()
        pauses.append(bench.shadow.pause_s())
    assert pauses == [30, 60, 120, 240, 480, 960, 1920]
    assert bench.work()
    (first,) = bench.desk.ledger.shadows.pairs(SHADOW.sha256)
    assert "the model process had ended" in first.shadow.unread
    bench.detector.conduct = lambda _: None
    assert bench.work()
    assert [one.shadow.unread for one in bench.desk.ledger.shadows.pairs(SHADOW.sha256)][1:] == [""]


def test_another_model_under_the_shadows_name_is_not_taken_for_it(bench: Bench) -> None:
    bench.begin()
    bench.answer(*head_series(str(generate_uid())))
    bench.detector.identity = ModelIdentity("hemorrhage_detector", "2", "ff" * 32)
    with pytest.raises(UnavailableError, match="another model"):
        bench.work()
    assert bench.desk.ledger.shadows.pairs(SHADOW.sha256) == []
