# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A run in which the objective is missed for a while: heads keep coming, Triton is away, and comes back.

Everything is real and on loopback: Orthanc, Triton, the service, Prometheus and Alertmanager; heads are simulated. What
the alerts see is the service's own metrics of studies that were late because nobody could read them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx

from appliance.settings import Settings
from deploy.local.appliance import LocalAppliance
from deploy.local.ports import with_free_ports
from deploy.local.storescu import send
from tests.hospital_day.studies import Planned, write_planned
from tests.objective.shortened import shorten
from tests.objective.watching import Watching, watch

FAST: Final = "HemorrhageAnswersLateFast"
SLOW: Final = "HemorrhageAnswersLateSlow"
WINDOWS: Final = ("5m", "30m", "1h", "6h")
_ENDED: Final = ("done", "refused", "failed")


@dataclass
class Asked:
    """How the run goes: minutes before Triton goes away and while it is, s between studies, and the shortening."""

    factor: float
    every_s: float
    before_min: float
    away_min: float
    after_min: float
    patience_min: float


@dataclass
class Seen:
    """What a run left: times are Unix seconds."""

    begun: float = 0.0
    killed: float = 0.0
    back: float = 0.0
    ended: float = 0.0
    step_s: float = 15.0
    """Between two times at which Prometheus is asked for, s."""
    not_sent: list[str] = field(default_factory=list)
    """Why heads could not be sent."""
    sent: dict[str, float] = field(default_factory=dict)
    """By Study Instance UID, when its last instance had been sent."""
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By Study Instance UID, what the service says of it in the end."""
    late: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    """By window, the share of answers that were late, at each time."""
    alerts: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    """By alert and state (pending, firing), the times at which Prometheus had it in that state."""
    told: dict[str, list[tuple[float, str]]] = field(default_factory=dict)
    """By alert, when whoever is on call, or the mailbox, was told which state."""


def hold(
    plan: Sequence[Planned],
    kept: Path,
    folder: Path,
    asked: Asked,
    report: Callable[[str], None],
    at_the_end: Callable[[Watching, float], None] = lambda _watching, _span_s: None,
) -> Seen:
    """Hold the run and return what was seen; `at_the_end` may look at Prometheus, with the run's length in s."""
    seen = Seen()
    settings = with_free_ports(Settings(), folder / "state")
    settings = settings.model_copy(
        update={"orthanc": settings.orthanc.model_copy(update={"senders": ("CT1@127.0.0.1", "CT2@127.0.0.1")})}
    )
    with (
        LocalAppliance(settings) as appliance,
        watch(appliance.settings, folder, lambda text: shorten(text, asked.factor)) as watching,
    ):
        seen.begun = time.time()
        stop = threading.Event()
        sender = threading.Thread(
            target=_keep_sending, args=(appliance.settings, plan, kept, folder, asked.every_s, stop, seen)
        )
        sender.start()
        try:
            report(f"heads come every {asked.every_s:g} s")
            _wait(60 * asked.before_min)
            appliance.triton.kill()
            seen.killed = time.time()
            report(f"Triton is killed, {len(seen.sent)} heads are in")
            _wait(60 * asked.away_min)
            appliance.triton.stop()
            appliance.triton.start()
            seen.back = time.time()
            report(f"Triton is back, {len(seen.sent)} heads are in")
            _await_end(watching, asked, seen, report)
            _wait(60 * asked.after_min)
        finally:
            stop.set()
            sender.join()
        _await_answers(appliance, seen, 60 * asked.patience_min)
        seen.ended = time.time()
        _collect(watching, seen, asked)
        at_the_end(watching, seen.ended - seen.begun)
    return seen


def _wait(seconds: float) -> None:
    time.sleep(seconds)


def _keep_sending(
    settings: Settings,
    plan: Sequence[Planned],
    kept: Path,
    folder: Path,
    every_s: float,
    stop: threading.Event,
    seen: Seen,
) -> None:
    """Send one study after the other, at even times, until the run ends or there are no more."""
    for number, one in enumerate(plan):
        try:
            written = write_planned(one, kept, folder / "studies" / str(number), datetime.now(UTC))
            if stop.wait(max(0.0, seen.begun + number * every_s - time.time())):
                return
            send(written.files, settings.orthanc, aet=one.scanner)
        except Exception as error:  # the next head comes all the same, and the run is at fault
            seen.not_sent.append(f"head {number}: {error!r}")
            continue
        seen.sent[written.uid] = time.time()


def _await_end(watching: Watching, asked: Asked, seen: Seen, report: Callable[[str], None]) -> None:
    """Wait until whoever is on call has been told that the fast alert fired and is over, or patience ends."""
    end = time.monotonic() + 60 * asked.patience_min
    told = 0
    while time.monotonic() < end:
        states = watching.on_call.states(FAST, "/on-call")
        for state in states[told:]:
            report(f"on call: {FAST} {state}, {len(seen.sent)} heads are in")
        told = len(states)
        if "firing" in states and states[-1] == "resolved":
            return
        time.sleep(0.5)


def _await_answers(appliance: LocalAppliance, seen: Seen, patience_s: float) -> None:
    """Wait until each study that was sent has ended, or patience ends."""
    end = time.monotonic() + patience_s
    with httpx.Client(base_url=appliance.service.url, timeout=30, trust_env=False) as service:
        while True:
            told = service.get("/status", params={"limit": 1000}).raise_for_status().json()["studies"]
            seen.records = {one["study_uid"]: one for one in told}
            left = [uid for uid in seen.sent if seen.records.get(uid, {}).get("state") not in _ENDED]
            if not left or time.monotonic() > end:
                return
            time.sleep(1)


def _collect(watching: Watching, seen: Seen, asked: Asked) -> None:
    """Ask Prometheus what its rules said during the run."""
    step = seen.step_s = max(0.2, 15 / asked.factor)
    span: dict[str, str | float] = {"start": seen.begun, "end": seen.ended, "step": step}
    for window in WINDOWS:
        found = watching.query("query_range", query=f"hemorrhage:late:ratio_rate{window}", **span)["result"]
        seen.late[window] = [
            (float(at), float(value)) for one in found for at, value in one["values"] if value != "NaN"
        ]
    for one in watching.query("query_range", query="ALERTS", **span)["result"]:
        name, state = one["metric"]["alertname"], one["metric"]["alertstate"]
        times = seen.alerts.setdefault(name, {}).setdefault(state, [])
        times += [float(at) for at, _ in one["values"]]
    for name in seen.alerts:
        told = [*watching.on_call.told(name, "/on-call"), *watching.on_call.told(name, "/mailbox")]
        seen.told[name] = sorted(told)


def faults(seen: Seen) -> list[str]:
    """Return what should have been otherwise: a study lost, or an alert that came too soon, never, or stayed."""
    found = list(seen.not_sent)
    states = [seen.records.get(uid, {}).get("state", "not known") for uid in seen.sent]
    if lost := [state for state in states if state != "done"]:
        found.append(f"{len(lost)} of {len(states)} studies were not answered: {sorted(set(lost))}")
    firing = seen.alerts.get(FAST, {}).get("firing", [])
    if not firing:
        found.append(f"{FAST} never fired")
    elif min(firing) < seen.killed:
        found.append(f"{FAST} fired before Triton was killed")
    elif max(firing) >= seen.ended - 2 * seen.step_s:  # sampled once a step
        found.append(f"{FAST} still fires")
    told = [state for _, state in seen.told.get(FAST, [])]
    if told != ["firing", "resolved"]:
        found.append(f"whoever is on call was told of {FAST}: {told}")
    turnarounds = [seen.records[uid].get("turnaround_s") or 0.0 for uid in seen.sent if uid in seen.records]
    if not any(turnaround > 60 for turnaround in turnarounds):
        found.append("no study was late")
    return found
