# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Triton settings on ports that are free now, so that tests run beside each other and beside an installed appliance.

A chunk may take a minute there: the machine may be busy with other tests.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from appliance.sections.triton import TritonSettings
from deploy.local.ports import free_ports

ENVIRONMENT = Path(__file__).parents[3] / ".venv-triton"


def triton_settings(model_repository: Path, **changed: Any) -> TritonSettings:
    """Return settings of a Triton of its own for `model_repository`."""
    http, grpc, metrics = free_ports(3)
    values = {"http_port": http, "grpc_port": grpc, "metrics_port": metrics, "timeout_s": 60, "threads": 1}
    return TritonSettings(**{**values, "model_repository": model_repository, "environment": ENVIRONMENT, **changed})
