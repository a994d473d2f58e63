# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A site's answers before the first start, and the settings file made from them.

An answer is a setting: `--answers FILE` takes a TOML file with the sections and names of `appliance settings`. Only one
thing cannot be found out, and is asked if a person is at the terminal: who may send.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import ValidationError

from appliance.errors import SettingsError
from appliance.ports import is_free
from appliance.sections.orthanc import OrthancSettings
from appliance.settings import Settings
from appliance.settings_sources import SECRETS, load_settings
from deploy.install.layout import Layout
from deploy.local.settings_file import toml

_HEADING: Final = """\
# Settings of the hemorrhage appliance: `appliance settings` shows every one with its meaning. After a change:
#     systemctl restart hemorrhage-appliance.target
# Secrets stand in files of their own, in {secrets}.
"""
_QUESTION: Final = """\
Who may send studies? Scanners and the PACS, each as AE title and IP address, with a space between:
    CT1@10.0.0.21 PACS@10.0.0.5
None: this machine alone (orthanc.senders in {settings} adds them later).
"""
_PORTS: Final = (
    ("orthanc", "dicom_port"),
    ("orthanc", "url"),
    ("triton", "http_port"),
    ("triton", "grpc_port"),
    ("triton", "metrics_port"),
    ("service", "port"),
)


def read_answers(file: Path) -> dict[str, Any]:
    """Return the answers in a TOML file. Raises `SettingsError` when it is invalid or contains a secret."""
    try:
        answers = tomllib.loads(file.read_text())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise SettingsError(f"answers {file}: {reason}; a TOML file with settings is allowed") from error
    for section, name in SECRETS:
        inner = answers.get(section)
        if isinstance(inner, dict) and name in inner and (section, name) != ("ledger", "url"):
            raise SettingsError(
                f"answers {file}: {section}.{name} is a secret that the installation makes by itself; leave it out"
            )
    return answers


def ask_senders(layout: Layout, ask: Callable[[str], str] = input) -> list[str]:
    """Ask the person at the terminal who may send, until the answer is valid; ask nothing if nobody is there."""
    if not sys.stdin.isatty():
        return []
    print(_QUESTION.format(settings=layout.settings))
    while True:
        senders = ask("senders: ").split()
        try:
            OrthancSettings(senders=tuple(senders))
        except ValidationError as error:
            for item in error.errors():
                print(f"  {item['input']}: {item['msg'].removeprefix('Value error, ')}")
        else:
            return senders


def first_settings(layout: Layout, answers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the contents of a new installation's settings file: the places, free ports, and the answers."""
    settings: dict[str, Any] = {
        "state_dir": str(layout.state),
        "orthanc": {"storage": str(layout.archive)},
        "triton": {
            "model_repository": str(layout.current / "model_repository"),
            "environment": str(layout.current / "triton"),
        },
    }
    settings = merge(settings, answers)
    for section, name, value in _ports_instead(settings):
        settings = merge({section: {name: value}}, settings)
    return settings


def merge(settings: Mapping[str, Any], others: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with others over them, section by section."""
    result = dict(settings)
    for name, value in others.items():
        inner = result.get(name)
        result[name] = merge(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return result


def _ports_instead(settings: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Yield a free port for each one that another program has and that no answer names."""
    defaults = Settings.model_construct()
    sections = {name: inner for name, inner in settings.items() if isinstance(inner, dict)}
    named = {place: sections[place[0]][place[1]] for place in _PORTS if place[1] in sections.get(place[0], {})}
    given = {_port(value) for value in named.values()}
    for section, name in _PORTS:
        if (section, name) in named:
            continue
        port = _port(getattr(getattr(defaults, section), name))
        free = next(
            candidate for candidate in range(port or 1, 65_536) if candidate not in given and is_free(candidate)
        )
        given.add(free)
        if free != port:
            yield section, name, f"http://127.0.0.1:{free}" if name == "url" else free


def _port(value: Any) -> int | None:
    """Return the port of a setting that is a port or a URL; None if it is neither, which the settings refuse."""
    try:
        return urlsplit(value).port if isinstance(value, str) else int(value)
    except (TypeError, ValueError):
        return None


def write_first_settings(layout: Layout, answers: Mapping[str, Any]) -> Settings:
    """Write the settings file of a new installation and return its settings.

    Raises `SettingsError` when an answer is not allowed; then nothing is written.
    """
    aside = layout.settings.with_suffix(".new")
    text = _HEADING.format(secrets=layout.secrets) + "\n" + toml(first_settings(layout, answers))
    aside.unlink(missing_ok=True)
    aside.touch(mode=0o600)  # a ledger's URL may hold a password
    aside.write_text(text)
    try:
        settings = load_settings(aside)
    except SettingsError:
        aside.unlink()
        raise
    aside.replace(layout.settings)
    return settings


def require_answers_hold(layout: Layout, answers: Mapping[str, Any]) -> None:
    """Raise `SettingsError` when the settings of an earlier installation differ from the answers."""
    known = tomllib.loads(layout.settings.read_text())
    other = list(_differences(known, answers))
    if other:
        raise SettingsError(
            f"{layout.settings} is there already and says otherwise: {', '.join(other)}; change it there and "
            "`systemctl restart hemorrhage-appliance.target`, or leave --answers out"
        )


def _differences(known: Mapping[str, Any], answers: Mapping[str, Any], within: str = "") -> Iterator[str]:
    for name, value in answers.items():
        if isinstance(value, dict):
            inner = known.get(name)
            yield from _differences(inner if isinstance(inner, dict) else {}, value, f"{name}.")
        elif known.get(name) != value:
            yield f"{within}{name}"
