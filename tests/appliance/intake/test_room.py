# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A full queue postpones studies and drops none; what is let in first is what the queue itself would give first."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from pydicom.uid import generate_uid

from appliance.health import Health
from appliance.ledger.records import Job
from appliance.ledger.states import OPEN, JobState
from appliance.settings import Settings
from appliance.web.status import status_document
from tests.appliance.intake.desk import Desk
from tests.appliance.stand_in import head_series


@pytest.fixture
def narrow(settings: Settings, tmp_path: Path) -> Iterator[Desk]:
    """An intake whose queue has room for two answers."""
    intake = settings.intake.model_copy(update={"queue_most": 2})
    desk = Desk(settings.model_copy(update={"intake": intake}), tmp_path / "ledger.sqlite")
    desk.take_in()
    yield desk
    desk.close()


def send(desk: Desk, study: str, **attributes: str) -> None:
    """Send a series of a study, a new one each time."""
    today = datetime.fromtimestamp(desk.clock.now, UTC).strftime("%Y%m%d")
    told = {"StudyDate": today, "AcquisitionDate": today, "AcquisitionDateTime": today} | attributes
    desk.send(*head_series(study, **told))  # type: ignore[arg-type]


def queued(desk: Desk) -> list[Job]:
    return [job for one in desk.ledger.views.newest_studies(100) for job in one.jobs if job.state in OPEN]


def answer_next(desk: Desk) -> str:
    """End the next job, as a worker does, and let intake see what comes of it; return its study."""
    job = desk.ledger.queue.claim("tester", 60)
    assert job is not None
    desk.ledger.jobs.refuse(job, [], {})
    desk.take_in()
    return job.study_uid


def test_a_study_that_finds_the_queue_full_waits_and_is_answered_when_there_is_room(narrow: Desk) -> None:
    studies = [str(generate_uid()) for _ in range(5)]
    for study in studies:
        send(narrow, study)
        narrow.quiet()
        assert len(queued(narrow)) <= 2
    assert "hemorrhage_studies_without_room 3.0" in generate_latest(narrow.metrics.registry).decode()
    answered = []
    for left in (2, 2, 2, 2, 1):
        assert len(queued(narrow)) == left
        answered.append(answer_next(narrow))
    assert answered == studies
    assert narrow.ledger.queue.claim("tester", 60) is None
    assert "hemorrhage_studies_without_room 0.0" in generate_latest(narrow.metrics.registry).decode()


def test_an_emergency_is_let_in_before_those_that_waited_longer(narrow: Desk) -> None:
    first, second, third, emergency = (str(generate_uid()) for _ in range(4))
    for study in (first, second, third):
        send(narrow, study)
        narrow.quiet()
    send(narrow, emergency, StudyDescription="CT head STAT")
    narrow.quiet()
    assert [answer_next(narrow) for _ in range(4)] == [first, emergency, second, third]


def test_people_are_told_why_it_waits_until_it_grows_or_is_queued(narrow: Desk) -> None:
    studies = [str(generate_uid()) for _ in range(3)]
    for study in studies[:2]:
        send(narrow, study)
    narrow.quiet()
    send(narrow, studies[2])
    narrow.quiet()

    def told() -> dict[str, str]:
        document = status_document(narrow.ledger, Health({}, lambda: None), None, 10)
        return next(one for one in document["studies"] if one["study_uid"] == studies[2])

    assert told()["state"] == "receiving"
    assert "queue is full (2 studies)" in told()["waiting_for"]
    send(narrow, studies[2])
    narrow.take_in()
    assert told()["waiting_for"] == ""
    narrow.quiet()
    assert "queue is full" in told()["waiting_for"]
    answer_next(narrow)
    assert told()["state"] == "queued"


def test_a_queued_study_that_grows_needs_no_further_room(narrow: Desk) -> None:
    """Both places are taken by studies that wait to be decided anew: neither could ever be read."""
    studies = [str(generate_uid()) for _ in range(2)]
    for study in studies:
        send(narrow, study)
    narrow.quiet()
    assert len(queued(narrow)) == 2
    for study in studies:
        send(narrow, study)
    narrow.quiet()
    assert [job.state for job in queued(narrow)] == [JobState.QUEUED] * 2
    assert {answer_next(narrow) for _ in studies} == set(studies)


def test_what_waits_for_room_is_found_again_by_the_next_life_of_the_service_and_blamed_for_nothing(
    narrow: Desk,
) -> None:
    studies = [str(generate_uid()) for _ in range(3)]
    for study in studies:
        send(narrow, study)
        narrow.quiet()
    narrow.start_again("desk/2")
    narrow.take_in()
    assert len(queued(narrow)) == 2
    assert {one.study.deaths for one in narrow.ledger.views.newest_studies(100)} == {0}
    assert [answer_next(narrow) for _ in studies] == studies
