# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What the precision gate found of the graph that a TensorRT engine is built from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from conversion.triton_model import GATE

JUDGED_AS: Final = "tensorrt-fp16"
"""The name under which the gate judges the half-precision graph."""
HALF: Final = "model.fp16.onnx"
"""The name under which the gate keeps that graph, and its sha256 in its report."""


@dataclass(frozen=True)
class GateFault:
    """Why an engine has not passed the gate; `failed` if the gate has judged its graph, else it has never seen it."""

    why: str
    failed: bool


def gate_fault(model: Path, precision: str, graph_sha256: str) -> GateFault | None:
    """Return why an engine of a model in a precision has not passed the gate, None if it has, or needs no pass.

    The verdict is in `precisions.json` beside `model`, about a graph with these bytes: how a model is halved may have
    changed since. Full precision needs none.
    """
    if precision == "fp32":
        return None
    try:
        report = json.loads((model.parent / GATE).read_text(encoding="utf-8"))
        judged = report["engines"].get(JUDGED_AS)
        same = report["sha256"].get(HALF) == graph_sha256
        if judged is not None and same:
            why = "; ".join(map(str, judged["faults"])) or "it failed"
            return None if judged["passed"] is True else GateFault(why, failed=True)
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return GateFault(f"{GATE} cannot be read ({type(error).__name__}: {error})", failed=False)
    return GateFault(f"it was not judged (`python -m conversion precision --engines {JUDGED_AS}`)", failed=False)
