# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The marks that answered studies bear in a real Orthanc."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydicom.uid import MRImageStorage, generate_uid

from appliance.delivery import rule_marks
from appliance.delivery.marks import METADATA, NAME, Marks, mark, standing_job
from appliance.errors import UnavailableError
from appliance.ledger.outcomes import Standing
from appliance.ledger.records import Job
from appliance.ledger.states import JobState
from appliance.orthanc_errors import OrthancError, TurnedDownError
from appliance.sections.answers import FindingSettings
from appliance.settings import Settings
from deploy.local.orthanc import template
from tests.appliance.bench import Bench, bench_on, exposition
from tests.appliance.delivery.jobs import job
from tests.appliance.delivery.proxy import Page, Proxy, bans, pages
from tests.appliance.stand_in import StandInRoom, head_series


def borne(bench: Bench, resource: str) -> dict[str, Any]:
    """Return the mark of `studies/ID` or `series/ID`."""
    text = bench.desk.orthanc.metadata(resource, METADATA)
    assert text is not None
    read: dict[str, Any] = json.loads(text)
    return read


def of_study(bench: Bench, study: str) -> dict[str, Any]:
    return borne(bench, f"studies/{bench.job(study).orthanc_study}")


def series_numbers(bench: Bench, marked: dict[str, Any]) -> dict[str, str]:
    """Return the series numbers behind the series that a mark names."""
    url = bench.desk.settings.orthanc.url
    return {
        kind: httpx.get(f"{url}/series/{series}", trust_env=False, timeout=60).json()["MainDicomTags"]["SeriesNumber"]
        for kind, series in marked["series"].items()
    }


def test_an_answered_study_and_its_report_bear_the_same_mark(bench: Bench, study: str) -> None:
    bench.send(*head_series(study))
    bench.worker.work()
    marked = of_study(bench, study)
    assert marked["answer"] == "present"
    assert marked["probability"] == 0.9
    assert set(marked["volume_ml"]) == {"iph"}
    (lesion,) = bench.job(study).answer["lesions"]
    assert marked["volume_ml"]["iph"] == round(lesion["volume_ml"], 1)
    assert (marked["partial"], marked["refusals"], marked["job"]) == (False, [], bench.job(study).id)
    numbers = series_numbers(bench, marked)
    assert numbers == {"sr": "9001", "seg": "9002", "key-image": "9003", "key-objects": "9004"}
    assert borne(bench, f"series/{marked['series']['sr']}") == marked


def test_a_study_without_hemorrhage_is_absent_and_a_part_of_one_undetermined(
    settings: Settings, tmp_path: Path
) -> None:
    settings = without_findings(settings)
    whole, part = str(generate_uid()), str(generate_uid())
    with bench_on(settings, tmp_path) as bench:
        bench.send(*head_series(whole))
        bench.worker.work()
        assert of_study(bench, whole)["answer"] == "absent"
        assert of_study(bench, whole)["volume_ml"] == {}
        bench.send(*head_series(part, 20)[:12])
        bench.desk.wait(bench.desk.settings.intake.ends_s + 1)
        bench.worker.work()
        marked = of_study(bench, part)
        assert (marked["answer"], marked["partial"]) == ("undetermined", True)


def test_a_study_that_could_not_be_read_bears_the_codes(bench: Bench, study: str) -> None:
    bench.send(*head_series(study, 2))
    bench.desk.wait(bench.desk.settings.intake.incomplete_s + 1)
    bench.worker.work()
    marked = of_study(bench, study)
    assert marked["answer"] == "unread"
    assert marked["refusals"] == [refusal["code"] for refusal in bench.job(study).refusals]
    assert marked["refusals"]
    assert series_numbers(bench, marked) == {"refusal": "9005"}
    assert borne(bench, f"series/{marked['series']['refusal']}") == marked


def test_a_study_without_a_ct_image_bears_a_mark_too(bench: Bench, study: str) -> None:
    bench.send(*head_series(study, 9, Modality="MR", SOPClassUID=MRImageStorage))
    bench.worker.work()
    assert of_study(bench, study)["answer"] == "unread"
    assert of_study(bench, study)["series"] == {}


def test_the_newer_answer_takes_the_place_of_the_older_one(bench: Bench, study: str) -> None:
    files = head_series(study, 20)
    bench.send(*files[:14])
    bench.worker.work()
    older = of_study(bench, study)
    bench.send(*files[14:])
    bench.worker.work()
    newer = of_study(bench, study)
    assert newer["job"] > older["job"]
    assert newer["series"]["seg"] != older["series"]["seg"]


def break_reader(bench: Bench) -> None:
    """Let the study that waits be tried until it is refused, because its images break the reader."""

    def poisoned(_asked: int) -> None:
        raise ZeroDivisionError

    bench.detector.conduct = poisoned
    for _ in range(bench.desk.settings.intake.poison_tries):
        bench.worker.work()
        bench.desk.clock.now += 400
    bench.detector.conduct = lambda _: None


def standing(bench: Bench, study: str) -> Standing:
    """Return the group of a study on the board."""
    found = bench.desk.ledger.board.study(bench.job(study).orthanc_study)
    assert found is not None
    return found.study.standing


def without_findings(settings: Settings) -> Settings:
    return settings.model_copy(update={"finding": FindingSettings(threshold=0.95)})


def test_a_refusal_after_a_hemorrhage_leaves_that_answer_on_the_study(bench: Bench, study: str) -> None:
    files = head_series(study, 20)
    bench.send(*files[:14])
    bench.worker.work()
    answered = of_study(bench, study)
    bench.send(*files[14:])
    break_reader(bench)
    assert bench.job(study).state is JobState.REFUSED
    assert of_study(bench, study) == answered
    assert standing(bench, study) is Standing.FOUND


def test_a_study_without_hemorrhage_whose_newer_images_cannot_be_read_is_unread_until_they_are(
    settings: Settings, study: str, tmp_path: Path
) -> None:
    files = head_series(study, 20)
    with bench_on(without_findings(settings), tmp_path) as bench:
        bench.send(*files[:14])
        bench.worker.work()
        answered = of_study(bench, study)
        assert (answered["answer"], standing(bench, study)) == ("absent", Standing.CLEAR)
        bench.send(*files[14:17])
        bench.desk.wait(bench.desk.settings.intake.ends_s + 1)
        break_reader(bench)
        refused = bench.job(study)
        assert refused.state is JobState.REFUSED
        assert of_study(bench, study) == {
            "answer": "unread",
            "job": refused.id,
            "refusals": ["breaks_reader"],
            "series": {},
        }
        assert standing(bench, study) is Standing.UNDECIDED
        assert borne(bench, f"series/{answered['series']['sr']}") == answered, "the older report says what it said"
        bench.send(*files[17:])
        bench.worker.work()
        assert (of_study(bench, study)["answer"], standing(bench, study)) == ("absent", Standing.CLEAR)


def test_a_requested_series_that_cannot_be_read_leaves_the_mark_of_its_study(
    settings: Settings, study: str, tmp_path: Path
) -> None:
    with bench_on(without_findings(settings), tmp_path) as bench:
        ids = bench.send(*head_series(study), *head_series(study, 2, series=str(generate_uid())))
        bench.worker.work()
        answered = of_study(bench, study)
        short = next(one for one in ids if series_uid(bench, one) != bench.job(study).answered_series)
        assert bench.ask(study, short).state is JobState.REFUSED
        assert of_study(bench, study) == answered
        assert (answered["answer"], standing(bench, study)) == ("absent", Standing.CLEAR)


def two_series(bench: Bench, study: str) -> tuple[list[bytes], Job, Job]:
    """Answer a study of two series, then the series that was not read, because somebody asks; return files and jobs."""
    files = [one for _ in range(2) for one in head_series(study, series=str(generate_uid()))]
    ids = bench.send(*files)
    bench.worker.work()
    own = bench.job(study)
    other = next(one for one in ids if series_uid(bench, one) != own.answered_series)
    return files, own, bench.ask(study, other)


def series_uid(bench: Bench, instance: str) -> str:
    return bench.desk.orthanc.series(bench.desk.orthanc.series_of_instance(instance)).uid


def test_of_two_answers_that_stand_each_report_bears_its_own(bench: Bench, study: str) -> None:
    _, own, asked = two_series(bench, study)
    assert [own.state, asked.state] == [JobState.DONE, JobState.DONE]
    assert of_study(bench, study)["job"] == asked.id  # both say present: the newer one
    reports = {
        result.orthanc_series: job.id
        for job in (own, asked)
        for result in bench.desk.ledger.jobs.results(job.id)
        if result.kind == "sr"
    }
    assert {borne(bench, f"series/{series}")["job"] for series in reports} == set(reports.values())


def test_an_answer_whose_report_orthanc_lost_marks_nothing(bench: Bench, study: str) -> None:
    files, *_ = two_series(bench, study)
    bench.desk.delete_study(bench.job(study).orthanc_study)
    bench.send(*files[:2])
    bench.desk.wait(bench.desk.settings.intake.incomplete_s + 1)
    bench.worker.work()
    assert bench.job(study).state is JobState.REFUSED
    marked = of_study(bench, study)
    assert (marked["answer"], marked["job"]) == ("unread", bench.job(study).id)
    assert series_numbers(bench, marked) == {"refusal": "9005"}


def test_an_answer_that_another_worker_gave_meanwhile_is_seen_in_the_end(
    bench: Bench, study: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    standing = Marks._standing
    blind = [True]
    monkeypatch.setattr(Marks, "_standing", lambda marks, job: [] if blind[0] else standing(marks, job))
    finish = bench.desk.ledger.jobs.finish

    def finish_and_see(*arguments: Any) -> Any:
        blind[0] = False
        return finish(*arguments)

    files = [one for _ in range(2) for one in head_series(study, series=str(generate_uid()))]
    ids = bench.send(*files)
    bench.worker.work()
    own = bench.job(study)
    other = next(one for one in ids if series_uid(bench, one) != own.answered_series)
    blind[0] = True
    monkeypatch.setattr(bench.desk.ledger.jobs, "finish", finish_and_see)
    bench.room = StandInRoom(
        bench.desk.settings.model_copy(update={"finding": FindingSettings(threshold=0.95)}), bench.detector
    )
    bench.worker = bench.another("worker")
    asked = bench.ask(study, other)
    assert asked.answer["present"] is False
    assert of_study(bench, study)["job"] == own.id


def test_the_mark_of_the_study_is_written_once_however_often_the_try_is_made(
    bench: Bench, study: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    write = bench.desk.orthanc.set_metadata

    def count(resource: str, number: int, value: str) -> None:
        written.append(resource)
        write(resource, number, value)

    def away(*_: Any) -> None:
        raise UnavailableError("the ledger is away")

    monkeypatch.setattr(bench.desk.orthanc, "set_metadata", count)
    bench.send(*head_series(study))
    finish = bench.desk.ledger.jobs.finish
    monkeypatch.setattr(bench.desk.ledger.jobs, "finish", away)
    bench.worker.work()
    assert bench.job(study).state is JobState.WAITING
    monkeypatch.setattr(bench.desk.ledger.jobs, "finish", finish)
    bench.desk.clock.now += 400
    bench.worker.work()
    assert bench.job(study).state is JobState.DONE
    assert [resource.partition("/")[0] for resource in written].count("studies") == 1


@pytest.mark.parametrize("fault", [OrthancError("no such metadata", 400), TurnedDownError("forbidden", 403)])
def test_an_orthanc_that_is_away_is_asked_again_and_one_that_takes_no_mark_keeps_the_answer(
    bench: Bench, study: str, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    faults: list[Exception] = [UnavailableError("away"), fault]

    def fail(*_: Any) -> None:
        raise faults.pop(0)

    monkeypatch.setattr(bench.desk.orthanc, "set_metadata", fail)
    bench.send(*head_series(study))
    bench.worker.work()
    assert bench.job(study).state is JobState.WAITING
    bench.desk.clock.now += 400
    bench.worker.work()
    assert bench.job(study).state is JobState.DONE
    assert "hemorrhage_unmarked_answers_total 1.0" in exposition(bench.metrics)


@pytest.mark.parametrize("page", pages(f"/metadata/{METADATA}"), ids=str)
def test_a_page_of_a_proxy_in_place_of_the_mark_is_no_refusal_of_orthancs(
    settings: Settings, study: str, tmp_path: Path, page: Page
) -> None:
    with Proxy(settings) as proxy, bench_on(proxy.settings, tmp_path) as bench:
        bench.send(*head_series(study))
        proxy.page = page
        bench.worker.work()
        assert bench.job(study).state is JobState.WAITING
        assert "hemorrhage_unmarked_answers_total 0.0" in exposition(bench.metrics)
        proxy.page = None
        bench.desk.clock.now += 400
        bench.worker.work()
        assert bench.job(study).state is JobState.DONE
        assert of_study(bench, study)["answer"] == "present"


@pytest.mark.parametrize("ban", bans(f"/metadata/{METADATA}"), ids=str)
def test_a_proxy_that_lets_no_mark_through_does_not_keep_the_answer_waiting(
    settings: Settings, study: str, tmp_path: Path, ban: Page
) -> None:
    with Proxy(settings) as proxy, bench_on(proxy.settings, tmp_path) as bench:
        bench.send(*head_series(study))
        proxy.page = ban
        bench.worker.work()
        assert bench.job(study).state is JobState.DONE
        assert "hemorrhage_unmarked_answers_total 1.0" in exposition(bench.metrics)


def test_an_orthanc_that_goes_away_when_all_is_recorded_takes_nothing_back(
    bench: Bench, study: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = bench.desk.ledger.jobs.finish

    def finish_and_go(*arguments: Any) -> Any:
        def away(_: str) -> bool:
            raise UnavailableError("away")

        monkeypatch.setattr(bench.desk.orthanc, "holds_instance", away)
        return finish(*arguments)

    monkeypatch.setattr(bench.desk.ledger.jobs, "finish", finish_and_go)
    bench.send(*head_series(study))
    bench.worker.work()
    assert bench.job(study).state is JobState.DONE
    assert 'hemorrhage_answers_total{answer="present"} 1.0' in exposition(bench.metrics)


def test_a_study_bears_its_most_urgent_answer() -> None:
    present = job(id=3)
    absent = job(id=5, answer={"present": False})
    undetermined = job(id=6, answer={"present": False, "coverage": {"partial": True}})
    unread = job(id=7, state=JobState.REFUSED, answer={})
    assert standing_job([present, absent, undetermined, unread]) is present
    assert standing_job([absent, undetermined, unread]) is undetermined
    assert standing_job([absent, unread]) is unread
    newer = job(id=8, answer={"present": False})
    assert standing_job([newer, absent]) is newer
    assert standing_job([newer, unread]) is newer, "the study has been read since"
    assert standing_job([absent, job(id=7, state=JobState.REFUSED, answer={}, orthanc_series="a")]) is absent


def test_volumes_are_summed_by_type() -> None:
    lesions = [{"type": kind, "volume_ml": ml} for kind, ml in (("sah", 1.26), ("iph", 4.0), ("sah", 2.0))]
    facts = {"present": True, "probability": 0.99, "lesions": lesions, "coverage": {"partial": True}}
    refused = [{"series_uid": "", "code": "too_few_slices", "reason": ""}]
    marked = mark(job(answer={**facts, "model": {"version": "7"}}, refusals=refused), {})
    assert marked["volume_ml"] == {"sah": 3.3, "iph": 4.0}
    assert (marked["answer"], marked["partial"], marked["model"]) == ("present", True, "7")
    assert json.loads(json.dumps(marked)) == marked


def test_an_answer_of_an_older_version_has_the_mark_that_it_has_in_orthanc() -> None:
    """The same text is not written again, so that an upgrade routes no study a second time."""
    facts = {"present": False, "probability": 0.12345, "lesions": [], "model": {"version": "1"}}
    assert json.dumps(mark(job(answer=facts), {"sr": "x"}), sort_keys=True) == (
        '{"answer": "absent", "job": 7, "model": "1", "partial": false, "probability": 0.1235, "refusals": [], '
        '"series": {"sr": "x"}, "volume_ml": {}}'
    )
    refused = job(state=JobState.REFUSED, answer=facts, refusals=[{"series_uid": "", "code": "contrast", "reason": ""}])
    assert json.dumps(mark(refused, {}), sort_keys=True) == (
        '{"answer": "unread", "job": 7, "refusals": ["contrast"], "series": {}}'
    )


def test_the_shipped_configuration_names_the_metadata() -> None:
    assert template()["UserMetadata"] == {NAME: METADATA, rule_marks.NAME: rule_marks.METADATA}
