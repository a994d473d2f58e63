# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The ledger: what was taken in, decided and done, so that a study is neither lost nor answered twice.

Orthanc's change log and the series themselves are the source of truth about studies; the ledger is the source of
truth about the appliance. Each method is one transaction. The cursor of the change log moves in the same transaction
as what the entries led to. Job and study states change only along the tables in `states`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, func, insert, or_, select, true, update
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from appliance.errors import ApplianceError, Refusal, RefusalCode, UnavailableError
from appliance.ledger import tables
from appliance.ledger.engine import open_engine, reading
from appliance.ledger.records import (
    Arrival,
    FollowedStudy,
    Job,
    KnownSeries,
    NewJob,
    Origin,
    Position,
    ResultObject,
    StudyStatus,
    plain,
)
from appliance.ledger.states import (
    OPEN,
    JobEvent,
    JobState,
    StudyEvent,
    StudyState,
    job_after,
    states_that,
    study_after,
)

_ORTHANC = "orthanc"
_AT_ONCE = 500  # rows a statement: both engines limit the number of bound values
_MAY_BE_TAKEN = or_(tables.studies.c.state != StudyState.RECEIVING, tables.jobs.c.orthanc_series != "")
"""Of a study that is receiving again, only what a person asked for is answered before it is quiet."""


class LostJobError(ApplianceError):
    """The job is no longer this worker's: its lease ran out and another took it up."""


class Ledger:
    """The ledger at one SQLAlchemy URL; may be used from several threads and, with PostgreSQL, several machines.

    Every method raises `UnavailableError` when the database does not answer.
    """

    def __init__(self, url: str, clock: Callable[[], float] = time.time) -> None:
        self._engine = open_engine(url)
        self._reader = reading(self._engine)
        self._clock = clock

    def close(self) -> None:
        """Close the database."""
        self._engine.dispose()

    def _reading(self) -> AbstractContextManager[Connection]:
        """Begin a transaction that writes nothing: it sees one state of the ledger and waits for nobody."""
        return self._transaction(self._reader)

    @contextmanager
    def _transaction(self, engine: Engine | None = None) -> Iterator[Connection]:
        try:
            with (engine or self._engine).begin() as connection:
                yield connection
        except (DataError, IntegrityError, ProgrammingError):
            raise  # the database answers: what was asked of it is a fault of our own, and counts as one
        except (DBAPIError, PoolTimeoutError) as error:
            raise UnavailableError(
                f"the ledger does not answer ({type(error).__name__}); check its disk or database server"
            ) from error

    def check(self) -> None:
        """Do nothing, successfully, when the ledger can be read and written."""
        with self._transaction() as connection:
            connection.execute(select(tables.schema.c.version)).scalar_one()

    # The change log

    def position(self) -> Position | None:
        """Return how far the change log was taken in; None before the first start."""
        with self._reading() as connection:
            return _position(connection)

    def begin(self, position: Position) -> bool:
        """Record the first start. Returns False when another machine was first, and changes nothing."""
        with self._transaction() as connection:
            if _position(connection) is not None:
                return False
            connection.execute(
                insert(tables.feed).values(
                    name=_ORTHANC, seq=position.seq, fingerprint=position.fingerprint, began=position.began
                )
            )
            return True

    def advance(self, old: Position, new: Position, arrivals: Sequence[Arrival] = ()) -> bool:
        """Move the cursor from `old` to `new` and note the arrivals that the entries between them led to.

        Returns False when another machine moved the cursor meanwhile: nothing was changed, read it again.
        """
        with self._transaction() as connection:
            moved = connection.execute(
                update(tables.feed)
                .where(
                    tables.feed.c.name == _ORTHANC,
                    tables.feed.c.seq == old.seq,
                    tables.feed.c.fingerprint == old.fingerprint,
                )
                .values(seq=new.seq, fingerprint=new.fingerprint)
            )
            if moved.rowcount != 1:
                return False
            for arrival in arrivals:
                self._arrive(connection, arrival)
            return True

    def notice(self, arrivals: Sequence[Arrival]) -> None:
        """Note arrivals that a sweep found beside the change log."""
        with self._transaction() as connection:
            for arrival in arrivals:
                self._arrive(connection, arrival)

    def _arrive(self, connection: Connection, arrival: Arrival) -> None:
        row = connection.execute(
            select(tables.studies).where(tables.studies.c.orthanc_id == arrival.study).with_for_update()
        ).one_or_none()
        if row is None:
            connection.execute(
                insert(tables.studies).values(
                    orthanc_id=arrival.study,
                    study_uid=arrival.study_uid,
                    state=StudyState.RECEIVING,
                    since=self._clock(),
                    last_instance_at=arrival.last_instance_at,
                    quiet_from=arrival.quiet_from,
                    live=arrival.live,
                    why="",
                    refusals=[],
                )
            )
        else:
            after = study_after(StudyState(row.state), StudyEvent.ARRIVE)
            going_on = row.state in (StudyState.RECEIVING, StudyState.INCOMPLETE)
            connection.execute(
                update(tables.studies)
                .where(tables.studies.c.orthanc_id == arrival.study)
                .values(
                    state=after,
                    since=row.since if row.state == after else self._clock(),
                    last_instance_at=max(row.last_instance_at, arrival.last_instance_at)
                    if going_on
                    else arrival.last_instance_at,
                    quiet_from=max(row.quiet_from, arrival.quiet_from),
                    live=arrival.live and (row.live or not going_on),
                )
            )
        for known in arrival.series:
            _put_series(connection, known)

    def stamp(self, study: str, at: float, quiet_from: float) -> None:
        """Note the plugin's stamp of a study's last instance, which was taken in before its stamp came.

        `quiet_from` is what was noted then: a study that got more instances since keeps the later time of those.
        """
        with self._transaction() as connection:
            connection.execute(
                update(tables.studies)
                .where(
                    tables.studies.c.orthanc_id == study,
                    tables.studies.c.state == StudyState.RECEIVING,
                    or_(tables.studies.c.quiet_from == quiet_from, tables.studies.c.quiet_from < at),
                )
                .values(last_instance_at=at, quiet_from=at)
            )

    def known_series(self, identifiers: Iterable[str]) -> dict[str, KnownSeries]:
        """Return those of the series that the ledger knows."""
        wanted = list(identifiers)
        known: dict[str, KnownSeries] = {}
        with self._reading() as connection:
            for start in range(0, len(wanted), _AT_ONCE):
                part = wanted[start : start + _AT_ONCE]
                for row in connection.execute(select(tables.series).where(tables.series.c.orthanc_id.in_(part))):
                    known[row.orthanc_id] = KnownSeries(
                        row.orthanc_id, row.orthanc_study, Origin(row.origin), row.instances
                    )
        return known

    def note_series(self, known: Iterable[KnownSeries]) -> None:
        """Record series that lead to nothing (our own results, found in a sweep)."""
        with self._transaction() as connection:
            for item in known:
                _put_series(connection, item)

    # Studies that are followed

    def open_studies(self) -> list[FollowedStudy]:
        """Return the studies that are not decided yet, oldest first."""
        with self._reading() as connection:
            rows = connection.execute(
                select(tables.studies)
                .where(tables.studies.c.state.in_((StudyState.RECEIVING, StudyState.INCOMPLETE)))
                .order_by(tables.studies.c.quiet_from)
            )
            return [_followed(row) for row in rows]

    def miss(self, study: FollowedStudy, why: str, refusals: Iterable[Refusal]) -> bool:
        """Record that a quiet study is not complete; False when it changed since it was looked at."""
        with self._transaction() as connection:
            if not _unchanged(connection, study):
                return False
            connection.execute(
                update(tables.studies)
                .where(tables.studies.c.orthanc_id == study.id)
                .values(
                    state=study_after(study.state, StudyEvent.MISS),
                    since=self._clock(),
                    why=why,
                    refusals=plain(refusals),
                )
            )
            return True

    def decide(self, study: FollowedStudy, new: NewJob | None) -> int | None:
        """Record what was decided about a quiet study and return its new job; None without one.

        None also when the study changed since it was looked at, or another machine was first: nothing is recorded.
        A job that leaves stacks out stands beside the others; one that does not stands for the whole study, and the
        jobs of the study that no worker has taken yet are withdrawn.
        """
        now = self._clock()
        with self._transaction() as connection:
            if not _unchanged(connection, study):
                return None
            connection.execute(
                update(tables.studies)
                .where(tables.studies.c.orthanc_id == study.id)
                .values(state=study_after(study.state, StudyEvent.DECIDE), since=now, why="", refusals=[])
            )
            if new is None:
                return None
            replaced = (
                select(tables.jobs.c.id)
                .where(
                    tables.jobs.c.orthanc_study == study.id,
                    tables.jobs.c.orthanc_series == "",
                    tables.jobs.c.state.in_(states_that(JobEvent.WITHDRAW)),
                )
                .with_for_update()
            )
            for row in connection.execute(replaced).all() if not new.left_out else ():
                self._move(connection, row.id, JobEvent.WITHDRAW)
            return self._insert_job(connection, study.id, study.uid, new, study.last_instance_at, study.live)

    def request(self, study: str, study_uid: str, new: NewJob) -> int:
        """Queue the answer about one series that a person asks for; return the job.

        One that is already on its way for the same series is returned instead of a second one.
        """
        now = self._clock()
        with self._transaction() as connection:
            row = connection.execute(
                select(tables.studies.c.state).where(tables.studies.c.orthanc_id == study).with_for_update()
            ).one_or_none()
            if row is None:
                connection.execute(
                    insert(tables.studies).values(
                        orthanc_id=study,
                        study_uid=study_uid,
                        state=StudyState.DECIDED,
                        since=now,
                        last_instance_at=now,
                        quiet_from=now,
                        live=False,
                        why="",
                        refusals=[],
                    )
                )
            going = connection.execute(
                select(tables.jobs.c.id).where(
                    tables.jobs.c.orthanc_series == new.series, tables.jobs.c.state.in_(OPEN)
                )
            ).first()
            if going is not None:
                return int(going.id)
            return self._insert_job(connection, study, study_uid, new, now, live=False)

    def delete_study(self, study: str) -> int:
        """Record that Orthanc no longer holds a study: it is followed no more, and its jobs that wait are refused.

        Returns how many jobs that were.
        """
        now = self._clock()
        with self._transaction() as connection:
            row = connection.execute(
                select(tables.studies).where(tables.studies.c.orthanc_id == study).with_for_update()
            ).one_or_none()
            if row is None:
                return 0
            connection.execute(
                update(tables.studies)
                .where(tables.studies.c.orthanc_id == study)
                .values(state=study_after(StudyState(row.state), StudyEvent.DELETE), since=now, why="", refusals=[])
            )
            gone = plain([Refusal(RefusalCode.SOURCE_DELETED, "the study was deleted before it was read")])
            waiting = connection.execute(
                select(tables.jobs.c.id)
                .where(
                    tables.jobs.c.orthanc_study == study,
                    tables.jobs.c.state.in_((JobState.QUEUED, JobState.WAITING)),
                )
                .with_for_update()
            ).all()
            for job in waiting:
                self._move(connection, job.id, JobEvent.REFUSE, refusals=gone)
            return len(waiting)

    def jobs_of(self, study: str) -> list[Job]:
        """Return the jobs of a study, oldest first."""
        with self._reading() as connection:
            rows = connection.execute(
                select(tables.jobs).where(tables.jobs.c.orthanc_study == study).order_by(tables.jobs.c.id)
            )
            return [_job(row) for row in rows]

    def results_of(self, job: int) -> list[ResultObject]:
        """Return the result objects of a job."""
        with self._reading() as connection:
            rows = connection.execute(select(tables.results).where(tables.results.c.job == job))
            return [_result(row) for row in rows]

    def leftovers(self, job: Job) -> list[ResultObject]:
        """Return results that no answer stands for: of earlier tries of `job`, and of jobs of its study withdrawn.

        They may have been stored before their job was postponed. What another job of the study has delivered, or is
        delivering, is not among them; what this try of `job` delivers is.
        """
        results, jobs = tables.results, tables.jobs
        with self._reading() as connection:
            rows = connection.execute(
                select(results, jobs.c.state)
                .join(jobs, jobs.c.id == results.c.job)
                .where(jobs.c.orthanc_study == job.orthanc_study)
            ).all()
        left = [row for row in rows if row.job == job.id or row.state == JobState.WITHDRAWN]
        standing = {row.orthanc_instance for row in rows if row not in left}
        return [_result(row) for row in left if row.orthanc_instance not in standing]

    # Jobs

    def _insert_job(
        self, connection: Connection, study: str, study_uid: str, new: NewJob, last_instance_at: float, live: bool
    ) -> int:
        now = self._clock()
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
                    left_out=list(new.left_out),
                    answered_set="",
                    answered_series="",
                    owner="",
                    lease_until=0.0,
                    next_try=0.0,
                    tries=0,
                    crashes=0,
                    error="",
                    sr_class_uid="",
                    sr_uid="",
                    answer={},
                    refusals=[],
                    timing_ms={},
                    turnaround_s=None,
                )
                .returning(tables.jobs.c.id)
            ).scalar_one()
        )

    def claim(self, owner: str, lease_s: float) -> Job | None:
        """Give the next job to `owner`; None when there is none whose time has come.

        What a person asked for comes first, then the study whose last instance came first; one that broke the pipeline
        goes behind those that did not. A study that is receiving again is left until it is quiet.
        """
        now = self._clock()
        jobs, studies = tables.jobs, tables.studies
        with self._transaction() as connection:
            row = connection.execute(
                select(jobs.c.id)
                .join(studies, studies.c.orthanc_id == jobs.c.orthanc_study)
                .where(jobs.c.state.in_(states_that(JobEvent.CLAIM)), jobs.c.next_try <= now, _MAY_BE_TAKEN)
                .order_by((jobs.c.orthanc_series != "").desc(), jobs.c.crashes, jobs.c.last_instance_at, jobs.c.id)
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
            return _job(connection.execute(select(jobs).where(jobs.c.id == row.id)).one())

    def next_try(self) -> float | None:
        """Return when the next waiting job that `claim` would give has its time; None when none waits."""
        jobs, studies = tables.jobs, tables.studies
        with self._reading() as connection:
            at = connection.execute(
                select(func.min(jobs.c.next_try))
                .join(studies, studies.c.orthanc_id == jobs.c.orthanc_study)
                .where(jobs.c.state == JobState.WAITING, _MAY_BE_TAKEN)
            ).scalar()
            return None if at is None else float(at)

    def hurry(self) -> None:
        """Let every waiting job have its next try now: a neighbour that was away is back."""
        with self._transaction() as connection:
            connection.execute(
                update(tables.jobs)
                .where(tables.jobs.c.state == JobState.WAITING, tables.jobs.c.crashes == 0)
                .values(next_try=0.0)
            )

    def postpone(self, job: Job, why: str, next_try: float, crashed: bool) -> None:
        """Let a job wait until `next_try`; `crashed` counts towards taking it for poison."""
        with self._transaction() as connection:
            self._move(
                connection,
                job.id,
                JobEvent.POSTPONE,
                job.owner,
                error=why,
                next_try=next_try,
                crashes=tables.jobs.c.crashes + (1 if crashed else 0),
            )

    def refuse(self, job: Job, refusals: Iterable[Refusal], timing_ms: dict[str, float]) -> None:
        """Record that a job was not read, and why."""
        with self._transaction() as connection:
            self._move(
                connection,
                job.id,
                JobEvent.REFUSE,
                job.owner,
                refusals=plain(refusals),
                timing_ms=timing_ms,
                error="",
            )

    def fail(self, job: Job, why: str) -> None:
        """Record that a job is given up, and why."""
        with self._transaction() as connection:
            self._move(connection, job.id, JobEvent.FAIL, job.owner, error=why)

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
        with self._transaction() as connection:
            self._move(
                connection,
                job.id,
                JobEvent.DELIVER,
                job.owner,
                answer=answer,
                refusals=plain(refusals),
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
                    connection.execute(
                        insert(tables.results).values(
                            job=job.id,
                            orthanc_instance=result.orthanc_instance,
                            orthanc_series=result.orthanc_series,
                            kind=result.kind,
                            sop_instance_uid=result.sop_instance_uid,
                        )
                    )
            for series in {result.orthanc_series for result in results}:
                _put_series(connection, KnownSeries(series, job.orthanc_study, Origin.OWN, 0))

    def finish(
        self, job: Job, sr_class_uid: str, sr_uid: str, timing_ms: dict[str, float], turnaround_s: float | None
    ) -> list[int]:
        """Record that all results are stored; return the older jobs that this answer supersedes.

        Which these are says `Job.gives_way_to`.
        """
        jobs = tables.jobs
        with self._transaction() as connection:
            self._move(
                connection,
                job.id,
                JobEvent.FINISH,
                job.owner,
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
                    jobs.c.state == JobState.DONE,
                    jobs.c.sr_uid != sr_uid,
                )
                .with_for_update()
            ).all()
            older = [row.id for row in others if _job(row).gives_way_to(job, read)]
            for identifier in older:
                self._move(connection, identifier, JobEvent.SUPERSEDE)
            return older

    def renew(self, owner: str, lease_s: float) -> None:
        """Say that `owner` is alive and still at its jobs."""
        with self._transaction() as connection:
            connection.execute(
                update(tables.jobs)
                .where(
                    tables.jobs.c.owner == owner,
                    tables.jobs.c.state.in_(states_that(JobEvent.INTERRUPT)),
                )
                .values(lease_until=self._clock() + lease_s)
            )

    def take_up(self, poison_tries: int, starting: str = "") -> list[Job]:
        """Queue again the jobs that a service left in the middle, and return them.

        Those are the jobs of the owner `starting`, who has none yet, and those whose lease ran out. Ending a service
        counts as a crash: a study that kills it every time is given up after `poison_tries`.
        """
        jobs = tables.jobs
        with self._transaction() as connection:
            left = connection.execute(
                select(jobs)
                .where(
                    jobs.c.state.in_(states_that(JobEvent.INTERRUPT)),
                    or_(jobs.c.lease_until < self._clock(), jobs.c.owner == starting),
                )
                .with_for_update(skip_locked=True)
            ).all()
            for row in left:
                if row.crashes + 1 >= poison_tries:
                    why = f"the service ended {row.crashes + 1} times while it was at this study"
                    self._move(connection, row.id, JobEvent.FAIL, error=why, crashes=row.crashes + 1)
                else:
                    self._move(connection, row.id, JobEvent.INTERRUPT, crashes=row.crashes + 1, next_try=0.0)
            return [_job(row) for row in left]

    def _move(self, connection: Connection, job: int, happened: JobEvent, by: str | None = None, **values: Any) -> None:
        row = connection.execute(
            select(tables.jobs.c.state, tables.jobs.c.owner).where(tables.jobs.c.id == job).with_for_update()
        ).one()
        if by is not None and row.owner != by:
            raise LostJobError(f"job {job} was taken up by another worker")
        connection.execute(
            update(tables.jobs)
            .where(tables.jobs.c.id == job)
            .values(state=job_after(JobState(row.state), happened), since=self._clock(), **values)
        )

    # Looking at it

    def job_counts(self) -> dict[JobState, int]:
        """Return how many jobs are in each state."""
        with self._reading() as connection:
            rows = connection.execute(
                select(tables.jobs.c.state, func.count().label("jobs")).group_by(tables.jobs.c.state)
            )
            found = {row.state: int(row.jobs) for row in rows}
        return {state: found.get(state, 0) for state in JobState}

    def study_counts(self) -> dict[StudyState, int]:
        """Return how many studies are in each state of intake."""
        with self._reading() as connection:
            rows = connection.execute(
                select(tables.studies.c.state, func.count().label("studies")).group_by(tables.studies.c.state)
            )
            found = {row.state: int(row.studies) for row in rows}
        return {state: found.get(state, 0) for state in StudyState}

    def newest_studies(self, limit: int, study: str = "") -> list[StudyStatus]:
        """Return the studies whose last instance came last, newest first, with their jobs; only `study` when named."""
        with self._reading() as connection:
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
                jobs[row.orthanc_study].append(_job(row))
        return [StudyStatus(_followed(row), tuple(jobs[row.orthanc_id])) for row in studies]


def _position(connection: Connection) -> Position | None:
    row = connection.execute(select(tables.feed).where(tables.feed.c.name == _ORTHANC)).one_or_none()
    return None if row is None else Position(row.seq, row.fingerprint, row.began)


def _unchanged(connection: Connection, study: FollowedStudy) -> bool:
    row = connection.execute(
        select(tables.studies).where(tables.studies.c.orthanc_id == study.id).with_for_update()
    ).one_or_none()
    return row is not None and row.state == study.state and row.quiet_from == study.quiet_from


def _put_series(connection: Connection, known: KnownSeries) -> None:
    values = {"orthanc_study": known.study, "origin": known.origin, "instances": known.instances}
    found = connection.execute(
        update(tables.series).where(tables.series.c.orthanc_id == known.id).values(values)
    ).rowcount
    if not found:
        connection.execute(insert(tables.series).values(orthanc_id=known.id, **values))


def _followed(row: Any) -> FollowedStudy:
    return FollowedStudy(
        row.orthanc_id,
        row.study_uid,
        StudyState(row.state),
        row.since,
        row.last_instance_at,
        row.quiet_from,
        row.live,
        row.why,
        row.refusals,
    )


def _result(row: Any) -> ResultObject:
    return ResultObject(row.orthanc_instance, row.orthanc_series, row.kind, row.sop_instance_uid)


def _job(row: Any) -> Job:
    return Job(
        id=row.id,
        orthanc_study=row.orthanc_study,
        study_uid=row.study_uid,
        orthanc_series=row.orthanc_series,
        state=JobState(row.state),
        since=row.since,
        created=row.created,
        last_instance_at=row.last_instance_at,
        live=row.live,
        instance_set=row.instance_set,
        chosen_set=row.chosen_set,
        left_out=tuple(row.left_out),
        answered_set=row.answered_set,
        answered_series=row.answered_series,
        owner=row.owner,
        next_try=row.next_try,
        tries=row.tries,
        crashes=row.crashes,
        error=row.error,
        sr_class_uid=row.sr_class_uid,
        sr_uid=row.sr_uid,
        answer=row.answer,
        refusals=row.refusals,
        timing_ms=row.timing_ms,
        turnaround_s=row.turnaround_s,
    )
