# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The GPUs of this machine, as their driver's own `nvidia-smi` names them.

`conversion` builds an engine for one of them, and the service says whether an engine is for one of them. Both compare
names, so both ask here.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import Final

TOOL: Final = "nvidia-smi"
"""Comes with NVIDIA's driver."""
_QUERY: Final = (TOOL, "--query-gpu=name,compute_cap,driver_version", "--format=csv,noheader")
PATIENCE_S: Final = 60.0
"""A driver that was not in use starts each of its GPUs before it answers."""


class NoGpuError(Exception):
    """There is no GPU with a driver here; the message says why not."""


@dataclass(frozen=True)
class Gpu:
    """A GPU: its name, its compute capability such as "8.6", and the driver's version."""

    name: str
    capability: str
    driver: str

    def __str__(self) -> str:
        return f"{self.name} (compute capability {self.capability}, driver {self.driver})"


def present_gpus(patience_s: float = PATIENCE_S) -> list[Gpu]:
    """Return the GPUs of this machine, at least one; the driver has `patience_s` seconds to name them.

    Raises
    ------
    NoGpuError
        If the driver is missing, does not answer or names none.
    """
    try:
        told = subprocess.run(_QUERY, capture_output=True, text=True, check=True, timeout=patience_s).stdout
    except FileNotFoundError:
        raise NoGpuError(f"{TOOL} is not there; it comes with NVIDIA's driver") from None
    except (OSError, subprocess.SubprocessError) as error:
        raise NoGpuError(f"{TOOL} does not answer ({error})") from error
    return gpus_in(told)


def gpus_in(told: str) -> list[Gpu]:
    """Return the GPUs in the output of `nvidia-smi`, one per line: name, compute capability, driver.

    Raises
    ------
    NoGpuError
        If it names none.
    """
    parts = [[part.strip() for part in line.rsplit(",", 2)] for line in told.splitlines()]
    found = [Gpu(*one) for one in parts if len(one) == 3 and one[1].replace(".", "").isdigit()]
    if not found:
        raise NoGpuError(f"{TOOL} names no GPU: {told.strip()[:200] or 'it says nothing'}")
    return found
