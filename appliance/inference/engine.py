# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Which engine runs the detector in Triton, as its model process says among Triton's metrics.

The model process chooses it at its start, by the CPU, by what passed the precision gate, and by what loads and answers
the golden chunk rightly (docs/engines.md). An answer depends on it only by small differences, which the gate bounds, so
an unknown engine stops nothing. A better engine that failed makes answers slower, not wrong; whoever looks is told.
"""

from __future__ import annotations

import http.client
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog
from prometheus_client.parser import text_string_to_metric_families

from appliance.sections.triton import TritonSettings

METRIC: Final = "hemorrhage_engine"
METRIC_PASSED_OVER: Final = "hemorrhage_engine_passed_over"
_TIMEOUT_S: Final = 1.0
_AGAIN_S: Final = 5.0
"""Triton opens its metrics port after loading the model; a port that stays closed is not tried every time."""
_BETTER_AGAIN_S: Final = 60.0
"""How often is asked whether a better engine, which failed when it was tried, serves by now, s."""
_MOST_BYTES: Final = 4 << 20
"""Triton's metrics are never longer, bytes; something else may answer on that port."""


@dataclass(frozen=True)
class ServedEngine:
    """The runtime and precision of the detector, the CPU's instruction set and how many threads it has.

    Attributes
    ----------
    passed_over: better engines that failed when the model process last tried them, each with the reason.
    """

    name: str
    instructions: str
    threads: int
    passed_over: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        itself = f"{self.name} ({self.instructions}, {self.threads} thread{'s' if self.threads > 1 else ''})"
        return f"{itself}, in the place of {self.failures}" if self.passed_over else itself

    @property
    def failures(self) -> str:
        """The better engines that failed, and why, as one sentence."""
        return "; ".join(f"{name}, which failed: {why}" for name, why in self.passed_over)


class EngineMemory:
    """The engine of the served model; it is asked for until it is known, and seldom while a better one is passed over.

    Parameters
    ----------
    clock: monotonic seconds.
    """

    def __init__(self, settings: TritonSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._log = structlog.get_logger("detector")
        self._known: tuple[str, ServedEngine | None] | None = None
        self._asked = 0.0

    def ask(self, model: str) -> ServedEngine | None:
        """Return the engine of the model with this name in Triton, None if it is not known."""
        known = self._known
        if known is None or known[0] != model or self._clock() - self._asked >= _valid_s(known[1]):
            found = served_engine(self._settings, model)
            self._asked = self._clock()
            before = None if known is None or known[0] != model else known[1]
            if found is not None and found.passed_over and found != before:
                self._log.warning("a better engine failed, another one serves", serves=str(found))
            # What was known stays true while Triton does not say otherwise.
            known = self._known = model, found or before
        return known[1]


def _valid_s(engine: ServedEngine | None) -> float:
    """Return how long what is known of an engine is not asked for again, s."""
    if engine is None:
        return _AGAIN_S
    return _BETTER_AGAIN_S if engine.passed_over else math.inf


def served_engine(settings: TritonSettings, model: str) -> ServedEngine | None:
    """Return the engine that runs the model with this name in Triton, None if Triton's metrics do not name it."""
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
        samples = [
            sample
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.value == 1 and sample.labels.get("model") == model
        ]
        told = [sample.labels for sample in samples if sample.name == METRIC]
        newest = max(told, key=lambda labels: int(labels["version"]), default=None)
        if newest is None:
            return None
        failed = (
            (sample.labels["engine"], sample.labels["why"])
            for sample in samples
            if sample.name == METRIC_PASSED_OVER and sample.labels.get("version") == newest["version"]
        )
        return ServedEngine(newest["engine"], newest["instructions"], int(newest["threads"]), tuple(failed))
    except (KeyError, ValueError):
        return None
