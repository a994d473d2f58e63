# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The service: its parts, wired together, and their threads, started and stopped in order.

Threads: intake, one that reads ahead, each worker, health, the web server, leases, shared memory to tidy away;
the main thread waits for a signal. They share nothing but the ledger, the doorbell, the handover, what was read
ahead and the header cache.
"""

from __future__ import annotations

import ctypes
import gc
import secrets
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from typing import Final

import httpx
import structlog

from appliance import __version__
from appliance.ahead import ReadingAhead
from appliance.archive import Archive
from appliance.clocks import DAY_S
from appliance.errors import ApplianceError, SettingsError, UnavailableError
from appliance.health import Health
from appliance.inference.detector import TritonDetector
from appliance.inference.regions import (
    SETTLED_S,
    free_regions_of_dead_models,
    region_prefix,
    remove_regions_of_the_dead,
    remove_stale_regions,
)
from appliance.inference.series_classifier import SeriesClassifier
from appliance.inference.served_model import SHIPPED, Target
from appliance.intake.doorbell import Bell
from appliance.intake.files import Files
from appliance.intake.handover import Handover
from appliance.intake.headers import Headers
from appliance.intake.intake import Intake
from appliance.intake.requests import RequestRate, TooManyRequestsError
from appliance.intake.snapshot import Snapshots
from appliance.leases import Leases
from appliance.ledger.ledger import Ledger
from appliance.ledger.records import AuditEvent, NewJob, Origin
from appliance.ledger.states import OPEN
from appliance.log import describe, log_to
from appliance.metrics import Metrics
from appliance.models.shadow import Shadow
from appliance.models.standing import targets
from appliance.orthanc import Orthanc
from appliance.orthanc_storage import check_storage
from appliance.pipeline import Pipeline
from appliance.private import be_private, close_to_others
from appliance.results.warm_up import warm_up
from appliance.settings import Settings
from appliance.state_folder import StateFolder
from appliance.systemd import READY, STOPPING, be_watched, notify
from appliance.transport import bounded_client
from appliance.trial import Trial
from appliance.web.accounts import Accounts
from appliance.web.app import OwnResultError, WebApp
from appliance.web.certificate import Certificate
from appliance.web.listener import Listener, listen
from appliance.web.login import Login
from appliance.web.looks import Looks
from appliance.worker import Worker

_STOPPING_S: Final = 5.0
_LIVE_S: Final = 5.0
_REQUEST_S: Final = 5.0
"""About how long one answer that was asked for takes."""
_CLOCK_FOLLOWED_EVERY_S: Final = 60.0
_TIDIED_EVERY_S: Final = 60.0
_AUDITED_EVERY_S: Final = 2.0
_DIGEST_EVERY_S: Final = 3600.0
_LONGEST_TRIAL_S: Final = 600.0
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # malloc.h
_LARGE: Final = 8 * 2**20


class ReadingRoom:
    """The detector and the pipeline over it, made when Triton first answers.

    A Triton that is restarted later is followed by the detector itself.
    """

    trial_program: Sequence[str] = ("appliance.trial_process",)
    """The module that reads a study in a process of its own, and its arguments."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._targets: Callable[[], Sequence[Target]] = lambda: (SHIPPED,)
        self._lock = threading.Lock()
        self._detector: TritonDetector | None = None
        self._classifier = SeriesClassifier(settings.triton)

    def _ready_detector(self) -> TritonDetector:
        with self._lock:
            if self._detector is None:
                self._detector = TritonDetector(self._settings.triton, targets=self._targets)
            return self._detector

    def follow(self, ledger: Ledger) -> None:
        """Let the version of the detector answer that was promoted, as it stands in the ledger."""
        self._targets = lambda: targets(ledger.models.promoted())

    def pipeline(self) -> Pipeline:
        """Return the pipeline; raises `UnavailableError` or `ModelContractError` as long as there is no detector."""
        return Pipeline(self._settings, self._ready_detector(), self._classifier)

    @property
    def classifier(self) -> SeriesClassifier:
        """What says how series look."""
        return self._classifier

    def detector_of(self, target: Target) -> TritonDetector:
        """Return a detector of its own on one model, which Triton is to load if it does not serve it."""
        return TritonDetector(self._settings.triton, self._settings.triton.timeout_s, lambda: (target, target))

    def probe(self) -> None:
        """Return when the model answers rightly; raise why it does not."""
        readiness = self._ready_detector().ready()
        if not readiness:
            raise UnavailableError(readiness.reason)

    def model(self) -> dict[str, str] | None:
        """Return which model answers and what runs it, None while that is not known."""
        if self._detector is None:
            return None
        engine = self._detector.engine
        return asdict(self._detector.identity) | {"engine": "not known" if engine is None else str(engine)}

    def tidy(self) -> None:
        """Give back the shared memory of processes that died, on the machine that Triton and the service share."""
        if self._settings.triton.shared_memory:
            remove_regions_of_the_dead()
            prefix = region_prefix(self._settings.triton)
            free_regions_of_dead_models(prefix)
            remove_stale_regions(prefix, settled_s=SETTLED_S)

    def close(self) -> None:
        """Close the connections to Triton."""
        self._classifier.close()
        if self._detector is not None:
            self._detector.close()


class Service:
    """The service with all its parts. Made in the stopped state; `start` and `stop` once each.

    Raises `UnavailableError` when the ledger cannot be opened, `SettingsError` when its address is wrong, and
    `ApplianceError` when the port is taken or another service works on the state folder. Orthanc and Triton need not be
    there. `room` is where studies are read, by default the one over Triton.
    """

    def __init__(self, settings: Settings, room: ReadingRoom | None = None) -> None:
        self._settings = settings
        self._log = structlog.get_logger("service")
        with ExitStack() as opened:
            sock = opened.enter_context(listen(settings.service.host, settings.service.port, "service"))
            outer_sock = (
                opened.enter_context(listen(settings.access.host, settings.access.port, "access"))
                if settings.access.host
                else None
            )
            self._state_folder = StateFolder(settings.state_dir)
            opened.callback(self._state_folder.close)
            accounts = Accounts(settings.accounts_file)
            self._certificate = Certificate.of(settings.access)
            self._ledger = Ledger(settings.ledger_url, busy_s=settings.ledger.busy_s)
            opened.callback(self._ledger.close)
            self._opened = opened.pop_all()
        self._session = secrets.token_hex(4)
        self._leases = Leases(
            self._ledger,
            f"{self._state_folder.identity}/{self._session}",
            settings.ledger.lease_s,
            settings.ledger.stall_s,
        )
        self._orthanc = Orthanc(settings.orthanc)
        clock = self._ledger.clock
        self._clock_followed_at = time.monotonic()
        self._bell = Bell(clock)
        self._handover = Handover()
        files = Files(self._orthanc, settings.intake.files_kept_mib * 2**20)
        headers = Headers(files, settings.intake.headers_kept)
        snapshots = self._snapshots = Snapshots(
            self._orthanc, files, headers, self._ledger, settings.intake.largest_series
        )
        self._room = room or ReadingRoom(settings)
        self._room.follow(self._ledger)
        self._request_rate = RequestRate(settings.service.requests_a_minute)
        views = self._ledger.views
        self._metrics = Metrics(views.job_counts, views.study_counts, views.longest_running_s)
        self._warming = threading.Lock()
        self._warm = threading.Event()
        self._warm_fault = ""
        self._health = Health(
            {
                "state folder": self._state_folder.check,
                "ledger": lambda: self._ledger.services.beat(self._state_folder.identity, self._session),
                "orthanc": self._probe_orthanc,
                "triton": self._probe_triton,
                "results": self._probe_warmth,
            },
            self._recovered,
        )
        self._stopping = threading.Event()
        self._ahead = ReadingAhead(self._room.pipeline, snapshots.file, self._metrics, settings.intake.ahead_mib)
        intake = Intake(
            settings,
            self._orthanc,
            self._ledger,
            headers,
            snapshots,
            self._bell,
            self._handover,
            self._ahead,
            self._metrics,
            self._leases.owner,
            clock,
            self._follow_clock,
        )
        self._intake = intake
        self._orthanc_clock = intake.orthanc_clock
        shadow = Shadow(
            settings,
            self._ledger,
            self._orthanc,
            snapshots,
            self._ahead,
            self._room.classifier,
            self._metrics,
            self._room.detector_of,
        )
        trial = Trial(settings, self._room.trial_program, min(_LONGEST_TRIAL_S, settings.ledger.stall_s / 2))
        self._workers = [
            Worker(
                self._leases,
                settings,
                self._orthanc,
                self._ledger,
                snapshots,
                self._handover,
                self._ahead,
                self._room.pipeline,
                trial,
                self._metrics,
                clock,
            )
            for _ in range(settings.service.workers)
        ]
        trusted = settings.service.trusted_hosts
        archive = Archive(settings, self._orthanc, self._ledger, self._metrics, clock)
        self._looks = Looks()
        web = WebApp(self, self._bell, self._ledger, self._health, self._metrics, trusted, self._looks)
        self._listeners = [Listener(web.asgi, sock)]
        if outer_sock is not None:
            login = Login(web.asgi, accounts, self._metrics, self._looks)
            self._listeners.append(Listener(login, outer_sock, self._certificate))
        self._threads = [
            _thread("health", lambda: self._health.run(self._stopping)),
            _thread("lease", self._keep_leases),
            _thread("tidying", self._keep_tidy),
            _thread("audit", self._keep_audit),
            _thread("archive", lambda: archive.run(self._stopping)),
            _thread("intake", lambda: intake.run(self._stopping)),
            _thread("ahead", lambda: self._ahead.run(self._stopping)),
            _thread("shadow", lambda: shadow.run(self._stopping)),
            *(_thread(f"worker-{number}", self._working(worker)) for number, worker in enumerate(self._workers)),
        ]
        self._web_threads = [_thread(f"web-{number}", one.run) for number, one in enumerate(self._listeners)]

    def start(self) -> None:
        """Start all threads and return."""
        self._log.info("starting", version=__version__, owner=self._leases.owner)
        self._ledger.audit.record(AuditEvent.STARTED, version=__version__, service=self._leases.owner)
        self._take_up()
        for thread in (*self._web_threads, *self._threads):
            thread.start()

    def stop(self) -> None:
        """Finish the study that is being answered, stop all threads, close what was opened."""
        self._log.info("stopping")
        self._stopping.set()
        self._bell.wake()
        self._handover.wake()
        self._ahead.wake()
        ends = time.monotonic() + self._settings.service.stop_s
        for thread in self._threads:
            thread.join(max(0.0, ends - time.monotonic()))
        late = [thread.name for thread in self._threads if thread.is_alive()]
        if late:
            self._log.warning("stopping without waiting any longer; the next start takes up what is left", left=late)
        for listener in self._listeners:
            listener.stop()
        for thread in self._web_threads:
            thread.join(_STOPPING_S)
        try:
            self._leases.give_up()
            self._ledger.studies.leave(self._leases.owner)
            self._looks.write(self._ledger.audit.record)
            self._ledger.audit.record(AuditEvent.STOPPED, service=self._leases.owner)
        except ApplianceError as error:
            self._log.warning("what is left could not be given back", error=describe(error))
        self._room.close()
        self._orthanc.close()
        self._opened.close()
        self._log.info("stopped")

    def dead(self) -> list[str]:
        """Return the names of threads that ended, or are stuck, though nobody stopped them: a fault of the service."""
        if self._stopping.is_set():
            return []
        threads = (*self._web_threads, *self._threads)
        ended = [thread.name for thread in threads if thread.ident is not None and not thread.is_alive()]
        return ended + ["intake"] * self._intake.is_stuck() + self._leases.stalled()

    def fault(self) -> str:
        """Return why the service is not live, asked as others ask it, over HTTP; empty when it is."""
        host = self._settings.service.host
        named = f"[{host}]" if ":" in host else host
        try:
            with bounded_client(f"http://{named}:{self._settings.service.port}", timeout_s=_LIVE_S) as client:
                answer = client.get("/health/live")
        except (httpx.HTTPError, ApplianceError) as error:
            return f"/health/live does not answer ({type(error).__name__})"
        return "" if answer.status_code == httpx.codes.OK else f"/health/live answers {answer.status_code}"

    def log_fault(self, fault: str) -> None:
        """Log why the service is not live."""
        self._log.error("not live", fault=fault)

    def model(self) -> dict[str, str] | None:
        """Return which model answers and what runs it, None while that is not known."""
        return self._room.model()

    def orthanc_ahead_s(self) -> float | None:
        """Return how far Orthanc's clock is ahead of the service's, s; 0 when they may agree, None while not known."""
        return self._orthanc_clock.ahead_s

    def analyze(self, series: str, who: str) -> int:
        """Queue the answer about one series that `who` asks for, behind the studies that come in; return the job.

        Raises `NotThereError`, `OwnResultError`, `TooManyRequestsError` or `UnavailableError`.
        """
        self._request_rate.take()
        held = self._orthanc.series(series)
        known = self._ledger.series.known([series]).get(series)
        own = self._snapshots.is_own(held) if known is None else known.origin is Origin.OWN
        if own:
            raise OwnResultError
        study = self._orthanc.study(held.study)
        most = self._settings.service.requests_waiting
        job = self._ledger.queue.request(study.id, study.uid, NewJob("", "", series=series), most, who)
        if job is None:
            raise TooManyRequestsError(
                f"{most} answers that were asked for are on their way (service.requests_waiting)", _REQUEST_S
            )
        self._handover.wake()
        return job

    def _working(self, worker: Worker) -> Callable[[], None]:
        def work() -> None:
            self._warm_up()
            worker.run(self._stopping)

        return work

    def _warm_up(self) -> None:
        with self._warming:
            if self._warm.is_set():
                return
            try:
                warm_up(self._settings)
            except Exception as error:  # a study meets it too and is given up with the reason
                self._warm_fault = describe(error)
                self._log.error("results cannot be written", error=self._warm_fault)
                return
            gc.collect()
            gc.freeze()  # what was imported stays; looking through it again would only delay a study
            self._warm.set()

    def _keep_leases(self) -> None:
        every_s = self._settings.ledger.lease_s / 4
        while not self._stopping.wait(every_s):
            try:
                self._leases.renew()
                self._take_up()
            except Exception as error:  # whatever happens, leases go on: without them others take up our jobs
                self._log.warning("leases not renewed", error=describe(error))

    def _keep_tidy(self) -> None:
        while not self._stopping.is_set():
            try:
                self._room.tidy()
            except Exception as error:  # it is tried again, and nothing depends on it meanwhile
                self._log.warning("shared memory not looked through", error=describe(error))
            self._renew_certificate()
            self._stopping.wait(_TIDIED_EVERY_S)

    def _keep_audit(self) -> None:
        """Write who looked, and log the trail's newest digest from time to time, where the ledger's owner cannot."""
        told, digest = 0.0, ""
        keep_days = self._settings.audit.keep_days
        while not self._stopping.wait(_AUDITED_EVERY_S):
            try:
                self._looks.write(self._ledger.audit.record)
                if time.monotonic() > told + _DIGEST_EVERY_S or not told:
                    seq, newest = self._ledger.audit.head()
                    told = time.monotonic()
                    if newest != digest:
                        self._log.info("audit trail", entries=seq, digest=newest)
                    digest = newest
                    if keep_days:
                        self._ledger.audit.prune(self._ledger.clock() - keep_days * DAY_S)
            except Exception as error:  # what waits is written once the ledger answers
                self._log.warning("audit trail not written", error=describe(error))

    def _renew_certificate(self) -> None:
        try:
            if self._certificate is not None and self._certificate.renew():
                self._log.info("certificate renewed")
        except SettingsError as error:  # the older one is answered with until the new one can be used
            self._log.error("certificate not renewed", error=describe(error))
        if self._certificate is not None and self._certificate.expires is not None:
            self._metrics.certificate_expires.set(self._certificate.expires)

    def _take_up(self) -> None:
        left = self._leases.take_up()
        for job in left:
            self._log.warning("taking up a job that was left in the middle", job=job.id, study=job.study_uid)
        if left:
            self._handover.wake()

    def _follow_clock(self) -> None:
        """Take over a correction of the machine's clock once nothing waits by it; called by intake."""
        now = time.monotonic()
        if now < self._clock_followed_at + _CLOCK_FOLLOWED_EVERY_S:
            return
        self._clock_followed_at = now
        counts = self._ledger.views.job_counts()
        if not any(counts[state] for state in OPEN):
            off_s = self._ledger.follow_clock()
            if off_s:
                self._log.warning("the clock was set", seconds=round(off_s, 1))

    def _probe_orthanc(self) -> None:
        self._orthanc.system()
        refusal = self._orthanc.store_refusal
        if refusal is not None and time.monotonic() - refusal.at < 2 * self._settings.intake.retry_longest_s:
            raise UnavailableError(f"Orthanc did not take the last result: {refusal.reason}")
        check_storage(self._settings.orthanc.storage)

    def _probe_triton(self) -> None:
        self._room.probe()
        model = self._room.model()
        if model is not None:
            self._metrics.model.info(model)

    def _probe_warmth(self) -> None:
        if not self._warm.is_set():
            raise UnavailableError(self._warm_fault or "the writing of results is being warmed up")

    def _recovered(self, neighbour: str) -> None:
        if neighbour == "ledger":
            self._take_up()
        if neighbour in ("ledger", "orthanc", "triton"):
            self._ledger.queue.hurry()
            self._handover.wake()
            self._bell.wake()


def serve(settings: Settings, room: ReadingRoom | None = None) -> None:
    """Run the service until SIGTERM or SIGINT; a study that was begun is finished first.

    Raises `ApplianceError` when it cannot start: the ledger cannot be opened, or the port is taken.
    """
    be_private()
    close_to_others(settings.state_dir.glob("ledger.sqlite*"))
    _keep_memory_small()
    log_to()
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    service = Service(settings, room)
    service.start()
    notify(READY)
    try:
        be_watched(service.fault, stopping, service.log_fault)
    finally:
        notify(STOPPING)
        service.stop()


def _keep_memory_small() -> None:
    """Let all threads allocate from one arena that gives back what is large, where the C library is glibc.

    Each thread's own arena keeps what its largest study took: 50 MB more at the peak of 320 slices, for no speed. And
    once arrays of some size were freed, glibc takes others of that size from the arena too, where what is small and
    stays keeps it from shrinking: 20 MB more at that peak.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)
        mallopt(_M_MMAP_THRESHOLD, _LARGE)
        mallopt(_M_TRIM_THRESHOLD, 2 * _LARGE)


def _thread(name: str, body: Callable[[], None]) -> threading.Thread:
    return threading.Thread(target=body, name=name, daemon=True)
