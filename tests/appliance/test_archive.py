# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What leaves a real Orthanc and a real ledger, when, and what never does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import generate_latest
from pydicom.uid import generate_uid

from appliance.archive import Archive
from appliance.errors import Refusal, RefusalCode, UnavailableError
from appliance.ledger.outbox import Planned
from appliance.ledger.records import AuditEvent, GoldenStudy, ResultObject, ShadowAnswer
from appliance.ledger.states import StudyState
from appliance.orthanc_errors import OrthancError
from appliance.sections.ledger import LedgerSettings
from appliance.sections.orthanc import ArchiveSettings
from appliance.settings import Settings
from tests.appliance.intake.desk import Desk
from tests.appliance.stand_in import head_series

DAY_S = 86_400


class Site:
    """An Orthanc with its ledger, and the archive that looks after both."""

    def __init__(self, settings: Settings, folder: Path, **keep: Any) -> None:
        archive = ArchiveSettings(**{name: value for name, value in keep.items() if name != "ledger_days"})
        ledger = LedgerSettings(keep_days=keep.get("ledger_days", 0))
        orthanc = settings.orthanc.model_copy(update={"storage": folder})
        self.settings = settings.model_copy(
            update={"archive": archive, "ledger": ledger, "orthanc": orthanc, "state_dir": folder}
        )
        self.desk = Desk(self.settings, folder / "ledger.sqlite")
        self.desk.quiet()  # the first start: from now on what comes is followed
        self.later_s = 0.0
        self.archive = self.keeper(archive)

    def keeper(self, archive: ArchiveSettings) -> Archive:
        """Return what looks after the archive with these settings; its clock is ahead by `later_s`."""
        settings = self.settings.model_copy(update={"archive": archive})
        desk = self.desk
        return Archive(settings, desk.orthanc, desk.ledger, desk.metrics, lambda: desk.clock() + self.later_s)

    def comes(self, **attributes: Any) -> str:
        """Let a study come and be decided; return Orthanc's name of it."""
        uid = str(generate_uid())
        self.desk.send(*head_series(uid, **attributes))
        self.desk.quiet()
        (job,) = self.desk.jobs(uid)
        return job.orthanc_study

    def answer(self, study: str) -> None:
        """Answer the job of a study that was decided."""
        job = self.desk.ledger.queue.claim("me", 60)
        assert job is not None
        assert job.orthanc_study == study
        result = ResultObject(f"i-{study}"[:44], f"s-{study}"[:44], "sr", "1.9")
        self.desk.ledger.jobs.deliver(job, [result], {"present": False}, (), "set", "1.2")
        self.desk.ledger.jobs.finish(job, "1.88", str(generate_uid()), {}, 2.0)
        self.deliver()

    def refuse(self, study: str) -> None:
        job = self.desk.ledger.queue.claim("me", 60)
        assert job is not None
        assert job.orthanc_study == study
        self.desk.ledger.jobs.refuse(job, (Refusal(RefusalCode.NOT_HEAD, "a foot"),), {})
        self.deliver()

    def deliver(self, *planned: Planned) -> None:
        """Let the rules be applied to what has ended, and ask for what is `planned`."""
        for job in self.desk.ledger.outbox.unrouted():
            self.desk.ledger.outbox.route(job, planned)

    def list_studies(self) -> set[str]:
        with httpx.Client(base_url=self.desk.orthanc.url, trust_env=False, timeout=60) as client:
            return set(client.get("/studies").json())

    def state(self, study: str) -> StudyState:
        (status,) = self.desk.ledger.views.newest_studies(1, study)
        return status.study.state


@pytest.fixture
def make(settings: Settings, tmp_path: Path) -> Iterator[Any]:
    made: list[Site] = []

    def site(**keep: Any) -> Site:
        made.append(Site(settings, tmp_path, **keep))
        return made[-1]

    yield site
    for one in made:
        with httpx.Client(base_url=one.desk.orthanc.url, trust_env=False, timeout=60) as client:
            for study in client.get("/studies").json():
                patient = client.get(f"/studies/{study}").json()["ParentPatient"]
                client.put(f"/patients/{patient}/protected", content="0")
                client.delete(f"/studies/{study}")
        one.desk.close()


def test_without_a_setting_nothing_ever_leaves(make: Any) -> None:
    site = make()
    study = site.comes()
    site.answer(study)
    site.later_s += 5000 * DAY_S
    assert site.archive.tidy() == 0
    assert site.list_studies() == {study}


def test_what_was_answered_or_refused_leaves_with_its_age_and_what_is_not_finished_stays(make: Any) -> None:
    site = make(keep_days=30)
    answered, refused = site.comes(), None
    site.answer(answered)
    refused = site.comes()
    site.refuse(refused)
    waiting = site.comes()
    site.later_s += 29 * DAY_S
    assert site.archive.tidy() == 0
    site.later_s += 2 * DAY_S
    assert site.archive.tidy() == 2
    assert site.list_studies() == {waiting}
    assert (site.state(answered), site.state(waiting)) == (StudyState.DELETED, StudyState.DECIDED)
    removed = [entry for entry in site.desk.ledger.audit.entries() if entry.event is AuditEvent.REMOVED]
    assert [entry.details for entry in removed] == [{"why": "age"}] * 2
    told = generate_latest(site.desk.metrics.registry).decode()
    assert 'hemorrhage_studies_removed_total{why="age"} 2.0' in told
    site.answer(waiting)  # it is answered all the same
    assert site.archive.tidy() == 1


def test_what_has_to_be_delivered_stays_until_it_is_and_so_does_what_no_rule_has_seen(make: Any) -> None:
    site = make(keep_days=30)
    study = site.comes()
    site.deliver = lambda: None
    site.answer(study)
    site.later_s += 31 * DAY_S
    assert site.archive.tidy() == 0
    del site.deliver
    site.deliver(Planned("pacs", "a rule", ("sr",)))
    assert site.archive.tidy() == 0
    outbox = site.desk.ledger.outbox
    outbox.confirm(outbox.claim("pacs", "me/1", 60, 5), "stored")
    assert site.archive.tidy() == 1


def test_an_archive_over_its_size_loses_its_oldest_and_no_more_than_it_must(make: Any) -> None:
    site = make()
    studies = []
    for number in range(3):
        studies.append(site.comes())
        site.answer(studies[number])
    most = site.desk.orthanc.stored_bytes() - 1000
    archive = site.keeper(ArchiveSettings(most_gb=most / 1e9))
    ages = [(one.last_instance_at, one.id) for one in site.desk.ledger.keeping.removable()]
    assert ages == sorted(ages)
    assert archive.tidy() == 1
    assert site.list_studies() == set(studies) - {ages[0][1]}
    assert archive.tidy() == 0


def test_an_archive_of_what_is_not_finished_grows_over_its_size_and_says_so(make: Any) -> None:
    site = make(most_gb=1e-6)
    study = site.comes()
    assert site.archive.tidy() == 0
    assert site.list_studies() == {study}
    told = generate_latest(site.desk.metrics.registry).decode()
    over = float(told.split("\nhemorrhage_archive_over_bytes ")[1].split()[0])
    assert over == site.desk.orthanc.stored_bytes() - 1000


def test_a_protected_patient_and_a_study_that_receives_again_stay(make: Any) -> None:
    site = make(keep_days=1)
    study = site.comes()
    site.answer(study)
    site.later_s += 3 * DAY_S
    with httpx.Client(base_url=site.desk.orthanc.url, trust_env=False, timeout=60) as client:
        patient = client.get(f"/studies/{study}").json()["ParentPatient"]
        client.put(f"/patients/{patient}/protected", content="1").raise_for_status()
        assert site.archive.tidy() == 0
        client.put(f"/patients/{patient}/protected", content="0").raise_for_status()
    (old,) = site.desk.ledger.keeping.removable()
    uid = site.desk.orthanc.study(study).uid
    site.desk.send(*head_series(uid, series=str(generate_uid())))
    site.desk.take_in()
    assert site.desk.ledger.keeping.removable() == []
    assert site.desk.ledger.keeping.may_go(old) is False
    assert site.list_studies() == {study}


def test_studies_that_stay_keep_no_later_one_in_the_archive(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.archive._AT_ONCE", 1)
    site = make(keep_days=30)
    protected, second, third = studies = [site.comes(PatientID=f"P{number}") for number in range(3)]
    for study in studies:
        site.answer(study)
    with httpx.Client(base_url=site.desk.orthanc.url, trust_env=False, timeout=60) as client:
        patient = client.get(f"/studies/{protected}").json()["ParentPatient"]
        client.put(f"/patients/{patient}/protected", content="1").raise_for_status()
    assert site.keeper(ArchiveSettings(most_gb=(site.desk.orthanc.stored_bytes() - 1000) / 1e9)).tidy() == 1
    assert site.list_studies() == {protected, third}
    site.later_s += 31 * DAY_S
    assert site.archive.tidy() == 1
    assert site.list_studies() == {protected}
    assert site.state(second) is StudyState.DELETED


@pytest.mark.parametrize("error", [UnavailableError("HTTP 500"), OrthancError("HTTP 400", 400)])
def test_a_study_that_orthanc_cannot_remove_is_not_said_to_be_and_keeps_no_other(
    make: Any, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    site = make(keep_days=30)
    odd, other = site.comes(), site.comes()
    for study in (odd, other):
        site.answer(study)
    site.later_s += 31 * DAY_S
    remove = site.desk.orthanc.delete_study

    def remove_the_other(study: str) -> None:
        if study == odd:
            raise error
        remove(study)

    def count_entries() -> int:
        return sum(entry.event is AuditEvent.REMOVED for entry in site.desk.ledger.audit.entries())

    with monkeypatch.context() as patch:
        patch.setattr(site.desk.orthanc, "delete_study", remove_the_other)
        assert [site.archive.tidy() for _ in range(2)] == [1, 0]
    assert site.list_studies() == {odd}
    assert count_entries() == 1
    assert site.archive.tidy() == 1
    assert count_entries() == 2


@pytest.mark.parametrize("more", ["slices", "series"])
def test_a_study_of_which_orthanc_holds_more_than_intake_has_seen_stays(make: Any, more: str) -> None:
    site = make(keep_days=30)
    uid = str(generate_uid())
    files = head_series(uid, 20)
    study = site.desk.study_of(site.desk.send(*files[:14])[0])
    site.desk.quiet()
    site.answer(study)
    site.later_s += 31 * DAY_S
    site.desk.send(*(files[14:] if more == "slices" else head_series(uid)))
    assert site.archive.tidy() == 0
    assert site.list_studies() == {study}


def test_a_golden_study_stays_until_it_is_golden_no_more(make: Any) -> None:
    site = make(keep_days=1)
    study = site.comes()
    site.answer(study)
    site.later_s += 3 * DAY_S
    ledger = site.desk.ledger
    (old,) = ledger.keeping.removable()
    uid = site.desk.orthanc.study(study).uid
    ledger.golden.add(GoldenStudy(uid, study, "1.9", "a" * 64, 1.0, "a tester", "", {"present": True}))
    assert site.archive.tidy() == 0
    assert ledger.keeping.may_go(old) is False
    assert site.list_studies() == {study}
    assert ledger.golden.remove(uid, "a tester")
    assert site.archive.tidy() == 1
    assert site.list_studies() == set()


def test_the_ledger_forgets_what_left_orthanc_long_ago_and_keeps_its_audit_trail(make: Any) -> None:
    site = make(keep_days=1, ledger_days=10)
    gone, kept = site.comes(), None
    site.answer(gone)
    site.later_s += 3 * DAY_S
    site.archive.tidy()
    kept = site.comes()
    site.answer(kept)
    ledger = site.desk.ledger
    (asker,), (prior,) = ledger.jobs.of_study(gone), ledger.jobs.of_study(kept)
    for job in (asker, prior):
        ledger.shadows.keep(ShadowAnswer(job.id, "a" * 64, "2", 1.0))
        assert ledger.priors.note_retrieval(job.study_uid, asker)
    entries = len(list(site.desk.ledger.audit.entries()))
    site.archive.prune()
    assert site.desk.ledger.keeping.rows()["studies"] == 2
    site.later_s += 11 * DAY_S
    site.archive.prune()
    rows = site.desk.ledger.keeping.rows()
    assert (rows["studies"], rows["jobs"], rows["results"]) == (1, 1, 1)
    assert (rows["shadow_answers"], rows["retrieved"]) == (1, 1)
    assert not ledger.priors.note_retrieval(prior.study_uid, prior)  # it is there, and known as fetched
    assert rows["audit"] == entries
    assert site.state(kept) is StudyState.DECIDED
    assert "hemorrhage_ledger_pruned_studies_total 1.0" in generate_latest(site.desk.metrics.registry).decode()
    again = site.comes()  # nothing that is left refers to what went
    site.answer(again)


def test_room_and_sizes_are_told(make: Any, tmp_path: Path) -> None:
    site = make()
    site.answer(site.comes())
    site.archive.measure()
    told = generate_latest(site.desk.metrics.registry).decode()
    for line in (
        'hemorrhage_disk_free_bytes{place="state"}',
        'hemorrhage_disk_free_bytes{place="orthanc"}',
        'hemorrhage_disk_size_bytes{place="orthanc"}',
        'hemorrhage_ledger_rows{table="jobs"} 1.0',
    ):
        assert line in told
    assert float(told.split("\nhemorrhage_archive_bytes ")[1].split()[0]) == site.desk.orthanc.stored_bytes() > 10_000


def test_a_step_that_fails_does_not_keep_the_others_from_being_done(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    site = make(keep_days=1)
    study = site.comes()
    site.answer(study)
    site.later_s += 3 * DAY_S
    stopping = threading.Event()

    def away() -> None:
        raise UnavailableError("Orthanc is away")

    monkeypatch.setattr(site.archive, "measure", away)
    monkeypatch.setattr(site.archive, "prune", stopping.set)
    away.__name__ = "measure"
    site.archive.run(stopping)
    assert site.list_studies() == set()
