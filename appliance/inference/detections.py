# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What the served detector says of a volume, and which model it was."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.reading.detections import Detection, DismissedProposal


@dataclass(frozen=True)
class ModelIdentity:
    """Which model answered: its name, version and the sha256 of its ONNX file."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True)
class Reading:
    """Everything the detector says of one volume, slice indices counted on the volume's Z.

    `suggested_threshold` is the class score that the conversion suggests as threshold for this model.
    """

    detections: tuple[Detection, ...]
    dismissed: tuple[DismissedProposal, ...]
    model: ModelIdentity
    suggested_threshold: float
