# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
import random
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import generate_latest
from pydicom import dcmread
from pydicom.uid import (
    ComprehensiveSRStorage,
    EncapsulatedPDFStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    MRImageStorage,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from appliance.clocks import OrthancClock
from appliance.errors import Refusal, RefusalCode, RefusedError, UnavailableError
from appliance.imaging.instances import Instance
from appliance.imaging.stacks import stacks
from appliance.intake import intake as intake_module
from appliance.intake.doorbell import Ring
from appliance.ledger.records import OLD, URGENT, Arrival, NewJob, Origin, Position
from appliance.ledger.states import JobState, StudyState
from appliance.orthanc_errors import OrthancError
from appliance.orthanc_records import HeldSeries, HeldStudy
from appliance.results.identity import name_uid, series_uid_of
from appliance.settings import Settings
from tests.appliance.bench import Bench
from tests.appliance.imaging import scans
from tests.appliance.intake.desk import Desk
from tests.appliance.ledger.postgres import PostgresServer
from tests.appliance.stand_in import head_series


@pytest.fixture
def study() -> str:
    return str(generate_uid())


def bystander(study: str) -> bytes:
    """A document of the same study, not an image."""
    image = scans.image(scans.head(1)[0], (0, 0, 0), StudyInstanceUID=study, SeriesInstanceUID=generate_uid())
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = EncapsulatedPDFStorage
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    image.Modality = "DOC"
    del image.PixelData
    return scans.file(image)


class TestPriority:
    def test_the_job_of_a_study_has_the_priority_that_its_headers_tell(self, desk: Desk, study: str) -> None:
        told = {"StudyDescription": "CT head STAT", "AcquisitionDate": "", "AcquisitionDateTime": ""}
        today = datetime.fromtimestamp(desk.clock.now, UTC).strftime("%Y%m%d")
        old = str(generate_uid())
        desk.send(*head_series(study, StudyDate=today, **told), *head_series(old, StudyDate="19991231", **told))
        desk.quiet()
        assert [job.priority for one in (study, old) for job in desk.jobs(one)] == [URGENT, OLD]


class TestNoticing:
    def test_the_first_start_leaves_alone_what_is_there(self, settings: Settings, tmp_path: Path, study: str) -> None:
        before = Desk(settings, tmp_path / "unused.sqlite")
        before.send(*head_series(study))
        time.sleep(1.1)  # Orthanc's times are whole seconds
        later = Desk(settings, tmp_path / "ledger.sqlite")
        later.quiet()
        later.quiet()
        assert later.ledger.views.newest_studies(1000) == []
        before.close()
        later.close()

    def test_the_first_start_takes_in_what_came_since_the_date_it_is_given(
        self, settings: Settings, tmp_path: Path, study: str
    ) -> None:
        yesterday = (datetime.now(UTC) - timedelta(days=1)).strftime("%Y%m%d")
        intake = settings.intake.model_copy(update={"since": yesterday})
        desk = Desk(settings.model_copy(update={"intake": intake}), tmp_path / "ledger.sqlite")
        desk.send(*head_series(study))
        desk.quiet()
        assert len(desk.jobs(study)) == 1
        desk.close()

    def test_an_older_study_that_grows_is_taken_in(self, settings: Settings, tmp_path: Path, study: str) -> None:
        files = head_series(study)
        before = Desk(settings, tmp_path / "unused.sqlite")
        before.send(*files[:-1])
        time.sleep(1.1)
        later = Desk(settings, tmp_path / "ledger.sqlite")
        later.quiet()
        later.send(files[-1])
        later.quiet()
        assert len(later.jobs(study)) == 1
        before.close()
        later.close()

    def test_the_stamp_of_the_plugin_is_when_the_last_instance_came(self, desk: Desk, study: str) -> None:
        ids = desk.send(*head_series(study))
        at = desk.clock() - 0.5
        desk.bell.ring(Ring(instances={instance: at - number for number, instance in enumerate(reversed(ids))}))
        desk.take_in()
        (followed,) = desk.ledger.studies.list_followed()
        assert (followed.last_instance_at, followed.quiet_from) == (at, at)

    def test_a_stamp_that_comes_after_its_entry_in_the_change_log_counts_as_well(self, desk: Desk, study: str) -> None:
        ids = desk.send(*head_series(study))
        desk.take_in()
        at = desk.clock() - 0.25
        desk.bell.ring(Ring(instances=dict.fromkeys(ids[:-1], at - 1)))
        desk.take_in()
        desk.bell.ring(Ring(instances={ids[-1]: at}))
        desk.take_in()
        (followed,) = desk.ledger.studies.list_followed()
        assert (followed.last_instance_at, followed.quiet_from) == (at, at)

    def test_a_stamp_from_the_future_does_not_keep_a_study_waiting(self, desk: Desk, study: str) -> None:
        ids = desk.send(*head_series(study))
        desk.bell.ring(Ring(instances=dict.fromkeys(ids, desk.clock() + 3600)))
        desk.quiet()
        assert len(desk.jobs(study)) == 1

    def test_a_late_stamp_of_an_earlier_instance_is_not_taken_for_that_of_the_last(
        self, desk: Desk, study: str
    ) -> None:
        ids = desk.send(*head_series(study))
        desk.take_in()
        at = desk.clock() - 0.25
        desk.bell.ring(Ring(instances={ids[-1]: at}))
        desk.take_in()
        desk.bell.ring(Ring(instances=dict.fromkeys(ids[:-1], at - 1)))
        desk.take_in()
        (followed,) = desk.ledger.studies.list_followed()
        assert (followed.last_instance_at, followed.quiet_from) == (at, at)

    def test_a_stamp_from_the_past_does_not_shorten_the_quiet_time(self, desk: Desk, study: str) -> None:
        ids = desk.send(*head_series(study))
        desk.bell.ring(Ring(instances=dict.fromkeys(ids, desk.clock() - 3600)))
        desk.take_in()
        (followed,) = desk.ledger.studies.list_followed()
        assert followed.quiet_from >= desk.clock() - 1  # the clock stands: they came after the log was last read

    def test_a_series_that_the_change_log_did_not_tell_of_is_found_at_the_next_start(
        self, desk: Desk, settings: Settings, tmp_path: Path, study: str
    ) -> None:
        position = desk.ledger.feed.position()
        assert position is not None
        time.sleep(1.1)  # what Orthanc got in the second of the first start counts as older
        desk.send(*head_series(study))
        newest = desk.orthanc.newest_change().changes[-1]
        desk.ledger.feed.advance(position, Position(newest.seq, newest.fingerprint, position.began))
        desk.quiet()
        assert desk.jobs(study) == []
        again = Desk(settings, tmp_path / "ledger.sqlite")
        again.quiet()
        assert len(again.jobs(study)) == 1
        again.close()

    @pytest.mark.parametrize("where", ["beyond the log", "at another entry"])
    def test_a_change_log_that_started_again_is_noticed_and_nothing_is_lost(
        self, desk: Desk, settings: Settings, tmp_path: Path, study: str, where: str
    ) -> None:
        """As after Orthanc's database was restored: the cursor says more than the log, or another entry has its place.

        Part of a series was known before, the rest came under numbers that the cursor has passed.
        """
        files = head_series(study, 20)
        time.sleep(1.1)  # what Orthanc got in the second of the first start counts as older
        desk.send(*files[:14])
        desk.quiet()
        desk.send(*files[14:])
        position = desk.ledger.feed.position()
        newest = desk.orthanc.newest_change()
        assert position is not None
        seq = newest.last + 1000 if where == "beyond the log" else newest.last
        desk.ledger.feed.advance(position, Position(seq, "NewInstance of another life 0", position.began))
        again = Desk(settings, tmp_path / "ledger.sqlite")
        again.quiet()
        reached = again.ledger.feed.position()
        assert reached is not None
        # A late entry, such as StableSeries, may have come since `newest` was asked for.
        [entry] = desk.orthanc.changes(reached.seq - 1, 1).changes
        assert entry.seq >= newest.last
        assert reached == Position(entry.seq, entry.fingerprint, position.began)
        assert [job.state for job in again.jobs(study)] == [JobState.WITHDRAWN, JobState.QUEUED]
        again.close()

    def test_a_log_that_starts_again_while_the_service_runs_is_noticed_too(self, desk: Desk, study: str) -> None:
        position = desk.ledger.feed.position()
        assert position is not None
        time.sleep(1.1)
        desk.send(*head_series(study))
        desk.ledger.feed.advance(position, Position(10**6, "NewInstance of another life 0", position.began))
        desk.quiet()
        assert len(desk.jobs(study)) == 1

    def test_deleting_the_newest_study_makes_the_log_shorter_and_loses_nothing(
        self, desk: Desk, settings: Settings, tmp_path: Path, study: str
    ) -> None:
        other = str(generate_uid())
        ids = desk.send(*head_series(other))
        desk.take_in()
        desk.delete_study(desk.study_of(ids[0]))
        again = Desk(settings, tmp_path / "ledger.sqlite")
        again.take_in()
        again.send(*head_series(study))
        again.quiet()
        assert len(again.jobs(study)) == 1
        again.close()


class TestClocks:
    @pytest.mark.parametrize("ahead_s", [-3600.0, 3600.0])
    @pytest.mark.parametrize("is_rung", [True, False])
    def test_a_study_is_quiet_by_the_clock_of_the_service_however_wrong_that_or_orthancs_is(
        self, settings: Settings, tmp_path: Path, study: str, ahead_s: float, is_rung: bool
    ) -> None:
        begun = time.time()
        desk = Desk(settings, tmp_path / "ledger.sqlite")
        desk.clock.now += ahead_s
        desk.take_in()
        files = head_series(study)

        def send(*some: bytes) -> None:
            ids = desk.send(*some)
            if is_rung:
                now = time.time()
                desk.bell.ring(Ring(instances=dict.fromkeys(ids, now), sent=now))
            desk.take_in()

        send(*files[:10])
        desk.wait(0.4)  # a short pause: the quiet time of a slow sender would be longer
        send(*files[10:])
        came = desk.clock()
        desk.wait(settings.intake.quiet_s - 0.5)
        assert desk.jobs(study) == []
        desk.wait(1.5)
        (job,) = desk.jobs(study)
        assert job.last_instance_at == pytest.approx(came, abs=1.5)
        assert job.last_instance_at <= desk.clock()
        # The desk's clock stands while Orthanc's goes on.
        assert desk.intake.orthanc_clock.ahead_s == pytest.approx(-ahead_s, abs=10 + time.time() - begun)
        assert "hemorrhage_orthanc_clock_ahead_seconds" in generate_latest(desk.metrics.registry).decode()
        desk.close()

    def test_a_clock_that_was_set_back_between_two_lives_of_the_service_keeps_no_study_waiting(
        self, settings: Settings, tmp_path: Path, study: str
    ) -> None:
        ahead = Desk(settings, tmp_path / "ledger.sqlite")
        ahead.clock.now += 7000
        ahead.take_in()
        ahead.send(*head_series(study))
        ahead.take_in()
        ahead.close()
        desk = Desk(settings, tmp_path / "ledger.sqlite")
        desk.quiet()
        assert len(desk.jobs(study)) == 1
        desk.close()

    def test_a_stamp_is_as_old_as_it_was_when_it_was_rung(self, desk: Desk, study: str) -> None:
        ids = desk.send(*head_series(study))
        wrong = desk.clock() + 86_400
        desk.bell.ring(Ring(instances=dict.fromkeys(ids, wrong - 0.25), sent=wrong))
        desk.take_in()
        (followed,) = desk.ledger.studies.list_followed()
        assert followed.last_instance_at == pytest.approx(desk.clock() - 0.25, abs=1e-3)

    def test_an_orthanc_that_does_not_tell_its_time_is_followed_all_the_same(
        self, settings: Settings, tmp_path: Path, study: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        desk = Desk(settings, tmp_path / "ledger.sqlite")

        def refuse() -> float:
            raise OrthancError("HTTP 400", 400)

        monkeypatch.setattr(desk.orthanc, "now", refuse)
        desk.clock.now += 3600
        desk.take_in()
        desk.send(*head_series(study))
        desk.take_in()
        assert desk.jobs(study) == []
        desk.quiet()
        assert len(desk.jobs(study)) == 1
        desk.close()


class TestRings:
    def test_a_ring_of_thousands_of_deleted_studies_holds_nothing_up(
        self, desk: Desk, study: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[str] = []
        ask = desk.orthanc.study

        def count_calls(identifier: str) -> HeldStudy:
            asked.append(identifier)
            return ask(identifier)

        monkeypatch.setattr(desk.orthanc, "study", count_calls)
        desk.bell.ring(Ring(studies={orthanc_id(number): "deleted" for number in range(20_000)}))
        desk.send(*head_series(study))
        desk.take_in()
        assert not [identifier for identifier in asked if identifier.startswith("dead")]
        assert len(desk.ledger.studies.list_followed()) == 1

    def test_deleted_studies_that_are_known_are_looked_at_a_few_in_a_turn(
        self, desk: Desk, study: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = desk.clock()
        many = [orthanc_id(number) for number in range(50)]
        for identifier in many:
            desk.ledger.feed.notice([Arrival(identifier, "1.2.3", now, now, False, ())])
        monkeypatch.setattr("appliance.intake.intake._DELETED_A_TURN", 7)
        desk.bell.ring(Ring(studies=dict.fromkeys(many, "deleted")))
        desk.send(*head_series(study))
        desk.intake.turn()
        left = {one.id for one in desk.ledger.studies.list_followed()}
        assert len(left & {*many}) == 43
        assert len(left - {*many}) == 1  # what came meanwhile is taken in
        desk.take_in()
        assert not {one.id for one in desk.ledger.studies.list_followed()} & {*many}

    def test_one_study_that_cannot_be_looked_at_drops_nothing_else_of_its_ring(
        self, desk: Desk, study: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        odd, gone = orthanc_id(1), orthanc_id(2)
        now = desk.clock()
        for identifier in (odd, gone):
            desk.ledger.feed.notice([Arrival(identifier, "1.2.3", now, now, False, ())])
        ask = desk.orthanc.study

        def refuse_the_odd(identifier: str) -> HeldStudy:
            if identifier == odd:
                raise OrthancError("HTTP 400", 400)
            return ask(identifier)

        monkeypatch.setattr(desk.orthanc, "study", refuse_the_odd)
        desk.bell.ring(Ring(studies={odd: "deleted", gone: "deleted"}))
        desk.intake.turn()
        assert [one.id for one in desk.ledger.studies.list_followed()] == [odd]


class TestSweeping:
    @pytest.fixture
    def old(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """Series that the change log does not tell of: the cursor is behind them, and the appliance older than they."""
        monkeypatch.setattr("appliance.intake.sweep._PAGE", 4)
        monkeypatch.setattr("appliance.intake.sweep._AT_ONCE", 2)
        ids = desk.send(*(head_series(str(generate_uid()), 1)[0] for _ in range(7)))
        position, newest = desk.ledger.feed.position(), desk.orthanc.newest_change()
        assert position is not None
        desk.ledger.feed.advance(position, Position(newest.last, newest.changes[-1].fingerprint, 0.0))
        return sorted(desk.orthanc.series_of_instance(one) for one in ids)

    @staticmethod
    def count_found(desk: Desk, old: list[str]) -> int:
        return len(desk.ledger.series.find_known(old))

    @pytest.mark.parametrize("error", [OrthancError("HTTP 400", 400), UnavailableError("HTTP 500"), KeyError("Tags")])
    def test_an_error_of_one_series_is_that_series_alone_and_it_is_looked_at_again(
        self, desk: Desk, old: list[str], monkeypatch: pytest.MonkeyPatch, error: Exception
    ) -> None:
        ask = desk.orthanc.series

        def refuse_one(identifier: str) -> HeldSeries:
            if identifier == old[2]:
                raise error
            return ask(identifier)

        desk.ledger.sweeps.begin(counting=False)
        with monkeypatch.context() as patch:
            patch.setattr(desk.orthanc, "series", refuse_one)
            desk.take_in()
            assert set(old) - set(desk.ledger.series.find_known(old)) == {old[2]}
            assert desk.ledger.sweeps.count_unseen() == 1
            assert "hemorrhage_unseen_series 1.0" in generate_latest(desk.metrics.registry).decode()
            desk.wait(6)
            assert desk.ledger.sweeps.count_unseen() == 1
        desk.wait(6)
        assert self.count_found(desk, old) == 6  # its pause has doubled
        desk.wait(6)
        assert (self.count_found(desk, old), desk.ledger.sweeps.count_unseen()) == (7, 0)

    def test_a_sweep_goes_on_after_a_restart_where_it_was(
        self, desk: Desk, old: list[str], settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        desk.ledger.sweeps.begin(counting=False)
        while self.count_found(desk, old) < 3:
            desk.intake.turn()
        before = desk.ledger.sweeps.find_current()
        assert before is not None
        again = Desk(settings, tmp_path / "ledger.sqlite")
        asked: list[str] = []
        ask = again.orthanc.series
        monkeypatch.setattr(again.orthanc, "series", lambda name: asked.append(name) or ask(name))
        while again.intake._feed.sweeper.step() is not None:
            pass
        assert self.count_found(again, old) == 7
        assert again.ledger.sweeps.find_current() is None
        assert min(asked) > before.after
        again.close()

    def test_an_orthanc_away_for_a_moment_in_a_counting_sweep_loses_no_grown_study(
        self, desk: Desk, study: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        files = head_series(study, 20)
        desk.send(*files[:14])
        desk.quiet()
        desk.send(*files[14:])
        position, newest = desk.ledger.feed.position(), desk.orthanc.newest_change()
        assert position is not None
        desk.ledger.feed.advance(
            position, Position(newest.last, newest.changes[-1].fingerprint, position.began), sweep=True
        )

        def away(*_: object) -> HeldSeries:
            raise UnavailableError("Orthanc is away")

        stopping = threading.Event()
        with monkeypatch.context() as patch:
            patch.setattr(desk.orthanc, "series", away)
            patch.setattr(desk.orthanc, "system", away)
            patch.setattr(desk.intake._log, "error", lambda *_, **__: stopping.set())
            desk.intake.run(stopping)
        desk.quiet()
        assert [job.state for job in desk.jobs(study)] == [JobState.WITHDRAWN, JobState.QUEUED]

    def test_a_change_log_that_started_again_while_a_sweep_was_under_way_makes_it_count_from_the_first_series(
        self, desk: Desk, old: list[str]
    ) -> None:
        desk.ledger.sweeps.begin(counting=False)
        while self.count_found(desk, old) < 3:
            desk.intake.turn()
        position = desk.ledger.feed.position()
        assert position is not None
        desk.ledger.feed.advance(position, Position(10**6, "NewInstance of another life 0", position.began))
        desk.intake.turn()
        sweep = desk.ledger.sweeps.find_current()
        assert sweep is not None
        assert sweep.counting
        desk.ledger.sweeps.begin(counting=False)  # as a restart does
        assert desk.ledger.sweeps.find_current() == sweep

    def test_a_series_that_cannot_be_looked_at_holds_up_no_other_of_the_change_log(
        self, desk: Desk, study: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        time.sleep(1.1)  # what Orthanc got in the second of the first start counts as older
        odd = desk.send(*head_series(str(generate_uid())))
        desk.send(*head_series(study))
        odd_series, ask = desk.orthanc.series_of_instance(odd[0]), desk.orthanc.series

        def refuse_one(identifier: str) -> HeldSeries:
            if identifier == odd_series:
                raise OrthancError("HTTP 400", 400)
            return ask(identifier)

        with monkeypatch.context() as patch:
            patch.setattr(desk.orthanc, "series", refuse_one)
            desk.quiet()
        assert len(desk.jobs(study)) == 1
        desk.quiet()
        desk.wait(6)
        assert desk.ledger.series.find_known([odd_series])[odd_series].origin is Origin.SOURCE

    def test_an_instance_that_has_no_place_is_found_by_its_series(
        self, desk: Desk, study: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        time.sleep(1.1)
        ids = desk.send(*head_series(study))

        def fail(identifier: str) -> str:
            raise UnavailableError("Orthanc answered HTTP 500")

        with monkeypatch.context() as patch:
            patch.setattr(desk.orthanc, "series_of_instance", fail)
            desk.take_in()
        desk.quiet()
        assert len(desk.jobs(study)) == 1
        assert ids


def orthanc_id(number: int) -> str:
    """An identifier as Orthanc gives them, of nothing that it holds."""
    return f"deadbeef-{number:08x}-00000000-00000000-00000000"


class TestDeciding:
    def test_a_study_is_decided_when_its_quiet_time_is_over_and_not_before(self, desk: Desk, study: str) -> None:
        ids = desk.send(*head_series(study))
        at = desk.clock()
        desk.bell.ring(Ring(instances=dict.fromkeys(ids, at)))
        desk.wait(desk.settings.intake.quiet_s - 0.01)
        assert desk.jobs(study) == []
        assert desk.take_in() == pytest.approx(0.01, abs=1e-6)
        desk.wait(0.01)
        (job,) = desk.jobs(study)
        assert (job.state, job.live, job.last_instance_at) == (JobState.QUEUED, True, at)

    def test_a_new_instance_starts_the_quiet_time_again(self, desk: Desk, study: str) -> None:
        files = head_series(study)
        desk.bell.ring(Ring(instances=dict.fromkeys(desk.send(*files[:-1]), desk.clock())))
        desk.wait(0.5)
        desk.bell.ring(Ring(instances=dict.fromkeys(desk.send(files[-1]), desk.clock())))
        desk.wait(1.9)
        assert desk.jobs(study) == []
        desk.wait(0.2)
        assert len(desk.jobs(study)) == 1

    def test_at_the_decision_every_header_is_in_memory(
        self, desk: Desk, study: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        desk.send(*head_series(study))
        desk.wait(0.5)
        fetched: list[str] = []
        monkeypatch.setattr(desk.orthanc, "file", lambda name, limit=None: fetched.append(name))
        desk.quiet()
        (job,) = desk.jobs(study)
        snapshot = desk.handover.take(job.id)
        assert fetched == []
        assert snapshot is not None
        assert len(snapshot.instances) == 14

    def test_the_same_instances_again_do_nothing(self, desk: Desk, study: str) -> None:
        files = head_series(study)
        desk.send(*files)
        desk.quiet()
        desk.send(*files)
        desk.quiet()
        assert len(desk.jobs(study)) == 1

    def test_a_document_beside_the_images_leads_to_no_second_answer(self, desk: Desk, study: str) -> None:
        desk.send(*head_series(study))
        desk.quiet()
        desk.send(bystander(study))
        desk.quiet()
        assert [job.state for job in desk.jobs(study)] == [JobState.QUEUED]
        assert desk.ledger.studies.list_followed() == []

    def test_a_series_that_grows_after_its_answer_gets_another(self, desk: Desk, study: str) -> None:
        files = head_series(study, 20)
        desk.send(*files[:14])
        desk.quiet()
        claimed = desk.ledger.queue.claim("worker", 60)
        desk.send(*files[14:])
        desk.quiet()
        first, second = desk.jobs(study)
        assert claimed is not None
        assert (first.id, first.state) == (claimed.id, JobState.RUNNING)
        assert second.chosen_set != first.chosen_set

    def test_a_better_series_gets_an_answer_of_its_own(self, desk: Desk, study: str) -> None:
        desk.send(*head_series(study, SeriesDescription="Head 0.6 x", ConvolutionKernel="H31s", SliceThickness=5))
        desk.quiet()
        worse = desk.jobs(study)[0]
        desk.ledger.queue.claim("worker", 60)
        desk.send(*head_series(study, 20))
        desk.quiet()
        assert len(desk.jobs(study)) == 2
        assert desk.jobs(study)[1].chosen_set != worse.chosen_set

    def test_a_better_series_that_has_begun_to_come_is_waited_for(self, desk: Desk, study: str) -> None:
        better = head_series(study, 20)
        desk.send(*head_series(study, SeriesDescription=None, BodyPartExamined=None), *better[:5])
        desk.quiet()
        (followed,) = desk.ledger.studies.list_followed()
        assert followed.state is StudyState.INCOMPLETE
        assert "5 slices so far" in followed.why
        desk.send(*better[5:])
        desk.quiet_after_a_pause()
        (job,) = desk.jobs(study)
        snapshot = desk.handover.take(job.id)
        assert snapshot is not None
        chosen = {stack.slice_set_hash: len(stack.instances) for stack in stacks(snapshot.instances)}
        assert chosen[job.chosen_set] == 20

    def test_a_complete_series_is_decided_on_when_the_better_one_does_not_go_on(self, desk: Desk, study: str) -> None:
        desk.send(*head_series(study, SeriesDescription=None, BodyPartExamined=None), *head_series(study, 20)[:5])
        desk.quiet()
        assert desk.jobs(study) == []
        desk.wait(desk.settings.intake.incomplete_s)
        (job,) = desk.jobs(study)
        assert job.chosen_set

    def test_a_rescan_gets_an_answer_of_its_own_beside_the_first(self, desk: Desk, study: str) -> None:
        desk.send(*head_series(study, AcquisitionTime="120000"))
        desk.quiet()
        desk.send(*head_series(study, AcquisitionTime="121500", AcquisitionNumber=2))
        desk.quiet()
        first, second = desk.jobs(study)
        assert [first.state, second.state] == [JobState.QUEUED, JobState.QUEUED]
        assert second.left_out == (first.chosen_set,)

    def test_another_reconstruction_of_the_same_acquisition_gets_none(self, desk: Desk, study: str) -> None:
        desk.send(*head_series(study, AcquisitionTime="120000"))
        desk.quiet()
        desk.send(*head_series(study, AcquisitionTime="120000", WindowWidth=90))
        desk.quiet()
        assert len(desk.jobs(study)) == 1

    def test_a_missing_slice_is_waited_for(self, desk: Desk, study: str) -> None:
        files = head_series(study)
        desk.send(*files[:6], *files[7:])
        desk.quiet()
        (followed,) = desk.ledger.studies.list_followed()
        assert followed.state is StudyState.INCOMPLETE
        assert "missing" in followed.why
        desk.send(files[6])
        desk.quiet_after_a_pause()
        (job,) = desk.jobs(study)
        assert job.chosen_set

    def test_what_stays_incomplete_is_decided_in_the_end(self, desk: Desk, study: str) -> None:
        desk.send(*head_series(study)[:3])
        desk.quiet()
        assert desk.jobs(study) == []
        desk.wait(desk.settings.intake.incomplete_s)
        (job,) = desk.jobs(study)
        assert job.chosen_set == ""

    def test_a_scout_alone_is_no_refused_study_yet(self, desk: Desk, study: str) -> None:
        desk.send(*head_series(study, 1, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]))
        desk.quiet()
        (followed,) = desk.ledger.studies.list_followed()
        assert followed.state is StudyState.INCOMPLETE
        assert followed.refusals[0]["code"] == "localizer"

    def test_nothing_is_kept_of_a_study_that_another_service_decided(self, desk: Desk, study: str) -> None:
        here = desk.intake
        desk.start_again("another/1")
        there = desk.intake
        desk.send(*head_series(study))
        for desk.intake in (here, there):
            desk.wait(1)
        assert here._prepared
        desk.clock.now += desk.settings.intake.quiet_s + 1
        for desk.intake in (there, here):
            desk.take_in()
        assert len(desk.jobs(study)) == 1
        assert not any((here._prepared, here._came, here._first_seen, here._unstamped, here._paces._studies))

    def test_a_study_without_ct_is_decided_at_once(self, desk: Desk, study: str) -> None:
        desk.send(*head_series(study, 9, Modality="MR", SOPClassUID=MRImageStorage))
        desk.quiet()
        assert len(desk.jobs(study)) == 1

    def test_a_study_that_is_deleted_while_it_comes_is_followed_no_more(self, desk: Desk, study: str) -> None:
        ids = desk.send(*head_series(study))
        desk.take_in()
        gone = desk.study_of(ids[0])
        desk.delete_study(gone)
        desk.bell.ring(Ring(studies={gone: "deleted"}))
        desk.take_in()
        assert desk.ledger.studies.list_followed() == []
        desk.quiet()
        assert desk.jobs(study) == []

    def test_a_deleted_study_is_noticed_without_the_plugin(self, desk: Desk, study: str) -> None:
        ids = desk.send(*head_series(study))
        desk.take_in()
        desk.delete_study(desk.study_of(ids[0]))
        desk.quiet()
        assert desk.ledger.studies.list_followed() == []
        assert desk.jobs(study) == []

    def test_a_deleted_study_that_is_sent_again_is_answered_again(self, desk: Desk, study: str) -> None:
        files = head_series(study)
        ids = desk.send(*files)
        desk.quiet()
        gone = desk.study_of(ids[0])
        desk.delete_study(gone)
        desk.bell.ring(Ring(studies={gone: "deleted"}))
        desk.take_in()
        assert desk.jobs(study)[0].state is JobState.REFUSED
        desk.send(*files)
        desk.quiet()
        assert desk.jobs(study)[-1].state is JobState.QUEUED

    def test_a_perfusion_of_thousands_is_refused_unread_and_the_rest_is_answered(
        self, settings: Settings, tmp_path: Path, study: str
    ) -> None:
        few = settings.intake.model_copy(update={"largest_series": 50})
        desk = Desk(settings.model_copy(update={"intake": few}), tmp_path / "ledger.sqlite")
        desk.take_in()
        perfusion = str(generate_uid())
        desk.send(*head_series(study, 51, series=perfusion), *head_series(study))
        desk.quiet()
        (job,) = desk.jobs(study)
        snapshot = desk.handover.take(job.id)
        assert snapshot is not None
        assert len(snapshot.instances) == 14
        assert [(refusal.code, refusal.series_uid) for refusal in snapshot.refusals] == [("too_large", perfusion)]
        desk.close()

    @pytest.mark.parametrize("error", [UnavailableError("HTTP 500"), OrthancError("HTTP 400", 400)])
    def test_a_file_that_orthanc_lost_holds_up_its_own_study_alone(
        self, desk: Desk, study: str, monkeypatch: pytest.MonkeyPatch, error: Exception
    ) -> None:
        lost = desk.send(*head_series(study))[0]
        other = str(generate_uid())
        desk.send(*head_series(other))
        file = desk.orthanc.file

        def without_it(instance: str, limit: int | None = None) -> bytes:
            if instance == lost:
                raise error
            return file(instance, limit)

        monkeypatch.setattr(desk.orthanc, "file", without_it)
        desk.quiet()
        assert len(desk.jobs(other)) == 1
        (job,) = desk.jobs(study)
        assert job.chosen_set == ""

    def test_a_study_whose_uid_no_ledger_keeps_is_refused_and_holds_no_other_up(
        self, settings: Settings, tmp_path: Path, study: str
    ) -> None:
        server = PostgresServer()  # SQLite keeps texts of any length
        server.start()
        try:
            desk = Desk(settings, server.url)
            desk.take_in()
            odd = desk.study_of(desk.send(*head_series("1.2." + "3" * 61))[0])
            desk.send(*head_series(study))
            desk.quiet()
            assert len(desk.jobs(study)) == 1
            bench = Bench(desk)
            while bench.worker.work():
                pass
            (job,) = desk.jobs(odd)
            assert job.state is JobState.REFUSED
            assert {refusal["code"] for refusal in job.refusals} == {"not_dicom", "no_suitable_series"}
            assert "StudyInstanceUID" in job.refusals[0]["reason"]
            desk.close()
            server.stop()
        finally:
            server.remove()

    def test_a_series_deleted_in_its_quiet_time_is_not_what_is_decided_on(self, desk: Desk, study: str) -> None:
        desk.send(*head_series(study))
        better = desk.send(*head_series(study, 20))
        desk.wait(0.5)
        series = desk.orthanc.series_of_instance(better[0])
        httpx.delete(f"{desk.settings.orthanc.url}/series/{series}", trust_env=False, timeout=60)
        desk.bell.ring(Ring(series={series: "deleted"}))
        desk.quiet()
        (job,) = desk.jobs(study)
        snapshot = desk.handover.take(job.id)
        assert snapshot is not None
        assert len(snapshot.instances) == 14

    def test_headers_that_break_the_judgement_still_lead_to_a_job(
        self, desk: Desk, study: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def breaks(*_: object) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr("appliance.intake.intake.judge", breaks)
        desk.send(*head_series(study))
        desk.quiet()
        assert len(desk.jobs(study)) == 1


class TestLongLogs:
    """A change log that takes many pages, with studies in it that are due already."""

    @pytest.fixture(autouse=True)
    def short_pages(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("appliance.intake.change_feed._PAGE", 20)
        monkeypatch.setattr("appliance.intake.change_feed._PAGE_S", 3600.0)  # however busy this machine is

    @staticmethod
    def is_behind(desk: Desk) -> bool:
        position = desk.ledger.feed.position()
        assert position is not None
        return position.seq < desk.orthanc.newest_change().last

    @staticmethod
    def fill_log(desk: Desk, studies: int = 12) -> list[str]:
        """Send further studies: more than the test reads."""
        others = [str(generate_uid()) for _ in range(studies)]
        for one in others:
            desk.send(*head_series(one))
        return others

    @staticmethod
    def turn_after(desk: Desk, seconds: float = 0.0) -> None:
        """Put the clock forward and turn; whatever entries this page has seem to have come just now."""
        desk.clock.now += seconds
        assert desk.intake.turn() == 0.0

    def let_be_quiet(self, desk: Desk) -> None:
        """Take in the first page, and let the quiet time of what it tells pass."""
        self.turn_after(desk)
        self.turn_after(desk, desk.settings.intake.quiet_s + 2)

    def test_a_quiet_study_is_decided_while_the_log_is_still_read(self, desk: Desk, study: str) -> None:
        desk.send(*head_series(study))
        self.fill_log(desk)
        quiet_s = desk.settings.intake.quiet_s
        self.let_be_quiet(desk)
        assert desk.jobs(study) == []  # one look does not tell whether it still grows
        self.turn_after(desk, quiet_s)
        assert len(desk.jobs(study)) == 1
        assert self.is_behind(desk)
        desk.quiet_after_a_pause()
        assert len(desk.jobs(study)) == 1

    def test_a_study_that_grows_further_on_in_the_log_is_not_decided_before_it_is_whole(
        self, desk: Desk, study: str
    ) -> None:
        files = head_series(study, 16)
        quiet_s = desk.settings.intake.quiet_s
        desk.send(*files[:8])
        others = self.fill_log(desk)
        self.let_be_quiet(desk)
        desk.send(*files[8:12])
        self.turn_after(desk, quiet_s)
        desk.send(*files[12:])
        self.turn_after(desk, quiet_s)
        assert self.is_behind(desk)
        assert desk.jobs(study) == []
        assert {one.state for one in desk.ledger.studies.list_followed()} == {StudyState.RECEIVING}
        self.turn_after(desk, quiet_s)
        (job,) = desk.jobs(study)
        assert self.is_behind(desk)
        snapshot = desk.handover.take(job.id)
        assert snapshot is not None
        assert len(snapshot.instances) == 16
        desk.quiet_after_a_pause()
        assert [len(desk.jobs(one)) for one in (study, *others)] == [1] * (1 + len(others))

    @pytest.mark.parametrize("stamped", [True, False])
    def test_a_study_decided_meanwhile_overtakes_none_whose_last_instance_came_before(
        self, desk: Desk, study: str, stamped: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        growing, quiet_s, begun = str(generate_uid()), desk.settings.intake.quiet_s, desk.orthanc.newest_change().last
        files = head_series(growing)
        ids = desk.send(*files[:-1], *head_series(study))
        first_page = desk.orthanc.newest_change().last - begun
        self.fill_log(desk, 6)
        time.sleep(0 if stamped else 2)  # Orthanc tells whole seconds
        (last,) = desk.send(files[-1])
        desk.clock.now = time.time()
        if stamped:
            desk.bell.ring(Ring(instances={**dict.fromkeys(ids, desk.clock() - 0.5), last: desk.clock()}))
        came = desk.clock()
        with monkeypatch.context() as patch:
            patch.setattr("appliance.intake.change_feed._PAGE", first_page)
            self.turn_after(desk)
        # Orthanc's clock does not go forward with the desk's: another look would tell of another difference.
        monkeypatch.setattr(OrthancClock, "look", lambda *_: None)
        self.turn_after(desk, quiet_s + 2)
        while not (desk.jobs(study) and desk.jobs(growing)):
            self.turn_after(desk, quiet_s)
        assert self.is_behind(desk)  # the log has not shown the last slice yet
        ((first,), (second,)) = desk.jobs(study), desk.jobs(growing)
        assert first.last_instance_at < second.last_instance_at
        assert second.last_instance_at == came or not stamped
        claimed: list[str] = []
        while not {study, growing} & set(claimed):
            job = desk.ledger.queue.claim("desk", 60)
            assert job is not None
            claimed.append(job.study_uid)
        assert study in claimed

    def test_later_pages_about_a_study_that_was_decided_lead_to_no_look_at_its_images(
        self, desk: Desk, study: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        files = head_series(study)
        quiet_s = desk.settings.intake.quiet_s
        (first, *_) = desk.send(*files[:7])
        self.fill_log(desk, 6)
        desk.send(*files[7:])
        self.let_be_quiet(desk)
        self.turn_after(desk, quiet_s)
        assert len(desk.jobs(study)) == 1
        looked_at: list[str] = []
        look = desk.snapshots.of

        def note(identifier: str, *options: Any, **others: Any) -> Any:
            looked_at.append(identifier)
            return look(identifier, *options, **others)

        monkeypatch.setattr(desk.snapshots, "of", note)
        desk.quiet_after_a_pause()
        assert len(desk.jobs(study)) == 1
        assert desk.study_of(first) not in looked_at
        assert looked_at

    def test_a_service_that_lives_for_a_few_pages_at_a_time_decides_meanwhile(self, desk: Desk) -> None:
        others = self.fill_log(desk)
        decided, life = [0], 1
        while self.is_behind(desk):
            life += 1
            desk.start_again(f"desk/{life}")
            self.turn_after(desk)
            for _ in range(2):
                desk.clock.now += desk.settings.intake.quiet_s + 2
                desk.intake.turn()
            decided.append(sum(len(desk.jobs(one)) for one in others))
        assert life > 3
        assert decided[-2] > decided[1] > 0
        desk.quiet_after_a_pause()
        assert [len(desk.jobs(one)) for one in others] == [1] * len(others)

    def test_a_page_that_takes_long_is_kept_in_parts(
        self, desk: Desk, study: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("appliance.intake.change_feed._PAGE_S", -1.0)
        before = desk.ledger.feed.position()
        desk.send(*head_series(study))
        self.turn_after(desk)
        after = desk.ledger.feed.position()
        assert before is not None
        assert after is not None
        page = desk.orthanc.changes(before.seq, 20).changes
        assert (after.seq, after.fingerprint) == (page[0].seq, page[0].fingerprint)
        desk.quiet_after_a_pause()
        assert len(desk.jobs(study)) == 1

    def test_a_turn_attends_to_few_of_many_and_takes_in_what_came_meanwhile(
        self, desk: Desk, study: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("appliance.intake.change_feed._PAGE", 10_000)
        monkeypatch.setattr("appliance.intake.intake._ATTENDED_A_TURN_S", 0.0)
        monkeypatch.setattr("appliance.intake.intake._FETCHED_A_TURN", 10_000)
        others = self.fill_log(desk, 8)
        while not desk.ledger.studies.list_followed():
            desk.intake.turn()
        desk.clock.now += 600
        desk.send(*head_series(study))
        self.turn_after(desk)
        assert sum(len(desk.jobs(one)) for one in others) == 2
        assert study in {one.uid for one in desk.ledger.studies.list_followed()}
        self.turn_after(desk, 1)
        assert sum(len(desk.jobs(one)) for one in others) < 8
        assert desk.intake._prepared.keys() == {
            one.id for one in desk.ledger.studies.list_followed() if one.uid == study
        }
        desk.quiet_after_a_pause()
        assert [len(desk.jobs(one)) for one in (study, *others)] == [1] * 9


class TestDeathsOfTheService:
    """The service ends while intake looks at a study: the next one has the same ledger and is of the same identity."""

    def end_while_looking(self, desk: Desk, monkeypatch: pytest.MonkeyPatch, life: int, where: str) -> None:
        """Let intake come as far as `where` in a study and no farther, as a process does that dies there."""

        def die(*_: object) -> None:
            raise SystemExit

        with monkeypatch.context() as patch:
            patch.setattr(*{"headers": (desk.headers, "of"), "pixels": (intake_module, "ends_of")}[where], die)
            with pytest.raises(SystemExit):
                desk.quiet()
        desk.start_again(f"desk/{life}")

    @pytest.mark.parametrize("where", ["headers", "pixels"])
    def test_a_study_in_whose_middle_the_service_ended_twice_is_looked_at_no_more_and_its_job_says_so(
        self, desk: Desk, study: str, monkeypatch: pytest.MonkeyPatch, where: str
    ) -> None:
        desk.send(*head_series(study))
        self.end_while_looking(desk, monkeypatch, 2, where)
        self.end_while_looking(desk, monkeypatch, 3, where)

        def fail(*_: object) -> None:
            raise AssertionError("looked at")

        with monkeypatch.context() as patch:
            patch.setattr(desk.headers, "of", fail)
            desk.quiet()
        (job,) = desk.jobs(study)
        assert (job.state, job.deaths) == (JobState.QUEUED, 2)
        assert not desk.ledger.studies.list_followed()

    def test_one_death_does_not_keep_a_study_from_being_looked_at(
        self, desk: Desk, study: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        desk.send(*head_series(study))
        self.end_while_looking(desk, monkeypatch, 2, "pixels")
        desk.quiet()
        (job,) = desk.jobs(study)
        assert job.deaths == 1
        assert job.chosen_set

    def test_a_death_counts_for_no_study_that_was_not_looked_at(
        self, desk: Desk, study: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        decided = str(generate_uid())
        desk.send(*head_series(decided))
        desk.quiet()
        desk.send(*head_series(study))
        self.end_while_looking(desk, monkeypatch, 2, "pixels")
        desk.send(bystander(decided))
        desk.quiet()
        assert {job.deaths for job in desk.jobs(decided)} == {0}

    def test_a_bystander_of_deaths_keeps_its_waiting_and_its_urgency(self, desk: Desk, study: str) -> None:
        files = head_series(study, StudyDescription="CT head STAT", AcquisitionDate="", AcquisitionDateTime="")
        desk.send(*files[:5], *files[6:])
        for life in (2, 3, 4):
            desk.wait(1)  # it is looked at, and the service ends over something else
            desk.start_again(f"desk/{life}")
        desk.quiet()
        (followed,) = desk.ledger.studies.list_followed()
        assert (followed.state, followed.deaths) == (StudyState.INCOMPLETE, 0)
        assert desk.jobs(study) == []
        desk.wait(desk.settings.intake.incomplete_s)
        (job,) = desk.jobs(study)
        assert (job.priority, job.deaths) == (URGENT, 0)

    def test_one_study_at_a_time_is_looked_at_however_many_come_at_once(
        self, desk: Desk, study: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = str(generate_uid())
        desk.send(*(file for pair in zip(head_series(study), head_series(other), strict=True) for file in pair))
        marked = []
        of = desk.headers.of

        def note(instance: str) -> Instance:
            marked.append(tuple(one.uid for one in desk.ledger.studies.list_followed() if one.looker))
            found = of(instance)
            assert marked[-1] == (found.header.StudyInstanceUID,)
            return found

        monkeypatch.setattr(desk.headers, "of", note)
        desk.take_in()
        assert {uid for (uid,) in marked} == {study, other}
        assert not any(one.looker for one in desk.ledger.studies.list_followed())

    def test_nothing_is_looked_at_any_more_once_a_turn_has_broken_off(
        self, desk: Desk, study: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        desk.send(*head_series(study))
        desk.take_in()

        def away(*_: object) -> None:
            raise UnavailableError("Orthanc is away")

        desk.clock.now += 1
        with monkeypatch.context() as patch:
            patch.setattr(desk.orthanc, "study", away)
            patch.setattr(desk.orthanc, "system", away)
            with pytest.raises(UnavailableError):
                desk.take_in()
            patch.setattr(desk.orthanc, "changes", away)
            with pytest.raises(UnavailableError):
                desk.intake.turn()
        (followed,) = desk.ledger.studies.list_followed()
        assert not followed.looker

    @pytest.mark.parametrize(("date", "expected"), [("", URGENT), ("19991231", OLD)])
    def test_a_study_that_is_not_looked_at_has_the_priority_that_orthanc_noted_of_it(
        self, desk: Desk, study: str, monkeypatch: pytest.MonkeyPatch, date: str, expected: int
    ) -> None:
        told = {"StudyDate": date, "AcquisitionDate": "", "AcquisitionDateTime": ""}
        desk.send(*head_series(study, SeriesDescription="STAT", **told))
        self.end_while_looking(desk, monkeypatch, 2, "headers")
        self.end_while_looking(desk, monkeypatch, 3, "headers")
        desk.quiet()
        (job,) = desk.jobs(study)
        assert (job.deaths, job.priority) == (2, expected)

    def test_a_study_of_which_orthanc_gives_no_image_has_the_priority_that_orthanc_noted_of_it(
        self, desk: Desk, study: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def lost(*_: object) -> None:
            raise UnavailableError("HTTP 500")

        desk.send(*head_series(study, StudyDescription="CT head STAT"))
        monkeypatch.setattr(desk.headers, "of", lost)
        desk.quiet()
        (job,) = desk.jobs(study)
        assert job.priority == URGENT

    def test_a_service_that_ends_in_order_leaves_no_death(self, desk: Desk, study: str) -> None:
        desk.send(*head_series(study))
        desk.take_in()
        desk.ledger.studies.leave("desk/1")
        desk.start_again("desk/2")
        desk.quiet()
        (job,) = desk.jobs(study)
        assert job.deaths == 0

    def test_what_was_answered_of_such_a_study_is_not_answered_again(
        self, desk: Desk, study: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        files = head_series(study)
        desk.send(*files[:-1])
        self.end_while_looking(desk, monkeypatch, 2, "pixels")
        self.end_while_looking(desk, monkeypatch, 3, "pixels")
        desk.quiet()
        ids = desk.send(files[-1])
        desk.quiet()
        assert len([job for job in desk.jobs(study) if job.state is JobState.QUEUED]) == 1
        httpx.delete(f"{desk.settings.orthanc.url}/instances/{ids[0]}", trust_env=False, timeout=60).raise_for_status()
        desk.send(files[-1])
        desk.quiet()
        assert len(desk.jobs(study)) == 2

    def test_intake_that_gets_image_after_image_of_a_slow_orthanc_is_not_stuck(
        self, desk: Desk, study: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = [0.0]
        monkeypatch.setattr(intake_module.time, "monotonic", lambda: now[0])
        stopping, stuck = threading.Event(), []

        def slowly(ask: Callable[[str], Any]) -> Callable[[str], Any]:
            def asked(instance: str) -> Any:
                stuck.append(desk.intake.is_stuck())
                now[0] += desk.settings.ledger.stall_s / 2
                stopping.set()
                return ask(instance)

            return asked

        desk.send(*head_series(study))
        desk.take_in()
        desk.clock.now += desk.settings.intake.quiet_s + 1
        monkeypatch.setattr(desk.headers, "of", slowly(desk.headers.of))
        monkeypatch.setattr(desk.snapshots, "file", slowly(desk.snapshots.file))
        desk.bell.wake()
        desk.intake.run(stopping)
        assert len(stuck) > 14
        assert not any(stuck)

    def test_intake_that_does_not_come_to_the_end_of_a_study_is_stuck(
        self, desk: Desk, study: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = [0.0]
        monkeypatch.setattr(intake_module.time, "monotonic", lambda: now[0])
        stopping, stuck = threading.Event(), []

        def hang(*_: object) -> None:
            stuck.append(desk.intake.is_stuck())
            now[0] += desk.settings.ledger.stall_s + 1
            stuck.append(desk.intake.is_stuck())
            stopping.set()

        desk.send(*head_series(study))
        desk.take_in()
        desk.clock.now += desk.settings.intake.quiet_s + 1
        monkeypatch.setattr(intake_module, "ends_of", hang)
        desk.bell.wake()
        desk.intake.run(stopping)
        assert stuck == [False, True]
        assert not desk.intake.is_stuck()


def companion(series: bytes, kind: str) -> bytes:
    """An object that is no CT image and carries study and series UID of a CT slice."""
    slice_ = dcmread(io.BytesIO(series))
    sop_class, modality = {
        "secondary capture": (SecondaryCaptureImageStorage, "OT"),
        "report": (ComprehensiveSRStorage, "SR"),
        "report that says it is CT": (ComprehensiveSRStorage, "CT"),
        "presentation state": (GrayscaleSoftcopyPresentationStateStorage, "PR"),
        "without a modality": (SecondaryCaptureImageStorage, ""),
    }[kind]
    slice_.SOPClassUID = slice_.file_meta.MediaStorageSOPClassUID = sop_class
    slice_.SOPInstanceUID = slice_.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    slice_.Modality = modality
    del slice_.ImagePositionPatient
    return scans.file(slice_)


class TestStrangersInTheSeries:
    @pytest.mark.parametrize(
        "kind",
        [
            "secondary capture",
            "report",
            "report that says it is CT",
            "presentation state",
            "without a modality",
        ],
    )
    @pytest.mark.parametrize("place", [0, 1, 7, 14], ids=["first", "second", "in the middle", "last"])
    def test_a_head_is_read_whatever_comes_with_its_series_uid_and_whenever(
        self, desk: Desk, study: str, kind: str, place: int
    ) -> None:
        files = head_series(study, 14)
        desk.send(*files[:place], companion(files[0], kind), *files[place:])
        desk.quiet()
        (job,) = desk.jobs(study)
        snapshot = desk.handover.take(job.id)
        assert snapshot is not None
        chosen = [one for one in stacks(snapshot.instances) if one.slice_set_hash == job.chosen_set]
        assert [len(one.instances) for one in chosen] == [14]

    def test_several_strangers_in_any_order_change_nothing(self, desk: Desk, study: str) -> None:
        files = head_series(study, 14)
        sent = [*files, *(companion(files[0], kind) for kind in ("report", "secondary capture", "presentation state"))]
        random.Random(5).shuffle(sent)
        desk.send(*sent)
        desk.quiet()
        (job,) = desk.jobs(study)
        assert job.chosen_set

    def test_slices_that_come_after_a_decision_about_the_stranger_alone_are_read(self, desk: Desk, study: str) -> None:
        files = head_series(study, 14)
        desk.send(companion(files[0], "report"))
        desk.quiet()
        desk.send(*files)
        desk.quiet()
        assert [job.chosen_set != "" for job in desk.jobs(study)][-1:] == [True]


class TestOwnResults:
    def test_a_series_that_the_ledger_knows_as_ours_starts_nothing(self, desk: Desk, study: str) -> None:
        ids = desk.send(*head_series(study))
        desk.quiet()
        ours = desk.orthanc.series_of_instance(ids[0])
        assert desk.ledger.series.find_known([ours])[ours].origin is Origin.SOURCE
        result = own_result(study)
        desk.send(result)
        desk.quiet()
        assert len(desk.jobs(study)) == 1
        assert desk.ledger.studies.list_followed() == []

    def test_a_result_of_another_appliance_starts_nothing_and_joins_nothing(self, desk: Desk, study: str) -> None:
        (result,) = desk.send(own_result(study))
        desk.quiet()
        assert desk.ledger.views.newest_studies(1000) == []
        series = desk.orthanc.series_of_instance(result)
        assert desk.ledger.series.find_known([series])[series].origin is Origin.OWN
        desk.send(*head_series(study))
        desk.quiet()
        (job,) = desk.jobs(study)
        snapshot = desk.handover.take(job.id)
        assert snapshot is not None
        assert {str(instance.header.Modality) for instance in snapshot.instances} == {"CT"}


def own_result(study: str) -> bytes:
    """A secondary capture with UIDs as the appliance's results have them."""
    uid = name_uid(f"some answer about {study}")
    image = scans.image(
        scans.head(1)[0], (0, 0, 0), StudyInstanceUID=study, SeriesInstanceUID=series_uid_of(uid), Modality="OT"
    )
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = uid
    return scans.file(image)


def test_a_job_that_a_person_asked_for_does_not_stand_for_the_study(desk: Desk, study: str) -> None:
    ids = desk.send(*head_series(study))
    held = desk.orthanc.series(desk.orthanc.series_of_instance(ids[0]))
    desk.ledger.queue.request(held.study, study, NewJob("", "", series=held.id))
    desk.quiet()
    assert [job.requested for job in desk.jobs(study)] == [True, False]


class TestEnds:
    def test_a_slow_sender_gets_one_answer(self, desk: Desk, study: str) -> None:
        for file in head_series(study):
            desk.bell.ring(Ring(instances=dict.fromkeys(desk.send(file), desk.clock())))
            desk.wait(3)
        assert desk.jobs(study) == []
        desk.wait(4 * 3)
        (job,) = desk.jobs(study)
        snapshot = desk.handover.take(job.id)
        assert snapshot is not None
        assert len(snapshot.instances) == 14

    def test_the_quiet_time_of_a_slow_sender_has_a_limit(self, desk: Desk, study: str) -> None:
        for part in (head_series(study)[:7], head_series(study)[7:]):
            desk.bell.ring(Ring(instances=dict.fromkeys(desk.send(*part), desk.clock())))
            desk.wait(29)
        desk.wait(2)
        assert len(desk.jobs(study)) == 1

    def test_pauses_between_series_do_not_prolong_the_quiet_time(self, desk: Desk, study: str) -> None:
        scout = head_series(study, 1, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
        desk.bell.ring(Ring(instances=dict.fromkeys(desk.send(*scout), desk.clock())))
        desk.wait(25)
        desk.bell.ring(Ring(instances=dict.fromkeys(desk.send(*head_series(study)), desk.clock())))
        desk.wait(desk.settings.intake.quiet_s)
        assert len(desk.jobs(study)) == 1

    def test_a_head_sent_in_two_associations_gets_one_answer(self, desk: Desk, study: str) -> None:
        files = head_series(study, 20)
        desk.bell.ring(Ring(instances=dict.fromkeys(desk.send(*files[:16]), desk.clock())))
        desk.wait(10)
        (followed,) = desk.ledger.studies.list_followed()
        assert followed.state is StudyState.INCOMPLETE
        assert "the top of the head is missing" in followed.why
        desk.bell.ring(Ring(instances=dict.fromkeys(desk.send(*files[16:]), desk.clock())))
        desk.wait(desk.settings.intake.quiet_longest_s)
        (job,) = desk.jobs(study)
        snapshot = desk.handover.take(job.id)
        assert snapshot is not None
        assert len(snapshot.instances) == 20

    def test_the_slices_between_are_waited_for_where_nothing_but_the_thickness_tells_of_them(
        self, desk: Desk, study: str
    ) -> None:
        files = head_series(study, 20, SliceThickness=4)
        desk.send(*files[::2])
        desk.quiet()
        (followed,) = desk.ledger.studies.list_followed()
        assert followed.state is StudyState.INCOMPLETE
        assert "mm apart" in followed.why
        desk.send(*files[1::2])
        desk.quiet_after_a_pause()
        (job,) = desk.jobs(study)
        snapshot = desk.handover.take(job.id)
        assert snapshot is not None
        assert len(snapshot.instances) == 20

    def test_a_sender_that_broke_off_is_waited_for_and_then_answered(self, desk: Desk, study: str) -> None:
        desk.send(*head_series(study, 16)[:13])
        desk.quiet()
        desk.wait(desk.settings.intake.ends_s - 4)
        assert desk.jobs(study) == []
        desk.wait(4)
        (job,) = desk.jobs(study)
        assert job.chosen_set

    def test_a_rescan_without_its_top_is_waited_for(self, desk: Desk, study: str) -> None:
        desk.send(*head_series(study, AcquisitionTime="120000"))
        desk.quiet()
        again = head_series(study, 16, AcquisitionTime="121500", AcquisitionNumber=2)
        desk.send(*again[:13])
        desk.quiet()
        assert len(desk.jobs(study)) == 1
        desk.send(*again[13:])
        desk.quiet_after_a_pause()
        assert len(desk.jobs(study)) == 2

    def test_a_slice_that_cannot_be_read_at_all_is_counted_and_a_document_is_not(
        self, desk: Desk, study: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ids = desk.send(*head_series(study), bystander(study))
        desk.take_in()
        of = desk.headers.of

        def refuse_two(instance: str) -> Instance:
            if instance in (ids[4], ids[-1]):
                raise RefusedError(Refusal(RefusalCode.NOT_DICOM, "not to be read"))
            return of(instance)

        monkeypatch.setattr(desk.headers, "of", refuse_two)
        snapshot = desk.snapshots.of(desk.study_of(ids[0]))
        assert snapshot.unread == 1
        assert len(snapshot.refusals) == 2
        assert len(snapshot.instances) == 13

    def test_a_gap_is_waited_for_longer_than_an_end(self, desk: Desk, study: str) -> None:
        files = head_series(study, 16)
        desk.send(*files[:6], *files[7:13])
        desk.quiet()
        desk.wait(desk.settings.intake.ends_s + 1)
        assert desk.jobs(study) == []
        desk.wait(desk.settings.intake.incomplete_s - desk.settings.intake.ends_s)
        assert len(desk.jobs(study)) == 1
