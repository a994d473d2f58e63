# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Versions of the small detector, as a site gets them: a model repository with one version, and a file of its own."""

from __future__ import annotations

import hashlib
from pathlib import Path

import onnx
from onnx import helper

from appliance.reading import contract
from tests.appliance.inference.blob_detector import write_repository


def write_release(
    folder: Path,
    version: int,
    *,
    held: Path | None = None,
    parameters: dict[str, str | None] | None = None,
    model: bytes | None = None,
) -> Path:
    """Write version `version` of the small detector into the model repository `folder`, and return that.

    It answers as every version does, and nothing while the file `held` is there; `parameters` replaces what its
    configuration says, `model` its ONNX file.
    """
    said = {contract.PARAMETER_MODEL_VERSION: str(version), **(parameters or {})}
    written = write_repository(folder, held=held, parameters=said)
    place = folder / contract.DETECTOR / "1"
    if model is None:
        graph = onnx.load(str(place / "model.onnx"))
        helper.set_model_props(graph, {**contract.metadata(), "release": str(version)})
        model = graph.SerializeToString()
    (place / "model.onnx").write_bytes(model)
    place.rename(place.with_name(str(version)))
    config = folder / contract.DETECTOR / "configs" / "cpu.pbtxt"
    config.write_text(config.read_text().replace(written, hashlib.sha256(model).hexdigest()))
    return folder
