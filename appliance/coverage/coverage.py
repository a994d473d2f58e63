# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""How much of the head an answer is about: what was read, what is there, and what is missing.

An answer of which something is missing is *partial*: every form of it says so, and none says "no hemorrhage found"
without saying of what.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from appliance.coverage.ends import BASE_CM2, ends_of_volume
from appliance.coverage.neighbours import neighbours
from appliance.imaging.stacks import Stack
from appliance.imaging.volume import Volume


@dataclass(frozen=True)
class Coverage:
    """What an answer covers.

    Attributes
    ----------
    slices: how many slices were read.
    slices_there: how many slices of the study show this head: those that were read and those that go on beyond them.
        A slice whose place another one has (a repeat) is not counted.
    extent_mm: how much of the normal the slices that were read cover.
    missing: what is missing of the head, a sentence each; empty for a whole head.
    """

    slices: int
    slices_there: int
    extent_mm: float
    missing: tuple[str, ...] = ()

    @property
    def partial(self) -> bool:
        """Whether this is a part of the head."""
        return bool(self.missing)

    @property
    def facts(self) -> dict[str, Any]:
        """As plain JSON, for the ledger, `/status` and `result.json`."""
        return {
            "partial": self.partial,
            "slices_read": self.slices,
            "slices_there": self.slices_there,
            "extent_mm": round(self.extent_mm, 1),
            "missing": list(self.missing),
        }


def coverage(volume: Volume, stack: Stack, study: Iterable[Stack], unread: int = 0) -> Coverage:
    """Return what the volume of a stack covers.

    `study` are all stacks of the study, `unread` is how many of its images cannot be read at all: any of them may be
    of this head.
    """
    extent_mm = stack.geometry.extent_mm if stack.geometry else 0.0
    ends = ends_of_volume(volume)
    beyond = neighbours(stack, study, base_seen=ends.base_cm2 <= BASE_CM2)
    return Coverage(
        volume.slices,
        volume.slices + sum(one.slices for one in beyond),
        extent_mm,
        (*ends.missing(extent_mm), *(one.sentence for one in beyond), *_unread(unread)),
    )


def _unread(images: int) -> Iterator[str]:
    if images:
        many = (
            "1 image of the study cannot be read and"
            if images == 1
            else f"{images} images of the study cannot be read and"
        )
        yield f"{many} may belong to it"
