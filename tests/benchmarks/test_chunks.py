# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Chunks of other sizes than the one that ships read the whole study too; no time itself is tested."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import typer
from numpy.typing import NDArray
from onnx import TensorProto, helper
from rich.progress import Progress
from typer.testing import CliRunner

from appliance.reading import contract
from benchmarks.chunks import main, measure, read_by, table
from conversion.triton_model import REFERENCE


@pytest.mark.parametrize("targets", [8, 16, 32])
@pytest.mark.parametrize("slices", [5, 32, 45])
def test_every_slice_is_a_target_of_a_chunk(targets: int, slices: int) -> None:
    hu = np.broadcast_to(np.arange(slices, dtype=np.int16)[:, None, None], (slices, 512, 512))
    read: set[int] = set()

    def ask(chunk: NDArray[np.int16]) -> dict[str, NDArray[np.generic]]:
        assert chunk.shape == (targets + 4, 512, 512)
        read.update(int(value) for value in chunk[2:-2, 0, 0])
        return {"detection_count": np.array([3], np.int32)}

    found = read_by(targets, ask)(hu)
    assert read == set(range(slices))
    assert found == 3 * -(-slices // targets)
    assert contract.CHUNK_SLICES == 16


def small_detector(file: Path, targets: int) -> None:
    """Write an ONNX file with the input of a detector of so many target slices, that counts one detection."""
    input_ = helper.make_tensor_value_info(contract.INPUT, TensorProto.FLOAT, [targets + 4, 512, 512])
    output = helper.make_tensor_value_info("detection_count", TensorProto.INT32, [1])
    nodes = [
        helper.make_node("ReduceMax", [contract.INPUT], ["most"], keepdims=0),
        helper.make_node("Reshape", ["most", "one"], ["value"]),
        helper.make_node("Sign", ["value"], ["sign"]),
        helper.make_node("Cast", ["sign"], ["detection_count"], to=TensorProto.INT32),
    ]
    shape = helper.make_tensor("one", TensorProto.INT64, [1], [1])
    graph = helper.make_graph(nodes, "small", [input_], [output], [shape])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, contract.metadata())
    onnx.save(model, str(file))


def test_each_size_is_timed_against_the_one_that_ships_and_stands_in_the_table(tmp_path: Path) -> None:
    files = {targets: tmp_path / f"{targets}.onnx" for targets in (8, 16, 32)}
    for targets, file in files.items():
        small_detector(file, targets)
    figures = measure(files, REFERENCE, 1, 1, 40, Progress(disable=True))
    assert list(figures["slices"]) == ["32", "40"]
    for one in figures["slices"].values():
        assert list(one) == ["8", "16", "32"]
        assert one["16"]["ratio"]["p50"] == 1
    assert all(value > 0 for value in figures["peak_mib"].values())
    assert table(figures).row_count == 3


def test_what_writes_a_file_that_is_missing_is_said(tmp_path: Path) -> None:
    command = typer.Typer()
    command.command()(main)
    done = CliRunner().invoke(command, ["--folder", str(tmp_path), "--targets", "8"])
    assert done.exit_code == 2
    assert "conversion window --slices" in " ".join(done.output.replace("│", " ").split())
