# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The row of a job: inserted, and moved from state to state, in the caller's transaction."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, insert, select, update

from appliance.errors import ApplianceError
from appliance.ledger import tables
from appliance.ledger.board_rows import STANDING, place_study
from appliance.ledger.records import OLD, Job, NewJob
from appliance.ledger.states import JobEvent, JobState, job_after


class LostJobError(ApplianceError):
    """The job is no longer this worker's: its lease ran out and another took it up, or the study was tried again."""


def insert_job(
    connection: Connection, study: str, study_uid: str, new: NewJob, now: float, last_instance_at: float, live: bool
) -> int:
    """Queue a new job and return its number.

    The study of one that was fetched from the PACS as a prior is read after all others, unless a person asks for it.
    """
    was_retrieved = select(tables.retrieved.c.study_uid).where(tables.retrieved.c.study_uid == study_uid)
    retrieved = not new.series and connection.execute(was_retrieved).first() is not None
    return int(
        connection.execute(
            insert(tables.jobs)
            .values(
                orthanc_study=study,
                study_uid=study_uid,
                orthanc_series=new.series,
                state=JobState.QUEUED,
                since=now,
                created=now,
                last_instance_at=last_instance_at,
                live=live and not retrieved,
                instance_set=new.instance_set,
                chosen_set=new.chosen_set,
                left_out=new.left_out,
                priority=OLD if retrieved else new.priority,
                retrieved=retrieved,
                deaths=new.deaths,
            )
            .returning(tables.jobs.c.id)
        ).scalar_one()
    )


def move_job(
    connection: Connection, job: int, event: JobEvent, now: float, by: Job | None = None, **values: Any
) -> None:
    """Record that `event` happened to a job, together with its other changes and its study's place on the board.

    `by` is the job as a worker claimed it. Raises `LostJobError` when that worker no longer has the job, and
    `InvalidTransitionError` when the job's state does not allow the event.
    """
    row = connection.execute(
        select(tables.jobs.c.state, tables.jobs.c.owner, tables.jobs.c.tries, tables.jobs.c.orthanc_study)
        .where(tables.jobs.c.id == job)
        .with_for_update()
    ).one()
    if by is not None:
        require_token(row, by)
    after = job_after(row.state, event)
    connection.execute(update(tables.jobs).where(tables.jobs.c.id == job).values(state=after, since=now, **values))
    if row.state in STANDING or after in STANDING:
        place_study(connection, row.orthanc_study)


def require_token(row: Any, job: Job) -> None:
    """Raise `LostJobError` unless the row of a job has the owner and the try of `job`."""
    if (row.owner, row.tries) != (job.owner, job.tries):
        raise LostJobError(f"job {job.id} was taken up by another worker, or tried again")
