# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A model's engine at a site: built once for this GPU, compared before it serves, and replaced in one step.

A plan file loads only in the TensorRT that built it, and on a GPU of the compute capability that it was built for. So
`model.plan.json` beside `model.plan` says what it was built from (`EngineKey`), how long that took and how it compared.
One builder at a time holds the folder's lock. The new plan is built beside the old one, which still serves, and gets
its name by a rename only after the comparison. A failed build, or an engine that answers differently, leaves the old
engine as it was.
"""

from __future__ import annotations

import datetime
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import onnx

from appliance.reading.gpu import Gpu
from conversion.gate import GateFault
from conversion.half import halve
from conversion.tensorrt_build import BuildOptions, Watch, build_engine

PLAN: Final = "model.plan"
LOCK: Final = ".model.plan.lock"
TIMING: Final = "model.timing"
Compare = Callable[[Path], dict[str, Any]]
"""Compares a plan file with ONNX Runtime and returns the figures; raises `EngineError` if it answers differently."""


@dataclass(frozen=True)
class EngineKey:
    """Everything that an engine depends on: two engines of one key are interchangeable."""

    onnx_sha256: str
    graph_sha256: str
    """Of the graph that it is built from (`engine_graph`)."""
    runtime: str
    runtime_version: str
    gpu: str
    capability: str
    driver: str
    options: BuildOptions

    @classmethod
    def of(cls, model: Path, tensorrt: ModuleType, gpu: Gpu, options: BuildOptions) -> EngineKey:
        """Return the key of an engine of an ONNX file by a TensorRT on a GPU."""
        return cls(
            hashlib.sha256(model.read_bytes()).hexdigest(),
            hashlib.sha256(engine_graph(model, options)).hexdigest(),
            tensorrt.__name__,
            str(tensorrt.__version__),
            gpu.name,
            gpu.capability,
            gpu.driver,
            options,
        )


@dataclass(frozen=True)
class Engine:
    """A plan file and what is known of it."""

    plan: Path
    key: EngineKey
    built: str
    """When, UTC."""
    seconds: float
    """How long the build took."""
    compared: dict[str, Any]
    """The figures of its comparison with ONNX Runtime; empty for one that was built for another machine."""
    gate: GateFault | None
    """What the precision gate has against its graph, when that was last asked."""

    @property
    def facts(self) -> Path:
        """Where they stand."""
        return facts_of(self.plan)

    def report(self) -> dict[str, Any]:
        """Return the engine as plain values."""
        return {"plan": self.plan.name, "bytes": self.plan.stat().st_size, **_facts(self)}


def facts_of(plan: Path) -> Path:
    """Return the path of the facts about a plan file."""
    return plan.with_name(f"{plan.name}.json")


def standing(plan: Path) -> Engine | None:
    """Return the engine at a path, None if there is no plan or nothing is known of it."""
    try:
        facts = json.loads(facts_of(plan).read_text())
        key = EngineKey(**facts["key"] | {"options": BuildOptions(**facts["key"]["options"])})
        whole = hashlib.sha256(plan.read_bytes()).hexdigest() == facts["plan_sha256"]
        if not whole:
            return None
        gate = GateFault(facts["gate"], facts["gate_failed"]) if facts["gate"] else None
        return Engine(plan, key, facts["built"], facts["seconds"], facts["compared"], gate)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def engine_graph(model: Path, options: BuildOptions) -> bytes:
    """Return the ONNX graph that an engine is built from: the exported one in the precision of the options."""
    graph = onnx.load(str(model))
    return bytes((halve(graph) if options.precision == "fp16" else graph).SerializeToString())


def settle_engine(
    model: Path,
    plan: Path,
    tensorrt: ModuleType,
    gpu: Gpu,
    options: BuildOptions,
    *,
    gate: GateFault | None,
    compare: Compare | None,
    watch: Watch | None = None,
    anew: bool = False,
) -> Engine:
    """Return the engine of an ONNX file at `plan`: the existing one if its key is right, else a new one.

    Parameters
    ----------
    gate: what the precision gate has against the graph.
    compare: proves the new engine on this machine's GPU; None for an engine of another machine, which is built for
        `gpu.capability` and proves itself where it is served.
    anew: build even if the existing engine is right.

    Raises
    ------
    EngineError
        If none can be built, or it answers differently; the file at `plan` is unchanged.
    """
    key = EngineKey.of(model, tensorrt, gpu, options)
    plan.parent.mkdir(parents=True, exist_ok=True)
    with _only_builder(plan.with_name(LOCK)):
        found = standing(plan)
        if found is not None and found.key == key and not anew:
            return _note_gate(found, gate)
        timing = plan.with_name(TIMING)
        begun = time.monotonic()
        data, cache = build_engine(
            engine_graph(model, options),
            tensorrt,
            options,
            capability=None if compare else gpu.capability,
            timing_cache=timing.read_bytes() if timing.exists() else b"",
            watch=watch,
        )
        seconds = round(time.monotonic() - begun, 1)
        built = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        candidate = plan.with_name(f".{plan.name}.candidate")
        try:
            _write(candidate, data)
            engine = Engine(plan, key, built, seconds, compare(candidate) if compare else {}, gate)
            # The facts first: a plan whose facts name another sha256 counts as unknown, and is built again.
            _put(engine.facts, _as_json(engine, data))
            candidate.replace(plan)
        finally:
            candidate.unlink(missing_ok=True)
        if cache:
            _write(timing, cache)
        return engine


def note_gate(plan: Path, graph_sha256: str, gate: GateFault) -> None:
    """Record what the gate has against a graph with the engine at `plan`, if that was built from it."""
    if not plan.exists():
        return
    with _only_builder(plan.with_name(LOCK)):
        found = standing(plan)
        if found is not None and found.key.graph_sha256 == graph_sha256:
            _note_gate(found, gate)


def _note_gate(engine: Engine, gate: GateFault | None) -> Engine:
    noted = replace(engine, gate=gate)
    _put(noted.facts, _as_json(noted, noted.plan.read_bytes()))
    return noted


@contextmanager
def _only_builder(lock: Path) -> Iterator[None]:
    """Wait until no other process builds in the folder, and keep others from it."""
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _facts(engine: Engine) -> dict[str, Any]:
    key = asdict(engine.key)
    return {
        "key": key,
        "built": engine.built,
        "seconds": engine.seconds,
        "compared": engine.compared,
        "gate": engine.gate.why if engine.gate else "",
        "gate_failed": engine.gate is not None and engine.gate.failed,
    }


def _as_json(engine: Engine, plan: bytes) -> bytes:
    facts = _facts(engine) | {"plan_sha256": hashlib.sha256(plan).hexdigest()}
    return (json.dumps(facts, indent=2) + "\n").encode()


def _put(path: Path, data: bytes) -> None:
    """Put a file in the place of another in one step."""
    aside = path.with_name(f".{path.name}.candidate")
    _write(aside, data)
    aside.replace(path)


def _write(path: Path, data: bytes) -> None:
    """Write a file and force it to the disk."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
