# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The answers: one job each, with the result objects that it stores and the answers that it supersedes.

`queue` says who works on a job, and when.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Connection, insert, select, true

from appliance.errors import Refusal, refusals_json
from appliance.ledger import tables
from appliance.ledger.answer_entries import append_answer, append_refusal, append_sent
from appliance.ledger.columns import record_of, values_of
from appliance.ledger.database import Database
from appliance.ledger.job_rows import move_job, require_token
from appliance.ledger.news import ANSWERS, News
from appliance.ledger.records import Job, KnownSeries, Origin, ResultObject
from appliance.ledger.series import put_series
from appliance.ledger.states import JobEvent, JobState, StudyState

_AT_ONCE: Final = 500  # rows a statement: both engines limit the number of bound values


class Jobs:
    """The jobs of all studies: records and finds their answers."""

    def __init__(self, database: Database, news: News) -> None:
        self._database = database
        self._news = news

    def refuse(
        self,
        job: Job,
        refusals: Iterable[Refusal],
        timing_ms: dict[str, float],
        sr_class_uid: str = "",
        sr_uid: str = "",
    ) -> None:
        """Record that a job was not read, why, and the report that says so, which supersedes older refusal reports."""
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
            now = self._database.clock()
            append_refusal(connection, now, job.id, job.study_uid, reasons)
            if sr_uid:
                append_sent(connection, now, job, superseded, only=sr_uid)
        self._news.tell(ANSWERS)

    def confirm(self, job: Job) -> None:
        """Raise `LostJobError` unless the job is still this worker's; called before acting outside the ledger."""
        with self._database.reading() as connection:
            row = connection.execute(
                select(tables.jobs.c.owner, tables.jobs.c.tries).where(tables.jobs.c.id == job.id)
            ).one()
        require_token(row, job)

    def deliver(
        self,
        job: Job,
        results: Sequence[ResultObject],
        answer: dict[str, Any],
        refusals: Iterable[Refusal],
        answered_set: str,
        answered_series: str,
        change: dict[str, Any] | None = None,
    ) -> None:
        """Record the answer and its result objects before they are stored, so that intake recognises our own results.

        `change` is what has changed since the prior head CT (`Job.change`). A job that is delivered again (its service
        was killed in between) has the same results.
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
                change=change or {},
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
            append_answer(connection, self._database.clock(), job, sr_uid, older)
        self._news.tell(ANSWERS)
        return older

    def of_study(self, study: str) -> list[Job]:
        """Return the jobs of a study, oldest first."""
        with self._database.reading() as connection:
            rows = connection.execute(
                select(tables.jobs).where(tables.jobs.c.orthanc_study == study).order_by(tables.jobs.c.id)
            )
            return [record_of(Job, row) for row in rows]

    def newest_answers_of(self, studies: Iterable[str], limit: int) -> list[Job]:
        """Return the answer that stands of each of these studies, the newest first, at most `limit`.

        Where one stands about the study, those about series that a person asked for do not count.
        """
        wanted = list(studies)
        jobs = tables.jobs
        found: list[Job] = []
        with self._database.reading() as connection:
            for start in range(0, len(wanted), _AT_ONCE):
                rows = connection.execute(
                    select(jobs)
                    .where(
                        jobs.c.orthanc_study.in_(wanted[start : start + _AT_ONCE]),
                        jobs.c.state == JobState.DONE,
                        jobs.c.answered_series != "",
                    )
                    .order_by(jobs.c.id.desc())
                    .limit(limit)
                )
                found += [record_of(Job, row) for row in rows]
        newest: dict[str, Job] = {}
        for job in sorted(found, key=lambda one: (one.requested, -one.id)):
            newest.setdefault(job.orthanc_study, job)
        return sorted(newest.values(), key=lambda one: -one.id)[:limit]

    def list_standing(self, before: int | None, limit: int) -> list[Job]:
        """Return the newest jobs whose report stands, of studies that are decided; newest first.

        With `before`, only jobs with a lower number. Answers that a person asked for are left out.
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
        """Return results that no answer stands for: those of earlier tries of `job`, and of its study's withdrawn jobs.

        They may have been stored before their job was postponed. Results that another job of the study has delivered,
        or is delivering, are left out; those of this try of `job` are included.
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
