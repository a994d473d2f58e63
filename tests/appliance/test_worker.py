# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The worker on a real Orthanc and a real ledger, with everything real but the network."""

from __future__ import annotations

import errno
import io
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pydicom.uid import MRImageStorage, generate_uid

from appliance.delivery.marks import Marks
from appliance.delivery.refusals import RefusalReports
from appliance.errors import Refusal, RefusalCode, RefusedError, UnavailableError
from appliance.intake.lost import MOST_ANSWERS
from appliance.intake.snapshot import Snapshot
from appliance.ledger.models import ModelFacts
from appliance.ledger.records import ModelEvent, NewJob
from appliance.ledger.states import JobState
from appliance.orthanc_errors import AnswerTooLongError, NotThereError, OrthancError
from appliance.sections.answers import FindingSettings
from appliance.trial import KillsReaderError
from tests.appliance.bench import Bench, exposition
from tests.appliance.faults import raise_after
from tests.appliance.log_lines import lines
from tests.appliance.stand_in import StandInRoom, head_series


def delete(bench: Bench, study: str, modality: str) -> None:
    """Delete the results of a kind in Orthanc, as somebody else would."""
    lost = {one.SOPInstanceUID for one in bench.held(study) if one.Modality == modality}
    assert lost
    for result in bench.desk.ledger.jobs.results(bench.job(study).id):
        if result.sop_instance_uid in lost:
            bench.desk.orthanc.delete_instance(result.orthanc_instance)


class TestAnswering:
    def test_an_answer_is_stored_beside_its_source_and_recorded(self, bench: Bench, study: str) -> None:
        bench.send(*head_series(study))
        assert bench.worker.work()
        job = bench.job(study)
        assert job.state is JobState.DONE
        assert job.answer["present"] is True
        assert job.answer["series"]["slices"] == 14
        assert bench.kinds(study) == {"SR", "SEG", "OT", "KO"}
        assert {"quiet", "queue", "select", "read", "infer", "find", "report", "deliver"} <= job.timing_ms.keys()
        assert job.turnaround_s is not None
        assert not bench.worker.work()

    def test_every_file_of_a_study_is_fetched_once_and_none_is_kept_after_the_answer(
        self, bench: Bench, study: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fetched: list[str] = []
        fetch = bench.desk.orthanc.file

        def count(instance: str, limit: int | None = None) -> bytes:
            fetched.append(instance)
            return fetch(instance, limit)

        monkeypatch.setattr(bench.desk.orthanc, "file", count)
        sent = bench.send(*head_series(study))
        assert bench.desk.files.kept_bytes > 0
        assert bench.worker.work()
        assert bench.job(study).state is JobState.DONE
        of_results = {result.orthanc_instance for result in bench.desk.ledger.jobs.results(bench.job(study).id)}
        assert sorted(fetched) == sorted([*sent, *of_results])  # each result is read back once
        assert bench.desk.files.kept_bytes == 0

    def test_our_results_lead_to_no_further_job(self, bench: Bench, study: str) -> None:
        bench.send(*head_series(study))
        bench.worker.work()
        bench.desk.quiet()
        assert len(bench.desk.jobs(study)) == 1
        assert bench.desk.ledger.studies.list_followed() == []

    def test_a_study_with_nothing_to_read_is_refused_with_its_reasons(self, bench: Bench, study: str) -> None:
        bench.send(*head_series(study, 9, Modality="MR", SOPClassUID=MRImageStorage))
        bench.worker.work()
        job = bench.job(study)
        assert job.state is JobState.REFUSED
        assert {refusal["code"] for refusal in job.refusals} == {"not_ct", "no_suitable_series"}
        assert bench.held(study) == []
        assert 'hemorrhage_refusals_total{code="not_ct",study="refused"} 1.0' in exposition(bench.metrics)
        assert 'hemorrhage_step_seconds_count{step="select"} 1.0' in exposition(bench.metrics)

    @pytest.mark.parametrize("modality", ["SR", "SEG"])
    def test_what_orthanc_has_lost_of_an_answer_is_noticed_and_stored_again(
        self, bench: Bench, study: str, modality: str
    ) -> None:
        bench.send(*head_series(study))
        bench.worker.work()
        before = {one.SOPInstanceUID for one in bench.held(study)}
        delete(bench, study, modality)
        bench.desk.intake._lost.hurry()
        bench.desk.quiet()
        assert bench.worker.work()
        assert {one.SOPInstanceUID for one in bench.held(study)} == before
        first, again = bench.desk.jobs(study)
        assert (again.state, again.sr_uid) == (JobState.DONE, first.sr_uid)
        bench.desk.intake._lost.hurry()
        bench.desk.quiet()
        assert not bench.worker.work()

    @pytest.mark.parametrize("error", [UnavailableError("HTTP 500"), OrthancError("HTTP 400", 400)])
    def test_a_report_that_cannot_be_looked_for_holds_nothing_up(
        self, bench: Bench, study: str, monkeypatch: pytest.MonkeyPatch, error: Exception
    ) -> None:
        odd = str(generate_uid())
        for one in (study, odd):
            bench.send(*head_series(one))
            bench.worker.work()
        delete(bench, study, "SR")
        holds, of_odd = bench.desk.orthanc.holds_instance, bench.desk.ledger.jobs.results(bench.job(odd).id)

        def fail_for_one(identifier: str) -> bool:
            if identifier in {result.orthanc_instance for result in of_odd}:
                raise error
            return holds(identifier)

        monkeypatch.setattr(bench.desk.orthanc, "holds_instance", fail_for_one)
        bench.desk.intake._lost.hurry()
        bench.desk.quiet()
        assert bench.worker.work()
        assert [job.state for job in bench.desk.jobs(study)] == [JobState.DONE, JobState.DONE]

    def test_results_that_somebody_deletes_again_and_again_are_left_alone_in_the_end(
        self, bench: Bench, study: str
    ) -> None:
        bench.send(*head_series(study))
        bench.worker.work()
        for _ in range(MOST_ANSWERS):
            delete(bench, study, "SR")
            bench.desk.intake._lost.hurry()
            bench.desk.quiet()
            bench.worker.work()
        assert len(bench.desk.jobs(study)) == MOST_ANSWERS
        assert "SR" not in bench.kinds(study)

    def test_a_study_that_was_deleted_with_its_results_is_not_answered_again(self, bench: Bench, study: str) -> None:
        bench.send(*head_series(study))
        bench.worker.work()
        bench.desk.delete_study(bench.job(study).orthanc_study)
        bench.desk.intake._lost.hurry()
        bench.desk.quiet()
        assert not bench.worker.work()
        assert len(bench.desk.jobs(study)) == 1

    def test_a_rescan_is_answered_itself(self, bench: Bench, study: str) -> None:
        bench.send(*head_series(study, AcquisitionTime="120000"))
        bench.worker.work()
        first = bench.job(study)
        rescan = str(generate_uid())
        bench.send(*head_series(study, series=rescan, AcquisitionTime="121500", AcquisitionNumber=2))
        bench.worker.work()
        second = bench.job(study)
        assert (first.answer["series"]["uid"] != rescan, second.answer["series"]["uid"]) == (True, rescan)
        assert [job.state for job in bench.desk.jobs(study)] == [JobState.SUPERSEDED, JobState.DONE]

    def test_a_series_that_was_asked_for_is_the_one_that_is_answered(self, bench: Bench, study: str) -> None:
        bench.send(*head_series(study))
        bench.worker.work()
        bone = str(generate_uid())
        ids = bench.send(*head_series(study, series=bone, ConvolutionKernel="H70h", WindowWidth=4000))
        series = bench.desk.orthanc.series(bench.desk.orthanc.series_of_instance(ids[0]))
        bench.desk.ledger.queue.request(series.study, study, NewJob("", "", series=series.id))
        bench.worker.work()
        asked = bench.job(study)
        assert asked.state is JobState.REFUSED
        assert {refusal["series_uid"] for refusal in asked.refusals} == {bone, None}
        assert bench.desk.jobs(study)[0].state is JobState.DONE

    def test_another_threshold_gives_another_answer_when_asked_for(self, bench: Bench, study: str) -> None:
        ids = bench.send(*head_series(study))
        bench.worker.work()
        strict = bench.desk.settings.model_copy(update={"finding": FindingSettings(threshold=0.95)})
        bench.room = StandInRoom(strict, bench.detector)
        series = bench.desk.orthanc.series_of_instance(ids[0])
        bench.desk.ledger.queue.request(bench.desk.study_of(ids[0]), study, NewJob("", "", series=series))
        bench.another("worker").work()
        first, asked = bench.desk.jobs(study)
        assert (first.answer["present"], asked.answer["present"]) == (True, False)
        assert [first.state, asked.state] == [JobState.SUPERSEDED, JobState.DONE]
        assert bench.named_by(asked) == first.sr_uid

    def test_an_answer_about_the_study_names_the_one_that_was_asked_for_about_the_series_it_reads(
        self, bench: Bench, study: str
    ) -> None:
        files = head_series(study, 20)
        ids = bench.desk.send(*files[:14])
        series = bench.desk.orthanc.series_of_instance(ids[0])
        bench.desk.ledger.queue.request(bench.desk.study_of(ids[0]), study, NewJob("", "", series=series))
        bench.worker.work()
        bench.send(*files[14:])
        bench.worker.work()
        asked, about_study = bench.desk.jobs(study)
        assert [asked.state, about_study.state] == [JobState.SUPERSEDED, JobState.DONE]
        assert bench.named_by(about_study) == asked.sr_uid

    def test_a_last_instance_noted_by_a_clock_that_was_ahead_gives_no_turnaround_below_zero(
        self, bench: Bench, study: str
    ) -> None:
        bench.send(*head_series(study))
        bench.desk.clock.now -= 7000
        bench.worker.work()
        job = bench.job(study)
        assert (job.state, job.turnaround_s) == (JobState.DONE, None)
        assert min(job.timing_ms.values()) >= 0


class TestWaiting:
    def test_a_job_waits_while_triton_is_away_and_goes_on_when_it_is_back(self, bench: Bench, study: str) -> None:
        bench.send(*head_series(study))
        bench.room.away = True
        pauses = []
        for _ in range(12):
            assert bench.worker.work()
            job = bench.job(study)
            assert job.state is JobState.WAITING
            pauses.append(round(job.next_try - job.since))
            bench.desk.clock.now += pauses[-1] + 1
        assert pauses == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300, 300]
        bench.room.away = False
        bench.worker.work()
        assert bench.job(study).state is JobState.DONE

    def test_a_study_that_breaks_the_pipeline_is_given_up_and_others_go_on(self, bench: Bench, study: str) -> None:
        def poison(_asked: int) -> None:
            raise ZeroDivisionError("Doe^Jane")

        bench.send(*head_series(study))
        bench.detector.conduct = poison
        bench.worker.work()
        assert bench.job(study).state is JobState.WAITING
        bench.detector.conduct = lambda _: None
        other = str(generate_uid())
        bench.send(*head_series(other))
        bench.worker.work()
        assert bench.job(other).state is JobState.DONE
        bench.detector.conduct = poison
        for _ in range(bench.desk.settings.intake.poison_tries - 1):
            bench.desk.clock.now += 400
            bench.worker.work()
        job = bench.job(study)
        assert job.state is JobState.REFUSED
        (refusal,) = job.refusals
        assert refusal["code"] == "breaks_reader"
        assert "5 times" in refusal["reason"]
        assert "ZeroDivisionError" in refusal["reason"]
        assert "Doe" not in refusal["reason"]
        assert 'hemorrhage_refusals_total{code="breaks_reader",study="refused"} 1.0' in exposition(bench.metrics)

    def test_a_study_that_orthanc_cannot_list_is_refused_without_a_report_and_others_go_on(
        self, bench: Bench, study: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        odd, take = bench.desk.study_of(bench.desk.send(*head_series(study))[0]), bench.desk.snapshots.of

        def take_but_one(name: str, *details: Any, **named: Any) -> Snapshot:
            if name == odd:
                raise AnswerTooLongError("Orthanc's answer is longer than orthanc.largest_answer_mib")
            return take(name, *details, **named)

        monkeypatch.setattr(bench.desk.snapshots, "of", take_but_one)
        bench.desk.quiet()
        for _ in range(bench.desk.settings.intake.poison_tries):
            assert bench.worker.work()
            bench.desk.clock.now += 400
        job = bench.job(study)
        assert (job.state, job.sr_uid) == (JobState.REFUSED, "")
        assert "longer than orthanc.largest_answer_mib" in job.refusals[0]["reason"]
        other = str(generate_uid())
        bench.send(*head_series(other))
        assert bench.worker.work()
        assert bench.job(other).state is JobState.DONE

    @pytest.mark.parametrize(("part", "step"), [(RefusalReports, "deliver"), (Marks, "refused")])
    def test_a_refusal_that_breaks_is_a_crash_and_stands_without_a_report_in_the_end(
        self, bench: Bench, study: str, monkeypatch: pytest.MonkeyPatch, part: type, step: str
    ) -> None:
        def refuse(_asked: int) -> None:
            raise RefusedError(Refusal(RefusalCode.TOO_LARGE, "an image"))

        def fail(*_: object) -> None:
            raise OrthancError("HTTP 400", 400)

        bench.send(*head_series(study))
        bench.detector.conduct = refuse
        monkeypatch.setattr(part, step, fail)
        tries = bench.desk.settings.intake.poison_tries
        for crashes in range(tries):
            assert (bench.job(study).crashes, bench.worker.work()) == (crashes, True)
            bench.desk.clock.now += 400
        job = bench.job(study)
        assert (job.state, job.sr_uid, job.refusals[0]["code"]) == (JobState.REFUSED, "", "breaks_reader")
        assert not bench.worker.work()

    @pytest.mark.parametrize("fault", [OSError(errno.ENOSPC, "full"), OSError(errno.EMFILE, "files"), MemoryError()])
    def test_a_fault_of_the_machine_is_no_fault_of_the_study(self, bench: Bench, study: str, fault: Exception) -> None:
        def without_room(_asked: int) -> None:
            raise fault

        bench.send(*head_series(study))
        bench.detector.conduct = without_room
        for _ in range(bench.desk.settings.intake.poison_tries + 1):
            assert bench.worker.work()
            bench.desk.clock.now += 400
        job = bench.job(study)
        assert (job.state, job.crashes) == (JobState.WAITING, 0)
        bench.detector.conduct = lambda _: None
        bench.worker.work()
        assert bench.job(study).state is JobState.DONE

    @pytest.mark.parametrize("answer", [b"<html>", b"[]", b"{}", b'{"ID": "1"}', b"null", None])
    def test_a_stranger_that_answers_in_place_of_orthanc_is_no_fault_of_the_study(
        self, bench: Bench, study: str, monkeypatch: pytest.MonkeyPatch, answer: bytes | None
    ) -> None:
        connection = bench.desk.orthanc._connection
        transfer = connection.transfer

        def ask_stranger(method: str, path: str, body: bytes | None = None, limit: int | None = None) -> bytes:
            if (method, path) != ("POST", "/instances"):
                return transfer(method, path, body, limit)
            if answer is None:
                raise NotThereError("a proxy that knows no such path", 404)
            return answer

        bench.send(*head_series(study))
        with monkeypatch.context() as strange:
            strange.setattr(connection, "transfer", ask_stranger)
            self.assert_it_waits(bench, study)
        assert bench.desk.orthanc.store_refusal.within(60)  # so the service is not ready
        bench.worker.work()
        assert bench.job(study).state is JobState.DONE

    def test_a_page_of_a_proxy_in_place_of_every_answer_is_no_fault_of_the_study(
        self, bench: Bench, study: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Page(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.end_headers()
                self.wfile.write(b"<html><body>Maintenance</body></html>")

            def do_POST(self) -> None:
                self.do_GET()

            def log_message(self, format: str, *args: object) -> None:
                pass

        connection = bench.desk.orthanc._connection
        bench.send(*head_series(study))
        with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server, monkeypatch.context() as proxied:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            connection._forget_connection()
            proxied.setattr(connection, "_port", server.server_port)
            self.assert_it_waits(bench, study)
            server.shutdown()
        connection._forget_connection()
        bench.worker.work()
        assert bench.job(study).state is JobState.DONE

    def test_a_result_that_orthanc_confirms_and_does_not_hold_is_no_fault_of_the_study(
        self, bench: Bench, study: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sent = bench.send(*head_series(study))
        file = bench.desk.orthanc.file

        def lose_results(instance: str, limit: int | None = None) -> bytes:
            if instance not in sent:
                raise NotThereError(f"Orthanc does not hold /instances/{instance}/file", 404)
            return file(instance, limit)

        with monkeypatch.context() as losing:
            losing.setattr(bench.desk.orthanc, "file", lose_results)
            self.assert_it_waits(bench, study)
        assert bench.desk.orthanc.store_refusal.within(60)  # so the service is not ready
        bench.worker.work()
        assert bench.job(study).state is JobState.DONE

    def assert_it_waits(self, bench: Bench, study: str) -> None:
        """Try a study more often than one that breaks the appliance is tried."""
        for _ in range(bench.desk.settings.intake.poison_tries + 1):
            assert bench.worker.work()
            bench.desk.clock.now += 400
        job = bench.job(study)
        assert (job.state, job.crashes) == (JobState.WAITING, 0)

    def die(self, bench: Bench, life: int) -> None:
        """Let the service end in the middle of the study, as a kill does, and the next life begin."""
        assert bench.leases.claim() is not None
        bench.worker = bench.another(f"worker/{life}")
        assert len(bench.leases.take_up()) == 1

    def test_deaths_of_the_service_alone_never_give_a_study_up(self, bench: Bench, study: str) -> None:
        bench.worker = bench.another("worker/0")
        bench.send(*head_series(study))
        for life in range(1, 8):
            self.die(bench, life)
        bench.worker.work()
        job = bench.job(study)
        assert (job.state, job.deaths, job.crashes, job.kills) == (JobState.DONE, 7, 0, 0)
        assert bench.trial.tried == [14]

    def test_a_trial_that_went_well_is_repeated_only_when_the_deaths_have_doubled(
        self, bench: Bench, study: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bench.worker = bench.another("worker/0")
        bench.send(*head_series(study))
        self.die(bench, 1)
        tried_at = []
        for deaths in range(2, 10):
            self.die(bench, deaths)
            trials = len(bench.trial.tried)
            with monkeypatch.context() as away:
                file = bench.desk.orthanc.file
                away.setattr(bench.desk.orthanc, "file", raise_after(0, UnavailableError("Orthanc is away"), file))
                bench.worker.work()
            bench.desk.clock.now += 400
            if len(bench.trial.tried) > trials:
                tried_at.append(deaths)
        assert tried_at == [2, 4, 8]
        bench.worker.work()
        job = bench.job(study)
        assert (job.state, job.deaths, job.deaths_at_trial) == (JobState.DONE, 9, 8)

    def test_a_study_that_kills_the_process_that_reads_it_twice_is_refused_with_the_evidence_and_others_go_on(
        self, bench: Bench, study: str
    ) -> None:
        bench.worker = bench.another("worker/0")
        bench.send(*head_series(study))
        self.die(bench, 1)
        self.die(bench, 2)
        bench.trial.faults = [
            KillsReaderError("it died by SIGSEGV"),
            UnavailableError("it was ended from outside"),
            KillsReaderError("it died by SIGSEGV"),
        ]
        for _ in range(3):
            assert bench.worker.work()
            bench.desk.clock.now += 400
        job = bench.job(study)
        assert job.state is JobState.REFUSED
        (refusal,) = job.refusals
        assert refusal["code"] == "breaks_reader"
        assert "SIGSEGV, 2 times; the service had ended 2 times" in refusal["reason"]
        assert 'hemorrhage_refusals_total{code="breaks_reader",study="refused"} 1.0' in exposition(bench.metrics)
        other = str(generate_uid())
        bench.send(*head_series(other))
        bench.worker.work()
        assert bench.job(other).state is JobState.DONE

    def test_a_study_that_a_trial_has_read_is_looked_at_again_when_more_of_it_comes(
        self, bench: Bench, study: str
    ) -> None:
        bench.worker = bench.another("worker/0")
        files = head_series(study, 20)
        ids = bench.desk.send(*files[:14])
        bench.desk.take_in()
        for life in (1, 2):
            bench.desk.ledger.studies.look(bench.desk.study_of(ids[0]), f"desk/{life}")
            bench.desk.start_again(f"desk/{life + 1}")
            bench.desk.take_in()
        bench.desk.quiet()
        bench.worker.work()
        assert (bench.job(study).state, bench.trial.tried) == (JobState.DONE, [14])
        bench.send(*files[14:])
        job = bench.job(study)
        assert (job.state, job.deaths) == (JobState.QUEUED, 0)
        assert job.chosen_set

    def test_no_image_of_such_a_study_is_looked_at_before_it_was_tried(
        self, bench: Bench, study: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bench.worker = bench.another("worker/0")
        bench.send(*head_series(study))
        self.die(bench, 1)
        self.die(bench, 2)
        bench.desk.start_again("desk/2")
        bench.worker = bench.another("worker/2")
        looked_at_untried = []
        of = bench.desk.headers.of
        monkeypatch.setattr(
            bench.desk.headers, "of", lambda one: (bench.trial.tried or looked_at_untried.append(one), of(one))[1]
        )
        bench.worker.work()
        assert bench.job(study).state is JobState.DONE
        assert bench.trial.tried == [14]
        assert not looked_at_untried

    def test_a_service_that_ends_while_it_reports_such_a_study_ends_by_it_no_more(
        self, bench: Bench, study: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bench.worker = bench.another("worker/0")
        bench.send(*head_series(study))
        self.die(bench, 1)
        self.die(bench, 2)
        bench.trial.faults = [KillsReaderError("it died by SIGSEGV")] * 2

        def end(*_: object) -> None:
            raise SystemExit

        monkeypatch.setattr(RefusalReports, "deliver", end)
        bench.worker.work()
        bench.desk.clock.now += 400
        with pytest.raises(SystemExit):
            bench.worker.work()
        bench.worker = bench.another("worker/3")
        bench.leases.take_up()
        bench.worker.work()
        job = bench.job(study)
        assert job.state is JobState.REFUSED
        assert "SIGSEGV, 2 times" in job.refusals[0]["reason"]
        assert not job.sr_uid

    def test_an_orthanc_that_is_away_while_such_a_study_is_reported_changes_nothing_of_the_evidence(
        self, bench: Bench, study: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bench.worker = bench.another("worker/0")
        bench.send(*head_series(study))
        self.die(bench, 1)
        self.die(bench, 2)
        bench.trial.faults = [KillsReaderError("it died by SIGSEGV")] * 4
        bench.worker.work()
        away = UnavailableError("Orthanc does not answer")
        for _ in range(2):
            bench.desk.clock.now += 400
            with monkeypatch.context() as patch:
                patch.setattr(bench.desk.orthanc, "store", raise_after(0, away, bench.desk.orthanc.store))
                bench.worker.work()
            assert (bench.job(study).state, bench.job(study).kills) == (JobState.WAITING, 1)
        bench.desk.clock.now += 400
        bench.worker.work()
        job = bench.job(study)
        assert job.state is JobState.REFUSED
        assert (
            job.refusals[0]["reason"]
            == "it died by SIGSEGV, 2 times; the service had ended 2 times in the middle of it"
        )
        (report,) = bench.held(study)
        assert report.SOPInstanceUID == job.sr_uid

    def test_a_line_of_the_log_names_the_step_that_was_under_way(
        self,
        stream: io.StringIO,
        bench: Bench,
        study: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def poison(_asked: int) -> None:
            raise ZeroDivisionError

        bench.send(*head_series(study))
        bench.detector.conduct = poison
        bench.worker.work()
        bench.detector.conduct = lambda _: None
        away = UnavailableError("the disk is full")
        with monkeypatch.context() as patch:
            patch.setattr(bench.desk.orthanc, "store", raise_after(0, away, bench.desk.orthanc.store))
            bench.desk.clock.now += 10
            bench.worker.work()
        bench.desk.clock.now += 10
        bench.worker.work()
        bench.send(*head_series(str(generate_uid())))
        told = [
            (line["event"], line["step"]) for line in lines(stream) if line.get("study") == study and "step" in line
        ]
        assert told == [("job broke", "infer"), ("job waits", "deliver"), ("study answered", "deliver")]
        assert "step" not in lines(stream)[-1]

    @pytest.mark.parametrize("killed_before", ["infer", "deliver", "finish"])
    def test_a_worker_killed_at_any_step_leaves_one_answer_in_the_end(
        self, bench: Bench, study: str, monkeypatch: pytest.MonkeyPatch, killed_before: str
    ) -> None:
        """Killed: no code of it runs any more, so that nothing is recorded either."""

        def kill(*_: Any, **__: Any) -> None:
            raise KeyboardInterrupt

        bench.send(*head_series(study))
        with monkeypatch.context() as patch:
            if killed_before == "infer":
                patch.setattr(bench.detector, "conduct", kill)
            else:
                patch.setattr(bench.desk.ledger.jobs, killed_before, kill)
            with pytest.raises(KeyboardInterrupt):
                bench.worker.work()
        worker = bench.another("worker")
        assert bench.leases.take_up()
        worker.work()
        assert bench.job(study).state is JobState.DONE
        assert len(bench.desk.jobs(study)) == 1
        assert [one.Modality for one in bench.held(study)].count("SR") == 1

    def test_a_deleted_result_is_stored_again_when_the_study_is_looked_at_again(self, bench: Bench, study: str) -> None:
        files = head_series(study)
        ids = bench.send(*files)
        bench.worker.work()
        bench.desk.delete_study(bench.desk.study_of(ids[0]))
        bench.send(*files)
        bench.worker.work()
        assert bench.kinds(study) == {"SR", "SEG", "OT", "KO"}
        (report,) = [one for one in bench.held(study) if one.Modality == "SR"]
        assert "PredecessorDocumentsSequence" not in report


class TestDeletedSource:
    def test_a_study_deleted_before_a_worker_came_is_refused(self, bench: Bench, study: str) -> None:
        ids = bench.send(*head_series(study))
        bench.desk.delete_study(bench.desk.study_of(ids[0]))
        bench.worker.work()
        assert bench.job(study).state is JobState.REFUSED
        assert "source_deleted" in {refusal["code"] for refusal in bench.job(study).refusals}

    def test_a_study_deleted_while_it_is_read_leaves_no_results_behind(self, bench: Bench, study: str) -> None:
        ids = bench.send(*head_series(study))
        gone = bench.desk.study_of(ids[0])
        bench.detector.conduct = lambda _: bench.desk.delete_study(gone)
        bench.worker.work()
        assert bench.job(study).state is JobState.REFUSED
        assert bench.held(study) == []


def test_what_was_read_in_the_quiet_time_is_reported_without_reading_again(bench: Bench) -> None:
    uid = str(generate_uid())
    bench.desk.send(*head_series(uid))
    bench.desk.wait(0.5)  # judged, and offered
    bench.desk.read_ahead()
    assert bench.detector.asked == 1
    bench.desk.quiet()
    assert bench.worker.work()
    job = bench.job(uid)
    assert job.state is JobState.DONE
    assert bench.detector.asked == 1
    assert bench.metrics.registry.get_sample_value("hemorrhage_studies_read_ahead_total", {"outcome": "in_time"}) == 1


def test_a_slice_that_comes_after_a_study_was_read_ahead_is_in_the_answer(bench: Bench) -> None:
    uid = str(generate_uid())
    files = head_series(uid, 16)
    bench.desk.send(*files[:14])  # a whole head by itself: what lacks an end is not read ahead
    bench.desk.wait(0.5)
    bench.desk.read_ahead()
    bench.desk.send(*files[14:])
    bench.desk.quiet()
    assert bench.worker.work()
    assert bench.job(uid).answer["series"]["slices"] == 16
    assert bench.detector.asked == 2


def test_what_was_read_ahead_by_a_version_that_was_then_rolled_back_is_read_again(bench: Bench) -> None:
    models = bench.desk.ledger.models
    models.take_over(ModelEvent.PROMOTED, ModelFacts("hemorrhage_detector_2", "2", "2" * 64), "IT", "", after=0)
    uid = str(generate_uid())
    bench.desk.send(*head_series(uid))
    bench.desk.wait(0.5)
    bench.desk.read_ahead()
    assert bench.detector.asked == 1
    shipped = ModelFacts("hemorrhage_detector", "1", "1" * 64)
    models.take_over(ModelEvent.ROLLED_BACK, shipped, "IT", "", after=models.last_move())
    bench.desk.quiet()
    assert bench.worker.work()
    assert bench.job(uid).state is JobState.DONE
    assert bench.detector.asked == 2
