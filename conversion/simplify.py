# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The exported graph without the detours that the exporter leaves in it; its answers stay the same.

tf2onnx turns every layer to Keras's order of axes and back, and writes the nearest-neighbour upsampling of the feature
pyramid as eight reorderings. Runtimes execute them one by one, over the largest maps of the network. These are removed:

- a transposition that undoes the one before it,
- an upsampling by tiles, replaced by `Resize`, nearest neighbour,
- nodes whose output nothing reads any more.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

REORDERING: Final = frozenset({"Unsqueeze", "Squeeze", "Tile", "Transpose", "Reshape"})
"""Operators that move and repeat values and compute none."""
_TWICE: Final = "upsampling/twice"


def simplify(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of a detector that computes the same with fewer nodes; without detours it comes back unchanged."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    graph = made.graph
    _replace_tiled_upsampling(made)
    _cancel_transpositions(graph)
    remove_unread(graph)
    onnx.checker.check_model(made, full_check=True)
    return made


def _shapes(model: onnx.ModelProto) -> dict[str, list[int]]:
    """Return the shapes of the graph's tensors by name."""
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    values = (*inferred.graph.input, *inferred.graph.value_info)
    return {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in values}


def _order(node: onnx.NodeProto) -> list[int]:
    """Return the order of axes that a transposition gives."""
    return next(list(one.ints) for one in node.attribute if one.name == "perm")


def _cancel_transpositions(graph: onnx.GraphProto) -> None:
    """Connect the readers of a transposition that undoes another to the original tensor."""
    maker = {output: node for node in graph.node for output in node.output}
    same: dict[str, str] = {}
    for node in graph.node:
        before = maker.get(node.input[0]) if node.op_type == "Transpose" else None
        if before is not None and before.op_type == "Transpose":
            first, second = _order(before), _order(node)
            if [first[axis] for axis in second] == sorted(second):
                same[node.output[0]] = before.input[0]
    kept = {output.name for output in graph.output}
    for node in graph.node:
        for i, name in enumerate(node.input):
            if name in same and name not in kept:
                node.input[i] = same[name]


def _replace_tiled_upsampling(model: onnx.ModelProto) -> None:
    """Replace the tiles that write the rows and columns of a map [N, C, H, W] twice by `Resize`."""
    graph, shapes = model.graph, _shapes(model)
    maker = {output: node for node in graph.node for output in node.output}
    constants = {one.name: one for one in graph.initializer}
    nodes = list(graph.node)
    for i, node in enumerate(nodes):
        chain = _reorderings(node, maker)
        if sum(one.op_type == "Tile" for one in chain) != 2:
            continue
        source = chain[0].input[0]
        if _writes_twice(chain, constants, model.opset_import, shapes.get(source, [])):
            nodes[i] = helper.make_node(
                "Resize",
                [source, "", _TWICE],
                node.output,
                name=f"{node.output[0]}/upsampling",
                mode="nearest",
                coordinate_transformation_mode="asymmetric",
                nearest_mode="floor",
            )
            maker[node.output[0]] = nodes[i]
    del graph.node[:]
    graph.node.extend(nodes)
    if _TWICE not in constants:
        graph.initializer.append(numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), _TWICE))


def _reorderings(node: onnx.NodeProto, maker: Mapping[str, onnx.NodeProto]) -> list[onnx.NodeProto]:
    """Return the reorderings that end in a node, the first one first."""
    chain: list[onnx.NodeProto] = []
    before: onnx.NodeProto | None = node
    while before is not None and before.op_type in REORDERING:
        chain.insert(0, before)
        before = maker.get(before.input[0])
    return chain


def _writes_twice(
    chain: Sequence[onnx.NodeProto],
    constants: Mapping[str, onnx.TensorProto],
    opsets: Iterable[onnx.OperatorSetIdProto],
    shape: Sequence[int],
) -> bool:
    """Return whether reorderings of a map [N, C, H, W] write every row and column twice, by running them."""
    wanted = {name for node in chain for name in node.input[1:]}
    if len(shape) != 4 or not wanted <= set(constants):
        return False
    taken, given = (
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        for name in (chain[0].input[0], chain[-1].output[0])
    )
    part = helper.make_graph(chain, "part", [taken], [given], [constants[name] for name in sorted(wanted)])
    values = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    (found,) = ReferenceEvaluator(helper.make_model(part, opset_imports=opsets)).run(None, {taken.name: values})
    return np.array_equal(found, values.repeat(2, axis=2).repeat(2, axis=3))


def remove_unread(graph: onnx.GraphProto) -> None:
    """Remove nodes and constants that lead to no output."""
    readers: dict[str, int] = defaultdict(int)
    for name in (*(output.name for output in graph.output), *(name for node in graph.node for name in node.input)):
        readers[name] += 1
    kept: list[onnx.NodeProto] = []
    for node in reversed(graph.node):
        if any(readers[output] for output in node.output):
            kept.append(node)
        else:
            for name in node.input:
                readers[name] -= 1
    del graph.node[:]
    graph.node.extend(reversed(kept))
    used = {name for node in kept for name in node.input} | {output.name for output in graph.output}
    constants = [one for one in graph.initializer if one.name in used]
    del graph.initializer[:]
    graph.initializer.extend(constants)
    del graph.value_info[:]
