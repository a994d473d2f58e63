# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The stacks of planes that a study is made of: what each kind of series is planned as, and how it is stored.

`Planes` know where each of their voxels lies in the patient (mm, LPS: x to the left, y to posterior, z to the head)
and nothing of DICOM files. `turn_planes` stores the same voxels differently; nothing moves in the patient.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from simulator.geometry import ScanGeometry

AIR_HU: Final = -1000


class SeriesKind(StrEnum):
    """What a series of a head-CT study is."""

    AXIAL = "axial"
    """Axial, soft-tissue kernel, thick slices: the one to read."""
    THIN = "thin"
    """Axial, soft-tissue kernel, about 1 mm."""
    BONE = "bone"
    """Axial, sharp kernel."""
    CORONAL = "coronal"
    """Coronal reformat."""
    SAGITTAL = "sagittal"
    """Sagittal reformat."""
    SCOUT = "scout"
    """The planning radiograph, from the side."""
    DOSE = "dose"
    """The dose page, a screen capture."""
    THIN_BONE = "thin-bone"
    """Axial, sharp kernel, thin slices."""
    FRONTAL_SCOUT = "frontal-scout"
    """The planning radiograph, from the front."""
    RESCAN = "rescan"
    """A second acquisition of the axial soft-tissue series, the head a little moved."""
    CTA = "cta"
    """Axial, thin, while contrast agent is in the arteries."""
    MIP = "mip"
    """Axial maximum intensity projections of the angiography."""
    CONTRAST = "contrast"
    """Axial, soft-tissue kernel, thick slices, minutes after contrast agent."""


NATIVE_STUDY: Final = (
    SeriesKind.AXIAL,
    SeriesKind.THIN,
    SeriesKind.BONE,
    SeriesKind.CORONAL,
    SeriesKind.SAGITTAL,
    SeriesKind.SCOUT,
    SeriesKind.DOSE,
)
"""What a head CT without contrast agent usually leaves behind."""
EVERY_SERIES: Final = tuple(SeriesKind)
"""A stroke study: before and after contrast agent, and a rescan."""

AXIAL_KINDS: Final = frozenset(
    {
        SeriesKind.AXIAL,
        SeriesKind.THIN,
        SeriesKind.BONE,
        SeriesKind.THIN_BONE,
        SeriesKind.RESCAN,
        SeriesKind.CTA,
        SeriesKind.CONTRAST,
    }
)
"""Reconstructions with a circular field of view, stored as the patient lay."""
SHARP_KINDS: Final = frozenset({SeriesKind.BONE, SeriesKind.THIN_BONE})
SCOUTS: Final = frozenset({SeriesKind.SCOUT, SeriesKind.FRONTAL_SCOUT})


@dataclass(frozen=True)
class Protocol:
    """How a site reconstructs the series beside the axial soft-tissue one, and how the patient moved.

    Attributes
    ----------
    thin_mm, thin_step_mm: thickness and distance of thin slices.
    reformat_mm: thickness and distance of reformats.
    moved_mm: how far the head lay from its first place in a rescan, mm (x, y, z).
    """

    thin_mm: float = 1.0
    thin_step_mm: float = 1.0
    reformat_mm: float = 3.0
    moved_mm: tuple[float, float, float] = (2.0, -1.0, 1.5)

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Protocol:
        """Return a site's habits, thin slices sometimes overlapping."""
        thin, step = ((1.0, 1.0), (1.0, 1.0), (1.25, 1.25), (1.0, 0.8), (0.75, 0.75))[int(rng.integers(5))]
        moved = rng.normal(0, 1.5, 3)
        return cls(
            thin_mm=thin,
            thin_step_mm=step,
            reformat_mm=float(rng.choice([2.0, 3.0, 3.0, 5.0])),
            moved_mm=(float(moved[0]), float(moved[1]), float(moved[2])),
        )


class PatientPosition(StrEnum):
    """How the patient lies: head or feet first; supine, prone, or on a side (decubitus left, right; PS3.3 C.7.3.1.1.2).

    A scanner that stores what it sees, from the gantry's front with the ceiling up, stores each of these eight in
    another of the eight in-plane orientations.
    """

    HFS = "HFS"
    HFP = "HFP"
    HFDL = "HFDL"
    HFDR = "HFDR"
    FFS = "FFS"
    FFP = "FFP"
    FFDL = "FFDL"
    FFDR = "FFDR"


# From nose-up with the patient's right on the image's left: transpose first, then flip rows, then flip columns.
_TURNS: Final[dict[PatientPosition, tuple[bool, bool, bool]]] = {
    PatientPosition.HFS: (False, False, False),
    PatientPosition.HFP: (False, True, True),
    PatientPosition.FFS: (False, False, True),
    PatientPosition.FFP: (False, True, False),
    PatientPosition.HFDR: (True, True, False),
    PatientPosition.HFDL: (True, False, True),
    PatientPosition.FFDR: (True, True, True),
    PatientPosition.FFDL: (True, False, False),
}


@dataclass(frozen=True)
class Planes:
    """Parallel planes in patient space, foot to head (or in rising y or x for reformats).

    Attributes
    ----------
    hu: int16 [Z, rows, columns], HU.
    labels: uint8 [Z, rows, columns], label values of the contract, or None where no truth is kept.
    row: float64 [3], unit vector in which the column index rises (DICOM's row cosines).
    column: float64 [3], unit vector in which the row index rises.
    origins: float64 [Z, 3], centre of the first voxel of each plane, mm.
    pixel_spacing_mm: distance between rows and between columns, mm.
    thickness_mm: float64 [Z], nominal thickness of each slice, mm.
    tilt_deg: gantry tilt of axial planes, degrees, positive with the front edge towards the head.
    outside: bool [rows, columns], pixels beyond the reconstructed field of view, or None.
    """

    hu: NDArray[np.int16]
    labels: NDArray[np.uint8] | None
    row: NDArray[np.float64]
    column: NDArray[np.float64]
    origins: NDArray[np.float64]
    pixel_spacing_mm: tuple[float, float]
    thickness_mm: NDArray[np.float64]
    tilt_deg: float = 0.0
    outside: NDArray[np.bool_] | None = None

    @classmethod
    def on(cls, geometry: ScanGeometry, hu: NDArray[np.int16], labels: NDArray[np.uint8] | None = None) -> Planes:
        """Return the stack of `hu` and `labels` [Z, rows, columns] on the planes of `geometry`."""
        row, column, _ = geometry.axes
        return cls(
            hu=hu,
            labels=labels,
            row=row,
            column=column,
            origins=geometry.origins_mm,
            pixel_spacing_mm=geometry.pixel_spacing_mm,
            thickness_mm=np.asarray(geometry.thickness_mm),
            tilt_deg=geometry.tilt_deg,
        )

    @property
    def positions_mm(self) -> NDArray[np.float64]:
        """The rising position of each plane along the normal that points the way the stack runs, float64 [Z], mm."""
        normal = np.cross(self.row, self.column)
        along = self.origins @ normal
        return np.asarray(along if along[-1] >= along[0] else -along)

    @property
    def spans_mm(self) -> NDArray[np.float64]:
        """How much of the normal each slice stands for, float64 [Z], mm: half way to each neighbour.

        The end slices stand for as much outside as inside.
        """
        gaps = np.diff(self.positions_mm)
        return np.asarray((np.concatenate([gaps[:1], gaps]) + np.concatenate([gaps, gaps[-1:]])) / 2)

    def patient_mm(self, indices: NDArray[Any]) -> NDArray[np.float64]:
        """Return the patient coordinates [N, 3], mm, of the voxels `indices` [N, 3] (slice, row, column)."""
        z, rows, columns = np.asarray(indices).T
        return np.asarray(
            self.origins[z]
            + np.outer(rows * self.pixel_spacing_mm[0], self.column)
            + np.outer(columns * self.pixel_spacing_mm[1], self.row)
        )


def turn_planes(stack: Planes, position: PatientPosition) -> Planes:
    """Return an axial stack (nose-up, the patient's right on the image's left) as stored for `position`."""
    transpose, flip_rows, flip_columns = _TURNS[position]
    planes: list[NDArray[Any] | None] = [stack.hu, stack.labels, stack.outside]
    row, column, (dy, dx) = stack.row, stack.column, stack.pixel_spacing_mm
    origins = stack.origins
    if transpose:
        planes = [None if p is None else p.swapaxes(-1, -2) for p in planes]
        row, column, dy, dx = column, row, dx, dy
    height, width = (stack.hu.shape[2], stack.hu.shape[1]) if transpose else stack.hu.shape[1:]
    if flip_rows:
        planes = [None if p is None else p[..., ::-1, :] for p in planes]
        origins, column = origins + (height - 1) * dy * column, -column
    if flip_columns:
        planes = [None if p is None else p[..., ::-1] for p in planes]
        origins, row = origins + (width - 1) * dx * row, -row
    hu, labels, outside = planes
    assert hu is not None  # it went in as an array
    return replace(
        stack, hu=hu, labels=labels, outside=outside, row=row, column=column, origins=origins, pixel_spacing_mm=(dy, dx)
    )


def within_circle(stack: Planes) -> Planes:
    """Return an axial stack with the field of view a circle that touches the image's edges, as scanners reconstruct."""
    rows, columns = stack.hu.shape[1:]
    y, x = np.ogrid[:rows, :columns]
    distance = np.hypot((y - (rows - 1) / 2) / rows, (x - (columns - 1) / 2) / columns)
    return replace(stack, outside=distance > 0.5)


def series_geometry(kind: SeriesKind, axial: ScanGeometry, protocol: Protocol = Protocol()) -> ScanGeometry:
    """Return the geometry of another series over the range of the axial soft-tissue one.

    Bone, rescan and the phase after contrast keep the axial planes (the rescan in the patient that has moved), thin
    slices are upright; reformats and scouts have the pixels that their narrower matrix gives. The planes of scouts and
    projections are those that `project_scout` and `slabs` make them of.
    """
    if kind in (SeriesKind.AXIAL, SeriesKind.BONE, SeriesKind.CONTRAST):
        return axial
    if kind is SeriesKind.RESCAN:
        x, y, z = (c + m for c, m in zip(axial.centre_mm, protocol.moved_mm, strict=True))
        return replace(axial, centre_mm=(x, y, z))
    low, high = _range_mm(axial)
    if kind in AXIAL_KINDS or kind is SeriesKind.MIP:
        return replace(axial, tilt_deg=0.0, **_fill(low[2], high[2], protocol.thin_step_mm, protocol.thin_mm))
    across, spacing_mm, pixel_mm = {
        SeriesKind.CORONAL: (1, protocol.reformat_mm, 2 * axial.pixel_spacing_mm[0]),
        SeriesKind.SAGITTAL: (0, protocol.reformat_mm, 2 * axial.pixel_spacing_mm[0]),
        SeriesKind.SCOUT: (0, 6.0, 1.5),
        SeriesKind.FRONTAL_SCOUT: (1, 6.0, 1.5),
    }[kind]
    along = 1 - across
    middle = (low + high) / 2
    row = (1.0, 0.0, 0.0) if across == 1 else (0.0, 1.0, 0.0)
    # The normal of coronal planes runs to posterior, that of sagittal ones to the right.
    sign = 1 if across == 1 else -1
    first, last = sorted((sign * low[across], sign * high[across]))
    middle[across] = 0
    return ScanGeometry(
        rows=int((high[2] - low[2]) / pixel_mm),
        columns=int((high[along] - low[along]) / pixel_mm),
        pixel_spacing_mm=(pixel_mm, pixel_mm),
        centre_mm=(float(middle[0]), float(middle[1]), float(middle[2])),
        row=row,
        column=(0.0, 0.0, -1.0),
        **_fill(first, last, spacing_mm, spacing_mm),
    )


def slabs(stack: Planes, slab_mm: float = 10.0, step_mm: float = 5.0) -> Planes:
    """Return maximum intensity projections of a thin stack: slabs of `slab_mm`, their middles `step_mm` apart.

    A stack thinner than one slab gives a single one of all its planes.
    """
    positions = stack.positions_mm
    thin = float(np.median(stack.spans_mm))
    width, step = (max(1, round(mm / thin)) for mm in (slab_mm, step_mm))
    width = min(width, len(positions))
    starts = range(0, len(positions) - width + 1, step)
    return replace(
        stack,
        hu=np.stack([stack.hu[start : start + width].max(axis=0) for start in starts]),
        labels=None,
        origins=np.stack([stack.origins[start : start + width].mean(axis=0) for start in starts]),
        thickness_mm=np.full(len(starts), width * thin),
    )


def project_scout(planes: Planes) -> Planes:
    """Return the scout, one plane of line integrals, of the planes that `series_geometry` gives for it.

    The values are what a scout shows, attenuation on an arbitrary scale, not HU of anything.
    """
    step = abs(planes.positions_mm[1] - planes.positions_mm[0])
    # 0.02 / mm is water at the tube's mean energy: 180 mm of head attenuate by about 3.6.
    attenuation = np.clip(planes.hu.astype(np.float32) - AIR_HU, 0, None).sum(axis=0) * (step * 0.02 / 1000)
    return replace(
        planes,
        hu=np.rint(attenuation * 250 - 400).astype(np.int16)[None],
        labels=None,
        origins=planes.origins.mean(axis=0, keepdims=True),
        thickness_mm=np.asarray(planes.pixel_spacing_mm[:1]),
    )


def _range_mm(geometry: ScanGeometry) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the smallest and largest patient x, y, z [3] that an axial series reaches, mm, its slices' halves too.

    The tilt counts for nothing here: the range is that of the slices' centres, as if upright.
    """
    half = np.array([geometry.columns * geometry.pixel_spacing_mm[1], geometry.rows * geometry.pixel_spacing_mm[0]]) / 2
    centre = np.asarray(geometry.centre_mm)
    heights = geometry.centres_mm[:, 2]
    spans = geometry.spans_mm / np.cos(np.deg2rad(geometry.tilt_deg))
    low, high = heights[0] - spans[0] / 2, heights[-1] + spans[-1] / 2
    return np.append(centre[:2] - half, low), np.append(centre[:2] + half, high)


def _fill(low: float, high: float, spacing_mm: float, thickness_mm: float) -> dict[str, Any]:
    """Return positions and thicknesses of slices that fill `low` to `high` along the normal."""
    count = max(2, int((high - low) / spacing_mm))
    positions = (low + high) / 2 + spacing_mm * (np.arange(count) - (count - 1) / 2)
    return {"positions_mm": tuple(positions.tolist()), "thickness_mm": (thickness_mm,) * count}
