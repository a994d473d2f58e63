# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m conversion precision`: the graphs of reduced precision, and the gate that they pass or not.

A stopped run continues where it was: studies, graphs and every engine's reading of each study are kept. A reading
belongs to one file, runtime, simulator and state of the reading code; when one of these changes, it is made again. Of
the reading code only what it computes counts: a comment or a docstring may change. A run of some engines keeps the
verdicts that the folder has of the others, if files, limits and runtimes are the same; each says on which studies and
CPU it was judged. So one engine can be judged where another cannot run.
"""

from __future__ import annotations

import hashlib
import json
import math
import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from rich.console import Console

from appliance.reading import contract
from appliance.reading.detections import Run
from appliance.reading.golden import golden_chunk, golden_matches, golden_summary
from conversion import precision, studies, triton_model
from conversion.checks import check
from conversion.gate import HALF, JUDGED_AS
from conversion.half import halve
from conversion.precision import KINDS, Outcome
from conversion.quantise import calibrate, quantise
from conversion.revision import code_revision
from conversion.triton_model import (
    BYTES,
    ENGINES,
    FULL,
    GATE,
    REFERENCE,
    Detector,
    Engine,
    cpu_flags,
    instruction_set,
)
from simulator.manifest import Entry
from simulator.progress import progress_bar
from simulator.revision import simulator_revision

ROOT: Final = Path(__file__).parent.parent
TENSORRT_FP16: Final = Engine(JUDGED_AS, HALF, None, frozenset())
"""The graph for TensorRT; ONNX Runtime runs it here instead, so that no GPU is needed."""
CANDIDATES: Final = (*(engine for engine in ENGINES if engine is not REFERENCE), TENSORRT_FP16)
TABLE: Final = "precisions.md"
_SHARED: Final = ("threshold", "most", "runtimes")
"""What a report says of all its verdicts."""
_OF_EACH: Final = ("made", "studies", "cpu", "reference")
"""What each verdict says of itself, as `judged`; older reports said it of all of theirs."""
_READING_CODE: Final = (Path(precision.__file__), Path(studies.__file__), Path(triton_model.__file__))
"""Together with `appliance/reading`, the code whose change invalidates earlier readings."""


@dataclass(frozen=True)
class Wanted:
    """The request for one run of the gate."""

    model: Path
    out: Path
    studies: int
    calibration_studies: int
    engines: tuple[Engine, ...]
    workers: int
    threads: int


def engines_named(names: str) -> tuple[Engine, ...]:
    """Return the engines of a comma-separated list, all for "all".

    Raises ValueError with the known names.
    """
    if names == "all":
        return CANDIDATES
    known = {engine.name: engine for engine in CANDIDATES}
    asked = [name.strip() for name in names.split(",")]
    strange = [name for name in asked if name not in known]
    if strange:
        raise ValueError(f"--engines: {', '.join(strange)} is none of all, {', '.join(known)}")
    return tuple(known[name] for name in dict.fromkeys(asked))


def run(wanted: Wanted, console: Console) -> dict[str, Any]:
    """Make what is missing, judge, write `precisions.json` and the table, and return the contents of the former.

    Raises
    ------
    ValueError
        If the model is not of this contract, a study cannot be made, or the folder's earlier report is damaged.
    """
    model = onnx.load(str(wanted.model))
    check(model)
    said = {one.key: one.value for one in model.metadata_props}
    threshold = float(said[contract.PARAMETER_THRESHOLD])
    earlier = load_report(wanted.out)
    graphs = wanted.out / "graphs" / _sha256(wanted.model.read_bytes())[:16]
    engines, skipped = _split_usable(wanted.engines)
    entries = studies.judged_entries(wanted.studies)
    calibration = studies.calibration_entries(wanted.calibration_studies)
    with progress_bar(console) as progress:

        def watch(what: str, steps: Iterator[None], total: int) -> None:
            bar = progress.add_task(what, total=total)
            for _ in steps:
                progress.advance(bar)

        folders = wanted.out / "studies", wanted.out / "calibration"
        watch("simulating studies", studies.make_missing(entries, folders[0], wanted.workers), len(entries))
        if any(engine.file == BYTES for engine in engines):
            watch("for calibration", studies.make_missing(calibration, folders[1], wanted.workers), len(calibration))
        make_graphs(model, wanted.model, graphs, engines, calibration, folders[1])
        readings = {
            engine.name: Readings(wanted.out / "readings", engine, graphs / engine.file, threshold)
            for engine in (REFERENCE, *engines)
        }
        watch(
            "reading",
            _read_missing(entries, folders[0], list(readings.values()), wanted.threads),
            len(entries) * len(readings),
        )
    outcomes = {name: [one.load_outcome(entry) for entry in entries] for name, one in readings.items()}
    reference = outcomes[REFERENCE.name]
    phantom = golden_chunk().astype(np.float32)
    answer = readings[REFERENCE.name].load(wanted.threads)(phantom)
    verdicts = {
        engine.name: precision.judge(
            reference,
            outcomes[engine.name],
            golden_matches(
                golden_summary(answer, precision.golden_room(engine.precision)),
                readings[engine.name].load(wanted.threads)(phantom),
            ),
        )
        for engine in engines
    }
    files = {FULL, *(engine.file for engine in engines)}
    judged = {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "studies": {
            "count": len(entries),
            "with_blood": sum(one.positive for one in reference),
            "population": entries[0].population,
            "seeds": [min(entry.seed for entry in entries), max(entry.seed for entry in entries)],
            "simulator": simulator_revision(),
        },
        "cpu": {"machine": platform.machine(), "instructions": instruction_set(cpu_flags())},
        "reference": {"name": REFERENCE.name, "file": FULL, **asdict(precision.figures(reference))},
    }
    report: dict[str, Any] = {
        "sha256": {name: _sha256((graphs / name).read_bytes()) for name in sorted(files)},
        "calibration_seeds": [min(entry.seed for entry in calibration), max(entry.seed for entry in calibration)],
        "threshold": threshold,
        "most": {"auc_fall": precision.MOST_AUC, "dice_fall": precision.MOST_DICE},
        "runtimes": {name: version(name) for name in ("onnxruntime", "openvino")},
        "engines": {
            engine.name: {"file": engine.file, **verdicts[engine.name].as_json(), "judged": judged}
            for engine in engines
        },
        "skipped": skipped,
    }
    report = dict(_without_nan(report))
    wanted.out.mkdir(parents=True, exist_ok=True)
    keep_verdicts(report, earlier, wanted.out)
    _write(wanted.out / GATE, json.dumps(report, indent=2, allow_nan=False) + "\n")
    _write(wanted.out / TABLE, table(report))
    for name in sorted(files - {FULL}):
        _write(wanted.out / name, (graphs / name).read_bytes())
    return report


def load_report(folder: Path) -> dict[str, Any]:
    """Return what an earlier run of the gate wrote into a folder; empty if none did.

    Raises `ValueError` if `precisions.json` in the folder is damaged.
    """
    try:
        report = json.loads((folder / GATE).read_text(encoding="utf-8"))
        for verdict in report["engines"].values():
            _ = verdict["file"], report["sha256"].get(FULL)
            if "judged" not in verdict:
                verdict["judged"] = {name: report[name] for name in _OF_EACH}
        return {name: value for name, value in report.items() if name not in _OF_EACH}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{folder / GATE} is damaged ({type(error).__name__}: {error}): remove it") from error


def keep_verdicts(report: dict[str, Any], earlier: dict[str, Any], folder: Path) -> None:
    """Add to a report the verdicts of an earlier one in the same folder, of engines that were not judged now.

    They are kept if threshold, limits and runtimes are the same; and each only if its file in the folder is still the
    one that was judged.
    """
    if any(earlier.get(name) != report[name] for name in _SHARED):
        return
    for name, verdict in earlier["engines"].items():
        files = {}
        for file in {FULL, verdict["file"]}:
            known = report["sha256"].get(file)
            path = folder / file
            files[file] = known or (_sha256(path.read_bytes()) if path.is_file() else "missing")
        if all(earlier["sha256"].get(file) == sha256 for file, sha256 in files.items()):
            report["engines"].setdefault(name, verdict)
            report["sha256"] |= files


def _split_usable(engines: Sequence[Engine]) -> tuple[tuple[Engine, ...], dict[str, str]]:
    """Return the engines that this CPU runs, and why it does not run the others."""
    lacking = {engine.name: sorted(engine.needs - cpu_flags()) for engine in engines}
    skipped = {name: f"this CPU has no {', '.join(flags)}" for name, flags in lacking.items() if flags}
    return tuple(engine for engine in engines if engine.name not in skipped), skipped


def make_graphs(
    model: onnx.ModelProto,
    source: Path,
    folder: Path,
    engines: Sequence[Engine],
    calibration: Sequence[Entry],
    scans: Path,
) -> None:
    """Write the graphs of the engines that `folder` lacks."""
    folder.mkdir(parents=True, exist_ok=True)
    made: dict[str, Callable[[], bytes]] = {
        FULL: source.read_bytes,
        HALF: lambda: halve(model).SerializeToString(),
        BYTES: lambda: quantise(model, calibrate(model, studies.middle_chunks(calibration, scans))).SerializeToString(),
    }
    for name in {FULL, *(engine.file for engine in engines)}:
        # Scales depend on the studies they were chosen on, and on how.
        stamp = _stamp(("quantise", "half", "studies"), calibration) if name == BYTES else _stamp(("half",), ())
        if (folder / f".{name}.stamp").exists() and (folder / f".{name}.stamp").read_text() == stamp:
            continue
        _write(folder / name, made[name]())
        check(onnx.load(str(folder / name)))
        _write(folder / f".{name}.stamp", stamp)


class Readings:
    """What an engine found in studies, in a folder for one file, runtime, simulator and reading code."""

    def __init__(self, folder: Path, engine: Engine, file: Path, threshold: float) -> None:
        self.engine, self._file, self._threshold = engine, file, threshold
        runtime = "onnxruntime" if engine.precision is None else "openvino"
        key = {
            "engine": engine.name,
            "file": _sha256(file.read_bytes()),
            "runtime": version(runtime),
            "instructions": instruction_set(cpu_flags()),
            "threshold": threshold,
            "simulator": simulator_revision(),
            "code": code_revision([*sorted((ROOT / "appliance/reading").glob("*.py")), *_READING_CODE], ROOT),
        }
        self._folder = folder / f"{engine.name}-{_sha256(json.dumps(key).encode())[:12]}"
        self._folder.mkdir(parents=True, exist_ok=True)

    def lacks(self, entry: Entry) -> bool:
        """Return whether the study has not been read yet."""
        return not self._path(entry).exists()

    def load(self, threads: int) -> Run:
        """Return the engine, loaded."""
        return Detector(self._file, str(contract.CONTRACT_VERSION), threads, self.engine)

    def read(self, detector: Run, entry: Entry, scan: studies.LabelledScan) -> None:
        """Read a study and keep what was found."""
        _write(self._path(entry), json.dumps(asdict(precision.read(detector, scan, self._threshold))))

    def load_outcome(self, entry: Entry) -> Outcome:
        """Return what was found in a study.

        Raises ValueError if the file is damaged: remove it.
        """
        path = self._path(entry)
        try:
            return Outcome.from_json(json.loads(path.read_text(encoding="utf-8")))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} holds no reading ({error}): remove it, and the study is read again") from error

    def _path(self, entry: Entry) -> Path:
        return self._folder / f"{entry.name}.json"


def _read_missing(entries: Sequence[Entry], folder: Path, readings: Sequence[Readings], threads: int) -> Iterator[None]:
    """Have every engine read the studies that it has not read; yield once for each study and engine."""
    loaded: dict[str, Run] = {}
    for entry in entries:
        scan = None
        for one in readings:
            if one.lacks(entry):
                scan = scan or studies.load(entry, folder)
                if one.engine.name not in loaded:
                    loaded[one.engine.name] = one.load(threads)
                one.read(loaded[one.engine.name], entry, scan)
            yield


def table(report: dict[str, Any]) -> str:
    """Return the gate's tables in Markdown, of what `precisions.json` holds: one for each run that judged engines."""
    lines: list[str] = []
    runs: dict[str, dict[str, dict[str, Any]]] = {}
    for name, verdict in report["engines"].items():
        runs.setdefault(json.dumps(verdict["judged"]), {})[name] = verdict
    for judged, verdicts in runs.items():
        lines += [*_table_of_run(report["threshold"], json.loads(judged), verdicts), ""]
    for name, why in report["skipped"].items():
        if name not in report["engines"]:
            lines += [f"{name} was not judged: {why}.", ""]
    return "\n".join(lines[:-1]) + "\n"


def _table_of_run(threshold: float, judged: dict[str, Any], verdicts: dict[str, dict[str, Any]]) -> list[str]:
    """Return the lines of the table of engines that one run judged."""
    said, reference = judged["studies"], judged["reference"]
    first, last = said["seeds"]
    lines = [
        f"{said['count']} simulated studies ({said['population']}, seeds {first:,} to {last:,}), {said['with_blood']} "
        f"of them with blood; lesions at {threshold:g}; {judged['cpu']['instructions']}, {judged['made'][:10]}. In "
        "brackets the fall against the reference, and its 95 % interval.",
        "",
        "| engine | AUC | " + " | ".join(f"Dice {kind}" for kind in KINDS) + " | |",
        "|---|" + "---|" * (len(KINDS) + 2),
    ]
    figures = " | ".join(_figure(reference["dice"][kind]) for kind in KINDS)
    lines.append(f"| {reference['name']} | {_figure(reference['auc'])} | {figures} | the reference |")
    for name, verdict in verdicts.items():
        cells = [_cell(verdict["auc"], verdict["auc_fall"], verdict["auc_fall_95"])]
        cells += [
            _cell(verdict["dice"][kind], verdict["dice_fall"][kind], verdict["dice_fall_95"][kind]) for kind in KINDS
        ]
        says = "passes" if verdict["passed"] else "; ".join(verdict["faults"])
        lines.append(f"| {name} | {' | '.join(cells)} | {says} |")
    return lines


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _cell(value: float | None, fall: float | None, ends: Sequence[float | None]) -> str:
    if fall is None or None in ends:
        return _figure(value)
    return f"{_figure(value)} ({fall:+.4f}; {ends[0]:+.4f} to {ends[1]:+.4f})"


def _without_nan(value: Any) -> Any:
    """Return JSON values with None for NaN."""
    if isinstance(value, dict):
        return {name: _without_nan(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(one) for one in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _stamp(modules: Sequence[str], calibration: Sequence[Entry]) -> str:
    """Return a hash of the modules that make a graph, and of what its scales were chosen on."""
    found = hashlib.sha256(simulator_revision().encode() if calibration else b"")
    made_by = [ROOT / "conversion" / f"{name}.py" for name in (*modules, "simplify")]
    found.update(code_revision(made_by, ROOT).encode())
    found.update(" ".join(entry.name for entry in calibration).encode())
    return found.hexdigest()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _write(path: Path, content: str | bytes) -> None:
    """Write a file, whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(content.encode() if isinstance(content, str) else content)
    partial.replace(path)
