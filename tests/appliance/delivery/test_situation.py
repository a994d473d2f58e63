# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What is gathered about an answer of which others of the same study stand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from appliance.delivery.situation import situation
from appliance.ledger.records import ROUTINE, Job
from appliance.ledger.states import JobState
from tests.appliance.delivery.jobs import job


def gathered(about: Job, jobs: list[Job], held: set[str]) -> list[int]:
    """Return which jobs stand beside one, where Orthanc holds these instances; each job's report is `sr-ID`."""
    series = SimpleNamespace(id="series", uid="1.2.3", instances=("image",), modality="CT")
    orthanc: Any = SimpleNamespace(
        study=lambda _study: SimpleNamespace(series=("series",)),
        series=lambda _series: series,
        header=lambda _instance: {},
        instance_metadata=lambda _instance: {},
        holds_instance=lambda instance: instance in held,
    )
    ledger: Any = SimpleNamespace(
        series=SimpleNamespace(find_known=lambda _series: {}),
        jobs=SimpleNamespace(
            of_study=lambda _study: jobs,
            results=lambda number: [SimpleNamespace(sop_instance_uid=f"1.{number}", orthanc_instance=f"sr-{number}")],
        ),
    )
    return [one.id for one in situation(about, orthanc, ledger, None).beside]


def test_answers_that_stand_and_are_held_are_beside_one_and_superseded_ones_are_not() -> None:
    jobs = [
        job(id=1, sr_uid="1.1", priority=ROUTINE),
        job(id=2, sr_uid="1.2", state=JobState.SUPERSEDED),
        job(id=3, sr_uid="1.3", orthanc_series="bone"),
        job(id=4, sr_uid="1.4"),
        job(id=5, sr_uid="", state=JobState.REFUSED, answer={}),
    ]
    assert gathered(jobs[2], jobs, {"sr-1", "sr-2", "sr-3"}) == [1]
