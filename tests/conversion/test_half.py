# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The shipped detector in half precision: what is halved, and that it still answers as it did."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from appliance.reading import contract
from appliance.reading.golden import golden_chunk
from conversion.checks import check
from conversion.engine_run import compare, onnx_run
from conversion.half import COUNTING, WEIGHTED, feature_nodes, halve
from conversion.tensorrt_build import EngineError

SHIPPED = Path(__file__).parents[2] / "model_repository" / contract.DETECTOR / "1" / "model.onnx"


@pytest.fixture(scope="module")
def exported() -> onnx.ModelProto:
    return onnx.load(str(SHIPPED))


@pytest.fixture(scope="module")
def half(exported: onnx.ModelProto) -> onnx.ModelProto:
    return halve(exported)


def types(model: onnx.ModelProto) -> dict[str, int]:
    inferred = onnx.shape_inference.infer_shapes(model)
    known = {one.name: one.type.tensor_type.elem_type for one in (*inferred.graph.value_info, *inferred.graph.output)}
    return known | {one.name: one.data_type for one in inferred.graph.initializer}


def test_it_is_on_the_contract_and_carries_the_same_metadata(exported: onnx.ModelProto, half: onnx.ModelProto) -> None:
    check(half)
    assert list(half.metadata_props) == list(exported.metadata_props)


def test_every_product_with_weights_is_half_and_every_decoded_box_is_not(half: onnx.ModelProto) -> None:
    known = types(half)
    for node in half.graph.node:
        expected = TensorProto.FLOAT16 if node.op_type in WEIGHTED | COUNTING else None
        if expected:
            assert {known[name] for name in (*node.input, *node.output) if name in known} == {expected}, node.name
        if node.op_type in ("Exp", "Softmax", "Sigmoid", "Greater", "GreaterOrEqual", "Less", "Floor", "TopK"):
            assert TensorProto.FLOAT16 not in {known.get(name) for name in node.input}, node.name


def test_kernels_take_half_the_room(exported: onnx.ModelProto, half: onnx.ModelProto) -> None:
    def kernels(model: onnx.ModelProto) -> int:
        weights = {one.name: one for one in model.graph.initializer}
        used = {node.input[1] for node in model.graph.node if node.op_type in WEIGHTED}
        return sum(numpy_helper.to_array(weights[name]).nbytes for name in used)

    assert 2 * kernels(half) == kernels(exported)


def test_it_answers_as_the_exported_detector_does(half: onnx.ModelProto) -> None:
    figures = compare(onnx_run(half.SerializeToString()), onnx_run(SHIPPED.read_bytes()))
    assert figures["chunks"] == 3
    assert 0 < figures["scores_apart"] < 0.1  # as far as the golden answer lets a score lie


def test_an_engine_that_answers_differently_is_told_by_the_chunk_and_the_detection() -> None:
    shipped = onnx_run(SHIPPED.read_bytes())

    def move(hu: np.ndarray) -> dict[str, np.ndarray]:
        outputs = dict(shipped(hu))
        return outputs | {"detection_box": np.clip(outputs["detection_box"] + 60, 0, 512).astype(np.float32)}

    with pytest.raises(EngineError, match=r"golden chunk: the .* detection .* did not come back"):
        compare(move, shipped)


def test_a_chunk_of_values_that_no_scanner_gives_does_not_spoil_the_answer(half: onnx.ModelProto) -> None:
    hu = golden_chunk().astype(np.float32)
    hu[3, 10, :4] = [np.nan, np.inf, -np.inf, 1e38]
    outputs = onnx_run(half.SerializeToString())(hu)
    assert contract.output_fault(outputs) is None


def test_features_are_what_lies_between_products_with_weights() -> None:
    def node(op: str, inputs: str, output: str) -> onnx.NodeProto:
        return helper.make_node(op, inputs.split(), [output], name=output)

    nodes = [
        node("Conv", "x w", "a"),
        node("Relu", "a", "b"),
        node("Mul", "b", "boxes"),  # leads to a limit: a box
        node("Min", "boxes most", "clipped"),
        node("Gather", "b rows", "read"),
        node("Mul", "read clipped", "weighed"),
        node("Conv", "weighed v", "logits"),
        node("Softmax", "logits", "scores"),
    ]
    assert feature_nodes(nodes) == {"a", "b", "read", "weighed", "logits"}


def test_a_weight_that_half_precision_cannot_hold_is_refused(exported: onnx.ModelProto) -> None:
    spoilt = onnx.ModelProto()
    spoilt.CopyFrom(exported)
    name = next(node.input[1] for node in spoilt.graph.node if node.op_type == "Conv")
    for one in spoilt.graph.initializer:
        if one.name == name:
            values = numpy_helper.to_array(one).copy()
            values.flat[0] = 1e6
            one.CopyFrom(numpy_helper.from_array(values, name))
    with pytest.raises(ValueError, match="which half precision cannot"):
        halve(spoilt)
