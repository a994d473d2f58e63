# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What is old: studies that may be removed from the archive, and rows that may be removed from the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, delete, exists, func, or_, select, tuple_

from appliance.ledger import tables
from appliance.ledger.audit import append
from appliance.ledger.columns import record_of
from appliance.ledger.database import Database
from appliance.ledger.records import AuditEvent, FollowedStudy
from appliance.ledger.states import OPEN, DeliveryState, JobState, StudyState

_AT_ONCE = 200
_UNDELIVERED = (DeliveryState.WAITING, DeliveryState.SENDING)


@dataclass(frozen=True)
class Pruned:
    """How many rows were removed, by table."""

    studies: int = 0
    jobs: int = 0
    series: int = 0
    services: int = 0


class Keeping:
    """The age of what the ledger knows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def removable(
        self, before: float | None = None, after: FollowedStudy | None = None, limit: int = 100
    ) -> list[FollowedStudy]:
        """Return finished studies, the oldest first: those that come `after` one of them in this order.

        With `before` (Unix seconds), their last instance arrived before then.
        """
        studies, wanted = tables.studies, _finished()
        if before is not None:
            wanted = wanted.where(studies.c.last_instance_at < before)
        order = studies.c.last_instance_at, studies.c.orthanc_id
        if after is not None:
            wanted = wanted.where(tuple_(*order) > (after.last_instance_at, after.id))
        with self._database.reading() as connection:
            rows = connection.execute(wanted.order_by(*order).limit(limit))
            return [record_of(FollowedStudy, row) for row in rows]

    def may_go(self, study: FollowedStudy) -> bool:
        """Return whether a study is unchanged since it was found removable."""
        same = tables.studies.c.orthanc_id == study.id, tables.studies.c.last_instance_at == study.last_instance_at
        with self._database.reading() as connection:
            return connection.execute(_finished().where(*same)).first() is not None

    def note_removal(self, study: FollowedStudy, why: str) -> None:
        """Add to the audit trail that the appliance has removed a study from Orthanc."""
        with self._database.writing() as connection:
            append(connection, self._database.clock(), AuditEvent.REMOVED, study_uid=study.uid, why=why)

    def prune(self, before: float) -> Pruned:
        """Remove the rows of studies that left Orthanc before a time (Unix seconds), and of services not seen since."""
        studies, jobs, results = tables.studies, tables.jobs, tables.results
        shadows, retrieved = tables.shadow_answers, tables.retrieved
        gone = Pruned()
        while True:
            with self._database.writing() as connection:
                old = connection.execute(
                    select(studies.c.orthanc_id, studies.c.study_uid)
                    .where(studies.c.state == StudyState.DELETED, studies.c.since < before)
                    .limit(_AT_ONCE)
                    .with_for_update(skip_locked=True)
                ).all()
                names = [row.orthanc_id for row in old]
                of_them = select(jobs.c.id).where(jobs.c.orthanc_study.in_(names))
                # A prior that stays is known as fetched as long as it does, whatever has become of who asked for it.
                stays = exists().where(studies.c.study_uid == retrieved.c.study_uid, studies.c.orthanc_id.not_in(names))
                fetched = or_(retrieved.c.job.in_(of_them), retrieved.c.study_uid.in_([row.study_uid for row in old]))
                connection.execute(delete(retrieved).where(fetched, ~stays))
                connection.execute(delete(shadows).where(shadows.c.job.in_(of_them)))
                connection.execute(delete(results).where(results.c.job.in_(of_them)))
                connection.execute(delete(tables.outbox).where(tables.outbox.c.orthanc_study.in_(names)))
                connection.execute(delete(tables.opinions).where(tables.opinions.c.orthanc_study.in_(names)))
                gone = Pruned(
                    gone.studies + len(names),
                    gone.jobs + _count(connection.execute(delete(jobs).where(jobs.c.orthanc_study.in_(names)))),
                    gone.series
                    + _count(connection.execute(delete(tables.series).where(tables.series.c.orthanc_study.in_(names)))),
                    gone.services
                    + _count(connection.execute(delete(tables.services).where(tables.services.c.seen < before))),
                )
                connection.execute(delete(studies).where(studies.c.orthanc_id.in_(names)))
            if len(names) < _AT_ONCE:
                return gone

    def rows(self) -> dict[str, int]:
        """Return how many rows each table has."""
        counted = (
            tables.studies,
            tables.series,
            tables.jobs,
            tables.results,
            tables.outbox,
            tables.audit,
            tables.opinions,
            tables.shadow_answers,
            tables.retrieved,
        )
        with self._database.reading() as connection:
            return {
                table.name: int(connection.execute(select(func.count()).select_from(table)).scalar_one())
                for table in counted
            }


def _finished() -> Select[Any]:
    """Return a query for finished studies.

    They are decided, none of their jobs is open, nothing of them waits to be delivered, and they are not golden:
    versions of the detector are still to be proven on those.
    """
    studies, jobs, outbox = tables.studies, tables.jobs, tables.outbox
    on_its_way = exists().where(jobs.c.orthanc_study == studies.c.orthanc_id, _is_open(jobs))
    undelivered = exists().where(outbox.c.orthanc_study == studies.c.orthanc_id, outbox.c.state.in_(_UNDELIVERED))
    golden = exists().where(tables.golden_studies.c.orthanc_study == studies.c.orthanc_id)
    return select(studies).where(studies.c.state == StudyState.DECIDED, ~on_its_way, ~undelivered, ~golden)


def _is_open(jobs: Table) -> ColumnElement[bool]:
    """Return whether a job will still change, or the rules have not been applied to its answer."""
    unrouted = jobs.c.routed.is_(False) & jobs.c.state.in_((JobState.DONE, JobState.REFUSED))
    return or_(jobs.c.state.in_(OPEN), unrouted)


def _count(done: object) -> int:
    return max(0, int(getattr(done, "rowcount", 0)))
