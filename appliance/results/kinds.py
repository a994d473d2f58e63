# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The name of each kind of result object and its place in the study; `report` says how each is made."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ResultKind:
    """A kind of result object.

    Attributes
    ----------
    name
        Its file name (no extension), its kind in the ledger, and what its UIDs are made from.
    modality, series_number, description
        Of the series that holds it.
    several
        Whether an answer can have more than one, in one series; they are numbered from 1.
    """

    name: str
    modality: str
    series_number: int
    description: str
    several: bool = False

    def named(self, number: int) -> str:
        """Return the name of the object with this number."""
        return f"{self.name}-{number}" if self.several else self.name


SR = ResultKind("sr", "SR", 9001, "Hemorrhage report (research use)")
SEG = ResultKind("seg", "SEG", 9002, "Hemorrhage segmentation (research use)")
KEY_IMAGES = ResultKind("key-image", "OT", 9003, "Hemorrhage key images (research use)", several=True)
KEY_OBJECTS = ResultKind("key-objects", "KO", 9004, "Hemorrhage key image selection (research use)")
REFUSAL = ResultKind("refusal", "SR", 9005, "Hemorrhage: not read (research use)")
