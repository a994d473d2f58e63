# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The detector with its convolutions in eight bits: explicit QuantizeLinear and DequantizeLinear nodes in the graph.

The layers that cost most and matter least to the answer are quantised (`EIGHT_BITS`): the two convolutions on the
finest map of the feature pyramid and the mask head, nearly half of the work. The backbone keeps full precision: in 8
bits its first stage alone moved the scores of calibration studies by a median of 0.1 of a logit, and the network as a
whole failed the precision gate. The last layers of every head, softmax, box decoding, suppression and the coordinates
of RoIs keep full precision too: quantised, scores saturate.

Weights are symmetric, with a scale for each output channel, and use 7 of the 8 bits: a CPU without VNNI adds two
products of bytes in 16 bits, which 8-bit weights overflow. So every CPU computes the same. Features that cannot be
negative take 0 to 255, others -127 to 127. A feature is quantised where it is computed and not where it is read, so
that slicing, concatenating and upsampling move bytes, and so do skip connections.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from appliance.reading import contract
from conversion.half import CARRYING, WEIGHTED, features
from conversion.simplify import remove_unread

EIGHT_BITS: Final = re.compile(r"feature_pyramid_\d+/smoothing0|rpn_\d+/shared_1/|mask_head_")
"""Names of the layers to quantise, if they read features and another product with weights reads theirs."""
MOVING: Final = frozenset({"Slice", "Concat", "Resize"})
"""Operators that move features without changing them, which they can do on bytes."""
WEIGHT_STEPS: Final = 63
FEATURE_STEPS: Final = {False: 255, True: 127}
"""The largest step of features that cannot be negative, and of others."""
SAMPLES: Final = 20_000
"""Values that are kept of a feature and a chunk."""
_CLIPS: Final = np.geomspace(0.2, 1.0, 33)
_LEAST: Final = 1e-12

Limits = dict[str, tuple[float, bool]]
"""For each tensor to quantise the value of its largest step, and whether it can be negative."""


def chosen_nodes(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Return the nodes to quantise: products with constant weights of `EIGHT_BITS`, except the heads' last ones."""
    constant = {one.name for one in graph.initializer}
    readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in graph.node:
        for name in features(node):
            readers[name].append(node)
    followed: set[str] = set()  # nodes behind which, among features, another product with weights comes
    for node in reversed(graph.node):
        for reader in (one for name in node.output for one in readers[name]):
            through = reader.op_type in CARRYING and reader.name in followed
            if (reader.op_type in WEIGHTED and reader.input[1] in constant) or through:
                followed.add(node.name)
    behind: set[str] = set()  # tensors that a product with weights lies before
    chosen = []
    for node in graph.node:
        products = node.op_type in WEIGHTED and len(node.input) > 1 and node.input[1] in constant
        before = any(name in behind for name in features(node))
        if products and before and node.name in followed and EIGHT_BITS.match(node.name):
            chosen.append(node)
        if products or before:
            behind.update(node.output)
    return chosen


def sources(graph: onnx.GraphProto) -> dict[str, str]:
    """Return for each chosen node's name the tensor to quantise for it: its input, or what that is moved from."""
    maker = {output: node for node in graph.node for output in node.output}
    return {node.name: moved_from(node.input[0], maker) for node in chosen_nodes(graph)}


def moved_from(name: str, maker: Mapping[str, onnx.NodeProto]) -> str:
    """Return the tensor that another one is moved from; itself where nothing was moved, or two were joined."""
    node = maker.get(name)
    if node is None or node.op_type not in MOVING:
        return name
    inputs = {moved_from(one, maker) for one in features(node)}
    return inputs.pop() if len(inputs) == 1 else name


def calibrate(model: onnx.ModelProto, chunks: Iterable[NDArray[np.float32]]) -> Limits:
    """Return for each tensor to quantise the value of its largest step and whether it can be negative.

    The value minimises the mean square error of quantising the chunks.

    Parameters
    ----------
    chunks: hu float32 [20, 512, 512] of simulated studies.
    """
    names = sorted(set(sources(model.graph).values()))
    seeing = onnx.ModelProto()
    seeing.CopyFrom(model)
    del seeing.graph.output[:]
    seeing.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    session = onnxruntime.InferenceSession(seeing.SerializeToString(), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    kept: dict[str, list[NDArray[np.float32]]] = {name: [] for name in names}
    for hu in chunks:
        for name, values in zip(names, session.run(names, {contract.INPUT: hu}), strict=True):
            flat = values.ravel()
            kept[name].append(flat[rng.integers(0, flat.size, min(flat.size, SAMPLES))])
            kept[name].append(np.array([flat.min(), flat.max()], np.float32))
    if not all(kept.values()):
        raise ValueError("calibration takes at least one chunk")
    return {name: _least_error(np.concatenate(values)) for name, values in kept.items()}


def _least_error(values: NDArray[np.float32]) -> tuple[float, bool]:
    """Return the largest step's value with the least loss for `values`, and whether any is negative."""
    negative = bool(values.min() < 0)
    steps, most = FEATURE_STEPS[negative], float(np.abs(values).max()) or 1.0

    def lost(limit: float) -> float:
        scale = limit / steps
        back = np.clip(np.rint(values / scale), -steps if negative else 0, steps) * scale
        return float(np.square(values - back, dtype=np.float64).mean())

    return min((most * clip for clip in _CLIPS), key=lost), negative


def quantise(model: onnx.ModelProto, limits: Limits) -> onnx.ModelProto:
    """Return a copy of a detector with 8-bit products, by the result of `calibrate`; inputs, outputs and metadata stay.

    Raises
    ------
    ValueError
        If `limits` lack a tensor: they are of another model.
    """
    made = onnx.ModelProto()
    made.CopyFrom(model)
    graph = made.graph
    wanted = sources(graph)
    missing = sorted(set(wanted.values()) - set(limits))
    if missing:
        raise ValueError(f"the limits are of another model: {', '.join(missing)} missing")
    bytes_of = _Bytes(graph, limits)
    for original in list(graph.node):
        node = onnx.NodeProto()
        node.CopyFrom(original)
        if node.name in wanted:
            node.input[0] = bytes_of.feature(node.input[0], wanted[node.name])
            node.input[1] = bytes_of.weight(node)
        elif node.op_type == "Add":
            for i, name in enumerate(node.input):
                source = bytes_of.source(name)
                if source in wanted.values():
                    node.input[i] = bytes_of.feature(name, source)
        bytes_of.nodes.append(node)
    del graph.node[:]
    graph.node.extend(bytes_of.nodes)
    graph.initializer.extend(bytes_of.constants)
    remove_unread(graph)
    onnx.checker.check_model(made, full_check=True)
    return made


class _Bytes:
    """Nodes that turn a graph's tensors into bytes, move them, and turn them back; each is made once."""

    def __init__(self, graph: onnx.GraphProto, limits: Limits) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._limits = limits
        self._weights = {one.name: one for one in graph.initializer}
        self._maker = {output: node for node in graph.node for output in node.output}
        self._made: set[str] = set()

    def source(self, name: str) -> str:
        """Return the tensor that another one is moved from; itself where nothing was moved, or two were joined."""
        return moved_from(name, self._maker)

    def feature(self, name: str, source: str) -> str:
        """Return the name of a feature as it comes back from bytes; `source` is what it is moved from."""
        out = f"{name}/back"
        if out not in self._made:
            moved = self._moved(name, source)
            self._add("DequantizeLinear", [moved, *self._scale(source)], out)
        return out

    def weight(self, node: onnx.NodeProto) -> str:
        """Return the name of a node's weights as they come back from bytes."""
        values = numpy_helper.to_array(self._weights[node.input[1]])
        axis = _output_axis(node)
        shape = [-1 if i == axis else 1 for i in range(values.ndim)]
        others = tuple(i for i in range(values.ndim) if i != axis)
        scale = np.maximum(np.abs(values).max(axis=others), _LEAST).astype(np.float32) / WEIGHT_STEPS
        steps = np.clip(np.rint(values / scale.reshape(shape)), -WEIGHT_STEPS, WEIGHT_STEPS).astype(np.int8)
        name = f"{node.name}/weights"
        inputs = [
            self._constant(f"{name}/bytes", steps),
            self._constant(f"{name}/scale", scale),
            self._constant(f"{name}/zero", np.zeros(scale.shape, np.int8)),
        ]
        self._add("DequantizeLinear", inputs, f"{name}/back", axis=axis)
        return f"{name}/back"

    def _moved(self, name: str, source: str) -> str:
        """Return the name of a tensor's bytes."""
        out = f"{name}/bytes"
        if out in self._made:
            return out
        if name == source:
            self._add("QuantizeLinear", [name, *self._scale(source)], out)
            return out
        moving = onnx.NodeProto()
        moving.CopyFrom(self._maker[name])
        taken = set(features(moving))
        for i, one in enumerate(moving.input):
            if one in taken:
                moving.input[i] = self._moved(one, source)
        moving.name = moving.output[0] = out
        self.nodes.append(moving)
        self._made.add(out)
        return out

    def _scale(self, source: str) -> tuple[str, str]:
        """Return the names of a source's scale and zero."""
        limit, negative = self._limits[source]
        return (
            self._constant(f"{source}/scale", np.array(limit / FEATURE_STEPS[negative], np.float32)),
            self._constant(f"{source}/zero", np.zeros((), np.int8 if negative else np.uint8)),
        )

    def _constant(self, name: str, value: NDArray[np.generic]) -> str:
        if name not in self._made:
            self._made.add(name)
            self.constants.append(numpy_helper.from_array(value, name))
        return name

    def _add(self, op: str, inputs: list[str], output: str, **attributes: Any) -> None:
        self._made.add(output)
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))


def _output_axis(node: onnx.NodeProto) -> int:
    """Return the axis of the output channels in a node's weights."""
    transposed = any(one.name == "transB" and one.i for one in node.attribute)
    return 0 if node.op_type == "Conv" or (node.op_type == "Gemm" and transposed) else 1
