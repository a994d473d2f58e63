# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Where studies are read: the detector, the pipeline that uses it, and what is known of them."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Final

import structlog

from appliance.errors import UnavailableError
from appliance.inference.detector import TritonDetector
from appliance.inference.regions import (
    SETTLED_S,
    free_regions_of_dead_models,
    model_processes,
    processes_of_model,
    region_prefix,
    remove_regions_of_the_dead,
    remove_stale_regions,
)
from appliance.inference.series_classifier import SeriesClassifier
from appliance.inference.served_model import SHIPPED, Target
from appliance.models.priority import gives_way
from appliance.pipeline import Pipeline
from appliance.settings import Settings

_FRESH_TRIES: Final = 3
"""How often a process that gives way is restarted: where all of Triton gives way, a new one does too."""


class ReadingRoom:
    """The detector and the pipeline that uses it, made when Triton first answers.

    When Triton is restarted later, the detector reconnects by itself.
    """

    trial_program: Sequence[str] = ("appliance.trial_process",)
    """The module that reads a study in a process of its own, and its arguments."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._log = structlog.get_logger("room")
        self._restarts = 0  # in a row, for a process that gives way
        self._targets: Callable[[], Sequence[Target]] = lambda: (SHIPPED,)
        self._lock = threading.Lock()
        self._detector: TritonDetector | None = None
        self._classifier = SeriesClassifier(settings.triton)

    def _make_detector(self) -> TritonDetector:
        with self._lock:
            if self._detector is None:
                self._detector = TritonDetector(self._settings.triton, targets=self._targets)
            return self._detector

    def follow(self, targets: Callable[[], Sequence[Target]]) -> None:
        """Have the first of these versions of the detector answer that Triton serves; asked before each study."""
        self._targets = targets

    def pipeline(self) -> Pipeline:
        """Return the pipeline; raises `UnavailableError` or `ModelContractError` as long as there is no detector."""
        return Pipeline(self._settings, self._make_detector(), self._classifier)

    @property
    def classifier(self) -> SeriesClassifier:
        """The classifier that says how series look."""
        return self._classifier

    def detector_of(self, target: Target) -> TritonDetector:
        """Return a separate detector for one model, which Triton loads if it does not serve it."""
        return TritonDetector(self._settings.triton, self._settings.triton.timeout_s, lambda: (target,))

    def probe(self) -> None:
        """Return if the model answers correctly; raise with the reason if not.

        A version that was a shadow gives way to everything on the processor, and only a new process does not. So it is
        restarted here when it stands in for the promoted one; a promotion does that itself (`appliance.models.life`).
        """
        detector = self._make_detector()
        readiness = detector.check_readiness()
        if not readiness:
            raise UnavailableError(readiness.reason)
        if not gives_way(processes_of_model(region_prefix(detector.triton), detector.served_as)):
            self._restarts = 0
        elif self._restarts < _FRESH_TRIES:
            self._restarts += 1
            fault = detector.restart()
            self._log.info("the version that answers gave way as a shadow and was restarted", fault=fault)

    def model(self) -> dict[str, str] | None:
        """Return which model answers and what runs it, None while that is not known.

        `stands_in` is there while a Triton of `triton.others` answers, and says why the first one does not;
        `passed_over` while an earlier version of the detector answers, and says why the promoted one does not.
        """
        if self._detector is None:
            return None
        engine = self._detector.engine
        told = asdict(self._detector.identity) | {"engine": "not known" if engine is None else str(engine)}
        why = {"stands_in": self._detector.first_left, "passed_over": self._detector.passed_over}
        return told | {name: said for name, said in why.items() if said}

    def count_failed_engines(self) -> float:
        """Return how many engines that are better than the one that serves failed when Triton loaded the model.

        NaN where Triton does not say what serves: none is known to have failed, and none to work.
        """
        engine = None if self._detector is None else self._detector.engine
        return math.nan if engine is None else len(engine.passed_over)

    def tidy(self) -> None:
        """Free the shared memory of processes that died, on the machine that Triton and the service share."""
        if self._settings.triton.shared_memory:
            remove_regions_of_the_dead()
            prefix = region_prefix(self._settings.triton)
            free_regions_of_dead_models(prefix)
            # In a container of its own Triton's processes are not seen, and neither is what they still use.
            if any(model_processes(prefix)):
                remove_stale_regions(prefix, settled_s=SETTLED_S)

    def close(self) -> None:
        """Close the connections to Triton."""
        self._classifier.close()
        if self._detector is not None:
            self._detector.close()
