# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The priority of workitems, set by UPS-RS in a worklist of our own that keeps the standard's states."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.delivery.destinations.destination import AwayError, NotTakenError, RejectedError
from appliance.delivery.destinations.ups import Ups
from appliance.ledger.records import ROUTINE, URGENT
from appliance.sections.delivery import destination_settings
from tests.appliance.delivery.destinations.worklist import Workitem, Worklist
from tests.appliance.delivery.parcels import parcel

ABSENT = {"present": False, "probability": 0.1, "lesions": []}


@pytest.fixture
def worklist() -> Iterator[Worklist]:
    opened = Worklist()
    opened.open()
    yield opened
    opened.close()


def ups(worklist: Worklist, **more: Any) -> Ups:
    settings: Any = destination_settings({"kind": "ups", "url": worklist.url, "timeout_s": 5, **more})
    return Ups(settings)


def test_every_workitem_of_the_study_that_waits_gets_the_priority_of_the_answer(worklist: Worklist) -> None:
    worklist.workitems = [Workitem("2.25.1", "1.2"), Workitem("2.25.2", "9.9"), Workitem("2.25.3", "1.2")]
    assert ups(worklist).deliver(parcel()) == "2 workitems have priority HIGH"
    assert [one.priority for one in worklist.workitems] == ["HIGH", "LOW", "HIGH"]
    # A later try changes nothing, and a newer answer without hemorrhage takes it back.
    ups(worklist).deliver(parcel())
    assert ups(worklist).deliver(parcel(answer=ABSENT, priority=ROUTINE)) == "2 workitems have priority MEDIUM"
    assert [one.priority for one in worklist.workitems] == ["MEDIUM", "LOW", "MEDIUM"]


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


def test_a_workitem_that_ends_between_search_and_update_is_no_fault(worklist: Worklist) -> None:
    worklist.workitems = [Workitem("2.25.1", "1.2")]
    worklist.before_update = lambda: setattr(worklist.workitems[0], "state", "CANCELED")
    assert "left alone" in ups(worklist).deliver(parcel())


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


def test_a_workitem_that_is_not_there_yet_is_waited_for_and_not_forever(worklist: Worklist) -> None:
    with pytest.raises(NotTakenError, match="no workitem about the study yet"):
        ups(worklist).deliver(parcel(created=time.time()))
    with pytest.raises(RejectedError, match="patience_s"):
        ups(worklist).deliver(parcel(created=time.time() - 301))


@pytest.mark.parametrize(
    ("status", "error"), [(400, RejectedError), (401, AwayError), (500, NotTakenError), (503, AwayError)]
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
