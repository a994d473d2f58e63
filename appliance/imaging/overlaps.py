# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Separates scans of the same part of the patient, but only where their slices overlap in space.

A series may hold two phases, two kernels, thin slices beside thick ones, or a repeat. The header's attributes in
`_DISTINCTIONS` are used in turn, and slices with different values are separated only as far as they would otherwise lie
on top of each other or among each other. Slices that do not overlap stay together, whatever the headers say: scanners
that step and shoot number every rotation as an acquisition, and gateways write a frame of reference on some images and
not on others.

`parts` joins separated parts again if they touch.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np

from appliance.imaging.slices import SAME_POSITION_MM, Slice, positions_of

# The attributes that distinguish two scans of the same slices, in the order they are used: first those that change the
# image, then those that say which scan it was. The flag says whether two scans may also be recognised when they lie
# among each other without meeting (a phase or an acquisition has a range; a time or a voltage has none).
_Key = Callable[[Slice], Hashable]
_DISTINCTIONS: tuple[tuple[_Key, bool], ...] = (
    (lambda one: one.kernel, True),
    (lambda one: one.thickness_mm, True),
    (lambda one: one.contrast, True),
    (lambda one: one.phase, True),
    (lambda one: one.image_type, False),
    (lambda one: one.voltage_kv, False),
    (lambda one: one.acquisition, True),
    (lambda one: one.frame, True),
)

_PAUSE_S = 20.0
"""A pause between slices after which a scan may have started again; the scans must overlap as well."""

_REGULAR_WITHIN = 1.25
# Slices that fill the holes between others are at least this share of a thickness away from them.
_FILLS_FROM = 0.9
_MOSTLY = 0.8


def separate(slices: list[Slice]) -> list[list[Slice]]:
    """Return the slices of one group and series split into scans, as far as they overlap and headers distinguish them.

    Slices at one position that no header distinguishes stay together: `stacks` makes copies of them.
    """
    scans = [slices]
    for key, ranged in _DISTINCTIONS:
        scans = [part for scan in scans for part in _split(_group_by(key, scan), ranged=ranged)]
    scans = [part for scan in scans for part in _split(_runs(scan), ranged=True)]
    return [part for scan in scans for part in _split(_group_by(lambda one: one.acquired_at, scan), ranged=False)]


def _group_by(key: _Key, slices: list[Slice]) -> list[list[Slice]]:
    """Return the slices by the value of a key: None first, the others by rising value."""
    by_value: dict[Any, list[Slice]] = {}
    for one in slices:
        by_value.setdefault(key(one), []).append(one)
    # The values of one key are of one type, and so can be sorted.
    return [
        by_value[value]
        for value in sorted(by_value, key=lambda value: (value is not None, value if value is not None else 0))
    ]


def _runs(slices: list[Slice]) -> list[list[Slice]]:
    """Return the slices by acquisition time, cut at every pause; in one piece if the times are not stated."""
    timed = sorted((one.acquired_at, index) for index, one in enumerate(slices) if one.acquired_at is not None)
    if len(timed) < len(slices):
        return [slices]
    runs: list[list[Slice]] = []
    before = -math.inf
    for at, index in timed:
        if at - before > _PAUSE_S:
            runs.append([])
        runs[-1].append(slices[index])
        before = at
    return runs


def _split(parts: list[list[Slice]], *, ranged: bool) -> list[list[Slice]]:
    """Return the parts put together: each joins the earlier ones as long as they have room for it."""
    if len(parts) == 1:
        return parts
    scans = [_Scan()]
    for part in parts:
        if not scans[-1].has_room_for(part, ranged=ranged):
            scans.append(_Scan())
        scans[-1].add(part)
    return [scan.slices for scan in scans]


class _Scan:
    """A scan in the making: the slices so far, and the ranges that sets of several slices take."""

    def __init__(self) -> None:
        self.slices: list[Slice] = []
        self._positions: list[float] = []
        self._sets: list[tuple[float, float, list[Slice]]] = []
        self._sharp: set[bool] = set()

    def has_room_for(self, part: list[Slice], *, ranged: bool) -> bool:
        """Return whether no slice of the part meets one of the scan or, if `ranged`, lies among them as a scan.

        Sharp and soft kernels are never one scan.
        """
        if len(self._sharp | _sharpness(part)) > 1:
            return False
        for one in part:
            at = bisect_left(self._positions, one.position_mm - SAME_POSITION_MM)
            if at < len(self._positions) and self._positions[at] <= one.position_mm + SAME_POSITION_MM:
                return False
        if not ranged or len(part) == 1:
            return True
        low, high = _range(part)
        return not any(min(high, to) > max(low, since) and lie_among(part, other) for since, to, other in self._sets)

    def add(self, part: list[Slice]) -> None:
        """Add the slices of one value."""
        self.slices += part
        for one in part:
            insort(self._positions, one.position_mm)
        self._sharp |= _sharpness(part)
        if len(part) > 1:
            self._sets.append((*_range(part), part))


def _range(part: list[Slice]) -> tuple[float, float]:
    positions = [one.position_mm for one in part]
    return min(positions), max(positions)


def _sharpness(part: list[Slice]) -> set[bool]:
    return {one.sharp for one in part if one.sharp is not None}


def lie_among(part: list[Slice], other: list[Slice]) -> bool:
    """Return whether two sets of slices are two scans of one range whose slices lie among each other.

    They are not if one fills the holes of the other, as do two halves of a scan whose images are labelled in turn.
    """
    ours, theirs = positions_of(part), positions_of(other)
    low, high = max(ours[0], theirs[0]), min(ours[-1], theirs[-1])
    shared = high - low
    # Neighbours may overlap a little; two scans of the same range share most of it.
    if not shared > 0.5 * min(ours[-1] - ours[0], theirs[-1] - theirs[0]) > 0:
        return False
    ours, theirs = ours[(ours >= low) & (ours <= high)], theirs[(theirs >= low) & (theirs <= high)]
    if not len(ours) or not len(theirs):
        return False
    intervals = np.diff(np.sort(np.concatenate([ours, theirs])))
    if len(intervals) and intervals.max() <= _REGULAR_WITHIN * intervals.min() and not _are_apart_in_time(part, other):
        return False
    thicknesses = [one.thickness_mm for one in (*part, *other) if one.thickness_mm]
    if not thicknesses:
        return True
    to_nearest = np.abs(ours[:, None] - theirs[None]).min(axis=1)
    return bool(np.mean(to_nearest >= _FILLS_FROM * min(thicknesses)) < _MOSTLY)


def _are_apart_in_time(part: list[Slice], other: list[Slice]) -> bool:
    """Return whether one set was acquired entirely after the other."""
    ours = [one.acquired_at for one in part if one.acquired_at is not None]
    theirs = [one.acquired_at for one in other if one.acquired_at is not None]
    return bool(ours and theirs) and (max(ours) < min(theirs) or max(theirs) < min(ours))
