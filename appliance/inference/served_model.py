# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Which models may answer, and the check that a model served by Triton keeps this version's contract."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from tritonclient.utils import triton_to_np_dtype

from appliance.errors import ModelContractError
from appliance.inference.detections import ModelIdentity
from appliance.inference.lanes import INPUT_DTYPES
from appliance.reading import contract


@dataclass(frozen=True)
class Target:
    """A model in Triton that may answer: the name under which it is served, and its sha256 if that is fixed."""

    served_as: str = contract.DETECTOR
    sha256: str = ""


SHIPPED: Final = Target()
"""The model that came with the appliance."""


@dataclass(frozen=True)
class ServedModel:
    """What Triton says of the model it serves, checked against the contract."""

    identity: ModelIdentity
    suggested_threshold: float
    golden: str
    input_dtype: str
    served_as: str = contract.DETECTOR


def checked_model(
    inputs: dict[str, tuple[str, tuple[int, ...]]],
    outputs: dict[str, tuple[str, tuple[int, ...]]],
    parameters: dict[str, str],
    served_as: str = contract.DETECTOR,
) -> ServedModel:
    """Return the served model, or raise `ModelContractError` with every difference from the contract.

    Parameters
    ----------
    inputs, outputs
        Triton's dtype name and shape of each tensor, by name.
    parameters
        The string parameters of the model's configuration, written by `conversion`.
    served_as
        Its name in Triton.
    """
    differences: list[str] = []
    input_dtype, input_shape = inputs.get(contract.INPUT, ("missing", contract.INPUT_SHAPE))
    if input_dtype not in INPUT_DTYPES:
        differences.append(f"input {contract.INPUT} is {input_dtype}, not {', '.join(INPUT_DTYPES)}")
    if input_shape != contract.INPUT_SHAPE:
        differences.append(f"input {contract.INPUT} is {list(input_shape)}, not {list(contract.INPUT_SHAPE)}")
    differences += [f"input {name} is unknown" for name in inputs if name != contract.INPUT]
    for output in contract.OUTPUTS:
        dtype, shape = outputs.get(output.name, ("missing", output.shape))
        if triton_to_np_dtype(dtype) is not output.dtype or shape != output.shape:
            wanted = f"{np.dtype(output.dtype)} {list(output.shape)}"
            differences.append(f"output {output.name} is {dtype} {list(shape)}, not {wanted}")
    for name, value in contract.metadata().items():
        if parameters.get(name) != value:
            differences.append(f"parameter {name} is {parameters.get(name)!r}, not {value!r}")
    for name in (contract.PARAMETER_MODEL_VERSION, contract.PARAMETER_ONNX_SHA256, contract.PARAMETER_GOLDEN):
        if not parameters.get(name):
            differences.append(f"parameter {name} is missing")
    threshold = _number(parameters.get(contract.PARAMETER_THRESHOLD))
    if threshold is None or not contract.SCORE_FLOOR <= threshold <= 1:
        differences.append(
            f"parameter {contract.PARAMETER_THRESHOLD} is {parameters.get(contract.PARAMETER_THRESHOLD)!r}, "
            f"not a number from {contract.SCORE_FLOOR} to 1"
        )
    if differences or threshold is None:
        raise ModelContractError(
            f"Triton serves a {served_as} of another contract than version {contract.CONTRACT_VERSION}: "
            f"{'; '.join(differences)}. Write the model repository with the conversion of this version "
            "(`python -m conversion repository`) and restart Triton"
        )
    identity = ModelIdentity(
        contract.DETECTOR,
        parameters[contract.PARAMETER_MODEL_VERSION],
        parameters[contract.PARAMETER_ONNX_SHA256],
    )
    return ServedModel(identity, threshold, parameters[contract.PARAMETER_GOLDEN], input_dtype, served_as)


def _number(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:
        return None
