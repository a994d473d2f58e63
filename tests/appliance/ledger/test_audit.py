# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The audit trail, on SQLite and on PostgreSQL: what is in it, and that nobody changes it unnoticed."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from typer.testing import CliRunner

from appliance.cli import app
from appliance.errors import Refusal, RefusalCode
from appliance.ledger.ledger import Ledger
from appliance.ledger.records import Arrival, AuditEvent, Job, KnownSeries, NewJob, Origin, ResultObject
from tests.appliance.ledger.clock import Clock
from tests.appliance.ledger.new_ledger import ledger_in

NAME = "Mustermann^Erika"
ANSWER: dict[str, Any] = {
    "present": True,
    "probability": 0.93,
    "threshold": 0.5,
    "extend_score": 0.3,
    "lesions": [{"type": "iph", "volume_ml": 12.5, "confidence": 0.93, "size_class": "large"}],
    "coverage": {"partial": False, "slices_read": 32, "slices_there": 32, "missing": [NAME]},
    "series": {"uid": "1.2.3.4", "description": NAME, "slices": 32},
    "model": {"name": "hemorrhage_detector", "version": "3", "sha256": "ab" * 32},
}


def claim_job(ledger: Ledger, study: str, at: float = 50.0) -> Job:
    ledger.feed.notice([Arrival(study, f"1.2.{study}", at, at, True, (KnownSeries("s", study, Origin.SOURCE, 3),))])
    followed = next(one for one in ledger.studies.list_followed() if one.id == study)
    ledger.studies.decide(followed, NewJob(f"set of {study} at {at}", "c"))
    job = ledger.queue.claim("me", 60)
    assert job is not None
    return job


def answer_study(ledger: Ledger, study: str, sr: str = "1.9", at: float = 50.0) -> Job:
    job = claim_job(ledger, study, at)
    results = [ResultObject(f"i{sr}", "r", "sr", sr), ResultObject(f"g{sr}", "q", "seg", f"{sr}.1")]
    ledger.jobs.deliver(job, results, ANSWER, (), "c", "1.2.3.4")
    ledger.jobs.finish(job, "1.88", sr, {}, 2.5)
    return job


def list_events(ledger: Ledger, **where: Any) -> list[tuple[str, str, str]]:
    return [(entry.event.value, entry.who, entry.study_uid) for entry in ledger.audit.entries(**where)]


def test_an_answer_tells_what_was_decided_by_what_and_what_went_where(ledger: Ledger) -> None:
    first = answer_study(ledger, "s1")
    second = answer_study(ledger, "s1", "1.10", at=90.0)
    entries = list(ledger.audit.entries())
    assert [entry.event.value for entry in entries] == ["decided", "sent", "decided", "sent", "superseded"]
    decided, sent = entries[0].details, entries[1].details
    assert (decided["present"], decided["probability"], decided["threshold"]) == (True, 0.93, 0.5)
    assert decided["model"] == ANSWER["model"]
    assert decided["sr_uid"] == "1.9"
    assert decided["slices"] == {"slices_read": 32, "slices_there": 32, "partial": False}
    assert decided["lesions"] == [{"type": "iph", "volume_ml": 12.5, "confidence": 0.93}]
    assert sent["to"] == "Orthanc"
    assert {one["uid"] for one in sent["objects"]} == {"1.9", "1.9.1"}
    assert entries[-1].details == {"job": first.id, "by": second.id}
    assert {entry.study_uid for entry in entries} == {"1.2.s1"}
    assert ledger.audit.verify().fault == ""


def test_a_refusal_tells_its_codes_and_a_deleted_study_that_it_waited_in_vain(ledger: Ledger) -> None:
    ledger.jobs.refuse(claim_job(ledger, "s1"), (Refusal(RefusalCode.LOCALIZER, NAME, "1.2.3.5"),), {})
    (entry,) = ledger.audit.entries()
    assert entry.details["refusals"] == [{"code": "localizer", "series_uid": "1.2.3.5"}]
    job = claim_job(ledger, "s2")
    ledger.queue.postpone(job, "Orthanc is away", 1e9)
    ledger.studies.delete("s2")
    last = list(ledger.audit.entries())[-1]
    assert (last.event, last.study_uid) == (AuditEvent.REFUSED, "1.2.s2")
    assert last.details["refusals"][0]["code"] == "source_deleted"


def test_a_report_that_a_study_could_not_be_read_is_told_where_it_went_and_what_gave_way(ledger: Ledger) -> None:
    jobs = []
    for at, sr in ((50.0, "1.9"), (90.0, "1.10")):
        job = claim_job(ledger, "s1", at)
        ledger.jobs.deliver(job, [ResultObject(f"i{sr}", "r", "refusal", sr)], {}, (), "", "")
        ledger.jobs.refuse(job, (Refusal(RefusalCode.NOT_HEAD, "a foot"),), {}, "1.88", sr)
        jobs.append(job.id)
    entries = list(ledger.audit.entries())
    assert [entry.event.value for entry in entries] == ["refused", "sent", "refused", "sent", "superseded"]
    assert entries[3].details["objects"] == [{"kind": "refusal", "uid": "1.10"}]
    assert entries[4].details == {"job": jobs[0], "by": jobs[1]}


def test_who_asks_is_told_each_time_and_nobody_whose_wish_was_turned_down(ledger: Ledger) -> None:
    job = ledger.queue.request("s1", "1.2.s1", NewJob("", "", series="x"), 1, "anna")
    ledger.queue.request("s1", "1.2.s1", NewJob("", "", series="x"), 1, "carl")
    ledger.queue.request("s1", "1.2.s1", NewJob("", "", series="y"), 1, "carl")
    assert list_events(ledger) == [("asked", "anna", "1.2.s1"), ("asked", "carl", "1.2.s1")]
    assert {entry.details["job"] for entry in ledger.audit.entries()} == {job}


def test_nothing_in_the_trail_was_written_by_a_scanner(ledger: Ledger) -> None:
    answer_study(ledger, "s1")
    ledger.jobs.refuse(claim_job(ledger, "s2"), (Refusal(RefusalCode.NOT_HEAD, NAME, "1.2.3.5"),), {})
    assert NAME not in json.dumps([entry.details for entry in ledger.audit.entries()])


def test_entries_are_found_by_time_and_by_study_however_many_there_are(ledger: Ledger, clock: Clock) -> None:
    for number in range(1500):
        clock.now = 1000.0 + number
        ledger.audit.record(AuditEvent.LOOKED, "anna", "1.2.odd" if number % 2 else "1.2.even")
    assert len(list_events(ledger)) == 1500
    assert len(list_events(ledger, study_uid="1.2.odd")) == 750
    assert len(list_events(ledger, since=1100.0, until=1300.0)) == 200
    verdict = ledger.audit.verify()
    assert (verdict.entries, verdict.fault) == (1500, "")


@pytest.fixture
def tampered(ledger: Ledger, url: str) -> Iterator[Callable[[str], str]]:
    """Executes SQL behind the ledger's back and returns what the trail says then."""
    for number in range(5):
        ledger.audit.record(AuditEvent.LOOKED, f"reader {number}", study="x")
    engine = create_engine(url)

    def execute(statement: str) -> str:
        with engine.begin() as connection:
            connection.execute(text(statement))
        return ledger.audit.verify().fault

    yield execute
    engine.dispose()


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("UPDATE audit SET who = 'nobody' WHERE seq = 3", "entry 3 was changed"),
        ("UPDATE audit SET at = at + 60 WHERE seq = 3", "entry 3 was changed"),
        ("UPDATE audit SET details = '{}' WHERE seq = 3", "entry 3 was changed"),
        ("UPDATE audit SET study_uid = '1.2' WHERE seq = 5", "entry 5 was changed"),
        ("DELETE FROM audit WHERE seq = 3", "entry 3 is missing"),
        ("DELETE FROM audit WHERE seq = 1", "entries before 2 are missing"),
        ("DELETE FROM audit WHERE seq > 3", "up to 5 are missing"),
        ("DELETE FROM audit", "up to 5 are missing"),
    ],
)
def test_what_is_changed_or_taken_out_is_noticed(tampered: Callable[[str], str], statement: str, fault: str) -> None:
    assert fault in tampered(statement)


def test_a_tail_that_is_cut_off_together_with_the_mark_of_its_end_is_noticed_at_the_next_entry(
    ledger: Ledger, tampered: Callable[[str], str]
) -> None:
    tampered("UPDATE audit_head SET seq = 3")
    tampered("DELETE FROM audit WHERE seq > 3")
    ledger.audit.record(AuditEvent.LOOKED, "anna")
    assert "entry 4" in ledger.audit.verify().fault


def test_what_is_pruned_is_stated_and_the_rest_stays_whole(ledger: Ledger, clock: Clock) -> None:
    for number in range(10):
        clock.now = 1000.0 + number
        ledger.audit.record(AuditEvent.LOOKED, "anna")
    clock.now = 2000.0
    assert ledger.audit.prune(1006.0) == 6
    assert ledger.audit.prune(1006.0) == 0
    last = list(ledger.audit.entries())[-1]
    assert (last.event, last.details["entries"], last.details["up_to"]) == (AuditEvent.PRUNED, 6, 6)
    verdict = ledger.audit.verify()
    assert (verdict.entries, verdict.fault) == (5, "")
    clock.now = 3000.0
    assert ledger.audit.prune(1008.0) == 2
    assert ledger.audit.verify().fault == ""
    assert ledger.audit.prune(1e9) == 4  # the statements of what went before too
    assert ledger.audit.verify().fault == ""


def test_several_write_at_once_and_the_trail_stays_one(ledger: Ledger, open_ledger: Callable[[], Ledger]) -> None:
    def write(audit: Any) -> None:
        for _ in range(25):
            audit.record(AuditEvent.LOOKED, "anna")

    threads = [threading.Thread(target=write, args=(one.audit,)) for one in (ledger, open_ledger(), open_ledger())]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    verdict = ledger.audit.verify()
    assert (verdict.entries, verdict.fault) == (75, "")


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """Settings of a ledger with the trail of one study."""
    file = tmp_path / "appliance.toml"
    file.write_text(f"state_dir = '{tmp_path}'\n")
    ledger = ledger_in(tmp_path / "ledger.sqlite", Clock())
    answer_study(ledger, "s1")
    ledger.audit.record(AuditEvent.LOOKED, "anna", origin="10.0.0.9")
    ledger.close()
    return file


def run(*words: str, settings: Path) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["audit", *words, "--settings", str(settings)], env={"COLUMNS": "200"})
    return done.exit_code, done.output


def test_the_trail_is_exported_as_a_table_and_as_json_by_day_and_by_study(settings: Path) -> None:
    status, table = run("export", settings=settings)
    assert status == 0
    assert "2027-01-15T08:00:00.000Z" in table
    assert "10.0.0.9" in table
    status, document = run("export", "--json", settings=settings)
    assert [entry["event"] for entry in json.loads(document)] == ["decided", "sent", "looked"]
    assert len(json.loads(run("export", "--json", "--study", "1.2.s1", settings=settings)[1])) == 2
    on_the_day = ("--since", "20270115", "--until", "20270115")
    assert len(json.loads(run("export", "--json", *on_the_day, settings=settings)[1])) == 3
    assert json.loads(run("export", "--json", "--since", "20270116", settings=settings)[1]) == []
    status, fault = run("export", "--since", "yesterday", settings=settings)
    assert (status, "YYYYMMDD" in fault) == (1, True)


def test_a_trail_that_is_not_whole_is_told_with_its_entry_and_the_exit_status(settings: Path) -> None:
    status, said = run("verify", settings=settings)
    assert (status, "3 entries, whole" in said) == (0, True)
    digest = json.loads(run("verify", "--json", settings=settings)[1])["digest"]
    assert run("verify", "--digest", digest, settings=settings)[0] == 0
    assert run("verify", "--digest", "0" * 64, settings=settings)[0] == 1
    engine = create_engine(f"sqlite:///{settings.parent / 'ledger.sqlite'}")
    with engine.begin() as connection:
        connection.execute(text("UPDATE audit SET who = 'carl' WHERE seq = 2"))
    engine.dispose()
    status, said = run("verify", settings=settings)
    assert (status, "entry 2 was changed" in said) == (1, True)


def test_looking_at_a_trail_that_is_not_there_makes_none(tmp_path: Path) -> None:
    file = tmp_path / "appliance.toml"
    file.write_text(f"state_dir = '{tmp_path / 'state'}'\n")
    status, said = run("export", settings=file)
    assert (status, "no ledger is there" in " ".join(said.split())) == (1, True)
    assert not (tmp_path / "state").exists()
