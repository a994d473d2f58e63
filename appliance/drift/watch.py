# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The newest answered studies beside the reference of the model that read them, for the metrics and for people."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Final

import structlog

from appliance.drift.compare import LEAST_STUDIES, WINDOW, Comparison, changed_at, compare
from appliance.drift.features import FEATURES, Row, row_of
from appliance.drift.reference import NoReferenceError, Reference, reference_of
from appliance.ledger.ledger import Ledger
from appliance.log import describe
from appliance.metrics import Metrics
from appliance.settings import Settings

_EVERY_S: Final = 60.0
_HISTORY: Final = 1000
"""So many of the newest studies are looked through for the time of a change."""


@dataclass(frozen=True)
class Look:
    """The newest studies that one model read, beside its reference.

    Attributes
    ----------
    sha256, version: the model that read the newest study; empty without any.
    studies: when each of its studies was decided (Unix seconds) and its row, oldest first.
    reference: None without one; `unusable` then says why.
    comparisons: nothing with too few studies or without a reference.
    """

    sha256: str
    version: str
    studies: tuple[tuple[float, Row], ...]
    reference: Reference | None
    unusable: str
    comparisons: tuple[Comparison, ...]

    @property
    def compared(self) -> int:
        """How many studies are compared."""
        return min(len(self.studies), WINDOW) if self.comparisons else 0

    def since(self, one: Comparison) -> float | None:
        """Return when the first study after the change of a feature was decided; None when no time stands out."""
        with_it = [(at, row[one.feature.name]) for at, row in self.studies if one.feature.name in row]
        index = changed_at([value for _, value in with_it], one.word)
        return None if index is None else with_it[index][0]


def look(settings: Settings, ledger: Ledger, history: int = _HISTORY) -> Look:
    """Return the newest studies beside the reference. Raises `UnavailableError` when the ledger does not answer."""
    answers = [(at, answer) for at, answer in ledger.views.newest_answers(history) if answer.get("model")]
    if not answers:
        return Look("", "", (), None, "no study has been answered yet", ())
    model = answers[-1][1]["model"]
    rows = ((at, row_of(answer)) for at, answer in answers if answer["model"]["sha256"] == model["sha256"])
    studies = tuple((at, row) for at, row in rows if row)
    try:
        reference = reference_of(settings, model["sha256"])
    except NoReferenceError as error:
        return Look(model["sha256"], model["version"], studies, None, str(error), ())
    compared = compare(reference.rows, [row for _, row in studies[-WINDOW:]])
    why = "" if compared else f"{len(studies)} studies were measured so far; from {LEAST_STUDIES} on they are compared"
    return Look(model["sha256"], model["version"], studies, reference, why, compared)


class DriftWatch:
    """Compares again and again, and tells the metrics and the log; `run` is the body of its thread."""

    def __init__(self, settings: Settings, ledger: Ledger, metrics: Metrics) -> None:
        self._settings = settings
        self._ledger = ledger
        self._metrics = metrics
        self._differing: frozenset[str] = frozenset()
        self._log = structlog.get_logger("drift")

    def run(self, stopping: threading.Event, every_s: float = _EVERY_S) -> None:
        """Compare every minute until `stopping` is set."""
        while not stopping.is_set():
            try:
                self.compare()
            except Exception as error:  # it is compared again, and nothing depends on it meanwhile
                self._log.warning("studies not compared with the reference", error=describe(error))
            stopping.wait(every_s)

    def compare(self) -> None:
        """Compare once."""
        seen = look(self._settings, self._ledger, WINDOW)
        of_reference = len(seen.reference.rows) if seen.reference else 0
        self._metrics.drift_reference_studies.set(of_reference if seen.sha256 else float("nan"))
        self._metrics.drift_studies.set(seen.compared)
        compared = {one.feature.name: one for one in seen.comparisons}
        for feature in FEATURES:
            one = compared.get(feature.name)
            self._metrics.drift_distance.labels(feature.name).set(one.distance if one else float("nan"))
            self._metrics.drift_limit.labels(feature.name).set(one.limit if one else float("nan"))
        differing = frozenset(name for name, one in compared.items() if one.differs)
        if differing != self._differing:
            self._log.info("studies differ from the reference", what=sorted(differing))
            self._differing = differing
