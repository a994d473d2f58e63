# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What is compared with the reference: each feature of a study once, with what a change of it means.

A row holds the features of one study, by name. A feature that a study does not have (the volume of a bleed where there
is none) is not in its row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from appliance.reading.contract import TYPES, HemorrhageType

Row = dict[str, float | str]


class Side(StrEnum):
    """Where a feature stands."""

    INPUT = "input"
    """Of the images: it changes with scanner, protocol and patients."""
    OUTPUT = "output"
    """Of the answers: it changes with the patients, or because the images did."""


@dataclass(frozen=True)
class Feature:
    """One feature: its name in rows, in metrics and in alerts, its unit ("" for a word) and what it is.

    `look` says what to look at when it changed.
    """

    name: str
    unit: str
    meaning: str
    look: str
    side: Side = Side.INPUT

    @property
    def is_number(self) -> bool:
        """Whether it is a number rather than a word."""
        return bool(self.unit)


_SCANNER: Final = "a scanner that was replaced, added or updated, or studies sent by another route"
_PROTOCOL: Final = "the head protocol: was it changed, or does another one arrive?"
_PATIENTS: Final = "the images first, if they changed too; else compare some answers with the radiologists' reports"

FEATURES: Final = (
    Feature(
        "brain_hu",
        "HU",
        "median of brain and fluid",
        "the scanner's calibration (water at 0 HU in the daily phantom), its tube voltage and kernel",
    ),
    Feature("noise_hu", "HU", "noise in the middle of the head", "dose, kernel, iterative or learned reconstruction"),
    Feature("fluid_share", "1", "share of fluid in what the skull encloses", "calibration, and the patients' age"),
    Feature("thickness_mm", "mm", "slice thickness", _PROTOCOL),
    Feature("distance_mm", "mm", "distance between slices", _PROTOCOL),
    Feature("pixel_mm", "mm", "distance between pixels", "the field of view, or images resampled on their way"),
    Feature("kernel", "", "reconstruction kernel", "the kernel of the series that is sent, by name"),
    Feature("scanner", "", "manufacturer and model", _SCANNER),
    Feature("kvp", "", "tube voltage, kV", _PROTOCOL),
    Feature("present", "", "hemorrhage found or not", _PATIENTS, Side.OUTPUT),
    Feature("score", "1", "highest score of a study", _PATIENTS, Side.OUTPUT),
    Feature("volume_ml", "mL", "volume of all that was found, where something was", _PATIENTS, Side.OUTPUT),
    *(
        Feature(f"{kind.value}_ml", "mL", f"volume of {kind.display}, where some was found", _PATIENTS, Side.OUTPUT)
        for kind in TYPES
    ),
)
"""All features."""

PRESENT, ABSENT = "found", "none found"


def row_of(answer: Mapping[str, Any]) -> Row:
    """Return the row of a study from its answer as the ledger keeps it (`delivery.summary`).

    Empty for an answer from before studies were measured.
    """
    measured = answer.get("measured")
    if not measured:
        return {}
    known = {feature.name: feature for feature in FEATURES if feature.side is Side.INPUT}
    row: Row = {
        name: value
        for name, value in measured.items()
        if name in known and isinstance(value, int | float if known[name].is_number else str)
    }
    row["present"] = PRESENT if answer["present"] else ABSENT
    row["score"] = float(answer["probability"])
    if answer["present"]:
        volumes = dict.fromkeys(HemorrhageType, 0.0)
        for lesion in answer["lesions"]:
            volumes[HemorrhageType(lesion["type"])] += float(lesion["volume_ml"])
        row["volume_ml"] = sum(volumes.values())
        row |= {f"{kind.value}_ml": ml for kind, ml in volumes.items() if ml > 0}
    return row
