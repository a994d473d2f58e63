# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The settings of Triton, and of what runs the detector there."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from appliance.allowed import Endpoint, HostName, HttpUrl, PathName, Port, Secret
from appliance.sections.section import Section

Engine = Literal["auto", "openvino-int8-bf16", "openvino-int8", "openvino-bf16", "openvino-fp32", "onnxruntime-fp32"]
"""What may run the detector on a CPU, as its model process names it."""


class TritonSettings(Section):
    """The Triton server that runs the network."""

    host: HostName = Field("127.0.0.1", description="Address of Triton")
    others: tuple[Endpoint, ...] = Field(
        (),
        description="Further Tritons that serve the same models, HOST:PORT of their gRPC: each is used while those "
        "before it do not answer rightly, with the same secret. Which engine one runs is read from its metrics, on the "
        "port after its gRPC port. A Triton on another machine gets tensors in messages",
    )
    http_port: Port = Field(8400, description="Triton's HTTP port")
    grpc_port: Port = Field(8401, description="Triton's gRPC port")
    metrics_port: Port = Field(8402, description="Triton's metrics port")
    model_repository: PathName = Field(Path("model_repository"), description="Folder of models that Triton serves")
    site_models: PathName | None = Field(
        None,
        description="Folder of the detector versions that the site has loaded (`appliance models load`), a second "
        "model repository of Triton; unset: `models` in the state folder",
    )
    profile: Literal["cpu", "gpu", "gpu-datacentre"] = Field(
        "cpu", description="Which configs/PROFILE.pbtxt of each model is used (docs/engines.md)"
    )
    environment: PathName = Field(
        Path(".venv-triton"), description="Python environment with tritonserver and its model processes"
    )
    builder: PathName | None = Field(
        None,
        description="The Python that builds engines for a GPU: it has TensorRT and what docs/engines.md lists; unset: "
        "the one of the service. NVIDIA's image sets it",
    )
    shared_memory: bool = Field(True, description="Pass tensors by shared memory (Triton on the same machine)")
    timeout_s: float = Field(
        120,
        ge=0.1,
        le=3600,
        description="Longest wait for one chunk (16 slices), s. The wait is 30 s for the first chunk, then 20 times "
        "the duration of the last one, but at least 10 s, so that a Triton that hangs is noticed soon. Each timeout "
        "doubles the next wait",
    )
    threads: int = Field(0, ge=0, le=1024, description="CPU threads of the network, 0 for all cores")
    engine: Engine = Field(
        "auto",
        description="What runs the network under profile cpu; auto: the fastest that the CPU supports and that passed "
        "the precision gate (docs/engines.md). A Triton that is started in another way uses HEMORRHAGE_ENGINE",
    )
    traces_url: Literal[""] | HttpUrl = Field(
        "",
        description="OpenTelemetry collector that gets Triton's part of the traces, OTLP over HTTP, "
        "http://HOST:4318/v1/traces; empty: none. Needs traces.url",
    )
    secret: Secret = Field(
        "",
        description="Sent with each request to a Triton that was started with --http-restricted-api and "
        "--grpc-restricted-protocol (docs/security.md); `make up` makes one",
        repr=False,
    )
