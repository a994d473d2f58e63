# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Whether one Triton computes at all: each version of the detector that it has loaded is sent a chunk.

A Triton whose card or model process hangs says that it is ready. While another Triton answers in its place, the service
seldom asks it, so whoever keeps it running asks it by this. Whether answers are right is not looked at here
(`golden.py`).
"""

from __future__ import annotations

from typing import Final

from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from appliance.inference.client import CONTROL_TIMEOUT_S, triton_client
from appliance.inference.lanes import INPUT_DTYPES, MessageLane
from appliance.inference.tritons import CHANNEL
from appliance.inference.trouble import describe
from appliance.reading.contract import DETECTOR
from appliance.sections.triton import TritonSettings

_READY: Final = "READY"


def find_chunk_fault(triton: TritonSettings, wait_s: float) -> str:
    """Return why a Triton does not answer a chunk within `wait_s`, empty if it does.

    One that has loaded no detector does not answer either.
    """
    client = triton_client(triton, CHANNEL)
    try:
        loaded = [
            model.name
            for model in client.get_model_repository_index(client_timeout=CONTROL_TIMEOUT_S).models
            if model.state == _READY and (model.name == DETECTOR or model.name.startswith(f"{DETECTOR}_"))
        ]
        for name in loaded:
            _send_chunk(client, name, wait_s)
    except InferenceServerException as error:
        return f"a chunk was sent to it: {describe(error)}"
    finally:
        client.close()
    return "" if loaded else "it has loaded no detector"


def _send_chunk(client: InferenceServerClient, model: str, wait_s: float) -> None:
    """Send a chunk of zeros and take the answer. Raises `InferenceServerException`."""
    (tensor,) = client.get_model_metadata(model, client_timeout=CONTROL_TIMEOUT_S).inputs
    if tensor.datatype not in INPUT_DTYPES:  # not of our contract: the service says so
        return
    lane = MessageLane(client, tensor.datatype)
    lane.model = model
    lane.send(wait_s)
    try:
        lane.outputs()
    finally:
        lane.close()
