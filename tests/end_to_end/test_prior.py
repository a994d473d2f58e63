# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A simulated patient who bleeds is scanned twice, and bleeds more: what the second answer says of the first.

The prior is sent by the scanner, or lies in a second real Orthanc as PACS and is fetched from there.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.uid import generate_uid

from deploy.local.orthanc import OrthancProcess
from simulator.study import WrittenStudy
from tests.end_to_end.patient import Patient, edit
from tests.end_to_end.running import Running, until
from tests.end_to_end.stored import PRESENCE, codes, content


@pytest.fixture(scope="module")
def bleeding_more(bleeding: Patient) -> Patient:
    """The head of `bleeding` some hours later, scanned once."""
    return bleeding.with_volume(85)


@pytest.fixture
def patient_id() -> str:
    """An ID that no other test's studies have."""
    return f"SIM-{str(generate_uid())[-12:]}"


@cache
def yesterday() -> str:
    """Return the day before the first scan of all, also of those after midnight."""
    return f"{datetime.now(UTC) - timedelta(days=1):%Y%m%d}"


def scan(head: Patient, folder: Path, patient_id: str, hour: int) -> WrittenStudy:
    """Write a new study of a head, scanned at an hour of yesterday (so that it is news), of the patient with an ID."""
    day = yesterday()

    def put(dataset: Dataset) -> None:
        dataset.PatientID = patient_id
        for what in ("Study", "Series", "Acquisition", "Content"):
            setattr(dataset, f"{what}Date", day)
            setattr(dataset, f"{what}Time", f"{hour:02d}0000")
        if "AcquisitionDateTime" in dataset:
            dataset.AcquisitionDateTime = f"{day}{hour:02d}0000"

    written = head.study(folder)
    for file in written.all_files:
        edit(file, put)
    return written


def is_compared(running: Running, uid: str) -> bool:
    """Return whether the newest answer about a study was compared with a prior."""
    return "prior" in (running.study(uid).get("change") or {})


def change_group(report: Dataset) -> Dataset:
    """Return the SR's group about the change since the prior."""
    (measurements,) = content(report, "126010")
    (group,) = (
        one
        for one in measurements.ContentSequence
        if [item.TextValue for item in content(one, "112039")] == ["Change since the prior head CT"]
    )
    return group


def test_the_second_report_of_a_bleed_says_how_much_it_has_grown_and_a_namesake_is_not_compared(
    running: Running, bleeding: Patient, bleeding_more: Patient, patient_id: str, tmp_path: Path
) -> None:
    before = running.metrics()["hemorrhage_compared_answers_total[grown]"]
    first = scan(bleeding, tmp_path / "first", patient_id, 8)
    running.send(first.all_files)
    record = running.answered(first.truth.study_uid)
    assert record["change"] is None
    second = scan(bleeding_more, tmp_path / "second", patient_id, 14)
    running.send(second.all_files)
    # On a busy machine the prior is not found within two seconds, and a second answer follows that is compared.
    until(lambda: is_compared(running, second.truth.study_uid), lambda: running.study(second.truth.study_uid))
    later = running.answered(second.truth.study_uid)
    change = later["change"]
    assert change["prior"]["study_uid"] == first.truth.study_uid
    assert change["prior"]["report_uid"] == record["sr_uid"]
    assert change["hours"] == 6.0
    volumes = [sum(lesion["volume_ml"] for lesion in one["lesions"]) for one in (record, later)]
    assert [change["then_ml"]["total"], change["now_ml"]["total"]] == pytest.approx(volumes)
    assert change["grown"]
    reports = {one.SOPInstanceUID: one for one in running.stored(second.truth.study_uid).reports}
    report = reports[later["sr_uid"]]
    assert len(reports) == len(later["jobs"])
    group = change_group(report)
    assert codes(group, "121071") == ["15454001"]  # Increase in size
    assert codes(group, PRESENCE) == ["52101004"]
    (said,) = (item.TextValue for item in content(group, "121106"))
    assert "The hemorrhage has GROWN" in said
    (evidence,) = report.PertinentOtherEvidenceSequence
    assert evidence.StudyInstanceUID == first.truth.study_uid
    until(lambda: running.metrics()["hemorrhage_compared_answers_total[grown]"] > before, running.metrics)

    namesake = scan(bleeding_more, tmp_path / "namesake", f"{patient_id}-2", 16)
    running.send(namesake.all_files)
    uid = namesake.truth.study_uid
    running.answered(uid)
    until(lambda: running.study(uid)["change"] is None, lambda: running.study(uid))


def test_a_prior_is_fetched_from_the_pacs_and_a_report_that_supersedes_says_what_has_changed(
    running: Running, pacs: OrthancProcess, bleeding: Patient, bleeding_more: Patient, patient_id: str, tmp_path: Path
) -> None:
    prior = scan(bleeding, tmp_path / "prior", patient_id, 8)
    with pacs.client() as client:
        for file in prior.all_files:
            client.post("/instances", content=file.read_bytes()).raise_for_status()
    new = scan(bleeding_more, tmp_path / "new", patient_id, 14)
    uid = new.truth.study_uid
    running.send(new.all_files)
    until(lambda: is_compared(running, uid), lambda: running.study(uid))
    record = running.answered(uid)
    assert record["change"]["prior"]["study_uid"] == prior.truth.study_uid
    assert record["change"]["grown"]
    first, again = record["jobs"]
    assert (first["state"], first["change"], again["state"]) == ("superseded", None, "done")
    reports = {str(one.SOPInstanceUID): one for one in running.stored(uid).reports}
    assert reports.keys() == {first["sr_uid"], again["sr_uid"]}
    (superseded,) = reports[again["sr_uid"]].PredecessorDocumentsSequence[0].ReferencedSeriesSequence
    assert superseded.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == first["sr_uid"]
    fetched = running.answered(prior.truth.study_uid)
    assert fetched["jobs"][-1]["retrieved"]
    assert fetched["turnaround_s"] is None
    # The shipped script sends what is present to the PACS by the mark, and a fetched prior has none.
    with pacs.client() as client:
        until(lambda: len(client.post("/tools/lookup", content=again["sr_uid"]).json()) > 0, lambda: again)
        assert client.post("/tools/lookup", content=fetched["sr_uid"]).json() == []
