# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Places that reading whole heads has found, to be shown in training until a later reading no longer finds them.

A batch consists of crops, and what is wrong with the answer to a whole study is seldom in one. So the run regularly
reads some of its heads from end to end, as the service does, and records where the answer is wrong (`false_alarms`,
`missed_lesions`); batches return to those places.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from appliance.reading.detections import Run
from training.heads import Head

NOWHERE: Final = np.zeros((0, 3), np.int32)
Place = list[int]
"""Slice, row and column of a voxel of a stored head."""


class FoundPlaces(ABC):
    """The places of one kind that a run has found, kept in its folder.

    Attributes
    ----------
    path
        The JSON file: by the name of a head, the places (z, y, x) that were found in it when it was last read. The head
        read last comes last.
    """

    def __init__(self, folder: Path, file: str):
        self.path = folder / file
        self._places: dict[str, list[Place]] = json.loads(self.path.read_text()) if self.path.exists() else {}

    @abstractmethod
    def concerns(self, head: Head) -> bool:
        """Return whether such places can be in a head at all."""

    @abstractmethod
    def search(self, detect: Run, head: Head) -> list[Place]:
        """Return the places in a head, by what a detector makes of it."""

    def count_read(self, heads: Iterable[Head]) -> int:
        """Return how many of some heads were read so far."""
        return sum(head.name in self._places for head in heads)

    def of(self, head: Head) -> NDArray[np.int32]:
        """Return the places (z, y, x) [N, 3] in a head, none if it was not read."""
        places = self._places.get(head.name)
        return np.array(places, np.int32) if places else NOWHERE

    def read_next(self, detect: Run, heads: Sequence[Head], count: int, stop: Callable[[], bool]) -> int:
        """Read `count` heads, and return how many places they hold.

        Half of them, rounded down, are heads in which something was found, so that what has been learnt meanwhile is
        soon shown less; the others are any. Both are those read longest ago. It ends early when `stop()` says so.
        """
        order = {name: place for place, name in enumerate(self._places)}
        waiting = sorted(filter(self.concerns, heads), key=lambda head: order.get(head.name, -1))
        again = [head for head in waiting if self._places.get(head.name)][: count // 2]
        names = {head.name for head in again}
        others = [head for head in waiting if head.name not in names][: count - len(again)]
        found = 0
        for head in (*again, *others):
            if stop():
                break
            try:
                places = self.search(detect, head)
            except FileNotFoundError:  # the head was dropped since it was listed
                continue
            self._places.pop(head.name, None)
            self._places[head.name] = places
            found += len(places)
        self._keep(head.name for head in heads)
        return found

    def _keep(self, names: Iterable[str]) -> None:
        """Store the places of the heads with these names, and forget the others, which were dropped."""
        there = set(names)
        self._places = {name: places for name, places in self._places.items() if name in there}
        partial = self.path.with_name(f".{self.path.name}.partial")
        partial.write_text(json.dumps(self._places) + "\n")
        partial.replace(self.path)
