# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What readers say of the answers. Opinions are only added; the newest about an answer counts.

An opinion is about one answer: a later answer that takes its place is asked about anew. The same answer given once more
(its report has the same UID) keeps its opinions.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import func, insert, select, true

from appliance.errors import ApplianceError
from appliance.findings.outcome import Outcome
from appliance.ledger import tables
from appliance.ledger.audit import append
from appliance.ledger.board_rows import STANDING, newest_opinions, place_study
from appliance.ledger.columns import record_of
from appliance.ledger.database import Database
from appliance.ledger.outcomes import LONGEST_NOTE, REASONS, Reason, Stance
from appliance.ledger.records import AuditEvent, Job, Opinion
from appliance.ledger.states import JobState

_AT_ONCE: Final = 1000
_KEPT_S: Final = 600.0


class InvalidOpinionError(ApplianceError):
    """The opinion does not fit the answer: a reason that it cannot have, or a note that is too long."""


class AnswerGoneError(ApplianceError):
    """The answer is not valid any more, or never was: another took its place, or there is none with this number."""


class OtherOpinionError(ApplianceError):
    """Somebody else gave an opinion since the reader last looked."""


@dataclass(frozen=True)
class NewOpinion:
    """An opinion to add. `seen` is the newest one about the answer that the reader knew of, 0 for none."""

    who: str
    stance: Stance
    reason: Reason = Reason.NONE
    note: str = ""
    seen: int = 0


@dataclass(frozen=True)
class Count:
    """Of how many studies one opinion counts; see `Opinion` for the fields."""

    model: str
    model_sha256: str
    outcome: Outcome
    stance: Stance
    reason: Reason
    studies: int


class Opinions:
    """The opinions of readers."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._counting = threading.Lock()
        self._counted: tuple[float, int, list[Count]] = (-math.inf, -1, [])

    def give(self, job: int, new: NewOpinion) -> Opinion:
        """Add an opinion about the answer of a job, in the audit trail too, and return it.

        What already stands is returned again and not added twice.

        Raises
        ------
        InvalidOpinionError
            when the reason does not fit the answer, or the note is missing or too long.
        AnswerGoneError
            when the answer is not valid (any more).
        OtherOpinionError
            when there is a newer opinion than the reader has seen.
        """
        jobs, opinions = tables.jobs, tables.opinions
        with self._database.writing() as connection:
            row = connection.execute(select(jobs).where(jobs.c.id == job)).one_or_none()
            if row is None:
                raise AnswerGoneError(f"there is no answer {job}")
            about = record_of(Job, row)
            # Others that judge, and answers that supersede, wait here until this has ended.
            connection.execute(
                select(tables.studies.c.orthanc_id)
                .where(tables.studies.c.orthanc_id == about.orthanc_study)
                .with_for_update()
            )
            state = connection.execute(select(jobs.c.state).where(jobs.c.id == job)).scalar_one()
            if state not in STANDING:
                said = "another answer has taken its place" if state == JobState.SUPERSEDED else f"it is {state}"
                raise AnswerGoneError(f"answer {job} is not valid: {said}; look at the study again")
            outcome = about.outcome
            checked = _checked(new, outcome)
            before = newest_opinions(connection, [about.answer_key]).get(about.answer_key)
            if before is not None and _says_the_same(before, checked):
                return before
            if (before.id if before else 0) != checked.seen:
                raise OtherOpinionError(
                    f"{before.who if before else 'nobody'} was the last to judge answer {job}, and not what you saw; "
                    "look at the study again"
                )
            if before is None and checked.stance is Stance.TAKEN_BACK:
                raise InvalidOpinionError(f"nobody has said anything of answer {job} that could be taken back")
            model = about.answer.get("model") or {}
            who = checked.who[:64]
            values = {
                "answer_key": about.answer_key,
                "job": job,
                "orthanc_study": about.orthanc_study,
                "study_uid": about.study_uid,
                "outcome": outcome,
                "model": str(model.get("version", "")),
                "model_sha256": str(model.get("sha256", "")),
                "at": self._database.clock(),
                "who": who,
                "stance": checked.stance,
                "reason": checked.reason,
                "note": checked.note,
            }
            number = connection.execute(insert(opinions).values(values).returning(opinions.c.id)).scalar_one()
            place_study(connection, about.orthanc_study)
            told = {"opinion": int(number), "job": job, "answer": outcome.value, "stance": checked.stance.value}
            if checked.reason is not Reason.NONE:
                told["reason"] = checked.reason.value
            # Without the note: it is a person's own words, and the trail names no patient.
            append(connection, self._database.clock(), AuditEvent.OPINION, who, about.study_uid, **told)
            return record_of(Opinion, connection.execute(select(opinions).where(opinions.c.id == number)).one())

    def of_answers(self, keys: Iterable[str]) -> Mapping[str, list[Opinion]]:
        """Return all opinions about some answers (`Job.answer_key`), the oldest first."""
        opinions = tables.opinions
        found: dict[str, list[Opinion]] = {key: [] for key in keys}
        with self._database.reading() as connection:
            for row in connection.execute(
                select(opinions).where(opinions.c.answer_key.in_(list(found))).order_by(opinions.c.id)
            ):
                found[row.answer_key].append(record_of(Opinion, row))
        return found

    def entries(
        self, since: float = 0.0, until: float | None = None, *, only_newest: bool = False
    ) -> Iterator[Opinion]:
        """Yield opinions of a period (Unix seconds, without `until`), oldest first.

        With `only_newest`, only those that count: the newest about each answer, unless it was taken back.
        """
        opinions = tables.opinions
        last = 0
        while True:
            with self._database.reading() as connection:
                rows = connection.execute(
                    select(opinions)
                    .where(
                        opinions.c.id > last,
                        opinions.c.at >= since,
                        opinions.c.at < until if until is not None else true(),
                        _counts() if only_newest else true(),
                    )
                    .order_by(opinions.c.id)
                    .limit(_AT_ONCE)
                ).all()
            for row in rows:
                yield record_of(Opinion, row)
            if len(rows) < _AT_ONCE:
                return
            last = rows[-1].id

    def counts(self) -> list[Count]:
        """Return of how many studies which opinion counts, by network, outcome, stance and reason.

        A study counts once for each network and outcome, by the newest opinion: one that was sent, answered and judged
        three times is still one patient. The figures are kept until there is another opinion, or for ten minutes.
        """
        now = self._database.clock()
        newest = self.newest()
        with self._counting:
            at, known, counts = self._counted
            if known == newest and at <= now < at + _KEPT_S:
                return list(counts)
        opinions = tables.opinions
        study = (opinions.c.orthanc_study, opinions.c.model_sha256, opinions.c.outcome)
        one_each = select(func.max(opinions.c.id)).where(_counts()).group_by(*study)
        kinds = (opinions.c.model, opinions.c.model_sha256, opinions.c.outcome, opinions.c.stance, opinions.c.reason)
        with self._database.reading() as connection:
            rows = connection.execute(select(*kinds, func.count()).where(opinions.c.id.in_(one_each)).group_by(*kinds))
            found = [Count(*row) for row in rows]
        with self._counting:
            self._counted = now, newest, found
        return list(found)

    def newest(self) -> int:
        """Return the number of the newest opinion, 0 when there is none."""
        with self._database.reading() as connection:
            return int(connection.execute(select(func.max(tables.opinions.c.id))).scalar() or 0)


def _counts() -> Any:
    """Return the condition that an opinion is the newest about its answer and was not taken back."""
    opinions = tables.opinions
    newer = opinions.alias("newer")
    overtaken = (
        select(newer.c.id).where(newer.c.answer_key == opinions.c.answer_key, newer.c.id > opinions.c.id).exists()
    )
    return (opinions.c.stance != Stance.TAKEN_BACK) & ~overtaken


def _checked(new: NewOpinion, outcome: Outcome) -> NewOpinion:
    """Return an opinion with a tidy note. Raises `InvalidOpinionError` when it does not fit an answer."""
    note = " ".join("".join(one if one.isprintable() else " " for one in new.note).split())
    if len(note) > LONGEST_NOTE:
        raise InvalidOpinionError(f"the note has {len(note)} characters; at most {LONGEST_NOTE} are allowed")
    if new.stance is not Stance.DISAGREES:
        if new.reason is not Reason.NONE:
            raise InvalidOpinionError(f"a reason is for who disagrees, and this opinion is: {new.stance}")
    elif new.reason not in REASONS[outcome]:
        allowed = ", ".join(REASONS[outcome])
        raise InvalidOpinionError(f"to disagree with this answer, say why; one of these is allowed: {allowed}")
    if new.reason is Reason.OTHER and not note:
        raise InvalidOpinionError("a disagreement for another reason needs a note that says which")
    return NewOpinion(new.who, new.stance, new.reason, note, new.seen)


def _says_the_same(before: Opinion, new: NewOpinion) -> bool:
    return (before.who, before.stance, before.reason, before.note) == (new.who[:64], new.stance, new.reason, new.note)
