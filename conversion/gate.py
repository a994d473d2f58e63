# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What the precision gate found of the graph that a TensorRT engine is built from."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from conversion.triton_model import FULL, GATE

JUDGED_AS: Final = "tensorrt-fp16"
"""The name under which the gate judges the half-precision graph."""


@dataclass(frozen=True)
class GateFault:
    """Why an engine has not passed the gate; `failed` if the gate has judged its graph, else it has never seen it."""

    why: str
    failed: bool


def gate_fault(model: Path, precision: str) -> GateFault | None:
    """Return why an engine of a model in a precision has not passed the gate, None if it has, or needs no pass.

    The verdict is in `precisions.json` beside `model`, about a model with the same bytes. Full precision needs none.
    """
    if precision == "fp32":
        return None
    try:
        report = json.loads((model.parent / GATE).read_text(encoding="utf-8"))
        judged = report["engines"].get(JUDGED_AS)
        same = report["sha256"].get(FULL) == hashlib.sha256(model.read_bytes()).hexdigest()
        if judged is not None and same:
            why = "; ".join(map(str, judged["faults"])) or "it failed"
            return None if judged["passed"] is True else GateFault(why, failed=True)
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return GateFault(f"{GATE} cannot be read ({type(error).__name__}: {error})", failed=False)
    return GateFault(f"it was not judged (`python -m conversion precision --engines {JUDGED_AS}`)", failed=False)
