# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Which engine serves, as told by a real Triton and by metrics of every kind."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest

from appliance.errors import UnavailableError
from appliance.inference.detector import TritonDetector
from appliance.inference.engine import METRIC, EngineMemory, ServedEngine, engine_told, served_engine
from appliance.inference.server import TritonServer
from appliance.reading.contract import DETECTOR
from appliance.sections.triton import Engine, TritonSettings
from conversion import triton_model
from deploy.local.ports import free_ports
from tests.appliance.inference.ports import triton_settings

LABELS = 'model="hemorrhage_detector",version="{version}",engine="{engine}",instructions="AVX2",threads="2"'


def line(version: str, engine: str, value: str = "1") -> str:
    return f"{METRIC}{{{LABELS.format(version=version, engine=engine)}}} {value}\n"


def wait_for(condition: Callable[[], object], seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return bool(condition())


def test_triton_tells_which_engine_serves_and_the_detector_knows_it(served: TritonSettings) -> None:
    assert wait_for(lambda: served_engine(served, DETECTOR)), (
        "Triton opens its metrics a little after the model is loaded"
    )
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


def test_a_site_may_ask_for_each_engine_that_the_model_process_knows() -> None:
    assert set(get_args(Engine)) == {"auto", *(engine.name for engine in triton_model.ENGINES)}
    assert METRIC == triton_model.METRIC
