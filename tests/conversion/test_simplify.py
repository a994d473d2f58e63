# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Graphs as the exporter writes them, and what is left of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from appliance.reading import contract
from conversion.simplify import simplify

SHIPPED = Path(__file__).parents[2] / "model_repository" / contract.DETECTOR / "1" / "model.onnx"


def graph(nodes: list[onnx.NodeProto], shape: list[int], *constants: onnx.TensorProto) -> onnx.ModelProto:
    """A model from x [N, C, H, W] to y."""
    made = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3, 4, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        constants,
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


def constant(name: str, values: list[int]) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(values, np.int64), name)


def tiled_upsampling(rows: int = 2, axis: int = 3) -> onnx.ModelProto:
    """Rows and columns written twice, in Keras's order of axes, as tf2onnx writes `repeat`."""
    return graph(
        [
            helper.make_node("Unsqueeze", ["x", "axis"], ["a"], name="a"),
            helper.make_node("Tile", ["a", "over rows"], ["b"], name="b"),
            helper.make_node("Transpose", ["b"], ["c"], name="c", perm=[0, 2, 3, 4, 1]),
            helper.make_node("Reshape", ["c", "rows"], ["d"], name="d"),
            helper.make_node("Unsqueeze", ["d", "three"], ["e"], name="e"),
            helper.make_node("Tile", ["e", "over columns"], ["f"], name="f"),
            helper.make_node("Reshape", ["f", "columns"], ["g"], name="g"),
            helper.make_node("Transpose", ["g"], ["h"], name="h", perm=[0, 3, 1, 2]),
            helper.make_node("Relu", ["h"], ["y"], name="y"),
        ],
        [2, 3, 4 * rows, 12],
        constant("axis", [axis]),
        constant("three", [3]),
        constant("over rows", [rows if i == axis else 1 for i in range(5)]),
        constant("over columns", [1, 1, 1, 2, 1]),
        constant("rows", [2, 4 * rows, 6, 3]),
        constant("columns", [2, 4 * rows, 12, 3]),
    )


def answer(model: onnx.ModelProto) -> np.ndarray:
    x = np.random.default_rng(1).normal(size=(2, 3, 4, 6)).astype(np.float32)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x})[0])


def test_rows_and_columns_that_are_tiled_twice_are_resized_to_the_same_numbers() -> None:
    model = tiled_upsampling()
    made = simplify(model)
    assert [node.op_type for node in made.graph.node] == ["Resize", "Relu"]
    assert {one.name for one in made.graph.initializer} == {"upsampling/twice"}
    np.testing.assert_array_equal(answer(made), answer(model))


@pytest.mark.parametrize("other", [{"rows": 3}, {"axis": 2}])  # three times; the whole map twice, and not each row
def test_tiles_that_do_something_else_stay(other: dict[str, int]) -> None:
    model = tiled_upsampling(**other)
    made = simplify(model)
    assert [node.op_type for node in made.graph.node] == [node.op_type for node in model.graph.node]


@pytest.mark.parametrize(("second", "left"), [([0, 3, 1, 2], ["Relu", "Transpose"]), ([0, 2, 3, 1], None)])
def test_a_transposition_goes_where_it_undoes_the_one_before_it(second: list[int], left: list[str] | None) -> None:
    model = graph(
        [
            helper.make_node("Transpose", ["x"], ["rows first"], name="one", perm=[0, 2, 3, 1]),
            helper.make_node("Transpose", ["rows first"], ["back"], name="two", perm=second),
            helper.make_node("Relu", ["back"], ["positive"], name="three"),
            helper.make_node("Transpose", ["positive"], ["y"], name="four", perm=[0, 1, 3, 2]),
        ],
        [2, 3, 6, 4] if left else [2, 6, 4, 3],
    )
    made = simplify(model)
    assert [node.op_type for node in made.graph.node] == (left or ["Transpose", "Transpose", "Relu", "Transpose"])
    np.testing.assert_array_equal(answer(made), answer(model))


def test_the_shipped_detector_has_no_detours_left() -> None:
    shipped = onnx.load(str(SHIPPED))
    assert [node.name for node in simplify(shipped).graph.node] == [node.name for node in shipped.graph.node]
