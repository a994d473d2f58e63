# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Which engine serves: what the CPU can run, of what passed the precision gate."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from appliance.reading import contract
from appliance.reading.golden import golden_chunk, golden_matches, golden_summary
from conversion import triton_model
from conversion.repository import lay_out
from conversion.triton_model import (
    BYTES,
    ENGINES,
    FULL,
    GATE,
    REFERENCE,
    RULES,
    TRIALS_S,
    ContractError,
    Detector,
    Engine,
    EngineError,
    Trials,
    TritonPythonModel,
    better_detector,
    cpu_flags,
    damaged_engines,
    engines_of,
    exact_values,
    faults_of,
    instruction_set,
    served_detector,
)

AVX2 = frozenset({"avx", "avx2", "fma"})
AVX512 = AVX2 | {"avx512f", "avx512_vnni", "avx512_bf16"}
EVERY = [engine.name for engine in ENGINES]
SHIPPED = Path(__file__).parents[2] / "model_repository" / contract.DETECTOR / "1" / FULL
PRODUCTS = ("Convolution", "ConvolutionBackpropData", "MatMul")
"""What OpenVINO computes in bfloat16 wherever it stands; from an output back to the first of them nothing else is."""


def summing_model(path: Path, factor: float = 1, version: str = "1") -> None:
    """Write a tiny model with the contract's input: its output is a multiple of the sum over all voxels."""
    graph = helper.make_graph(
        [
            helper.make_node("ReduceSum", [contract.INPUT, "axes"], ["all"], keepdims=0),
            helper.make_node("Mul", ["all", "factor"], ["sum"]),
        ],
        "sum",
        [helper.make_tensor_value_info(contract.INPUT, TensorProto.FLOAT, contract.INPUT_SHAPE)],
        [helper.make_tensor_value_info("sum", TensorProto.FLOAT, [])],
        [
            helper.make_tensor("axes", TensorProto.INT64, [3], [0, 1, 2]),
            helper.make_tensor("factor", TensorProto.FLOAT, [], [factor]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    helper.set_model_props(model, {"contract_version": version})
    onnx.save(model, str(path))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A version folder whose 8-bit file gives twice what the other gives; every engine has passed."""
    summing_model(tmp_path / FULL)
    summing_model(tmp_path / BYTES, factor=2)
    gate(tmp_path)
    return tmp_path


def gate(folder: Path, failed: tuple[str, ...] = (), **to: Any) -> None:
    report = {
        "sha256": {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in (FULL, BYTES)},
        "engines": {engine.name: {"file": engine.file, "passed": engine.name not in failed} for engine in ENGINES},
    }
    (folder / GATE).write_text(json.dumps(report | to))


def names(folder: Path, flags: frozenset[str], asked: str = "") -> list[str]:
    return [engine.name for engine in engines_of(folder, flags, asked)]


def test_the_cpu_says_which_engines_are_tried_and_the_fastest_comes_first(folder: Path) -> None:
    assert names(folder, AVX512) == EVERY
    assert names(folder, AVX2) == ["openvino-int8", "openvino-fp32", "onnxruntime-fp32"]
    assert names(folder, frozenset()) == ["onnxruntime-fp32"]
    assert names(folder, AVX512, "auto") == EVERY


def test_an_engine_that_failed_the_gate_or_was_not_judged_is_not_tried(folder: Path) -> None:
    gate(folder, failed=("openvino-int8-bf16", "openvino-int8"))
    assert names(folder, AVX512) == ["openvino-bf16", "openvino-fp32", "onnxruntime-fp32"]
    gate(folder, engines={"openvino-fp32": {"passed": True}})
    assert names(folder, AVX512) == ["openvino-fp32", "onnxruntime-fp32"]


def test_a_folder_without_the_gate_or_with_that_of_other_files_serves_the_reference(folder: Path) -> None:
    summing_model(folder / BYTES, factor=3)
    assert names(folder, AVX512) == ["openvino-bf16", "openvino-fp32", "onnxruntime-fp32"]
    summing_model(folder / FULL, factor=4)
    assert names(folder, AVX512) == ["onnxruntime-fp32"]
    (folder / GATE).unlink()
    assert names(folder, AVX512) == ["onnxruntime-fp32"]


@pytest.mark.parametrize("damaged", ["", "[]", "{", '{"engines": []}', '{"engines": {"openvino-fp32": 1}}', "null"])
def test_a_damaged_verdict_counts_as_none(folder: Path, damaged: str) -> None:
    (folder / GATE).write_text(damaged)
    assert names(folder, AVX512) == ["onnxruntime-fp32"]


def test_an_engine_that_is_asked_for_serves_alone(folder: Path) -> None:
    assert names(folder, AVX512, "openvino-fp32") == ["openvino-fp32"]
    assert names(folder, frozenset(), "onnxruntime-fp32") == ["onnxruntime-fp32"]


@pytest.mark.parametrize(
    ("asked", "flags", "says"),
    [
        ("int8", AVX512, "is none of auto, openvino-int8-bf16, openvino-bf16, "),
        ("openvino-bf16", AVX2, "this CPU has no avx512_bf16"),
        ("openvino-int8", AVX2, "has not passed the precision gate"),
    ],
)
def test_an_engine_that_is_asked_for_and_may_not_serve_is_refused_with_the_reason(
    folder: Path, asked: str, flags: frozenset[str], says: str
) -> None:
    gate(folder, failed=("openvino-int8",))
    with pytest.raises(EngineError, match=says):
        engines_of(folder, flags, asked)


def test_instructions_are_named_by_the_best_there_are() -> None:
    assert [instruction_set(flags) for flags in (AVX512, AVX2, frozenset({"sse2"}))] == [
        "AVX-512 VNNI",
        "AVX2",
        "no AVX2",
    ]


@pytest.mark.parametrize("name", [engine.name for engine in ENGINES if engine.precision != "bf16"])  # too coarse a sum
@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_every_engine_takes_hu_of_any_dtype_and_hands_the_graphs_outputs_out(
    folder: Path, name: str, dtype: type[np.generic]
) -> None:
    engine = next(one for one in ENGINES if one.name == name)
    detector = Detector(folder / engine.file, "1", 1, engine)
    hu = np.zeros(contract.INPUT_SHAPE, dtype)
    hu[3, 4, 5], hu[7, 8, 9] = -1000, 40
    first = detector(hu)
    assert list(first) == ["sum"]
    assert float(first["sum"]) == -960 * (2 if engine.file == BYTES else 1)
    detector(np.zeros(contract.INPUT_SHAPE, dtype))
    assert float(first["sum"]) != 0, "an answer stands when the next one is asked for"
    with pytest.raises(ValueError, match=r"not \[20, 512, 512\]"):
        detector(np.zeros((20, 256, 256), np.int16))
    with pytest.raises(ContractError, match="contract version 1, not 2"):
        Detector(folder / engine.file, "2", 1, engine)


def test_a_runtime_that_does_not_load_gives_way_to_the_next_engine_and_the_log_says_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "openvino", None)  # as where it is not installed
    monkeypatch.setattr("conversion.triton_model.cpu_flags", lambda: AVX2)
    lines: list[str] = []
    assert served_detector(folder, "1", 1, log=lines.append).engine is REFERENCE
    assert [line.partition(" ")[0] for line in lines] == ["openvino-int8", "openvino-fp32"]
    with pytest.raises(EngineError, match="openvino-int8: it does not load: ModuleNotFoundError"):
        served_detector(folder, "1", 1, "openvino-int8", log=lines.append)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", r"it ends its process \(SIGILL\)"),
        (
            "import time; time.sleep(600)",
            "it did not load and run within 2 s|it is not tried, as openvino-int8 did not .*",
        ),
        ("raise OSError('no such instruction')", "it does not load: OSError: no such instruction"),
    ],
)
def test_a_runtime_that_ends_its_process_hangs_or_fails_gives_way_and_this_process_goes_on(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, code: str, says: str
) -> None:
    packages = tmp_path_factory.mktemp("packages")
    (packages / "openvino.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(packages))  # of the processes that try an engine
    monkeypatch.setattr("conversion.triton_model.TRIALS_S", 2.0 if "sleep" in code else TRIALS_S)
    monkeypatch.setattr("conversion.triton_model.cpu_flags", lambda: AVX2)
    lines: list[str] = []
    detector = served_detector(folder, "1", 1, log=lines.append)
    assert detector.engine is REFERENCE
    assert set(detector.passed_over) == {"openvino-int8", "openvino-fp32"}
    for name, why in detector.passed_over.items():
        assert re.fullmatch(says, why)
        assert f"{name} is passed over: {why}" in lines


class SlowTrials:
    """Trials that take `each_s`, or all the time that they are given, on a clock of their own."""

    def __init__(self, each_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.tried, self._each_s = 0.0, 0, each_s
        monkeypatch.setattr("conversion.triton_model.time.monotonic", lambda: self.now)
        monkeypatch.setattr("conversion.triton_model.subprocess.run", self._run)

    def _run(self, command: list[str], *, timeout: float, **_: object) -> subprocess.CompletedProcess[str]:
        self.tried += 1
        self.now += min(timeout, self._each_s)
        if self._each_s >= timeout:
            raise subprocess.TimeoutExpired(command, timeout)
        return subprocess.CompletedProcess(command, 1, "", "OSError: slow")


@pytest.mark.parametrize(("each_s", "tried"), [(float("inf"), 1), (0.7 * TRIALS_S, 2), (0.3 * TRIALS_S, 4)])
def test_the_reference_serves_after_trials_that_keep_within_their_time(
    folder: Path, monkeypatch: pytest.MonkeyPatch, each_s: float, tried: int
) -> None:
    monkeypatch.setattr("conversion.triton_model.cpu_flags", lambda: AVX512)
    trials = SlowTrials(each_s, monkeypatch)
    detector = served_detector(folder, "1", 1, log=lambda _: None)
    assert detector.engine is REFERENCE
    assert list(detector.passed_over) == EVERY[:-1]
    assert trials.tried == tried
    assert trials.now <= TRIALS_S


def test_an_engine_is_not_tried_once_the_others_took_the_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = SlowTrials(0.999 * TRIALS_S, monkeypatch)
    trials = Trials(TRIALS_S)
    assert trials.fault(folder / FULL, 1, REFERENCE) == "it does not load: OSError: slow"
    slow.now = TRIALS_S
    assert "took the 30 s that there are for all" in str(trials.fault(folder / FULL, 1, ENGINES[0]))
    assert slow.tried == 1
    assert trials.undecided == [ENGINES[0]]


def test_engines_that_only_took_too_long_are_tried_again_and_the_best_that_runs_is_taken(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("conversion.triton_model.cpu_flags", lambda: AVX2)
    with monkeypatch.context() as busy:
        SlowTrials(float("inf"), busy)
        served = served_detector(folder, "1", 1, log=lambda _: None)
        assert served.engine is REFERENCE
        assert [engine.name for engine in served.undecided] == ["openvino-int8", "openvino-fp32"]
        assert better_detector(served, folder, "1", 1, log=lambda _: None) is None
        assert [engine.name for engine in served.undecided] == ["openvino-int8", "openvino-fp32"]
    (folder / BYTES).write_bytes(b"damaged since")
    lines: list[str] = []
    better = better_detector(served, folder, "1", 1, log=lines.append)
    assert better is not None
    assert (better.engine.name, list(better.passed_over)) == ("openvino-fp32", ["openvino-int8"])
    assert better.passed_over["openvino-int8"].startswith("it does not load: ")
    assert lines[-1] == "openvino-fp32 runs now, after it took too long at first"


def test_what_a_second_trial_finds_is_told_though_the_same_engine_serves_on(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[dict[str, str]] = []

    class MetricFamily:
        GAUGE = "gauge"

        def __init__(self, **_: object) -> None: ...

        def Metric(self, labels: dict[str, str]) -> Any:  # noqa: N802 - Triton's name
            told.append(labels)
            return SimpleNamespace(set=lambda value: None)

    def fails_now(served: Any, *_: object) -> None:
        served.passed_over, served.undecided = {"openvino-int8": "it does not load"}, ()

    log = SimpleNamespace(log_info=lambda text: None, log_warn=lambda text: None)
    monkeypatch.setattr(triton_model, "pb_utils", SimpleNamespace(MetricFamily=MetricFamily, Logger=log))
    monkeypatch.setattr(triton_model, "TRY_AGAIN_S", (0.0, 0.0))
    monkeypatch.setattr(triton_model, "better_detector", fails_now)
    model: Any = TritonPythonModel()
    model.detector = SimpleNamespace(
        engine=REFERENCE, passed_over={"openvino-int8": "too slow"}, undecided=ENGINES[2:3]
    )
    model._labels, model._metrics, model._ended = {}, [], threading.Event()
    model._better, model._tried_again = None, False
    model._try_again(model.detector)
    assert told == [], "metrics are Triton's, and changed between two requests"
    assert model.execute([]) == []
    assert [one.get("why") for one in told] == [None, "it does not load"]
    model.execute([])
    assert len(told) == 2


def test_an_engine_that_failed_is_not_tried_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("conversion.triton_model.cpu_flags", lambda: AVX2)
    with monkeypatch.context() as broken:
        SlowTrials(0, broken)
        served = served_detector(folder, "1", 1, log=lambda _: None)
    assert list(served.passed_over) == ["openvino-int8", "openvino-fp32"]
    assert served.undecided == ()
    assert better_detector(served, folder, "1", 1) is None


def test_an_error_of_the_comparison_is_not_told_as_one_of_the_engine(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("conversion.triton_model.cpu_flags", lambda: frozenset())

    def break_off(*_: object) -> None:
        raise KeyError("scores")

    monkeypatch.setattr("appliance.reading.golden.golden_matches", break_off)
    with pytest.raises(EngineError, match="onnxruntime-fp32: the golden chunk cannot be compared: KeyError: 'scores'"):
        served_detector(folder, "1", 1, golden="{}")


def test_files_are_hashed_once_a_start(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("conversion.triton_model.cpu_flags", lambda: AVX2)
    monkeypatch.setitem(sys.modules, "openvino", None)
    judged: list[str] = []
    original = triton_model._fault

    def note(engine: Engine, *rest: Any) -> Any:
        judged.append(engine.name)
        return original(engine, *rest)

    monkeypatch.setattr(triton_model, "_fault", note)
    served_detector(folder, "1", 1, log=lambda _: None)
    assert judged == EVERY


def test_damaged_files_are_told_and_what_the_cpu_or_the_gate_excludes_is_not(folder: Path) -> None:
    gate(folder, failed=("openvino-fp32",))
    assert damaged_engines(faults_of(folder, AVX2)) == {}
    (folder / BYTES).write_bytes(b"cut off")
    assert damaged_engines(faults_of(folder, AVX2)) == {"openvino-int8": f"{GATE} is of other ONNX files"}
    (folder / BYTES).unlink()
    assert damaged_engines(faults_of(folder, AVX2)) == {"openvino-int8": f"{BYTES} is missing"}
    (folder / GATE).write_text("{")
    assert damaged_engines(faults_of(folder, AVX2)).keys() == {"openvino-int8", "openvino-fp32"}
    (folder / GATE).unlink()
    assert damaged_engines(faults_of(folder, AVX2)) == {}, "a model that was never judged is served by the reference"


def test_the_copy_beside_the_model_proves_it_where_no_appliance_is_installed(tmp_path: Path) -> None:
    place = lay_out(SHIPPED, tmp_path) / "1"
    code = (
        f"import sys; sys.path[:0] = [{str(place)!r}]\nimport json, model\n"
        "lines = []\nprove = model._golden_proof(model.Path(model.__file__).parent, '{}', lines.append)\n"
        "fault = prove(lambda hu: {})\n"
        "print(json.dumps([fault, lines, sys.modules['appliance.reading.golden'].__file__]))"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    fault, lines, rules = json.loads(done.stdout)
    assert fault == "the golden chunk comes back wrong: output detection_count is missing"
    assert lines == []
    assert Path(rules) == place / RULES / "appliance/reading/golden.py"


def test_a_model_of_another_contract_does_not_give_way_to_another_engine(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("conversion.triton_model.cpu_flags", lambda: AVX2)
    with pytest.raises(ContractError):
        served_detector(folder, "2", 1)


def kept_exact(model: Any) -> set[str]:
    """Return the names of the nodes that lie between an output and the first product on the way back from it."""
    found: set[str] = set()
    pending = [value.get_node() for output in model.outputs for value in output.get_node().input_values()]
    while pending:
        node = pending.pop()
        if node.get_name() not in found and node.get_type_name() not in PRODUCTS:
            found.add(node.get_name())
            pending.extend(value.get_node() for value in node.input_values())
    return found


def test_in_bfloat16_no_coordinate_no_overlap_and_no_rank_is_rounded() -> None:
    openvino = pytest.importorskip("openvino")
    model = openvino.Core().read_model(SHIPPED)
    fine = {"Exp", "Floor", "Less", "Greater", "GreaterEqual", "Divide", "Sqrt", "Softmax", "Sigmoid", "TopK"}
    exact = [node for node in model.get_ordered_ops() if node.get_type_name() in fine]
    # What is compared with the results of the suppression's own products counts whole numbers, and may be rounded.
    counted = {
        node.get_name() for node in exact for one in node.input_values() if one.get_node().get_type_name() == "MatMul"
    }
    rounded = {node.get_name() for node in exact} - kept_exact(model)
    assert any(node.get_type_name() == "Floor" and node.get_name() in rounded for node in exact), "nothing to mend"
    values = exact_values(model)
    assert all(value.get_node().get_type_name() not in PRODUCTS for value in values)
    model.add_outputs(values)
    assert {node.get_name() for node in exact} - kept_exact(model) - counted == set()


@pytest.mark.skipif(not {"avx512_bf16"} <= cpu_flags(), reason="this CPU has no bfloat16")
def test_the_shipped_detector_in_bfloat16_answers_the_golden_chunk_with_the_same_outputs() -> None:
    pytest.importorskip("openvino")
    full, brief = (
        Detector(SHIPPED, str(contract.CONTRACT_VERSION), 1, one)
        for one in (REFERENCE, next(one for one in ENGINES if one.name == "openvino-bf16"))
    )
    found, expected = brief(golden_chunk()), full(golden_chunk())
    assert list(found) == list(expected)
    assert golden_matches(golden_summary(expected), found) is None
    assert not np.array_equal(found["detection_score"], expected["detection_score"])
