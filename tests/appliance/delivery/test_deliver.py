# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What a worker stores and withdraws, on a real Orthanc and a real ledger, with everything real but the network."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydicom.uid import MRImageStorage

from appliance.errors import UnavailableError
from appliance.ledger.records import NewJob
from appliance.ledger.states import JobState
from appliance.results import key_images, report
from tests.appliance.bench import Bench, exposition
from tests.appliance.faults import raise_after
from tests.appliance.stand_in import head_series


def _away(_: str) -> None:
    raise UnavailableError("Orthanc is away")


class TestDelivery:
    def test_a_ct_study_that_cannot_be_read_says_so_in_the_archive_until_it_can(self, bench: Bench, study: str) -> None:
        files = head_series(study, 20)
        bench.send(*files[:2])
        bench.desk.wait(bench.desk.settings.intake.incomplete_s + 1)
        bench.worker.work()
        refused = bench.job(study)
        assert refused.state is JobState.REFUSED
        (report,) = bench.held(study)
        assert (report.SOPInstanceUID, report.SeriesNumber) == (refused.sr_uid, 9005)
        assert bench.desk.jobs(study) == [refused]
        bench.desk.take_in()
        bench.desk.quiet()
        assert bench.desk.jobs(study) == [refused]  # our own report starts nothing
        bench.send(*files[2:])
        bench.worker.work()
        assert [job.state for job in bench.desk.jobs(study)] == [JobState.SUPERSEDED, JobState.DONE]
        assert bench.named_by(bench.job(study)) == refused.sr_uid

    def test_a_refused_study_gets_no_report_where_the_site_wants_none(self, bench: Bench, study: str) -> None:
        settings = bench.desk.settings
        without = settings.results.model_copy(update={"refusals": False})
        bench.desk.settings = settings.model_copy(update={"results": without})
        bench.worker = bench.another("worker")
        bench.send(*head_series(study, 2))
        bench.desk.wait(settings.intake.incomplete_s + 1)
        bench.worker.work()
        job = bench.job(study)
        assert (job.state, job.sr_uid) == (JobState.REFUSED, "")
        assert {refusal["code"] for refusal in job.refusals} >= {"too_few_slices"}
        assert bench.held(study) == []

    def test_a_later_refusal_names_the_earlier_one_and_there_is_one_that_stands(self, bench: Bench, study: str) -> None:
        files = head_series(study, 20)
        for part in (files[:2], files[2:4]):
            bench.send(*part)
            bench.desk.wait(bench.desk.settings.intake.incomplete_s + 1)
            bench.worker.work()
        older, newer = bench.desk.jobs(study)
        assert (older.state, newer.state) == (JobState.SUPERSEDED, JobState.REFUSED)
        assert bench.named_by(newer) == older.sr_uid

    def test_a_refusal_whose_report_was_deleted_is_reported_again_when_the_study_is_looked_at(
        self, bench: Bench, study: str
    ) -> None:
        files = head_series(study, 2)
        bench.send(*files)
        bench.desk.wait(bench.desk.settings.intake.incomplete_s + 1)
        bench.worker.work()
        (result,) = bench.desk.ledger.jobs.results(bench.job(study).id)
        bench.desk.orthanc.delete_instance(result.orthanc_instance)
        assert bench.held(study) == []
        bench.send(*head_series(study, 1, Modality="MR", SOPClassUID=MRImageStorage))
        bench.desk.wait(bench.desk.settings.intake.incomplete_s + 1)
        bench.worker.work()
        assert [one.SeriesNumber for one in bench.held(study)] == [9005]

    def test_a_study_with_an_answer_gets_no_report_that_it_could_not_be_read(self, bench: Bench, study: str) -> None:
        def poison(_asked: int) -> None:
            raise ZeroDivisionError

        files = head_series(study, 20)
        bench.send(*files[:14])
        bench.worker.work()
        bench.send(*files[14:])
        bench.detector.conduct = poison
        for _ in range(bench.desk.settings.intake.poison_tries):
            bench.worker.work()
            bench.desk.clock.now += 400
        assert [job.state for job in bench.desk.jobs(study)] == [JobState.DONE, JobState.REFUSED]
        assert 9005 not in {one.SeriesNumber for one in bench.held(study)}

    def test_a_report_that_orthanc_did_not_take_now_is_stored_later_and_the_refusal_waits_for_it(
        self, bench: Bench, study: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bench.send(*head_series(study, 2))
        bench.desk.wait(bench.desk.settings.intake.incomplete_s + 1)
        store = bench.desk.orthanc.store
        monkeypatch.setattr(bench.desk.orthanc, "store", raise_after(0, UnavailableError("full"), store))
        bench.worker.work()
        assert bench.job(study).state is JobState.WAITING
        monkeypatch.setattr(bench.desk.orthanc, "store", store)
        bench.desk.clock.now += 400
        bench.worker.work()
        assert bench.job(study).state is JobState.REFUSED
        assert [one.SeriesNumber for one in bench.held(study)] == [9005]

    def test_the_newer_report_names_the_older_one_which_is_superseded(self, bench: Bench, study: str) -> None:
        files = head_series(study, 20)
        bench.send(*files[:14])
        bench.worker.work()
        older = bench.job(study)
        bench.send(*files[14:])
        bench.worker.work()
        newer = bench.job(study)
        assert [job.state for job in bench.desk.jobs(study)] == [JobState.SUPERSEDED, JobState.DONE]
        assert bench.named_by(newer) == older.sr_uid

    def test_a_superseded_answer_leaves_its_report_alone(self, bench: Bench, study: str) -> None:
        files = head_series(study, 20)
        bench.send(*files[:14])
        bench.worker.work()
        older = {str(one.SOPInstanceUID): str(one.Modality) for one in bench.held(study)}
        assert sorted(set(older.values())) == ["KO", "OT", "SEG", "SR"]
        bench.send(*files[14:])
        bench.worker.work()
        held = {str(one.SOPInstanceUID): str(one.Modality) for one in bench.held(study)}
        assert [older[uid] for uid in older.keys() & held.keys()] == ["SR"]
        assert sorted(set(held.values())) == ["KO", "OT", "SEG", "SR"]

    def test_what_a_superseded_answer_left_is_withdrawn_in_the_next_try_when_orthanc_is_away(
        self, bench: Bench, study: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        files = head_series(study, 20)
        bench.send(*files[:14])
        bench.worker.work()
        bench.send(*files[14:])
        with monkeypatch.context() as patch:
            patch.setattr(bench.desk.orthanc, "delete_instance", _away)
            bench.worker.work()
        assert bench.job(study).state is JobState.WAITING
        bench.desk.clock.now += 60
        bench.worker.work()
        assert [job.state for job in bench.desk.jobs(study)] == [JobState.SUPERSEDED, JobState.DONE]
        assert [str(one.Modality) for one in bench.held(study)].count("SEG") == 1

    def test_what_fell_between_two_stores_is_stored_in_the_next_try_and_nothing_twice(
        self, bench: Bench, study: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bench.send(*head_series(study))
        away = UnavailableError("the disk is full")
        monkeypatch.setattr(bench.desk.orthanc, "store", raise_after(2, away, bench.desk.orthanc.store))
        bench.worker.work()
        assert bench.job(study).state is JobState.WAITING
        before = {one.SOPInstanceUID for one in bench.held(study)}
        bench.desk.clock.now += 10
        bench.worker.work()
        assert bench.job(study).state is JobState.DONE
        assert before < {one.SOPInstanceUID for one in bench.held(study)}
        assert [one.Modality for one in bench.held(study)].count("SR") == 1

    def test_an_answer_whose_key_images_cannot_be_drawn_stands_without_them(
        self, bench: Bench, study: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> None:
            raise ZeroDivisionError

        bench.send(*head_series(study))
        monkeypatch.setattr(key_images, "draw_slice", fail)
        bench.worker.work()
        assert bench.job(study).state is JobState.DONE
        assert bench.kinds(study) == {"SEG", "SR"}
        assert "hemorrhage_undrawn_answers_total 1.0" in exposition(bench.metrics)

    def test_a_study_whose_segmentation_cannot_be_made_is_answered_without_it_and_counted(
        self, bench: Bench, study: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> None:
            raise ValueError

        bench.send(*head_series(study))
        monkeypatch.setattr(report, "segmentation", fail)
        bench.worker.work()
        assert bench.job(study).state is JobState.DONE
        assert bench.kinds(study) == {"SR", "OT", "KO"}
        assert 'hemorrhage_unmade_results_total{kind="seg"} 1.0' in exposition(bench.metrics)

    def test_results_of_an_answer_that_was_withdrawn_give_way_to_those_of_the_one_that_stands(
        self, bench: Bench, study: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        files = head_series(study, 20)
        bench.send(*files[:14])
        away = UnavailableError("the disk is full")
        with monkeypatch.context() as patch:
            patch.setattr(bench.desk.orthanc, "store", raise_after(2, away, bench.desk.orthanc.store))
            bench.worker.work()
        half = {one.SOPInstanceUID for one in bench.held(study)}
        assert {one.Modality for one in bench.held(study)} == {"SEG", "SR"}
        bench.send(*files[14:])
        bench.worker.work()
        assert [job.state for job in bench.desk.jobs(study)] == [JobState.WITHDRAWN, JobState.DONE]
        held = bench.held(study)
        assert not half & {one.SOPInstanceUID for one in held}
        assert [one.SOPInstanceUID for one in held if one.Modality == "SR"] == [bench.job(study).sr_uid]

    def test_results_of_an_earlier_try_with_another_model_give_way_to_those_of_the_last(
        self, bench: Bench, study: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bench.send(*head_series(study))
        away = UnavailableError("the disk is full")
        with monkeypatch.context() as patch:
            patch.setattr(bench.desk.orthanc, "store", raise_after(2, away, bench.desk.orthanc.store))
            bench.worker.work()
        half = {one.SOPInstanceUID for one in bench.held(study)}
        assert half
        bench.detector.identity = replace(bench.detector.identity, sha256="ab" * 32)
        bench.desk.clock.now += 10
        bench.worker.work()
        assert bench.job(study).state is JobState.DONE
        assert not half & {one.SOPInstanceUID for one in bench.held(study)}
        assert bench.kinds(study) == {"SR", "SEG", "OT", "KO"}

    def test_an_answer_that_stands_is_kept_when_a_withdrawn_one_had_the_same_results(
        self, bench: Bench, study: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        files = head_series(study, 20)
        ids = bench.send(*files[:14])
        away = UnavailableError("the disk is full")
        with monkeypatch.context() as patch:
            patch.setattr(bench.desk.orthanc, "store", raise_after(2, away, bench.desk.orthanc.store))
            bench.worker.work()
        series = bench.desk.orthanc.series_of_instance(ids[0])
        bench.desk.ledger.queue.request(bench.desk.study_of(ids[0]), study, NewJob("", "", series=series))
        bench.worker.work()
        asked = bench.job(study)
        assert asked.state is JobState.DONE
        bench.send(*files[14:])
        bench.worker.work()
        assert bench.job(study).state is JobState.DONE
        assert asked.sr_uid in {one.SOPInstanceUID for one in bench.held(study)}

    def test_a_study_deleted_while_results_are_stored_leaves_none_behind(
        self, bench: Bench, study: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ids = bench.send(*head_series(study))
        gone = bench.desk.study_of(ids[0])
        store = bench.desk.orthanc.store

        def store_after_it_was_deleted(file: bytes) -> Any:
            bench.desk.delete_study(gone)
            monkeypatch.setattr(bench.desk.orthanc, "store", store)
            return store(file)

        monkeypatch.setattr(bench.desk.orthanc, "store", store_after_it_was_deleted)
        bench.worker.work()
        assert bench.job(study).state is JobState.REFUSED
        assert bench.held(study) == []
