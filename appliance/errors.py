# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The appliance's own errors and refusals: what happened, which study (a UID, never a name), and what to do.

A *refusal* is an answer about a series or a study that could not be read: it has a code that rules and metrics can
count, and a sentence for people. An *error* is a fault of the box or its neighbours: the job waits and is tried again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class RefusalCode(StrEnum):
    """Why a series or a study was not read. The values are metric labels and stand in `result.json`."""

    NOT_DICOM = "not_dicom"
    """The file is not DICOM (or not readable as DICOM)."""
    NOT_CT = "not_ct"
    """Modality or SOP class is not CT Image Storage."""
    ENHANCED_CT = "enhanced_ct"
    """Enhanced multi-frame CT, which this version does not read."""
    LOCALIZER = "localizer"
    """A scout / topogram."""
    NOT_AXIAL = "not_axial"
    """A reformat or an acquisition whose planes are not axial (gantry tilt up to 35 degrees is axial)."""
    NOT_SOFT_TISSUE = "not_soft_tissue"
    """A bone or other sharp reconstruction."""
    NOT_HEAD = "not_head"
    """Another part of the body."""
    DERIVED = "derived"
    """A projection, map or rendering that was computed from other images."""
    CONTRAST = "contrast"
    """Contrast agent was given."""
    NO_POSITION = "no_position"
    """Image Position or Image Orientation (Patient) is missing or unusable."""
    NO_RESCALE = "no_rescale"
    """Rescale Slope or Intercept is missing or unusable: the values are not HU."""
    BAD_GEOMETRY = "bad_geometry"
    """The slices are not one stack: rows, columns, spacing or orientation differ, or are missing."""
    TOO_FEW_SLICES = "too_few_slices"
    """Fewer slices, or a shorter stack, than a head needs."""
    TOO_LARGE = "too_large"
    """The stack, or one of its files, needs more memory than the settings allow."""
    MISSING_SLICE = "missing_slice"
    """A gap between slices: part of the head was not seen."""
    DUPLICATE_POSITION = "duplicate_position"
    """Two different images stand at one position."""
    BAD_PIXELS = "bad_pixels"
    """Pixel data is truncated, missing, or cannot be decoded."""
    IMPLAUSIBLE_HU = "implausible_hu"
    """The values cannot be a head in HU (for instance all of one value)."""
    NO_SUITABLE_SERIES = "no_suitable_series"
    """No series of the study is an axial soft-tissue head CT."""
    BREAKS_READER = "breaks_reader"
    """Reading it broke the appliance itself several times: it is set aside so that other studies are read."""
    NO_IMAGES = "no_images"
    """There is no file to read."""
    SOURCE_DELETED = "source_deleted"
    """The study or series was deleted before it was read."""


@dataclass(frozen=True)
class Refusal:
    """One refusal; `series_uid` is None when it is about the whole study or about a file."""

    code: RefusalCode
    reason: str
    series_uid: str | None = None


def refusals_json(refusals: Iterable[Refusal]) -> list[dict[str, Any]]:
    """Return refusals as plain JSON, the same in the ledger, `/status` and `result.json`."""
    return [{"series_uid": item.series_uid, "code": item.code.value, "reason": item.reason} for item in refusals]


class ApplianceError(Exception):
    """The root of the appliance's errors; its text says what happened and what to do."""


class RefusedError(ApplianceError):
    """Input that another try would not change; carries the refusals that say why."""

    def __init__(self, *refusals: Refusal) -> None:
        if not refusals:
            raise ValueError("a refused input has at least one refusal")
        self.refusals = refusals
        super().__init__("; ".join(f"{refusal.code}: {refusal.reason}" for refusal in refusals))


class SettingsError(ApplianceError):
    """A setting is wrong; the text names it, its value and what is allowed."""


class UnavailableError(ApplianceError):
    """A neighbour (Orthanc, Triton, the ledger) does not answer: the job waits and is tried again."""


class GaveWayError(ApplianceError):
    """A reading was broken off because it must not hold up another; it can be started again."""


class ModelContractError(ApplianceError):
    """The served model is not the one this version of the appliance was written for."""


class DrawingError(ApplianceError):
    """A key image could not be drawn. The answer stands without it, in the service and in `analyze`."""
