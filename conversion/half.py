# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The detector in half precision: a strongly typed ONNX graph whose convolutions are FP16 and whose boxes stay FP32.

TensorRT 11 and TensorRT-RTX use the types in the graph; the builder has no flag any more. Half precision holds a pixel
coordinate of a 512 px slice to a quarter of a pixel at best, and a suppression compares overlaps that differ by less;
so only features are halved. A node belongs to the features if one of these holds:

- it multiplies by weights (`WEIGHTED`), or
- it carries features (`CARRYING`): it is between two such nodes, with only carrying nodes on either side.

Decoded boxes and the coordinates of RoIs come through exponentials, limits and floors, which carry nothing, so they
stay in full precision, as do softmax, sigmoid and every comparison. The matrix products of the suppression are halved
too: they count up to 256 ones, which half precision does exactly, and Turing GPUs have no FP32 product.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WEIGHTED: Final = frozenset({"Conv", "ConvTranspose", "Gemm"})
CARRYING: Final = frozenset(
    {"Relu", "Add", "Mul", "Concat", "Slice", "Reshape", "Transpose", "Tile", "Gather", "MaxPool", "GlobalMaxPool"}
    | {"Unsqueeze", "Squeeze", "Resize"}
)
COUNTING: Final = frozenset({"MatMul"})
FIRST_INPUT_ONLY: Final = frozenset({"Gather", "Slice", "Reshape", "Tile", "Unsqueeze", "Squeeze", "Resize"})
"""Operators whose further inputs are shapes and indices, not features."""


def halve(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of a detector with features in FP16; its inputs, outputs and metadata are those of the original.

    Raises
    ------
    ValueError
        If a weight is too large for half precision.
    """
    made = onnx.ModelProto()
    made.CopyFrom(model)
    graph = made.graph
    chosen = feature_nodes(graph.node)
    graph.CopyFrom(_retype(graph, chosen))
    made = onnx.shape_inference.infer_shapes(made, strict_mode=True)
    onnx.checker.check_model(made, full_check=True)
    return made


def feature_nodes(nodes: Iterable[onnx.NodeProto]) -> set[str]:
    """Return the names of the nodes to compute in half precision; `nodes` are in topological order."""
    nodes = list(nodes)
    maker = {output: node for node in nodes for output in node.output}
    users: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in nodes:
        for name in features(node):
            users[name].append(node)

    after: set[str] = set()
    for node in nodes:
        sources = [maker[name] for name in features(node) if name in maker]
        if node.op_type in CARRYING and any(one.op_type in WEIGHTED or one.name in after for one in sources):
            after.add(node.name)
    before: set[str] = set()
    for node in reversed(nodes):
        takers = [one for name in node.output for one in users[name]]
        if node.op_type in CARRYING and any(one.op_type in WEIGHTED or one.name in before for one in takers):
            before.add(node.name)
    return (after & before) | {node.name for node in nodes if node.op_type in WEIGHTED | COUNTING}


def features(node: onnx.NodeProto) -> list[str]:
    """Return the names of a node's inputs that are features or weights."""
    return [name for name in node.input if name][: 1 if node.op_type in FIRST_INPUT_ONLY else None]


def _retype(graph: onnx.GraphProto, chosen: set[str]) -> onnx.GraphProto:
    """Return the graph with the `chosen` nodes in half precision, and casts where tensors cross the border."""
    weights = {one.name: one for one in graph.initializer if one.data_type == TensorProto.FLOAT}
    half_made = {output for node in graph.node if node.name in chosen for output in node.output}
    nodes: list[onnx.NodeProto] = []
    cast: dict[str, str] = {}
    copies: dict[str, onnx.TensorProto] = {}

    def cast_name(name: str, to: int) -> str:
        """Return the name of a tensor in the other precision, and make sure that it is computed."""
        if name not in cast:
            cast[name] = f"{name}/{TensorProto.DataType.Name(to).lower()}"
            if name in weights:
                copies[cast[name]] = _half_weight(weights[name], cast[name])
            else:
                nodes.append(helper.make_node("Cast", [name], [cast[name]], name=cast[name], to=to))
        return cast[name]

    for original in graph.node:
        node = onnx.NodeProto()
        node.CopyFrom(original)
        halves = node.name in chosen
        taken = set(features(node)) if halves else set(node.input)
        for i, name in enumerate(node.input):
            if name in taken and (name in half_made) != halves:
                node.input[i] = cast_name(name, TensorProto.FLOAT16 if halves else TensorProto.FLOAT)
        nodes.append(node)
    outputs = {output.name for output in graph.output} & half_made
    if outputs:
        raise ValueError(f"{', '.join(sorted(outputs))} would leave the graph in half precision")

    used = {name for node in nodes for name in node.input}
    kept = [one for one in (*graph.initializer, *copies.values()) if one.name in used]
    return helper.make_graph(nodes, graph.name, graph.input, graph.output, kept, doc_string=graph.doc_string)


def _half_weight(weight: onnx.TensorProto, name: str) -> onnx.TensorProto:
    """Return a weight in half precision under another name."""
    values = numpy_helper.to_array(weight)
    if not np.abs(values).max(initial=0.0) < np.finfo(np.float16).max:
        raise ValueError(f"{weight.name} holds {np.abs(values).max():g}, which half precision cannot")
    return numpy_helper.from_array(values.astype(np.float16), name)
