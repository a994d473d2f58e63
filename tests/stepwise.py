# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A long trial as a list of steps: each is timed, reported as it ends, and one that fails does not end the trial."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass
class TrialStep:
    """What was done, how long it took, whether it went as it should, and what was seen."""

    name: str
    seconds: float
    well: bool
    seen: str


class Stepwise:
    """A trial that keeps its `steps` and calls `report` with each."""

    report: Callable[[TrialStep], None]
    steps: list[TrialStep]

    def step(self, name: str, do: Callable[[], str]) -> bool:
        """Do one step, note how it went, and return whether it went well."""
        begin = time.monotonic()
        try:
            seen, well = do(), True
        except Exception as error:
            seen, well = f"{type(error).__name__}: {error}", False
        self.steps.append(TrialStep(name, time.monotonic() - begin, well, seen))
        self.report(self.steps[-1])
        return well
