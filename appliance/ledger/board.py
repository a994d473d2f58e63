# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The studies as the board shows them: by group, the newest first, a page at a time, each page by the index.

`outcomes` says which groups there are and in which order they come.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection, Select, func, select, true, tuple_

from appliance.ledger import tables
from appliance.ledger.board_rows import newest_opinions
from appliance.ledger.columns import record_of
from appliance.ledger.database import Database
from appliance.ledger.outcomes import Standing
from appliance.ledger.records import FollowedStudy, Job, Opinion
from appliance.ledger.states import OPEN, JobState, StudyState

_SHOWN: Final = (JobState.DONE, JobState.REFUSED, JobState.FAILED, JobState.SUPERSEDED, *OPEN)


@dataclass(frozen=True)
class Place:
    """Where a page ends: the next one begins after this study."""

    last_instance_at: float
    study: str


@dataclass(frozen=True)
class BoardStudy:
    """A study with its jobs, oldest first, and the newest opinion about each answer, by `Job.answer_key`."""

    study: FollowedStudy
    jobs: tuple[Job, ...]
    opinions: dict[str, Opinion] = field(default_factory=dict)

    @property
    def place(self) -> Place:
        """Its place on the board, to go on from."""
        return Place(self.study.last_instance_at, self.study.id)


class Board:
    """Reads what the board shows and writes nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(self, standing: Standing, limit: int, after: Place | None = None) -> list[BoardStudy]:
        """Return the newest studies of a group, only those after a place if one is named."""
        with self._database.reading() as connection:
            rows = connection.execute(page_statement(standing, limit, after)).all()
            return _with_jobs(connection, [record_of(FollowedStudy, row) for row in rows])

    def count(self, standing: Standing, most: int) -> int:
        """Return how many studies a group has; it stops counting at `most`."""
        counted = select(tables.studies.c.orthanc_id).where(tables.studies.c.standing == standing).limit(most)
        with self._database.reading() as connection:
            return int(connection.execute(select(func.count()).select_from(counted.subquery())).scalar_one())

    def oldest(self, standing: Standing) -> float | None:
        """Return when the last image of the oldest study of a group came (Unix seconds); None without any."""
        studies = tables.studies
        with self._database.reading() as connection:
            return connection.execute(
                select(func.min(studies.c.last_instance_at)).where(studies.c.standing == standing)
            ).scalar()

    def on_the_way(self, limit: int) -> list[BoardStudy]:
        """Return studies that are being received or read, or wait for images or a neighbour; the newest first."""
        studies, jobs = tables.studies, tables.jobs
        with self._database.reading() as connection:
            received = connection.execute(
                select(studies)
                .where(studies.c.state.in_((StudyState.RECEIVING, StudyState.INCOMPLETE)))
                .order_by(studies.c.last_instance_at.desc())
                .limit(limit)
            ).all()
            names = [
                row.orthanc_study
                for row in connection.execute(
                    select(jobs.c.orthanc_study)
                    .where(jobs.c.state.in_(OPEN))
                    .order_by(jobs.c.last_instance_at.desc())
                    .limit(limit)
                )
            ]
            read = connection.execute(select(studies).where(studies.c.orthanc_id.in_(names))).all()
            found = {row.orthanc_id: record_of(FollowedStudy, row) for row in (*received, *read)}
            newest = sorted(found.values(), key=lambda one: one.last_instance_at, reverse=True)
            return _with_jobs(connection, newest[:limit])

    def study(self, orthanc_study: str) -> BoardStudy | None:
        """Return one study, None when the ledger does not know it."""
        with self._database.reading() as connection:
            row = connection.execute(
                select(tables.studies).where(tables.studies.c.orthanc_id == orthanc_study)
            ).one_or_none()
            return None if row is None else _with_jobs(connection, [record_of(FollowedStudy, row)])[0]


def page_statement(standing: Standing, limit: int, after: Place | None = None) -> Select[tuple[object, ...]]:
    """Return the query of a page, which the index `studies_board` answers without sorting."""
    studies = tables.studies
    key = (studies.c.last_instance_at, studies.c.orthanc_id)
    return (
        select(studies)
        .where(
            studies.c.standing == standing,
            true() if after is None else tuple_(*key) < tuple_(after.last_instance_at, after.study),
        )
        .order_by(*(column.desc() for column in key))
        .limit(limit)
    )


def jobs_statement(studies: Sequence[str]) -> Select[tuple[object, ...]]:
    """Return the query of the jobs of some studies, which the index `jobs_study` answers.

    A condition on their states would lead a planner without statistics to another index, and to every job.
    """
    return select(tables.jobs).where(tables.jobs.c.orthanc_study.in_(studies)).order_by(tables.jobs.c.id)


def _with_jobs(connection: Connection, studies: list[FollowedStudy]) -> list[BoardStudy]:
    if not studies:
        return []
    jobs: dict[str, list[Job]] = {one.id: [] for one in studies}
    for row in connection.execute(jobs_statement(list(jobs))):
        if row.state in _SHOWN:
            jobs[row.orthanc_study].append(record_of(Job, row))
    opinions = newest_opinions(connection, [job.answer_key for of_study in jobs.values() for job in of_study])
    return [
        BoardStudy(
            one,
            tuple(jobs[one.id]),
            {job.answer_key: opinions[job.answer_key] for job in jobs[one.id] if job.answer_key in opinions},
        )
        for one in studies
    ]
