# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""How much of the head an answer is about: what was read, what is there, and what is missing.

An answer about an incomplete head is *partial*: every form of it says so, and none says "no hemorrhage found" without
naming the part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from appliance.coverage.copied import describe_copied
from appliance.coverage.ends import ends_of_volume, plane_of, shows_something
from appliance.coverage.neighbours import count_slices, neighbours
from appliance.coverage.spaces import describe_spaces
from appliance.coverage.unplaced import describe_unplaced
from appliance.imaging.stacks import Stack
from appliance.imaging.volume import Volume


@dataclass(frozen=True)
class Coverage:
    """What an answer covers.

    Attributes
    ----------
    slices: how many of the slices that were read show something.
    slices_there: how many slices of the study show this head: those that were read and those that go on beyond them.
        A slice whose place another one has (a repeat, another reconstruction) is not counted.
    extent_mm: the length along the normal of the slices that were read and show something.
    missing: what is missing of the head, a sentence each; empty for a whole head.
    slices_empty: how many of the slices that were read show only air or one value; they are in none of the above.
    """

    slices: int
    slices_there: int
    extent_mm: float
    missing: tuple[str, ...] = ()
    slices_empty: int = 0

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
            "slices_empty": self.slices_empty,
            "extent_mm": round(self.extent_mm, 1),
            "missing": list(self.missing),
        }


def coverage(
    volume: Volume, stack: Stack, study: Iterable[Stack], fetch: Callable[[str], bytes], unread: int = 0
) -> Coverage:
    """Return what the volume of a stack covers.

    `study` are all stacks of the study. `fetch` returns the file of an instance by its `ref`; it is called for a slice
    or two of a stack that reaches beyond this one. `unread` is how many of the study's images cannot be read at all:
    any of them may belong to this head.
    """
    study = tuple(study)
    ends = ends_of_volume(volume)
    shown = shows_something(volume)
    extent_mm = float(volume.slice_spans_mm[shown].sum())
    beyond = neighbours(stack, study, ends, lambda other, at: plane_of(other, at, fetch))
    slices = int(shown.sum())
    return Coverage(
        slices,
        slices + count_slices(beyond),
        extent_mm,
        (
            *ends.missing(extent_mm),
            *filter(None, (describe_spaces(stack), describe_copied(volume, shown))),
            *(one.sentence for one in beyond),
            *describe_unplaced(stack, study),
            *_describe_unread(unread),
        ),
        volume.slices - slices,
    )


def _describe_unread(images: int) -> Iterator[str]:
    if images:
        many = (
            "1 image of the study cannot be read and"
            if images == 1
            else f"{images} images of the study cannot be read and"
        )
        yield f"{many} may belong to it"
