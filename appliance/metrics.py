# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The service's metrics. All names begin with `hemorrhage_`, times are in seconds, no label names a person.

Jobs and studies by state are counted in the ledger at each scrape, so they are right after a restart too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.gc_collector import GCCollector
from prometheus_client.metrics_core import Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from appliance import __version__
from appliance.drift.features import FEATURES
from appliance.errors import RefusalCode, UnavailableError
from appliance.findings.change import ComparisonOutcome
from appliance.imaging.flaws import FlawCode
from appliance.ledger.opinions import Count
from appliance.ledger.outbox import Backlog
from appliance.ledger.states import JobState, StudyState
from appliance.opinions.collector import OpinionCollector
from appliance.results.kinds import KEY_IMAGES, KEY_OBJECTS, REFUSAL, SEG

LEFT_FOR_NEWER: Final = "queue"
"""Why a study is not read during its quiet time: newer ones needed the memory for those that wait."""
LEFT_AS_TOO_LARGE: Final = "size"
"""Why a study is not read during its quiet time: it is larger than all that memory."""

SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 7.5, 10, 15, 30, 60, 120)
"""Bucket edges of a step."""
TURNAROUND_SECONDS: Final = (0.5, 1, 2, 2.25, 2.5, 2.75, 3, 3.5, 4, 5, 6, 8, 10, 15, 20, 30, 60, 120, 300, 600)
"""Bucket edges of the turnaround; fine above the quiet time of 2 s, where it normally lies."""


class Metrics:
    """The service's metrics in a registry of their own."""

    def __init__(
        self,
        job_counts: Callable[[], dict[JobState, int]],
        study_counts: Callable[[], dict[StudyState, int]],
        longest_running_s: Callable[[], float] = lambda: 0.0,
        backlogs: Callable[[], Mapping[str, Backlog]] = dict,
        clock: Callable[[], float] = time.time,
        oldest_unrouted_s: Callable[[], float] = lambda: 0.0,
        oldest_queued_s: Callable[[], float] = lambda: 0.0,
        with_other_rules: Callable[[], int] = lambda: 0,
        opinions: Callable[[], Sequence[Count]] = tuple,
    ) -> None:
        self.registry = CollectorRegistry()
        self._destinations: set[str] = set()
        self.turnaround = Histogram(
            "hemorrhage_turnaround_seconds",
            "From the last instance received to the SR stored in Orthanc",
            buckets=TURNAROUND_SECONDS,
            registry=self.registry,
        )
        self.step = Histogram(
            "hemorrhage_step_seconds",
            "How long each step of an answer took; quiet: waiting for further instances, queue: waiting for a worker",
            ["step"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.answers = Counter(
            "hemorrhage_answers",
            "Answers whose SR was stored, by what they say",
            ["answer"],
            registry=self.registry,
        )
        self.partial = Counter(
            "hemorrhage_partial_answers",
            "Answers about a part of the head, because the rest had not arrived or could not be read with it",
            registry=self.registry,
        )
        self.compared = Counter(
            "hemorrhage_compared_answers",
            "Answers about a patient with a prior head CT: grown, not_grown, not_comparable (one is of a part of the "
            "head), withheld (it may be another patient's, or has no time)",
            ["change"],
            registry=self.registry,
        )
        self.priors_fetched = Counter(
            "hemorrhage_priors_fetched",
            "Prior head CTs that the PACS was asked for: fetched, failed (it was not sent, or the PACS did not answer)",
            ["outcome"],
            registry=self.registry,
        )
        self.refusals = Counter(
            "hemorrhage_refusals",
            "Reasons why series were not read; study=answered: another series of the study was read",
            ["code", "study"],
            registry=self.registry,
        )
        self.flaws = Counter(
            "hemorrhage_image_flaws",
            "Flaws of images that were read nevertheless",
            ["code"],
            registry=self.registry,
        )
        self.crashes = Counter(
            "hemorrhage_job_crashes",
            "Tries of a job that broke the pipeline itself (not those that waited for Orthanc or Triton)",
            registry=self.registry,
        )
        self.undrawn = Counter(
            "hemorrhage_undrawn_answers",
            "Answers without all their key images, because one could not be drawn",
            registry=self.registry,
        )
        self.unmade = Counter(
            "hemorrhage_unmade_results",
            "Answers without a kind of result object (seg, key-image, key-objects), and refusals without their report "
            "(refusal), because it could not be made",
            ["kind"],
            registry=self.registry,
        )
        self.unmarked = Counter(
            "hemorrhage_unmarked_answers",
            "Answers without their mark, which nothing routes, because Orthanc did not accept it",
            registry=self.registry,
        )
        self.read_ahead = Counter(
            "hemorrhage_studies_read_ahead",
            "Studies read during their quiet time; in_time: the answer uses the reading, in_vain: it was thrown away "
            "because an instance came meanwhile, another version answers by now, or memory was short",
            ["outcome"],
            registry=self.registry,
        )
        self.not_read_ahead = Counter(
            "hemorrhage_studies_not_read_ahead",
            "How often a study that looked complete was not read during its quiet time, once more each time that it "
            f"grows; {LEFT_FOR_NEWER}: newer ones needed the memory for those that wait, {LEFT_AS_TOO_LARGE}: it is "
            "larger than all that memory",
            ["why"],
            registry=self.registry,
        )
        self.shadowed = Counter(
            "hemorrhage_studies_shadowed",
            "Answered studies that a shadow version of the detector read too, or could not read (outcome=unread)",
            ["outcome"],
            registry=self.registry,
        )
        self.job_postponements = Counter(
            "hemorrhage_job_postponements",
            "Tries of a job that ended because Orthanc, Triton or the ledger did not answer; the job is tried again",
            registry=self.registry,
        )
        self.reachable = Gauge(
            "hemorrhage_reachable",
            "1 when the neighbour answered when it was last asked, else 0",
            ["neighbour"],
            registry=self.registry,
        )
        self.ready = Gauge(
            "hemorrhage_ready",
            "1 when the service would answer a study now, else 0 (the same as /health/ready)",
            registry=self.registry,
        )
        self.engines_passed_over = Gauge(
            "hemorrhage_engines_passed_over",
            "Engines better than the one that serves the detector that failed when last tried: answers are right "
            "and slower",
            registry=self.registry,
        )
        self.first_triton_left = Gauge(
            "hemorrhage_first_triton_left",
            "1 while a Triton of triton.others answers because the first one does not answer rightly, else 0",
            registry=self.registry,
        )
        self.version_passed_over = Gauge(
            "hemorrhage_version_passed_over",
            "1 while an earlier version of the detector answers because the promoted one is not served, else 0",
            registry=self.registry,
        )
        self.model = Info("hemorrhage_model", "The model that answers", registry=self.registry)
        self.change_log_read = Gauge(
            "hemorrhage_change_log_read_timestamp_seconds",
            "Unix time at which Orthanc's change log was last read to its end",
            registry=self.registry,
        )
        self.unseen_series = Gauge(
            "hemorrhage_unseen_series",
            "Series in Orthanc that could not be looked at so far; each will be tried again",
            registry=self.registry,
        )
        self.studies_without_room = Gauge(
            "hemorrhage_studies_without_room",
            "Studies that found the queue full (intake.queue_most) and have no job yet; each is decided when there is "
            "room",
            registry=self.registry,
        )
        self.orthanc_clock_ahead = Gauge(
            "hemorrhage_orthanc_clock_ahead_seconds",
            "How far Orthanc's clock is ahead of the service's; 0 when they may agree",
            registry=self.registry,
        )
        self.odd_entries = Counter(
            "hemorrhage_odd_ring_entries",
            "Entries of the plugin's messages that were left out, as they are not identifiers of Orthanc",
            registry=self.registry,
        )
        self.doorbells = Counter(
            "hemorrhage_doorbells", "Messages received from the Orthanc plugin", registry=self.registry
        )
        self.disk_free = Gauge(
            "hemorrhage_disk_free_bytes",
            "Room on the disk of the state folder (place=state) and of Orthanc's storage (place=orthanc)",
            ["place"],
            registry=self.registry,
        )
        self.disk_size = Gauge("hemorrhage_disk_size_bytes", "Size of these disks", ["place"], registry=self.registry)
        self.certificate_expires = Gauge(
            "hemorrhage_certificate_expires_timestamp_seconds",
            "When the certificate for other machines expires; NaN without one",
            registry=self.registry,
        )
        self.archive_bytes = Gauge(
            "hemorrhage_archive_bytes", "What Orthanc says that it stores", registry=self.registry
        )
        self.archive_over = Gauge(
            "hemorrhage_archive_over_bytes",
            "By how much Orthanc stores more than archive.most_gb, because only unfinished studies are left",
            registry=self.registry,
        )
        self.removed = Counter(
            "hemorrhage_studies_removed",
            "Studies removed from Orthanc by the settings of the archive",
            ["why"],
            registry=self.registry,
        )
        self.ledger_rows = Gauge(
            "hemorrhage_ledger_rows", "Rows of the ledger's tables", ["table"], registry=self.registry
        )
        self.pruned = Counter(
            "hemorrhage_ledger_pruned_studies",
            "Studies removed from the ledger, ledger.keep_days after they left Orthanc",
            registry=self.registry,
        )
        self.turned_away = Counter(
            "hemorrhage_requests_turned_away",
            "Requests from other machines without a known account, or whose role does not allow them",
            ["why"],
            registry=self.registry,
        )
        self.deliveries = Counter(
            "hemorrhage_deliveries",
            "Tries to deliver an answer, by how they ended; failed: tried again; rejected, expired: given up",
            ["destination", "outcome"],
            registry=self.registry,
        )
        self.rule_errors = Counter(
            "hemorrhage_rule_errors",
            "Answers for which the condition of a rule could not be evaluated, so that it did not hold; "
            "rule=(headers): whose headers could not be read; (study gone): hemorrhages whose study had left Orthanc",
            ["rule"],
            registry=self.registry,
        )
        self.drift_distance = Gauge(
            "hemorrhage_drift_distance",
            "How far a feature of the newest studies is from the reference (0 to 1); not a number while not known",
            ["what"],
            registry=self.registry,
        )
        self.drift_limit = Gauge(
            "hemorrhage_drift_limit",
            "How far that may be by chance, for as many studies as there are",
            ["what"],
            registry=self.registry,
        )
        self.drift_studies = Gauge(
            "hemorrhage_drift_studies", "How many studies are compared with the reference", registry=self.registry
        )
        self.drift_reference_studies = Gauge(
            "hemorrhage_drift_reference_studies",
            "How many studies the reference of the model has; 0 without a reference, NaN before the first answer",
            registry=self.registry,
        )
        build = Info("hemorrhage_build", "The version of the service", registry=self.registry)
        build.info({"version": __version__})
        for code in RefusalCode:  # so that a rate exists before the first one happens
            self.refusals.labels(code.value, "answered")
            self.refusals.labels(code.value, "refused")
        for flaw in FlawCode:
            self.flaws.labels(flaw.value)
        for kind in (SEG, KEY_IMAGES, KEY_OBJECTS, REFUSAL):
            self.unmade.labels(kind.name)
        for place in ("state", "orthanc"):  # not known before the first look: no alert asks for 0
            self.disk_free.labels(place).set(float("nan"))
            self.disk_size.labels(place).set(float("nan"))
        self.certificate_expires.set(float("nan"))
        self.drift_reference_studies.set(float("nan"))
        for feature in FEATURES:
            self.drift_distance.labels(feature.name).set(float("nan"))
            self.drift_limit.labels(feature.name).set(float("nan"))
        for why in ("age", "size"):
            self.removed.labels(why)
        for why in ("no account", "role"):
            self.turned_away.labels(why)
        for outcome in ("in_time", "in_vain"):
            self.read_ahead.labels(outcome)
        for why in (LEFT_FOR_NEWER, LEFT_AS_TOO_LARGE):
            self.not_read_ahead.labels(why)
        for outcome in ("read", "unread"):
            self.shadowed.labels(outcome)
        for answer in ("present", "absent"):
            self.answers.labels(answer)
        for outcome in ("fetched", "failed"):
            self.priors_fetched.labels(outcome)
        for came_out in ComparisonOutcome:
            self.compared.labels(came_out.value)
        self.registry.register(_ByState("hemorrhage_jobs", "Jobs in the ledger, by state", job_counts))
        self.registry.register(
            _ByState("hemorrhage_studies", "Studies in the ledger, by the state of their intake", study_counts)
        )
        self.registry.register(
            _Asked(
                "hemorrhage_job_running_seconds",
                "How long the longest-running job has been read or delivered, 0 when there is none",
                longest_running_s,
            )
        )
        self.registry.register(
            _Asked(
                "hemorrhage_queue_oldest_seconds",
                "How long the oldest answer that waits for a worker has waited, 0 when none does",
                oldest_queued_s,
            )
        )
        self.registry.register(
            _Asked(
                "hemorrhage_rules_oldest_seconds",
                "How long the oldest answer has stood to which no rules have been applied, 0 when there is none",
                oldest_unrouted_s,
            )
        )
        self.registry.register(
            _Asked(
                "hemorrhage_services_with_other_rules",
                "Services on the same ledger that work by other rules or destinations than this one",
                with_other_rules,
            )
        )
        self.registry.register(OpinionCollector(opinions))
        self.registry.register(_Backlogs(backlogs, clock, self._destinations))
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    def know_destination(self, name: str) -> None:
        """Tell of a destination before anything was delivered to it."""
        self._destinations.add(name)
        for outcome in ("delivered", "failed", "rejected", "expired"):
            self.deliveries.labels(name, outcome)


class _Backlogs(Collector):
    """What waits for each destination; those that are known have 0 when nothing does."""

    def __init__(
        self, backlogs: Callable[[], Mapping[str, Backlog]], clock: Callable[[], float], known: Collection[str]
    ) -> None:
        self._backlogs, self._clock, self._known = backlogs, clock, known

    def collect(self) -> Iterator[Metric]:
        """Yield how much waits, and for how long the oldest; nothing when the ledger does not answer."""
        waiting = GaugeMetricFamily(
            "hemorrhage_deliveries_waiting", "Deliveries that wait, by destination", labels=["destination"]
        )
        oldest = GaugeMetricFamily(
            "hemorrhage_delivery_oldest_seconds",
            "How long the oldest delivery that waits for a destination has waited, 0 when none does",
            labels=["destination"],
        )
        with suppress(UnavailableError):
            backlogs, now = self._backlogs(), self._clock()
            for name in sorted({*self._known, *backlogs}):
                backlog = backlogs.get(name)
                waiting.add_metric([name], backlog.waiting if backlog else 0)
                oldest.add_metric([name], max(0.0, now - backlog.oldest) if backlog else 0)
        yield waiting
        yield oldest


class _ByState(Collector):
    def __init__(self, name: str, meaning: str, counts: Callable[[], Mapping[Any, int]]) -> None:
        self._name, self._meaning, self._counts = name, meaning, counts

    def collect(self) -> Iterator[Metric]:
        """Yield how many there are in each state; nothing when the ledger does not answer."""
        family = GaugeMetricFamily(self._name, self._meaning, labels=["state"])
        try:
            counts = self._counts()
        except UnavailableError:
            counts = {}
        for state, number in counts.items():
            family.add_metric([str(state)], number)
        yield family


class _Asked(Collector):
    def __init__(self, name: str, meaning: str, value: Callable[[], float]) -> None:
        self._name, self._meaning, self._value = name, meaning, value

    def collect(self) -> Iterator[Metric]:
        """Yield the value; nothing when the ledger does not answer."""
        family = GaugeMetricFamily(self._name, self._meaning)
        with suppress(UnavailableError):
            family.add_metric([], self._value())
        yield family
