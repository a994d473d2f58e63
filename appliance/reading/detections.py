# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""From a detector's output tensors to detections and dismissed proposals, counted on the slices of the study."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.reading.contract import CHUNK_SLICES, CONTEXT_SLICES, TYPES, HemorrhageType, chunks

Outputs = Mapping[str, NDArray[Any]]
"""A detector's answer to one chunk: the tensors of `contract.OUTPUTS` by name."""
Run = Callable[[NDArray[np.float32]], Outputs]
"""One call of a detector: hu float32 [20, 512, 512] to its outputs."""


@dataclass(frozen=True)
class Box:
    """A box on the contract's 512 x 512 grid, in pixels; edges, y2 and x2 exclusive."""

    y1: float
    x1: float
    y2: float
    x2: float


@dataclass(frozen=True, eq=False)
class Detection:
    """One detection on one slice; equal only to itself.

    `scores` are the softmax scores in the order of `contract.TYPES`; `mask` is the probability of blood of the best
    type on a regular [m, m] grid of cells filling the box.
    """

    slice_index: int
    box: Box
    scores: tuple[float, float, float]
    mask: NDArray[np.float32]

    @property
    def score(self) -> float:
        """The highest class score."""
        return max(self.scores)

    @property
    def type(self) -> HemorrhageType:
        """The type with the highest score."""
        return TYPES[self.scores.index(self.score)]


@dataclass(frozen=True)
class DismissedProposal:
    """A proposal that the network looked at and did not take for hemorrhage: shown to the reader too."""

    slice_index: int
    box: Box
    scores: tuple[float, float, float]


def study_detections(run: Run, hu: NDArray[np.int16]) -> list[Detection]:
    """Return the detections of a study hu [Z, 512, 512] in the contract's orientation, by `run`, chunk by chunk."""
    found: list[Detection] = []
    for number, index in enumerate(chunks(len(hu))):
        found += chunk_detections(run(hu[index].astype(np.float32)), number, len(hu))
    return found


def chunk_detections(outputs: Outputs, number: int, slices: int) -> Iterator[Detection]:
    """Yield the detections of chunk `number` of a study of `slices` slices, only those on the slices it answers for.

    Nothing of `outputs` is kept, so their memory may be reused.
    """
    for i, slice_index in _numbered_slots(outputs, "detection", number, slices):
        mask = np.array(outputs["detection_mask"][i], np.float32)
        yield Detection(slice_index, _box(outputs["detection_box"][i]), _scores(outputs["detection_score"][i]), mask)


def chunk_dismissed(outputs: Outputs, number: int, slices: int) -> Iterator[DismissedProposal]:
    """Yield the dismissed proposals of chunk `number` of a study, as `chunk_detections` yields detections."""
    for i, slice_index in _numbered_slots(outputs, "dismissed", number, slices):
        yield DismissedProposal(slice_index, _box(outputs["dismissed_box"][i]), _scores(outputs["dismissed_score"][i]))


def _numbered_slots(outputs: Outputs, kind: str, number: int, slices: int) -> Iterator[tuple[int, int]]:
    """Yield row and slice of the study for each entry of a chunk's list on the slices it answers for (see `chunks`)."""
    first = int(chunks(slices)[number][CONTEXT_SLICES])
    for i in range(int(outputs[f"{kind}_count"][0])):
        slice_index = first + int(outputs[f"{kind}_slice"][i])
        if number * CHUNK_SLICES <= slice_index < slices:
            yield i, slice_index


def _box(row: NDArray[Any]) -> Box:
    return Box(*map(float, row))


def _scores(row: NDArray[Any]) -> tuple[float, float, float]:
    iph, edh_sdh, sah = (float(score) for score in row)
    return iph, edh_sdh, sah
