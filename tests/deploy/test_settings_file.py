# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The settings file of a service of our own says what the settings said."""

from __future__ import annotations

from pathlib import Path

from appliance.sections.answers import FindingSettings, ResultsSettings
from appliance.sections.orthanc import OrthancSettings
from appliance.sections.supervisor import LogSettings
from appliance.settings import Settings
from appliance.settings_sources import load_settings
from deploy.local.settings_file import make_absolute, write_settings


def test_settings_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    settings = make_absolute(
        Settings(
            state_dir=Path("state"),
            orthanc=OrthancSettings(username="reader", password='a "quoted" \\ päss\x7f word\n'),
            finding=FindingSettings(threshold=0.4),
            results=ResultsSettings(institution="Clínica 病院"),
            log=LogSettings(max_mib=0.5),
        ),
        tmp_path,
    )
    assert load_settings(write_settings(settings, tmp_path / "appliance.toml")).model_dump() == settings.model_dump()


def test_an_unset_value_stays_unset(tmp_path: Path) -> None:
    file = write_settings(Settings(), tmp_path / "appliance.toml")
    assert "threshold" not in file.read_text()
    assert load_settings(file).finding.threshold is None


def test_only_the_owner_reads_the_file(tmp_path: Path) -> None:
    file = write_settings(Settings(), tmp_path / "appliance.toml")
    assert file.stat().st_mode & 0o077 == 0


def test_relative_paths_are_taken_from_the_checkout(tmp_path: Path) -> None:
    settings = make_absolute(Settings(state_dir=Path("/elsewhere")), tmp_path)
    assert settings.state_dir == Path("/elsewhere")
    assert settings.triton.model_repository == tmp_path / "model_repository"
