# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A small series classifier on the contract, for tests that need a real Triton but no training.

The brightest channel of the thumbnails decides: the first channel means the first class, and so on.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from appliance.reading import series
from conversion.series_classifier import lay_out


def onnx_model() -> onnx.ModelProto:
    """Return the classifier."""
    weights = np.zeros((len(series.CHANNELS), len(series.CLASSES)), np.float32)
    np.fill_diagonal(weights, 0.1)
    graph = helper.make_graph(
        [
            helper.make_node("Cast", [series.INPUT], ["float"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["float"], ["means"], axes=[1, 2, 3], keepdims=0),
            helper.make_node("MatMul", ["means", "weights"], ["sums"]),
            helper.make_node("Softmax", ["sums"], [series.OUTPUT], axis=1),
        ],
        series.CLASSIFIER,
        [helper.make_tensor_value_info(series.INPUT, TensorProto.UINT8, ["n", *series.INPUT_SHAPE])],
        [helper.make_tensor_value_info(series.OUTPUT, TensorProto.FLOAT, ["n", len(series.CLASSES)])],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    helper.set_model_props(model, series.metadata() | {"model_version": "bright-1"})
    return model


def add_to_repository(folder: Path) -> Path:
    """Lay the classifier out in the model repository `folder` and return its folder there."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder.parent / "bright.onnx"
    onnx.save(onnx_model(), str(path))
    return lay_out(path, folder)


def thumbnails(*classes: series.SeriesClass) -> NDArray[np.uint8]:
    """Return thumbnails that it takes for these classes."""
    shown = np.zeros((len(classes), *series.INPUT_SHAPE), np.uint8)
    for one, series_class in zip(shown, classes, strict=True):
        one[..., series.CLASSES.index(series_class)] = 200
    return shown
