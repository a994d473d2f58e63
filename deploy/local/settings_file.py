# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Writes settings as the TOML file that a service of their own is started with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from appliance.settings import Settings


def absolute(settings: Settings, base: Path) -> Settings:
    """Return `settings` with its relative paths taken from `base`, so that they mean the same in any folder."""
    triton, orthanc = settings.triton, settings.orthanc
    storage = None if orthanc.storage is None else (base / orthanc.storage).absolute()
    site_models = None if triton.site_models is None else (base / triton.site_models).absolute()
    return settings.model_copy(
        update={
            "state_dir": (base / settings.state_dir).absolute(),
            "orthanc": orthanc.model_copy(update={"storage": storage}),
            "triton": triton.model_copy(
                update={
                    "model_repository": (base / triton.model_repository).absolute(),
                    "site_models": site_models,
                    "environment": (base / triton.environment).absolute(),
                }
            ),
        }
    )


def write_settings(settings: Settings, file: Path) -> Path:
    """Write `settings` to the TOML `file`, which only its owner may read (a password may stand in it); return it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)
    file.write_text(toml(settings.model_dump(mode="json")))
    return file


def toml(values: dict[str, Any]) -> str:
    """Return plain values and one level of sections as TOML; None, which TOML has no word for, is left out."""
    sections = {name: value for name, value in values.items() if isinstance(value, dict)}
    lines = [_line(name, value) for name, value in values.items() if name not in sections and value is not None]
    for name, section in sections.items():
        lines += ["", f"[{name}]", *(_line(key, value) for key, value in section.items() if value is not None)]
    return "\n".join(lines) + "\n"


def _line(name: str, value: str | float | bool | list[Any]) -> str:
    # A JSON string, number, truth value or list is one of TOML too, but for DEL, which JSON leaves as it is.
    return f"{name} = {json.dumps(value, ensure_ascii=False)}".replace("\x7f", "\\u007f")
