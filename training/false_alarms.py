# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""False alarms of whole studies: heads without blood are read as the service reads them, to learn from what was found.

A batch consists of crops, and a crop seldom shows the one place on thirty slices that the network takes for blood; yet
one place is enough for a false alarm of the study. So the run regularly reads some of its heads without blood from end
to end, and records where it was sure of blood; batches return to those places (`batches.batch`) until a later reading
of the head no longer finds anything there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from appliance.reading.detections import Run, study_detections
from training.heads import Head

FILE: Final = "false-alarms.json"
"""In a run's folder: by the name of a head, the places (z, y, x) that were found in it when it was last read."""
SURE: Final = 0.5
"""The class score from which a detection without blood is taught. Nearly every head without blood holds one."""
NOWHERE: Final = np.zeros((0, 3), np.int32)


class FalseAlarms:
    """The false alarms of a run, kept in its folder."""

    def __init__(self, folder: Path):
        self.path = folder / FILE
        self._places: dict[str, list[list[int]]] = json.loads(self.path.read_text()) if self.path.exists() else {}

    def of(self, head: Head) -> NDArray[np.int32]:
        """Return the middles (z, y, x) [N, 3] of false detections in a head, none if it was not read."""
        places = self._places.get(head.name)
        return np.array(places, np.int32) if places else NOWHERE

    def read_next(self, detect: Run, heads: Sequence[Head], count: int, stop: Callable[[], bool]) -> int:
        """Read the `count` heads without blood that were read longest ago, and return how many false alarms they hold.

        It ends early when `stop()` says so.
        """
        order = {name: place for place, name in enumerate(self._places)}
        waiting = sorted(
            (head for head in heads if head.diagnosis == "none"), key=lambda head: order.get(head.name, -1)
        )
        found = 0
        for head in waiting[:count]:
            if stop():
                break
            places = false_alarms(detect, head)
            self._places.pop(head.name, None)  # the head read last comes last
            self._places[head.name] = places
            found += len(places)
        self._keep(head.name for head in heads)
        return found

    def _keep(self, names: Iterable[str]) -> None:
        """Store the false alarms of the heads with these names, and forget the others, which were dropped."""
        there = set(names)
        self._places = {name: places for name, places in self._places.items() if name in there}
        partial = self.path.with_name(f".{self.path.name}.partial")
        partial.write_text(json.dumps(self._places) + "\n")
        partial.replace(self.path)


def false_alarms(detect: Run, head: Head) -> list[list[int]]:
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
