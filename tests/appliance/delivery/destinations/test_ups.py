# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The priority of workitems, set by UPS-RS in a worklist of our own that keeps the standard's states."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from appliance.delivery.destinations.destination import AwayError, Parcel, RejectedError, UnfinishedError
from appliance.delivery.destinations.ups import Ups
from appliance.ledger.records import ROUTINE, URGENT
from appliance.sections.delivery import destination_settings
from tests.appliance.delivery.destinations.worklist import Workitem, Worklist
from tests.appliance.delivery.jobs import job
from tests.appliance.delivery.parcels import parcel, with_handle

ABSENT = {"present": False, "probability": 0.1, "lesions": []}


@pytest.fixture
def worklist() -> Iterator[Worklist]:
    opened = Worklist()
    opened.open()
    yield opened
    opened.close()


def ups(worklist: Worklist, **more: Any) -> Ups:
    settings: Any = destination_settings({"kind": "ups", "url": worklist.url, "timeout_s": 60, **more})
    return Ups(settings)


def given(before: Parcel, receipt: str, **changes: Any) -> Parcel:
    """Return a parcel of a newer answer, before which another was confirmed by `receipt`."""
    return replace(parcel(**changes), earlier=(*before.earlier, replace(before.delivery, id=2, receipt=receipt)))


def test_every_workitem_of_the_study_that_waits_is_raised_and_taken_back_to_what_it_was(worklist: Worklist) -> None:
    worklist.workitems = [
        Workitem("2.25.1", "1.2"),
        Workitem("2.25.2", "9.9"),
        Workitem("2.25.3", "1.2", priority="MEDIUM"),
        Workitem("2.25.4", "1.2", priority="HIGH"),
    ]
    said = ups(worklist).deliver(parcel())
    assert said.startswith("3 workitems have priority HIGH; before: ")
    assert [one.priority for one in worklist.workitems] == ["HIGH", "LOW", "HIGH", "HIGH"]
    assert worklist.updates == [("2.25.1", "HIGH"), ("2.25.3", "HIGH")]
    again = given(parcel(), said)
    more = ups(worklist).deliver(again)
    assert (more, len(worklist.updates)) == ("3 workitems have priority HIGH", 2)
    back = given(again, more, answer=ABSENT, priority=ROUTINE)
    told = ups(worklist).deliver(back)
    assert [one.priority for one in worklist.workitems] == ["LOW", "LOW", "MEDIUM", "HIGH"]
    assert "1 workitems have priority LOW again, 1 workitems have priority MEDIUM again" in told
    assert "1 workitems keep their priority, which the appliance did not raise" in told
    # What a person raises after that is not the appliance's to lower.
    worklist.workitems[0].priority = "HIGH"
    ups(worklist).deliver(given(back, told, answer=ABSENT, priority=ROUTINE))
    assert worklist.workitems[0].priority == "HIGH"


def test_an_answer_without_hemorrhage_lowers_nothing_that_the_appliance_did_not_raise(worklist: Worklist) -> None:
    worklist.workitems = [Workitem("2.25.1", "1.2", priority="HIGH"), Workitem("2.25.2", "1.2", priority="LOW")]
    said = ups(worklist).deliver(parcel(answer=ABSENT, priority=ROUTINE))
    assert said == "2 workitems keep their priority, which the appliance did not raise"
    assert worklist.updates == []


def test_a_priority_that_somebody_changed_after_the_appliance_stays(worklist: Worklist) -> None:
    worklist.workitems = [Workitem("2.25.1", "1.2", priority="LOW")]
    said = ups(worklist).deliver(parcel())
    worklist.workitems[0].priority = "MEDIUM"
    ups(worklist).deliver(given(parcel(), said, answer=ABSENT, priority=ROUTINE))
    assert worklist.workitems[0].priority == "MEDIUM"


def test_an_answer_about_another_series_lowers_nothing_while_a_hemorrhage_stands(worklist: Worklist) -> None:
    worklist.workitems = [Workitem("2.25.1", "1.2", priority="LOW")]
    said = ups(worklist).deliver(parcel())
    beside = (job(id=6, priority=ROUTINE),)
    ups(worklist).deliver(given(parcel(), said, answer=ABSENT, priority=ROUTINE, beside=beside))
    assert worklist.workitems[0].priority == "HIGH"


def test_what_stood_there_is_known_though_the_service_was_killed_or_the_worklist_died_in_between(
    worklist: Worklist,
) -> None:
    worklist.workitems = [Workitem("2.25.1", "1.2"), Workitem("2.25.2", "1.2")]
    noted: list[str] = []
    ups(worklist).deliver(replace(parcel(), note=noted.append))
    said = ups(worklist).deliver(with_handle(parcel(), noted[-1]))
    ups(worklist).deliver(given(parcel(), said, answer=ABSENT, priority=ROUTINE))
    assert [one.priority for one in worklist.workitems] == ["LOW", "LOW"]
    worklist.before_update = lambda: setattr(worklist, "status", 503 if worklist.workitems[0].priority == "HIGH" else 0)
    with pytest.raises(UnfinishedError) as unfinished:
        ups(worklist).deliver(parcel())
    assert [one.priority for one in worklist.workitems] == ["HIGH", "LOW"]
    worklist.before_update, worklist.status = (lambda: None), 0
    said = ups(worklist).deliver(with_handle(parcel(), unfinished.value.handle))
    ups(worklist).deliver(given(parcel(), said, answer=ABSENT, priority=ROUTINE))
    assert [one.priority for one in worklist.workitems] == ["LOW", "LOW"]


@pytest.mark.parametrize("find_by", ["study", "accession"])
def test_a_worklist_that_ignores_what_is_searched_for_loses_no_other_patient_a_priority(
    worklist: Worklist, find_by: str
) -> None:
    worklist.ignores_keys = True
    worklist.workitems = [Workitem("2.25.1", "1.2", "ER-12"), Workitem("2.25.2", "9.9", "ER-13")]
    ups(worklist, find_by=find_by).deliver(parcel())
    assert worklist.updates == [("2.25.1", "HIGH")]
    with pytest.raises(AwayError, match="ignores by what workitems are searched for"):
        ups(worklist, find_by=find_by).test()
    worklist.workitems = worklist.workitems[1:]
    with pytest.raises(UnfinishedError, match="no workitem about the study yet"):
        ups(worklist, find_by=find_by).deliver(parcel())


def test_workitems_that_do_not_say_what_they_are_about_are_not_changed(worklist: Worklist) -> None:
    worklist.workitems, worklist.names_requests = [Workitem("2.25.1", "1.2")], False
    with pytest.raises(RejectedError, match="does not say about which study"):
        ups(worklist).deliver(parcel())
    assert worklist.updates == []


@pytest.mark.parametrize("state", ["IN PROGRESS", "CANCELED"])
def test_a_workitem_that_is_claimed_between_search_and_update_is_no_fault(worklist: Worklist, state: str) -> None:
    worklist.workitems = [Workitem("2.25.1", "1.2")]
    worklist.before_update = lambda: setattr(worklist.workitems[0], "state", state)
    assert ups(worklist).deliver(parcel()) == (
        "0 workitems have priority HIGH; 1 are no longer scheduled and were left alone"
    )


def test_the_lease_is_renewed_before_each_update(worklist: Worklist) -> None:
    worklist.workitems, renewed = [Workitem("2.25.1", "1.2"), Workitem("2.25.2", "1.2")], []
    ups(worklist).deliver(replace(parcel(), go_on=lambda: renewed.append(len(worklist.updates))))
    assert renewed == [0, 1]


def test_a_study_that_an_emergency_marks_stays_urgent_whatever_the_answer_says(worklist: Worklist) -> None:
    worklist.workitems = [Workitem("2.25.1", "1.2")]
    ups(worklist, urgent="HIGH", routine="LOW").deliver(parcel(answer=ABSENT, priority=URGENT))
    assert worklist.workitems[0].priority == "HIGH"


def test_a_workitem_that_somebody_reads_or_has_read_is_left_alone(worklist: Worklist) -> None:
    worklist.workitems = [
        Workitem("2.25.1", "1.2", state="IN PROGRESS", transaction="2.25.77"),
        Workitem("2.25.2", "1.2", state="COMPLETED"),
    ]
    said = ups(worklist).deliver(parcel())
    assert said == "0 workitems have priority HIGH; 2 are no longer scheduled and were left alone"
    assert worklist.updates == []


def test_a_worklist_that_takes_the_object_without_an_array_gets_it_so(worklist: Worklist) -> None:
    worklist.workitems, worklist.takes_arrays = [Workitem("2.25.1", "1.2")], False
    ups(worklist).deliver(parcel())
    assert worklist.updates == [("2.25.1", "HIGH")]


def test_workitems_are_found_by_accession_number_where_a_site_wants_it(worklist: Worklist) -> None:
    worklist.workitems = [Workitem("2.25.1", "of the RIS", accession="ER-12"), Workitem("2.25.2", "1.2")]
    ups(worklist, find_by="accession").deliver(parcel())
    assert worklist.updates == [("2.25.1", "HIGH")]
    with pytest.raises(RejectedError, match="no accession number"):
        ups(worklist, find_by="accession").deliver(parcel(header={}))


def test_a_workitem_that_is_not_there_yet_is_waited_for_from_the_first_search_and_others_pass(
    worklist: Worklist, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_900_000_000.0  # long after the answer: the worklist was away
    monkeypatch.setattr("appliance.delivery.destinations.ups.time", SimpleNamespace(time=lambda: now))
    with pytest.raises(UnfinishedError, match="no workitem about the study yet") as first:
        ups(worklist).deliver(parcel())
    assert 0 < len(first.value.handle) <= 120
    waits = with_handle(parcel(), first.value.handle)
    now += 299
    with pytest.raises(UnfinishedError) as second:
        ups(worklist).deliver(waits)
    assert second.value.handle == first.value.handle
    now += 2
    with pytest.raises(RejectedError, match="patience_s"):
        ups(worklist).deliver(waits)
    # Where a person lets it be tried once more, it is waited for anew.
    with pytest.raises(UnfinishedError):
        ups(worklist).deliver(replace(waits, delivery=replace(waits.delivery, created=now)))


@pytest.mark.parametrize(
    ("status", "error"), [(400, RejectedError), (401, AwayError), (500, UnfinishedError), (503, AwayError)]
)
def test_the_status_of_an_update_decides(worklist: Worklist, status: int, error: type[Exception]) -> None:
    worklist.workitems, worklist.status = [Workitem("2.25.1", "1.2")], status
    with pytest.raises(error):
        ups(worklist).deliver(parcel())


@pytest.mark.parametrize("status", [400, 401, 404, 500])
def test_a_worklist_that_takes_no_search_lets_all_wait(worklist: Worklist, status: int) -> None:
    worklist.search_status = status
    for ask in (ups(worklist).test, lambda: ups(worklist).deliver(parcel())):
        with pytest.raises(AwayError, match=f"answers HTTP {status} to a search"):
            ask()


def test_a_worklist_is_tested_by_a_search_with_its_user_and_one_that_is_away_lets_all_wait(
    worklist: Worklist, tmp_path: Path
) -> None:
    password = tmp_path / "password"
    password.write_text("pass word\n")
    there = ups(worklist, username="box", password_file=password)
    assert there.test() == "answers a search for workitems"
    assert worklist.authorization[0].startswith("Basic ")
    worklist.close()
    for ask in (there.test, lambda: there.deliver(parcel())):
        with pytest.raises(AwayError, match="does not answer"):
            ask()
