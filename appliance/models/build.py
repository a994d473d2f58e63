# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Has `conversion` build a version's engine for the GPU of this machine, and says what is known of an engine.

The build needs packages that the service does not (`onnx`, `onnxruntime`, TensorRT; docs/engines.md), so it runs in a
separate process, in the container that serves the model; its progress goes straight to standard error.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from appliance.errors import ApplianceError
from appliance.models.shelf import ONNX, PLAN, ShelvedModel
from appliance.reading.gpu import TOOL, Gpu

_PROGRAM: Final = "conversion"


class BuildError(ApplianceError):
    """No engine was built; an earlier one is still there."""


def engine_rows(place: Path, facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what is known of the engine in a version folder, as the rows of a table."""
    key, compared = facts["key"], facts["compared"]
    return [
        ("GPU", f"{key['gpu']}, compute capability {key['capability']}, driver {key['driver']}"),
        ("engine", f"{place / PLAN}, {(place / PLAN).stat().st_size / 1e6:.1f} MB, {key['options']['precision']}"),
        ("from", f"{place / ONNX}, sha256 {key['onnx_sha256'][:12]}…"),
        ("by", f"{key['runtime']} {key['runtime_version']}"),
        ("built", f"{facts['built']}, in {facts['seconds']:.0f} s"),
        (
            "compared",
            f"{compared['when']} with {compared['with']} on {compared['chunks']} chunks" if compared else "no",
        ),
        ("precision gate", facts.get("gate", "not known") or "passed, or not needed"),
    ]


def engine_fault(model: ShelvedModel, gpus: Sequence[Gpu]) -> str | None:
    """Return why the engine of a version is not the one that this machine should serve, None if it is.

    `gpus` are those of this machine; without any, the GPU is not judged.
    """
    facts = model.engine
    if facts is None:
        return f"nothing says what {model.place / PLAN} was built from"
    key = facts["key"]
    if key["onnx_sha256"] != model.facts.sha256:
        return f"it was built from another file than {model.place / ONNX} (sha256 {key['onnx_sha256'][:12]}…)"
    if gpus and Gpu(key["gpu"], key["capability"], key["driver"]) not in gpus:
        here = ", ".join(map(str, gpus))
        return f"it was built for {key['gpu']} with driver {key['driver']}, and here is {here}"
    if facts.get("gate_failed"):
        return f"its graph failed the precision gate: {facts['gate']}"
    return None if facts["compared"] else "it was not compared with ONNX Runtime"


def build(model: ShelvedModel, options: list[str], python: Path | None = None) -> dict[str, Any]:
    """Return the facts of a version's engine, which is built unless the right one exists.

    `options` go to `python -m conversion engine`; `python` is the interpreter that has TensorRT (`triton.builder`),
    None for this one.

    Raises
    ------
    BuildError
        when there is none; the text says why.
    """
    if shutil.which(TOOL) is None:
        raise BuildError(
            f"no GPU is here to build for: {TOOL}, which comes with NVIDIA's driver, is not there; install it, "
            'or serve with triton.profile = "cpu", which needs no engine'
            "; in containers that of NVIDIA's Triton has the GPU (`podman-compose exec triton appliance models build`)"
        )
    if python is None and importlib.util.find_spec(_PROGRAM) is None:
        raise BuildError(
            "conversion is not installed in this Python: set triton.builder to one that has it, or build in the "
            "container that serves (docs/engines.md)"
        )
    interpreter = str(python or sys.executable)
    command = [interpreter, "-m", _PROGRAM, "engine", "--json", "--onnx", str(model.place / ONNX), *options]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    except OSError as error:
        raise BuildError(f"triton.builder = {interpreter} does not run ({error.strerror}); name a Python") from error
    if done.returncode != 0:
        raise BuildError(f"no engine was built for version {model.facts.version}; why not stands above")
    try:
        return dict(json.loads(done.stdout))
    except ValueError:
        raise BuildError(f"the build said nothing that can be read: {done.stdout.strip()[:200]!r}") from None
