# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""From the instances of a study to stacks: sets of images that lie above each other and make one scan of the head.

Position decides, not names. Headers separate images of one matrix, pixel spacing and orientation only where they
overlap in space (`overlaps`). Parts that touch are one scan (`parts`), even if they are two acquisitions, two series or
two frames of reference. Slices are ordered only by position along the normal, foot first.

Images that are not slices (localizers, other objects, enhanced CT) become separate stacks with a refusal. A slice with
a damaged header refuses its whole stack: reading the rest would silently skip a part of the head. A missing slice
refuses nothing here, because it may still arrive: see `Stack.missing`.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property

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
from appliance.imaging.geometry import Geometry, plane
from appliance.imaging.header import acquisition_time, integer, number, text, texts
from appliance.imaging.instances import Instance
from appliance.imaging.overlaps import separate
from appliance.imaging.parts import SHIFT_MM, Part, as_parts, join, offsets_mm
from appliance.imaging.pixels import pixel_format
from appliance.imaging.slices import SAME_POSITION_MM, Slice, in_one_geometry

_LOCALIZER_WORDS = {"LOCALIZER", "SCOUT", "TOPOGRAM", "SURVIEW", "SCANOGRAM"}


@dataclass(frozen=True, eq=False)
class Stack:
    """Images that lie above each other, foot first, or images of a series that are refused.

    Attributes
    ----------
    series_uid: the Series Instance UID; for a head in several series that of the lowest slice.
    instances: one image per position, by rising position along the normal; by UID when there is no geometry.
    geometry: None when the images have none.
    refusal: why this can never be read, None when nothing is known against it.
    copies: further images at a position, each with the index of its slice. They must have the same pixels, or the stack
        is refused once they are read.
    repeats: images that gave way to one of another scan or part (`parts`, rule 3); they are not read.
    gaps: intervals with missing slices.
    passes, pass_number: into how many scans of the same slices the series was split, and which one this is, from 1.
    """

    series_uid: str
    instances: tuple[Instance, ...]
    geometry: Geometry | None = None
    refusal: Refusal | None = None
    copies: tuple[tuple[int, Instance], ...] = ()
    repeats: tuple[Instance, ...] = ()
    gaps: tuple[Gap, ...] = ()
    passes: int = 1
    pass_number: int = 1

    @property
    def header(self) -> Dataset:
        """The header of the lowest slice, for values that all slices share."""
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
        """The sha256 over the sorted SOP Instance UIDs: the same slices give the same hash, any other set another."""
        uids = sorted(instance.uid for instance in self.instances)
        return hashlib.sha256("\n".join(uids).encode()).hexdigest()


@dataclass(eq=False)
class _Sorted:
    """Images sorted into slices and refused images, the latter with their refusals."""

    slices: list[Slice] = field(default_factory=list)
    aside: list[tuple[Instance, Refusal]] = field(default_factory=list)
    damaged: list[tuple[Instance, Refusal]] = field(default_factory=list)


def stacks(instances: Iterable[Instance]) -> tuple[Stack, ...]:
    """Return the stacks of the instances, the same whatever their order.

    Every instance is in one of them, as a slice, a copy, a repeat or a refused image, or is the damaged one that a
    refusal names.
    """
    found = _sort(sorted(instances, key=lambda instance: (instance.uid, instance.ref)))
    made: list[Stack] = []
    for group in in_one_geometry(found.slices):
        made += _number_passes([_stack(scan) for scan in _scans(group)])

    aside = list(found.aside)
    for instance, refusal in found.damaged:
        harmed = [stack for stack in made if _belongs_to(instance, stack)]
        if not harmed:
            aside.append((instance, refusal))
        made = [replace(stack, refusal=stack.refusal or refusal) if stack in harmed else stack for stack in made]
    return tuple(sorted([*made, *_refused_stacks(aside)], key=_place))


def _place(stack: Stack) -> tuple[float, str]:
    series_number = integer(stack.header, "SeriesNumber")
    return (np.inf if series_number is None else series_number, stack.series_uid)


def _scans(group: list[Slice]) -> list[Part]:
    """Return the scans that the slices of one geometry make."""
    by_series: dict[str, list[Slice]] = {}
    for one in group:
        by_series.setdefault(one.series_uid, []).append(one)
    return join([part for uid in sorted(by_series) for scan in separate(by_series[uid]) for part in as_parts(scan)])


def _sort(members: list[Instance]) -> _Sorted:
    """Return images sorted by what they can be."""
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
            found.slices.append(Slice(instance, lies, lies.position_mm))
    return found


def _no_slice(instance: Instance) -> Refusal | None:
    """Return why the image cannot be a slice of a scan, None when it may be one."""
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


def _belongs_to(damaged: Instance, stack: Stack) -> bool:
    """Return whether a damaged image belongs to a stack, as far as its header still says."""
    of_series = (instance.header for instance in stack.instances if instance.series_uid == damaged.series_uid)
    return any(_are_alike(header, damaged.header) for header in of_series)


def _are_alike(one: Dataset, other: Dataset) -> bool:
    return texts(one, "ImageType")[:3] == texts(other, "ImageType")[:3] and texts(one, "ConvolutionKernel") == texts(
        other, "ConvolutionKernel"
    )


def _refused_stacks(refused: list[tuple[Instance, Refusal]]) -> list[Stack]:
    """Return one stack for each series and kind of refusal, with the refusal of its first image."""
    by_code: dict[tuple[str, RefusalCode], list[tuple[Instance, Refusal]]] = {}
    for instance, refusal in refused:
        by_code.setdefault((instance.series_uid, refusal.code), []).append((instance, refusal))
    return [
        Stack(same[0][0].series_uid, tuple(instance for instance, _ in same), refusal=same[0][1])
        for same in by_code.values()
    ]


def _number_passes(found: list[Stack]) -> list[Stack]:
    """Return stacks of one geometry, each with how many scans of the same slices its series holds, and which it is."""
    by_making: dict[Hashable, list[Stack]] = {}
    for stack in sorted(found, key=_pass_order):
        header = stack.header
        making = (stack.series_uid, texts(header, "ConvolutionKernel"), number(header, "SliceThickness"))
        by_making.setdefault(making, []).append(stack)
    made = []
    for alike in by_making.values():
        ranges = [(one.geometry.positions_mm[[0, -1]] if one.geometry else np.zeros(2)).tolist() for one in alike]
        for index, stack in enumerate(alike):
            passes = [other for other, its in enumerate(ranges) if _share_range(its, ranges[index])]
            made.append(replace(stack, passes=len(passes), pass_number=passes.index(index) + 1))
    return sorted(made, key=lambda stack: (stack.pass_number, stack.instances[0].uid))


def _share_range(one: list[float], other: list[float]) -> bool:
    """Return whether two ranges (low, high) share at least half of the shorter one."""
    shared = min(one[1], other[1]) - max(one[0], other[0])
    return shared >= 0.5 * min(one[1] - one[0], other[1] - other[0])


def _pass_order(stack: Stack) -> tuple[bool, float, float, int, str]:
    """Return the sort key of scans of the same slices: before contrast first, then phase, time and acquisition."""
    header = stack.header
    phase = integer(header, "TemporalPositionIdentifier")
    times = [at for at in (acquisition_time(instance.header) for instance in stack.instances) if at is not None]
    return (
        contrast_given(header),
        -1 if phase is None else phase,
        min(times, default=-1.0),
        integer(header, "AcquisitionNumber") or 0,
        stack.instances[0].uid,
    )


def _stack(scan: Part) -> Stack:
    """Return the stack of one scan, ordered, with its gaps and its copies."""
    kept: list[Slice] = []
    copies: list[tuple[int, Instance]] = []
    for one in scan.slices:
        if kept and one.position_mm - kept[-1].position_mm <= SAME_POSITION_MM:
            copies.append((len(kept) - 1, one.instance))
        else:
            kept.append(one)
    positions = np.array([one.position_mm for one in kept])
    geometry = Geometry(kept[0].plane, positions)
    instances = tuple(one.instance for one in kept)
    series_uid = instances[0].series_uid
    refusal = _duplicate_refusal(kept, series_uid) or _shift_refusal(kept, series_uid)
    return Stack(
        series_uid,
        instances,
        geometry,
        refusal,
        tuple(copies),
        tuple(one.instance for one in scan.repeats),
        gaps(
            positions,
            [number(one.header, "SliceThickness") for one in kept],
            [integer(one.header, "InstanceNumber") for one in kept],
        ),
    )


def _duplicate_refusal(kept: list[Slice], series_uid: str) -> Refusal | None:
    """Return the refusal of a stack in which one UID stands for images at two positions."""
    uid, times = Counter(one.instance.uid for one in kept).most_common(1)[0]
    if times == 1:
        return None
    return Refusal(
        RefusalCode.BAD_GEOMETRY, f"{times} images at different positions carry the same UID {uid}", series_uid
    )


def _shift_refusal(kept: list[Slice], series_uid: str) -> Refusal | None:
    """Return the refusal of a stack whose slices jump sideways, so that they do not show one head in one place."""
    worst = offsets_mm(kept)
    at = int(np.argmax(worst))
    if worst[at] <= SHIFT_MM:
        return None
    return Refusal(
        RefusalCode.BAD_GEOMETRY,
        f"image {kept[at].instance.uid} lies {worst[at]:.0f} mm beside the other slices",
        series_uid,
    )
