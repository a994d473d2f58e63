# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What the benchmark of the network times, and how it compares; no time itself is tested."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from rich.progress import Progress

from appliance.reading import contract
from benchmarks.network import (
    children,
    compare,
    in_process,
    list_usable,
    process_peak_mib,
    study,
    tables,
    time_in_turns,
)
from conversion.triton_model import BYTES, ENGINES, FULL, Detector
from tests.appliance.inference.blob_detector import onnx_model


def test_ways_are_timed_in_turns_and_the_first_round_does_not_count() -> None:
    order: list[str] = []
    ways = {name: (lambda name=name: order.append(name)) for name in ("a", "b")}
    seconds = time_in_turns(ways, 2, Progress(disable=True), "ways")
    assert order == ["a", "b"] * 3
    assert {name: len(values) for name, values in seconds.items()} == {"a": 2, "b": 2}


def test_ratios_are_taken_round_by_round() -> None:
    figures = compare({"one": [1.0, 2.0, 4.0], "other": [2.0, 2.0, 2.0]}, "other")
    assert figures["one"]["ratio"]["min"] == 0.5
    assert figures["one"]["ratio"]["p50"] == 1
    assert figures["one"]["ratio"]["max"] == 2
    assert figures["other"]["ratio"] == {"min": 1, "p50": 1, "p95": 1, "max": 1}
    assert figures["one"]["seconds"]["p50"] == 2


@pytest.mark.parametrize("slices", [5, 32, 320])
def test_a_study_has_its_length_and_every_chunk_of_it_holds_the_phantom(slices: int) -> None:
    hu = study(slices)
    assert hu.shape == (slices, 512, 512)
    assert hu.dtype == np.int16
    assert all((hu[start : start + 16] > 900).any() for start in range(0, slices, 16))


def test_a_study_is_read_in_process_chunk_by_chunk(tmp_path: Path) -> None:
    (tmp_path / FULL).write_bytes(onnx_model().SerializeToString())
    asked: list[tuple[int, ...]] = []
    detector = Detector(tmp_path / FULL, str(contract.CONTRACT_VERSION), 1)

    def watch(hu: np.ndarray) -> dict[str, np.ndarray]:
        asked.append(hu.shape)
        return detector(hu)

    found = in_process(watch)(study(32))  # type: ignore[arg-type]
    assert asked == [contract.INPUT_SHAPE] * 2
    assert found > 0


def test_engines_that_have_not_passed_the_gate_are_timed_only_when_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.network.cpu_flags", lambda: frozenset({"avx2"}))
    for name in (FULL, BYTES):
        (tmp_path / name).write_bytes(b"")
    assert [one.name for one in list_usable(tmp_path, judged_only=True)] == ["onnxruntime-fp32"]
    every = [one.name for one in ENGINES if one.precision != "bf16" and "bf16" not in one.name]
    assert [one.name for one in list_usable(tmp_path, judged_only=False)] == every


def test_every_figure_stands_in_the_tables() -> None:
    part = compare({"a": [1.0, 2.0], "b": [3.0, 4.0]}, "b")
    figures = {
        "threads": 2,
        "instructions": "AVX2",
        "engine": "openvino-int8",
        "engines": part,
        "triton": {"ways": part, "server_peak_mib": 1200.0},
        "long": part,
        "peak_mib": {"openvino-int8": {"32": 800.0, "320": 900.0}},
    }
    made = tables(figures)
    assert [table.row_count for table in made] == [2, 2, 2, 1]
    assert "AVX2" in str(made[0].title)
    assert "1200 MiB" in str(made[3].caption)


def test_memory_is_that_of_the_process_and_its_children_are_found() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", "held = bytes(range(256)) * 400_000; input()"], stdin=subprocess.PIPE
    )
    try:
        assert child.pid in children(os.getpid())
        # Before it runs its own program it has its parent's memory.
        end = time.monotonic() + 240
        while not 97 < process_peak_mib(child.pid) < 160 and time.monotonic() < end:
            time.sleep(0.05)
        assert 97 < process_peak_mib(child.pid) < 160
    finally:
        child.kill()
        child.wait()
