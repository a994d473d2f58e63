# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Reads whole heads during a burst: for missed lesions and false alarms, and at its end for the figures.

Only the network runs on the device. A process of its own simulates the heads to validate on, scans heads and judges
what was found; it sends each chunk to the trainer, which replies with the detector's outputs, so that the device never
waits for any of it. Found places are files in the burst's folder, which the drawers read (`drawers`).
"""

from __future__ import annotations

import itertools
import logging
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkContext
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from appliance.reading.detections import Outputs, Run
from simulator.population import REALISTIC
from training.false_alarms import FalseAlarms
from training.heads import FIRST_VALIDATION_SEED, find_heads, make_one
from training.missed_lesions import MissedLesions
from training.reading import LabelledStudy, Outcome, read, scan_heads

log = logging.getLogger(__name__)

HEADS_A_ROUND: Final = 2
"""Heads without blood, and as many with it, that are read before what was found is written."""
LEAST_VALIDATED: Final = 2

Detect = Callable[[str, NDArray[np.int16]], Outputs]
"""What a variant that is being trained makes of a chunk hu [20, 512, 512] now."""


@dataclass(frozen=True)
class Validated:
    """What each variant made of the same heads, in the order of `seeds`."""

    outcomes: dict[str, list[Outcome]]
    seeds: list[int]


class Reader:
    """The process that reads, and the thread that replies to it.

    Parameters
    ----------
    variants: those that are trained; mistakes are those of the first.
    heads: folder of the drawers' heads.
    folder: where found places are written.
    validation: heads to validate on, `realistic` ones.
    """

    def __init__(self, variants: Sequence[str], heads: Path, folder: Path, validation: int, context: ForkContext):
        self._own, theirs = context.Pipe()
        self._over = context.Event()
        self._validated: Validated | None = None
        self._thread: threading.Thread | None = None
        self.process: Any = context.Process(
            target=_read, args=(theirs, self._over, list(variants), heads, folder, validation), daemon=True
        )
        self.process.start()
        theirs.close()  # the process alone holds it now: its end ends the thread

    def serve(self, detect: Detect) -> None:
        """Reply to the process from now on, in a thread."""
        self._thread = threading.Thread(target=self._reply, args=(detect,), daemon=True, name="reader")
        self._thread.start()

    def finish(self) -> Validated:
        """Let the validation heads be read, and return what was found in them.

        Raises
        ------
        RuntimeError
            If the process has died, or was never replied to.
        """
        self._over.set()
        if self._thread is not None:
            self._thread.join()
        if self._validated is None:
            raise RuntimeError("the process that reads heads has ended without figures; its error is above")
        return self._validated

    def _reply(self, detect: Detect) -> None:
        try:
            while True:
                told = self._own.recv()
                if isinstance(told, Validated):
                    self._validated = told
                    return
                self._own.send(detect(*told))
        except EOFError:
            return


def _read(
    connection: Connection, over: Any, variants: Sequence[str], heads: Path, folder: Path, validation: int
) -> None:
    """Simulate the heads to validate on, look for mistakes until it is over, then validate."""
    os.nice(19)

    def detect_with(variant: str) -> Run:
        def detect(hu: NDArray[np.float32]) -> Outputs:
            connection.send((variant, hu.astype(np.int16)))
            outputs: Outputs = connection.recv()
            return outputs

        return detect

    with tempfile.TemporaryDirectory(prefix="burst-validation-") as place:
        coming = _make_studies(Path(place), validation)
        studies = dict(itertools.islice(coming, 1))
        alarms, missed = FalseAlarms(folder), MissedLesions(folder)
        while not over.is_set():
            there = find_heads(heads)
            for places in (missed, alarms):
                places.read_next(detect_with(variants[0]), there, HEADS_A_ROUND, over.is_set)
            studies |= dict(itertools.islice(coming, 1))
            if not there:
                time.sleep(1.0)
        studies |= dict(itertools.islice(coming, max(0, LEAST_VALIDATED - len(studies))))
        outcomes = {variant: [read(detect_with(variant), study) for study in studies.values()] for variant in variants}
        connection.send(Validated(outcomes, list(studies)))


def _make_studies(folder: Path, count: int) -> Iterator[tuple[int, LabelledStudy]]:
    """Yield `count` heads with their seeds as their own scanners see them, made as they are asked for.

    The first two are one without blood and one with it.
    """
    for seed in range(FIRST_VALIDATION_SEED, FIRST_VALIDATION_SEED + count):
        try:
            make_one(folder, seed, REALISTIC)
        except Exception:  # one head in thousands cannot be drawn, which is no reason to end
            log.exception("the validation head of seed %d cannot be made", seed)
            continue
        (head,) = find_heads(folder)
        (study,) = scan_heads([head])
        for path in folder.iterdir():
            path.unlink()
        yield seed, study
