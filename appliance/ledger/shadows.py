# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What a shadow version of the detector says of studies that another version answered; it is never delivered."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import and_, select

from appliance.ledger import tables
from appliance.ledger.columns import record_of, values_of
from appliance.ledger.database import Database
from appliance.ledger.records import Job, ShadowAnswer
from appliance.ledger.rows import insert_unless_there
from appliance.ledger.states import JobState


@dataclass(frozen=True)
class Pair:
    """An answered job, and what the shadow says of the same study."""

    job: Job
    shadow: ShadowAnswer


class Shadows:
    """The answers of shadow versions, by job and by the sha256 of the model."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def next_job(self, sha256: str, since: float) -> Job | None:
        """Return the oldest job answered `since` (Unix seconds) that the shadow has not read, None when all are."""
        jobs, shadows = tables.jobs, tables.shadow_answers
        beside = and_(shadows.c.job == jobs.c.id, shadows.c.sha256 == sha256)
        with self._database.reading() as connection:
            row = connection.execute(
                select(jobs)
                .outerjoin(shadows, beside)
                .where(jobs.c.state == JobState.DONE, jobs.c.since >= since, shadows.c.job.is_(None))
                .order_by(jobs.c.id)
                .limit(1)
            ).first()
            return None if row is None else record_of(Job, row)

    def keep(self, answer: ShadowAnswer) -> None:
        """Store what the shadow says of a job, unless another service of this ledger has done so meanwhile."""
        shadows = tables.shadow_answers
        with self._database.writing() as connection:
            insert_unless_there(connection, shadows, values_of(answer))

    def pairs(self, sha256: str) -> list[Pair]:
        """Return what a shadow has read together with what was answered, by job."""
        jobs, shadows = tables.jobs, tables.shadow_answers
        with self._database.reading() as connection:
            kept = [
                record_of(ShadowAnswer, row)
                for row in connection.execute(select(shadows).where(shadows.c.sha256 == sha256).order_by(shadows.c.job))
            ]
            answered = {
                row.id: record_of(Job, row)
                for row in connection.execute(
                    select(jobs).join(shadows, shadows.c.job == jobs.c.id).where(shadows.c.sha256 == sha256)
                )
            }
        return [Pair(answered[one.job], one) for one in kept if one.job in answered]
