# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Gathers what rules may ask about an answer: its job, the header of a source image, and how that image arrived."""

from __future__ import annotations

from datetime import tzinfo
from zoneinfo import ZoneInfo

from appliance.delivery.variables import Situation
from appliance.ledger.ledger import Ledger
from appliance.ledger.records import Job, Origin
from appliance.ledger.states import JobState
from appliance.orthanc import Orthanc
from appliance.orthanc_errors import NotThereError
from appliance.orthanc_records import HeldSeries

_CT = "CT"


def time_zone(name: str) -> tzinfo | None:
    """Return the time zone with a name; None, which means the machine's, for an empty name."""
    return ZoneInfo(name) if name else None


def situation(job: Job, orthanc: Orthanc, ledger: Ledger, zone: tzinfo | None) -> Situation:
    """Return what rules may ask about the answer of a job.

    Raises `NotThereError` when Orthanc no longer holds an image of the study, and `UnavailableError` when Orthanc or
    the ledger does not answer.
    """
    source = source_series(job, orthanc, ledger)
    instance = source.instances[0]
    others = [one for one in ledger.jobs.of_study(job.orthanc_study) if one.id != job.id]
    earlier = [
        one
        for one in others
        if one.id < job.id and one.state is JobState.SUPERSEDED and one.orthanc_series == job.orthanc_series
    ]
    return Situation(
        job,
        orthanc.header(instance),
        orthanc.instance_metadata(instance),
        zone,
        earlier[-1] if earlier else None,
        tuple(one for one in others if one.state is JobState.DONE and _is_held(one, orthanc, ledger)),
    )


def _is_held(job: Job, orthanc: Orthanc, ledger: Ledger) -> bool:
    """Return whether Orthanc holds the report of a job; if it does not, the study was deleted and came again."""
    return any(
        one.sop_instance_uid == job.sr_uid and orthanc.holds_instance(one.orthanc_instance)
        for one in ledger.jobs.results(job.id)
    )


def source_series(job: Job, orthanc: Orthanc, ledger: Ledger) -> HeldSeries:
    """Return the series that a job read; if it read none, the requested one, or the first with CT images.

    Raises `NotThereError` when Orthanc holds no image of the study any more.
    """
    held = orthanc.study(job.orthanc_study)
    known = ledger.series.find_known(held.series)
    found = []
    for identifier in held.series:
        if identifier in known and known[identifier].origin is Origin.OWN:
            continue
        series = orthanc.series(identifier)
        if series.instances:
            found.append(series)
    wanted = [one for one in found if one.uid == job.answered_series] or [
        one for one in found if one.id == job.orthanc_series
    ]
    chosen = (wanted or [one for one in found if one.modality == _CT] or found)[:1]
    if not chosen:
        raise NotThereError("Orthanc holds no image of the study any more")
    return chosen[0]
