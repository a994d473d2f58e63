# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The facts of a lesion, each named once: ledger, status, `result.json`, page, table and SR take them from here.

A new fact is a line in `LESION_FACTS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from pydicom.sr.coding import Code

from appliance.findings.finding import Lesion
from appliance.reading.contract import HemorrhageType
from appliance.results import codes


class Place(Enum):
    """Where the status page shows a fact."""

    HEADLINE = "headline"
    DETAIL = "detail"
    NOWHERE = "nowhere"


@dataclass(frozen=True)
class LesionFact:
    """One fact of a lesion.

    Attributes
    ----------
    name
        Its key in the ledger, in `/status` and in `result.json`.
    value
        Returns it as plain JSON: a text, a number, or None where the lesion has none.
    heading
        Its column in the table of `appliance analyze`.
    cell
        Writes it for that table; only called with a value.
    place, shown
        Where the status page shows it, and in what words.
    measure, unit
        Under which concept the SR gives it as a number, and in what unit; None where it does not.
    """

    name: str
    value: Callable[[Lesion], Any]
    heading: str
    cell: Callable[[Any], str] = str
    place: Place = Place.NOWHERE
    shown: Callable[[Any], str] = str
    measure: Code | None = None
    unit: Code = codes.NO_UNITS


_DISPLAY: Final = {kind.value: kind.display for kind in HemorrhageType}

LESION_FACTS: tuple[LesionFact, ...] = (
    LesionFact(
        "type",
        lambda lesion: lesion.type.value,
        "type",
        place=Place.HEADLINE,
        shown=lambda kind: _DISPLAY.get(kind, kind),
    ),
    LesionFact(
        "volume_ml",
        lambda lesion: lesion.volume_ml,
        "mL",
        "{:.2f}".format,
        Place.HEADLINE,
        "{:.1f} mL".format,
        measure=codes.VOLUME,
        unit=codes.MILLILITER,
    ),
    LesionFact("abc2_ml", lambda lesion: lesion.abc2_ml, "ABC/2 mL", "{:.1f}".format),
    LesionFact("size_class", lambda lesion: lesion.size_class.value, "size", place=Place.DETAIL),
    LesionFact(
        "confidence",
        lambda lesion: lesion.confidence,
        "confidence",
        "{:.3f}".format,
        Place.DETAIL,
        "confidence {:.2f}".format,
        measure=codes.PROBABILITY,
    ),
    LesionFact("slices", lambda lesion: len(lesion.slices), "slices"),
)


def lesion_facts(lesion: Lesion) -> dict[str, Any]:
    """Return the facts of a lesion as plain JSON."""
    return {fact.name: fact.value(lesion) for fact in LESION_FACTS}


def lesion_words(facts: Mapping[str, Any], place: Place) -> list[str]:
    """Return what the status page shows of a lesion's facts at `place`; a fact that is not there has no words."""
    return [
        fact.shown(facts[fact.name])
        for fact in LESION_FACTS
        if fact.place is place and facts.get(fact.name) is not None
    ]


def lesion_row(facts: Mapping[str, Any]) -> list[str]:
    """Return a lesion's facts as the cells of a table with a column each; empty where there is none."""
    return ["" if facts[fact.name] is None else fact.cell(facts[fact.name]) for fact in LESION_FACTS]


def lesion_measures(lesion: Lesion) -> Iterator[tuple[Code, float, Code]]:
    """Yield the facts that the SR gives as numbers: concept, value, unit."""
    for fact in LESION_FACTS:
        if fact.measure is not None:
            value = fact.value(lesion)
            if value is not None:
                yield fact.measure, float(value), fact.unit
