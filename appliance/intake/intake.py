# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The thread that notices studies and decides them: change log, doorbell, sweep, quiet time, completeness.

One turn of its loop reads a page of news, fetches a few headers ahead, and attends to some of the studies that are due.
When nothing is left to do it waits for the doorbell, the next deadline or the next look at the change log, whichever is
first. A study is judged during its quiet time, so that only the decision is left when that ends. A long change log
neither keeps studies waiting nor starts over with each start: the cursor is stored page by page, and due studies are
decided in between, if Orthanc itself shows that they have stopped growing (`stillness`).

Judging means looking at images, and an image may kill the process that looks at it. So the ledger records the start and
the end of each look at a study's images, one study at a time. If the service has ended more than once during such
looks, the study is no longer looked at here: its job says so, and a worker first has a separate process read it
(`trial`).
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import groupby, islice
from operator import itemgetter
from typing import Final

import structlog
from pydicom import Dataset

from appliance.ahead import ReadingAhead
from appliance.coverage.ends import ends_of
from appliance.coverage.spaces import describe_spaces
from appliance.errors import RefusalCode, RefusedError, UnavailableError
from appliance.imaging.stacks import Stack
from appliance.intake.change_feed import ChangeFeed, Placed
from appliance.intake.doorbell import DELETED_KEPT, STAMPS_KEPT, Bell, keep_newest
from appliance.intake.handover import Handover
from appliance.intake.headers import Headers
from appliance.intake.judge import Verdict, judge
from appliance.intake.lost import LostResults, lacks_results
from appliance.intake.pace import Paces
from appliance.intake.priority import priority
from appliance.intake.room import Room
from appliance.intake.snapshot import Listed, Snapshot, Snapshots
from appliance.intake.stillness import Stillness
from appliance.ledger.ledger import Ledger
from appliance.ledger.records import FollowedStudy, Job, NewJob, Origin
from appliance.ledger.states import JobState, StudyState
from appliance.log import describe
from appliance.metrics import Metrics
from appliance.orthanc import Orthanc
from appliance.orthanc_errors import NotThereError, OrthancError
from appliance.settings import Settings
from appliance.trial import MOST_DEATHS

_FETCHED_A_TURN: Final = 8
_JUDGED_AFTER_S: Final = 0.25  # into the quiet time: most studies that continue have done so by then
_ATTENDED_A_TURN_S: Final = 1.0
"""After this time the change log is looked at again, however many studies are due, s."""
_AT_LEAST_A_TURN: Final = 2
_FRESH_S: Final = 60.0
"""Studies whose last instance is not older than this alternate with those that have waited longer, s."""
_DELETED_A_TURN: Final = 20
_LOOKED_UP_A_TURN: Final = 500


@dataclass(frozen=True)
class _Prepared:
    """A study judged ahead, valid while no instance came after `quiet_from`. `headers` decide its priority."""

    quiet_from: float
    snapshot: Snapshot | None
    verdict: Verdict
    headers: tuple[Dataset, ...] = ()


@dataclass
class _Unstamped:
    """Instances of a study that were recorded before the plugin's stamp of them arrived.

    `last` is when the study's last instance arrived, as far as is known, `quiet_from` the time in the ledger, and
    `not_before` the earliest time at which the instances can have arrived.
    """

    instances: set[str] = field(default_factory=set)
    not_before: float = float("-inf")
    last: float = 0.0
    quiet_from: float = 0.0


class Intake:
    """Notices and decides studies; `run` is the body of its thread."""

    def __init__(
        self,
        settings: Settings,
        orthanc: Orthanc,
        ledger: Ledger,
        headers: Headers,
        snapshots: Snapshots,
        bell: Bell,
        handover: Handover,
        ahead: ReadingAhead,
        metrics: Metrics,
        owner: str,
        clock: Callable[[], float] = time.time,
        when_idle: Callable[[], None] = lambda: None,
    ) -> None:
        self._when_idle = when_idle
        self._owner = owner
        self._counted_deaths = False
        self._looked_at = ""
        self._got_on_at: float | None = None
        self._settings = settings
        self._orthanc = orthanc
        self._ledger = ledger
        self._headers = headers
        self._bell = bell
        self._handover = handover
        self._ahead = ahead
        self._metrics = metrics
        self._clock = clock
        self._snapshots = snapshots
        self._feed = ChangeFeed(
            orthanc, ledger, snapshots, settings.intake.since, clock, settings.intake.retry_longest_s
        )
        self._lost = LostResults(orthanc, ledger, settings.intake.lost_s, clock)
        self.orthanc_clock = self._feed.orthanc_clock
        self._log = structlog.get_logger("intake")
        self._connected = False
        self._deleted: dict[str, None] = {}
        # Every study of which anything is kept here is in one of these two.
        self._came: set[str] = set()
        self._first_seen: dict[str, tuple[float, float]] = {}
        self._is_told_of_clocks = False
        self._stamps: dict[str, float] = {}
        self._unstamped: dict[str, _Unstamped] = {}
        self._to_fetch: deque[tuple[str, str]] = deque()
        self._prepared: dict[str, _Prepared] = {}
        self._room = Room(ledger, settings.intake.queue_most, metrics)
        self._paces = Paces(settings.intake.quiet_s, settings.intake.quiet_longest_s)
        self._stillness = Stillness(snapshots, clock, self._last_instance_at)
        self._failing = ""

    def run(self, stopping: threading.Event) -> None:
        """Notice and decide until `stopping` is set (and the bell rung)."""
        while not stopping.is_set():
            try:
                self._got_on_at = time.monotonic()
                pause_s = self.turn()
                self._got_on_at = None
                self._bell.wait(pause_s)
                self._failing = ""
            except Exception as error:  # whatever happens, intake continues, so that no study is lost
                self._connected = self._connected and not isinstance(error, UnavailableError)
                if describe(error) != self._failing:
                    self._failing = describe(error)
                    self._log.error("intake waits", error=self._failing)
                self._got_on_at = None
                stopping.wait(self._settings.intake.poll_s)

    def is_stuck(self) -> bool:
        """Return whether intake has made no progress for `ledger.stall_s`: it does not finish a study."""
        got_on_at = self._got_on_at
        return got_on_at is not None and time.monotonic() - got_on_at > self._settings.ledger.stall_s

    def turn(self) -> float:
        """Do what is due now; return for how long there is nothing to do, s."""
        if not self._counted_deaths:
            for study in self._ledger.studies.count_deaths(self._owner):
                self._log.warning(
                    "the service ended while it looked at a study", study=study.uid, deaths=study.deaths + 1
                )
            self._counted_deaths = True
        self._look_away()  # from what the last turn broke off at
        self._hear()
        if not self._connected:
            self._feed.connect()
            self._connected = True
        taken = self._feed.take_in(self._stamps)
        if taken.restarted:
            self._log.warning("Orthanc's change log started again: looking through all series")
        soon = self._clock() - self._settings.intake.quiet_s
        for placed in taken.placed:
            self._note_unstamped(placed)
            self._paces.note(placed)
            # Its quiet time may seem to start when that of the last one did: Orthanc's times are whole seconds.
            self._prepared.pop(placed.series.study, None)
            self._came.add(placed.series.study)
            self._ahead.withdraw(placed.series.study)
            self._stamps.pop(placed.instance, None)
            # Those of a backlog are fetched when their study is judged, or they would drive each other out.
            if placed.quiet_from > soon and self._snapshots.is_read(placed.series):
                self._to_fetch.append((placed.series.study, placed.instance))
        swept = self._sweep()
        self._lost.step()
        self._fetch_ahead()
        self._forget_deleted()
        if taken.done:
            self._metrics.change_log_read.set(self._clock())
            self._tell_of_clocks()
        due_in = self._attend(is_behind=not taken.done)
        if not taken.done:
            return 0.0
        is_busy = bool(self._to_fetch or self._deleted) or swept is not None
        return 0.0 if is_busy else min(due_in, self._settings.intake.poll_s)

    def _sweep(self) -> int | None:
        """Continue the sweep, or look again at the series it could not; None when there is no sweep to continue."""
        swept = self._feed.sweeper.step()
        found = self._feed.sweeper.look_again() if swept is None else swept
        if found:
            self._log.info("found series that the change log left out", series=found)
        self._metrics.unseen_series.set(self._ledger.sweeps.count_unseen())
        return swept

    def _tell_of_clocks(self) -> None:
        clock = self.orthanc_clock
        if clock.ahead_s is None:
            return
        self._metrics.orthanc_clock_ahead.set(clock.ahead_s)
        if clock.agrees == self._is_told_of_clocks:
            self._is_told_of_clocks = not clock.agrees
            tell = self._log.info if clock.agrees else self._log.warning
            tell("the clocks of Orthanc and of this machine", orthanc_ahead_s=round(clock.ahead_s, 1))

    def _hear(self) -> None:
        news = self._bell.take()
        self._stamps.update(news.stamps)
        for study, unstamped in list(self._unstamped.items()):
            for instance in unstamped.instances & news.stamps.keys():
                unstamped.instances.remove(instance)
                at = max(unstamped.not_before, min(news.stamps[instance], self._clock()))
                unstamped.last = max(unstamped.last, at)
                self._stamps.pop(instance, None)
            if not unstamped.instances:  # the last of them has its stamp now
                del self._unstamped[study]
                self._ledger.studies.stamp(study, unstamped.last, unstamped.quiet_from)
        keep_newest(self._stamps, STAMPS_KEPT)
        self._deleted.update(news.deleted_studies)
        keep_newest(self._deleted, DELETED_KEPT)
        if news.deleted_series:
            for series in self._ledger.series.find_known(news.deleted_series).values():
                self._prepared.pop(series.study, None)  # what was judged is no longer what is there
                self._ahead.withdraw(series.study)
                if series.origin is Origin.OWN:
                    self._lost.hurry()
        if news.orthanc_started:
            self._connected = False

    def _note_unstamped(self, placed: Placed) -> None:
        unstamped = self._unstamped.get(placed.series.study)
        if not placed.stamped:
            unstamped = self._unstamped.setdefault(placed.series.study, _Unstamped())
            unstamped.instances.add(placed.instance)
            unstamped.not_before = max(unstamped.not_before, placed.not_before)
        if unstamped is not None:
            # An entry of the change log names the second: what has no stamp came within one of it.
            last = placed.received_at if placed.stamped else placed.received_at - 1
            unstamped.last = max(unstamped.last, last)
            unstamped.quiet_from = max(unstamped.quiet_from, placed.quiet_from)

    def _forget_deleted(self) -> None:
        """Look at a few of the studies reported as deleted, only those that the ledger knows."""
        part = list(islice(self._deleted, _LOOKED_UP_A_TURN))
        known = self._ledger.studies.find_known(part)
        looked_at = 0
        for study in part:
            if study in known:
                if looked_at == _DELETED_A_TURN:
                    return
                looked_at += 1
                self._forget_if_gone(study)  # raises when Orthanc is away: then it is looked at again
            del self._deleted[study]

    def _forget_if_gone(self, study: str) -> None:
        try:
            self._orthanc.study(study)
        except NotThereError:
            self._delete(study)
        except (OrthancError, UnavailableError) as error:
            if isinstance(error, UnavailableError):
                self._orthanc.system()
            self._log.warning("a deleted study cannot be looked at", study=study, error=describe(error))

    def _delete(self, study: str) -> None:
        refused = self._ledger.studies.delete(study)
        self._metrics.refusals.labels(RefusalCode.SOURCE_DELETED.value, "refused").inc(refused)
        self._forget(study)
        self._ahead.withdraw(study)

    def _forget(self, study: str) -> None:
        self._prepared.pop(study, None)
        self._unstamped.pop(study, None)
        self._paces.forget(study)
        self._first_seen.pop(study, None)
        self._came.discard(study)

    def _get_on(self) -> None:
        if self._got_on_at is not None:
            self._got_on_at = time.monotonic()

    def _may_look_at(self, study: str) -> bool:
        """Record that this study is looked at, and no other; return whether this process may look at it."""
        self._get_on()
        self._look_away()
        self._looked_at = study
        return self._ledger.studies.look(study, self._owner) < MOST_DEATHS

    def _look_away(self) -> None:
        """Record that no study is looked at: if the service ends now, no study is the cause."""
        if self._looked_at:
            self._ledger.studies.look_away(self._looked_at, self._owner)
            self._looked_at = ""

    def _fetch_ahead(self) -> None:
        batch = [self._to_fetch.popleft() for _ in range(min(_FETCHED_A_TURN, len(self._to_fetch)))]
        for study, of_study in groupby(sorted(batch, key=itemgetter(0)), itemgetter(0)):
            if self._may_look_at(study):
                for _, instance in of_study:
                    self._get_on()
                    with contextlib.suppress(RefusedError, OrthancError, UnavailableError):
                        self._headers.of(instance)  # what fails is met again when the study is judged
            self._look_away()

    def _attend(self, is_behind: bool) -> float:
        """Decide some of the studies that are due; return the time until the next one is due, s.

        `is_behind` says that the change log is not read to its end: it may show more instances of any study.
        """
        next_due = float("inf")
        followed = self._ledger.studies.list_followed()
        if not followed and not is_behind:
            self._when_idle()
        still = {study.id for study in followed}
        for decided in {*self._came, *self._first_seen} - still:  # by another service
            self._forget(decided)
        self._stillness.keep_only(still if is_behind else ())
        left: int | None = None
        begun, attended = time.monotonic(), 0
        for study in self._room.in_order(followed, self._clock() - _FRESH_S):
            if attended >= _AT_LEAST_A_TURN and time.monotonic() > begun + _ATTENDED_A_TURN_S:
                return 0.0
            quiet_from = self._quiet_from(study)
            due = quiet_from + self._paces.quiet_s(study.id)
            if study.state is StudyState.INCOMPLETE:
                due = max(due, quiet_from + self._incomplete_s(study))
            judged_at = min(quiet_from + _JUDGED_AFTER_S, due)
            now = self._clock()
            if now >= due:
                left = self._room.left() if left is None else left
                if left <= 0 and self._room.is_postponed(study):
                    continue
                if is_behind and not self._stillness.is_worth_a_look(study.id, self._paces.quiet_s(study.id)):
                    continue
                attended += 1
                if not is_behind or self._has_stopped_growing(study):
                    left -= self._decide(study, left > 0, is_behind)
            elif study.state is StudyState.INCOMPLETE or self._is_prepared(study):
                next_due = min(next_due, due - now)
            elif now >= judged_at and not self._to_fetch:
                attended += 1
                self._prepare(study)
                next_due = min(next_due, due - self._clock())
            else:
                next_due = min(next_due, judged_at - now)
        return next_due

    def _last_instance_at(self, listed: Listed) -> float:
        """Return when the last instance of a study came, also if it stands further on in the change log.

        The plugin's stamps of such instances are still here. Without them only Orthanc's second is known, of which the
        earliest moment counts: what the log has shown of the study by then is more exact.
        """
        stamps = [self._stamps[instance] for instance in listed.instances if instance in self._stamps]
        return min(max(stamps, default=self.orthanc_clock.earliest_time(listed.last_update)), self._clock())

    def _has_stopped_growing(self, study: FollowedStudy) -> bool:
        try:
            return self._stillness.has_lasted(study.id, self._paces.quiet_s(study.id))
        except OrthancError:  # whoever decides on it meets it too
            return True
        except UnavailableError:
            self._orthanc.system()  # when that does not answer either, every study waits and not only this one
            return True

    def _incomplete_s(self, study: FollowedStudy) -> float:
        """Return how long to wait for the missing part of an incomplete study, s.

        Only memory knows why it is incomplete: after a restart the longer time applies.
        """
        intake, prepared = self._settings.intake, self._prepared.get(study.id)
        is_part = prepared is not None and prepared.quiet_from == study.quiet_from and prepared.verdict.part
        return intake.ends_s if is_part else intake.incomplete_s

    def _quiet_from(self, study: FollowedStudy) -> float:
        """Return when the study's quiet time began, at the latest when we first saw that time.

        A time in the future comes from an earlier session of this service, or from another machine, with a clock ahead.
        """
        kept = self._first_seen.get(study.id)
        if kept is None or kept[0] != study.quiet_from:
            kept = self._first_seen[study.id] = study.quiet_from, min(study.quiet_from, self._clock())
        return kept[1]

    def _is_prepared(self, study: FollowedStudy) -> bool:
        prepared = self._prepared.get(study.id)
        return prepared is not None and prepared.quiet_from == study.quiet_from

    def _prepare(self, study: FollowedStudy) -> _Prepared | None:
        """Judge a study ahead and keep the verdict; None when the study is gone."""
        snapshot = None
        may_look = self._may_look_at(study.id)
        try:
            if not may_look:
                return self._prepare_unseen(study)
            standing = self._standing_jobs(study.id)
            if standing and _is_answered(self._snapshots.listed(study.id), standing):
                verdict = Verdict(None)  # its images need not be read again to know that
            else:
                snapshot = self._snapshots.of(study.id, get_on=self._get_on)
                verdict = judge(snapshot, standing, self._settings.selection, self._missing_ends)
        except NotThereError:
            self._delete(study.id)
            self._log.info("study deleted", study=study.uid)
            return None
        except Exception as error:  # the pipeline will meet it too, and a job is where that is recorded and waited for
            if isinstance(error, UnavailableError):
                self._orthanc.system()  # when that does not answer either, every study waits and not only this one
            self._log.error("study cannot be judged", study=study.uid, error=describe(error))
            verdict = Verdict(NewJob(snapshot.instance_set if snapshot else "", ""))
        self._look_away()
        # One that came in an earlier life of the service may have ended that: no need to try again so soon.
        is_whole = verdict.new is not None and not verdict.wait and not verdict.new.left_out
        if snapshot is not None and is_whole and study.id in self._came:
            self._ahead.offer(snapshot)
        if snapshot is not None:
            headers = tuple(one.header for one in snapshot.instances)
        else:
            headers = self._noted(study.id) if verdict.new is not None else ()
        prepared = self._prepared[study.id] = _Prepared(study.quiet_from, snapshot, verdict, headers)
        return prepared

    def _prepare_unseen(self, study: FollowedStudy) -> _Prepared:
        """Have a study during which the service ended answered without a look at it, unless that was done already."""
        self._look_away()
        listed = self._snapshots.listed(study.id)
        is_answered = _is_answered(listed, self._standing_jobs(study.id))
        verdict = Verdict(None if is_answered else NewJob(listed.instance_set, ""))
        prepared = self._prepared[study.id] = _Prepared(study.quiet_from, None, verdict, listed.headers)
        self._log.warning("not looked at: the service ended in its middle", study=study.uid, deaths=study.deaths)
        return prepared

    def _missing_ends(self, stack: Stack) -> tuple[str, ...]:
        """Return what a stack lacks of the head: its ends, as its images show, and the space between its slices."""
        if stack.geometry is None:
            return ()
        spaces = describe_spaces(stack)
        if spaces:  # the other slices may be on their way
            return (spaces,)
        try:
            ends = ends_of(stack, self._file)
        except NotThereError:  # deleted while we looked: the worker meets it too
            return ()
        return () if ends is None else ends.missing(stack.geometry.extent_mm)

    def _noted(self, study: str) -> tuple[Dataset, ...]:
        """Return what Orthanc itself noted of a study; nothing if it does not answer."""
        try:
            return self._snapshots.listed(study).headers
        except (OrthancError, UnavailableError):
            return ()

    def _file(self, instance: str) -> bytes:
        self._get_on()
        return self._snapshots.file(instance)

    def _standing_jobs(self, study: str) -> list[Job]:
        """Return the study's valid jobs, without those whose answer or source was deleted from Orthanc."""
        return [job for job in self._ledger.jobs.of_study(study) if not self._is_void(job)]

    def _is_void(self, job: Job) -> bool:
        if job.state is JobState.REFUSED:
            if any(refusal["code"] == RefusalCode.SOURCE_DELETED for refusal in job.refusals):
                return True
            if not job.sr_uid:
                return False
        elif job.state not in (JobState.DONE, JobState.SUPERSEDED):
            return False
        if job.state is JobState.SUPERSEDED:  # its segmentation was withdrawn
            return not all(
                self._orthanc.holds_instance(result.orthanc_instance)
                for result in self._ledger.jobs.results(job.id)
                if result.sop_instance_uid == job.sr_uid
            )
        return lacks_results(job, self._orthanc, self._ledger)

    def _decide(self, study: FollowedStudy, has_room: bool, is_behind: bool) -> bool:
        """Decide a quiet study, or let it wait if it needs room in the queue; return whether it took room.

        While the change log is behind, a study is decided only on what Orthanc has held for the quiet time.
        """
        prepared = self._prepared.get(study.id)
        if prepared is None or prepared.quiet_from != study.quiet_from or study.state is StudyState.INCOMPLETE:
            prepared = self._prepare(study)
        if prepared is None:
            return False
        seen = prepared.snapshot
        if is_behind and seen is not None and not self._stillness.is_about(study.id, seen.instance_set):
            del self._prepared[study.id]  # judged before the last instances came, or while they were coming
            return False
        verdict = prepared.verdict
        if verdict.new is not None and verdict.wait and study.state is StudyState.RECEIVING:
            if self._ledger.studies.miss(study, verdict.why, verdict.refusals):
                self._log.info("study is not complete", study=study.uid, why=verdict.why)
            return False
        new = verdict.new
        if is_behind:
            last = max(study.last_instance_at, self._stillness.last_instance_at(study.id))
            study = replace(study, last_instance_at=last)
        if new is not None:
            urgency = priority(prepared.headers, study.last_instance_at, self._settings.priority)
            new = replace(new, priority=urgency, deaths=study.deaths)
        if new is not None and not has_room and not self._room.is_in(study):
            self._room.postpone(study, new.priority)
            self._prepared.pop(study.id, None)  # its headers would fill the memory with those of all that wait
            self._ahead.withdraw(study.id)
            return False
        job = self._ledger.studies.decide(study, new)
        self._forget(study.id)
        if job is not None:
            if prepared.snapshot is not None:
                self._handover.give(job, prepared.snapshot)
            self._handover.wake()
            self._log.info("study decided", study=study.uid, job=job)
        elif verdict.new is None:
            self._handover.wake()  # a job of this study may have been waiting for the quiet
            self._log.info("study has nothing new to answer", study=study.uid)
        return job is not None


def _is_answered(listed: Listed, jobs: Iterable[Job]) -> bool:
    """Return whether one of a study's jobs is about exactly the present instances."""
    return any(
        job.instance_set == listed.instance_set and job.state is not JobState.WITHDRAWN and not job.requested
        for job in jobs
    )
