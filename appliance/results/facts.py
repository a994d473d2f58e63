# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The facts of a lesion, each named once, and their wording for people.

Ledger, status, `result.json`, page, key images, tables and SR take facts and words from here. A new fact is a line in
`LESION_FACTS`.
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
from appliance.results.wording import millilitres


class Place(Enum):
    """Where a fact appears in the text about a lesion."""

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
        Returns it as plain JSON: a text, a number, or None if the lesion has none.
    heading
        Its column in the table of `appliance analyze`.
    cell
        Formats it for that table; only called with a value.
    place, shown
        Where it appears in the text, and in what words.
    measure, unit
        The concept and the unit of the number in the SR; None if it is not there.
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
        millilitres,
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
    """Return the wording of a lesion's facts at `place`, without facts that the lesion lacks."""
    return [
        fact.shown(facts[fact.name])
        for fact in LESION_FACTS
        if fact.place is place and facts.get(fact.name) is not None
    ]


def lesion_headline(facts: Mapping[str, Any]) -> str:
    """Return what a lesion is in a few words: "SAH 12.3 mL"."""
    return " ".join(lesion_words(facts, Place.HEADLINE))


def lesion_detail(facts: Mapping[str, Any]) -> str:
    """Return the words beside the headline: "medium, confidence 0.93"."""
    return ", ".join(lesion_words(facts, Place.DETAIL))


def lesion_sentence(lesion: Lesion, slices: int) -> str:
    """Return the SR's sentence about a lesion; `slices` are those of the volume."""
    abc2 = "" if lesion.abc2_ml is None else f" (ABC/2 {millilitres(lesion.abc2_ml)})"
    first, last = lesion.slices[0] + 1, lesion.slices[-1] + 1
    where = f"slice {first}" if first == last else f"slices {first} to {last}"
    return (
        f"{lesion.type.display}, {lesion.size_class.value}: {millilitres(lesion.volume_ml)}{abc2}, "
        f"confidence {lesion.confidence:.2f}, {where} of {slices} counted from the foot end."
    )


def lesion_row(facts: Mapping[str, Any]) -> list[str]:
    """Return a lesion's facts as the cells of a table row; empty for a fact that the lesion lacks."""
    return ["" if facts[fact.name] is None else fact.cell(facts[fact.name]) for fact in LESION_FACTS]


def lesion_measures(lesion: Lesion) -> Iterator[tuple[Code, float, Code]]:
    """Yield the facts that the SR gives as numbers: concept, value, unit."""
    for fact in LESION_FACTS:
        if fact.measure is not None:
            value = fact.value(lesion)
            if value is not None:
                yield fact.measure, float(value), fact.unit
