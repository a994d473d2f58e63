# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Which earlier head CT an answer is compared with: a real Orthanc and a real ledger, a stand-in network.

All patients are invented.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from pydicom.uid import generate_uid

from appliance.answer_text import status_lines
from appliance.errors import UnavailableError
from appliance.findings.change import Doubt
from appliance.health import Health
from appliance.ledger.opinions import NewOpinion
from appliance.ledger.outcomes import Reason, Stance
from appliance.ledger.records import Job
from appliance.ledger.states import JobState
from appliance.prior import lookup
from appliance.prior.search import PriorSearch
from appliance.web.status import status_document
from tests.appliance.bench import Bench, exposition
from tests.appliance.log_lines import lines
from tests.appliance.prior.heads import LARGE, Patient
from tests.appliance.stand_in import head_series


@pytest.fixture
def patient(bench: Bench) -> Patient:
    return Patient(bench)


def prior_of(job: Job) -> str:
    """Return the study that a job was compared with, empty for none."""
    return str((job.change.get("prior") or {}).get("study_uid", ""))


def test_an_answer_is_compared_with_the_last_scan_before_it_however_late_that_came(patient: Patient) -> None:
    second = patient.scan("20260104")
    first = patient.scan("20260102")
    third = patient.scan("20260105", "200000", LARGE)
    assert (second.change, first.change) == ({}, {})
    assert prior_of(third) == second.study_uid
    assert third.change["hours"] == 36.0
    assert third.change["prior"]["report_uid"] == second.sr_uid
    assert third.change["prior"]["job"] == second.id
    assert third.change["grown"]
    found = sum(lesion["volume_ml"] for lesion in third.answer["lesions"])
    assert third.change["now_ml"]["total"] == pytest.approx(found)
    assert second.answer["series"]["scanned"] == "2026-01-04T08:00:00"
    bench = patient.bench
    told = exposition(bench.metrics)
    assert 'hemorrhage_compared_answers_total{change="grown"} 1.0' in told
    assert 'hemorrhage_compared_answers_total{change="withheld"} 0.0' in told
    (report,) = [one for one in bench.held(third.study_uid) if one.SOPInstanceUID == third.sr_uid]
    (evidence,) = report.PertinentOtherEvidenceSequence
    (series,) = evidence.ReferencedSeriesSequence
    (referenced,) = series.ReferencedSOPSequence
    (there,) = [one for one in bench.held(second.study_uid) if one.SOPInstanceUID == second.sr_uid]
    assert evidence.StudyInstanceUID == there.StudyInstanceUID
    assert series.SeriesInstanceUID == there.SeriesInstanceUID
    assert (referenced.ReferencedSOPClassUID, referenced.ReferencedSOPInstanceUID) == (
        there.SOPClassUID,
        there.SOPInstanceUID,
    )
    (shown,) = status_document(bench.desk.ledger, Health({}, lambda _: None), None, 1, third.orthanc_study)["studies"]
    assert shown["change"]["grown"]
    assert any("grown: IPH +" in line for line in status_lines(shown))


def test_a_study_that_was_read_ahead_is_compared_too(patient: Patient) -> None:
    bench = patient.bench
    study = str(generate_uid())
    prior = patient.scan("20260102")
    bench.detector.box = LARGE
    bench.desk.send(*patient.files("20260103", study=study))
    bench.desk.wait(0.5)  # judged, and offered
    bench.desk.read_ahead()
    assert bench.detector.asked == 2
    bench.desk.quiet()
    bench.worker.work()
    assert bench.detector.asked == 2
    assert prior_of(bench.job(study)) == prior.study_uid
    assert bench.job(study).change["grown"]


def test_a_head_without_blood_is_a_prior_too(patient: Patient) -> None:
    patient.scan("20260102", box=None)
    new = patient.scan("20260103")
    assert new.change["prior"]["answer"] == "absent"
    assert not new.change["grown"]
    assert new.change["difference_ml"]["total"] > 0


def test_a_scan_of_the_same_id_that_may_be_another_persons_is_not_compared_with(patient: Patient) -> None:
    patient.scan("20260102", PatientName="Somebody^Else")
    assert patient.scan("20260103").change == {"withheld": Doubt.OTHER_NAME.value}


def test_a_doubtful_scan_hides_no_older_one_that_is_the_patients(patient: Patient) -> None:
    first = patient.scan("20260102")
    patient.scan("20260103", PatientBirthDate="19700101")
    assert prior_of(patient.scan("20260104")) == first.study_uid


def test_a_namesake_with_another_id_is_not_compared_with(bench: Bench) -> None:
    Patient(bench).scan("20260102", PatientName="Huber^Anna")
    assert Patient(bench).scan("20260103", PatientName="Huber^Anna").change == {}


def test_without_an_id_or_with_a_placeholder_nothing_is_compared(patient: Patient) -> None:
    for patient_id, change in (("", {}), ("UNKNOWN", {"withheld": Doubt.PLACEHOLDER_ID.value})):
        patient.scan("20260102", PatientID=patient_id)
        assert patient.scan("20260103", PatientID=patient_id).change == change


def test_two_scans_of_one_day_are_compared_by_their_times_and_not_without(patient: Patient) -> None:
    morning = patient.scan("20260102", "080000")
    noon = patient.scan("20260102", "120000")
    assert prior_of(noon) == morning.study_uid
    assert noon.change["hours"] == 4.0
    untimed = patient.scan("20260102", "")
    assert untimed.change == {"withheld": Doubt.SAME_DAY_NO_TIME.value}
    next_day = patient.scan("20260103", "")
    assert next_day.change["hours"] == 24.0
    assert next_day.change["to_the_day"]


def test_a_copy_of_the_same_scan_is_no_prior(patient: Patient) -> None:
    patient.scan("20260102")
    assert patient.scan("20260102").change == {}


def test_a_scan_without_a_usable_time_is_not_compared_and_is_no_prior(patient: Patient) -> None:
    patient.scan("20991231")
    assert patient.scan("20260103").change == {}
    assert patient.scan("20991231").change == {"withheld": Doubt.NO_TIME.value}
    assert patient.scan("", "").change == {"withheld": Doubt.NO_TIME.value}


def scan_part(patient: Patient, day: str, hour: str = "080000") -> str:
    """Have the upper half of a head answered that was scanned then; return its study."""
    study, bench = str(generate_uid()), patient.bench
    who = {"PatientID": patient.id, "PatientBirthDate": "19550302", "AcquisitionDate": day, "AcquisitionTime": hour}
    bench.send(*head_series(study, 28, 14, **who))
    bench.desk.wait(bench.desk.settings.intake.ends_s + 1)
    bench.worker.work()
    assert bench.job(study).answer["coverage"]["partial"]
    return study


def test_the_last_whole_head_is_compared_with_and_a_part_since_is_told_of(patient: Patient) -> None:
    part = scan_part(patient, "20260103", "040000")
    alone = patient.scan("20260103", box=LARGE)
    assert prior_of(alone) == part
    assert (alone.change["obstacle"], alone.change["grown"]) == ("prior_is_of_a_part", False)
    whole = patient.scan("20260102")
    later = patient.scan("20260103", "073000", LARGE)
    assert prior_of(later) == whole.study_uid
    assert later.change["grown"]
    assert later.change["caveats"] == ["passed_over_part"]


def test_a_scan_of_the_same_examination_hides_no_growth_since_the_one_before(patient: Patient) -> None:
    before = patient.scan("20260102", "080000")
    patient.scan("20260102", "140000", LARGE)
    now = patient.scan("20260102", "140040", LARGE)
    assert prior_of(now) == before.study_uid
    assert now.change["grown"]
    assert now.change["caveats"] == ["passed_over_same_examination"]


def test_a_scan_of_the_same_examination_is_no_prior_by_itself(patient: Patient) -> None:
    patient.scan("20260102", "140000")
    assert patient.scan("20260102", "140040").change == {"withheld": Doubt.SAME_EXAMINATION.value}


def test_of_one_day_before_the_latest_scan_is_the_prior_of_one_without_a_time(patient: Patient) -> None:
    evening = patient.scan("20260102", "200000")
    patient.scan("20260102", "080000")  # answered later
    assert prior_of(patient.scan("20260103", "")) == evening.study_uid


def test_a_prior_that_a_reader_disagreed_with_is_compared_with_a_caveat(patient: Patient) -> None:
    first = patient.scan("20260102")
    opinion = NewOpinion("a reader", Stance.DISAGREES, Reason.FALSE_ALARM)
    patient.bench.desk.ledger.opinions.give(first.id, opinion)
    assert patient.scan("20260103").change["caveats"] == ["disputed"]


def test_an_earlier_scan_without_a_usable_date_is_told_of(patient: Patient) -> None:
    patient.scan("19000101")
    assert patient.scan("20260103").change == {"withheld": Doubt.UNDATED.value}


@pytest.mark.parametrize("day", ["99991231", "00000000", "20260231"])
def test_no_date_in_a_header_costs_the_answer(patient: Patient, day: str) -> None:
    job = patient.scan(day, "235960")
    assert job.state is JobState.DONE
    assert job.answer["series"]["scanned"] == ""


def test_an_answer_that_is_given_again_keeps_its_comparison_when_orthanc_is_in_trouble(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient.scan("20260102")
    new = patient.scan("20260103", box=LARGE)
    monkeypatch.setattr(PriorSearch, "find", fail)
    assert patient.bench.desk.ledger.priors.answer_again(new) is not None
    patient.bench.worker.work()
    again = patient.bench.job(new.study_uid)
    assert again.id != new.id
    assert again.sr_uid == new.sr_uid
    assert again.change == new.change


def test_a_refused_or_a_deleted_study_is_no_prior(patient: Patient) -> None:
    bench = patient.bench
    patient.scan("20260104", PixelSpacing=None)
    deleted = patient.scan("20260103")
    kept = patient.scan("20260102")
    assert bench.desk.jobs(deleted.study_uid)[-1].change == {}
    bench.desk.delete_study(deleted.orthanc_study)
    assert prior_of(patient.scan("20260105")) == kept.study_uid


def test_a_prior_that_orthanc_cannot_read_is_told_of(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    patient.scan("20260102")
    monkeypatch.setattr(patient.bench.desk.orthanc, "header", fail)
    new = patient.scan("20260103")
    assert new.change == {"withheld": Doubt.UNREADABLE.value}
    assert new.sr_uid


def test_the_time_of_a_scan_that_an_older_version_did_not_note_is_read_from_orthanc(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = patient.bench.desk.ledger
    first, newest = patient.scan("20260102"), ledger.jobs.newest_answers_of

    def without_times(*asked: Any) -> list[Job]:
        jobs = newest(*asked)
        for job in jobs:
            job.answer["series"].pop("scanned")
        return jobs

    monkeypatch.setattr(ledger.jobs, "newest_answers_of", without_times)
    assert prior_of(patient.scan("20260103")) == first.study_uid


def test_a_patient_with_hundreds_of_studies_costs_a_bounded_number_of_requests(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in range(1, 7):
        patient.scan(f"202601{day:02d}", PatientBirthDate=f"194001{day:02d}")
    orthanc, ledger = patient.bench.desk.orthanc, patient.bench.desk.ledger
    listed, asked, read = orthanc.studies_of_patient, [], orthanc.header

    def many(study: str) -> list[str]:
        return [*listed(study), *(f"{number:08x}-0-0-0-0" for number in range(3000))]

    def header(instance: str) -> dict[str, Any]:
        asked.append(instance)
        return read(instance)

    monkeypatch.setattr(orthanc, "studies_of_patient", many)
    monkeypatch.setattr(orthanc, "header", header)
    assert patient.scan("20260120").change == {"withheld": Doubt.OTHER_BIRTH_DATE.value}
    assert len(asked) == 5
    assert len(ledger.jobs.newest_answers_of(many(patient.scan("20260121").orthanc_study), 4)) == 4


@pytest.mark.parametrize("trouble", ["away", "slow"])
def test_an_orthanc_in_trouble_costs_the_comparison_and_not_the_answer(
    patient: Patient, monkeypatch: pytest.MonkeyPatch, stream: Any, trouble: str
) -> None:
    patient.scan("20260102")
    answered = threading.Event()

    def look_for_long(*_: object) -> None:
        answered.wait(15)

    find: Callable[..., Any] = {"away": fail, "slow": look_for_long}[trouble]
    monkeypatch.setattr(PriorSearch, "find", find)
    monkeypatch.setattr(patient.bench.worker._priors, "_patience_s", 0.1)
    new = patient.scan("20260103")
    answered.set()
    assert new.sr_uid
    assert new.change == {"withheld": Doubt.NOT_IN_TIME.value}
    assert 'hemorrhage_compared_answers_total{change="withheld"} 1.0' in exposition(patient.bench.metrics)
    assert any(one["event"] == "answered without a look at the prior CT" for one in lines(stream))
    assert lookup.PATIENCE_S == 2.0


def fail(*_: object) -> Any:
    raise UnavailableError("HTTP 500")
