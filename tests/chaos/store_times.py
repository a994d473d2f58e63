# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.chaos.store_times`: how long Orthanc takes to confirm an image, whatever the service does.

Two Orthancs run side by side, one with our plugin and one without. Images go to them one by one, in turns: while the
service runs, is paused, is dead, and while clients press it. What is told is the 95th percentile of the time from the
request to the confirmation.
"""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from threading import Thread
from typing import Annotated, Final

import httpx
import numpy as np
import pydicom
import typer
from pydicom import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE

from appliance.sections.triton import TritonSettings
from appliance.settings import Settings
from deploy.local.appliance import LocalAppliance
from deploy.local.orthanc import OrthancProcess
from deploy.local.ports import with_free_ports
from tests.appliance.inference.blob_detector import write_repository
from tests.appliance.stand_in import head_series

_IMAGE_BYTES: Final = 2**19
app = typer.Typer(add_completion=False)


def images(number: int) -> list[Dataset]:
    """Return the images of a new study, each as large as a slice of 512 x 512."""
    made = []
    for file in head_series(generate_uid(), number):
        image = pydicom.dcmread(io.BytesIO(file))
        image.DataSetTrailingPadding = bytes(_IMAGE_BYTES)
        made.append(image)
    return made


@contextmanager
def scanner(settings: Settings) -> Iterator[Callable[[Dataset], float]]:
    """Open an association; yield a function that stores an image over it and returns how long that took, ms."""
    entity = AE("SCANNER")
    entity.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
    association = entity.associate("127.0.0.1", settings.orthanc.dicom_port, ae_title=settings.orthanc.aet)
    if not association.is_established:
        raise RuntimeError("Orthanc takes no association")
    association.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def store(image: Dataset) -> float:
        begun = time.perf_counter()
        status = association.send_c_store(image)
        took = 1000 * (time.perf_counter() - begun)
        if status.Status != 0:
            raise RuntimeError(f"Orthanc answered 0x{status.Status:04x}")
        return took

    try:
        yield store
    finally:
        association.release()


def press(url: str, clients: int) -> None:
    """Ask the service for its pages as fast as it answers, as many clients at once, until this process is killed."""

    def ask(number: int) -> None:
        with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
            for turn in range(number, 10**9):
                try:
                    client.get(("/", "/status", "/metrics", "/health/ready")[turn % 4])
                except httpx.HTTPError:
                    time.sleep(0.1)

    for number in range(clients):
        Thread(target=ask, args=(number,)).start()


@contextmanager
def pressed(url: str, clients: int) -> Iterator[None]:
    presser = multiprocessing.get_context("spawn").Process(target=press, args=(url, clients))
    presser.start()
    time.sleep(3)
    try:
        yield
    finally:
        presser.kill()
        presser.join()


@contextmanager
def paused(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@app.command()
def main(
    rounds: Annotated[int, typer.Option(min=1, help="How often to measure each state")] = 3,
    number: Annotated[int, typer.Option("--images", min=12, help="Images per round")] = 60,
    clients: Annotated[int, typer.Option(min=1, help="How many clients load the service")] = 60,
    report: Annotated[Path | None, typer.Option("--json", help="File for the percentiles")] = None,
) -> None:
    """Print how long Orthanc takes to confirm an image while the service runs, is paused, is dead and is under load."""
    folder = Path(tempfile.mkdtemp(prefix="store-times-"))
    write_repository(folder / "models")
    settings = with_free_ports(Settings(triton=TritonSettings(model_repository=folder / "models")), folder / "state")
    local = LocalAppliance(settings)
    bare = with_free_ports(Settings(), folder / "bare")
    random = Random(1)
    took: dict[str, list[float]] = {}

    def measure(state: str, number: int) -> None:
        """Send images to the two in turns, so that other load on the machine affects both."""
        with scanner(settings) as ours, scanner(bare) as other:
            for own, its in zip(images(number), images(number), strict=True):
                took.setdefault(f"with the plugin, service {state}", []).append(ours(own))
                took.setdefault(f"without, service {state}", []).append(other(its))

    def while_running() -> None:
        measure("running", number)

    def while_pressed() -> None:
        with pressed(local.service.url, clients):
            measure("pressed", number)

    def while_paused() -> None:
        with paused(local.service.pid or 0):
            measure("paused", number)

    def while_dead() -> None:
        local.service.kill()
        measure("dead", number)
        local.service.start()

    states: list[Callable[[], None]] = [while_running, while_pressed, while_paused, while_dead]
    with OrthancProcess(bare, folder / "bare", doorbell=False), local:
        measure("warming", 12)
        took.clear()
        for _ in range(rounds):
            for measure_one in random.sample(states, len(states)):
                measure_one()
    told = {
        name: {"p50_ms": round(float(np.percentile(ms, 50)), 1), "p95_ms": round(float(np.percentile(ms, 95)), 1)}
        for name, ms in sorted(took.items())
    }
    text = json.dumps({"images": number * rounds, "clients": clients, "times": told}, indent=2)
    typer.echo(text)
    if report is not None:
        report.write_text(text + "\n")


if __name__ == "__main__":
    app()
