# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""How long to wait for a chunk, learnt from how long chunks take.

A Triton that hangs must be noticed within seconds: until then a worker is stuck, and readiness is wrong. But no fixed
number of seconds fits both a GPU and two busy cores, and with too short a wait a study would never be read on a machine
that is merely slow. So the wait is many times the last chunk's time (at first the golden chunk's), and each timeout
doubles the next wait.
"""

from __future__ import annotations

from typing import Final

FIRST_S: Final = 30.0
"""The wait for the first chunk, when the pace is unknown, s."""
LEAST_S: Final = 10.0
"""The shortest wait, s: a machine may be busy with something else for a while."""
TIMES: Final = 20
"""How many times as long as the last chunk the next one may take."""


class Patience:
    """The wait for the next chunk, at most `longest_s`; `first_s` for the first."""

    def __init__(self, longest_s: float, first_s: float = FIRST_S) -> None:
        self._longest_s = longest_s
        self._wanted_s = first_s

    @property
    def seconds(self) -> float:
        """How long to wait for the next chunk, s."""
        return min(self._wanted_s, self._longest_s)

    def note_answer(self, took_s: float) -> None:
        """Learn that a chunk took so long, s."""
        # It falls slowly: an answer that was ready before the worker looked says little about the next one.
        self._wanted_s = max(LEAST_S, TIMES * took_s, self.seconds / 2)

    def note_timeout(self) -> None:
        """Learn that a chunk did not come in time."""
        self._wanted_s = 2 * self.seconds
