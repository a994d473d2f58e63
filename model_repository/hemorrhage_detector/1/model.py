# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The detector in Triton's Python backend, on the CPU: Triton runs this file as `model.py`, beside the ONNX files.

It stands alone (standard library, numpy, onnxruntime and openvino, in the environment that Triton's model processes
have); of the appliance it imports only how answers to the golden chunk are compared, a copy of which lies beside it
(`RULES`). What it must agree on with its clients comes from the ONNX file's own metadata and from config.pbtxt. It
casts the INT16 that clients send to the graph's float32 and hands the graph's outputs out.

Which engine runs the graph, and in which precision, is chosen at start: the first of `ENGINES` that the CPU can run,
that passed the precision gate (`precisions.json`, written by `python -m conversion precision`), that loads and runs
here, tried in a process of its own first, and that answers the golden chunk as it was recorded. One that took too long,
on a machine that was busy starting, is tried again while another serves. HEMORRHAGE_ENGINE names another one. Triton's
metrics say which it is: `hemorrhage_engine{engine="openvino-int8", ...} 1`, and which better ones failed:
`hemorrhage_engine_passed_over{engine="openvino-bf16", why="...", ...} 1`.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

# ONNX Runtime's wheels send usage to Microsoft unless they are told not to, and look at this when they are imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

try:
    import triton_python_backend_utils as pb_utils
except ImportError:  # outside Triton, where only `Detector` is used
    pb_utils = None

FULL: Final = "model.onnx"
BYTES: Final = "model.int8.onnx"
GATE: Final = "precisions.json"
"""Beside the ONNX files: which engines answer studies as the reference does, with the files' sha256."""
RULES: Final = "golden"
"""Folder beside the ONNX files: a copy of the modules that compare answers to the golden chunk, as packages."""
VARIABLE: Final = "HEMORRHAGE_ENGINE"
METRIC: Final = "hemorrhage_engine"
METRIC_PASSED_OVER: Final = "hemorrhage_engine_passed_over"
TRIALS_S: Final = 30.0
"""How long all engines together may take to load and to run once, s. Whoever waits for the model to load has to wait
longer, or a start with a runtime that hangs is broken off before the reference serves."""
TRY_AGAIN_S: Final = (60.0, 600.0, 3600.0)
"""The pauses before engines are tried again that took too long, s: a machine that has just started is busy."""
TRY_AGAIN_TRIALS_S: Final = 120.0
"""How long they may take together then, s: nobody waits for them."""
_MOST_WORDS: Final = 240
INSTRUCTIONS: Final = (
    ("amx_int8", "AMX"),
    ("avx512_vnni", "AVX-512 VNNI"),
    ("avx_vnni", "AVX-VNNI"),
    ("avx512f", "AVX-512"),
    ("avx2", "AVX2"),
)
"""The flags of /proc/cpuinfo that matter most to speed, and what they are called."""

FEATURE_STEPS: Final = frozenset(
    {"Add", "Broadcast", "Concat", "Convert", "FakeQuantize", "Gather", "Interpolate", "Multiply", "ReduceMax", "Relu"}
    | {"Reshape", "Slice", "Squeeze", "Subtract", "Transpose", "Unsqueeze"}
)
"""OpenVINO's operators that features go through between two products with weights."""
CONVOLUTIONS: Final = frozenset({"Convolution", "ConvolutionBackpropData"})

Outputs = dict[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Engine:
    """A runtime and a precision.

    Attributes
    ----------
    file: the ONNX file that it runs.
    precision: what OpenVINO computes in where the graph says float32; None for ONNX Runtime.
    needs: flags of /proc/cpuinfo without which it does not run, or not fast.
    """

    name: str
    file: str
    precision: str | None
    needs: frozenset[str]

    @property
    def runtime(self) -> str:
        """The package that runs it."""
        return "onnxruntime" if self.precision is None else "openvino"


REFERENCE: Final = Engine("onnxruntime-fp32", FULL, None, frozenset())
"""What every other engine is judged by, and what runs where no other may."""
ENGINES: Final = (
    Engine("openvino-int8-bf16", BYTES, "bf16", frozenset({"avx512_bf16", "avx512_vnni"})),
    Engine("openvino-bf16", FULL, "bf16", frozenset({"avx512_bf16"})),
    Engine("openvino-int8", BYTES, "f32", frozenset({"avx2"})),
    Engine("openvino-fp32", FULL, "f32", frozenset({"avx2"})),
    REFERENCE,
)
"""The fastest first."""


class ContractError(Exception):
    """The model file is not of the contract that config.pbtxt was written for."""


class EngineError(Exception):
    """The engine that was asked for by name cannot serve here, or none can."""


@dataclass(frozen=True)
class Fault:
    """Why an engine may not serve.

    Attributes
    ----------
    expected: whether that is as it should be: this CPU does not run it, or it did not pass the precision gate.
    """

    why: str
    expected: bool


def cpu_flags() -> frozenset[str]:
    """Return the CPU's flags, as Linux names them; none where Linux does not say."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line for line in lines if line.startswith("flags")), ":").partition(":")[2].split())


def instruction_set(flags: frozenset[str]) -> str:
    """Return the name of the best instruction set for a network among a CPU's flags."""
    return next((name for flag, name in INSTRUCTIONS if flag in flags), "no AVX2")


def engines_of(folder: Path, flags: frozenset[str], asked: str = "") -> tuple[Engine, ...]:
    """Return the engines that may serve a version folder on a CPU with these flags, the one to try first first.

    Raises
    ------
    EngineError
        If one is `asked` for that may not serve here, and why.
    """
    return _choose(faults_of(folder, flags), asked)


def faults_of(folder: Path, flags: frozenset[str]) -> dict[str, Fault | None]:
    """Return why each engine may not serve a version folder on a CPU with these flags, None if it may."""
    return {engine.name: _fault(engine, folder, flags) for engine in ENGINES}


def _choose(faults: dict[str, Fault | None], asked: str) -> tuple[Engine, ...]:
    if asked in ("", "auto"):
        return tuple(engine for engine in ENGINES if faults[engine.name] is None)
    engine = next((one for one in ENGINES if one.name == asked), None)
    if engine is None:
        raise EngineError(f"{VARIABLE} = {asked!r} is none of auto, {', '.join(one.name for one in ENGINES)}")
    fault = faults[asked]
    if fault is not None:
        raise EngineError(f"{VARIABLE} = {asked}: {fault.why}")
    return (engine,)


def damaged_engines(faults: dict[str, Fault | None]) -> dict[str, str]:
    """Return, by name, why engines may not serve that this CPU runs and the gate let pass: their files are damaged."""
    return {name: fault.why for name, fault in faults.items() if fault is not None and not fault.expected}


def _fault(engine: Engine, folder: Path, flags: frozenset[str]) -> Fault | None:
    """Return why an engine may not serve a version folder on a CPU with these flags, None if it may."""
    if engine is REFERENCE:
        return None
    lacking = sorted(engine.needs - flags)
    if lacking:
        return Fault(f"this CPU has no {', '.join(lacking)}", expected=True)
    try:
        gate = json.loads((folder / GATE).read_text(encoding="utf-8"))
        judged = gate["engines"].get(engine.name)
        if judged is None or judged["passed"] is not True:
            return Fault("it has not passed the precision gate (`python -m conversion precision`)", expected=True)
        if not (folder / engine.file).is_file():
            return Fault(f"{engine.file} is missing", expected=False)
        if any(gate["sha256"].get(name) != _sha256(folder / name) for name in {FULL, engine.file}):
            return Fault(f"{GATE} is of other ONNX files", expected=False)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        unread = f"{GATE} cannot be read ({type(error).__name__}: {error})"
        return Fault(unread, expected=isinstance(error, FileNotFoundError))
    return None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _OnnxRuntime:
    """A graph in ONNX Runtime."""

    def __init__(self, path: Path, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # Spinning threads would take the cores from the service, which goes on with the answer.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        (taken,) = self._session.get_inputs()
        self.input, self.shape = taken.name, list(taken.shape)
        self._outputs = [output.name for output in self._session.get_outputs()]

    def __call__(self, hu: NDArray[np.float32]) -> Outputs:
        return dict(zip(self._outputs, self._session.run(self._outputs, {self.input: hu}), strict=True))


def exact_values(model: Any) -> list[Any]:
    """Return the outputs of an OpenVINO model's nodes that bfloat16 must not round.

    They are what features are looked up, weighted and counted by: coordinates of RoIs, whose pixels bfloat16 holds to
    two at the far edge of a slice, and overlaps. A node is of features where it multiplies by weights, or stands
    between two that do with nothing but `FEATURE_STEPS` to either side.
    """
    nodes = model.get_ordered_ops()
    sources = {one.get_name(): [value.get_node() for value in one.input_values()] for one in nodes}
    computed: set[str] = set()  # from what is asked, and not from constants alone
    for node in nodes:
        follows = any(one.get_name() in computed for one in sources[node.get_name()])
        if node.get_type_name() == "Parameter" or (follows and node.get_type_name() != "ShapeOf"):  # shapes are fixed
            computed.add(node.get_name())
    read = {name: [one for one in found if one.get_name() in computed] for name, found in sources.items()}
    products = {
        one.get_name()
        for one in nodes
        if one.get_type_name() in CONVOLUTIONS or (one.get_type_name() == "MatMul" and len(read[one.get_name()]) == 1)
    }
    steps = [one.get_name() for one in nodes if one.get_type_name() in FEATURE_STEPS and one.get_name() in computed]
    behind, after, before = set(products), set(products), set(products)
    for node in nodes:
        if any(one.get_name() in behind for one in read[node.get_name()]):
            behind.add(node.get_name())
    for name in steps:
        if any(one.get_name() in after for one in read[name]):
            after.add(name)
    leading = {one.get_name() for name in products for one in read[name]}
    for name in reversed(steps):
        if name in leading:
            before.add(name)
            leading.update(one.get_name() for one in read[name])
    features = after & before
    readers = [
        one
        for one in nodes
        if one.get_name() in features or (one.get_type_name() == "MatMul" and one.get_name() in behind)
    ]
    values = {}
    for node in readers:
        for value in node.input_values():
            name = value.get_node().get_name()
            if name in behind and name not in features:
                values[name, value.get_index()] = value
    return list(values.values())


class _OpenVino:
    """A graph in OpenVINO."""

    def __init__(self, path: Path, threads: int, precision: str) -> None:
        import openvino

        core = openvino.Core()
        model = core.read_model(path)
        said = model.get_rt_info("framework").astype(dict) if model.has_rt_info("framework") else {}
        self.metadata = {name: str(value.astype(str)) for name, value in said.items()}
        settings = {
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
            # The service and other models use the same cores.
            "ENABLE_CPU_PINNING": False,
        }
        (taken,) = model.inputs
        self.input, self.shape = taken.get_any_name(), list(taken.get_shape())
        # Named before it is compiled: then a tensor has the names of all that were fused into it.
        self._outputs = [output.get_any_name() for output in model.outputs]
        if precision == "bf16":
            # OpenVINO keeps full precision from an output back to the products that lie behind it.
            model.add_outputs(exact_values(model))
        self._request = core.compile_model(model, "CPU", settings).create_infer_request()

    def __call__(self, hu: NDArray[np.float32]) -> Outputs:
        self._request.infer([hu])
        # Copies: the next request writes over OpenVINO's own memory.
        return {name: np.array(self._request.get_output_tensor(i).data) for i, name in enumerate(self._outputs)}


def _loaded(path: Path, threads: int, engine: Engine) -> _OnnxRuntime | _OpenVino:
    return _OnnxRuntime(path, threads) if engine.precision is None else _OpenVino(path, threads, engine.precision)


class Detector:
    """An ONNX file of the detector in an engine, loaded and warm.

    Attributes
    ----------
    engine: what runs it.
    passed_over: the better engines that failed here, each with the reason.
    undecided: those of them that only took too long.

    Raises
    ------
    ContractError
        If the file's metadata name another contract version than `contract_version`, or none.
    """

    def __init__(self, path: Path, contract_version: str, threads: int = 0, engine: Engine = REFERENCE):
        self.engine = engine
        self.passed_over: dict[str, str] = {}
        self.undecided: tuple[Engine, ...] = ()
        self._run = _loaded(path, threads, engine)
        found = self._run.metadata.get("contract_version")
        if found != contract_version:
            raise ContractError(f"{path.name} is of contract version {found}, not {contract_version}")
        self.input = self._run.input
        # The first run plans memory; no study should wait for it.
        self(np.zeros(self._run.shape, np.int16))

    def __call__(self, hu: NDArray[np.generic]) -> Outputs:
        """Return the outputs for a chunk `hu` of any numeric dtype, [20, 512, 512] in HU.

        Raises ValueError if its shape is another.
        """
        if list(hu.shape) != self._run.shape:
            raise ValueError(f"{self.input} has the shape {list(hu.shape)}, not {self._run.shape}")
        return self._run(hu.astype(np.float32, copy=False))


def served_detector(
    folder: Path,
    contract_version: str,
    threads: int,
    asked: str = "",
    golden: str = "",
    log: Callable[[str], None] = print,
) -> Detector:
    """Return the detector of a version folder in the first engine that loads and answers rightly.

    Parameters
    ----------
    golden: the recorded answer to the golden chunk; without one, or without `RULES`, an engine is not proven here, and
        the service's own golden chunk is the only proof.
    log: told of each engine that failed.

    Raises
    ------
    EngineError
        If the engine that is `asked` for may not serve here, or no engine does; with all reasons.
    ContractError
        If the model is of another contract.
    """
    faults = faults_of(folder, cpu_flags())  # once: it hashes the files
    engines = _choose(faults, asked)
    failed = damaged_engines(faults) if asked in ("", "auto") else {}
    for name, damage in failed.items():
        log(f"{name} is passed over: {damage}")
    prove = _golden_proof(folder, golden, log)
    trials = Trials(TRIALS_S)
    for engine in engines:
        path = folder / engine.file
        # With the last one there is nothing to be saved by a trial.
        why = None if engine is engines[-1] else trials.fault(path, threads, engine)
        found = why or _proven_detector(path, contract_version, threads, engine, prove)
        if isinstance(found, Detector):
            better = [one.name for one in ENGINES[: ENGINES.index(engine)]]
            found.passed_over = {name: failed[name] for name in better if name in failed}
            found.undecided = tuple(trials.undecided)
            return found
        failed[engine.name] = found
        log(f"{engine.name} is passed over: {found}")
    raise EngineError("no engine serves this model: " + "; ".join(f"{name}: {why}" for name, why in failed.items()))


def better_detector(
    served: Detector,
    folder: Path,
    contract_version: str,
    threads: int,
    golden: str = "",
    log: Callable[[str], None] = print,
) -> Detector | None:
    """Return the detector in the first undecided engine of `served` that loads and answers rightly now, None if none.

    What is found of the others replaces what `served` knows of them.
    """
    prove = _golden_proof(folder, golden, log)
    trials = Trials(TRY_AGAIN_TRIALS_S)
    for engine in served.undecided:
        path = folder / engine.file
        why = trials.fault(path, threads, engine)
        found = why or _proven_detector(path, contract_version, threads, engine, prove)
        if isinstance(found, Detector):
            better = [one.name for one in ENGINES[: ENGINES.index(engine)]]
            found.passed_over = {name: why for name, why in served.passed_over.items() if name in better}
            log(f"{engine.name} runs now, after it took too long at first")
            return found
        served.passed_over[engine.name] = found
        log(f"{engine.name} was tried again and stays passed over: {found}")
    served.undecided = tuple(trials.undecided)
    return None


def _proven_detector(
    path: Path,
    contract_version: str,
    threads: int,
    engine: Engine,
    prove: Callable[[Detector], str | None] | None,
) -> Detector | str:
    """Return the detector in an engine that loads and answers rightly, or why it does not; raises `ContractError`."""
    loaded = False
    try:
        detector = Detector(path, contract_version, threads, engine)
        loaded = True
        return (prove(detector) if prove is not None else None) or detector
    except ContractError:
        raise
    except Exception as error:  # of a runtime that is not installed, or does not take this CPU
        where = "the golden chunk cannot be compared" if loaded else "it does not load"
        return f"{where}: {type(error).__name__}: {error}"


def _golden_proof(folder: Path, golden: str, log: Callable[[str], None]) -> Callable[[Detector], str | None] | None:
    """Return what says how a detector's answer to the golden chunk differs from the recorded one, None without a proof.

    The rules are those of the service; where they are not installed, the copy in the version folder is used.
    """
    if not golden:
        return None
    if (folder / RULES).is_dir() and str(folder / RULES) not in sys.path:
        sys.path.append(str(folder / RULES))
    try:
        rules = importlib.import_module("appliance.reading.golden")
    except ImportError as error:
        log(f"the engine is not proven before it serves, its rules are missing: {error}")
        return None

    def fault(detector: Detector) -> str | None:
        found: str | None = rules.golden_matches(golden, detector(rules.golden_chunk()))
        return None if found is None else f"the golden chunk comes back wrong: {found}"

    return fault


class Trials:
    """Trials that take `seconds` in all, s; a runtime that hangs is tried once, whatever its engines.

    Attributes
    ----------
    undecided: the engines that took too long, or that no time was left for.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = time.monotonic() + seconds
        self._hangs: dict[str, str] = {}
        self.undecided: list[Engine] = []

    def fault(self, path: Path, threads: int, engine: Engine) -> str | None:
        """Return why an engine does not load and run a file here, None if it does.

        It is tried in a process of its own, which an instruction that the CPU lacks, or a driver of a virtual machine
        that promises too much, may end.
        """
        if engine.runtime in self._hangs:
            self.undecided.append(engine)
            return f"it is not tried, as {self._hangs[engine.runtime]} did not load and run in time"
        left_s = self._end - time.monotonic()
        if left_s <= 0:
            self.undecided.append(engine)
            return f"it is not tried, as the engines before it took the {self._seconds:g} s that there are for all"
        # In Triton the interpreter is embedded, and the environment's Python comes first on PATH.
        python = sys.executable if "python" in Path(sys.executable or "").name else shutil.which("python3")
        if python is None:
            return None
        command = [python, str(Path(__file__).absolute()), engine.name, str(path), str(threads)]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, errors="replace", timeout=left_s, check=False
            )
        except subprocess.TimeoutExpired:
            self._hangs[engine.runtime] = engine.name
            self.undecided.append(engine)
            return f"it did not load and run within {left_s:.0f} s"
        if done.returncode < 0:
            return f"it ends its process ({signal.Signals(-done.returncode).name})"
        if done.returncode > 0:
            return f"it does not load: {(done.stderr.strip().splitlines() or ['it does not say why'])[-1]}"
        return None


def try_engine(name: str, path: str, threads: str) -> None:
    """Load an engine and run it once; raises whatever the runtime raises."""
    engine = next(one for one in ENGINES if one.name == name)
    run = _loaded(Path(path), int(threads), engine)
    run(np.zeros(run.shape, np.float32))


class TritonPythonModel:
    """What Triton's Python backend looks for in a model.py."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the detector of this model's version folder."""
        parameters = {
            key: value["string_value"] for key, value in json.loads(args["model_config"])["parameters"].items()
        }
        folder = Path(args["model_repository"]) / args["model_version"]
        # Who starts Triton may give fewer (triton.threads of the appliance's settings).
        given = parameters.get("intra_op_threads", "0"), os.environ.get("OMP_NUM_THREADS", "0")
        threads = next((int(one) for one in given if int(one)), os.cpu_count() or 1)
        asked = os.environ.get(VARIABLE, "")
        contract, golden = parameters["contract_version"], parameters.get("golden", "")
        warn = pb_utils.Logger.log_warn
        self.detector = served_detector(folder, contract, threads, asked, golden, warn)
        self._labels = {
            "model": args["model_name"],
            "version": args["model_version"],
            "instructions": instruction_set(cpu_flags()),
            "threads": str(threads),
        }
        self._metrics: list[Any] = []
        self._tell_engine()
        self._better: Detector | None = None
        self._tried_again = False
        self._ended = threading.Event()
        if self.detector.undecided:
            arguments = (self.detector, folder, contract, threads, golden, warn)
            threading.Thread(target=self._try_again, args=arguments, name="trials", daemon=True).start()

    def _try_again(self, served: Detector, *arguments: Any) -> None:
        """Try the undecided engines now and then; the next request is answered by one that runs."""
        for pause_s in TRY_AGAIN_S:
            if not served.undecided or self._ended.wait(pause_s):
                return
            better = better_detector(served, *arguments)
            self._better, self._tried_again = better, True
            if better is not None:
                return

    def _tell_engine(self) -> None:
        """Say in the log and among Triton's metrics which engine serves, and which better ones failed."""
        log, labels = pb_utils.Logger, self._labels | {"engine": self.detector.engine.name}
        log.log_info(f"the engine serves: {json.dumps(labels)}")
        self._remove_metrics()
        try:
            self._tell(METRIC, "The engine that runs the detector", [labels])
            failed = [
                labels | {"engine": name, "why": " ".join(why.split())[:_MOST_WORDS]}
                for name, why in self.detector.passed_over.items()
            ]
            if failed:
                self._tell(METRIC_PASSED_OVER, "A better engine, which failed when it was last tried", failed)
        except Exception as error:  # of a server that was started without metrics
            log.log_warn(f"no metric says which engine serves: {error}")

    def _tell(self, name: str, description: str, labels: list[dict[str, str]]) -> None:
        """Add a metric to Triton's that is 1 for each of these labels."""
        family = pb_utils.MetricFamily(name=name, description=description, kind=pb_utils.MetricFamily.GAUGE)
        self._metrics.append(family)
        for one in labels:
            metric = family.Metric(labels=one)
            self._metrics.insert(0, metric)
            metric.set(1)

    def finalize(self) -> None:
        """Take the metrics away, and try no engine any more."""
        self._ended.set()
        self._remove_metrics()

    def _remove_metrics(self) -> None:
        """Take the metrics away, each before its family goes."""
        while self._metrics:
            del self._metrics[0]

    def execute(self, requests: list[Any]) -> list[Any]:
        """Return one response a request; a request that fails gets its error and the others their answers."""
        if self._tried_again:
            self._tried_again = False
            self.detector, self._better = self._better or self.detector, None
            self._tell_engine()
        return [self._response(request) for request in requests]

    def _response(self, request: Any) -> Any:
        """Return the response to one request."""
        try:
            hu = pb_utils.get_input_tensor_by_name(request, self.detector.input).as_numpy()
            found = self.detector(hu)
            return pb_utils.InferenceResponse([pb_utils.Tensor(name, array) for name, array in found.items()])
        except Exception as error:
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(f"{type(error).__name__}: {error}"))


if __name__ == "__main__":
    try_engine(*sys.argv[1:])
