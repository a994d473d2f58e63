# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What people and Prometheus look at: how many jobs and studies are in each state, and the newest studies."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, or_, select, true

from appliance.ledger import tables
from appliance.ledger.columns import record_of
from appliance.ledger.database import Database
from appliance.ledger.records import FollowedStudy, Job, StudyStatus
from appliance.ledger.states import JobState, StudyState


class Views:
    """Reads all tables and writes none."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def job_counts(self) -> dict[JobState, int]:
        """Return how many jobs are in each state."""
        with self._database.reading() as connection:
            rows = connection.execute(
                select(tables.jobs.c.state, func.count().label("jobs")).group_by(tables.jobs.c.state)
            )
            found = {row.state: int(row.jobs) for row in rows}
        return {state: found.get(state, 0) for state in JobState}

    def newest_answers(self, limit: int) -> list[tuple[float, dict[str, Any]]]:
        """Return the newest answers that stand, with when each was decided (Unix seconds), oldest first.

        What a person asked for is not among them, nor are priors that were fetched.
        """
        jobs = tables.jobs
        with self._database.reading() as connection:
            rows = connection.execute(
                select(jobs.c.created, jobs.c.answer)
                .where(jobs.c.state == JobState.DONE, jobs.c.orthanc_series == "", jobs.c.retrieved.is_(False))
                .order_by(jobs.c.id.desc())
                .limit(limit)
            ).all()
        return [(row.created, row.answer) for row in reversed(rows)]

    def longest_running_s(self) -> float:
        """Return how long the longest-running job has been in its state, s; 0 when none runs."""
        jobs = tables.jobs
        with self._database.reading() as connection:
            since = connection.execute(
                select(func.min(jobs.c.since)).where(jobs.c.state.in_((JobState.RUNNING, JobState.DELIVERING)))
            ).scalar()
        return 0.0 if since is None else max(0.0, self._database.clock() - since)

    def oldest_queued_s(self) -> float:
        """Return how long the oldest job that waits for a worker has waited, s; 0 when none does."""
        jobs = tables.jobs
        with self._database.reading() as connection:
            since = connection.execute(select(func.min(jobs.c.since)).where(jobs.c.state == JobState.QUEUED)).scalar()
        return 0.0 if since is None else max(0.0, self._database.clock() - since)

    def study_counts(self) -> dict[StudyState, int]:
        """Return how many studies are in each state of intake."""
        with self._database.reading() as connection:
            rows = connection.execute(
                select(tables.studies.c.state, func.count().label("studies")).group_by(tables.studies.c.state)
            )
            found = {row.state: int(row.studies) for row in rows}
        return {state: found.get(state, 0) for state in StudyState}

    def jobs_of(self, study: str) -> list[Job]:
        """Return the jobs of a study, by Orthanc's identifier or its Study Instance UID, oldest first."""
        jobs = tables.jobs
        with self._database.reading() as connection:
            rows = connection.execute(
                select(jobs).where(or_(jobs.c.orthanc_study == study, jobs.c.study_uid == study)).order_by(jobs.c.id)
            )
            return [record_of(Job, row) for row in rows]

    def newest_studies(self, limit: int, study: str = "") -> list[StudyStatus]:
        """Return the studies with the newest instances, newest first, with their jobs; only `study` when named."""
        with self._database.reading() as connection:
            studies = connection.execute(
                select(tables.studies)
                .where(tables.studies.c.orthanc_id == study if study else true())
                .order_by(tables.studies.c.last_instance_at.desc(), tables.studies.c.since.desc())
                .limit(limit)
            ).all()
            jobs: dict[str, list[Job]] = {row.orthanc_id: [] for row in studies}
            for row in connection.execute(
                select(tables.jobs).where(tables.jobs.c.orthanc_study.in_(list(jobs))).order_by(tables.jobs.c.id)
            ):
                jobs[row.orthanc_study].append(record_of(Job, row))
        return [StudyStatus(record_of(FollowedStudy, row), tuple(jobs[row.orthanc_id])) for row in studies]
