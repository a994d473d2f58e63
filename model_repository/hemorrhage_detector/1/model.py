# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The detector in Triton's Python backend, over ONNX Runtime: Triton runs this file as `model.py`, beside `model.onnx`.

It stands alone (standard library, numpy and onnxruntime, in the environment that Triton's model processes have) and
imports nothing of the appliance; what it must agree on with its clients comes from the ONNX file's own metadata and
from config.pbtxt. It casts the INT16 that clients send to the graph's float32 and hands the graph's outputs out.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

try:
    import triton_python_backend_utils as pb_utils
except ImportError:  # outside Triton, where only `Detector` is used
    pb_utils = None


class ContractError(Exception):
    """The model file is not of the contract that config.pbtxt was written for."""


class Detector:
    """The ONNX file, loaded and warm.

    Raises
    ------
    ContractError
        If the file's metadata name another contract version than `contract_version`, or none.
    """

    def __init__(self, path: Path, contract_version: str, threads: int = 0):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # Spinning threads would take the cores from the service, which goes on with the answer.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.metadata: dict[str, str] = dict(self.session.get_modelmeta().custom_metadata_map)
        found = self.metadata.get("contract_version")
        if found != contract_version:
            raise ContractError(f"{path.name} is of contract version {found}, not {contract_version}")
        self.input = self.session.get_inputs()[0]
        self.outputs = [output.name for output in self.session.get_outputs()]
        # The first run plans memory; no study should wait for it.
        self(np.zeros(self.input.shape, np.int16))

    def __call__(self, hu: NDArray[np.generic]) -> dict[str, NDArray[np.generic]]:
        """Return the outputs for a chunk `hu` of any numeric dtype, [20, 512, 512] in HU.

        Raises ValueError if its shape is another.
        """
        if list(hu.shape) != list(self.input.shape):
            raise ValueError(f"{self.input.name} has the shape {list(hu.shape)}, not {list(self.input.shape)}")
        found = self.session.run(self.outputs, {self.input.name: hu.astype(np.float32, copy=False)})
        return dict(zip(self.outputs, found, strict=True))


class TritonPythonModel:
    """What Triton's Python backend looks for in a model.py."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the ONNX file of this model's version folder."""
        parameters = {
            key: value["string_value"] for key, value in json.loads(args["model_config"])["parameters"].items()
        }
        folder = Path(args["model_repository"]) / args["model_version"]
        # Who starts Triton may give fewer (triton.threads of the appliance's settings).
        given = parameters.get("intra_op_threads", "0"), os.environ.get("OMP_NUM_THREADS", "0")
        threads = next((int(one) for one in given if int(one)), os.cpu_count() or 1)
        self.detector = Detector(folder / "model.onnx", parameters["contract_version"], threads)

    def execute(self, requests: list[Any]) -> list[Any]:
        """Return one response a request; a request that fails gets its error and the others their answers."""
        return [self._response(request) for request in requests]

    def _response(self, request: Any) -> Any:
        """Return the response to one request."""
        try:
            hu = pb_utils.get_input_tensor_by_name(request, self.detector.input.name).as_numpy()
            found = self.detector(hu)
            return pb_utils.InferenceResponse([pb_utils.Tensor(name, array) for name, array in found.items()])
        except Exception as error:
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(f"{type(error).__name__}: {error}"))
