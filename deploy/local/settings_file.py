# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Writes settings as the TOML file with which a service is started."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from appliance.settings import Settings


def make_absolute(settings: Settings, base: Path) -> Settings:
    """Return `settings` with relative paths made absolute from `base`, so that they mean the same in any folder."""
    triton, orthanc = settings.triton, settings.orthanc
    storage = None if orthanc.storage is None else (base / orthanc.storage).absolute()
    site_models = None if triton.site_models is None else (base / triton.site_models).absolute()
    builder = None if triton.builder is None else (base / triton.builder).absolute()
    return settings.model_copy(
        update={
            "state_dir": (base / settings.state_dir).absolute(),
            "orthanc": orthanc.model_copy(update={"storage": storage}),
            "triton": triton.model_copy(
                update={
                    "model_repository": (base / triton.model_repository).absolute(),
                    "site_models": site_models,
                    "environment": (base / triton.environment).absolute(),
                    "builder": builder,
                }
            ),
        }
    )


def write_settings(settings: Settings, file: Path) -> Path:
    """Write `settings` to the TOML `file`, which only its owner may read (it may contain a password); return it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)
    file.write_text(toml(settings.model_dump(mode="json")))
    return file


def toml(values: dict[str, Any]) -> str:
    """Return settings as TOML, each section a table; None, which TOML cannot express, is left out."""
    sections = {name: value for name, value in values.items() if isinstance(value, dict)}
    lines = [_line(name, value) for name, value in values.items() if name not in sections and value is not None]
    for name, section in sections.items():
        lines += ["", f"[{name}]", *(_line(key, value) for key, value in section.items() if value is not None)]
    return "\n".join(lines) + "\n"


def _line(name: str, value: Any) -> str:
    return f"{_key(name)} = {_value(value)}"


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name)


def _value(value: Any) -> str:
    """Return a value as TOML: a table in braces, a list of anything, or what JSON writes alike."""
    if isinstance(value, dict):
        inner = (f"{_key(name)} = {_value(one)}" for name, one in value.items() if one is not None)
        return "{" + ", ".join(inner) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    # A JSON string, number or truth value is valid TOML too, except for DEL, which JSON leaves as it is.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
