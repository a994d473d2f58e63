# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What the detector says of a volume: detections, the proposals it looked at and dismissed, and which model spoke."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.reading.contract import TYPES, HemorrhageType


@dataclass(frozen=True)
class Box:
    """A box on the contract's 512 x 512 grid, in pixels; edges, y2 and x2 exclusive."""

    y1: float
    x1: float
    y2: float
    x2: float


@dataclass(frozen=True, eq=False)
class Detection:
    """One detection on one slice, equal to itself alone.

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


@dataclass(frozen=True)
class ModelIdentity:
    """Which model answered: its name, version and the sha256 of its ONNX file."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True)
class Reading:
    """Everything the detector says of one volume, slice indices counted on the volume's Z.

    `suggested_threshold` is the class score that the conversion suggests as threshold for the model that spoke.
    """

    detections: tuple[Detection, ...]
    dismissed: tuple[DismissedProposal, ...]
    model: ModelIdentity
    suggested_threshold: float
