# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The series classifier in Triton's Python backend, over ONNX Runtime: Triton runs this as `model.py`.

It stands alone, as the detector's does: standard library, numpy and onnxruntime, and nothing of the appliance.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# ONNX Runtime's wheels send usage to Microsoft unless they are told not to, and look at this when they are imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime

try:
    import triton_python_backend_utils as pb_utils
except ImportError:  # outside Triton, where only `Classifier` is used
    pb_utils = None


class ContractError(Exception):
    """The model file is not of the contract that config.pbtxt was written for."""


class Classifier:
    """The ONNX file, loaded and warm. Raises `ContractError` if its metadata name another contract version."""

    def __init__(self, path: Path, contract_version: str, threads: int = 1):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        found = self.session.get_modelmeta().custom_metadata_map.get("contract_version")
        if found != contract_version:
            raise ContractError(f"{path.name} is of contract version {found}, not {contract_version}")
        self.input = self.session.get_inputs()[0]
        self.output = self.session.get_outputs()[0].name
        # The first run plans memory; no study should wait for it.
        self(np.zeros((1, *self.input.shape[1:]), np.uint8))

    def __call__(self, thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the probabilities [N, classes] for thumbnails [N, slices, size, size, channels] of N series."""
        return np.asarray(self.session.run([self.output], {self.input.name: thumbnails})[0])


class TritonPythonModel:
    """What Triton's Python backend looks for in a model.py."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the ONNX file of this model's version folder."""
        parameters = json.loads(args["model_config"])["parameters"]
        folder = Path(args["model_repository"]) / args["model_version"]
        self.classifier = Classifier(folder / "model.onnx", parameters["contract_version"]["string_value"])

    def execute(self, requests: list[Any]) -> list[Any]:
        """Return one response a request; a request that fails gets its error and the others their answers."""
        return [self._response(request) for request in requests]

    def _response(self, request: Any) -> Any:
        """Return the response to one request."""
        try:
            shown = pb_utils.get_input_tensor_by_name(request, self.classifier.input.name).as_numpy()
            found = self.classifier(shown)
            return pb_utils.InferenceResponse([pb_utils.Tensor(self.classifier.output, found)])
        except Exception as error:
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(f"{type(error).__name__}: {error}"))
