# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Triton's model repository: one folder for the detector, laid out for sites without and with a GPU.

    hemorrhage_detector/
        config.pbtxt          the CPU profile, which Triton takes when no other is named
        configs/cpu.pbtxt     Python backend over OpenVINO or ONNX Runtime; `hu` is INT16
        configs/gpu.pbtxt     TensorRT backend over model.plan, which is built on the site; `hu` is FP32: one study at a
                              time, for a small card (8 GB)
        configs/gpu-datacentre.pbtxt    the same with two instances, for a card with memory for both
        1/model.onnx          the exported detector
        1/model.int8.onnx     the same in 8 bits, if it passed the precision gate
        1/precisions.json     what the gate found; `model.py` serves only what passed
        1/model.py            a copy of conversion/triton_model.py
        1/golden/             copies of what compares answers to the golden chunk, with which `model.py` proves an
                              engine before it serves

Triton chooses a profile by `--model-config-name=cpu`, `gpu` or `gpu-datacentre`. The `parameters` of every profile hold
the ONNX file's metadata, its sha256, and the answer to the golden chunk, for clients on other machines.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import onnxruntime

from appliance.reading import contract
from appliance.reading.golden import golden_chunk, golden_summary
from conversion.checks import DIFFERS, UnfitModelError, check
from conversion.triton_model import BYTES, FULL, GATE, RULES

TRITON_TYPES: Final[dict[type[np.generic], str]] = {np.int32: "TYPE_INT32", np.float32: "TYPE_FP32"}
CPU: Final = "cpu"
GPU: Final = "gpu"
GPU_DATACENTRE: Final = "gpu-datacentre"
INSTANCES: Final = {CPU: 1, GPU: 1, GPU_DATACENTRE: 2}
"""How many chunks each profile processes at once. Each costs a small card the memory of the engine's activations.

A service reads one study at a time and has two chunks of it under way (`appliance.inference.stream`): more would idle.
"""
ON_A_GPU: Final = """\
# All shapes are fixed, so the launch of the whole network is recorded once and replayed. What is copied back has a
# stream of its own, and copies go through pinned memory.
optimization {
  cuda { graphs: true output_copy_stream: true }
  input_pinned_memory { enable: true }
  output_pinned_memory { enable: true }
}"""
MODEL_CODE: Final = Path(__file__).parent / "triton_model.py"
PROOF_CODE: Final = tuple(Path("appliance/reading", name) for name in ("boxes.py", "contract.py", "golden.py"))
"""What proves an engine; laid out as packages without `__init__.py`, so that an installed appliance goes first."""


def model_says(model: Path) -> dict[str, str]:
    """Return what Triton tells clients about an exported detector: its metadata, sha256 and golden answer."""
    data = model.read_bytes()
    said = {prop.key: prop.value for prop in onnx.load_from_string(data).metadata_props}
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    names = [output.name for output in contract.OUTPUTS]
    golden = session.run(names, {contract.INPUT: golden_chunk().astype(np.float32)})
    return said | {
        contract.PARAMETER_ONNX_SHA256: hashlib.sha256(data).hexdigest(),
        contract.PARAMETER_GOLDEN: golden_summary(dict(zip(names, golden, strict=True))),
    }


def config(profile: str, said: Mapping[str, str]) -> str:
    """Return the text of config.pbtxt for a profile, one of `INSTANCES`, with what `model_says`."""
    lines = [
        "# Written by `python -m conversion repository` from appliance/reading/contract.py; change it there.",
        f'name: "{contract.DETECTOR}"',
        'backend: "python"' if profile == CPU else 'backend: "tensorrt"\ndefault_model_filename: "model.plan"',
        "# A request is one chunk of slices; the graph has no batch dimension.",
        "max_batch_size: 0",
        _tensors("input", [(contract.INPUT, "TYPE_INT16" if profile == CPU else "TYPE_FP32", contract.INPUT_SHAPE)]),
        _tensors("output", [(out.name, TRITON_TYPES[out.dtype], out.shape) for out in contract.OUTPUTS]),
        f"instance_group [ {{ count: {INSTANCES[profile]} kind: KIND_{'CPU' if profile == CPU else 'GPU'} }} ]",
        "version_policy: { latest: { num_versions: 1 } }",
    ]
    if profile != CPU:
        lines.append(ON_A_GPU)
    parameters = dict(said)
    if profile == CPU:
        parameters["intra_op_threads"] = "0"  # 0: one a core
    lines += [
        f"parameters: {{ key: {json.dumps(key)} value: {{ string_value: {json.dumps(value)} }} }}"
        for key, value in parameters.items()
    ]
    return "\n".join(lines) + "\n"


def _tensors(kind: str, tensors: list[tuple[str, str, tuple[int, ...]]]) -> str:
    """Return the block of config.pbtxt that declares inputs or outputs."""
    rows = ",\n".join(
        f'  {{ name: "{name}" data_type: {dtype} dims: [ {", ".join(map(str, shape))} ] }}'
        for name, dtype, shape in tensors
    )
    return f"{kind} [\n{rows}\n]"


def lay_out(model: Path, out: Path, version: int = 1, precision: Path | None = None) -> Path:
    """Write the detector's folder into the repository `out` and return it.

    Parameters
    ----------
    precision: folder that `python -m conversion precision` wrote. What passed there is laid out too; without a folder,
        nothing that an earlier model passed remains.

    Raises
    ------
    UnfitModelError
        If `model` is not an exported detector of this contract, or was exported for figures alone, or `precision`
        judged another one.
    """
    loaded = onnx.load(str(model))
    check(loaded)
    if differs := {prop.key: prop.value for prop in loaded.metadata_props}.get(DIFFERS):
        raise UnfitModelError(f"it was exported for figures alone: {differs}")
    laid = {} if precision is None else _gate_files(model, precision)
    folder = out / contract.DETECTOR
    (folder / "configs").mkdir(parents=True, exist_ok=True)
    said = model_says(model)
    (folder / "config.pbtxt").write_text(config(CPU, said))
    for profile in INSTANCES:
        (folder / "configs" / f"{profile}.pbtxt").write_text(config(profile, said))
    place = folder / str(version)
    place.mkdir(exist_ok=True)
    shutil.copyfile(MODEL_CODE, place / "model.py")
    shutil.rmtree(place / RULES, ignore_errors=True)
    for file in PROOF_CODE:
        (place / RULES / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(MODEL_CODE.parent.parent / file, place / RULES / file)
    if model.resolve() != (place / FULL).resolve():
        shutil.copyfile(model, place / FULL)
    for name in (GATE, BYTES):
        if name in laid:
            (place / name).write_bytes(laid[name])
        else:
            (place / name).unlink(missing_ok=True)
    return folder


def _gate_files(model: Path, precision: Path) -> dict[str, bytes]:
    """Return the files of the precision gate to lay out beside a model: its verdict, and the graphs that passed.

    Raises `UnfitModelError` if it judged another model, or is damaged.
    """
    try:
        gate = json.loads((precision / GATE).read_text(encoding="utf-8"))
        judged, engines = dict(gate["sha256"]), dict(gate["engines"])
        files = {one["file"] for one in engines.values() if one["passed"] is True} & {BYTES}
        graphs = {name: (precision / name).read_bytes() for name in files}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnfitModelError(f"{precision / GATE} cannot be read ({type(error).__name__}: {error})") from error
    for name, data in (graphs | {FULL: model.read_bytes()}).items():
        if judged.get(name) != hashlib.sha256(data).hexdigest():
            raise UnfitModelError(
                f"{precision / GATE} judged another {name}: run `python -m conversion precision` again"
            )
    return graphs | {GATE: (precision / GATE).read_bytes()}
