# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A detector's inference graph as one static ONNX file that states its contract and its origin.

tf2onnx writes a file even if it logs that an operation is not supported, so nothing here trusts it: the file is checked
(`checks`) and compared with TensorFlow (`parity`) before it counts as exported.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import onnx
import tensorflow as tf
import tf2onnx

from appliance.reading import contract
from conversion.checks import OPSET
from conversion.simplify import simplify
from training.network.detector import Detector
from training.network.variants import VARIANTS

PRODUCER: Final = "hemorrhage appliance, conversion"


def load_detector(variant: str, weights: Path) -> Detector:
    """Return the detector of a variant with the weights of a `.weights.h5` file."""
    detector = Detector(VARIANTS[variant])
    detector.build()
    detector.load_weights(weights)
    return detector


def onnx_model(
    detector: Detector, metadata: Mapping[str, str], input_slices: int = contract.CHUNK_INPUT_SLICES
) -> onnx.ModelProto:
    """Return the detector as an ONNX model with the contract's input and outputs, in the contract's order.

    What is served reads the contract's chunks; another number of input slices is for benchmarks.
    """
    hu = tf.TensorSpec((input_slices, *contract.INPUT_SHAPE[1:]), tf.float32, name=contract.INPUT)
    model, _ = tf2onnx.convert.from_function(
        tf.function(detector.call, autograph=False), input_signature=[hu], opset=OPSET
    )
    outputs = {output.name: output for output in model.graph.output}
    del model.graph.output[:]
    model.graph.output.extend(outputs[output.name] for output in contract.OUTPUTS)
    model.graph.name = contract.DETECTOR
    model.producer_name, model.producer_version = PRODUCER, ""
    onnx.helper.set_model_props(model, dict(metadata))
    return simplify(model)


def model_metadata(variant: str, weights: Path, version: int, origin: Mapping[str, Any]) -> dict[str, str]:
    """Return everything the exported model says of itself: the contract, its name and version, and its origin."""
    return contract.metadata() | {
        "model_name": contract.DETECTOR,
        "model_version": str(version),
        "variant": variant,
        "weights_sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "suggested_threshold": repr(float(origin["suggested_threshold"])),
        "provenance": json.dumps(origin, sort_keys=True),
        "use": "research use, trained on simulated scans; not a medical device",
    }
