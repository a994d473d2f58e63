# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Whether a quiet study is complete, and which answer it needs: a function of its headers and earlier answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from appliance.coverage.neighbours import reaches_beyond
from appliance.errors import Refusal, RefusalCode
from appliance.imaging.header import acquisition_time
from appliance.imaging.stacks import Stack, stacks
from appliance.intake.snapshot import Snapshot
from appliance.ledger.records import Job, NewJob
from appliance.ledger.states import JobState
from appliance.sections.answers import SelectionSettings
from appliance.selection.select import Selection, select

_MAY_COME: Final = frozenset(
    {
        RefusalCode.MISSING_SLICE,
        RefusalCode.TOO_FEW_SLICES,
        RefusalCode.LOCALIZER,
        RefusalCode.NOT_AXIAL,
        RefusalCode.NOT_SOFT_TISSUE,
        RefusalCode.NOT_HEAD,
        RefusalCode.CONTRAST,
        RefusalCode.DERIVED,
    }
)
"""A study with only this may still get the series to read: a scanner sends the scout minutes before it."""


@dataclass(frozen=True)
class Verdict:
    """What to do about a study once it is quiet.

    `new` is the answer that it needs, None when there is nothing new. With `wait`, that answer waits for more instances
    (but not forever): `why` says which, and `refusals` what counts against the series so far. `part` says that only an
    end of the head is missing: without it the answer is about a part.
    """

    new: NewJob | None
    wait: bool = False
    why: str = ""
    refusals: tuple[Refusal, ...] = ()
    part: bool = False


def judge(
    snapshot: Snapshot,
    jobs: Iterable[Job],
    settings: SelectionSettings,
    missing_ends: Callable[[Stack], Sequence[str]] = lambda _: (),
) -> Verdict:
    """Return what to do about a study, given its valid jobs.

    The best stack gets an answer unless it, or one as good, has one. After that, a stack of a later acquisition that
    ranks as high (a rescan) gets another answer; other stacks of the same acquisition do not. A stack that reaches
    beyond all answered ones gets one too, if these were parts of a head. An answer waits for the ends of the head that
    the stack lacks, as `missing_ends` sees them in its images.
    """
    standing = [job for job in jobs if job.state is not JobState.WITHDRAWN and not job.requested]
    if any(job.instance_set == snapshot.instance_set for job in standing):
        return Verdict(None)
    answered = {job.chosen_set for job in standing} | {job.answered_set for job in standing}
    found = stacks(snapshot.instances)
    selection = select(found, settings)
    waiting_for = _describe_awaited(select(found, settings, refuse_gaps=False))
    chosen = selection.chosen
    if chosen is None:
        refusals = (*snapshot.refusals, *selection.refusals)
        why = waiting_for or "no axial soft-tissue head series has come yet"
        wait = any(refusal.code in _MAY_COME for refusal in refusals)
        return Verdict(NewJob(snapshot.instance_set, ""), wait, why if wait else "", refusals)
    scores = _scores(selection)
    before = [stack for stack in selection.suitable if stack.slice_set_hash in answered]
    if all(scores[chosen] > scores[stack] for stack in before):
        new = NewJob(snapshot.instance_set, chosen.slice_set_hash)
        ends = "" if waiting_for else _ends(chosen, missing_ends)
        why = waiting_for or ends
        return Verdict(new, bool(why), why, selection.refusals if why else (), part=bool(ends))
    fuller = _fuller(selection, before, missing_ends)
    if fuller is not None:  # of all stacks, so that the answer replaces the one about the part
        ends = _ends(fuller, missing_ends)
        return Verdict(NewJob(snapshot.instance_set, fuller.slice_set_hash), bool(ends), ends, part=bool(ends))
    rescan = _rescan(selection, before)
    if rescan is None:
        return Verdict(None)
    ranked_before = selection.suitable[: selection.suitable.index(rescan)]
    left_out = tuple(stack.slice_set_hash for stack in ranked_before)
    ends = _ends(rescan, missing_ends)
    return Verdict(NewJob(snapshot.instance_set, rescan.slice_set_hash, left_out), bool(ends), ends, part=bool(ends))


def _ends(stack: Stack, missing_ends: Callable[[Stack], Sequence[str]]) -> str:
    """Return which ends of the head the answer waits for; "" for none."""
    missing = missing_ends(stack)
    return f"series {stack.series_uid}: {'; '.join(missing)}" if missing else ""


def _describe_awaited(selection: Selection) -> str:
    """Return which stack is better than all complete ones but not complete itself; "" when there is none."""
    best = selection.chosen
    if best is not None and not best.complete:
        return f"series {best.series_uid}: {best.missing}"
    scores = _scores(selection)
    for stack in selection.growing:
        if best is None or scores[stack] > scores[best]:
            return f"series {stack.series_uid} has {len(stack.instances)} slices so far"
    return ""


def _scores(selection: Selection) -> dict[Stack, float]:
    return {judgement.stack: judgement.score for judgement in selection.judgements}


def _fuller(
    selection: Selection, before: Sequence[Stack], missing_ends: Callable[[Stack], Sequence[str]]
) -> Stack | None:
    """Return the best stack that reaches beyond all answered ones, when each of these is a part; None without."""
    for stack in selection.suitable:
        if stack not in before and all(reaches_beyond(stack, part) for part in before):
            return stack if all(missing_ends(part) for part in before) else None
    return None


def _rescan(selection: Selection, before: Sequence[Stack]) -> Stack | None:
    """Return the best stack that was acquired after every answered one and ranks as high as one, None without."""
    scores = _scores(selection)
    times = [span for span in map(_acquisition_span, before) if span is not None]
    if not times:
        return None
    ended = max(end for _, end in times)
    least = min(scores[stack] for stack in before)
    for stack in selection.suitable:
        span = _acquisition_span(stack)
        if stack not in before and span is not None and span[0] > ended:
            return stack if scores[stack] >= least else None
    return None


def _acquisition_span(stack: Stack) -> tuple[float, float] | None:
    """Return when the first and the last slice were acquired, None when that is not stated."""
    times = [at for at in (acquisition_time(instance.header) for instance in stack.instances) if at is not None]
    return (min(times), max(times)) if times else None
