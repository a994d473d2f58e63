# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The studies that are followed, from their first instance to the decision about them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, or_, select, update

from appliance.errors import Refusal, RefusalCode, refusals_json
from appliance.ledger import tables
from appliance.ledger.answer_entries import append_refusal
from appliance.ledger.board_rows import place_study
from appliance.ledger.columns import record_of, values_of
from appliance.ledger.database import Database
from appliance.ledger.job_rows import insert_job, move_job
from appliance.ledger.records import Arrival, FollowedStudy, NewJob
from appliance.ledger.rows import insert_unless_there
from appliance.ledger.states import JobEvent, JobState, StudyEvent, StudyState, states_that, study_after

_FOLLOWED = (StudyState.RECEIVING, StudyState.INCOMPLETE)


class Studies:
    """What intake knows of each study."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list_followed(self) -> list[FollowedStudy]:
        """Return the studies that are not decided yet, oldest first."""
        with self._database.reading() as connection:
            rows = connection.execute(
                select(tables.studies)
                .where(tables.studies.c.state.in_(_FOLLOWED))
                .order_by(tables.studies.c.quiet_from)
            )
            return [record_of(FollowedStudy, row) for row in rows]

    def find_known(self, identifiers: Iterable[str]) -> set[str]:
        """Return which of the studies the ledger knows; pass some hundreds at a time."""
        with self._database.reading() as connection:
            rows = connection.execute(
                select(tables.studies.c.orthanc_id).where(tables.studies.c.orthanc_id.in_(list(identifiers)))
            )
            return {row.orthanc_id for row in rows}

    def stamp(self, study: str, at: float, quiet_from: float) -> None:
        """Note the plugin's time stamp of a study's last instance, which arrived here before the stamp.

        `quiet_from` is what was noted then: a study with more instances since keeps their later time.
        """
        with self._database.writing() as connection:
            connection.execute(
                update(tables.studies)
                .where(
                    tables.studies.c.orthanc_id == study,
                    tables.studies.c.state == StudyState.RECEIVING,
                    or_(tables.studies.c.quiet_from == quiet_from, tables.studies.c.quiet_from < at),
                )
                .values(last_instance_at=at, quiet_from=at)
            )

    def look(self, study: str, looker: str) -> int:
        """Record that the service `looker` is about to look at a study's images; return the study's `deaths`.

        The mark is removed after the look: if it is still there when the service has ended, it says what the service
        was doing.
        """
        studies = tables.studies
        with self._database.writing() as connection:
            row = _lock(connection, study)
            if row is None:
                return 0
            connection.execute(update(studies).where(studies.c.orthanc_id == study).values(looker=looker))
            return int(row.deaths)

    def look_away(self, study: str, looker: str) -> None:
        """Record that the service `looker` has stopped looking at a study, for now."""
        studies = tables.studies
        with self._database.writing() as connection:
            connection.execute(
                update(studies).where(studies.c.orthanc_id == study, studies.c.looker == looker).values(looker="")
            )

    def clear(self, study: str) -> None:
        """Reset a study's `deaths`: a process that only read all of it did not die."""
        studies = tables.studies
        with self._database.writing() as connection:
            connection.execute(update(studies).where(studies.c.orthanc_id == study).values(deaths=0))

    def count_deaths(self, looker: str) -> list[FollowedStudy]:
        """Count a death for each study that an earlier session of the service `looker` was looking at; return them."""
        studies = tables.studies
        earlier = f"{looker.partition('/')[0]}/"
        with self._database.writing() as connection:
            left = connection.execute(
                select(studies)
                .where(studies.c.looker.startswith(earlier, autoescape=True), studies.c.looker != looker)
                .with_for_update()
            ).all()
            for row in left:
                connection.execute(
                    update(studies)
                    .where(studies.c.orthanc_id == row.orthanc_id)
                    .values(looker="", deaths=studies.c.deaths + 1)
                )
            return [record_of(FollowedStudy, row) for row in left]

    def leave(self, looker: str) -> None:
        """Record that a service has stopped looking at studies, because it ends in order."""
        with self._database.writing() as connection:
            connection.execute(update(tables.studies).where(tables.studies.c.looker == looker).values(looker=""))

    def miss(self, study: FollowedStudy, why: str, refusals: Iterable[Refusal]) -> bool:
        """Record that a quiet study is incomplete; False when it changed since it was looked at."""
        with self._database.writing() as connection:
            if not _is_unchanged(connection, study):
                return False
            self._move(connection, study.id, study.state, StudyEvent.MISS, why=why, refusals=refusals_json(refusals))
            return True

    def explain(self, study: FollowedStudy, why: str) -> None:
        """Note why a followed study waits, and that nobody looks at it; do nothing when it changed meanwhile."""
        with self._database.writing() as connection:
            if _is_unchanged(connection, study):
                connection.execute(
                    update(tables.studies).where(tables.studies.c.orthanc_id == study.id).values(why=why, looker="")
                )

    def decide(self, study: FollowedStudy, new: NewJob | None) -> int | None:
        """Record what was decided about a quiet study and return its new job; None without one.

        It is also None, and nothing is recorded, when the study changed since it was looked at or another machine was
        first. A job that leaves stacks out is added to the others. A job for the whole study replaces those that no
        worker has taken yet: they are withdrawn.
        """
        now = self._database.clock()
        jobs = tables.jobs
        with self._database.writing() as connection:
            if not _is_unchanged(connection, study):
                return None
            self._move(connection, study.id, study.state, StudyEvent.DECIDE)
            if new is None:
                return None
            if not new.left_out:
                replaced = connection.execute(
                    select(jobs.c.id)
                    .where(
                        jobs.c.orthanc_study == study.id,
                        jobs.c.orthanc_series == "",
                        jobs.c.state.in_(states_that(JobEvent.WITHDRAW)),
                    )
                    .with_for_update()
                )
                for row in replaced.all():
                    move_job(connection, row.id, JobEvent.WITHDRAW, now)
            return insert_job(connection, study.id, study.uid, new, now, study.last_instance_at, study.live)

    def delete(self, study: str) -> int:
        """Record that Orthanc no longer holds a study: stop following it and refuse its waiting jobs.

        Returns the number of these jobs.
        """
        jobs = tables.jobs
        with self._database.writing() as connection:
            row = _lock(connection, study)
            if row is None:
                return 0
            self._move(connection, study, row.state, StudyEvent.DELETE)
            place_study(connection, study)
            gone = refusals_json([Refusal(RefusalCode.SOURCE_DELETED, "the study was deleted before it was read")])
            waiting = connection.execute(
                select(jobs.c.id, jobs.c.study_uid)
                .where(jobs.c.orthanc_study == study, jobs.c.state.in_((JobState.QUEUED, JobState.WAITING)))
                .with_for_update()
            ).all()
            for job in waiting:
                move_job(connection, job.id, JobEvent.REFUSE, self._database.clock(), refusals=gone)
                append_refusal(connection, self._database.clock(), job.id, job.study_uid, gone)
            return len(waiting)

    def _move(
        self,
        connection: Connection,
        study: str,
        state: StudyState,
        event: StudyEvent,
        why: str = "",
        refusals: Iterable[dict[str, Any]] = (),
    ) -> None:
        connection.execute(
            update(tables.studies)
            .where(tables.studies.c.orthanc_id == study)
            .values(
                state=study_after(state, event),
                since=self._database.clock(),
                why=why,
                refusals=list(refusals),
                looker="",
            )
        )


def record_arrival(connection: Connection, arrival: Arrival, now: float) -> None:
    """Record new instances of a study, which is then followed."""
    row = _lock(connection, arrival.study)
    if row is None:
        study = FollowedStudy(
            arrival.study,
            arrival.study_uid,
            StudyState.RECEIVING,
            since=now,
            last_instance_at=arrival.last_instance_at,
            quiet_from=arrival.quiet_from,
            live=arrival.live,
        )
        if insert_unless_there(connection, tables.studies, values_of(study)):
            return
        row = _lock(connection, arrival.study)  # another service was first
    after = study_after(row.state, StudyEvent.ARRIVE)
    going_on = row.state in _FOLLOWED
    connection.execute(
        update(tables.studies)
        .where(tables.studies.c.orthanc_id == arrival.study)
        .values(
            state=after,
            since=row.since if row.state == after else now,
            why="",
            last_instance_at=max(row.last_instance_at, arrival.last_instance_at)
            if going_on
            else arrival.last_instance_at,
            quiet_from=max(row.quiet_from, arrival.quiet_from),
            live=arrival.live and (row.live or not going_on),
        )
    )
    if row.state == StudyState.DELETED:  # sent again: what was answered about it is valid again
        place_study(connection, arrival.study)


def _lock(connection: Connection, study: str) -> Any:
    """Return the row of a study, locked until this transaction ends; None when there is none."""
    return connection.execute(
        select(tables.studies).where(tables.studies.c.orthanc_id == study).with_for_update()
    ).one_or_none()


def _is_unchanged(connection: Connection, study: FollowedStudy) -> bool:
    row = _lock(connection, study.id)
    return row is not None and row.state == study.state and row.quiet_from == study.quiet_from
