# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The state of the service and its neighbours, which a thread asks for every few seconds.

A request for health is answered at once with the latest state. When a neighbour comes back, the jobs that waited for it
continue.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from appliance.errors import ApplianceError
from appliance.log import describe

NOT_ASKED: Final = "not asked yet"
"""Why a neighbour does not count as well before it was first asked."""
_ASKED_EVERY_S: Final = 5.0
_ASKED_EVERY_S_WHILE_AWAY: Final = 1.0


@dataclass(frozen=True)
class State:
    """Whether a neighbour is well, since when (Unix time), and why not."""

    well: bool
    since: float
    reason: str = ""


class Health:
    """The latest state of each neighbour. A probe returns when its neighbour is well and raises when it is not."""

    def __init__(
        self,
        probes: Mapping[str, Callable[[], None]],
        recovered: Callable[[str], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._probes = probes
        self._recovered = recovered
        self._clock = clock
        self._states = {name: State(False, clock(), NOT_ASKED) for name in probes}
        self._log = structlog.get_logger("health")

    @property
    def states(self) -> dict[str, State]:
        """The latest state of each neighbour."""
        return dict(self._states)

    @property
    def ready(self) -> bool:
        """Whether a study that arrived now would be answered."""
        return all(state.well for state in self._states.values())

    def run(self, stopping: threading.Event) -> None:
        """Ask until `stopping` is set."""
        while not stopping.is_set():
            self.ask()
            stopping.wait(_ASKED_EVERY_S if self.ready else _ASKED_EVERY_S_WHILE_AWAY)

    def ask(self) -> None:
        """Ask every neighbour once."""
        for name, probe in self._probes.items():
            try:
                probe()
                reason = ""
            except ApplianceError as error:
                reason = str(error)
            except Exception as error:  # if the probe breaks, its neighbour is not well
                reason = describe(error)
            before = self._states[name]
            if before.well == (not reason) and before.reason == reason:
                continue
            since = before.since if before.well == (not reason) else self._clock()
            self._states[name] = State(not reason, since, reason)
            if reason:
                self._log.warning("not well", neighbour=name, reason=reason)
            else:
                self._log.info("well", neighbour=name)
                try:
                    self._recovered(name)
                except Exception as error:  # whatever happens, the next round asks again
                    self._log.warning("could not tell of a recovery", neighbour=name, error=describe(error))
