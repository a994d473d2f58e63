# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Triton's errors in the appliance's own words: what went wrong, and what to do."""

from __future__ import annotations

from typing import Final

from tritonclient.utils import InferenceServerException

from appliance.errors import UnavailableError
from appliance.inference.lanes import GONE, TOO_LATE

_MODEL_PROCESS_ENDED: Final = "is not healthy"  # Triton 2.51: "Stub process '...' is not healthy."


class NoAnswerError(UnavailableError):
    """A Triton gives no answer, or none that can be right; another one may."""


def has_lost_its_model_process(error: InferenceServerException) -> bool:
    """Return whether the process that ran the model has ended; Triton does not restart it by itself."""
    return _MODEL_PROCESS_ENDED in str(error.message())


def first_line(error: InferenceServerException) -> str:
    """Return Triton's own message without the Python traceback that may follow; its log has that too."""
    return str(error.message()).strip().partition("\n")[0]


def is_gone(error: InferenceServerException) -> bool:
    """Return whether the connection could not be made, or broke: Triton has ended, or is started anew."""
    message = first_line(error).lower()
    return error.status() == GONE and ("connect" in message or "socket" in message)


def wants_another_secret(error: InferenceServerException) -> bool:
    """Return whether Triton was started with a secret that is not ours: nothing that is asked of it helps."""
    return "is restricted" in first_line(error)


def describe(error: InferenceServerException) -> str:
    """Return what went wrong and what to do, from a gRPC status."""
    status = (error.status() or "").removeprefix("StatusCode.")
    message = first_line(error)
    if error.status() == TOO_LATE:
        return (
            "no answer in time; it hangs, or the machine is overloaded: when it does not come back by itself restart "
            "Triton; a machine that is only slow is waited for twice as long each time, up to triton.timeout_s"
        )
    if wants_another_secret(error):
        return "it asks for a secret that is not ours; set triton.secret to the one that it was started with"
    if is_gone(error):
        return "does not answer; start it, or set triton.host and triton.grpc_port to where it runs"
    if status in ("NOT_FOUND", "UNAVAILABLE"):
        return f"the model is not loaded ({message}); see Triton's log"
    return f"{message} ({status}); see Triton's log"
