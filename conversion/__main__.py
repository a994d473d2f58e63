# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m conversion`: export trained weights to ONNX, judge precisions, lay out Triton's model repository.

python -m conversion export --variant edge --out var/conversion/edge.onnx --time
python -m conversion precision --onnx var/conversion/edge.onnx --out var/precision
python -m conversion repository --onnx var/conversion/edge.onnx --precision var/precision --out model_repository
python -m conversion engine                                             # on a site, for the GPU that is there
python -m conversion engine --runtime tensorrt_rtx --capability 8.6 --out var/conversion/sm86
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    import onnx
    from rich.progress import TaskID

    from conversion.parity import Difference
    from training.network.detector import Detector

ROOT = Path(__file__).parent.parent
SHIPPED = ROOT / "model_repository" / "hemorrhage_detector" / "1" / "model.onnx"


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the exit status: 1 where the exported model differs from the trained one."""
    parser = argparse.ArgumentParser(prog="python -m conversion", description=(__doc__ or "").split("\n\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    export = commands.add_parser("export", help="weights to ONNX, checked and compared with TensorFlow")
    export.add_argument("--variant", default="edge", choices=("edge", "full"))
    export.add_argument("--weights", type=Path, help="default: training/weights/VARIANT.weights.h5")
    export.add_argument("--origin", type=Path, help="the weights' provenance; default: VARIANT.json beside them")
    export.add_argument("--out", type=Path, help="default: var/conversion/VARIANT.onnx")
    export.add_argument("--version", type=int, default=1, help="the version that the model states")
    export.add_argument("--time", action="store_true", help="time ONNX Runtime on 32 slices, two threads")
    export.add_argument(
        "--for-figures",
        action="store_true",
        help="also write a network that differs only in which of its detections rounding keeps, as one that is hardly "
        "trained; it is not laid out to be served",
    )
    export.add_argument("--json", action="store_true", help="print the figures as JSON")
    repository = commands.add_parser("repository", help="lay out Triton's model repository")
    repository.add_argument("--onnx", type=Path, required=True)
    repository.add_argument("--out", type=Path, default=ROOT / "model_repository")
    repository.add_argument("--version", type=int, default=1)
    repository.add_argument(
        "--precision", type=Path, help="the folder that `precision` wrote; without it only full precision is served"
    )
    precision = commands.add_parser(
        "precision", help="make the graphs of reduced precision, and judge whether they answer like the full one"
    )
    precision.add_argument("--onnx", type=Path, default=SHIPPED, help="default: the shipped detector")
    precision.add_argument(
        "--out", type=Path, default=ROOT / "var" / "precision", help="folder of the run; a stopped run continues"
    )
    precision.add_argument("--studies", type=int, default=200, help="number of studies; fewer give figures but no pass")
    precision.add_argument(
        "--calibration-studies", type=int, default=20, help="number of studies that 8-bit scales are chosen on"
    )
    precision.add_argument("--engines", default="all", help="names with commas between")
    precision.add_argument("--workers", type=int, default=1, help="processes that simulate studies")
    precision.add_argument("--threads", type=int, default=1, help="of the engines")
    precision.add_argument("--json", action="store_true", help="print precisions.json in place of the table")
    engine = commands.add_parser("engine", help="build a TensorRT engine, compare it, and install it")
    engine.add_argument("--onnx", type=Path, default=SHIPPED, help="default: the shipped detector")
    engine.add_argument("--out", type=Path, help="the folder of model.plan; default: that of the ONNX file")
    engine.add_argument("--runtime", default="tensorrt", help="the Python module: tensorrt, or tensorrt_rtx")
    engine.add_argument(
        "--capability",
        help="build for this compute capability (8.6) instead of the GPU here; the engine is not compared",
    )
    engine.add_argument("--precision", default="fp16", choices=("fp16", "fp32"))
    engine.add_argument("--optimisation", type=int, default=3, choices=range(6), help="TensorRT's level, default 3")
    engine.add_argument("--workspace-mib", type=int, default=0, help="memory for one layer; 0: TensorRT decides")
    engine.add_argument("--anew", action="store_true", help="build even if the right engine exists")
    engine.add_argument("--despite-gate", action="store_true", help="build even what failed the precision gate")
    engine.add_argument("--json", action="store_true", help="print the engine's facts as JSON")
    window = commands.add_parser(
        "window", help="the detector for other slices a call, to be timed beside the shipped one"
    )
    window.add_argument("--variant", default="edge", choices=("edge", "full"))
    window.add_argument("--weights", type=Path, help="default: training/weights/VARIANT.weights.h5")
    window.add_argument("--slices", type=int, default=1, help="target slices a call, default 1, as in the paper")
    window.add_argument("--out", type=Path, default=ROOT / "var" / "peers" / "window.onnx")
    given = parser.parse_args(arguments)
    if given.command == "export":
        return _export(given)
    if given.command == "window":
        return _window(given)
    if given.command == "engine":
        return _engine(given)
    if given.command == "precision":
        return _precision(given)
    from conversion.checks import UnfitModelError
    from conversion.repository import lay_out

    try:
        print(lay_out(given.onnx, given.out, given.version, given.precision))
    except UnfitModelError as error:
        print(f"not laid out: {error}", file=sys.stderr)
        return 1
    return 0


def _precision(given: argparse.Namespace) -> int:
    """Judge precisions and print the table; return 1 if one that was asked for does not pass."""
    from conversion.checks import UnfitModelError
    from conversion.precision_command import TABLE, Wanted, engines_named, run
    from conversion.triton_model import GATE

    try:
        if min(given.studies, given.calibration_studies, given.workers, given.threads) < 1:
            raise ValueError("--studies, --calibration-studies, --workers and --threads are 1 or more")
        engines = engines_named(given.engines)
        wanted = Wanted(
            given.onnx, given.out, given.studies, given.calibration_studies, engines, given.workers, given.threads
        )
        report = run(wanted, Console(stderr=True))
    except (UnfitModelError, OSError, ValueError) as error:
        print(f"not judged: {error}", file=sys.stderr)
        return 2
    print((given.out / (GATE if given.json else TABLE)).read_text(), end="")
    verdicts = [report["engines"][engine.name] for engine in engines if engine.name in report["engines"]]
    return 0 if all(one["passed"] for one in verdicts) else 1


def _window(given: argparse.Namespace) -> int:
    """Write the detector for so many slices a call; return 2 for none."""
    from conversion.export import load_detector
    from conversion.window import window_model

    if given.slices < 1:
        print(f"--slices is 1 or more, not {given.slices}", file=sys.stderr)
        return 2
    weights = given.weights or ROOT / "training" / "weights" / f"{given.variant}.weights.h5"
    model = window_model(load_detector(given.variant, weights), given.slices)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_bytes(model.SerializeToString())
    print(given.out)
    return 0


def _export(given: argparse.Namespace) -> int:
    """Export, check, compare, and only then write the file to its place."""
    from conversion.checks import DIFFERS, check
    from conversion.export import load_detector, model_metadata, onnx_model
    from conversion.parity import describe, differ_by_rounding

    weights = given.weights or ROOT / "training" / "weights" / f"{given.variant}.weights.h5"
    origin = given.origin or weights.with_name(f"{given.variant}.json")
    out = given.out or ROOT / "var" / "conversion" / f"{given.variant}.onnx"
    detector = load_detector(given.variant, weights)
    said = model_metadata(given.variant, weights, given.version, json.loads(origin.read_text()))
    model = onnx_model(detector, said)
    check(model)
    differences = _differences(detector, model)
    seconds = _seconds(model) if given.time else None
    same = all(one.small for one in differences)
    if given.json:
        figures = {"onnx": str(out), "same": same, "parity": [one.as_json() for one in differences]}
        print(json.dumps(figures | ({"seconds_32_slices": seconds} if seconds else {}), indent=2))
    else:
        _print(differences, seconds)
    if not same:
        why = describe(differences)
        if not (given.for_figures and differ_by_rounding(differences)):
            print(f"nothing was written; the exported model differs: {why}", file=sys.stderr)
            return 1
        model.metadata_props.add(key=DIFFERS, value=why)
        print(f"written for figures alone: {why}", file=sys.stderr)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(model.SerializeToString())
    print(f"{out} ({out.stat().st_size / 1e6:.1f} MB)", file=sys.stderr)
    return 0


def _engine(given: argparse.Namespace) -> int:
    """Build an engine, or find that the right one exists, and say what it is; return 1 for none, with the reason."""
    try:
        return _settle_engine(given)
    except ModuleNotFoundError as error:
        print(
            f"no engine: {error.name} is not installed in {sys.executable}; an engine is built by a Python with "
            "TensorRT, onnx and onnxruntime, which triton.builder names for `appliance models build` (docs/engines.md)",
            file=sys.stderr,
        )
        return 1


def _settle_engine(given: argparse.Namespace) -> int:
    import importlib

    from rich.progress import Progress

    from appliance.reading.gpu import Gpu, NoGpuError, present_gpus
    from conversion.engine import PLAN, engine_graph, note_gate, settle_engine
    from conversion.engine_run import comparison
    from conversion.gate import gate_fault
    from conversion.tensorrt_build import BuildOptions, EngineError

    plan = (given.out or given.onnx.parent) / PLAN
    options = BuildOptions(given.precision, given.optimisation, given.workspace_mib)
    try:
        graph_sha256 = hashlib.sha256(engine_graph(given.onnx, options)).hexdigest()
        fault = gate_fault(given.onnx, options.precision, graph_sha256)
        if fault is not None and fault.failed and not given.despite_gate:
            note_gate(plan, graph_sha256, fault)
            print(
                f"no engine: in {options.precision} {given.onnx} failed the precision gate ({fault.why}); "
                "--precision fp32 needs no pass, --despite-gate builds it to be measured (the appliance does not serve "
                f"it); {plan} is as it was",
                file=sys.stderr,
            )
            return 1
        gpu = Gpu("any", given.capability, "any") if given.capability else present_gpus()[0]
        tensorrt = importlib.import_module(given.runtime)
        compare = None if given.capability else comparison(given.onnx, tensorrt)
        with Progress(console=Console(stderr=True), transient=True) as progress:
            tasks: dict[str, TaskID] = {}

            def watch(name: str, done: int, steps: int) -> None:
                if name not in tasks:
                    tasks[name] = progress.add_task(name.lower(), total=steps)
                progress.update(tasks[name], completed=done, total=steps)

            engine = settle_engine(
                given.onnx, plan, tensorrt, gpu, options, gate=fault, compare=compare, watch=watch, anew=given.anew
            )
    except NoGpuError as error:
        remedy = "install NVIDIA's driver, or name a compute capability to build for another machine (--capability 8.6)"
        print(f"no engine: {error}: {remedy}; {plan} is as it was", file=sys.stderr)
        return 1
    except (EngineError, OSError, ValueError) as error:
        print(f"no engine: {error}; {plan} is as it was", file=sys.stderr)
        return 1
    if fault is not None:
        print(f"this engine has not passed the precision gate: {fault.why}", file=sys.stderr)
    if given.json:
        print(json.dumps(engine.report() | {"gate_passed": fault is None}, indent=2))
    else:
        compared = f"compared on {engine.compared['chunks']} chunks" if engine.compared else "not compared here"
        print(
            f"{plan} ({plan.stat().st_size / 1e6:.1f} MB), {options.precision}, for {gpu.name} ({gpu.capability}) by "
            f"{engine.key.runtime} {engine.key.runtime_version}: "
            f"built {engine.built} in {engine.seconds:.0f} s, {compared}"
        )
    return 0


def _differences(detector: Detector, model: onnx.ModelProto) -> list[Difference]:
    """Return how far ONNX Runtime is from TensorFlow on random and on simulated chunks."""
    import numpy as np
    import onnxruntime

    from appliance.reading.contract import TYPES, chunks
    from conversion.parity import difference, random_chunk
    from simulator.scan import simulate_scan
    from training.train import detector_run

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    reference = detector_run(detector)
    inputs = {f"random {seed}": random_chunk(seed) for seed in range(3)}
    for seed, diagnosis in enumerate(("none", *TYPES), start=1):
        hu = simulate_scan(seed, str(diagnosis)).hu
        for number, index in enumerate(chunks(len(hu))[:2]):
            inputs[f"{diagnosis} {number}"] = hu[index].astype(np.float32)
    return [
        difference(name, reference(hu), dict(zip(names, session.run(names, {"hu": hu}), strict=True)))
        for name, hu in inputs.items()
    ]


def _seconds(model: onnx.ModelProto) -> float:
    """Return the median time of two chunks (32 slices) in ONNX Runtime with two threads."""
    import numpy as np
    import onnxruntime

    from conversion.parity import random_chunk

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    hu = random_chunk(0)
    times = []
    for _ in range(6):
        start = time.perf_counter()
        for _ in range(2):
            session.run(None, {"hu": hu})
        times.append(time.perf_counter() - start)
    return float(np.median(times[1:]))


def _print(differences: list[Difference], seconds: float | None) -> None:
    """Print the comparison as a table."""
    table = Table(title="ONNX Runtime against TensorFlow: largest differences", box=box.SIMPLE_HEAD, padding=(0, 1))
    for name in ("chunk", "found", "dismissed", "unpaired", "boxes px", "scores", "masks", "same"):
        table.add_column(name, justify="left" if name == "chunk" else "right", no_wrap=True)
    for one in differences:
        figures = (f"{value:.1e}" for value in (one.box_px, one.score, one.mask))
        counts = (str(value) for value in (one.detections, one.dismissed, one.unpaired))
        table.add_row(one.chunk, *counts, *figures, "yes" if one.small else "NO")
    Console().print(table)
    if seconds is not None:
        print(f"ONNX Runtime, 32 slices, two threads: {seconds:.2f} s")


if __name__ == "__main__":
    sys.exit(main())
