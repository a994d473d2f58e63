# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""From the instances of a study to stacks: sets of images that lie above each other and were made in one way.

A series is split where its images cannot be one scan: by orientation, matrix, pixel spacing, kernel and frame of
reference always; by acquisition, contrast, phase, kind, tube voltage and time only as far as slices would lie on top
of each other otherwise, because scanners that step and shoot give every rotation an acquisition number of its own.
Slices are ordered by position along the normal, foot first, and by nothing else.

Images that are no slices (localizers, other objects, enhanced CT) become stacks of their own with a refusal. A slice
that is damaged in its header refuses the stack that it belongs to: reading the rest would pass over part of the head
in silence. A slice that is missing does not refuse anything here (it may still be on its way): see `Stack.missing`.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from pydicom import Dataset
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
)

from appliance.errors import Refusal, RefusalCode, RefusedError
from appliance.imaging.contrast import contrast_given
from appliance.imaging.gaps import Gap, gaps
from appliance.imaging.geometry import Geometry, Plane, parallel, plane
from appliance.imaging.header import acquired_at, integer, number, text, texts
from appliance.imaging.instances import Instance
from appliance.imaging.pixels import pixel_format

SAME_POSITION_MM = 0.05
"""Images nearer than this stand at one position; no scanner reconstructs at finer steps than 0.1 mm."""

_SHIFT_MM = 5.0
"""Slices of a stack drift sideways by no more than this against a straight line (a tilted stack is a sheared one)."""

_LOCALIZER_WORDS = {"LOCALIZER", "SCOUT", "TOPOGRAM", "SURVIEW", "SCANOGRAM"}


@dataclass(frozen=True, eq=False)
class Stack:
    """Images of one series that lie above each other, foot first, or images of a series that are refused.

    Attributes
    ----------
    series_uid: the Series Instance UID.
    instances: one image a position, by rising position along the normal; by UID when there is no geometry.
    geometry: None when the images have none.
    refusal: why this can never be read, None when nothing is known against it.
    copies: further images at a position that is taken, each with the index of its slice: the same pixels, or the
        stack is refused once they are read.
    gaps: intervals that slices are missing from.
    passes, pass_number: into how many scans of the same slices the series was split, and which one this is, from 1.
    """

    series_uid: str
    instances: tuple[Instance, ...]
    geometry: Geometry | None = None
    refusal: Refusal | None = None
    copies: tuple[tuple[int, Instance], ...] = ()
    gaps: tuple[Gap, ...] = ()
    passes: int = 1
    pass_number: int = 1

    @property
    def header(self) -> Dataset:
        """The header of the lowest slice, for what all slices share."""
        return self.instances[0].header

    @property
    def description(self) -> str:
        """The series description as the scanner wrote it, for people."""
        return text(self.header, "SeriesDescription")

    @property
    def complete(self) -> bool:
        """Whether no slice is missing between the lowest and the highest."""
        return not self.gaps

    @property
    def missing(self) -> str | None:
        """The sentence that says what is missing, None when nothing is."""
        if not self.gaps:
            return None
        widest = max(self.gaps, key=lambda gap: gap.width_mm)
        slices = sum(gap.missing for gap in self.gaps)
        return (
            f"about {slices} {'slice is' if slices == 1 else 'slices are'} missing: {widest.width_mm:.1f} mm "
            f"above image {self.instances[widest.above].uid}, where {widest.usual_mm:.1f} mm is usual"
        )

    @property
    def missing_refusal(self) -> Refusal | None:
        """The refusal to give once missing slices are no longer awaited, None when nothing is missing."""
        return None if self.missing is None else Refusal(RefusalCode.MISSING_SLICE, self.missing, self.series_uid)

    @cached_property
    def slice_set_hash(self) -> str:
        """The sha256 over the sorted SOP Instance UIDs: the same slices give the same hash, one slice more another."""
        uids = sorted(instance.uid for instance in self.instances)
        return hashlib.sha256("\n".join(uids).encode()).hexdigest()


@dataclass(frozen=True, eq=False)
class _Slice:
    """An image that can be a slice of a stack."""

    instance: Instance
    plane: Plane
    position_mm: float

    @property
    def header(self) -> Dataset:
        return self.instance.header


@dataclass(eq=False)
class _Sorted:
    """The images of one series, sorted into slices and the refused, the latter with their refusal."""

    slices: list[_Slice] = field(default_factory=list)
    aside: list[tuple[Instance, Refusal]] = field(default_factory=list)
    damaged: list[tuple[Instance, Refusal]] = field(default_factory=list)


def stacks(instances: Iterable[Instance]) -> tuple[Stack, ...]:
    """Return the stacks of the instances, the same whatever their order.

    Every instance is in one of them, as a slice, a copy or refused, or is the damaged one that a refusal names.
    """
    by_series: dict[str, list[Instance]] = {}
    for instance in sorted(instances, key=lambda instance: (instance.uid, instance.ref)):
        by_series.setdefault(instance.series_uid, []).append(instance)

    def place(uid: str) -> tuple[float, str]:
        series_number = integer(by_series[uid][0].header, "SeriesNumber")
        return (np.inf if series_number is None else series_number, uid)

    return tuple(stack for uid in sorted(by_series, key=place) for stack in _series_stacks(by_series[uid]))


def _series_stacks(members: list[Instance]) -> list[Stack]:
    """Return the stacks of one series."""
    found = _sorted(members)
    groups = _alike(found.slices)
    made = [stack for group in groups for stack in _group_stacks(group)]

    aside = list(found.aside)
    for instance, refusal in found.damaged:
        harmed = [stack for stack in made if _made_alike(stack.header, instance.header)]
        if not harmed:
            aside.append((instance, refusal))
        made = [replace(stack, refusal=stack.refusal or refusal) if stack in harmed else stack for stack in made]
    return made + _refused_stacks(aside)


def _sorted(members: list[Instance]) -> _Sorted:
    """Return the images of a series sorted by what they can be."""
    found = _Sorted()
    for instance in members:
        header = instance.header
        no_slice = _no_slice(instance)
        if no_slice is not None:
            found.aside.append((instance, no_slice))
            continue
        try:
            lies = plane(header)
            pixel_format(header)
        except RefusedError as error:
            found.damaged.append((instance, error.refusals[0]))
        else:
            found.slices.append(_Slice(instance, lies, lies.position_mm))
    return found


def _no_slice(instance: Instance) -> Refusal | None:
    """Return why the image is no slice of a scan at all, None when it may be one."""
    header = instance.header
    sop_class = str(header.SOPClassUID)
    if sop_class in (EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage):
        return Refusal(
            RefusalCode.ENHANCED_CT,
            "enhanced multi-frame CT is not read by this version; send the series as single CT images",
            instance.series_uid,
        )
    if sop_class != CTImageStorage or text(header, "Modality") != "CT":
        return Refusal(RefusalCode.NOT_CT, f"SOP class {sop_class} or modality is not a CT image", instance.series_uid)
    if _LOCALIZER_WORDS & {word.upper() for word in texts(header, "ImageType")}:
        return Refusal(RefusalCode.LOCALIZER, "Image Type says that this is a localizer", instance.series_uid)
    return None


def _made_alike(one: Dataset, other: Dataset) -> bool:
    """Return whether two images were made in one way, judged by what a damaged header still says."""
    return texts(one, "ImageType")[:3] == texts(other, "ImageType")[:3] and texts(one, "ConvolutionKernel") == texts(
        other, "ConvolutionKernel"
    )


def _refused_stacks(refused: list[tuple[Instance, Refusal]]) -> list[Stack]:
    """Return one stack for each kind of refusal, that of its first image standing for all."""
    by_code: dict[RefusalCode, list[tuple[Instance, Refusal]]] = {}
    for instance, refusal in refused:
        by_code.setdefault(refusal.code, []).append((instance, refusal))
    return [
        Stack(same[0][0].series_uid, tuple(instance for instance, _ in same), refusal=same[0][1])
        for same in by_code.values()
    ]


def _alike(slices: list[_Slice]) -> list[list[_Slice]]:
    """Return the slices grouped by everything that slices of one stack must share."""
    by_making: dict[Hashable, list[list[_Slice]]] = {}
    for one in slices:
        making = (
            one.plane.rows,
            one.plane.columns,
            tuple(round(mm, 3) for mm in one.plane.spacing_mm),
            texts(one.header, "ConvolutionKernel"),
            text(one.header, "FrameOfReferenceUID"),
        )
        groups = by_making.setdefault(making, [])
        for group in groups:
            if parallel(group[0].plane, one.plane):
                # Positions of one stack are along one normal; that of each plane differs by rounding.
                group.append(replace(one, position_mm=float(one.plane.origin_mm @ group[0].plane.normal)))
                break
        else:
            groups.append([one])
    return [group for groups in by_making.values() for group in groups]


# What tells two scans of the same slices apart, in the order asked: the value, and whether two scans may also be told
# by lying among each other without meeting (an acquisition has a range; a time or a voltage has none).
_Key = Callable[[Dataset], Hashable]
_DISTINCTIONS: tuple[tuple[_Key, bool], ...] = (
    (lambda header: integer(header, "AcquisitionNumber"), True),
    (contrast_given, True),
    (lambda header: integer(header, "TemporalPositionIdentifier"), True),
    (lambda header: texts(header, "ImageType"), False),
    (lambda header: number(header, "KVP"), False),
    (acquired_at, False),
)


class _Scan:
    """A scan in the making: the slices so far, and what ranges are taken by sets of more than one."""

    def __init__(self) -> None:
        self.slices: list[_Slice] = []
        self._positions: list[float] = []
        self._ranges: list[tuple[float, float]] = []

    def has_room_for(self, part: list[_Slice], *, ranged: bool) -> bool:
        """Return whether no slice of the part meets one of the scan or, if `ranged`, covers a range of it again."""
        for one in part:
            at = bisect_left(self._positions, one.position_mm - SAME_POSITION_MM)
            if at < len(self._positions) and self._positions[at] <= one.position_mm + SAME_POSITION_MM:
                return False
        if not ranged:
            return True
        low, high = _range(part)
        # Neighbouring acquisitions may overlap a little; two of the same range share most of it.
        return not any(
            min(high, to) - max(low, since) > 0.5 * min(high - low, to - since) > 0 for since, to in self._ranges
        )

    def add(self, part: list[_Slice]) -> None:
        """Add the slices of one value."""
        self.slices += part
        self._positions = sorted([*self._positions, *(one.position_mm for one in part)])
        if len(part) > 1:
            self._ranges.append(_range(part))


def _range(part: list[_Slice]) -> tuple[float, float]:
    positions = [one.position_mm for one in part]
    return min(positions), max(positions)


def _scans(slices: list[_Slice], distinctions: Sequence[tuple[_Key, bool]] = _DISTINCTIONS) -> list[list[_Slice]]:
    """Return the slices split into scans of the same part of the patient, as far as the headers tell them apart."""
    if not distinctions:
        return [slices]
    (key, ranged), *others = distinctions
    by_value: dict[Any, list[_Slice]] = {}
    for one in slices:
        by_value.setdefault(key(one.header), []).append(one)

    scans = [_Scan()]
    # None first; the values of one key are of one type, and so can be sorted.
    for value in sorted(by_value, key=lambda value: (value is not None, value if value is not None else 0)):
        if not scans[-1].has_room_for(by_value[value], ranged=ranged):
            scans.append(_Scan())
        scans[-1].add(by_value[value])
    return [split for scan in scans for split in _scans(scan.slices, others)]


def _group_stacks(group: list[_Slice]) -> list[Stack]:
    """Return the stacks of slices that were made in one way: one for each scan."""
    scans = _scans(group)
    return [_stack(scan, len(scans), number) for number, scan in enumerate(scans, start=1)]


def _stack(scan: list[_Slice], passes: int, pass_number: int) -> Stack:
    """Return the stack of one scan, ordered, with what is missing and what stands twice."""
    ordered = sorted(scan, key=lambda one: (one.position_mm, one.instance.uid, one.instance.ref))
    kept: list[_Slice] = []
    copies: list[tuple[int, Instance]] = []
    for one in ordered:
        if kept and one.position_mm - kept[-1].position_mm <= SAME_POSITION_MM:
            copies.append((len(kept) - 1, one.instance))
        else:
            kept.append(one)
    positions = np.array([one.position_mm for one in kept])
    geometry = Geometry(kept[0].plane, positions)
    instances = tuple(one.instance for one in kept)
    series_uid = instances[0].series_uid
    refusal = _twice(kept, series_uid) or _shifted(kept, geometry, series_uid)
    return Stack(
        series_uid,
        instances,
        geometry,
        refusal,
        tuple(copies),
        gaps(
            positions,
            [number(one.header, "SliceThickness") for one in kept],
            [integer(one.header, "InstanceNumber") for one in kept],
        ),
        passes,
        pass_number,
    )


def _twice(kept: list[_Slice], series_uid: str) -> Refusal | None:
    """Return the refusal of a stack in which one UID stands for images at two positions."""
    uid, times = Counter(one.instance.uid for one in kept).most_common(1)[0]
    if times == 1:
        return None
    return Refusal(
        RefusalCode.BAD_GEOMETRY, f"{times} images at different positions carry the same UID {uid}", series_uid
    )


def _shifted(kept: list[_Slice], geometry: Geometry, series_uid: str) -> Refusal | None:
    """Return the refusal of a stack whose slices jump sideways: they do not show one head in one place."""
    if len(kept) < 3:
        return None
    origins = np.stack([one.plane.origin_mm for one in kept])
    sideways = origins @ np.stack([geometry.plane.along_row, geometry.plane.along_column], axis=1)
    line = np.stack([geometry.positions_mm, np.ones(len(kept))], axis=1)
    fitted, *_ = np.linalg.lstsq(line, sideways)
    worst = np.abs(sideways - line @ fitted).max(axis=1)
    at = int(np.argmax(worst))
    if worst[at] <= _SHIFT_MM:
        return None
    return Refusal(
        RefusalCode.BAD_GEOMETRY,
        f"image {kept[at].instance.uid} lies {worst[at]:.0f} mm beside the other slices",
        series_uid,
    )
