# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What follows an answer about a patient who has other scans: answers to look after, and studies fetched as priors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete, select, update

from appliance.ledger import tables
from appliance.ledger.audit import APPLIANCE, append
from appliance.ledger.columns import record_of, values_of
from appliance.ledger.database import Database
from appliance.ledger.job_rows import insert_job
from appliance.ledger.records import AuditEvent, Job, NewJob, RetrievedStudy
from appliance.ledger.rows import insert_unless_there
from appliance.ledger.states import OPEN, JobState, StudyState


class Priors:
    """Answers whose patient's other scans are still to be looked for, and studies that were fetched."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def to_follow_up(self, limit: int) -> list[Job]:
        """Return answers that stand and have not been followed up, oldest first."""
        jobs = tables.jobs
        with self._database.reading() as connection:
            rows = connection.execute(
                select(jobs)
                .where(jobs.c.followed_up.is_(False), jobs.c.state == JobState.DONE)
                .order_by(jobs.c.id)
                .limit(limit)
            )
            return [record_of(Job, row) for row in rows]

    def note_followed_up(self, job: int) -> None:
        """Record that an answer was followed up."""
        with self._database.writing() as connection:
            connection.execute(update(tables.jobs).where(tables.jobs.c.id == job).values(followed_up=True))

    def note_change(self, job: Job, change: Mapping[str, Any]) -> None:
        """Record a comparison that was made after an answer was given; its report does not hold it."""
        with self._database.writing() as connection:
            connection.execute(update(tables.jobs).where(tables.jobs.c.id == job.id).values(change=dict(change)))

    def answer_again(self, job: Job) -> int | None:
        """Queue the answer about a study once more, behind all studies that arrive; return the new job.

        None if that is not needed: the answer no longer stands, another job of the study is open, or the study is
        receiving and will be answered anyway.
        """
        jobs, studies = tables.jobs, tables.studies
        now = self._database.clock()
        with self._database.writing() as connection:
            state = connection.execute(
                select(studies.c.state).where(studies.c.orthanc_id == job.orthanc_study).with_for_update()
            ).scalar_one_or_none()
            stands = connection.execute(
                select(jobs.c.id).where(jobs.c.id == job.id, jobs.c.state == JobState.DONE)
            ).first()
            is_open = connection.execute(
                select(jobs.c.id).where(
                    jobs.c.orthanc_study == job.orthanc_study, jobs.c.orthanc_series == "", jobs.c.state.in_(OPEN)
                )
            ).first()
            if state is not StudyState.DECIDED or stands is None or is_open is not None:
                return None
            new = NewJob(job.instance_set, job.chosen_set, job.left_out, priority=job.priority)
            return insert_job(connection, job.orthanc_study, job.study_uid, new, now, job.last_instance_at, live=False)

    def note_retrieval(self, study_uid: str, job: Job) -> bool:
        """Record that a study is about to be fetched as the prior of a job; False if it was before.

        Intake then takes it for a prior when it arrives.
        """
        now = self._database.clock()
        with self._database.writing() as connection:
            new = insert_unless_there(connection, tables.retrieved, values_of(RetrievedStudy(study_uid, job.id, now)))
            if new:
                append(connection, now, AuditEvent.RETRIEVED, APPLIANCE, study_uid, job=job.id)
            return new

    def forget_retrieval(self, study_uid: str) -> None:
        """Take back that a study is being fetched: it was not sent, and may be asked for again."""
        with self._database.writing() as connection:
            connection.execute(delete(tables.retrieved).where(tables.retrieved.c.study_uid == study_uid))
