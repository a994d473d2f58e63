# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A small detector with the contract's exact inputs and outputs, for tests that need a real Triton but no training.

It counts voxels of 50 to 100 HU in the 4 x 4 cells of 112 px in the middle of each target slice: the score of a cell
is four times that share, its mask the voxels themselves; cells on the patient's right are called EDH/SDH, on the
left IPH. Its answers follow from its input, so that tests can say what must come back.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from appliance.reading import contract
from appliance.reading.golden import golden_chunk, golden_summary
from conversion.repository import MODEL_CODE, PROOF_CODE
from conversion.triton_model import RULES

CELL_PX = 112
FIRST_PX = 32
CELLS = 4
SUGGESTED_THRESHOLD = 0.4

# Behind conversion's own model.py: for tests of what takes long, and of what fails.
_SLOW = """

import time

_execute = TritonPythonModel.execute


def _slow_execute(self, requests):
    time.sleep({pause_s})
    return _execute(self, requests)


TritonPythonModel.execute = _slow_execute
"""
_FAILING = """

def _failing_execute(self, requests):
    raise MemoryError("full")


TritonPythonModel.execute = _failing_execute
"""
_HANGING = """

import pathlib
import time

_HANGS = pathlib.Path({hangs!r})
_well_initialize, _well_execute = TritonPythonModel.initialize, TritonPythonModel.execute


def _hanging_initialize(self, args):
    _HANGS.unlink(missing_ok=True)
    _well_initialize(self, args)


def _hanging_execute(self, requests):
    while _HANGS.exists():
        time.sleep(0.05)
    return _well_execute(self, requests)


TritonPythonModel.initialize, TritonPythonModel.execute = _hanging_initialize, _hanging_execute
"""
_HELD = """

import pathlib
import time

_HELD = pathlib.Path({held!r})
_free_execute = TritonPythonModel.execute


def _held_execute(self, requests):
    while _HELD.exists():
        time.sleep(0.05)
    return _free_execute(self, requests)


TritonPythonModel.execute = _held_execute
"""
_WRONG_AT_FIRST = """

import pathlib

class _Wrong:
    def __init__(self, right):
        self.right, self.input = right, right.input

    def __call__(self, hu):
        return {{name: value * 0 for name, value in self.right(hu).items()}}


_right_initialize = TritonPythonModel.initialize


def _wrong_initialize(self, args):
    _right_initialize(self, args)
    mark = pathlib.Path(args["model_repository"]) / "was_loaded"
    loads = mark.stat().st_size if mark.exists() else 0
    if loads and {later!r} == "gone":
        raise RuntimeError("no engine serves this model")
    if not loads or {later!r} == "wrong":
        self.detector = _Wrong(self.detector)
    mark.write_bytes(bytes(loads + 1))


TritonPythonModel.initialize = _wrong_initialize
"""


def onnx_model(most: float = 0.98) -> onnx.ModelProto:
    """Return the detector as a static ONNX graph; no score is higher than `most`."""
    constants: dict[str, np.ndarray] = {}
    nodes: list[onnx.NodeProto] = []

    def constant(name: str, value: object, dtype: object = np.float32) -> str:
        constants[name] = np.asarray(value, dtype)
        return name

    def add(op: str, inputs: list[str], output: str, **attributes: object) -> str:
        nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    n, m, k = contract.CHUNK_SLICES, contract.MASK_SIZE, contract.MAX_DETECTIONS
    candidates = n * CELLS * CELLS
    last = FIRST_PX + CELLS * CELL_PX
    add(
        "Slice",
        [
            "hu",
            constant("starts", [contract.CONTEXT_SLICES, FIRST_PX, FIRST_PX], np.int64),
            constant("ends", [contract.CONTEXT_SLICES + n, last, last], np.int64),
        ],
        "middle",
    )
    add("Greater", ["middle", constant("fifty", 50)], "above")
    add("Less", ["middle", constant("hundred", 100)], "below")
    add("And", ["above", "below"], "between")
    add("Cast", ["between"], "blood", to=TensorProto.FLOAT)
    add("Reshape", ["blood", constant("as_image", [n, 1, CELLS * CELL_PX, CELLS * CELL_PX], np.int64)], "image")
    add("AveragePool", ["image"], "halved", kernel_shape=[2, 2], strides=[2, 2])
    add("Reshape", ["halved", constant("as_cells", [n, CELLS, m, CELLS, m], np.int64)], "cells")
    add("Transpose", ["cells"], "by_cell", perm=[0, 1, 3, 2, 4])
    add("Reshape", ["by_cell", constant("as_masks", [candidates, m, m], np.int64)], "masks")
    add("ReduceMean", ["masks"], "share", axes=[1, 2], keepdims=0)
    add("Mul", ["share", constant("four", 4)], "raw")
    add("Clip", ["raw", constant("zero", 0), constant("most", most)], "scores")

    index = np.arange(candidates)
    row, column = index // CELLS % CELLS, index % CELLS
    y1, x1 = FIRST_PX + CELL_PX * row, FIRST_PX + CELL_PX * column
    constant("boxes", np.stack([y1, x1, y1 + CELL_PX, x1 + CELL_PX], axis=1))
    constant("slices", index // (CELLS * CELLS), np.int32)
    constant("types", np.eye(3)[np.where(column < CELLS // 2, 1, 0)])
    constant("floor", contract.SCORE_FLOOR)
    constant("k", [k], np.int64)
    for kind, largest in (("detection", 1), ("dismissed", 0)):
        nodes.append(helper.make_node("TopK", ["scores", "k"], [f"{kind}_top", f"{kind}_at"], axis=0, largest=largest))
        add("Less", [f"{kind}_top", "floor"], f"{kind}_low")
        add("Not", [f"{kind}_low"], f"{kind}_high")
        add("Cast", [f"{kind}_high" if largest else f"{kind}_low"], f"{kind}_ones", to=TensorProto.INT32)
        add("ReduceSum", [f"{kind}_ones", constant(f"{kind}_axis", [0], np.int64)], f"{kind}_count", keepdims=1)
        add("Gather", ["slices", f"{kind}_at"], f"{kind}_slice", axis=0)
        add("Gather", ["boxes", f"{kind}_at"], f"{kind}_box", axis=0)
        add("Gather", ["types", f"{kind}_at"], f"{kind}_type", axis=0)
        add("Unsqueeze", [f"{kind}_top", constant(f"{kind}_last", [1], np.int64)], f"{kind}_column")
        add("Mul", [f"{kind}_type", f"{kind}_column"], f"{kind}_score")
    add("Gather", ["masks", "detection_at"], "detection_mask", axis=0)

    def info(name: str, dtype: object, shape: tuple[int, ...]) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)

    graph = helper.make_graph(
        nodes,
        "blob_detector",
        [info(contract.INPUT, np.float32, contract.INPUT_SHAPE)],
        [info(output.name, output.dtype, output.shape) for output in contract.OUTPUTS],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, contract.metadata())
    onnx.checker.check_model(model, full_check=True)
    return model


def answers(model: bytes, hu: np.ndarray) -> dict[str, np.ndarray]:
    """Return the outputs by name that ONNX Runtime computes in this process from `hu` [20, 512, 512]."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {contract.INPUT: hu.astype(np.float32)}), strict=True))


def _tensor(name: str, dtype: str, shape: tuple[int, ...]) -> str:
    return f'{{ name: "{name}" data_type: TYPE_{dtype} dims: [ {", ".join(map(str, shape))} ] }}'


def write_repository(
    folder: Path,
    *,
    input_dtype: str = "INT16",
    pause_s: float = 0,
    fails: bool = False,
    hangs: Path | None = None,
    held: Path | None = None,
    wrong_at_first: bool = False,
    later: str = "right",
    proves: bool = False,
    parameters: dict[str, str | None] | None = None,
) -> str:
    """Write a model repository with this detector and return the sha256 of its ONNX file.

    Each request takes `pause_s` longer, or fails, or is answered with zeros until the model is loaded a second time
    (`wrong_at_first`); from then on it is `later`: "right", "wrong" still, or "gone", as it does not load. Each hangs
    while the file `hangs` is there, which a new start of the model removes, or `held`, which it leaves. `proves` lays
    out what an engine is proven by before it serves. `parameters` replaces (or, with None, leaves out) what the model's
    configuration says.
    """
    model = onnx_model().SerializeToString()
    sha256 = hashlib.sha256(model).hexdigest()
    version = folder / contract.DETECTOR / "1"
    version.mkdir(parents=True, exist_ok=True)
    (version / "model.onnx").write_bytes(model)
    code = MODEL_CODE.read_text()
    code += _SLOW.format(pause_s=pause_s) if pause_s else ""
    code += _FAILING if fails else ""
    code += _HANGING.format(hangs=str(hangs)) if hangs is not None else ""
    code += _HELD.format(held=str(held)) if held is not None else ""
    code += _WRONG_AT_FIRST.format(later=later) if wrong_at_first else ""
    (version / "model.py").write_text(code)
    for file in PROOF_CODE if proves else ():
        (version / RULES / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(MODEL_CODE.parent.parent / file, version / RULES / file)
    said: dict[str, str | None] = {
        **contract.metadata(),
        contract.PARAMETER_MODEL_VERSION: "blob-1",
        contract.PARAMETER_ONNX_SHA256: sha256,
        contract.PARAMETER_THRESHOLD: str(SUGGESTED_THRESHOLD),
        contract.PARAMETER_GOLDEN: golden_summary(answers(model, golden_chunk())),
        "intra_op_threads": "1",
        **(parameters or {}),
    }
    types = {np.int32: "INT32", np.float32: "FP32"}
    outputs = ",\n  ".join(_tensor(output.name, types[output.dtype], output.shape) for output in contract.OUTPUTS)
    quoted = {key: value.replace("\\", "\\\\").replace('"', '\\"') for key, value in said.items() if value is not None}
    lines = [f'parameters: {{ key: "{key}" value: {{ string_value: "{value}" }} }}' for key, value in quoted.items()]
    configs = folder / contract.DETECTOR / "configs"
    configs.mkdir(exist_ok=True)
    (configs / "cpu.pbtxt").write_text(
        f'name: "{contract.DETECTOR}"\nbackend: "python"\nmax_batch_size: 0\n'
        f"input [\n  {_tensor(contract.INPUT, input_dtype, contract.INPUT_SHAPE)}\n]\n"
        f"output [\n  {outputs}\n]\ninstance_group [ {{ kind: KIND_CPU count: 1 }} ]\n" + "\n".join(lines) + "\n"
    )
    return sha256
