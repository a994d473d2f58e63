# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Keeps the group of a study on the board with the study's row, so that the board is read by an index."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sqlalchemy import Connection, func, select, update

from appliance.ledger import tables
from appliance.ledger.columns import record_of
from appliance.ledger.outcomes import Stance, Standing, Standpoint, standing_of
from appliance.ledger.records import Job, Opinion
from appliance.ledger.states import JobState, StudyState

STANDING: Final = (JobState.DONE, JobState.REFUSED, JobState.FAILED)
"""States of a job whose outcome is valid."""


def place_study(connection: Connection, study: str) -> None:
    """Write the group of a study after one of its answers, or an opinion about one, has changed.

    The row of the study is locked first, so that of two changes at a time the later one sees the other.
    """
    studies, jobs = tables.studies, tables.jobs
    row = connection.execute(
        select(studies.c.state, studies.c.standing).where(studies.c.orthanc_id == study).with_for_update()
    ).one_or_none()
    if row is None:
        return
    standing = Standing.NONE
    if row.state != StudyState.DELETED:
        found = connection.execute(select(jobs).where(jobs.c.orthanc_study == study, jobs.c.state.in_(STANDING)))
        # A prior that was fetched to compare with is no study to be read.
        answers = [one for one in (record_of(Job, row) for row in found) if not one.retrieved]
        judged = newest_opinions(connection, [one.answer_key for one in answers])
        standing = standing_of(
            [
                Standpoint(
                    one.outcome,
                    one.id,
                    one.requested,
                    one.answer_key in judged and judged[one.answer_key].stance is not Stance.TAKEN_BACK,
                )
                for one in answers
            ]
        )
    if standing is not row.standing:
        connection.execute(update(studies).where(studies.c.orthanc_id == study).values(standing=standing))


def newest_opinions(connection: Connection, keys: Iterable[str]) -> dict[str, Opinion]:
    """Return the newest opinion about each of some answers, by `Job.answer_key`."""
    opinions = tables.opinions
    keys = list(keys)
    if not keys:
        return {}
    newest = select(func.max(opinions.c.id)).where(opinions.c.answer_key.in_(keys)).group_by(opinions.c.answer_key)
    rows = connection.execute(select(opinions).where(opinions.c.id.in_(newest)))
    return {row.answer_key: record_of(Opinion, row) for row in rows}
