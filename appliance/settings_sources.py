# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Where settings come from, and what is said about wrong ones. The settings themselves are in `settings`.

They are read from one TOML file (`--settings FILE`, else `$APPLIANCE_SETTINGS`, else `appliance.toml` in the working
folder, else `/etc/hemorrhage-appliance/appliance.toml`) and from the environment (`APPLIANCE_INTAKE__QUIET_S=3`), which
wins. A secret may also have a file of its own (`secrets_in_files`). A wrong value stops the start with the setting's
name, its value and what is allowed.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings.exceptions import SettingsError as UnreadableSourceError

from appliance.errors import SettingsError
from appliance.sections.delivery import KINDS, ActionSettings, RuleError, RuleSettings
from appliance.settings import Settings
from appliance.settings_lines import line_of_rule

CREDENTIALS_FILE = "credentials.toml"
"""The file in the state folder with what `make up` generated: a user of Orthanc and a secret of Triton."""
SECRETS = (("orthanc", "username"), ("orthanc", "password"), ("triton", "secret"), ("ledger", "url"))
"""The settings that may each have a file of their own."""
SYSTEM_FILE = Path("/etc/hemorrhage-appliance/appliance.toml")


def settings_file(given: Path | None = None) -> Path | None:
    """Return the settings file that applies, None when there is none and the defaults apply.

    Raises `SettingsError` when a named file does not exist, or its folder cannot be read.
    """
    named = given or (Path(os.environ["APPLIANCE_SETTINGS"]) if os.environ.get("APPLIANCE_SETTINGS") else None)
    try:
        if named is not None and not named.is_file():
            raise SettingsError(f"settings file {named}: not there; name an existing TOML file or leave it out")
        return named or next((path for path in (Path("appliance.toml"), SYSTEM_FILE) if path.is_file()), None)
    except OSError as error:
        raise SettingsError(
            f"settings file {error.filename}: cannot be looked for ({error.strerror}); check the rights of its folder"
        ) from error


def load_settings(given: Path | None = None, **overrides: Any) -> Settings:
    """Return the settings from file, environment and `overrides` (sections as dicts, which win).

    Raises `SettingsError` with the name, the value and what is allowed of every wrong setting.
    """
    file = settings_file(given)
    generated: dict[str, Any] = {}
    from_files = secrets_in_files()

    class FromFile(Settings):
        model_config = SettingsConfigDict(toml_file=file)

        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], *sources: PydanticBaseSettingsSource, **named: Any
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            arguments, environment, toml_file = super().settings_customise_sources(settings_cls, *sources, **named)
            secret = InitSettingsSource(settings_cls, from_files)
            return (
                arguments,
                environment,
                secret,
                toml_file,
                InitSettingsSource(settings_cls, generated),
            )  # the site's own value wins

    wrong = _sections_that_are_none()
    try:
        loaded = FromFile(**overrides)
        generated |= _credentials(loaded.state_dir)
        if generated:
            loaded = FromFile(**overrides)
    except ValidationError as error:
        wrong += [
            f"{_place(item, file)}{_value(item)}: {_words(item)}"
            for item in error.errors()
            if item["type"] != "default_factory_not_called"  # its default follows a setting that is wrong itself
        ]
    except UnreadableSourceError as error:  # an environment variable of a whole section, which would be JSON
        raise SettingsError(f"the environment: {error}; write APPLIANCE_SECTION__NAME") from None
    except ValueError as error:  # not TOML
        raise SettingsError(f"settings file {file}: {error}") from error
    except OSError as error:
        raise SettingsError(f"settings file {file}: cannot be read ({error.strerror}); check its rights") from error
    if wrong:
        # Not chained, because the framework's text holds every value.
        raise SettingsError("\n  ".join([f"wrong settings (file: {file or 'none'})", *wrong])) from None
    return loaded


def secrets_in_files() -> dict[str, Any]:
    """Return the secret settings that have files of their own, by section.

    The folder is `$APPLIANCE_SECRETS`, else systemd's `$CREDENTIALS_DIRECTORY`. A file is named after its setting
    (`orthanc.password`) and holds its value; a line end after it is ignored. Raises `SettingsError` when a file cannot
    be read.
    """
    folder = os.environ.get("APPLIANCE_SECRETS") or os.environ.get("CREDENTIALS_DIRECTORY")
    found: dict[str, dict[str, str]] = {}
    for section, name in SECRETS if folder else ():
        file = Path(folder or "") / f"{section}.{name}"
        try:
            found.setdefault(section, {})[name] = file.read_text().rstrip("\r\n")
        except FileNotFoundError:
            continue
        except (OSError, UnicodeError) as error:
            raise SettingsError(f"{file}: cannot be read ({type(error).__name__}); check its rights") from None
    return {section: values for section, values in found.items() if values}


def _credentials(state_dir: Path) -> dict[str, Any]:
    """Return what `make up` generated, by section; nothing if it made nothing or this user may not read it."""
    try:
        return tomllib.loads((state_dir / CREDENTIALS_FILE).read_text())
    except (FileNotFoundError, PermissionError, NotADirectoryError):
        return {}
    except ValueError as error:
        raise ValueError(f"{state_dir / CREDENTIALS_FILE} is no TOML ({error}); remove it while nothing runs") from None


def _sections_that_are_none() -> list[str]:
    """Return what is wrong with environment variables of unknown sections, which the framework ignores."""
    names = [name for name in os.environ if name.startswith("APPLIANCE_") and "__" in name]
    sections = {name: name.removeprefix("APPLIANCE_").partition("__")[0].lower() for name in names}
    return [
        f"{name} (environment): no such section{_suggestion(section)}"
        for name, section in sections.items()
        if section not in Settings.model_fields
    ]


def _place(item: ErrorDetails, file: Path | None) -> str:
    """Return which setting is wrong; of a rule also its line in the file."""
    named = ".".join(map(str, item["loc"]))
    cause = item.get("ctx", {}).get("error")
    index = (
        cause.index if isinstance(cause, RuleError) else next((one for one in item["loc"] if isinstance(one, int)), -1)
    )
    if item["loc"][0] != "rules" or index < 0 or file is None:
        return named
    setting = str(item["loc"][2]) if len(item["loc"]) > 2 else ""
    try:
        line = line_of_rule(file.read_text(), index, setting, getattr(cause, "line", 0))
    except OSError:
        line = None
    return f"rules.{index}{f'.{setting}' if setting else ''}" + (f" (line {line})" if line else "")


def _words(item: ErrorDetails) -> str:
    """Return what is allowed instead of a wrong setting."""
    *outer, name = (str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        return "no such setting" + _suggestion(name, outer)
    if item["type"] in ("model_type", "model_attributes_type"):
        return f"this is a section: [{name}] is allowed, with its settings below it"
    return item["msg"].removeprefix("Value error, ").removeprefix("Input ")


def _suggestion(name: str, section: Sequence[str] = ()) -> str:
    """Return which settings a name may have meant, in its section or else in any, or all of the section."""
    of_section = [".".join((*section, field)) for field in _fields_of(section)]
    everywhere = [f"{outer}.{field}" for outer in Settings.model_fields for field in _fields_of([outer])]
    for known in (of_section, everywhere):
        last = {full: full.rpartition(".")[2] for full in known}
        near = get_close_matches(name.lower(), set(last.values()), n=2, cutoff=0.7)
        if near:
            return f"; did you mean {' or '.join(full for full in known if last[full] in near)}?"
    return f"; there are {', '.join(of_section or Settings.model_fields)}"


def _fields_of(section: Sequence[str]) -> Mapping[str, Any]:
    """Return the fields of a section, or of all settings when none is named; none when there is no such section."""
    if not section:
        return Settings.model_fields
    if section[0] == "rules" and len(section) > 1:
        return (ActionSettings if "actions" in section else RuleSettings).model_fields
    if section[0] == "destinations" and len(section) > 1:
        return {name: field for kind in KINDS.values() for name, field in kind.model_fields.items()}
    field = Settings.model_fields.get(section[0])
    return getattr(field.annotation, "model_fields", {}) if field is not None else {}


def _value(item: ErrorDetails) -> str:
    """Return a wrong value for display: only that of a single known setting that holds no secret.

    A misspelt name may belong to a password, a whole section that is wrong includes its password, and a URL may have
    one before its host.
    """
    section, _, name = ".".join(map(str, item["loc"])).partition(".")
    outer = Settings.model_fields.get(section)
    inner = getattr(outer.annotation, "model_fields", None) if outer is not None else None
    field = outer if inner is None else inner.get(name.partition(".")[0])
    if isinstance(item.get("ctx", {}).get("error"), RuleError):  # says itself what is wrong, of all the rules
        return ""
    if field is None or not field.repr or (name == "url" and not isinstance(item["input"], str)):
        return ""
    shown = item["input"] if name != "url" else re.sub(r".*@", "***@", item["input"], flags=re.DOTALL)
    return f" = {shown!r}"
