# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What every runtime requires of an exported detector: it is valid, static, and free of certain operations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import onnx

from appliance.reading import contract

OPSET: Final = 17
"""The opset of every ONNX graph that is exported here."""
# Dynamic or refused by TensorRT or TensorRT-RTX (measured; int16 inputs are refused too, and TopK above 3840).
FORBIDDEN: Final = frozenset({"Loop", "If", "Scan", "NonMaxSuppression", "NonZero", "RoiAlign", "Unique"})
MAX_TOP_K: Final = 3840

DIFFERS: Final = "differs_from_trained"
"""In the metadata of a graph that was exported for figures alone: how it differs. It is not laid out to be served."""


class UnfitModelError(Exception):
    """The model must not be served; the message says why."""


def check(model: onnx.ModelProto) -> None:
    """Raise `UnfitModelError` unless the model is valid, static, on the contract and free of forbidden nodes."""
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise UnfitModelError(f"not a valid ONNX model: {error}") from error
    faults = [*_faults_of_nodes(model), *_faults_of_border(model), *_faults_of_shapes(model)]
    if faults:
        raise UnfitModelError("; ".join(faults))


def _faults_of_nodes(model: onnx.ModelProto) -> Iterator[str]:
    """Yield what is wrong with the model's operations."""
    constants = {initial.name: initial for initial in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type in FORBIDDEN or node.domain not in ("", "ai.onnx"):
            yield f"node {node.name} is a {node.domain or 'standard'} {node.op_type}"
        if node.op_type == "TopK":
            if node.input[1] not in constants:
                yield f"TopK {node.name} takes a computed count"
            elif (count := int(onnx.numpy_helper.to_array(constants[node.input[1]]).item())) > MAX_TOP_K:
                yield f"TopK {node.name} takes the best {count}, more than {MAX_TOP_K}"


def _faults_of_border(model: onnx.ModelProto) -> Iterator[str]:
    """Yield where inputs, outputs or metadata differ from the contract."""
    initial = {tensor.name for tensor in model.graph.initializer}
    inputs = [_border(value) for value in model.graph.input if value.name not in initial]
    if inputs != [(contract.INPUT, "float32", contract.INPUT_SHAPE)]:
        yield f"the inputs are {inputs}"
    outputs = [_border(value) for value in model.graph.output]
    expected = [(output.name, output.dtype.__name__, output.shape) for output in contract.OUTPUTS]
    if outputs != expected:
        yield f"the outputs are {outputs}, the contract's are {expected}"
    said = {prop.key: prop.value for prop in model.metadata_props}
    for key, value in contract.metadata().items():
        if said.get(key) != value:
            yield f"the metadata say {key} = {said.get(key)!r}, the contract {value!r}"


def _border(value: onnx.ValueInfoProto) -> tuple[str, str, tuple[int, ...]]:
    """Return name, dtype and shape of an input or output; a dimension that is not fixed counts as 0."""
    tensor = value.type.tensor_type
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    return value.name, dtype, tuple(dim.dim_value for dim in tensor.shape.dim)


def _faults_of_shapes(model: onnx.ModelProto) -> Iterator[str]:
    """Yield the intermediate tensors whose shape is not fixed."""
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    known = {value.name: value for value in inferred.graph.value_info}
    known |= {value.name: value for value in inferred.graph.output}
    for node in inferred.graph.node:
        for name in filter(None, node.output):
            shape = known[name].type.tensor_type.shape.dim if name in known else None
            if shape is None or not all(dim.HasField("dim_value") for dim in shape):
                yield f"{name}, made by {node.op_type}, has no fixed shape"
