# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Where the settings come from, and environment variables that name no setting."""

from __future__ import annotations

import os
from collections.abc import Iterator

from appliance.doctor.check import Check
from appliance.settings import Settings


def check_settings(settings: Settings) -> Iterator[Check]:
    """Look for environment variables that were meant as settings."""
    file = type(settings).model_config.get("toml_file")
    known = {"APPLIANCE_SETTINGS", "APPLIANCE_SECRETS"}
    for name in type(settings).model_fields:
        section = getattr(settings, name)
        fields = getattr(type(section), "model_fields", {})
        known |= {f"APPLIANCE_{name}".upper()} | {f"APPLIANCE_{name}__{field}".upper() for field in fields}
    # An unknown name in the file stops the start; in the environment nobody would notice it.
    unknown = sorted(name for name in os.environ if name.startswith("APPLIANCE_") and name.upper() not in known)
    if unknown:
        yield Check(
            "settings",
            "warn",
            f"no such setting: {', '.join(unknown)}",
            "correct or remove these environment variables; `appliance settings` lists all names, written "
            "APPLIANCE_SECTION__NAME",
        )
    else:
        yield Check("settings", "ok", f"read from {file}" if file else "no file: the defaults stand")
