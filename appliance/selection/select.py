# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Chooses the series to read: judges every stack of a study, with reasons that people can follow.

A stack is refused if one topic's evidence decides against it (a sharp kernel, another part of the body, ...): no number
of points elsewhere makes a bone series readable. Among the rest, points decide. The judgement uses headers, geometry
and, if there was one, a look at some of the images (`look`); `imaging.check` judges the whole volume.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from appliance.errors import Refusal, RefusalCode
from appliance.imaging.geometry import Geometry
from appliance.imaging.header import acquisition_time
from appliance.imaging.stacks import Stack
from appliance.sections.answers import SelectionSettings
from appliance.selection.look import Candidate, Look
from appliance.selection.rules import Evidence, Topic, evidence

# The points at which a topic alone refuses a stack, in the order of checking.
_DECISIVE = (
    (Topic.PLANES, -1.0, RefusalCode.NOT_AXIAL),
    (Topic.KIND, -5.0, RefusalCode.DERIVED),
    (Topic.TISSUE, -3.0, RefusalCode.NOT_SOFT_TISSUE),
    (Topic.CONTRAST, -5.0, RefusalCode.CONTRAST),
    # A head-sized field of view alone speaks for a head, so nothing in its favour counts against it.
    (Topic.HEAD, 0.0, RefusalCode.NOT_HEAD),
)


@dataclass(frozen=True, eq=False)
class Judgement:
    """The judgement of one stack: points, sentences for and against, and the refusal if it is not suitable."""

    stack: Stack
    score: float
    reasons_for: tuple[str, ...]
    reasons_against: tuple[str, ...]
    refusal: Refusal | None = None


@dataclass(frozen=True, eq=False)
class Selection:
    """The judgements about a study's stacks, best first, refused ones last."""

    judgements: tuple[Judgement, ...]

    @cached_property
    def readable(self) -> tuple[Judgement, ...]:
        """The judgements about stacks that can be read, best first."""
        return tuple(judgement for judgement in self.judgements if judgement.refusal is None)

    @cached_property
    def suitable(self) -> tuple[Stack, ...]:
        """The stacks that can be read, best first."""
        return tuple(judgement.stack for judgement in self.readable)

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """The stacks in order, for a look at their images."""
        return tuple(
            Candidate(judgement.stack, judgement.refusal.code if judgement.refusal else None)
            for judgement in self.judgements
        )

    @property
    def chosen(self) -> Stack | None:
        """The stack to read, None when none is suitable."""
        return self.suitable[0] if self.suitable else None

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """Why stacks are not suitable; a stack that is merely not the best one is not refused."""
        return tuple(judgement.refusal for judgement in self.judgements if judgement.refusal is not None)

    @property
    def growing(self) -> tuple[Stack, ...]:
        """The stacks that more slices could make suitable: right in everything but too short, or with a gap."""
        curable = (RefusalCode.TOO_FEW_SLICES, RefusalCode.MISSING_SLICE)
        return tuple(
            judgement.stack for judgement in self.judgements if judgement.refusal and judgement.refusal.code in curable
        )


def select(
    stacks: Iterable[Stack],
    settings: SelectionSettings,
    *,
    refuse_gaps: bool = True,
    looks: Mapping[Stack, Look] | None = None,
) -> Selection:
    """Return the judgements about the stacks of one study; `looks` are what images look like, as far as known.

    With `refuse_gaps` a stack with a missing slice is refused. Callers that wait for slices pass False, and get the
    best stack whether it is complete or not (`Stack.complete`). Of equal scores the longer stack wins, then the earlier
    acquisition, then the UID, so that the same stacks always give the same choice.
    """
    known = looks or {}
    judgements = [judge(stack, settings, refuse_gaps=refuse_gaps, look=known.get(stack)) for stack in stacks]
    return Selection(tuple(sorted(judgements, key=_rank)))


def judge(
    stack: Stack, settings: SelectionSettings, *, refuse_gaps: bool = True, look: Look | None = None
) -> Judgement:
    """Return the judgement about one stack."""
    found = evidence(stack, look)
    return Judgement(
        stack,
        sum(item.points for item in found),
        tuple(item.reason for item in found if item.points > 0),
        tuple(item.reason for item in found if item.points < 0),
        _refusal(stack, found, settings, refuse_gaps),
    )


def _rank(judgement: Judgement) -> tuple[bool, float, float, float, str, int]:
    stack = judgement.stack
    moment = acquisition_time(stack.header)
    return (
        judgement.refusal is not None,
        -judgement.score,
        -round(stack.geometry.extent_mm) if stack.geometry else 0,
        float("inf") if moment is None else moment,
        stack.series_uid,
        stack.pass_number,
    )


def _refusal(
    stack: Stack, found: tuple[Evidence, ...], settings: SelectionSettings, refuse_gaps: bool
) -> Refusal | None:
    """Return why the stack is not suitable, None when it is. Reasons that more slices could remove come last."""
    if stack.refusal is not None:
        return stack.refusal
    if stack.geometry is None:
        return Refusal(RefusalCode.NO_POSITION, "the images have no position", stack.series_uid)
    for topic, limit, code in _DECISIVE:
        items = [item for item in found if item.is_about(topic)]
        if sum(item.points for item in items) <= limit:
            against = [item.reason for item in items if item.points < 0] or ["nothing says that this is a head"]
            return Refusal(code, "; ".join(against), stack.series_uid)
    return (
        _too_large(stack, stack.geometry, settings)
        or _too_short(stack, stack.geometry, settings)
        or (stack.missing_refusal if refuse_gaps else None)
    )


def _too_large(stack: Stack, geometry: Geometry, settings: SelectionSettings) -> Refusal | None:
    rows, columns = geometry.contract_matrix
    needed = len(stack.instances) * rows * columns * 2 / 2**20
    if needed <= settings.max_volume_mib:
        return None
    return Refusal(
        RefusalCode.TOO_LARGE,
        f"{len(stack.instances)} slices of {rows} x {columns} need {needed:.0f} MiB, "
        f"the setting selection.max_volume_mib allows {settings.max_volume_mib}",
        stack.series_uid,
    )


def _too_short(stack: Stack, geometry: Geometry, settings: SelectionSettings) -> Refusal | None:
    slices = len(stack.instances)
    if slices < settings.min_slices:
        what = "1 slice" if slices == 1 else f"{slices} slices"
        reason = f"{what}, a head needs {settings.min_slices}"
    elif geometry.extent_mm < settings.min_coverage_mm:
        reason = f"{slices} slices cover {geometry.extent_mm:.0f} mm, a head needs {settings.min_coverage_mm:.0f} mm"
    else:
        return None
    return Refusal(RefusalCode.TOO_FEW_SLICES, reason, stack.series_uid)
