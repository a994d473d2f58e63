# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The queue of jobs: who works on which, which comes next, and which waits."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import Connection, func, or_, select, update

from appliance.ledger import tables
from appliance.ledger.audit import APPLIANCE, append
from appliance.ledger.columns import record_of, values_of
from appliance.ledger.database import Database
from appliance.ledger.job_rows import insert_job, move_job, require_token
from appliance.ledger.records import AuditEvent, FollowedStudy, Job, NewJob
from appliance.ledger.rows import insert_unless_there
from appliance.ledger.states import OPEN, JobEvent, JobState, StudyState, states_that

_MAY_BE_CLAIMED = or_(tables.studies.c.state != StudyState.RECEIVING, tables.jobs.c.orthanc_series != "")
"""A study that is receiving again waits until it is quiet, unless a person asked for the answer."""


class Queue:
    """The jobs that are open: queued, waiting, or in the hands of a worker."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def request(
        self, study: str, study_uid: str, new: NewJob, most: int | None = None, who: str = APPLIANCE
    ) -> int | None:
        """Queue the answer about one series that `who` asks for; return the job.

        If a job for the same series is open already, return that one. If `most` requested jobs are open, queue nothing
        and return None.
        """
        now = self._database.clock()
        with self._database.writing() as connection:
            row = connection.execute(
                select(tables.studies.c.state).where(tables.studies.c.orthanc_id == study).with_for_update()
            ).one_or_none()
            if row is None:
                asked = FollowedStudy(study, study_uid, StudyState.DECIDED, now, now, now, live=False)
                insert_unless_there(connection, tables.studies, values_of(asked))
            going = connection.execute(
                select(tables.jobs.c.id).where(
                    tables.jobs.c.orthanc_series == new.series, tables.jobs.c.state.in_(OPEN)
                )
            ).first()
            if going is not None:
                append(connection, now, AuditEvent.ASKED, who, study_uid, series=new.series, job=int(going.id))
                return int(going.id)
            if most is not None:
                asked_for = connection.execute(
                    select(func.count()).where(tables.jobs.c.orthanc_series != "", tables.jobs.c.state.in_(OPEN))
                ).scalar_one()
                if asked_for >= most:
                    return None
            job = insert_job(connection, study, study_uid, new, now, now, live=False)
            append(connection, now, AuditEvent.ASKED, who, study_uid, series=new.series, job=job)
            return job

    def claim(self, owner: str, lease_s: float) -> Job | None:
        """Give the next job to `owner`; None when none is due.

        Live studies go first, then answers that a person asked for, then older studies. Within each group the higher
        priority goes first, then jobs that broke the pipeline least often, then the one whose last instance came first.
        A study that is receiving again waits until it is quiet.
        """
        now = self._database.clock()
        jobs, studies = tables.jobs, tables.studies
        with self._database.writing() as connection:
            row = connection.execute(
                select(jobs.c.id)
                .join(studies, studies.c.orthanc_id == jobs.c.orthanc_study)
                .where(jobs.c.state.in_(states_that(JobEvent.CLAIM)), jobs.c.next_try <= now, _MAY_BE_CLAIMED)
                .order_by(
                    jobs.c.live.desc(),
                    (jobs.c.orthanc_series != "").desc(),
                    jobs.c.priority.desc(),
                    jobs.c.crashes,
                    jobs.c.last_instance_at,
                    jobs.c.id,
                )
                .limit(1)
                .with_for_update(of=jobs, skip_locked=True)
            ).first()
            if row is None:
                return None
            self._move(
                connection,
                row.id,
                JobEvent.CLAIM,
                owner=owner,
                lease_until=now + lease_s,
                tries=jobs.c.tries + 1,
            )
            return record_of(Job, connection.execute(select(jobs).where(jobs.c.id == row.id)).one())

    def next_try(self) -> float | None:
        """Return when the next waiting job that `claim` would give is due; None when none waits."""
        jobs, studies = tables.jobs, tables.studies
        with self._database.reading() as connection:
            at = connection.execute(
                select(func.min(jobs.c.next_try))
                .join(studies, studies.c.orthanc_id == jobs.c.orthanc_study)
                .where(jobs.c.state == JobState.WAITING, _MAY_BE_CLAIMED)
            ).scalar()
            return None if at is None else float(at)

    def hurry(self) -> None:
        """Make every waiting job due now, because a neighbour that was away is back."""
        with self._database.writing() as connection:
            connection.execute(
                update(tables.jobs)
                .where(tables.jobs.c.state == JobState.WAITING, tables.jobs.c.crashes == 0)
                .values(next_try=0.0)
            )

    def postpone(
        self,
        job: Job,
        why: str,
        next_try: float,
        crashed: bool = False,
        killed: bool = False,
        unreported: bool = False,
    ) -> None:
        """Make a job wait until `next_try`; `crashed` and `killed` count towards setting it aside.

        `unreported` takes back the kill noted in this try: it could not be reported, and has to be seen again.
        """
        with self._database.writing() as connection:
            self._move(
                connection,
                job.id,
                JobEvent.POSTPONE,
                job,
                error=why,
                next_try=next_try,
                crashes=tables.jobs.c.crashes + int(crashed),
                kills=tables.jobs.c.kills + int(killed) - int(unreported),
            )

    def note_kill(self, job: Job, why: str) -> None:
        """Count a process that the job's study has killed; the worker keeps the job."""
        self._note(job, kills=tables.jobs.c.kills + 1, error=why)

    def note_trial(self, job: Job) -> None:
        """Record that a process which did nothing but read the job's images lived; the worker keeps the job."""
        self._note(job, deaths_at_trial=job.deaths)

    def _note(self, job: Job, **values: Any) -> None:
        jobs = tables.jobs
        with self._database.writing() as connection:
            row = connection.execute(select(jobs.c.owner, jobs.c.tries).where(jobs.c.id == job.id).with_for_update())
            require_token(row.one(), job)
            connection.execute(update(jobs).where(jobs.c.id == job.id).values(**values))

    def renew(self, held: Iterable[Job], lease_s: float) -> None:
        """Renew the leases of the jobs that workers hold; a job lost meanwhile stays lost."""
        jobs = tables.jobs
        with self._database.writing() as connection:
            for job in held:
                connection.execute(
                    update(jobs)
                    .where(
                        jobs.c.id == job.id,
                        jobs.c.owner == job.owner,
                        jobs.c.tries == job.tries,
                        jobs.c.state.in_(states_that(JobEvent.INTERRUPT)),
                    )
                    .values(lease_until=self._database.clock() + lease_s)
                )

    def take_up(self, owner: str, held: Collection[int]) -> list[Job]:
        """Queue unfinished jobs again that no worker holds, and return them.

        These are jobs of `owner` (`IDENTITY/SESSION`) that none of its workers holds, jobs of an earlier session of the
        same service, which has ended, and jobs of others whose lease ran out. In the last two cases a service ended,
        which says nothing about the study; it is counted in the job's `deaths`.
        """
        jobs = tables.jobs
        earlier = f"{owner.partition('/')[0]}/"
        with self._database.writing() as connection:
            left = [
                row
                for row in connection.execute(
                    select(jobs)
                    .where(
                        jobs.c.state.in_(states_that(JobEvent.INTERRUPT)),
                        or_(
                            jobs.c.lease_until < self._database.clock(),
                            jobs.c.owner == owner,
                            jobs.c.owner.startswith(earlier, autoescape=True),
                        ),
                    )
                    .with_for_update(skip_locked=True)
                )
                if not (row.owner == owner and row.id in held)
            ]
            for row in left:
                deaths = row.deaths + int(row.owner != owner)
                self._move(connection, row.id, JobEvent.INTERRUPT, owner="", deaths=deaths, next_try=0.0)
            return [record_of(Job, row) for row in left]

    def _move(self, connection: Connection, job: int, event: JobEvent, by: Job | None = None, **values: Any) -> None:
        move_job(connection, job, event, self._database.clock(), by, **values)
