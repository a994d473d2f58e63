# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A bounded adversarial perturbation of a study: how little changes its answer.

The attacker sees what the network answers and nothing of its inside, and may change each voxel by some HU, less than
noise does. The search is that of the Square Attack (Andriushchenko et al., ECCV 2020, arXiv 1912.00049): squares of one
sign are tried, and kept where they help; they shrink as calls are used up. Two things differ. The first try is not
stripes but what changes contrast most: all that is brighter than its surroundings becomes darker, or brighter still.
And squares are laid where the surest detection is, because the answer says where. The search does not
know of readings that may withstand it (`mitigations`).

A search of so many calls shows what is enough to change an answer; it proves nothing where it fails.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from appliance.reading.contract import CONTEXT_SLICES, MATRIX, chunks
from appliance.reading.detections import Box, Detection

ReadChunk = Callable[[NDArray[np.int16], int], Sequence[Detection]]
"""The detections of one chunk, by number, of a volume hu [Z, 512, 512]: one call of the network."""

BODY_HU: Final = -200
"""Only what is denser is changed: noise in air would be seen."""
SURROUNDINGS_PX: Final = 25
LARGEST_SHARE: Final = 0.8
"""Of the area about the surest detection, the first squares."""
SMALLEST_PX: Final = 3
MARGIN_PX: Final = 16
"""As far beyond a detection's box squares are laid."""


@dataclass(frozen=True)
class Perturbed:
    """A study that was changed to be misread.

    Attributes
    ----------
    hu: int16 [Z, 512, 512].
    before, first, after: the study's score as it was, after the first try, and at the end.
    calls: of the network, the first reading included.
    """

    hu: NDArray[np.int16]
    before: float
    first: float
    after: float
    calls: int


def perturb(
    read_chunk: ReadChunk,
    hu: NDArray[np.int16],
    threshold: float,
    bound_hu: int,
    calls: int,
    rng: np.random.Generator,
) -> Perturbed:
    """Return a study hu [Z, 512, 512] changed by at most `bound_hu` a voxel, so that its answer turns, if it can.

    A study at or above the threshold loses its score, another gains. The search ends when the answer has turned or the
    network was called `calls` times; it may exceed them by the calls of one try.
    """
    search = _Search(read_chunk, hu)
    before = search.score
    wanted = -1 if before >= threshold else 1
    body = hu > BODY_HU
    mean = ndimage.uniform_filter(hu.astype(np.float32), (0, SURROUNDINGS_PX, SURROUNDINGS_PX))
    contrast = np.sign(hu - mean).astype(np.int16) * (wanted * bound_hu)
    search.attempt(np.where(body, contrast, 0).astype(np.int16), range(len(hu)), wanted)
    first = search.score
    while search.calls < calls and (search.score >= threshold) == (before >= threshold):
        surest = search.surest()
        if surest is None:
            z, box = int(rng.integers(len(hu))), Box(0, 0, MATRIX, MATRIX)
        else:
            z, box = surest.slice_index, surest.box
        planes = range(max(0, z - CONTEXT_SLICES), min(len(hu), z + CONTEXT_SLICES + 1))
        share = LARGEST_SHARE * (1 - search.calls / calls) ** 2
        y, x = _square(box, share, rng)
        delta = search.delta.copy()
        delta[planes.start : planes.stop, y, x] = int(rng.choice([-bound_hu, bound_hu]))
        search.attempt(np.where(body, delta, 0).astype(np.int16), planes, wanted)
    return Perturbed(search.hu + search.delta, before, first, search.score, search.calls)


class _Search:
    """The best change so far, and what the network says of each chunk with it."""

    def __init__(self, read_chunk: ReadChunk, hu: NDArray[np.int16]) -> None:
        self.read_chunk = read_chunk
        self.hu = hu
        self.delta = np.zeros_like(hu)
        self.chunks = chunks(len(hu))
        self.found = [list(read_chunk(hu, number)) for number in range(len(self.chunks))]
        self.calls = len(self.chunks)

    @property
    def score(self) -> float:
        """The study's score."""
        return max(self._scores(self.found))

    def surest(self) -> Detection | None:
        """Return the detection with the highest score, if there is one."""
        every = [one for found in self.found for one in found]
        return max(every, key=lambda one: one.score, default=None)

    def attempt(self, delta: NDArray[np.int16], planes: range, wanted: int) -> None:
        """Keep a change that differs from the kept one on some planes, if it moves the score as wanted.

        Where the highest score is the same, the sum of all chunks' decides: each of them has to give way.
        """
        changed = self.hu + delta
        tried = list(self.found)
        for number, index in enumerate(self.chunks):
            if index[0] < planes.stop and index[-1] >= planes.start:
                tried[number] = list(self.read_chunk(changed, number))
                self.calls += 1
        new, old = self._scores(tried), self._scores(self.found)
        if wanted * max(new) > wanted * max(old) or (max(new) == max(old) and wanted * sum(new) > wanted * sum(old)):
            self.delta, self.found = delta, tried

    @staticmethod
    def _scores(found: Sequence[Sequence[Detection]]) -> list[float]:
        return [max((one.score for one in each), default=0.0) for each in found]


def _square(box: Box, share: float, rng: np.random.Generator) -> tuple[slice, slice]:
    """Return a random square of about a share of the area about a box, inside the slice."""
    low = np.maximum(0, np.array([box.y1, box.x1]) - MARGIN_PX)
    high = np.minimum(MATRIX, np.array([box.y2, box.x2]) + MARGIN_PX)
    side = max(SMALLEST_PX, round(float(np.sqrt(share * np.prod(high - low)))))
    y, x = (int(rng.uniform(first, max(first + 1, last - side))) for first, last in zip(low, high, strict=True))
    return slice(y, min(MATRIX, y + side)), slice(x, min(MATRIX, x + side))
