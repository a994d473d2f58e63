# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Words that SR and key images share. They are ASCII, because they appear beside names in the source's charset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from appliance.findings.outcome import Outcome

RESEARCH_USE: Final = "Research use only, trained on simulated scans. Not for diagnosis."
"""Stated wherever a person reads an answer, until a site has trained a model of its own."""

IN_THE_PART: Final = "in the part of the head that was read"
"""Follows every statement about a part, so that nobody takes it for one about the head."""

PART_ONLY: Final = "PART OF THE HEAD ONLY."

IMAGE_FLAW: Final = "IMAGE QUALITY:"
"""Begins the sentence about a flaw."""


OUTCOME_WORDS: Final[Mapping[str, str]] = {
    Outcome.PRESENT: "hemorrhage found",
    Outcome.UNDETERMINED: "no hemorrhage found in a part of the head",
    Outcome.UNREAD: "not read",
    Outcome.ABSENT: "no hemorrhage found",
}
"""What an answer says, in words for people."""


def millilitres(volume_ml: float) -> str:
    """Return a volume for people: one digit after the point, or two significant figures if it is small."""
    return f"{volume_ml:.1f} mL" if volume_ml >= 1 else f"{volume_ml:.2g} mL"


def covered_words(covered: Mapping[str, Any]) -> str:
    """Return what an answer covers for people: "30 of 32 slices, 150 mm"; `covered` are `Coverage.facts`.

    Empty slices that were read are named too; answers of a version that did not count them name none.
    """
    said = f"{covered['slices_read']} of {covered['slices_there']} slices, {covered['extent_mm']:.0f} mm"
    empty = covered.get("slices_empty", 0)
    return f"{said} (and {empty} empty)" if empty else said


def of_part(covered: Mapping[str, Any] | None) -> str:
    """Return " in the part of the head that was read" for a part, "" for a whole head.

    `covered` is None for an answer of a version that did not record its coverage.
    """
    return f" {IN_THE_PART}" if covered and covered["partial"] else ""
