# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The GPU of this machine, as its driver's own `nvidia-smi` names it."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import Final

QUERY: Final = ("nvidia-smi", "--query-gpu=name,compute_cap,driver_version", "--format=csv,noheader")


class NoGpuError(Exception):
    """There is no GPU with a driver here; the message says what to do."""


@dataclass(frozen=True)
class Gpu:
    """A GPU: its name, its compute capability such as "8.6", and the driver's version."""

    name: str
    capability: str
    driver: str


def present_gpu() -> Gpu:
    """Return the first GPU of this machine.

    Raises
    ------
    NoGpuError
        If the driver is missing or finds none.
    """
    remedy = "install NVIDIA's driver, or name a compute capability to build for another machine (--capability 8.6)"
    try:
        said = subprocess.run(QUERY, capture_output=True, text=True, check=True, timeout=60).stdout
    except FileNotFoundError:
        raise NoGpuError(f"nvidia-smi is not there: {remedy}") from None
    except subprocess.SubprocessError as error:
        raise NoGpuError(f"nvidia-smi does not answer ({error}): {remedy}") from error
    return first_gpu(said)


def first_gpu(said: str) -> Gpu:
    """Return the first GPU in the output of `nvidia-smi`, one line per GPU: name, compute capability, driver.

    Raises
    ------
    NoGpuError
        If it names none.
    """
    for line in said.splitlines():
        parts = [part.strip() for part in line.rsplit(",", 2)]
        if len(parts) == 3 and parts[1].replace(".", "").isdigit():
            return Gpu(*parts)
    raise NoGpuError(f"nvidia-smi names no GPU: {said.strip()[:200] or 'it says nothing'}")
