# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Readiness: the golden chunk comes back right.

A server that calls itself ready may still time out on its first request, answer with empty tensors, or serve another
model. So the detector sends the golden chunk (`appliance.reading.golden`) and compares the answer with the one that the
conversion recorded beside the model. This costs as much as a chunk of a study, so a right answer stays valid for a
while.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from appliance.reading.golden import golden_chunk, golden_matches

VALID_S: Final = 900.0
"""How long a right golden answer stays valid while the model and the server stay the same, s."""
RETRY_S: Final = 2.0
"""How long a wrong one stays valid, s: a probe that asks more often gets the same result."""


@dataclass(frozen=True)
class Readiness:
    """Whether the detector answers correctly; true in a condition if it does.

    `reason` says what differs or is away, and what to do; empty when ready.
    """

    ready: bool
    reason: str = ""

    def __bool__(self) -> bool:
        return self.ready


READY: Final = Readiness(True)


class GoldenAnswer:
    """The last golden answer of one served model, and how long it stays valid.

    Parameters
    ----------
    clock
        Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: Readiness | None = None
        self._until = 0.0

    @property
    def standing(self) -> Readiness | None:
        """The answer if it is still valid, None when the golden chunk has to be sent again."""
        return self._last if self._last is not None and self._clock() < self._until else None

    @property
    def last(self) -> Readiness | None:
        """The last answer, even if it is old; None when there is none of this server and model."""
        return self._last

    def forget(self) -> None:
        """Send the chunk again next time: the server or the model changed, or a request failed."""
        self._last = None

    def judge(self, summary: str, outputs: Mapping[str, NDArray[Any]]) -> Readiness:
        """Compare the outputs to the golden chunk with the recorded `golden_summary`, and keep the verdict."""
        difference = golden_matches(summary, outputs)
        if difference is None:
            return self.keep(READY)
        return self.keep(
            Readiness(
                False,
                f"the golden chunk came back wrong: {difference}; restart Triton, and when that does not help write "
                "the model repository again (`python -m conversion repository`); when one engine alone answers wrongly "
                "on this machine, set triton.engine to another",
            )
        )

    def keep(self, readiness: Readiness) -> Readiness:
        """Keep this verdict from now on, and return it."""
        self._last = readiness
        self._until = self._clock() + (VALID_S if readiness else RETRY_S)
        return readiness


@cache
def chunk() -> NDArray[np.int16]:
    """Return the golden chunk [20, 512, 512] in HU, made once a process, read-only."""
    made = golden_chunk()
    made.flags.writeable = False
    return made
