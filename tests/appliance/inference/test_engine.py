# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Which engine serves, as told by a real Triton and by metrics of every kind."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from appliance.doctor.model import check_model
from appliance.errors import UnavailableError
from appliance.inference.detector import TritonDetector
from appliance.inference.engine import (
    METRIC,
    METRIC_PASSED_OVER,
    EngineMemory,
    ServedEngine,
    engine_told,
    served_engine,
)
from appliance.inference.server import TritonServer
from appliance.reading.contract import DETECTOR
from appliance.reading_room import ReadingRoom
from appliance.sections.triton import Engine, TritonSettings
from appliance.settings import Settings
from conversion import triton_model
from conversion.triton_model import BYTES, ENGINES, FULL, GATE
from deploy.local.ports import free_ports
from tests.appliance.inference.blob_detector import onnx_model, write_repository
from tests.appliance.inference.ports import triton_settings
from tests.appliance.running import until

CPU = triton_model.cpu_flags()
LABELS = 'model="hemorrhage_detector",version="{version}",engine="{engine}",instructions="AVX2",threads="2"'


def line(version: str, engine: str, value: str = "1") -> str:
    return f"{METRIC}{{{LABELS.format(version=version, engine=engine)}}} {value}\n"


def await_metrics(settings: TritonSettings) -> None:
    """Return once Triton has opened its metrics, a little after the model is loaded."""
    until(lambda: bool(served_engine(settings, DETECTOR)), "metrics")


def test_triton_tells_which_engine_serves_and_the_detector_knows_it(served: TritonSettings) -> None:
    detector = TritonDetector(served)
    try:
        assert detector.engine == served_engine(served, DETECTOR)
        assert detector.engine is not None
        assert (detector.engine.name, detector.engine.threads) == ("onnxruntime-fp32", 1)
    finally:
        detector.close()


def test_the_engine_of_the_newest_version_that_is_loaded_is_told() -> None:
    text = line("9", "onnxruntime-fp32") + line("10", "openvino-int8") + line("11", "openvino-bf16", "0")
    assert engine_told(text, DETECTOR) == ServedEngine("openvino-int8", "AVX2", 2)


def test_an_engine_that_is_known_is_not_asked_for_again_and_one_that_is_not_now_and_then(
    served: TritonSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[ServedEngine | None] = [None, ServedEngine("openvino-int8", "AVX2", 2), None]
    monkeypatch.setattr("appliance.inference.engine.served_engine", lambda settings, model: told.pop(0))
    now = 100.0
    memory = EngineMemory(served, lambda: now)
    assert memory.ask("one") is None
    assert memory.ask("one") is None
    now += 5
    assert memory.ask("one") == ServedEngine("openvino-int8", "AVX2", 2)
    now += 500
    assert memory.ask("one") == ServedEngine("openvino-int8", "AVX2", 2)
    assert memory.ask("another") is None
    assert told == []


def test_whether_a_better_engine_serves_by_now_is_asked_now_and_then(
    served: TritonSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    slower = ServedEngine("onnxruntime-fp32", "AVX2", 2, (("openvino-int8", "it did not load in time"),))
    better = ServedEngine("openvino-int8", "AVX2", 2)
    told: list[ServedEngine | None] = [slower, None, better]
    monkeypatch.setattr("appliance.inference.engine.served_engine", lambda settings, model: told.pop(0))
    now = 100.0
    memory = EngineMemory(served, lambda: now)
    assert memory.ask("one") == slower
    now += 59
    assert memory.ask("one") == slower
    now += 1
    assert memory.ask("one") == slower, "Triton does not say now"
    now += 60
    assert memory.ask("one") == better
    now += 500
    assert memory.ask("one") == better
    assert told == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>",
        'hemorrhage_engine{model="hemorrhage_detector",version="1"} 1\n',
        line("1", "openvino-int8").replace('threads="2"', 'threads="many"'),
        line("1", "openvino-int8").replace("hemorrhage_detector", "series_classifier"),
    ],
)
def test_metrics_that_tell_no_engine_stop_nothing(text: str) -> None:
    assert engine_told(text, DETECTOR) is None


def test_a_port_where_no_metrics_are_stops_nothing(served: TritonSettings) -> None:
    elsewhere = served.model_copy(update={"metrics_port": free_ports(1)[0]})
    assert served_engine(elsewhere, DETECTOR) is None
    assert served_engine(served.model_copy(update={"metrics_port": served.http_port}), DETECTOR) is None


def test_an_engine_that_may_not_serve_keeps_the_model_from_loading_and_the_log_says_why(
    repository: Path, tmp_path: Path
) -> None:
    settings = triton_settings(repository, engine="openvino-int8")
    server = TritonServer(settings, tmp_path / "state")
    with pytest.raises(UnavailableError):
        server.start()
    log = "".join(path.read_text(errors="replace") for path in (tmp_path / "state").rglob("*.log"))
    assert "HEMORRHAGE_ENGINE = openvino-int8: " in log


def write_gate(place: Path) -> None:
    """Write a verdict by which every engine passed with the files that lie in a version folder."""
    sha256 = {name: hashlib.sha256((place / name).read_bytes()).hexdigest() for name in (FULL, BYTES)}
    engines = {engine.name: {"file": engine.file, "passed": True} for engine in ENGINES}
    (place / GATE).write_text(json.dumps({"sha256": sha256, "engines": engines}))


def log_of(state: Path) -> str:
    return "".join(path.read_text(errors="replace") for path in state.rglob("*.log"))


@pytest.mark.skipif("avx2" not in CPU, reason="this CPU runs the reference only")
def test_an_engine_that_answers_wrongly_gives_way_to_the_next_and_everybody_who_looks_is_told(tmp_path: Path) -> None:
    settings = triton_settings(tmp_path / "models")
    write_repository(settings.model_repository, proves=True)
    place = settings.model_repository / DETECTOR / "1"
    (place / BYTES).write_bytes(onnx_model(most=0.6).SerializeToString())  # its weights are not those of the other file
    write_gate(place)
    runs = [one for one in ENGINES if one.needs <= CPU]
    serves = next(one for one in runs if one.file == FULL)
    wrong = {one.name for one in runs[: runs.index(serves)]}
    with TritonServer(settings, tmp_path / "state"):
        await_metrics(settings)
        room = ReadingRoom(Settings(triton=settings))
        try:
            assert math.isnan(room.count_failed_engines()), "nothing is known before Triton was asked"
            room.probe()
            engine, model = served_engine(settings, DETECTOR), room.model()
            assert room.count_failed_engines() == len(wrong)
        finally:
            room.close()
        (check,) = [one for one in check_model(Settings(triton=settings)) if one.name == "engine"]
    assert engine is not None
    assert engine.name == serves.name
    assert dict(engine.passed_over).keys() == wrong
    assert all("the golden chunk comes back wrong: the highest IPH score" in why for _, why in engine.passed_over)
    assert check.state == "warn"
    assert model is not None
    assert all(name in told for told in (check.what, model["engine"]) for name in wrong)
    log = log_of(tmp_path / "state")
    assert all(f"{name} is passed over: the golden chunk comes back wrong" in log for name in wrong)


@pytest.mark.skipif("avx2" not in CPU, reason="this CPU runs the reference only")
def test_an_engine_that_took_too_long_at_the_start_serves_once_it_runs_and_no_study_waits(tmp_path: Path) -> None:
    settings = triton_settings(tmp_path / "models")
    write_repository(settings.model_repository, proves=True)
    place = settings.model_repository / DETECTOR / "1"
    (place / BYTES).write_bytes((place / FULL).read_bytes())
    write_gate(place)
    with (place / "model.py").open("a") as code:
        code.write("\n\nTRIALS_S, TRY_AGAIN_S = 0.0, (2.0, 2.0, 2.0)\n")
    best = next(one for one in ENGINES if one.needs <= CPU)
    hu = np.full((4, 512, 512), 33, np.int16)
    hu[1, 144:256, 368:480] = 66
    with TritonServer(settings, tmp_path / "state"):
        detector = TritonDetector(settings)
        try:
            assert [one.slice_index for one in detector.read(hu).detections] == [1]
            first = served_engine(settings, DETECTOR)

            def best_serves() -> bool:
                assert [one.slice_index for one in detector.read(hu).detections] == [1]
                engine = served_engine(settings, DETECTOR)
                return engine is not None and (engine.name, engine.passed_over) == (best.name, ())

            until(best_serves, "the best engine")
        finally:
            detector.close()
    assert first is None or first.name in ("onnxruntime-fp32", best.name)
    log = log_of(tmp_path / "state")
    assert f"{best.name} is passed over: it is not tried, as the engines before it took the 0 s" in log
    assert f"{best.name} runs now, after it took too long at first" in log


def test_a_model_that_no_engine_answers_rightly_with_is_not_served_and_the_log_says_why(tmp_path: Path) -> None:
    settings = triton_settings(tmp_path / "models")
    write_repository(settings.model_repository, proves=True)
    (settings.model_repository / DETECTOR / "1" / FULL).write_bytes(onnx_model(most=0.6).SerializeToString())
    with pytest.raises(UnavailableError):
        TritonServer(settings, tmp_path / "state").start()
    log = log_of(tmp_path / "state")
    assert "no engine serves this model: onnxruntime-fp32: the golden chunk comes back wrong" in log


def test_failed_engines_are_told_with_the_reason_and_those_of_another_version_or_model_are_not() -> None:
    def failed(version: str, engine: str, why: str, value: str = "1") -> str:
        labels = LABELS.format(version=version, engine=engine)
        return f'{METRIC_PASSED_OVER}{{{labels},why="{why}"}} {value}\n'

    text = line("2", "openvino-fp32") + failed("2", "openvino-bf16", 'a \\"sign\\"') + failed("2", "openvino-int8", "b")
    text += failed("1", "openvino-bf16", "c") + failed("2", "openvino-int8-bf16", "d", "0")
    engine = engine_told(text + failed("2", "x", "e").replace("hemorrhage_detector", "other"), DETECTOR)
    assert engine is not None
    assert engine.passed_over == (("openvino-bf16", 'a "sign"'), ("openvino-int8", "b"))
    assert str(engine) == (
        'openvino-fp32 (AVX2, 2 threads), in the place of openvino-bf16, which failed: a "sign"; '
        "openvino-int8, which failed: b"
    )


def test_a_site_may_ask_for_each_engine_that_the_model_process_knows() -> None:
    assert set(get_args(Engine)) == {"auto", *(engine.name for engine in triton_model.ENGINES)}
    assert (METRIC, METRIC_PASSED_OVER) == (triton_model.METRIC, triton_model.METRIC_PASSED_OVER)
