# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What Triton keeps of model processes that are killed: `python -m tests.chaos.model_kills --kills 40`.

A Triton with the small detector loses its model process again and again; after each loss the detector has it start
another one and reads a study. Printed are the server's memory, threads and open files.
"""

from __future__ import annotations

import os
import signal
import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from appliance.errors import UnavailableError
from appliance.inference.detector import TritonDetector
from appliance.inference.regions import free_regions_of_dead_models, processes_of_model, region_prefix
from appliance.inference.server import TritonServer
from appliance.reading.contract import DETECTOR
from tests.appliance.inference.blob_detector import write_repository
from tests.appliance.inference.ports import triton_settings


def holds(process: int) -> str:
    """Return what a process holds, in words."""
    place = Path(f"/proc/{process}")
    status = dict(line.split(":", 1) for line in (place / "status").read_text().splitlines())
    files = sum(1 for _ in (place / "fd").iterdir())
    memory, threads = int(status["VmRSS"].split()[0]) >> 10, status["Threads"].strip()
    return f"{memory} MiB, {threads} threads, {files} open files"


def main(kills: Annotated[int, typer.Option(min=1, help="How often the model process is killed")] = 40) -> None:
    """Kill the model process, and print what Triton's server holds after each time."""
    hu = np.full((4, 512, 512), 33, np.int16)
    with tempfile.TemporaryDirectory() as folder:
        write_repository(Path(folder) / "models")
        settings = triton_settings(Path(folder) / "models", timeout_s=300)
        with TritonServer(settings, Path(folder) / "state") as server:
            detector = TritonDetector(settings, settings.timeout_s)
            for kill in range(kills + 1):
                while True:
                    try:
                        detector.read(hu)
                        break
                    except UnavailableError:  # which has the model started again
                        time.sleep(0.1)
                free_regions_of_dead_models(region_prefix(settings), settled_s=0)
                assert server.pid is not None
                print(f"{kill:3}: {holds(server.pid)}", flush=True)
                for process in processes_of_model(region_prefix(settings), DETECTOR):
                    os.kill(process, signal.SIGKILL)
            detector.close()


if __name__ == "__main__":
    typer.run(main)
