# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A GPU that cannot serve: a Triton on the CPU answers in its place, and everybody who looks is told.

There is no GPU here. What stands for it is a real Triton without an engine for its GPU profile, and one that takes the
GPU profile's input and fails every request, as it does on a card that does not answer any more.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from appliance.doctor.triton import check_triton
from appliance.errors import UnavailableError
from appliance.inference.detector import TritonDetector
from appliance.inference.engine import served_engine
from appliance.inference.server import TritonServer
from appliance.reading.contract import DETECTOR
from appliance.reading_room import ReadingRoom
from appliance.sections.triton import TritonSettings
from appliance.settings import Settings
from conversion.repository import GPU, config
from deploy.local.ports import free_ports
from tests.appliance.inference.blob_detector import write_repository
from tests.appliance.inference.ports import triton_settings
from tests.appliance.running import until


def ports_in_a_row() -> tuple[int, int]:
    """Return two free ports, the second after the first."""
    while True:
        (port,) = free_ports(1)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("", port + 1))
            return port, port + 1


@pytest.fixture(scope="module")
def on_cpu(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonSettings]:
    """Settings of a running Triton on the CPU, with its ports as they are by default: metrics after gRPC."""
    folder = tmp_path_factory.mktemp("cpu")
    write_repository(folder / "models")
    grpc, metrics = ports_in_a_row()
    settings = triton_settings(folder / "models", grpc_port=grpc, metrics_port=metrics)
    with TritonServer(settings, folder / "state"):
        until(lambda: bool(served_engine(settings, DETECTOR)), "metrics")
        yield settings


def gpu_settings(folder: Path, on_cpu: TritonSettings) -> TritonSettings:
    """Return settings of a Triton with the GPU profile, in whose place the one on the CPU answers."""
    return triton_settings(folder, profile="gpu", others=(f"127.0.0.1:{on_cpu.grpc_port}",))


def blood() -> np.ndarray:
    """Return four slices [4, 512, 512] in HU, with blood in one cell of the second."""
    hu = np.full((4, 512, 512), 33, np.int16)
    hu[1, 144:256, 368:480] = 66
    return hu


def assert_another_one_answers(settings: TritonSettings, why: str) -> None:
    """Assert that studies are read, and that the room and the doctor say why and by what."""
    room = ReadingRoom(Settings(triton=settings))
    try:
        room.probe()
        model = room.model()
    finally:
        room.close()
    assert model is not None
    assert model["engine"] == "onnxruntime-fp32 (" + model["engine"].partition("(")[2]
    assert model["stands_in"].startswith(f"Triton at 127.0.0.1:{settings.grpc_port} was left: ")
    assert why in model["stands_in"]
    detector = TritonDetector(settings)
    try:
        assert [one.slice_index for one in detector.read(blood()).detections] == [1]
    finally:
        detector.close()
    checks = {check.name: check for check in check_triton(Settings(triton=settings))}
    assert [name for name, check in checks.items() if check.state == "fail"] == []
    assert checks["first triton"].state == "warn"
    assert why in checks["first triton"].what
    assert "another one answers in its place, with onnxruntime-fp32" in checks["first triton"].what
    assert checks["engine"].state == "warn"
    assert checks["engine"].what.startswith("onnxruntime-fp32 (")
    assert "of the Triton that stands in; the first one's: TensorRT, profile gpu" in checks["engine"].what


def test_without_an_engine_the_gpus_triton_does_not_start_and_the_one_on_the_cpu_answers(
    on_cpu: TritonSettings, tmp_path: Path
) -> None:
    settings = gpu_settings(tmp_path / "models", on_cpu)
    write_repository(settings.model_repository)
    (settings.model_repository / DETECTOR / "configs" / "gpu.pbtxt").write_text(config(GPU, {}))
    with pytest.raises(UnavailableError):
        TritonServer(settings, tmp_path / "state").start()
    assert_another_one_answers(settings, "does not answer")


def test_while_the_card_fails_every_request_the_triton_on_the_cpu_answers(
    on_cpu: TritonSettings, tmp_path: Path
) -> None:
    settings = gpu_settings(tmp_path / "models", on_cpu)
    write_repository(settings.model_repository, input_dtype="FP32", fails=True)
    cpu_profile = settings.model_copy(update={"profile": "cpu"})  # what stands for the card is served by Python
    with TritonServer(cpu_profile, tmp_path / "state"):
        assert_another_one_answers(settings, "MemoryError: full")
