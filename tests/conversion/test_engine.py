# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Engines of the shipped detector, really built by TensorRT-RTX for GPUs that are not here, and how one is settled."""

from __future__ import annotations

import fcntl
import hashlib
import json
import multiprocessing
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

pytest.importorskip("tensorrt_rtx", reason="needs the environment for engines")

import onnx
import tensorrt_rtx as tensorrt

from appliance.reading import contract
from appliance.reading.gpu import Gpu
from conversion import engine as engines
from conversion.engine import LOCK, PLAN, TIMING, EngineKey, engine_graph, facts_of, settle_engine, standing
from conversion.gate import HALF, JUDGED_AS, GateFault
from conversion.tensorrt_build import BuildOptions, EngineError, build_engine
from conversion.triton_model import GATE

pytestmark = pytest.mark.engines

SHIPPED = Path(__file__).parents[2] / "model_repository" / contract.DETECTOR / "1" / "model.onnx"
GPU = Gpu("NVIDIA RTX A2000", "8.6", "550.54")


@pytest.mark.parametrize("capability", ["7.5", "8.0", "8.6", "8.9", "12.0"])
def test_the_detector_in_half_precision_builds_for_every_gpu_from_turing_on(capability: str) -> None:
    graph = engine_graph(SHIPPED, BuildOptions("fp16"))
    phases: dict[str, tuple[int, int]] = {}
    plan, _ = build_engine(
        graph,
        tensorrt,
        BuildOptions("fp16"),
        capability=capability,
        watch=lambda name, done, steps: phases.update({name: (done, steps)}),
    )
    assert len(plan) > 4_000_000
    assert phases
    assert all(done == steps for done, steps in phases.values())


@pytest.mark.parametrize("capability", ["8.0", "8.6", "8.9", "12.0"])
def test_the_detector_in_full_precision_builds_from_ampere_on(capability: str) -> None:
    options = BuildOptions("fp32")
    plan, _ = build_engine(engine_graph(SHIPPED, options), tensorrt, options, capability=capability)
    assert len(plan) > 8_000_000


def test_turing_refuses_full_precision_and_the_error_says_what_tensorrt_says() -> None:
    options = BuildOptions("fp32")
    with pytest.raises(EngineError, match="GEMM"):
        build_engine(engine_graph(SHIPPED, options), tensorrt, options, capability="7.5")


def test_a_capability_that_tensorrt_does_not_know_is_refused_with_those_it_knows() -> None:
    with pytest.raises(EngineError, match=r"does not know 5\.2; it knows 7\.5, 8\.0, .*12\.0"):
        build_engine(engine_graph(SHIPPED, BuildOptions()), tensorrt, BuildOptions(), capability="5.2")


def test_a_file_that_is_no_graph_is_refused() -> None:
    with pytest.raises(EngineError, match="does not take the graph"):
        build_engine(b"no graph", tensorrt, BuildOptions(), capability="8.6")


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    plan = tmp_path_factory.mktemp("engine") / PLAN
    settle_engine(SHIPPED, plan, tensorrt, GPU, BuildOptions(), gate=None, compare=None)
    return plan


def test_an_engine_says_what_it_was_built_from_and_is_not_built_twice(settled: Path) -> None:
    before = settled.stat()
    found = settle_engine(SHIPPED, settled, tensorrt, GPU, BuildOptions(), gate=None, compare=None)
    assert settled.stat().st_mtime_ns == before.st_mtime_ns
    assert found == standing(settled)
    assert found.key == EngineKey.of(SHIPPED, tensorrt, GPU, BuildOptions())
    assert (found.key.runtime, found.key.gpu, found.key.capability) == ("tensorrt_rtx", GPU.name, "8.6")
    assert found.report()["bytes"] == before.st_size
    assert not list(settled.parent.glob("*.candidate"))


def test_an_engine_whose_graph_was_judged_after_it_was_built_says_so(settled: Path) -> None:
    fault = GateFault("AUC falls", failed=True)
    found = settle_engine(SHIPPED, settled, tensorrt, GPU, BuildOptions(), gate=fault, compare=None)
    assert found.gate == fault
    assert standing(settled) == found
    settle_engine(SHIPPED, settled, tensorrt, GPU, BuildOptions(), gate=None, compare=None)


@pytest.mark.parametrize(
    "changed",
    [Gpu(GPU.name, GPU.capability, "560.1"), Gpu("NVIDIA L4", "8.9", GPU.driver), BuildOptions(optimisation=2)],
)
def test_another_gpu_driver_or_option_is_another_engine(changed: Gpu | BuildOptions) -> None:
    gpu, options = (changed, BuildOptions()) if isinstance(changed, Gpu) else (GPU, changed)
    assert EngineKey.of(SHIPPED, tensorrt, gpu, options) != EngineKey.of(SHIPPED, tensorrt, GPU, BuildOptions())


def refuse(plan: Path) -> dict[str, Any]:
    raise EngineError(f"{plan.stat().st_size} bytes that answer differently")


def let_builds_give(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let builds give `data`: what happens around a build does not need minutes of building."""
    monkeypatch.setattr(engines, "build_engine", lambda *_, **__: (data, b"timings"))


def test_an_engine_that_fails_its_comparison_leaves_the_old_one_serving(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = tmp_path / PLAN
    let_builds_give(b"old", monkeypatch)
    old = settle_engine(SHIPPED, plan, tensorrt, GPU, BuildOptions(), gate=None, compare=lambda _: {"chunks": 3})
    assert (tmp_path / TIMING).read_bytes() == b"timings"
    let_builds_give(b"new", monkeypatch)
    with pytest.raises(EngineError, match="3 bytes that answer differently"):
        settle_engine(SHIPPED, plan, tensorrt, GPU, BuildOptions(), gate=None, compare=refuse, anew=True)
    assert plan.read_bytes() == b"old"
    assert standing(plan) == old
    assert not list(tmp_path.glob("*.candidate"))
    newer = settle_engine(
        SHIPPED, plan, tensorrt, GPU, BuildOptions(), gate=None, compare=lambda _: {"chunks": 4}, anew=True
    )
    assert (plan.read_bytes(), newer.compared) == (b"new", {"chunks": 4})


@pytest.mark.parametrize("harm", ["plan", "facts", "no facts"])
def test_a_plan_that_is_not_the_one_its_facts_tell_of_is_built_again(
    harm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = tmp_path / PLAN
    let_builds_give(b"right", monkeypatch)
    settle_engine(SHIPPED, plan, tensorrt, GPU, BuildOptions(), gate=None, compare=None)
    if harm == "plan":
        plan.write_bytes(b"torn")
    elif harm == "facts":
        facts_of(plan).write_text("{")
    else:
        facts_of(plan).unlink()
    assert standing(plan) is None
    settle_engine(SHIPPED, plan, tensorrt, GPU, BuildOptions(), gate=None, compare=None)
    assert (plan.read_bytes(), standing(plan) is not None) == (b"right", True)


def hold(path: str, locked: Any, release: Any) -> None:
    with Path(path).open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        locked.set()
        release.wait(300)


def test_a_second_builder_waits_for_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = multiprocessing.get_context("spawn")
    locked, release = context.Event(), context.Event()
    other = context.Process(target=hold, args=(str(tmp_path / LOCK), locked, release))
    other.start()
    assert locked.wait(300)
    order: list[str] = []
    let_builds_give(b"plan", monkeypatch)

    def see(plan: Path) -> dict[str, Any]:
        order.append("built")
        return {}

    builder = Thread(
        target=settle_engine,
        args=(SHIPPED, tmp_path / PLAN, tensorrt, GPU, BuildOptions()),
        kwargs={"gate": None, "compare": see},
    )
    builder.start()
    builder.join(1.0)
    assert not order
    release.set()
    builder.join(300)
    other.join(300)
    assert order == ["built"]


def test_the_command_builds_for_a_named_capability_and_tells_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from conversion.__main__ import main

    arguments = ["engine", "--onnx", str(SHIPPED), "--out", str(tmp_path), "--capability", "8.6", "--json"]
    assert main([*arguments, "--runtime", "tensorrt_rtx"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["key"]["capability"] == "8.6"
    assert (tmp_path / PLAN).stat().st_size == told["bytes"]
    assert main([*arguments, "--runtime", "a_runtime_that_is_not_there"]) == 1
    assert "a_runtime_that_is_not_there is not installed" in capsys.readouterr().err


def test_the_command_tells_a_machine_without_a_gpu_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from conversion.__main__ import main

    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["engine", "--onnx", str(SHIPPED), "--out", str(tmp_path)]) == 1
    told = capsys.readouterr().err
    assert "nvidia-smi is not there" in told
    assert "--capability" in told
    assert not list(tmp_path.iterdir())


def test_the_command_builds_no_engine_of_a_graph_that_failed_the_gate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from conversion.__main__ import main

    model = tmp_path / SHIPPED.name
    model.write_bytes(SHIPPED.read_bytes())
    fault = "AUC falls by 0.0100, more than 0.002"
    judge_half(model, {"passed": False, "faults": [fault]})
    let_builds_give(b"a plan", monkeypatch)
    arguments = ["engine", "--onnx", str(model), "--capability", "8.6", "--runtime", "tensorrt_rtx"]
    assert main(arguments) == 1
    assert f"failed the precision gate ({fault})" in capsys.readouterr().err
    assert not (tmp_path / PLAN).exists()
    assert main([*arguments, "--precision", "fp32"]) == 0
    assert main([*arguments, "--despite-gate"]) == 0
    found = standing(tmp_path / PLAN)
    assert found is not None
    assert found.gate == GateFault(fault, failed=True)


def judge_half(model: Path, verdict: dict[str, object]) -> None:
    """Write a verdict of the gate on the half-precision graph of a model."""
    sha256 = hashlib.sha256(engine_graph(model, BuildOptions("fp16"))).hexdigest()
    (model.parent / GATE).write_text(json.dumps({"sha256": {HALF: sha256}, "engines": {JUDGED_AS: verdict}}))


def test_an_engine_whose_graph_fails_the_gate_later_is_told_of_where_it_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from conversion.__main__ import main

    model = tmp_path / SHIPPED.name
    model.write_bytes(SHIPPED.read_bytes())
    let_builds_give(b"a plan", monkeypatch)
    arguments = ["engine", "--onnx", str(model), "--capability", "8.6", "--runtime", "tensorrt_rtx"]
    assert main(arguments) == 0
    judge_half(model, {"passed": False, "faults": ["Dice falls"]})
    assert main(arguments) == 1
    found = standing(tmp_path / PLAN)
    assert found is not None
    assert found.gate == GateFault("Dice falls", failed=True)
    told = json.loads(facts_of(tmp_path / PLAN).read_text())
    assert (told["gate"], told["gate_failed"]) == ("Dice falls", True)


def test_after_a_change_of_how_graphs_are_halved_neither_the_old_verdict_nor_the_old_engine_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from conversion.__main__ import main

    model = tmp_path / SHIPPED.name
    model.write_bytes(SHIPPED.read_bytes())
    judge_half(model, {"passed": True, "faults": []})
    let_builds_give(b"old", monkeypatch)
    arguments = ["engine", "--onnx", str(model), "--capability", "8.6", "--runtime", "tensorrt_rtx"]
    assert main(arguments) == 0
    assert "has not passed" not in capsys.readouterr().err
    halved = engines.halve

    def otherwise(graph: onnx.ModelProto) -> onnx.ModelProto:
        made = halved(graph)
        made.producer_version = "another"
        return made

    monkeypatch.setattr(engines, "halve", otherwise)
    let_builds_give(b"new", monkeypatch)
    assert main(arguments) == 0
    assert "has not passed the precision gate: it was not judged" in capsys.readouterr().err
    assert (tmp_path / PLAN).read_bytes() == b"new"
