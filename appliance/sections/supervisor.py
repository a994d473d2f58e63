# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The settings of the supervisor of `make up`, and of the logs that it keeps."""

from __future__ import annotations

from pydantic import Field

from appliance.allowed import SystemUser
from appliance.clocks import DAY_S
from appliance.sections.section import Section


class LogSettings(Section):
    """The log files that the supervisor of `make up` rotates; elsewhere journald or the container does."""

    max_mib: float = Field(
        20,
        ge=0.01,
        le=100_000,
        description="Size at which a log is rotated, MiB; five older files are kept",
    )


class SupervisorSettings(Section):
    """How `make up` treats a server that has died or hangs."""

    patience_s: float = Field(
        60,
        ge=5,
        le=DAY_S,
        description="A running server that does not answer for this long counts as dead and is restarted, s",
    )
    starting_s: float = Field(
        180, ge=5, le=DAY_S, description="Longest wait for the first answer of a server after its start, s"
    )
    user: SystemUser = Field(
        "hemorrhage",
        description="User that the three servers run as when root starts them: created if it does not exist, and made "
        "the owner of the state folder; empty: root",
    )
