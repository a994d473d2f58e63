# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The shared memory through which a Triton passes slices to its model processes: its names, and who may read it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from appliance.private import close_to_others
from appliance.settings import TritonSettings

SHARED_MEMORY: Final = Path("/dev/shm")


def region_prefix(settings: TritonSettings) -> str:
    """Return how the names of a server's regions begin: no two running servers share a port."""
    return f"triton_python_backend_shm_region_{settings.grpc_port}_"


def close_regions(settings: TritonSettings) -> None:
    """Take everybody else's rights from the regions of this user's server, to be called after each load of a model.

    Triton gives all users all rights to them, whatever its umask is.
    """
    close_to_others(SHARED_MEMORY.glob(f"{region_prefix(settings)}*"))
