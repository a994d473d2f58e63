# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The golden studies of a site: answers that somebody confirmed, which a new version of the detector has to find again.

The images stay in Orthanc; the ledger knows which slices were read and what was confirmed. A new version reads the same
slices and has to agree within `SAME_ML` and `SAME_SHARE`. It need not give the same scores: it is another network.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, Final

from appliance.errors import ApplianceError, GaveWayError, RefusedError
from appliance.findings.find import find
from appliance.imaging.read import read_volume
from appliance.imaging.resize import to_square_field
from appliance.imaging.stacks import stacks
from appliance.inference.detector import TritonDetector
from appliance.intake.files import Files
from appliance.intake.headers import Headers
from appliance.intake.snapshot import Snapshots
from appliance.ledger.ledger import Ledger
from appliance.ledger.records import GoldenStudy, Job
from appliance.ledger.states import OPEN, JobState
from appliance.orthanc import Orthanc
from appliance.orthanc_errors import NotThereError
from appliance.reading.contract import TYPES
from appliance.reading.lesions import Criteria
from appliance.results.facts import lesion_facts
from appliance.results.wording import millilitres
from appliance.settings import Settings

SAME_ML: Final = 1.0
"""Volumes of one type of blood that differ by at most this agree, mL."""
SAME_SHARE: Final = 0.3
"""So do those that differ by at most this share of the confirmed one."""
_GIVES_WAY_S: Final = 60.0
"""How long a golden study waits for arriving studies before it is read beside them, s."""
_LOOKS_EVERY_S: Final = 0.5
_KEPT: Final = ("present", "probability", "lesions", "model")


class GoldenError(ApplianceError):
    """A study cannot be made golden, or is none."""


@dataclass(frozen=True)
class Checked:
    """A golden study as a version reads it; `differences` is empty if it agrees with what was confirmed."""

    golden: GoldenStudy
    differences: tuple[str, ...]


def golden_study(ledger: Ledger, study_uid: str, present: bool, who: str, note: str) -> GoldenStudy:
    """Return a golden study made from the newest answer about a study, which `who` confirms to be right.

    Raises `GoldenError` if the study was not answered, or if its answer is not the confirmed one (`present`).
    """
    answered = [job for job in ledger.views.jobs_of(study_uid) if job.state is JobState.DONE]
    if not answered:
        raise GoldenError(f"study {study_uid} has no answer here: a golden study is one that was answered rightly")
    job: Job = answered[-1]
    if bool(job.answer["present"]) is not present:
        said, confirmed = (("hemorrhage", "none"), ("none", "hemorrhage"))[present]
        raise GoldenError(f"the answer about study {study_uid} is {said}, and {confirmed} was confirmed")
    return GoldenStudy(
        job.study_uid,
        job.orthanc_study,
        job.answered_series,
        job.answered_set,
        ledger.clock(),
        who,
        note,
        {name: job.answer[name] for name in _KEPT},
    )


def differences(confirmed: Mapping[str, Any], read: Mapping[str, Any]) -> tuple[str, ...]:
    """Return in which points a reading differs from a confirmed answer: hemorrhage or none, and mL of each type."""
    found = []
    if bool(confirmed["present"]) != bool(read["present"]):
        says, said = (("hemorrhage" if one["present"] else "no hemorrhage") for one in (read, confirmed))
        found.append(f"{says} ({read['probability']:.3f}), and {said} was confirmed")
    for kind in TYPES:
        before, now = (_total_ml(one, kind.value) for one in (confirmed, read))
        if abs(now - before) > max(SAME_ML, SAME_SHARE * before):
            found.append(f"{kind.display} {millilitres(now)}, and {millilitres(before)} was confirmed")
    return tuple(found)


def _total_ml(answer: Mapping[str, Any], kind: str) -> float:
    return float(sum(lesion["volume_ml"] for lesion in answer["lesions"] if lesion["type"] == kind))


class GoldenReader:
    """Reads golden studies from Orthanc with any version of the detector."""

    def __init__(self, settings: Settings, ledger: Ledger, orthanc: Orthanc) -> None:
        self._settings = settings
        self._ledger = ledger
        self._orthanc = orthanc
        intake = settings.intake
        files = Files(orthanc, intake.files_kept_mib * 2**20)
        headers = Headers(files, intake.headers_kept)
        self._snapshots = Snapshots(orthanc, files, headers, ledger, intake.largest_series)

    def check(self, golden: GoldenStudy, detector: TritonDetector, sha256: str) -> Checked:
        """Return how the version with this sha256 reads a golden study.

        It gives way to arriving studies for a while. Raises `UnavailableError` when Orthanc or Triton is away.
        """
        end = time.monotonic() + _GIVES_WAY_S
        while time.monotonic() < end:
            if self._is_idle():
                try:
                    return self._check(golden, detector, sha256, self._is_idle)
                except GaveWayError:
                    pass
            time.sleep(_LOOKS_EVERY_S)
        return self._check(golden, detector, sha256, None)

    def _is_idle(self) -> bool:
        counts = self._ledger.views.job_counts()
        return not any(counts[state] for state in OPEN)

    def _check(
        self, golden: GoldenStudy, detector: TritonDetector, sha256: str, go_on: Callable[[], bool] | None
    ) -> Checked:
        try:
            held = self._snapshots.of(golden.orthanc_study).instances
            stack = next((one for one in stacks(held) if one.slice_set_hash == golden.slice_set), None)
            if stack is None:
                return Checked(golden, ("Orthanc does not hold the same slices any more",))
            volume = read_volume(stack, self._orthanc.file)
        except NotThereError:
            return Checked(golden, ("Orthanc does not hold the study any more",))
        except RefusedError as error:
            return Checked(golden, tuple(f"{refusal.code}: {refusal.reason}" for refusal in error.refusals))
        reading = detector.read(to_square_field(volume.hu, volume.pixel_spacing_mm), go_on)
        if reading.model.sha256 != sha256:
            raise GoldenError(f"Triton serves another model than {sha256[:12]}…; see its log")
        finding = find(reading, volume, Criteria.of(self._settings.finding, reading.suggested_threshold))
        read = {
            "present": finding.present,
            "probability": finding.probability,
            "lesions": [lesion_facts(lesion) for lesion in finding.lesions],
        }
        return Checked(golden, differences(golden.answer, read))


@contextmanager
def golden_reader(settings: Settings, ledger: Ledger) -> Iterator[GoldenReader]:
    """Yield a reader with a connection to Orthanc of its own."""
    with closing(Orthanc(settings.orthanc)) as orthanc:
        yield GoldenReader(settings, ledger, orthanc)
