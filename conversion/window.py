# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The detector for one slice a call, as the paper's network reads: what shared features are measured against.

It is for `benchmarks.peers`; nothing serves it.
"""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import onnx

from appliance.reading import contract
from conversion.export import onnx_model
from training.network import detections
from training.network.detector import Detector


def window_model(detector: Detector) -> onnx.ModelProto:
    """Return the detector as an ONNX model that takes a slice with its neighbours and answers for the slice alone.

    Its lists hold a slice's share of a chunk's, so that a slice costs as many masks as in a chunk.
    """
    share: dict[str, Any] = {
        "MAX_DETECTIONS": contract.MAX_DETECTIONS // contract.CHUNK_SLICES,
        "MAX_DISMISSED": contract.MAX_DISMISSED // contract.CHUNK_SLICES,
    }
    with patch.multiple(detections, **share):
        return onnx_model(detector, {}, input_slices=contract.SLAB_SLICES)
