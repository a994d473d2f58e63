# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The patient's head CT before this one, as the appliance answered it: what was found then, and how long ago.

Only studies in the appliance's Orthanc are looked at, under the same Patient ID. Volumes are compared by type where
both answers are about a whole head.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import structlog

from appliance.errors import ApplianceError, UnavailableError
from appliance.ledger.ledger import Ledger
from appliance.ledger.records import Job
from appliance.ledger.states import JobState
from appliance.log import describe
from appliance.orthanc import Orthanc
from appliance.orthanc_errors import NotThereError

_MOST: Final = 50
"""So many other studies of a patient are looked at, those that were answered last."""
_TIMES: Final = (("AcquisitionDate", "AcquisitionTime"), ("SeriesDate", "SeriesTime"), ("StudyDate", "StudyTime"))


@dataclass(frozen=True)
class Prior:
    """The answer about an earlier head CT; `hours` lie between the two scans."""

    job: Job
    hours: float


def scanned_at(header: Mapping[str, Any]) -> datetime | None:
    """Return when an image was scanned, by the scanner's clock; None where its header does not say."""
    for date, time in _TIMES:
        digits = re.sub(r"\D", "", str(header.get(time) or "").partition(".")[0])
        try:
            day = datetime.strptime(str(header.get(date) or "")[:8], "%Y%m%d")
            return day + timedelta(
                hours=int(digits[:2] or 0), minutes=int(digits[2:4] or 0), seconds=int(digits[4:6] or 0)
            )
        except ValueError:
            continue
    return None


def prior_of(job: Job, header: Mapping[str, Any], orthanc: Orthanc, ledger: Ledger) -> Prior | None:
    """Return the answer about the patient's last head CT before that of `job`; None where there is none.

    `header` is that of an image that the job read. A study that cannot be read though Orthanc answers counts as none:
    it must not hold back the answer about another. Raises `UnavailableError` when Orthanc or the ledger is away.
    """
    now = scanned_at(header)
    if now is None or not str(header.get("PatientID") or "").strip():  # everybody without an ID is one patient there
        return None
    try:
        others = [one for one in orthanc.studies_of_patient(job.orthanc_study) if one != job.orthanc_study]
    except NotThereError:
        return None
    except (ApplianceError, ValueError, LookupError) as error:
        _pass_over(job, error, orthanc)
        return None
    answered = [found[-1] for one in others if (found := _answers(ledger, one))]
    best: Prior | None = None
    for other in sorted(answered, key=lambda one: one.id)[-_MOST:]:
        then = _scanned(other, orthanc)
        if then is None or then >= now:
            continue
        hours = (now - then).total_seconds() / 3600
        if best is None or hours < best.hours:
            best = Prior(other, hours)
    return best


def _answers(ledger: Ledger, study: str) -> list[Job]:
    return [one for one in ledger.jobs.of_study(study) if one.state is JobState.DONE and one.answer]


def _scanned(job: Job, orthanc: Orthanc) -> datetime | None:
    """Return when the series that a job read was scanned; None where Orthanc no longer holds it."""
    try:
        for identifier in orthanc.study(job.orthanc_study).series:
            series = orthanc.series(identifier)
            if series.uid == job.answered_series and series.instances:
                return scanned_at(orthanc.header(series.instances[0]))
    except NotThereError:
        return None
    except (ApplianceError, ValueError, LookupError) as error:
        _pass_over(job, error, orthanc)
    return None


def _pass_over(job: Job, error: Exception, orthanc: Orthanc) -> None:
    """Log that a study is not compared with. Raises `UnavailableError` where Orthanc as a whole is away."""
    if isinstance(error, UnavailableError):
        orthanc.system()
    structlog.get_logger("delivery").warning(
        "a prior CT cannot be read and counts as none", study=job.study_uid, error=describe(error)
    )
