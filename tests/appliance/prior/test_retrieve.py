# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Priors that are fetched from a second real Orthanc as PACS, by C-FIND and C-MOVE. All patients are invented."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import generate_uid

from appliance.doctor.prior import check_prior
from appliance.ledger.outcomes import Standing
from appliance.ledger.records import OLD, AuditEvent, Job
from appliance.ledger.states import JobState
from appliance.prior.follow_up import FollowUp
from appliance.prior.retrieve import Retrieval
from appliance.sections.intake import IntakeSettings, PrioritySettings
from appliance.sections.prior import PriorSettings
from tests.appliance.bench import exposition
from tests.appliance.delivery.receivers import Hook
from tests.appliance.delivery.site import Post, Site, post_at
from tests.appliance.prior.heads import LARGE, SMALL, Patient
from tests.appliance.running import PATIENCE_S


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The appliance's Orthanc and a PACS."""
    with Site(tmp_path_factory.mktemp("site"), senders=("PACS1@127.0.0.1",)).running() as running:
        yield running


class Hospital:
    """An appliance that fetches priors, with a rule that tells a hook of every answer."""

    def __init__(self, site: Site, post: Post, prior: PriorSettings) -> None:
        self.site = site
        self.post = post
        self.bench = post.bench
        self.patient = Patient(post.bench)
        desk = self.bench.desk
        self.retrieval = Retrieval(prior, site.settings.orthanc.aet, desk.orthanc, desk.ledger, self.bench.metrics)
        self.follow_up = FollowUp(desk.orthanc, desk.ledger, desk.handover, self.retrieval, desk.clock)

    def keep(self, day: str, study: str = "", **attributes: Any) -> str:
        """Store a head in the PACS that was scanned on a day; return its study."""
        study = study or str(generate_uid())
        with self.site.pacs.client() as pacs:
            for file in self.patient.files(day, study=study, **({"StudyDescription": "CT Head"} | attributes)):
                pacs.post("/instances", content=file).raise_for_status()
        return study

    def header(self, day: str) -> dict[str, str]:
        """Return what the header of a head says that was scanned on a day."""
        who = {"PatientID": self.patient.id, "PatientBirthDate": "19550302"}
        return who | {"AcquisitionDate": day, "AcquisitionTime": "080000"}

    def settle(self) -> None:
        """Wait until nothing is on its way from the PACS."""
        ends = time.monotonic() + PATIENCE_S
        while self.retrieval._under_way:
            assert time.monotonic() < ends, self.retrieval._under_way
            self.retrieval.look()
            time.sleep(0.05)

    def fetched(self, study: str) -> Job:
        """Wait until a study has come from the PACS, let it be answered as one that bleeds little; return its job."""
        self.settle()
        self.bench.desk.quiet()
        self.bench.detector.box = SMALL
        self.bench.worker.work()
        return self.bench.job(study)

    def came(self) -> list[str]:
        """Return the studies that were sent to the appliance's Orthanc of this patient."""
        found = self.bench.desk.orthanc.ask(
            "POST", "/tools/find", {"Level": "Study", "Query": {"PatientID": self.patient.id}, "Expand": True}
        )
        return [one["MainDicomTags"]["StudyInstanceUID"] for one in found]


@pytest.fixture
def hospital(site: Site, hook: Hook, tmp_path: Path) -> Iterator[Hospital]:
    rules = [
        {"name": "all", "when": "true", "actions": [{"to": "hook"}]},
        {"name": "priors too", "when": "retrieved && 'retrieved' != ''", "actions": [{"to": "other"}]},
    ]
    hooks = {name: {"kind": "webhook", "url": f"{hook.url}/{name}"} for name in ("hook", "other")}
    settings = site.with_rules(hooks, rules).model_copy(
        update={
            "priority": PrioritySettings(recent_days=36_500),
            "intake": IntakeSettings(quiet_s=2, incomplete_s=60, ends_s=20),
        }
    )
    with post_at(settings, tmp_path) as post:
        yield Hospital(site, post, PriorSettings(pacs="PACS", days=60))


def test_a_prior_of_the_pacs_is_fetched_after_the_answer_read_last_and_compared_with(hospital: Hospital) -> None:
    older, prior = hospital.keep("20260101"), hospital.keep("20260102")
    new = hospital.patient.scan("20260103", box=LARGE)
    assert new.state is JobState.DONE
    assert new.change == {}
    hospital.follow_up.step()
    job = hospital.fetched(prior)
    assert older not in hospital.came()
    assert (job.retrieved, job.priority, job.live, job.turnaround_s) == (True, OLD, False, None)
    hospital.follow_up.step()
    hospital.bench.detector.box = LARGE
    hospital.bench.worker.work()
    again = hospital.bench.job(new.study_uid)
    assert again.change["prior"]["study_uid"] == prior
    assert again.change["grown"]
    assert hospital.bench.named_by(again) == new.sr_uid
    # Nobody is told of the prior itself but by the rule that asks for it, and Orthanc does not route it.
    hospital.post.dispatch.route()
    told = [(one.rule, one.study_uid) for one in hospital.post.deliveries()]
    assert ("priors too", prior) in told
    assert ("all", prior) not in told
    assert ("all", new.study_uid) in told
    assert hospital.bench.desk.orthanc.metadata(f"studies/{job.orthanc_study}", 4310) is None
    assert hospital.bench.desk.orthanc.metadata(f"studies/{new.orthanc_study}", 4310) is not None
    board = hospital.bench.desk.ledger.board
    standing = {one.study_uid: board.study(one.orthanc_study) for one in (job, new)}
    assert [one and one.study.standing for one in standing.values()] == [Standing.NONE, Standing.FOUND]
    assert 'hemorrhage_priors_fetched_total{outcome="fetched"} 1.0' in exposition(hospital.bench.metrics)
    trail = hospital.bench.desk.ledger.audit.entries(study_uid=prior)
    assert AuditEvent.RETRIEVED in [one.event for one in trail]
    # It has its own prior in the PACS: that is not fetched, or the whole archive would come.
    hospital.follow_up.step()
    assert older not in hospital.came()


def test_only_a_head_of_this_patient_that_is_later_than_the_known_prior_is_fetched(hospital: Hospital) -> None:
    hospital.keep("20251001")  # too old
    hospital.keep("20260104")  # later than the scan
    hospital.keep("20260102", StudyDescription="CT Thorax")
    hospital.keep("20260102", PatientBirthDate="19700101")
    hospital.keep("20251230")  # before the prior that is known
    unnamed = hospital.keep("20260101", StudyDescription="CT", SeriesDescription="Head 5.0")
    known = hospital.patient.scan("20251231")
    hospital.bench.desk.ledger.priors.note_followed_up(known.id)
    new = hospital.patient.scan("20260103")
    assert new.change["prior"]
    hospital.follow_up.step()
    hospital.fetched(unnamed)
    assert set(hospital.came()) == {known.study_uid, new.study_uid, unnamed}


def test_a_study_is_fetched_once(hospital: Hospital) -> None:
    prior = hospital.keep("20260102")
    first = hospital.patient.scan("20260103")
    header = hospital.header("20260103")
    assert hospital.retrieval.fetch(first, header) == 1
    assert hospital.retrieval.fetch(first, header) == 0
    assert hospital.fetched(prior).retrieved
    assert hospital.retrieval.fetch(first, header) == 0


def test_a_study_of_a_uid_that_no_ledger_keeps_is_not_fetched(hospital: Hospital) -> None:
    hospital.keep("20260102", study="1.2." + "3" * 61)
    job = hospital.patient.scan("20260103")
    assert hospital.retrieval.fetch(job, hospital.header("20260103")) == 0


@pytest.mark.parametrize("patient_id", ["P*", "P?1", "UNKNOWN", "0", ""])
def test_an_id_that_would_find_others_is_not_asked_for(hospital: Hospital, patient_id: str) -> None:
    hospital.patient.id = patient_id or "none"
    job = hospital.patient.scan("20260103")
    header = hospital.header("20260103") | {"PatientID": patient_id}
    assert hospital.retrieval.fetch(job, header) == 0
    assert hospital.retrieval.fetch(job, header | {"PatientID": "P1", "AcquisitionDate": ""}) == 0


def test_a_pacs_that_is_away_costs_neither_the_answer_nor_those_after_it(hospital: Hospital, site: Site) -> None:
    hospital.retrieval._settings = PriorSettings(pacs="NOBODY")
    new = hospital.patient.scan("20260103")
    assert hospital.follow_up.step() == 1
    assert hospital.follow_up.step() == 0
    assert hospital.bench.job(new.study_uid).state is JobState.DONE
    assert 'hemorrhage_priors_fetched_total{outcome="failed"} 1.0' in exposition(hospital.bench.metrics)
    assert site.settings.prior.pacs == ""  # off, unless a site asks for it
    json.dumps(hospital.bench.job(new.study_uid).change)


def test_a_prior_that_the_pacs_does_not_send_may_be_asked_for_again(
    hospital: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    prior = hospital.keep("20260102")
    new = hospital.patient.scan("20260103")
    header = hospital.header("20260103")
    with monkeypatch.context() as patched:
        patched.setattr(hospital.retrieval, "_aet", "NOBODY")  # the PACS does not know it, and the C-MOVE fails
        hospital.retrieval.fetch(new, header)
        hospital.settle()
    assert hospital.came() == [new.study_uid]
    assert 'hemorrhage_priors_fetched_total{outcome="failed"} 1.0' in exposition(hospital.bench.metrics)
    assert hospital.retrieval.fetch(new, header) == 1
    assert hospital.fetched(prior).retrieved


def test_the_doctor_asks_the_pacs(site: Site) -> None:
    def told(pacs: str) -> list[tuple[str, str]]:
        settings = site.settings.model_copy(update={"prior": PriorSettings(pacs=pacs)})
        return [(one.name, one.state) for one in check_prior(settings)]

    assert told("PACS") == [("priors", "ok")]
    assert told("NOBODY") == [("priors", "fail")]
    assert told("") == []


def test_a_study_with_more_images_than_allowed_is_not_fetched(hospital: Hospital) -> None:
    hospital.keep("20260102")
    hospital.retrieval._settings = PriorSettings(pacs="PACS", days=60, most_images=13)
    new = hospital.patient.scan("20260103")
    hospital.follow_up.step()
    assert hospital.came() == [new.study_uid]
