# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The settings of traces."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from appliance.allowed import HttpUrl
from appliance.sections.section import Section


class TracesSettings(Section):
    """Traces of studies, for a site with an OpenTelemetry collector (docs/traces.md)."""

    url: Literal[""] | HttpUrl = Field(
        "",
        description="OpenTelemetry collector that gets a trace of each study, OTLP over gRPC, http://HOST:4317; "
        "empty: no traces. For Triton's part see triton.traces_url",
    )
