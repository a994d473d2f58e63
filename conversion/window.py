# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The detector with another number of target slices a call than the contract's; nothing serves it.

With one slice it reads as the paper's network does, which shared features are measured against (`benchmarks.peers`).
With several it says how many a call should read (`benchmarks.chunks`).
"""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import onnx

from appliance.reading import contract
from conversion.export import onnx_model
from training.network import detections
from training.network.detector import Detector


def window_model(detector: Detector, slices: int = 1) -> onnx.ModelProto:
    """Return the detector as an ONNX model that takes `slices` slices with their neighbours and answers for these.

    Its lists hold these slices' share of a chunk's, so that a slice costs as many masks as in a chunk.
    """
    share: dict[str, Any] = {
        "MAX_DETECTIONS": contract.MAX_DETECTIONS * slices // contract.CHUNK_SLICES,
        "MAX_DISMISSED": contract.MAX_DISMISSED * slices // contract.CHUNK_SLICES,
    }
    said = contract.metadata() | {"chunk_slices": str(slices)}
    with patch.multiple(detections, **share):
        return onnx_model(detector, said, input_slices=slices + 2 * contract.CONTEXT_SLICES)
