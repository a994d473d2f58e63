# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The operations of networks and the ways of reading a study, on small networks that really run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from appliance.reading import contract
from benchmarks import peers


def network(path: Path, operation: str, weights: Sequence[int], given: Sequence[int], **attributes: Any) -> Path:
    """Write a network of one operation with weights of a shape, for an input of a shape."""
    tensor = numpy_helper.from_array(np.ones(tuple(weights), np.float32), "weights")
    graph = helper.make_graph(
        [helper.make_node(operation, ["image", "weights"], ["made"], name="only", **attributes)],
        "one",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, given)],
        [helper.make_tensor_value_info("made", TensorProto.FLOAT, None)],
        [tensor],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(
    ("operation", "weights", "given", "attributes", "multiplications"),
    [
        ("Conv", (6, 4, 3, 3), (1, 4, 10, 12), {"pads": [1, 1, 1, 1]}, 6 * 10 * 12 * 4 * 9),
        ("Conv", (6, 2, 3, 3), (1, 4, 10, 12), {"pads": [1, 1, 1, 1], "group": 2}, 6 * 10 * 12 * 2 * 9),
        ("Conv", (6, 4, 1, 3, 3), (1, 4, 5, 10, 12), {}, 6 * 5 * 8 * 10 * 4 * 9),
        ("ConvTranspose", (4, 6, 2, 2), (1, 4, 10, 12), {"strides": [2, 2]}, 4 * 10 * 12 * 6 * 4),
        ("MatMul", (7, 11), (3, 5, 7), {}, 3 * 5 * 7 * 11),
        ("Gemm", (7, 11), (5, 7), {}, 5 * 7 * 11),
        ("Gemm", (11, 7), (5, 7), {"transB": 1}, 5 * 7 * 11),
        ("Add", (7,), (5, 7), {}, 0),
    ],
)
def test_a_multiplication_and_an_addition_count_as_two_operations(
    tmp_path: Path,
    operation: str,
    weights: Sequence[int],
    given: Sequence[int],
    attributes: dict[str, Any],
    multiplications: int,
) -> None:
    path = network(tmp_path / "one.onnx", operation, weights, given, **attributes)

    def read(session: ort.InferenceSession) -> None:
        for _ in range(3):
            session.run(None, {"image": np.zeros(given, np.float32)})

    assert peers.count_gflop(path, read, 1) == pytest.approx(3 * 2 * multiplications / 1e9)


class Recorder:
    """A session's two methods that the readings use; it keeps what it was given."""

    def __init__(self) -> None:
        self.given: list[np.ndarray[Any, Any]] = []

    def get_inputs(self) -> list[Any]:
        return [helper.make_tensor_value_info(contract.INPUT, TensorProto.FLOAT, None)]

    def run(self, names: None, feed: dict[str, np.ndarray[Any, Any]]) -> None:
        self.given += feed.values()


def test_a_window_holds_a_slice_and_its_neighbours_and_the_ends_repeat() -> None:
    hu = np.arange(6, dtype=np.float32)[:, None, None] * np.ones((1, 2, 2), np.float32)
    recorder = Recorder()
    peers.read_by_window(hu)(recorder)  # type: ignore[arg-type]
    assert [one[:, 0, 0].tolist() for one in recorder.given] == [
        [0, 0, 0, 1, 2],
        [0, 0, 1, 2, 3],
        [0, 1, 2, 3, 4],
        [1, 2, 3, 4, 5],
        [2, 3, 4, 5, 5],
        [3, 4, 5, 5, 5],
    ]


def test_the_patches_cover_every_voxel_of_a_study() -> None:
    hu = np.arange(peers.SLICES * 512 * 512, dtype=np.float32).reshape(peers.SLICES, 512, 512)
    recorder = Recorder()
    peers.read_by_patch(hu)(recorder)  # type: ignore[arg-type]
    assert len(recorder.given) == 9
    assert all(one.shape == (1, 1, *peers.PATCH) for one in recorder.given)
    seen = np.unique(np.concatenate([one.ravel() for one in recorder.given]))
    assert len(seen) == len(np.unique(hu / 80))
