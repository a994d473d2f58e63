# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Which answer a study needs, given the answers that it has."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydicom import Dataset

from appliance.imaging.stacks import Stack, stacks
from appliance.intake.judge import Verdict, judge
from appliance.intake.snapshot import Snapshot
from appliance.ledger.records import Job
from appliance.ledger.states import JobState
from appliance.sections.answers import SelectionSettings
from tests.appliance.imaging import scans

SLICES = 32


def of_head(first: int, last: int, **attributes: Any) -> list[Dataset]:
    positions = [5.0 * z for z in range(first, last)]
    head = scans.head(SLICES)[first:last]
    return scans.series(head, positions_mm=positions, first_number=first + 1, **attributes)


def snapshot_of(images: list[Dataset]) -> Snapshot:
    return Snapshot("study", scans.STUDY, tuple(scans.headers_only(images)), (), f"set of {len(images)}")


def missing_ends(stack: Stack) -> tuple[str, ...]:
    """As the pixels of a head of `SLICES` slices would say."""
    return () if len(stack.instances) == SLICES else ("the top of the head is missing",)


def after_answer(answered: list[Dataset], came: list[Dataset], state: JobState = JobState.DONE) -> Verdict:
    """Return what is to be done when more images came after the answer about the first ones."""
    before = snapshot_of(answered)
    (stack,) = stacks(before.instances)
    read = stack.slice_set_hash
    job = Job(1, "study", scans.STUDY, "", state, 0, 0, 0, True, before.instance_set, read)
    return judge(
        snapshot_of([*answered, *came]),
        [replace(job, answered_set=read) if state is JobState.DONE else job],
        SelectionSettings(),
        missing_ends,
    )


@pytest.mark.parametrize("kernel", ["H31s", "J40s"])
@pytest.mark.parametrize("state", [JobState.DONE, JobState.RUNNING])
@pytest.mark.parametrize("slices", [15, 22, 28])
def test_a_whole_head_that_comes_after_the_answer_about_a_part_is_answered(
    slices: int, state: JobState, kernel: str
) -> None:
    whole = of_head(0, SLICES, series=2, ConvolutionKernel=kernel)
    verdict = after_answer(of_head(0, slices), whole, state)
    (stack,) = stacks(scans.headers_only(whole))
    assert verdict.new is not None
    assert verdict.new.chosen_set == stack.slice_set_hash
    assert not verdict.new.left_out
    assert not verdict.wait


def test_another_reconstruction_of_a_whole_head_is_not_answered_again() -> None:
    again = of_head(0, SLICES, series=2, ConvolutionKernel="J40s")
    assert after_answer(of_head(0, SLICES), again).new is None


def test_another_reconstruction_of_the_same_part_is_not_answered_again() -> None:
    again = of_head(0, 22, series=2, ConvolutionKernel="J40s")
    assert after_answer(of_head(0, 22), again).new is None
