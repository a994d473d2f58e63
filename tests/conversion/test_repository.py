# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The committed model repository, and the code that Triton runs in it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from google.protobuf import text_format
from onnx import TensorProto, helper

from appliance.reading import contract
from appliance.reading.golden import golden_chunk, golden_matches
from conversion.checks import UnfitModelError, check
from conversion.precision import FEWEST_POSITIVE, FEWEST_STUDIES, MOST_AUC
from conversion.repository import (
    CPU,
    GPU,
    GPU_DATACENTRE,
    INSTANCES,
    MODEL_CODE,
    PROOF_CODE,
    config,
    lay_out,
    model_says,
)
from conversion.triton_model import BYTES, FULL, GATE, REFERENCE, RULES, ContractError, Detector, cpu_flags, engines_of

FOLDER = Path(__file__).parents[2] / "model_repository" / contract.DETECTOR


@pytest.mark.parametrize("profile", INSTANCES)
def test_tritons_own_message_reads_the_config_and_it_is_the_contract(profile: str) -> None:
    messages = pytest.importorskip("tritonclient.grpc.model_config_pb2", reason="needs tritonclient")
    said = contract.metadata() | {contract.PARAMETER_GOLDEN: '{"quoted": "\\\\"}'}
    parsed = text_format.Parse(config(profile, said), messages.ModelConfig())
    assert said.items() <= {key: value.string_value for key, value in parsed.parameters.items()}.items()
    assert parsed.name == contract.DETECTOR
    assert parsed.max_batch_size == 0
    assert parsed.backend == ("python" if profile == CPU else "tensorrt")
    assert [(one.name, tuple(one.dims)) for one in parsed.input] == [(contract.INPUT, contract.INPUT_SHAPE)]
    dtype = {messages.TYPE_INT32: np.int32, messages.TYPE_FP32: np.float32}
    assert [(one.name, dtype[one.data_type], tuple(one.dims)) for one in parsed.output] == [
        (out.name, out.dtype, out.shape) for out in contract.OUTPUTS
    ]
    assert parsed.input[0].data_type == (messages.TYPE_INT16 if profile == CPU else messages.TYPE_FP32)


@pytest.mark.parametrize(
    "path", sorted(FOLDER.parent.glob("*/config*/*.pbtxt")) + sorted(FOLDER.parent.glob("*/config.pbtxt")), ids=str
)
def test_tritons_own_schema_takes_every_committed_configuration(path: Path) -> None:
    messages = pytest.importorskip("tritonclient.grpc.model_config_pb2", reason="needs tritonclient")
    parsed = text_format.Parse(path.read_text(), messages.ModelConfig())
    folder = path.parent.parent if path.parent.name == "configs" else path.parent
    assert parsed.name == folder.name
    kind = messages.ModelInstanceGroup.KIND_GPU if "gpu" in path.stem else messages.ModelInstanceGroup.KIND_CPU
    assert [group.kind for group in parsed.instance_group] == [kind]
    with pytest.raises(text_format.ParseError):
        text_format.Parse(path.read_text() + "optimisation { }\n", messages.ModelConfig())


def test_profiles_of_a_gpu_replay_graphs_and_copy_by_pinned_memory_and_differ_in_instances_alone() -> None:
    messages = pytest.importorskip("tritonclient.grpc.model_config_pb2", reason="needs tritonclient")
    small, large = (text_format.Parse(config(one, {}), messages.ModelConfig()) for one in (GPU, GPU_DATACENTRE))
    for parsed in (small, large):
        assert parsed.optimization.cuda.graphs
        assert parsed.optimization.cuda.output_copy_stream
        assert parsed.optimization.input_pinned_memory.enable
        assert parsed.optimization.output_pinned_memory.enable
    assert (small.instance_group[0].count, large.instance_group[0].count) == (1, 2)
    small.instance_group[0].count = 2
    assert small == large
    assert not text_format.Parse(config(CPU, {}), messages.ModelConfig()).HasField("optimization")


def test_the_committed_repository_is_what_the_code_writes() -> None:
    messages = pytest.importorskip("tritonclient.grpc.model_config_pb2", reason="needs tritonclient")
    committed = text_format.Parse((FOLDER / "config.pbtxt").read_text(), messages.ModelConfig()).parameters
    said = model_says(FOLDER / "1" / "model.onnx")
    # Another machine's ONNX Runtime may differ in a golden score's last digit: that one is compared as a client would.
    assert set(said) <= set(committed)
    said[contract.PARAMETER_GOLDEN] = committed[contract.PARAMETER_GOLDEN].string_value
    assert (FOLDER / "config.pbtxt").read_text() == config(CPU, said)
    assert {path.stem for path in (FOLDER / "configs").iterdir()} == set(INSTANCES)
    for profile in INSTANCES:
        assert (FOLDER / "configs" / f"{profile}.pbtxt").read_text() == config(profile, said)
    assert (FOLDER / "1" / "model.py").read_bytes() == MODEL_CODE.read_bytes()
    copied = {path.relative_to(FOLDER / "1" / RULES) for path in (FOLDER / "1" / RULES).rglob("*.py")}
    assert copied == set(PROOF_CODE)
    for file in PROOF_CODE:
        assert (FOLDER / "1" / RULES / file).read_bytes() == (MODEL_CODE.parent.parent / file).read_bytes()
    detector = Detector(FOLDER / "1" / "model.onnx", str(contract.CONTRACT_VERSION))
    assert golden_matches(said[contract.PARAMETER_GOLDEN], detector(golden_chunk())) is None


def test_the_committed_model_is_fit_to_be_served() -> None:
    check(onnx.load(str(FOLDER / "1" / "model.onnx")))


def test_the_committed_gate_is_of_the_committed_files_and_what_it_let_pass_answers_the_golden_chunk() -> None:
    place = FOLDER / "1"
    gate = json.loads((place / GATE).read_text())
    graphs = {path.name: path for path in place.glob("*.onnx")}
    assert gate["sha256"] == {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in graphs.items()}
    assert {engine["file"] for engine in gate["engines"].values() if engine["passed"]} <= set(graphs)
    said = gate["studies"]
    assert (said["count"], said["with_blood"]) >= (FEWEST_STUDIES, FEWEST_POSITIVE)
    for graph in graphs.values():
        check(onnx.load(str(graph)))
    golden = model_says(place / FULL)[contract.PARAMETER_GOLDEN]
    engines = engines_of(place, cpu_flags())
    assert engines[-1] is REFERENCE
    assert len(engines) > 1 or "avx2" not in cpu_flags()
    for engine in engines:
        assert engine is REFERENCE or gate["engines"][engine.name]["auc_fall"] <= MOST_AUC
        outputs = Detector(place / engine.file, str(contract.CONTRACT_VERSION), 2, engine)(golden_chunk())
        assert golden_matches(golden, outputs) is None, engine.name


def write_verdict(folder: Path, model: Path, *, passed: bool = True, **to: object) -> Path:
    """Write what the precision gate writes, about a model and an 8-bit graph of it."""
    folder.mkdir(exist_ok=True)
    (folder / BYTES).write_bytes(b"8 bits")
    sha256 = {FULL: hashlib.sha256(model.read_bytes()).hexdigest(), BYTES: hashlib.sha256(b"8 bits").hexdigest()}
    engines = {
        "openvino-int8": {"file": BYTES, "passed": passed},
        "openvino-fp32": {"file": FULL, "passed": True},
        "tensorrt-fp16": {"file": "model.fp16.onnx", "passed": True},
    }
    (folder / GATE).write_text(json.dumps({"sha256": sha256, "engines": engines} | to))
    return folder


def list_files(repository: Path) -> set[str]:
    return {path.name for path in (repository / contract.DETECTOR / "1").iterdir()}


def test_what_passed_the_precision_gate_is_laid_out_and_what_failed_is_not(tmp_path: Path) -> None:
    model = FOLDER / "1" / "model.onnx"
    lay_out(model, tmp_path, precision=write_verdict(tmp_path / "gate", model))
    assert list_files(tmp_path) == {"model.py", RULES, FULL, BYTES, GATE}
    lay_out(model, tmp_path, precision=write_verdict(tmp_path / "gate", model, passed=False))
    assert list_files(tmp_path) == {"model.py", RULES, FULL, GATE}
    lay_out(model, tmp_path, precision=write_verdict(tmp_path / "gate", model))
    lay_out(model, tmp_path)
    assert list_files(tmp_path) == {"model.py", RULES, FULL}, "nothing is left of what another model passed"


@pytest.mark.parametrize("what", ["another model", "another graph", "damaged", "missing"])
def test_a_gate_that_judged_something_else_lays_nothing_out(tmp_path: Path, what: str) -> None:
    model = FOLDER / "1" / "model.onnx"
    gate = write_verdict(tmp_path / "gate", model)
    if what == "another model":
        write_verdict(gate, MODEL_CODE)
    elif what == "another graph":
        (gate / BYTES).write_bytes(b"other bits")
    elif what == "damaged":
        (gate / GATE).write_text("[]")
    else:
        (gate / GATE).unlink()
    with pytest.raises(UnfitModelError, match=r"judged another|cannot be read"):
        lay_out(model, tmp_path / "repository", precision=gate)
    assert not (tmp_path / "repository").exists()


def summing_model(path: Path, version: str) -> Path:
    """Write a tiny model with the contract's input: its output is the sum over all voxels."""
    axes = helper.make_tensor("axes", TensorProto.INT64, [3], [0, 1, 2])
    graph = helper.make_graph(
        [helper.make_node("ReduceSum", [contract.INPUT, "axes"], ["sum"], keepdims=0)],
        "sum",
        [helper.make_tensor_value_info(contract.INPUT, TensorProto.FLOAT, contract.INPUT_SHAPE)],
        [helper.make_tensor_value_info("sum", TensorProto.FLOAT, [])],
        [axes],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    helper.set_model_props(model, {"contract_version": version})
    onnx.save(model, str(path))
    return path


@pytest.mark.parametrize("dtype", [np.int16, np.float16, np.float32])
def test_the_served_model_takes_hu_of_any_dtype_and_hands_the_graphs_outputs_out(
    tmp_path: Path, dtype: type[np.generic]
) -> None:
    detector = Detector(summing_model(tmp_path / "model.onnx", "1"), "1", threads=1)
    hu = np.zeros(contract.INPUT_SHAPE, dtype)
    hu[3, 4, 5], hu[7, 8, 9] = -1000, 40
    assert float(detector(hu)["sum"]) == -960


def test_a_model_of_another_contract_version_is_refused_at_load(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="contract version 2, not 1"):
        Detector(summing_model(tmp_path / "model.onnx", "2"), "1")


def test_a_chunk_of_another_shape_is_refused(tmp_path: Path) -> None:
    detector = Detector(summing_model(tmp_path / "model.onnx", "1"), "1", threads=1)
    with pytest.raises(ValueError, match=r"not \[20, 512, 512\]"):
        detector(np.zeros((20, 256, 256), np.int16))
