# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The shipped network without Triton: ONNX Runtime in this process, the checks and the answer those of the service.

What runs the graph is the file that Triton's model process runs, and the model's configuration is checked against the
contract as the service checks what Triton serves.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from google.protobuf import text_format  # type: ignore[import-untyped]
from numpy.typing import NDArray
from tritonclient.grpc import model_config_pb2

from appliance.inference.detections import ModelIdentity, Reading
from appliance.inference.served_model import checked_model
from appliance.inference.stream import write_chunk
from appliance.reading import contract
from appliance.reading.detections import Detection, chunk_detections
from conversion.triton_model import Detector

REPOSITORY: Final = Path(__file__).parents[2] / "model_repository" / contract.DETECTOR
"""Folder of the shipped detector in the model repository."""


@dataclass(frozen=True)
class Model:
    """An ONNX file that may be read with, and the threshold that is suggested for it.

    Raises nothing itself; see `shipped_model` and `other_model`.
    """

    onnx: Path
    identity: ModelIdentity
    suggested_threshold: float


def shipped_model(folder: Path = REPOSITORY) -> Model:
    """Return the detector of a model repository's folder, checked as the service checks what Triton serves.

    Raises
    ------
    ValueError
        If a file is missing, or the ONNX file is not the one that the configuration was written for.
    ModelContractError
        If the configuration is of another contract.
    """
    configuration = folder / "config.pbtxt"
    if not configuration.is_file():
        raise ValueError(
            f"{configuration} is missing; write the model repository with `python -m conversion repository`"
        )
    config = text_format.Parse(configuration.read_text(encoding="utf-8"), model_config_pb2.ModelConfig())
    served = checked_model(
        {tensor.name: _tensor(tensor) for tensor in config.input},
        {tensor.name: _tensor(tensor) for tensor in config.output},
        {name: value.string_value for name, value in config.parameters.items()},
    )
    onnx = folder / served.identity.version / "model.onnx"
    if not onnx.is_file():
        raise ValueError(f"{onnx} is missing; write the model repository with `python -m conversion repository`")
    found = file_sha256(onnx)
    if found != served.identity.sha256:
        raise ValueError(
            f"{onnx} has the sha256 {found}, and its configuration was written for {served.identity.sha256}; write the "
            "model repository anew with `python -m conversion repository`"
        )
    return Model(onnx, served.identity, served.suggested_threshold)


def other_model(onnx: Path) -> Model:
    """Return an ONNX file that is in no model repository, with the threshold that its own metadata suggest.

    Raises
    ------
    ValueError
        If it is not there, or its metadata are of another contract or suggest no threshold.
    """
    import onnxruntime

    if not onnx.is_file():
        raise ValueError(f"{onnx} is not there")
    try:
        session = onnxruntime.InferenceSession(str(onnx), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own errors share no public base
        raise ValueError(f"{onnx} is no ONNX file that ONNX Runtime reads: {error}") from error
    said = session.get_modelmeta().custom_metadata_map
    wrong = [name for name, value in contract.metadata().items() if said.get(name) != value]
    if wrong:
        raise ValueError(f"{onnx} is of another contract: its metadata differ in {', '.join(wrong)}")
    try:
        threshold = float(said[contract.PARAMETER_THRESHOLD])
    except (KeyError, ValueError) as error:
        raise ValueError(
            f"{onnx} suggests no threshold in its metadata; export it with `python -m conversion`"
        ) from error
    identity = ModelIdentity(said.get("model_name", onnx.stem), said.get("model_version", "0"), file_sha256(onnx))
    return Model(onnx, identity, threshold)


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Network:
    """A model, loaded; `read` is what the service's detector does with Triton."""

    def __init__(self, model: Model, threads: int = 1) -> None:
        self.model = model
        self._detector = Detector(model.onnx, str(contract.CONTRACT_VERSION), threads)

    def read(self, hu: NDArray[np.int16]) -> Reading:
        """Return what the network detects in a volume hu [Z, Y, X], HU, foot to head, in the contract's orientation.

        Dismissed proposals are left out: no figure is made of them.

        Raises
        ------
        RuntimeError
            If the outputs break the contract.
        """
        numbers = range(len(contract.chunks(len(hu))))
        detections = [one for number in numbers for one in self.read_chunk(hu, number)]
        return Reading(tuple(detections), (), self.model.identity, self.model.suggested_threshold)

    def read_chunk(self, hu: NDArray[np.int16], number: int) -> list[Detection]:
        """Return what the network detects in one chunk of a volume: one call of it.

        Raises
        ------
        RuntimeError
            If the outputs break the contract.
        """
        chunk = np.empty(contract.INPUT_SHAPE, np.int16)
        write_chunk(hu, contract.chunks(len(hu))[number], chunk)
        outputs = self._detector(chunk)
        fault = contract.output_fault(outputs)
        if fault is not None:
            raise RuntimeError(f"{self.model.onnx}: {fault}")
        return list(chunk_detections(outputs, number, len(hu)))


def _tensor(tensor: Any) -> tuple[str, tuple[int, ...]]:
    """Return Triton's dtype name and the shape of a tensor of a configuration."""
    name = model_config_pb2.DataType.Name(tensor.data_type).removeprefix("TYPE_")
    return name, tuple(tensor.dims)
