# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""False alarms of whole studies: where the network is sure of blood in a head that has none.

A crop seldom shows the one place on thirty slices that the network takes for blood; yet one place is enough for a false
alarm of the study.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from appliance.reading.detections import Run, study_detections
from training.found_places import FoundPlaces, Place
from training.heads import Head

FILE: Final = "false-alarms.json"
SURE: Final = 0.5
"""The class score from which a detection without blood is taught. Nearly every head without blood holds one."""


class FalseAlarms(FoundPlaces):
    """The false alarms of a run, kept in its folder."""

    def __init__(self, folder: Path):
        super().__init__(folder, FILE)

    def concerns(self, head: Head) -> bool:
        """Return whether a head is without blood."""
        return head.diagnosis == "none"

    def search(self, detect: Run, head: Head) -> list[Place]:
        """Return the middles of sure detections in a head without blood."""
        return false_alarms(detect, head)


def false_alarms(detect: Run, head: Head) -> list[Place]:
    """Return the middles [z, y, x] of a detector's sure detections in a head.

    Raises
    ------
    ValueError
        If the head has blood.
    """
    hu, labels = head.own_scan()
    if labels.any():
        raise ValueError(f"{head.name} has blood: what is found there is no false alarm")
    return [
        [one.slice_index, int((one.box.y1 + one.box.y2) / 2), int((one.box.x1 + one.box.x2) / 2)]
        for one in study_detections(detect, hu)
        if one.score >= SURE
    ]
