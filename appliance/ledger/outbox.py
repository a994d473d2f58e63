# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The outbox: what goes to which destination of which answer, from the rule that asked for it to the confirmation.

A job's deliveries are written in one transaction with the note that its rules were applied, so that a service that is
killed neither forgets nor doubles them. One service at a time has a destination's turn, for one delivery, and they send
in order.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid5

from sqlalchemy import ColumnElement, Connection, and_, case, exists, func, insert, or_, select, true, update
from sqlalchemy.exc import IntegrityError

from appliance.errors import ApplianceError
from appliance.ledger import tables
from appliance.ledger.audit import APPLIANCE, append
from appliance.ledger.columns import record_of, values_of
from appliance.ledger.database import Database
from appliance.ledger.news import News
from appliance.ledger.records import AuditEvent, Delivery, Job, Turn
from appliance.ledger.states import DeliveryEvent, DeliveryState, JobState, deliveries_that, delivery_after

_NAMESPACE: Final = UUID("0c1a5c1e-3f5f-4d0e-8b57-52f7a4f7b0de")
_ROUTED: Final = (JobState.DONE, JobState.REFUSED, JobState.SUPERSEDED)
_GIVEN: Final = (DeliveryState.DELIVERED, DeliveryState.SENDING)
"""A destination that has it, or may have: a newer answer has to follow."""
_UNSENT: Final = (DeliveryState.REJECTED, DeliveryState.EXPIRED)
"""Nobody has it, and nobody decided so: the same answer given again is a new chance."""
_MOST: Final = 1000


class LostDeliveryError(ApplianceError):
    """The delivery is no longer this service's: its lease ran out, or somebody dropped it."""


@dataclass(frozen=True)
class Planned:
    """A delivery that a rule asks for."""

    destination: str
    rule: str
    content: tuple[str, ...] = ()
    first: bool = False
    follows: int = 0


@dataclass(frozen=True)
class Backlog:
    """What waits for a destination: how much, and since when the oldest (Unix seconds)."""

    waiting: int
    oldest: float


class Outbox:
    """The deliveries of all destinations."""

    def __init__(self, database: Database, news: News) -> None:
        self._database = database
        self._news = news

    # What the rules ask for

    def unrouted(self, limit: int = 50, apart_from: Collection[int] = ()) -> list[Job]:
        """Return jobs that have ended and to which no rule has been applied, oldest first, without some of them."""
        jobs = tables.jobs
        with self._database.reading() as connection:
            rows = connection.execute(
                select(jobs)
                .where(jobs.c.routed.is_(False), jobs.c.state.in_(_ROUTED), jobs.c.id.not_in(apart_from))
                .order_by(jobs.c.id)
                .limit(limit)
            )
            return [record_of(Job, row) for row in rows]

    def route(self, job: Job, planned: Sequence[Planned]) -> list[Delivery]:
        """Record that the rules were applied to a job, with what they ask for; return what is new in the outbox.

        Nothing happens when another service did so meanwhile. What older answers had waiting that this one takes the
        place of gives way. A destination that has got, or may have got, one of them gets this one too, whatever the
        rules say now. An answer that has given way itself is delivered to nobody. The same content goes to a
        destination once, by the first rule that asks for it.
        """
        jobs = tables.jobs
        with self._database.writing() as connection:
            row = connection.execute(select(jobs).where(jobs.c.id == job.id).with_for_update()).one_or_none()
            if row is None or row.routed:
                return []
            connection.execute(update(jobs).where(jobs.c.id == job.id).values(routed=True))
            if row.state == JobState.SUPERSEDED:
                return []
            standing = record_of(Job, row)
            asked = [*planned, *self._following(connection, standing, planned)]
            new = [made for one in asked if (made := self._put(connection, standing, one)) is not None]
        for name in {one.destination for one in new}:
            self._news.tell(name)
        return new

    def _following(self, connection: Connection, job: Job, planned: Sequence[Planned]) -> list[Planned]:
        """Let what waits of superseded answers give way; return what has to follow what was delivered of them.

        A refusal without a report is never superseded; it gives way too, once its study is read.
        """
        outbox, jobs = tables.outbox, tables.jobs
        gives_way = jobs.c.state == JobState.SUPERSEDED
        if job.state is JobState.DONE and not job.requested:
            refused = (jobs.c.state == JobState.REFUSED) & (jobs.c.orthanc_series == "") & (jobs.c.id < job.id)
            gives_way = or_(gives_way, refused)
        older = [
            record_of(Delivery, row)
            for row in connection.execute(
                select(outbox)
                .join(jobs, jobs.c.id == outbox.c.job)
                .where(
                    outbox.c.orthanc_study == job.orthanc_study,
                    outbox.c.job != job.id,
                    gives_way,
                )
                .order_by(outbox.c.id)
                .with_for_update(of=outbox)
            )
        ]
        for one in older:
            if one.state in deliveries_that(DeliveryEvent.SUPERSEDE) and one.state is not DeliveryState.SENDING:
                self._move(
                    connection, one.id, DeliveryEvent.SUPERSEDE, error=f"answer {job.id} came before it was delivered"
                )
        asked = {one.destination for one in planned}
        following: dict[str, Planned] = {}
        for one in older:
            if may_be_there(one) and one.destination not in asked and not self._is_followed(connection, one, job):
                before = following.get(one.destination, Planned(one.destination, one.rule))
                content = (*before.content, *(what for what in one.content if what not in before.content))
                following[one.destination] = Planned(
                    one.destination, one.rule, content, before.first or one.first, one.id
                )
        return list(following.values())

    def _is_followed(self, connection: Connection, older: Delivery, job: Job) -> bool:
        """Return whether an answer that stands beside this one, of the same study, has followed it already."""
        outbox, jobs = tables.outbox, tables.jobs
        return (
            connection.execute(
                select(outbox.c.id)
                .join(jobs, jobs.c.id == outbox.c.job)
                .where(
                    outbox.c.follows == older.id,
                    outbox.c.job != job.id,
                    jobs.c.state.in_((JobState.DONE, JobState.REFUSED)),
                )
                .limit(1)
            ).first()
            is not None
        )

    def _put(self, connection: Connection, job: Job, planned: Planned) -> Delivery | None:
        outbox = tables.outbox
        key = delivery_key(job, planned)
        there = connection.execute(
            select(outbox.c.id, outbox.c.job, outbox.c.state, jobs_state())
            .join(tables.jobs, tables.jobs.c.id == outbox.c.job)
            .where(outbox.c.key == key)
            .with_for_update(of=outbox)
        ).first()
        if there is not None:
            if there.job == job.id:
                return None  # by a rule above
            if there.job_state != JobState.SUPERSEDED:  # the same answer given once more: its objects had been lost
                if there.state not in _UNSENT:
                    return None
                self._renew_for(connection, there.id, job, planned)
                return self._get(connection, there.id)
            key = delivery_key(job, planned, again=True)  # the study is back where it was before a newer answer
        now = self._database.clock()
        values = {
            "key": key,
            "destination": planned.destination,
            "job": job.id,
            "orthanc_study": job.orthanc_study,
            "study_uid": job.study_uid,
            "rule": planned.rule,
            "state": DeliveryState.WAITING,
            "since": now,
            "created": now,
            "content": planned.content,
            "first": planned.first,
            "follows": planned.follows,
        }
        number = connection.execute(insert(outbox).values(values).returning(outbox.c.id)).scalar_one()
        return self._get(connection, int(number))

    def _renew_for(self, connection: Connection, number: int, job: Job, planned: Planned) -> None:
        """Let a delivery that was given up wait again, for the job that has given the same answer once more."""
        self._move(
            connection,
            number,
            DeliveryEvent.RETRY,
            job=job.id,
            rule=planned.rule,
            first=planned.first,
            follows=planned.follows,
            created=self._database.clock(),
            next_try=0.0,
            tries=0,
        )

    # Sending

    def claim(
        self, destination: str, owner: str, lease_s: float, step_aside: int, aside_too: bool = False
    ) -> Delivery | None:
        """Give the next delivery of a destination to `owner`; None when none has its time, or another has the turn.

        Those that go first come before others, and each in the order of the answers. The first that waits for its time
        keeps the others waiting, unless it has stepped aside: the destination has turned it down `step_aside` times
        (once, while another has stepped aside: it does take the others), or has a transfer of it in hand. Then it
        keeps back only what is about the same study, and is tried where nothing else has its time; with `aside_too`,
        before what does not go first. Among those that stepped aside, too, what goes first comes before others until
        it was tried `step_aside` times; from then on it takes turns with them.
        """
        now = self._database.clock()
        with self._database.reading() as connection:
            due = self._next(connection, destination, step_aside, now, aside_too)
        if due is None or due.at > now:  # nobody waits for a writer then
            return None
        self._require_turn(destination)
        with self._database.writing() as connection:
            turn = connection.execute(
                select(tables.turns).where(tables.turns.c.destination == destination).with_for_update()
            ).one()
            if turn.owner not in ("", owner) and turn.lease_until > now:
                return None
            if self._is_sending(connection, destination):
                return None  # of another life of a service, until its lease is over
            due = self._next(connection, destination, step_aside, now, aside_too)
            if due is None or due.at > now:
                return None
            lease_until = now + lease_s
            self._take_turn(connection, destination, owner, lease_until)
            tries = tables.outbox.c.tries + 1
            self._move(connection, due.delivery, DeliveryEvent.CLAIM, owner=owner, lease_until=lease_until, tries=tries)
            return self._get(connection, due.delivery)

    def next_due(self, destination: str, step_aside: int) -> float | None:
        """Return when the next delivery of a destination has its time (Unix seconds); None when nothing waits."""
        with self._database.reading() as connection:
            due = self._next(connection, destination, step_aside, self._database.clock())
        return None if due is None else due.at

    def _next(
        self, connection: Connection, destination: str, step_aside: int, now: float, aside_too: bool = False
    ) -> _Due | None:
        """Return the next delivery of a destination, and when it has its time; None when nothing waits."""
        outbox = tables.outbox
        older = outbox.alias()
        waits = _waits_for(outbox, destination)
        others_taken = select(outbox.c.id).where(waits, outbox.c.rejections >= step_aside).limit(1)
        limit = step_aside if connection.execute(others_taken).first() is None else 1
        behind = exists().where(
            _waits_for(older, destination),
            older.c.orthanc_study == outbox.c.orthanc_study,
            older.c.id < outbox.c.id,
            _has_stepped_aside(older, limit),
        )
        chosen = select(outbox.c.id, outbox.c.next_try, outbox.c.first).where(waits, ~behind).limit(1)
        fresh = connection.execute(
            chosen.where(~_has_stepped_aside(outbox, limit)).order_by(outbox.c.first.desc(), outbox.c.id)
        ).first()
        if fresh is not None and (fresh.next_try > now or fresh.first or not aside_too):
            return _Due(fresh.id, fresh.next_try)
        often_tried = outbox.c.tries >= step_aside  # what goes first and was tried so often lets one of the rest pass
        last = connection.execute(
            select(outbox.c.first & often_tried)
            .where(waits, _has_stepped_aside(outbox, limit), outbox.c.tries > 0)
            .order_by(outbox.c.since.desc(), outbox.c.next_try.desc(), outbox.c.id.desc())
            .limit(1)
        ).scalar()
        turn = case((~outbox.c.first, 1), (often_tried, 2 if last else 0), else_=0)
        aside = connection.execute(
            chosen.where(_has_stepped_aside(outbox, limit)).order_by(
                case((outbox.c.next_try > now, 3), else_=turn), outbox.c.next_try, outbox.c.id
            )
        ).first()
        if fresh is not None and (aside is None or aside.next_try > now):
            return _Due(fresh.id, fresh.next_try)
        return None if aside is None else _Due(aside.id, aside.next_try)

    def _is_sending(self, connection: Connection, destination: str) -> bool:
        outbox = tables.outbox
        asked = select(outbox.c.id).where(outbox.c.destination == destination, outbox.c.state == DeliveryState.SENDING)
        return connection.execute(asked.limit(1)).first() is not None

    def renew(self, delivery: Delivery, lease_s: float) -> None:
        """Renew the lease of a delivery and of its destination's turn. Raises `LostDeliveryError`."""
        until = self._database.clock() + lease_s
        with self._database.writing() as connection:
            self._require_token(connection, delivery)
            connection.execute(update(tables.outbox).where(tables.outbox.c.id == delivery.id).values(lease_until=until))
            self._take_turn(connection, delivery.destination, delivery.owner, until)

    def note_handle(self, delivery: Delivery, handle: str) -> None:
        """Keep by what name the destination knows the transfer under way. Raises `LostDeliveryError`."""
        with self._database.writing() as connection:
            self._require_token(connection, delivery)
            connection.execute(update(tables.outbox).where(tables.outbox.c.id == delivery.id).values(handle=handle))

    def confirm(self, delivery: Delivery, receipt: str) -> None:
        """Record, in the audit trail too, that a destination confirmed a delivery. Raises `LostDeliveryError`."""
        with self._database.writing() as connection:
            self._require_token(connection, delivery)
            self._move(connection, delivery.id, DeliveryEvent.CONFIRM, receipt=receipt, error="", handle="")
            self._give_turn_back(connection, delivery)
            what = {"delivery": delivery.key, "rule": delivery.rule, "content": list(delivery.content) or ["message"]}
            to = {"job": delivery.job, "to": delivery.destination}
            append(connection, self._database.clock(), AuditEvent.SENT, APPLIANCE, delivery.study_uid, **to, **what)

    def postpone(self, delivery: Delivery, why: str, next_try: float, rejected: bool = False, handle: str = "") -> None:
        """Make a delivery wait until `next_try`; `rejected`: the destination answered. Raises `LostDeliveryError`."""
        with self._database.writing() as connection:
            self._require_token(connection, delivery)
            self._move(
                connection,
                delivery.id,
                DeliveryEvent.POSTPONE,
                error=why,
                next_try=next_try,
                rejections=tables.outbox.c.rejections + int(rejected),
                handle=handle,
            )
            self._give_turn_back(connection, delivery)

    def end(self, delivery: Delivery, event: DeliveryEvent, why: str, handle: str = "") -> None:
        """Record that a delivery is rejected, expired or superseded, and why. Raises `LostDeliveryError`.

        What the destination has of it stays known: by `handle`, or by the one that was noted before.
        """
        with self._database.writing() as connection:
            self._require_token(connection, delivery)
            known = {"handle": handle} if handle else {}
            self._move(connection, delivery.id, event, error=why, **known)
            self._give_turn_back(connection, delivery)

    def take_up(self, owner: str, held: Collection[int] = ()) -> list[Delivery]:
        """Let wait again what was left in the middle, and return it.

        That is what `owner` (`IDENTITY/SESSION`) was sending and is no longer (`held` is what it is), what an earlier
        session of the same service was, and what others were whose lease is over.
        """
        outbox, turns = tables.outbox, tables.turns
        earlier = f"{owner.partition('/')[0]}/"
        now = self._database.clock()
        with self._database.writing() as connection:
            left = [
                record_of(Delivery, row)
                for row in connection.execute(
                    select(outbox)
                    .where(
                        outbox.c.state == DeliveryState.SENDING,
                        outbox.c.id.not_in(held),
                        or_(outbox.c.lease_until < now, outbox.c.owner.startswith(earlier, autoescape=True)),
                    )
                    .with_for_update(skip_locked=True)
                )
            ]
            for one in left:
                self._move(connection, one.id, DeliveryEvent.INTERRUPT, owner="", next_try=0.0)
                self._give_turn_back(connection, one)
            connection.execute(
                update(turns)
                .where(turns.c.owner != owner, turns.c.owner.startswith(earlier, autoescape=True))
                .values(owner="", lease_until=0.0)
            )
        for name in {one.destination for one in left}:
            self._news.tell(name)
        return left

    def expire(self, before: float) -> list[Delivery]:
        """End what has waited since before a time (Unix seconds), to whomever, and return it."""
        outbox = tables.outbox
        with self._database.writing() as connection:
            old = [
                record_of(Delivery, row)
                for row in connection.execute(
                    select(outbox)
                    .where(outbox.c.state == DeliveryState.WAITING, outbox.c.created < before)
                    .limit(_MOST)
                    .with_for_update(skip_locked=True)
                )
            ]
            for one in old:
                self._move(connection, one.id, DeliveryEvent.EXPIRE)
        for name in {one.destination for one in old}:
            self._news.tell(name)
        return old

    # What people look at and do

    def deliveries(
        self,
        states: Iterable[DeliveryState] = (),
        destination: str = "",
        study_uid: str = "",
        limit: int = 100,
        before: int | None = None,
    ) -> list[Delivery]:
        """Return the newest deliveries, of these states, this destination and this study where they are named.

        With `before`, only those with a lower number.
        """
        outbox, wanted = tables.outbox, tuple(states)
        with self._database.reading() as connection:
            rows = connection.execute(
                select(outbox)
                .where(
                    outbox.c.state.in_(wanted) if wanted else true(),
                    outbox.c.destination == destination if destination else true(),
                    outbox.c.study_uid == study_uid if study_uid else true(),
                    outbox.c.id < before if before is not None else true(),
                )
                .order_by(outbox.c.id.desc())
                .limit(limit)
            )
            return [record_of(Delivery, row) for row in rows]

    def delivery(self, number: int) -> Delivery | None:
        """Return a delivery by its number."""
        with self._database.reading() as connection:
            row = connection.execute(select(tables.outbox).where(tables.outbox.c.id == number)).one_or_none()
            return None if row is None else record_of(Delivery, row)

    def backlogs(self) -> dict[str, Backlog]:
        """Return what waits, by destination."""
        outbox = tables.outbox
        with self._database.reading() as connection:
            rows = connection.execute(
                select(outbox.c.destination, func.count(), func.min(outbox.c.created))
                .where(outbox.c.state.in_((DeliveryState.WAITING, DeliveryState.SENDING)))
                .group_by(outbox.c.destination)
            )
            return {name: Backlog(int(count), float(oldest)) for name, count, oldest in rows}

    def oldest_unrouted_s(self) -> float:
        """Return how long the oldest answer to which no rule has been applied has stood, s; 0 when there is none."""
        jobs = tables.jobs
        with self._database.reading() as connection:
            since = connection.execute(
                select(func.min(jobs.c.since)).where(jobs.c.routed.is_(False), jobs.c.state.in_(_ROUTED))
            ).scalar()
        return 0.0 if since is None else max(0.0, self._database.clock() - since)

    def counts(self) -> dict[tuple[str, DeliveryState], int]:
        """Return how many deliveries there are, by destination and state."""
        outbox = tables.outbox
        with self._database.reading() as connection:
            rows = connection.execute(
                select(outbox.c.destination, outbox.c.state, func.count()).group_by(
                    outbox.c.destination, outbox.c.state
                )
            )
            return {(name, state): int(count) for name, state, count in rows}

    def retry(self, number: int) -> Delivery:
        """Let a delivery be tried now, though it was given up or its time has not come.

        What the destination has of it is not forgotten: a mail goes only to those who do not have it. One that was
        turned down keeps no others waiting.

        Raises `InvalidTransitionError` for one that is under way, delivered, or about an answer that has given way.
        """
        now = self._database.clock()
        with self._database.writing() as connection:
            self._move(connection, number, DeliveryEvent.RETRY, next_try=0.0, created=now, tries=0)
            one = self._get(connection, number)
        self._news.tell(one.destination)
        return one

    def drop(self, number: int, who: str) -> Delivery:
        """Take a delivery out, as `who` wants. Raises `InvalidTransitionError` for one that is under way or ended."""
        with self._database.writing() as connection:
            self._move(connection, number, DeliveryEvent.DROP, error=f"dropped by {who}")
            one = self._get(connection, number)
            what = {"delivery": one.key, "to": one.destination, "job": one.job}
            append(connection, self._database.clock(), AuditEvent.DROPPED, who[:64], one.study_uid, **what)
        self._news.tell(one.destination)  # it may have kept others waiting
        return one

    def _get(self, connection: Connection, number: int) -> Delivery:
        return record_of(Delivery, connection.execute(select(tables.outbox).where(tables.outbox.c.id == number)).one())

    def _move(self, connection: Connection, number: int, event: DeliveryEvent, **values: Any) -> None:
        outbox = tables.outbox
        state = connection.execute(select(outbox.c.state).where(outbox.c.id == number).with_for_update()).scalar_one()
        connection.execute(
            update(outbox)
            .where(outbox.c.id == number)
            .values(state=delivery_after(state, event), since=self._database.clock(), **values)
        )

    def _require_token(self, connection: Connection, delivery: Delivery) -> None:
        outbox = tables.outbox
        row = connection.execute(
            select(outbox.c.owner, outbox.c.tries, outbox.c.state).where(outbox.c.id == delivery.id).with_for_update()
        ).one_or_none()
        if row is None or (row.owner, row.tries, row.state) != (delivery.owner, delivery.tries, DeliveryState.SENDING):
            raise LostDeliveryError(f"delivery {delivery.id} is no longer this service's")

    def _require_turn(self, destination: str) -> None:
        """Make the row of a destination, once."""
        turns = tables.turns
        with self._database.reading() as connection:
            if connection.execute(select(turns.c.owner).where(turns.c.destination == destination)).first() is not None:
                return
        try:
            with self._database.writing() as connection:
                connection.execute(insert(turns).values(values_of(Turn(destination))))
        except IntegrityError:  # another service made it
            return

    def _take_turn(self, connection: Connection, destination: str, owner: str, until: float) -> None:
        turns = tables.turns
        connection.execute(
            update(turns).where(turns.c.destination == destination).values(owner=owner, lease_until=until)
        )

    def _give_turn_back(self, connection: Connection, delivery: Delivery) -> None:
        """Let any service send next: the one that sent this may idle, or be gone, long before its lease is over."""
        turns = tables.turns
        connection.execute(
            update(turns)
            .where(turns.c.destination == delivery.destination, turns.c.owner == delivery.owner)
            .values(owner="", lease_until=0.0)
        )


@dataclass(frozen=True)
class _Due:
    """A delivery and when it has its time, Unix seconds."""

    delivery: int
    at: float


def _waits_for(outbox: Any, destination: str) -> ColumnElement[bool]:
    return and_(outbox.c.destination == destination, outbox.c.state == DeliveryState.WAITING)


def _has_stepped_aside(outbox: Any, limit: int) -> ColumnElement[bool]:
    """Return the condition for a delivery that lets others pass.

    One whose transfer goes on at the destination is asked about now and then; one that was interrupted in the middle
    has a transfer too and keeps its place.
    """
    return or_(outbox.c.rejections >= limit, and_(outbox.c.handle != "", outbox.c.next_try > 0))


def may_be_there(delivery: Delivery) -> bool:
    """Return whether a destination has a delivery, or may: it was sent and only not confirmed, or was begun."""
    return delivery.state in _GIVEN or delivery.rejections > 0 or delivery.handle != ""


def jobs_state() -> Any:
    """Return the column of the job's state, named apart from that of the delivery."""
    return tables.jobs.c.state.label("job_state")


def delivery_key(job: Job, planned: Planned, again: bool = False) -> str:
    """Return what identifies a delivery, in this ledger and in any other: the same for the same answer.

    The report identifies an answer; without one its job does. `again` marks a later delivery of the same answer.
    """
    answer = job.sr_uid or f"{job.id} {job.created!r}"
    repeat = f" {job.id}" if again else ""
    return str(uuid5(_NAMESPACE, f"{job.study_uid} {answer} {planned.destination} {','.join(planned.content)}{repeat}"))
