# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The jobs: one answer each, from its decision to its end, with the result objects that it stores."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Connection, func, insert, or_, select, true, update

from appliance.errors import ApplianceError, Refusal, refusals_json
from appliance.ledger import tables
from appliance.ledger.audit import APPLIANCE, append
from appliance.ledger.columns import record_of, values_of
from appliance.ledger.database import Database
from appliance.ledger.records import AuditEvent, FollowedStudy, Job, KnownSeries, NewJob, Origin, ResultObject
from appliance.ledger.series import put_series
from appliance.ledger.states import OPEN, JobEvent, JobState, StudyState, job_after, states_that

_MAY_BE_CLAIMED = or_(tables.studies.c.state != StudyState.RECEIVING, tables.jobs.c.orthanc_series != "")
"""A study that is receiving again is left until it is quiet, unless a person asked for the answer."""


class LostJobError(ApplianceError):
    """The job is no longer this worker's: its lease ran out and another took it up, or the study was tried again."""


class Jobs:
    """The jobs of all studies."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def request(
        self, study: str, study_uid: str, new: NewJob, most: int | None = None, who: str = APPLIANCE
    ) -> int | None:
        """Queue the answer about one series that `who` asks for; return the job.

        One that is already on its way for the same series is returned instead of a second one. None, and nothing is
        queued, when `most` requested answers are on their way.
        """
        now = self._database.clock()
        with self._database.writing() as connection:
            row = connection.execute(
                select(tables.studies.c.state).where(tables.studies.c.orthanc_id == study).with_for_update()
            ).one_or_none()
            if row is None:
                asked = FollowedStudy(study, study_uid, StudyState.DECIDED, now, now, now, live=False)
                connection.execute(insert(tables.studies).values(values_of(asked)))
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
        """Give the next job to `owner`; None when there is none whose time has come.

        Studies that were seen as they came go first, then what a person asked for, then older ones; among their like
        those of the higher priority, then the one whose last instance came first, those that broke the pipeline last. A
        study that is receiving again is left until it is quiet.
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
        """Return when the next waiting job that `claim` would give has its time; None when none waits."""
        jobs, studies = tables.jobs, tables.studies
        with self._database.reading() as connection:
            at = connection.execute(
                select(func.min(jobs.c.next_try))
                .join(studies, studies.c.orthanc_id == jobs.c.orthanc_study)
                .where(jobs.c.state == JobState.WAITING, _MAY_BE_CLAIMED)
            ).scalar()
            return None if at is None else float(at)

    def hurry(self) -> None:
        """Make every waiting job due now: a neighbour that was away is back."""
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

        `unreported` takes back the kill that was noted in this try: it could not be told of, and is to be seen again.
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
        """Count a process that the job's study has killed, while the job stays this worker's."""
        jobs = tables.jobs
        with self._database.writing() as connection:
            row = connection.execute(select(jobs.c.owner, jobs.c.tries).where(jobs.c.id == job.id).with_for_update())
            _require_token(row.one(), job)
            connection.execute(update(jobs).where(jobs.c.id == job.id).values(kills=jobs.c.kills + 1, error=why))

    def refuse(
        self,
        job: Job,
        refusals: Iterable[Refusal],
        timing_ms: dict[str, float],
        sr_class_uid: str = "",
        sr_uid: str = "",
    ) -> None:
        """Record that a job was not read, and why; with the report that says so, which supersedes older such ones."""
        reasons = refusals_json(refusals)
        with self._database.writing() as connection:
            self._move(
                connection,
                job.id,
                JobEvent.REFUSE,
                job,
                refusals=reasons,
                timing_ms=timing_ms,
                error="",
                sr_class_uid=sr_class_uid,
                sr_uid=sr_uid,
            )
            superseded: list[int] = []
            if sr_uid:
                jobs = tables.jobs
                older = connection.execute(
                    select(jobs.c.id)
                    .where(
                        jobs.c.orthanc_study == job.orthanc_study,
                        jobs.c.id != job.id,
                        jobs.c.state == JobState.REFUSED,
                        jobs.c.sr_uid.not_in(("", sr_uid)),
                    )
                    .with_for_update()
                ).all()
                superseded = [row.id for row in older]
                for identifier in superseded:
                    self._move(connection, identifier, JobEvent.SUPERSEDE)
            append_refusal(connection, self._database.clock(), job.id, job.study_uid, reasons)
            if sr_uid:
                self._append_sent(connection, job, superseded, only=sr_uid)

    def confirm(self, job: Job) -> None:
        """Raise `LostJobError` unless the job is still this worker's, before something is done outside the ledger."""
        with self._database.reading() as connection:
            row = connection.execute(
                select(tables.jobs.c.owner, tables.jobs.c.tries).where(tables.jobs.c.id == job.id)
            ).one()
        _require_token(row, job)

    def deliver(
        self,
        job: Job,
        results: Sequence[ResultObject],
        answer: dict[str, Any],
        refusals: Iterable[Refusal],
        answered_set: str,
        answered_series: str,
    ) -> None:
        """Record the answer and what will be stored, before it is: so that intake knows our own results when they come.

        A job that is delivered again (its service was killed in between) has the same results.
        """
        with self._database.writing() as connection:
            self._move(
                connection,
                job.id,
                JobEvent.DELIVER,
                job,
                answer=answer,
                refusals=refusals_json(refusals),
                answered_set=answered_set,
                answered_series=answered_series,
                error="",
            )
            there = {
                row.orthanc_instance
                for row in connection.execute(
                    select(tables.results.c.orthanc_instance).where(tables.results.c.job == job.id)
                )
            }
            for result in results:
                if result.orthanc_instance not in there:
                    connection.execute(insert(tables.results).values(job=job.id, **values_of(result)))
            for series in {result.orthanc_series for result in results}:
                put_series(connection, KnownSeries(series, job.orthanc_study, Origin.OWN, 0))

    def finish(
        self, job: Job, sr_class_uid: str, sr_uid: str, timing_ms: dict[str, float], turnaround_s: float | None
    ) -> list[int]:
        """Record that all results are stored; return the older jobs that this answer supersedes.

        See `Job.gives_way_to`.
        """
        jobs = tables.jobs
        with self._database.writing() as connection:
            self._move(
                connection,
                job.id,
                JobEvent.FINISH,
                job,
                sr_class_uid=sr_class_uid,
                sr_uid=sr_uid,
                timing_ms=timing_ms,
                turnaround_s=turnaround_s,
            )
            read = connection.execute(select(jobs.c.answered_series).where(jobs.c.id == job.id)).scalar_one()
            others = connection.execute(
                select(jobs)
                .where(
                    jobs.c.orthanc_study == job.orthanc_study,
                    jobs.c.id != job.id,
                    jobs.c.state.in_((JobState.DONE, JobState.REFUSED)),
                    jobs.c.sr_uid.not_in(("", sr_uid)),
                )
                .with_for_update()
            ).all()
            older = [row.id for row in others if record_of(Job, row).gives_way_to(job, read)]
            for identifier in older:
                self._move(connection, identifier, JobEvent.SUPERSEDE)
            self._append_answer(connection, job, sr_uid, older)
            return older

    def _append_answer(self, connection: Connection, job: Job, sr_uid: str, superseded: Sequence[int]) -> None:
        """Tell the audit trail of an answer that is stored: what it says, what it was made by, what went to Orthanc."""
        answer = connection.execute(select(tables.jobs.c.answer).where(tables.jobs.c.id == job.id)).scalar_one()
        told = _decision(answer)
        now = self._database.clock()
        append(connection, now, AuditEvent.DECIDED, APPLIANCE, job.study_uid, job=job.id, sr_uid=sr_uid, **told)
        self._append_sent(connection, job, superseded)

    def _append_sent(self, connection: Connection, job: Job, superseded: Sequence[int], only: str = "") -> None:
        """Tell the audit trail which objects of a job went to Orthanc, `only` one if it is named, and what gave way."""
        now, told = self._database.clock(), (APPLIANCE, job.study_uid)
        stored = connection.execute(
            select(tables.results.c.kind, tables.results.c.sop_instance_uid).where(tables.results.c.job == job.id)
        ).all()
        objects = [
            {"kind": row.kind, "uid": row.sop_instance_uid} for row in stored if only in ("", row.sop_instance_uid)
        ]
        append(connection, now, AuditEvent.SENT, *told, job=job.id, to="Orthanc", objects=objects)
        for identifier in superseded:
            append(connection, now, AuditEvent.SUPERSEDED, *told, job=identifier, by=job.id)

    def renew(self, held: Iterable[Job], lease_s: float) -> None:
        """Renew the leases of the jobs that workers are at; one that was lost meanwhile stays lost."""
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
        """Queue again the jobs that were left in the middle, and return them.

        Those are jobs of `owner` (`IDENTITY/SESSION`) that none of its workers holds, those of an earlier session of
        the same service, which has ended, and those of others whose lease ran out. A job of the last two kinds was left
        by a service that ended, which says nothing about its study: it is counted among the job's `deaths`.
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

    def of_study(self, study: str) -> list[Job]:
        """Return the jobs of a study, oldest first."""
        with self._database.reading() as connection:
            rows = connection.execute(
                select(tables.jobs).where(tables.jobs.c.orthanc_study == study).order_by(tables.jobs.c.id)
            )
            return [record_of(Job, row) for row in rows]

    def standing(self, before: int | None, limit: int) -> list[Job]:
        """Return the newest jobs with a report that stands, of studies that nothing new comes of; newest first.

        `before` is the number of a job: of those that are older than it. What a person asked for is not among them.
        """
        jobs, studies = tables.jobs, tables.studies
        with self._database.reading() as connection:
            rows = connection.execute(
                select(jobs)
                .join(studies, studies.c.orthanc_id == jobs.c.orthanc_study)
                .where(
                    jobs.c.state.in_((JobState.DONE, JobState.REFUSED)),
                    jobs.c.sr_uid != "",
                    jobs.c.orthanc_series == "",
                    studies.c.state == StudyState.DECIDED,
                    jobs.c.id < before if before is not None else true(),
                )
                .order_by(jobs.c.id.desc())
                .limit(limit)
            ).all()
        return [record_of(Job, row) for row in rows]

    def results(self, job: int) -> list[ResultObject]:
        """Return the result objects of a job."""
        with self._database.reading() as connection:
            rows = connection.execute(select(tables.results).where(tables.results.c.job == job))
            return [record_of(ResultObject, row) for row in rows]

    def leftovers(self, job: Job) -> list[ResultObject]:
        """Return results that no answer stands for: of earlier tries of `job`, and of jobs of its study withdrawn.

        They may have been stored before their job was postponed. What another job of the study has delivered, or is
        delivering, is not among them; what this try of `job` delivers is.
        """
        results, jobs = tables.results, tables.jobs
        with self._database.reading() as connection:
            rows = connection.execute(
                select(results, jobs.c.state)
                .join(jobs, jobs.c.id == results.c.job)
                .where(jobs.c.orthanc_study == job.orthanc_study)
            ).all()
        left = [row for row in rows if row.job == job.id or row.state == JobState.WITHDRAWN]
        standing = {row.orthanc_instance for row in rows if row not in left}
        return [record_of(ResultObject, row) for row in left if row.orthanc_instance not in standing]

    def _move(self, connection: Connection, job: int, event: JobEvent, by: Job | None = None, **values: Any) -> None:
        move_job(connection, job, event, self._database.clock(), by, **values)


_DECIDED_BY: Final = ("present", "probability", "threshold", "extend_score", "model")


def _decision(answer: dict[str, Any]) -> dict[str, Any]:
    """Return what the audit trail keeps of an answer: nothing that a scanner or a person wrote as text."""
    told = {name: answer.get(name) for name in _DECIDED_BY}
    told["lesions"] = [
        {name: lesion.get(name) for name in ("type", "volume_ml", "confidence")} for lesion in answer.get("lesions", ())
    ]
    told["flaws"] = [flaw["code"] for flaw in answer.get("flaws", ())]
    covered = answer.get("coverage") or {}
    told["slices"] = {name: covered.get(name) for name in ("slices_read", "slices_there", "partial")}
    told["series_uid"] = (answer.get("series") or {}).get("uid")
    return told


def append_refusal(
    connection: Connection, now: float, job: int, study_uid: str, refusals: Iterable[dict[str, Any]]
) -> None:
    """Tell the audit trail that a study was not read, by the codes of the reasons."""
    reasons = [{"code": refusal["code"], "series_uid": refusal["series_uid"]} for refusal in refusals]
    append(connection, now, AuditEvent.REFUSED, APPLIANCE, study_uid, job=job, refusals=reasons)


def insert_job(
    connection: Connection, study: str, study_uid: str, new: NewJob, now: float, last_instance_at: float, live: bool
) -> int:
    """Queue a new job and return its number."""
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
                live=live,
                instance_set=new.instance_set,
                chosen_set=new.chosen_set,
                left_out=new.left_out,
                priority=new.priority,
                deaths=new.deaths,
            )
            .returning(tables.jobs.c.id)
        ).scalar_one()
    )


def move_job(
    connection: Connection, job: int, event: JobEvent, now: float, by: Job | None = None, **values: Any
) -> None:
    """Record that `event` happened to a job, with what else changes about it.

    Raises `LostJobError` when it is to happen `by` a worker (the job as it claimed it) that no longer has the job, and
    `InvalidTransitionError` when the job's state does not allow it.
    """
    row = connection.execute(
        select(tables.jobs.c.state, tables.jobs.c.owner, tables.jobs.c.tries)
        .where(tables.jobs.c.id == job)
        .with_for_update()
    ).one()
    if by is not None:
        _require_token(row, by)
    connection.execute(
        update(tables.jobs)
        .where(tables.jobs.c.id == job)
        .values(state=job_after(row.state, event), since=now, **values)
    )


def _require_token(row: Any, job: Job) -> None:
    """Raise `LostJobError` unless the row of a job has the owner and the try of `job`."""
    if (row.owner, row.tries) != (job.owner, job.tries):
        raise LostJobError(f"job {job.id} was taken up by another worker, or tried again")
