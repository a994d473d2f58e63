# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A day: two scanners send by its plan, the PACS is away for a while, and everybody waits until all is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import httpx

from deploy.local.storescu import send
from tests.hospital_day.hospital import Hospital
from tests.hospital_day.studies import SCANNERS, Planned, Written, write_planned

PATIENCE_S: Final = 900.0
ENDED: Final = ("done", "refused", "failed")
_LOOKED_EVERY_S: Final = 0.5
_MISSED_S: Final = 120.0
"""How much longer than asked the PACS stays away until something waits for it, at most."""
Report = Callable[[str], None]


@dataclass
class Day:
    """What was seen of a day; times in Unix seconds."""

    begun: float = 0.0
    arrived: dict[str, float] = field(default_factory=dict)
    """When the last image of a study had been confirmed to its scanner, by study UID."""
    written: dict[str, Written] = field(default_factory=dict)
    pacs_down: tuple[float, float] | None = None
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    settled: bool = False
    """Whether every study was answered and nothing waited for delivery in the end."""


def run_day(
    hospital: Hospital,
    plan: Sequence[Planned],
    kept: Path,
    folder: Path,
    minutes: float,
    down_min: float,
    report: Report,
) -> Day:
    """Send the studies of a plan by the clock, take the PACS away from 40 % of the day on, and wait for the end."""
    day = Day()
    now = datetime.now()
    written = [write_planned(one, kept, folder / str(one.number), now) for one in plan]
    day.written = {one.uid: one for one in written}
    for one in written:
        if one.planned.number < 0:
            report(f"prior of {one.planned.patient}")
            _send(hospital, one, day)
    _await(hospital, day, [one.uid for one in written if one.planned.number < 0])
    day.begun = time.time()
    begun = time.monotonic()
    away = threading.Thread(target=_take_pacs_away, args=(hospital, day, begun, 60 * minutes, 60 * down_min, report))
    away.start()
    with ThreadPoolExecutor(len(SCANNERS)) as scanners:
        lists = [
            [one for one in written if one.planned.scanner == name and one.planned.number >= 0] for name in SCANNERS
        ]
        for sending in [scanners.submit(_scan, hospital, studies, day, begun, report) for studies in lists]:
            sending.result()
    away.join()
    _await(hospital, day, [*day.written])
    report("waiting for the last deliveries")
    ends = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends and not day.settled:
        time.sleep(_LOOKED_EVERY_S)
        day.settled = all(day.records[uid]["state"] in ENDED for uid in day.written) and _waiting(hospital) == 0
    return day


def _scan(hospital: Hospital, studies: Sequence[Written], day: Day, begun: float, report: Report) -> None:
    """Send the studies of one scanner, each at its time or as soon as the one before has been sent."""
    for one in studies:
        time.sleep(max(0.0, begun + one.planned.at_s - time.monotonic()))
        _send(hospital, one, day)
        report(f"study {one.planned.number + 1} from {one.planned.scanner}")


def _send(hospital: Hospital, one: Written, day: Day) -> None:
    send(one.files, hospital.settings.orthanc, aet=one.planned.scanner)
    day.arrived[one.uid] = time.time()


def _take_pacs_away(hospital: Hospital, day: Day, begun: float, day_s: float, down_s: float, report: Report) -> None:
    if down_s <= 0:
        return
    time.sleep(max(0.0, begun + 0.4 * day_s - time.monotonic()))
    report("the PACS is down")
    stopped = time.time()
    hospital.pacs.stop()
    time.sleep(max(0.0, down_s - (time.time() - stopped)))
    ends = time.monotonic() + _MISSED_S
    while time.monotonic() < ends and not _waiting(
        hospital, "pacs"
    ):  # on a slow machine nothing may have missed it yet
        time.sleep(_LOOKED_EVERY_S)
    # It takes connections before `start` returns: what was told until now has to wait, and all of that.
    day.pacs_down = (stopped, time.time())
    hospital.pacs.start()
    report("the PACS is back")


def _waiting(hospital: Hospital, to: str = "") -> int | None:
    """Return how many deliveries wait; None while the service is too busy to say."""
    try:
        return hospital.waiting(to)
    except httpx.HTTPError:
        return None


def _await(hospital: Hospital, day: Day, uids: Sequence[str]) -> None:
    """Wait until studies are answered, or for a long time."""
    ends = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends:
        try:
            day.records = {uid: one for uid, one in hospital.records().items() if uid in day.written}
        except httpx.HTTPError:  # busy
            time.sleep(_LOOKED_EVERY_S)
            continue
        if all(day.records.get(uid, {"state": ""})["state"] in ENDED for uid in uids):
            return
        time.sleep(_LOOKED_EVERY_S)
