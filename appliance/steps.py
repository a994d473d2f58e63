# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The steps of an answer and their clock: the one place where they are named, ordered and timed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import structlog

from appliance.traces import OFF, Trace


class Step(StrEnum):
    """The steps that are clocked, in order; the values are metric labels and keys of `timing_ms`."""

    QUIET = "quiet"
    """Waiting for further instances, minus the time read ahead, so that the steps add up to the turnaround."""
    QUEUE = "queue"
    """Waiting for a worker."""
    SELECT = "select"
    READ = "read"
    CHECK = "check"
    INFER = "infer"
    FIND = "find"
    REPORT = "report"
    DELIVER = "deliver"
    """Storing SEG and SR; with the SR stored, the turnaround ends."""
    DELIVER_REST = "deliver_rest"
    """Drawing and storing the key images."""


TURNAROUND_STEPS: Final = tuple(step for step in Step if step is not Step.DELIVER_REST)
"""The steps that a reader waits for."""


@dataclass
class StepClock:
    """How long each step took, in ms; the times of a step that runs twice (the first choice was unreadable) add up."""

    timing_ms: dict[str, float] = field(default_factory=dict)
    trace: Trace = OFF
    """Notes each step too, with its times."""

    @contextmanager
    def __call__(self, step: Step) -> Iterator[None]:
        """Clock the block as `step`, and name the step in every line of the log.

        A step that raises stays named, so that the log line about the error names it too; the catcher clears it.
        """
        start = time.perf_counter()
        before = structlog.contextvars.bind_contextvars(step=step.value)
        try:
            with self.trace.span(step.value):
                yield
            structlog.contextvars.reset_contextvars(**before)
        finally:
            self.add(step, time.perf_counter() - start)

    def add(self, step: Step, seconds: float, began: float | None = None) -> None:
        """Add the time of a step that was measured elsewhere, s; a negative time, by another clock, counts as 0.

        The trace has the step too if it is known when it `began`, in Unix seconds.
        """
        if began is not None:
            self.trace.add(step.value, began, seconds)
        self.timing_ms[step.value] = self.timing_ms.get(step.value, 0.0) + 1000 * max(0.0, seconds)

    def take_over(self, other: dict[str, float]) -> None:
        """Take over what another clock measured for this answer, in ms."""
        for step, ms in other.items():
            self.add(Step(step), ms / 1000)
