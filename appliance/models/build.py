# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Has `conversion` build a version's engine for the GPU of this machine, and reports the result.

The build needs packages that the service does not (`onnx`, `onnxruntime`, TensorRT; docs/engines.md), so it runs in a
separate process, in the container that serves the model; its progress goes straight to standard error.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from typing import Any, Final

from appliance.errors import ApplianceError
from appliance.models.shelf import ONNX, ShelvedModel

_PROGRAM: Final = "conversion"


class BuildError(ApplianceError):
    """No engine was built; an earlier one is still there."""


def build(model: ShelvedModel, options: list[str]) -> dict[str, Any]:
    """Return the facts of a version's engine, which is built unless the right one exists.

    `options` go to `python -m conversion engine`.

    Raises
    ------
    BuildError
        when there is none; the text says why.
    """
    if shutil.which("nvidia-smi") is None:
        raise BuildError(
            "no GPU is here to build for: nvidia-smi, which comes with NVIDIA's driver, is not there; install it, "
            'or serve with triton.profile = "cpu", which needs no engine'
        )
    if importlib.util.find_spec(_PROGRAM) is None:
        raise BuildError(
            "conversion is not installed in this Python: build in the container that serves (docs/engines.md)"
        )
    command = [sys.executable, "-m", _PROGRAM, "engine", "--json", "--onnx", str(model.place / ONNX), *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise BuildError(f"no engine was built for version {model.facts.version}; why not stands above")
    try:
        return dict(json.loads(done.stdout))
    except ValueError:
        raise BuildError(f"the build said nothing that can be read: {done.stdout.strip()[:200]!r}") from None
