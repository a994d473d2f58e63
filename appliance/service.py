# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The service: its parts, wired together, and their threads, started and stopped in order.

There are threads for intake, reading ahead, the shadow, each worker, the priors, the rules, each destination, health,
the web servers, the archive and the upkeep; the main thread waits for a signal. They share only the ledger, the
doorbell, the handover, the studies read ahead and the header cache.
"""

from __future__ import annotations

import gc
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Final

import httpx
import structlog

from appliance import __version__
from appliance.ahead import ReadingAhead
from appliance.archive import Archive
from appliance.delivery.deliver import Delivery
from appliance.delivery.dispatch import Dispatch
from appliance.delivery.rules import rules_digest
from appliance.delivery.situation import time_zone
from appliance.drift.watch import DriftWatch
from appliance.errors import ApplianceError, UnavailableError
from appliance.health import Health
from appliance.inference.served_model import Target
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
from appliance.log import describe
from appliance.metrics import Metrics
from appliance.models.shadow import Shadow
from appliance.models.standing import targets
from appliance.orthanc import Orthanc
from appliance.orthanc_storage import check_storage
from appliance.prior.follow_up import FollowUp
from appliance.prior.lookup import PriorLookup
from appliance.prior.retrieve import Retrieval
from appliance.prior.search import PriorSearch
from appliance.reading_room import ReadingRoom
from appliance.results.warm_up import warm_up
from appliance.settings import Settings
from appliance.state_folder import StateFolder
from appliance.trace_sender import TraceSender
from appliance.transport import bounded_client
from appliance.trial import Trial
from appliance.upkeep import Upkeep
from appliance.web.accounts import Accounts
from appliance.web.app import OwnResultError, WebApp
from appliance.web.certificate import Certificate
from appliance.web.listener import Listener, listen
from appliance.web.login import Login
from appliance.web.looks import Looks
from appliance.web.viewer import Viewer
from appliance.worker import Worker

_STOPPING_S: Final = 5.0
_LIVE_S: Final = 5.0
_REQUEST_S: Final = 5.0
"""About how long one requested answer takes."""
_LONGEST_TRIAL_S: Final = 600.0


class Service:
    """The service with all its parts. It is made in the stopped state; call `start` and `stop` once each.

    Raises `UnavailableError` when the ledger cannot be opened, `SettingsError` when its address is wrong, and
    `ApplianceError` when the port is taken or another service works on the state folder. Orthanc and Triton need not be
    running. `room` is where studies are read, by default with Triton.
    """

    def __init__(self, settings: Settings, room: ReadingRoom | None = None) -> None:
        self._settings = settings
        self._log = structlog.get_logger("service")
        self._traces = TraceSender(settings.traces)
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
            certificate = Certificate.of(settings.access)
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
        self._bell = Bell(clock)
        self._handover = Handover()
        files = Files(self._orthanc, settings.intake.files_kept_mib * 2**20)
        headers = Headers(files, settings.intake.headers_kept)
        snapshots = self._snapshots = Snapshots(
            self._orthanc, files, headers, self._ledger, settings.intake.largest_series
        )
        self._room = room or ReadingRoom(settings)
        ledger = self._ledger

        def list_targets() -> tuple[Target, ...]:
            return targets(ledger.models.list_promoted())

        self._room.follow(list_targets)
        self._request_rate = RequestRate(settings.service.requests_a_minute)
        views = self._ledger.views
        outbox = self._ledger.outbox
        rules = rules_digest(settings)
        self._metrics = Metrics(
            views.job_counts,
            views.study_counts,
            views.longest_running_s,
            outbox.backlogs,
            clock,
            outbox.oldest_unrouted_s,
            views.oldest_queued_s,
            lambda: len(self._ledger.services.with_other_rules(rules)),
            self._ledger.opinions.counts,
        )
        self._looks = Looks()
        upkeep = self._upkeep = Upkeep(
            settings, self._ledger, self._leases, self._room, self._handover, certificate, self._looks, self._metrics
        )
        self._warming = threading.Lock()
        self._warm = threading.Event()
        self._warm_fault = ""
        self._health = Health(
            {
                "state folder": self._state_folder.check,
                "ledger": lambda: self._ledger.services.beat(self._state_folder.identity, self._session, rules),
                "orthanc": self._probe_orthanc,
                "triton": self._probe_triton,
                "results": self._probe_warmth,
            },
            self._resume_after,
        )
        self._stopping = threading.Event()
        self._ahead = ReadingAhead(
            self._room.pipeline,
            snapshots.file,
            ledger.models.last_move,
            self._metrics,
            settings.intake.ahead_mib,
            begin_trace=self._traces.begin,
        )
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
            upkeep.follow_clock,
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
            lambda: (self._room.model() or {}).get("sha256", ""),
        )
        longest_trial_s = min(_LONGEST_TRIAL_S, settings.ledger.stall_s / 2)
        trial = Trial(settings, self._room.trial_program, longest_trial_s, list_targets)
        priors = PriorLookup(PriorSearch(self._orthanc, self._ledger), self._ledger)
        delivery = Delivery(self._leases, settings, self._orthanc, self._ledger, snapshots, self._metrics, clock)
        self._workers = [
            Worker(
                self._leases,
                settings,
                self._ledger,
                snapshots,
                self._handover,
                self._ahead,
                self._room.pipeline,
                trial,
                priors,
                delivery,
                self._metrics,
                clock,
                begin_trace=self._traces.begin,
            )
            for _ in range(settings.service.workers)
        ]
        retrieval = Retrieval(settings.prior, settings.orthanc.aet, self._orthanc, self._ledger, self._metrics)
        self._follow_up = FollowUp(
            self._orthanc, self._ledger, self._handover, retrieval if settings.prior.pacs else None, clock
        )
        trusted = settings.service.trusted_hosts
        archive = Archive(settings, self._orthanc, self._ledger, self._metrics, clock)
        drift = DriftWatch(settings, self._ledger, self._metrics)
        self._dispatch = Dispatch(settings, self._orthanc, self._ledger, self._metrics, self._leases.owner)
        web = WebApp(
            self,
            self._bell,
            self._ledger,
            self._health,
            self._metrics,
            self._orthanc,
            trusted,
            self._looks,
            time_zone(settings.delivery.time_zone),
            settings.destinations,
            Viewer.of(settings, self._looks),
        )
        self._listeners = [Listener(web.asgi, sock)]
        if outer_sock is not None:
            login = Login(web.asgi, accounts, self._metrics, self._looks)
            self._listeners.append(Listener(login, outer_sock, certificate))
        self._threads = [
            _thread("health", lambda: self._health.run(self._stopping)),
            _thread("lease", lambda: upkeep.keep_leases(self._stopping)),
            _thread("tidying", lambda: upkeep.keep_tidy(self._stopping)),
            _thread("audit", lambda: upkeep.keep_audit(self._stopping)),
            _thread("archive", lambda: archive.run(self._stopping)),
            _thread("drift", lambda: drift.run(self._stopping)),
            _thread("intake", lambda: intake.run(self._stopping)),
            _thread("ahead", lambda: self._ahead.run(self._stopping)),
            _thread("shadow", lambda: shadow.run(self._stopping)),
            _thread("priors", lambda: self._follow_up.run(self._stopping)),
            *(_thread(name, body) for name, body in self._dispatch.threads(self._stopping).items()),
            *(_thread(f"worker-{number}", self._work_with(worker)) for number, worker in enumerate(self._workers)),
        ]
        self._web_threads = [_thread(f"web-{number}", one.run) for number, one in enumerate(self._listeners)]

    def start(self) -> None:
        """Start all threads and return."""
        self._log.info("starting", version=__version__, owner=self._leases.owner)
        self._ledger.audit.record(AuditEvent.STARTED, version=__version__, service=self._leases.owner)
        self._upkeep.take_up()
        for thread in (*self._web_threads, *self._threads):
            thread.start()

    def stop(self) -> None:
        """Finish the study in progress, stop all threads, close everything."""
        self._log.info("stopping")
        self._stopping.set()
        self._bell.wake()
        self._handover.wake()
        self._ahead.wake()
        self._dispatch.wake()
        self._follow_up.wake()
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
        self._traces.close()
        self._room.close()
        self._orthanc.close()
        self._opened.close()
        self._log.info("stopped")

    def list_dead(self) -> list[str]:
        """Return the names of threads that ended or are stuck although nobody stopped them: a fault of the service."""
        if self._stopping.is_set():
            return []
        threads = (*self._web_threads, *self._threads)
        ended = [thread.name for thread in threads if thread.ident is not None and not thread.is_alive()]
        return ended + ["intake"] * self._intake.is_stuck() + self._leases.list_stalled()

    def fault(self) -> str:
        """Return why the service is not live, asked over HTTP as others ask it; empty when it is."""
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
        """Queue the answer about one series that `who` asks for, behind the studies that arrive; return the job.

        Raises `NotThereError`, `OwnResultError`, `TooManyRequestsError` or `UnavailableError`.
        """
        self._request_rate.take()
        held = self._orthanc.series(series)
        known = self._ledger.series.find_known([series]).get(series)
        own = self._snapshots.is_own(held) if known is None else known.origin is Origin.OWN
        if own:
            raise OwnResultError
        study = self._orthanc.study(held.study)
        most = self._settings.service.requests_waiting
        job = self._ledger.queue.request(study.id, study.uid, NewJob("", "", series=series), most, who)
        if job is None:
            raise TooManyRequestsError(
                f"{most} requested answers are in progress (service.requests_waiting)", _REQUEST_S
            )
        self._handover.wake()
        return job

    def _work_with(self, worker: Worker) -> Callable[[], None]:
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
            except Exception as error:  # a study meets the error too and is given up with the reason
                self._warm_fault = describe(error)
                self._log.error("results cannot be written", error=self._warm_fault)
                return
            gc.collect()
            gc.freeze()  # imports stay; collecting them again would only delay a study
            self._warm.set()

    def _probe_orthanc(self) -> None:
        self._orthanc.system()
        # What was refused is tried again within that time; what is not was given up, as when its study was deleted.
        refusal = self._orthanc.store_refusal.within(2 * self._settings.intake.retry_longest_s)
        if refusal is not None:
            raise UnavailableError(f"Orthanc did not take a result: {refusal.reason}")
        check_storage(self._settings.orthanc.storage)

    def _probe_triton(self) -> None:
        self._room.probe()
        model = self._room.model()
        if model is not None:
            self._metrics.first_triton_left.set("stands_in" in model)
            self._metrics.version_passed_over.set("passed_over" in model)
            reasons = ("stands_in", "passed_over")
            self._metrics.model.info({name: value for name, value in model.items() if name not in reasons})
        self._metrics.engines_passed_over.set(self._room.count_failed_engines())

    def _probe_warmth(self) -> None:
        if not self._warm.is_set():
            raise UnavailableError(self._warm_fault or "the writing of results is being warmed up")

    def _resume_after(self, neighbour: str) -> None:
        if neighbour == "ledger":
            self._upkeep.take_up()
        if neighbour in ("ledger", "orthanc", "triton"):
            self._ledger.queue.hurry()
            self._handover.wake()
            self._bell.wake()


def _thread(name: str, body: Callable[[], None]) -> threading.Thread:
    return threading.Thread(target=body, name=name, daemon=True)
