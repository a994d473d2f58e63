# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What Orthanc holds of a study now, without our results: the instances that a decision is based on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from pydicom import Dataset
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage

from appliance.errors import Refusal, RefusalCode, RefusedError
from appliance.imaging.instances import Instance
from appliance.intake.files import Files
from appliance.intake.headers import Headers
from appliance.intake.priority import header_of
from appliance.ledger.ledger import Ledger
from appliance.ledger.records import Origin
from appliance.orthanc import Orthanc
from appliance.orthanc_errors import NotThereError
from appliance.orthanc_records import HeldSeries
from appliance.results.identity import OWN_UID_ROOT, series_uid_of

_CT: Final = "CT"
_CT_CLASSES: Final = frozenset({CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage})
_CLASSES_REMEMBERED: Final = 20_000


@dataclass(frozen=True)
class Snapshot:
    """A study at one moment.

    `instances` are all instances of the series with a CT image, whatever else these hold and in whatever order it
    arrived, and one of every other series, which is enough to say why that series is not read. `refusals` are about
    files that cannot be read as DICOM and series that are too large. `instance_set` identifies all instances.
    """

    study: str
    study_uid: str
    instances: tuple[Instance, ...]
    refusals: tuple[Refusal, ...]
    instance_set: str
    unread: int = 0
    """How many instances of CT series cannot be read as DICOM."""


@dataclass(frozen=True)
class Listed:
    """A study at one moment without a look at its images: all its instances, and which of them would be looked at.

    `headers` hold what Orthanc itself noted of the study and of each series, as far as `priority` needs it.
    `last_update` is when the last instance came, Unix time by Orthanc's clock in whole seconds.
    """

    instances: tuple[str, ...]
    to_read: tuple[str, ...]
    instance_set: str
    headers: tuple[Dataset, ...]
    last_update: float


class Snapshots:
    """Takes snapshots of studies in one Orthanc."""

    def __init__(self, orthanc: Orthanc, files: Files, headers: Headers, ledger: Ledger, largest_series: int) -> None:
        self._orthanc = orthanc
        self._files = files
        self._largest_series = largest_series
        self._headers = headers
        self._ledger = ledger
        self._sop_class = lru_cache(_CLASSES_REMEMBERED)(orthanc.sop_class_uid)

    def of(self, study: str, only_series: str = "", get_on: Callable[[], None] = lambda: None) -> Snapshot:
        """Return what Orthanc holds of a study, or of one series of it, without our own results.

        Calls `get_on` before each image, because a slow Orthanc is no standstill.
        Raises `NotThereError` when the study does not exist or is empty, `UnavailableError` as `Orthanc` does.
        """
        held = self._orthanc.study(study)
        names: list[str] = []
        instances: list[Instance] = []
        refusals: list[Refusal] = []
        unread = 0
        for series in self._from_outside(held.series, only_series):
            try:
                to_read = self._to_read(series)
                names += series.instances
                if series.modality == _CT and not self.is_read(series):
                    refusals.append(self._too_large(series))
                for instance in to_read:
                    get_on()
                    try:
                        instances.append(self._headers.of(instance))
                    except RefusedError as error:
                        refusals += error.refusals
                        unread += self._holds_ct(series)
            except NotThereError:
                continue  # deleted while we looked
        if not names:
            raise NotThereError(f"study {held.uid} holds nothing any more")
        return Snapshot(study, held.uid, tuple(instances), tuple(refusals), _digest(names), unread)

    def listed(self, study: str, only_series: str = "") -> Listed:
        """Return what `of` would look at, without looking at any image. Raises what `of` does."""
        names: list[str] = []
        to_read: list[str] = []
        held = self._orthanc.study(study)
        headers: list[Dataset] = []
        last_update = float("-inf")
        for series in self._from_outside(held.series, only_series):
            try:
                to_read += self._to_read(series)
                names += series.instances
                headers.append(header_of({**held.tags, **series.tags}))
                last_update = max(last_update, series.last_update)
            except NotThereError:
                continue
        if not names:
            raise NotThereError("the study holds nothing any more")
        return Listed(tuple(names), tuple(to_read), _digest(names), tuple(headers), last_update)

    def _from_outside(self, series_there: Iterable[str], only_series: str) -> Iterator[HeldSeries]:
        """Yield the series of a study, or the one, that are not results of an appliance."""
        known = self._ledger.series.find_known(series_there)
        for identifier in (only_series,) if only_series else series_there:
            if identifier in known and known[identifier].origin is Origin.OWN:
                continue
            try:
                series = self._orthanc.series(identifier)
                if identifier in known or not self.is_own(series):
                    yield series
            except NotThereError:
                continue  # deleted while we looked

    def _to_read(self, series: HeldSeries) -> tuple[str, ...]:
        """Return which instances of a series are looked at."""
        if series.modality == _CT and not self.is_read(series):
            return ()
        return tuple(series.instances if self._holds_ct(series) else series.instances[:1])

    def file(self, instance: str) -> bytes:
        """Return the file of an instance of a snapshot. Raises what `Orthanc.file` does."""
        return self._files.whole(instance)

    def release(self, snapshot: Snapshot) -> None:
        """Drop the files of a snapshot, which nobody will read again."""
        self._files.forget(instance.ref for instance in snapshot.instances)

    def is_read(self, series: HeldSeries) -> bool:
        """Return whether every header of a series is certain to be read: it is CT, and no perfusion of thousands."""
        return series.modality == _CT and len(series.instances) <= self._largest_series

    def _holds_ct(self, series: HeldSeries) -> bool:
        """Return whether every header of a series is read: one of its instances is a CT image.

        Orthanc's modality is that of the instance that arrived first. A secondary capture or a report with the series
        UID of the slices that arrived before them must not hide the head.
        """
        if self.is_read(series):
            return True
        return len(series.instances) <= self._largest_series and any(
            self._sop_class(instance) in _CT_CLASSES for instance in series.instances
        )

    def _too_large(self, series: HeldSeries) -> Refusal:
        reason = (
            f"{len(series.instances)} images; the setting intake.largest_series allows {self._largest_series} "
            "in one series"
        )
        return Refusal(RefusalCode.TOO_LARGE, reason, series.uid)

    def is_own(self, series: HeldSeries) -> bool:
        """Return whether a series that the ledger does not know is a result of an appliance, ours or another.

        The Series Instance UID of results follows from the SOP Instance UID of one of their instances.
        """
        if series.modality == _CT or not series.uid.startswith(OWN_UID_ROOT):
            return False
        return any(
            series_uid_of(self._orthanc.sop_instance_uid(instance)) == series.uid for instance in series.instances
        )


def _digest(names: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()
