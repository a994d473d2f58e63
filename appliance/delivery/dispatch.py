# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The threads that deliver: one applies the rules to each answer, and one for each destination sends.

So a destination that is away, or slow, delays no other, and none delays an answer: the rules are applied once it is
finished. After a restart the service takes up deliveries that were in progress.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from appliance.clocks import DAY_S
from appliance.delivery.destinations.destination import (
    AwayError,
    Destination,
    NotTakenError,
    Parcel,
    RejectedError,
    StoppingError,
    UnfinishedError,
)
from appliance.delivery.destinations.registry import destination
from appliance.delivery.marks import standing_job
from appliance.delivery.rule_marks import RuleMarks
from appliance.delivery.rules import Rules, Verdict, all_marks, all_planned
from appliance.delivery.situation import situation, source_series, time_zone
from appliance.delivery.variables import Situation, values_of
from appliance.errors import ApplianceError, UnavailableError
from appliance.findings.outcome import Outcome
from appliance.ledger.ledger import Ledger
from appliance.ledger.news import ANSWERS
from appliance.ledger.outbox import LostDeliveryError, Planned, may_be_there
from appliance.ledger.records import Delivery, Job, ResultObject
from appliance.ledger.states import DeliveryEvent, JobState
from appliance.log import describe
from appliance.metrics import Metrics
from appliance.orthanc import Orthanc
from appliance.orthanc_errors import NotThereError
from appliance.results import kinds
from appliance.settings import Settings

_AGAIN_S: Final = 0.5
"""The pause before what failed, or what another service has in hand, is looked at again."""
_LOOKED_EVERY_S: Final = 5.0
"""How often a thread that nobody wakes looks into the ledger: other processes write there too."""
_ASIDE_SHARE: Final = 4
"""What has stepped aside is tried, though others wait, after this many times as long as its last try took."""
_ASIDE_EVERY_S: Final = 60.0
_TIDIED_EVERY_S: Final = 30.0
_LEASE_S: Final = 60.0
_LOOKS: Final = 10
"""So often an answer's headers are asked for in vain, though Orthanc answers, before its rules are applied without."""
_LOOKED_AGAIN_S: Final = 10.0
_KINDS: Final = {
    "sr": (kinds.SR.name, kinds.REFUSAL.name),
    "seg": (kinds.SEG.name,),
    "key-images": (kinds.KEY_IMAGES.name,),
    "key-objects": (kinds.KEY_OBJECTS.name,),
}
"""The kinds of results behind what a rule sends."""


class _SupersededError(Exception):
    """A newer answer has replaced the one to be delivered."""


@dataclass
class _Unread:
    """An answer whose headers could not be read: how often they were asked for, and when they are again."""

    looks: int = 0
    next_look: float = 0.0


class Dispatch:
    """Applies the rules and delivers; `threads` are the bodies of its threads by name."""

    def __init__(self, settings: Settings, orthanc: Orthanc, ledger: Ledger, metrics: Metrics, owner: str) -> None:
        self._settings = settings
        self._orthanc = orthanc
        self._ledger = ledger
        self._metrics = metrics
        self._owner = owner
        self._rules = Rules(settings.rules)
        self._marks = RuleMarks(orthanc, ledger, metrics)
        self._zone = time_zone(settings.delivery.time_zone)
        self._destinations = {name: destination(one, orthanc) for name, one in settings.destinations.items()}
        self._lock = threading.Lock()
        self._held: dict[str, int] = {}
        self._unread: dict[int, _Unread] = {}
        self._news = {name: threading.Event() for name in (ANSWERS, *self._destinations)}
        for name, event in self._news.items():
            ledger.news.follow(name, event)
        self._aside_from = dict.fromkeys(self._destinations, time.monotonic() + _ASIDE_EVERY_S)
        self._log = structlog.get_logger("delivery")
        for name in self._destinations:
            metrics.know_destination(name)
        for rule in settings.rules:
            metrics.rule_errors.labels(rule.name)

    def threads(self, stopping: threading.Event) -> dict[str, Callable[[], None]]:
        """Return the body of each thread by its name."""
        sending = {f"deliver-{name}": _bound(self._keep_sending, name, stopping) for name in self._destinations}
        return {"rules": lambda: self._keep_routing(stopping), **sending}

    def wake(self) -> None:
        """Wake every thread, because the service stops."""
        for news in self._news.values():
            news.set()

    # The rules

    def _keep_routing(self, stopping: threading.Event) -> None:
        tidied = 0.0
        failing: dict[str, str] = {}
        while not stopping.is_set():
            self._news[ANSWERS].clear()
            self._attempt(self._route_all, "rules wait", failing)
            if time.monotonic() > tidied + _TIDIED_EVERY_S:
                self._attempt(self.tidy, "deliveries are not tidied", failing)
                tidied = time.monotonic()
            if failing:
                stopping.wait(_AGAIN_S)
            elif not stopping.is_set():  # or the news that it stops may have been cleared
                self._news[ANSWERS].wait(_LOOKED_EVERY_S)

    def _route_all(self) -> None:
        while self.route():
            pass

    def _attempt(self, step: Callable[[], object], failure: str, failing: dict[str, str]) -> None:
        """Take a step, and log a failure once: the ledger or Orthanc is away, and the next round looks again."""
        try:
            step()
        except Exception as error:
            if describe(error) != failing.get(failure):
                failing[failure] = describe(error)
                self._log.warning(failure, error=failing[failure])
        else:
            failing.pop(failure, None)

    def route(self) -> int:
        """Apply the rules to the answers that they have not been applied to; return how many.

        An answer whose headers cannot be read although Orthanc answers delays none of the others: it is looked at
        again, and after some looks the rules are applied to what is known without them. Raises `UnavailableError`
        when Orthanc or the ledger is away.
        """
        now = time.monotonic()
        routed = 0
        resting = [number for number, unread in self._unread.items() if unread.next_look > now]
        for job in self._ledger.outbox.unrouted(apart_from=resting):
            try:
                verdicts = self._verdicts(job)
            except (UnavailableError, NotThereError) as error:
                if self._has_left(job, error):
                    self._tell_left(job)
                    verdicts = []
                elif self._looks_again(job, error):
                    continue
                else:
                    verdicts = self._judge_without_headers(job, error)
            except Exception as error:  # what rules ask about the answer itself is known
                verdicts = self._judge_without_headers(job, error)
            self._tell_errors(job, verdicts)
            try:
                self._marks.settle(job, all_marks(verdicts))
                made = self._ledger.outbox.route(job, self._with_content(job, all_planned(verdicts)))
            except UnavailableError:
                raise
            except Exception as error:  # a fault of ours: it must not hold the others back forever
                self._unread.setdefault(job.id, _Unread()).next_look = time.monotonic() + _LOOKED_AGAIN_S
                self._log.error("rules not applied", job=job.id, study=job.study_uid, error=describe(error))
                continue
            self._unread.pop(job.id, None)
            routed += 1
            if made:
                told = [f"{one.rule} > {one.destination}" for one in made]
                self._log.info("to deliver", job=job.id, study=job.study_uid, deliveries=told)
        return routed

    def _has_left(self, job: Job, error: Exception) -> bool:
        """Return whether Orthanc no longer holds a study, by a second look: one 404 alone may pass."""
        if not isinstance(error, NotThereError):
            return False
        try:
            self._orthanc.study(job.orthanc_study)
        except NotThereError:
            return True
        except ApplianceError:
            return False
        return False

    def _tell_left(self, job: Job) -> None:
        """Log that no rules are applied to a study that has left; nobody hears of a hemorrhage then, so count it."""
        if job.outcome is Outcome.PRESENT:
            self._metrics.rule_errors.labels("(study gone)").inc()
            self._log.error(
                "no rules applied to a hemorrhage: the study is no longer in Orthanc", job=job.id, study=job.study_uid
            )
        else:
            self._log.info("no rules applied: the study is no longer in Orthanc", job=job.id, study=job.study_uid)

    def _looks_again(self, job: Job, error: Exception) -> bool:
        """Return whether an answer is to be looked at again, and note when. Raises what Orthanc or the ledger does."""
        self._require_neighbours()
        unread = self._unread.setdefault(job.id, _Unread())
        unread.looks += 1
        unread.next_look = time.monotonic() + _LOOKED_AGAIN_S
        if unread.looks >= _LOOKS:
            return False
        if unread.looks == 1:
            self._log.warning(
                "rules wait for headers of one study", job=job.id, study=job.study_uid, error=describe(error)
            )
        return True

    def _is_about_one_study(self) -> bool:
        """Return whether Orthanc and the ledger answer, so that what failed is about one study and no other."""
        try:
            self._require_neighbours()
        except ApplianceError:
            return False
        return True

    def _require_neighbours(self) -> None:
        """Raise `UnavailableError` unless Orthanc and the ledger answer, so that what failed is about one study."""
        self._orthanc.system()
        self._ledger.outbox.unrouted(1)

    def _judge_without_headers(self, job: Job, error: Exception) -> list[Verdict]:
        self._metrics.rule_errors.labels("(headers)").inc()
        self._log.error(
            "rules applied without headers, which cannot be read",
            job=job.id,
            study=job.study_uid,
            error=describe(error),
        )
        return self._rules.judge(values_of(Situation(job, zone=self._zone)))

    def _with_content(self, job: Job, planned: Sequence[Planned]) -> list[Planned]:
        """Leave out deliveries of objects of which the answer has none: a head without hemorrhage has no segmentation.

        One of a hemorrhage is kept: its objects should be there, and whoever waits for them is told if they are not.
        """
        if job.outcome is Outcome.PRESENT or not any(one.content for one in planned):
            return [*planned]
        made = {_kind_of(one) for one in self._ledger.jobs.results(job.id)}
        kept = []
        for one in planned:
            if not one.content or "source" in one.content or any(made.intersection(_KINDS[it]) for it in one.content):
                kept.append(one)
            else:
                self._log.info(
                    "nothing to send: the answer has none of what the rule names",
                    rule=one.rule,
                    destination=one.destination,
                    content=list(one.content),
                    job=job.id,
                    study=job.study_uid,
                )
        return kept

    def _verdicts(self, job: Job) -> list[Verdict]:
        if job.state is JobState.SUPERSEDED or not self._settings.rules:
            return []
        if (
            job.requested and job.state is JobState.REFUSED
        ):  # the person who asked sees it, and the study's answer is unchanged
            return []
        if job.state is JobState.REFUSED and not self._stands_for_study(job):
            self._log.info(
                "no rules applied to a refusal: another answer stands for the study", job=job.id, study=job.study_uid
            )
            return []
        return self._rules.judge(values_of(situation(job, self._orthanc, self._ledger, self._zone)))

    def _stands_for_study(self, refused: Job) -> bool:
        """Return whether a refusal is what stands for its study, as in the study's mark.

        An answer about a series that a person asked for counts only if it is of a hemorrhage, and none counts whose
        report has left Orthanc: the study was deleted then, and came again.
        """
        answered = [
            one
            for one in self._ledger.jobs.of_study(refused.orthanc_study)
            if one.state is JobState.DONE
            and (not one.requested or one.outcome is Outcome.PRESENT)
            and any(
                result.sop_instance_uid == one.sr_uid and self._orthanc.holds_instance(result.orthanc_instance)
                for result in self._ledger.jobs.results(one.id)
            )
        ]
        return standing_job([refused, *answered]) is refused

    def _tell_errors(self, job: Job, verdicts: list[Verdict]) -> None:
        for verdict in verdicts:
            if verdict.error:
                self._metrics.rule_errors.labels(verdict.rule).inc()
                self._log.error(
                    "a rule could not be evaluated",
                    rule=verdict.rule,
                    job=job.id,
                    study=job.study_uid,
                    why=verdict.error,
                )

    def tidy(self) -> None:
        """Take up deliveries that an earlier session left unfinished, and give up those that have waited too long."""
        with self._lock:
            left = self._ledger.outbox.take_up(self._owner, [*self._held.values()])
        for one in left:
            self._log.warning("taking up a delivery that was left in the middle", **_about(one))
        before = self._ledger.clock() - self._settings.delivery.give_up_days * DAY_S
        for one in self._ledger.outbox.expire(before):
            self._metrics.deliveries.labels(one.destination, "expired").inc()
            self._log.error("delivery given up", **_about(one), error=one.error)

    # Sending

    def _keep_sending(self, name: str, stopping: threading.Event) -> None:
        failing = ""
        while not stopping.is_set():
            self._news[name].clear()
            try:
                while not stopping.is_set() and self.send(name, stopping):
                    pass
                wait_s = self._idle_s(name)
                failing = ""
            except Exception as error:  # the ledger is away: nothing could be recorded, so look again later
                if describe(error) != failing:
                    failing = describe(error)
                    self._log.warning("deliveries wait", destination=name, error=failing)
                stopping.wait(_AGAIN_S)
                continue
            if not stopping.is_set():
                self._news[name].wait(wait_s)

    def _idle_s(self, name: str) -> float:
        """Return how long to wait for the next delivery of a destination, unless there is news of it, s."""
        due = self._ledger.outbox.next_due(name, self._settings.delivery.step_aside_tries)
        if due is None:
            return _LOOKED_EVERY_S
        return min(max(due - self._ledger.clock(), _AGAIN_S), _LOOKED_EVERY_S)

    def send(self, name: str, stopping: threading.Event | None = None) -> bool:
        """Send the next delivery of a destination; return whether there was one.

        Raises `UnavailableError` when the ledger cannot record how it ended: it is then taken up again.
        """
        lease_s = max(_LEASE_S, 2 * self._settings.destinations[name].timeout_s)
        aside = self._settings.delivery.step_aside_tries
        with self._lock:  # or `tidy` could meet a delivery that is claimed and not yet held
            begun = time.monotonic()
            aside_too = begun >= self._aside_from[name]
            delivery = self._ledger.outbox.claim(name, self._owner, lease_s, aside, aside_too)
            if delivery is None:
                return False
            self._held[name] = delivery.id
        try:
            self._try(delivery, lease_s, stopping)
        finally:
            if aside_too and delivery.tries > 1:
                took_s = time.monotonic() - begun
                self._aside_from[name] = time.monotonic() + max(_ASIDE_EVERY_S, _ASIDE_SHARE * took_s)
            with self._lock:
                del self._held[name]
        return True

    def _try(self, delivery: Delivery, lease_s: float, stopping: threading.Event | None) -> None:
        name = delivery.destination
        try:
            receipt = self._deliver(delivery, self._destinations[name], lease_s, stopping)
        except LostDeliveryError as error:
            self._log.warning("delivery lost", **_about(delivery), error=describe(error))
        except StoppingError as error:
            self._ledger.outbox.postpone(delivery, "the service stopped", 0.0, handle=error.handle)
        except _SupersededError:
            self._ledger.outbox.end(delivery, DeliveryEvent.SUPERSEDE, "a newer answer came before it was delivered")
        except RejectedError as error:
            self._end(delivery, DeliveryEvent.REJECT, "rejected", str(error))
        except UnfinishedError as error:
            self._postpone(delivery, describe(error), False, error.handle)
        except (AwayError, NotTakenError) as error:
            self._postpone(delivery, describe(error), isinstance(error, NotTakenError))
        except UnavailableError as error:
            self._postpone(delivery, describe(error), self._is_about_one_study(), delivery.handle)
        except Exception as error:  # a fault of ours: it must not hold the others back forever
            self._postpone(delivery, describe(error), True)
        else:
            self._ledger.outbox.confirm(delivery, receipt)
            self._metrics.deliveries.labels(name, "delivered").inc()
            self._log.info("delivered", **_about(delivery), receipt=receipt)

    def _deliver(self, delivery: Delivery, to: Destination, lease_s: float, stopping: threading.Event | None) -> str:
        jobs = {one.id: one for one in self._ledger.jobs.of_study(delivery.orthanc_study)}
        job = jobs.get(delivery.job)
        if job is None:
            raise RejectedError("the ledger no longer holds the answer")
        read_later = job.state is JobState.REFUSED and any(
            one.id > job.id and one.state is JobState.DONE and not one.requested for one in jobs.values()
        )
        if job.state is JobState.SUPERSEDED or read_later:  # a try was under way when rules were applied to the newer
            raise _SupersededError
        try:
            seen = self._situation(delivery, job)
            instances = self._objects(delivery, job)
        except NotThereError as error:
            if self._has_left(job, error):
                raise RejectedError("the study is no longer in Orthanc") from None
            raise NotTakenError(f"Orthanc holds the study and does not give all of it: {describe(error)}") from error
        handle = [delivery.handle]

        def note(name: str) -> None:
            handle[0] = name
            self._ledger.outbox.note_handle(delivery, name)

        renewed = [time.monotonic()]

        def go_on() -> None:
            if stopping is not None and stopping.is_set():
                raise StoppingError(handle[0])
            if time.monotonic() > renewed[0] + lease_s / 4:
                self._ledger.outbox.renew(delivery, lease_s)
                renewed[0] = time.monotonic()

        def complain(why: str) -> None:
            self._metrics.deliveries.labels(delivery.destination, "rejected").inc()
            self._log.error("a part of a delivery given up", **_about(delivery), error=why)

        replaced = seen.earlier.sr_uid if seen.earlier is not None else ""
        there = self._ledger.outbox.deliveries(destination=delivery.destination, study_uid=delivery.study_uid)
        corrects = self._corrects(delivery, jobs, there)
        earlier = [one for one in there if one.id != delivery.id and may_be_there(one)]
        known = tuple(sorted(earlier, key=lambda one: (one.since, one.id)))
        return to.deliver(Parcel(delivery, seen, instances, replaced, note, go_on, complain, corrects, known))

    def _corrects(self, delivery: Delivery, jobs: Mapping[int, Job], there: Sequence[Delivery]) -> bool:
        """Return whether the destination has, or may have, an older answer about the study that has given way."""
        older = [one for one in there if one.job < delivery.job and one.job in jobs]
        return delivery.follows > 0 or any(
            jobs[one.job].state is JobState.SUPERSEDED and may_be_there(one) for one in older
        )

    def _situation(self, delivery: Delivery, job: Job) -> Situation:
        """Return what is known about an answer; objects go without a source image's header where it cannot be read.

        They say for themselves what they are about, while a message without the patient's identity would be about
        nobody.
        """
        try:
            return situation(job, self._orthanc, self._ledger, self._zone)
        except (UnavailableError, NotThereError) as error:
            if not delivery.content or self._has_left(job, error):
                raise
            self._require_neighbours()
            return Situation(job, zone=self._zone)

    def _objects(self, delivery: Delivery, job: Job) -> tuple[str, ...]:
        """Return Orthanc's identifiers of the objects to send, the report first; none for a message.

        Objects that the answer does not have (no segmentation if nothing was found) are left out.
        """
        if not delivery.content:
            return ()
        results = self._ledger.jobs.results(job.id)
        found: list[str] = []
        for what in sorted(delivery.content, key=["sr", "key-objects", "key-images", "seg", "source"].index):
            if what == "source":
                found += source_series(job, self._orthanc, self._ledger).instances
            else:
                named = [one for one in results if _kind_of(one) in _KINDS[what]]
                found += [one.orthanc_instance for one in named if self._orthanc.holds_instance(one.orthanc_instance)]
        if not found and delivery.follows:  # its report says what it takes the place of
            found = [one.orthanc_instance for one in results if one.sop_instance_uid == job.sr_uid]
        if not found:
            raise RejectedError(f"the answer has none of this: {', '.join(delivery.content)}")
        return tuple(found)

    def _postpone(self, delivery: Delivery, why: str, rejected: bool, handle: str = "") -> None:
        delivery_settings = self._settings.delivery
        now = self._ledger.clock()
        if now - delivery.created > delivery_settings.give_up_days * DAY_S:
            self._end(delivery, DeliveryEvent.EXPIRE, "expired", why, handle)
            return
        pause_s = min(
            delivery_settings.retry_longest_s, delivery_settings.retry_first_s * 2 ** min(delivery.tries - 1, 20)
        )
        self._ledger.outbox.postpone(delivery, why, now + pause_s, rejected, handle)
        self._metrics.deliveries.labels(delivery.destination, "failed").inc()
        self._log.warning("delivery waits", **_about(delivery), error=why, tries=delivery.tries, pause_s=pause_s)

    def _end(self, delivery: Delivery, event: DeliveryEvent, outcome: str, why: str, handle: str = "") -> None:
        self._ledger.outbox.end(delivery, event, why, handle)
        self._metrics.deliveries.labels(delivery.destination, outcome).inc()
        self._log.error("delivery given up", **_about(delivery), outcome=outcome, error=why)


def _kind_of(result: ResultObject) -> str:
    """Return the kind of a result, without its number where there are several of one kind."""
    return result.kind.rstrip("-0123456789")


def _about(delivery: Delivery) -> Mapping[str, str | int]:
    return {
        "delivery": delivery.id,
        "destination": delivery.destination,
        "rule": delivery.rule,
        "job": delivery.job,
        "study": delivery.study_uid,
    }


def _bound(body: Callable[[str, threading.Event], None], name: str, stopping: threading.Event) -> Callable[[], None]:
    return lambda: body(name, stopping)
