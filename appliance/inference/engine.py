# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Which engine runs the detector in Triton, as its model process says among Triton's metrics.

The model process chooses it at its start, by the CPU and by what passed the precision gate (docs/engines.md). An answer
depends on it only by small differences, which the gate bounds, so an unknown engine stops nothing.
"""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from appliance.sections.triton import TritonSettings

METRIC: Final = "hemorrhage_engine"
_TIMEOUT_S: Final = 1.0
_AGAIN_S: Final = 5.0
"""Triton opens its metrics port after loading the model; a port that stays closed is not tried every time."""
_MOST_BYTES: Final = 4 << 20
"""Triton's metrics are never longer, bytes; something else may answer on that port."""


@dataclass(frozen=True)
class ServedEngine:
    """The runtime and precision of the detector, the CPU's instruction set and how many threads it has."""

    name: str
    instructions: str
    threads: int

    def __str__(self) -> str:
        return f"{self.name} ({self.instructions}, {self.threads} thread{'s' if self.threads > 1 else ''})"


class EngineMemory:
    """The engine of the served model; it is asked for only until it is known.

    Parameters
    ----------
    clock: monotonic seconds.
    """

    def __init__(self, settings: TritonSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._known: tuple[str, ServedEngine | None] | None = None
        self._asked = 0.0

    def ask(self, model: str) -> ServedEngine | None:
        """Return the engine of the model with this name in Triton, None if it is not known."""
        known = self._known
        if known is None or known[0] != model or (known[1] is None and self._clock() - self._asked >= _AGAIN_S):
            known = self._known = model, served_engine(self._settings, model)
            self._asked = self._clock()
        return known[1]


def served_engine(settings: TritonSettings, model: str) -> ServedEngine | None:
    """Return the engine that runs the model with this name in Triton, None if Triton's metrics do not name it."""
    if settings.profile != "cpu":
        return None
    connection = http.client.HTTPConnection(settings.host, settings.metrics_port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", "/metrics")
        response = connection.getresponse()
        if response.status != http.HTTPStatus.OK:
            return None
        return engine_told(response.read(_MOST_BYTES).decode("utf-8", "replace"), model)
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def engine_told(text: str, model: str) -> ServedEngine | None:
    """Return the engine of a model's newest version in Triton's metrics `text`, None if they name none."""
    try:
        told = [
            sample.labels
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == METRIC and sample.value == 1 and sample.labels.get("model") == model
        ]
        newest = max(told, key=lambda labels: int(labels["version"]), default=None)
        return (
            None if newest is None else ServedEngine(newest["engine"], newest["instructions"], int(newest["threads"]))
        )
    except (KeyError, ValueError):
        return None
