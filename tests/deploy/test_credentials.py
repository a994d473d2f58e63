# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Nothing that is started here lets in who does not know a secret, and the commands of the same user know it."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.errors import SettingsError
from appliance.sections.orthanc import OrthancSettings
from appliance.sections.triton import TritonSettings
from appliance.settings import Settings
from appliance.settings_sources import CREDENTIALS_FILE, load_settings
from deploy.local.credentials import with_credentials


@pytest.fixture(autouse=True)
def _no_settings_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("APPLIANCE_SETTINGS", raising=False)


def test_a_user_and_a_secret_are_made_once_and_known_to_the_commands(tmp_path: Path) -> None:
    made = with_credentials(Settings(state_dir=tmp_path / "state"))
    assert len(made.orthanc.password) > 20
    assert len(made.triton.secret) > 20
    assert (tmp_path / "state" / CREDENTIALS_FILE).stat().st_mode & 0o077 == 0
    Path("appliance.toml").write_text("state_dir = 'state'\n[intake]\nquiet_s = 3\n")
    loaded = load_settings()
    assert (loaded.orthanc, loaded.triton.secret) == (made.orthanc, made.triton.secret)
    assert loaded.intake.quiet_s == 3
    assert with_credentials(loaded) == loaded
    other = with_credentials(Settings(state_dir=tmp_path / "other"))
    assert other.orthanc.password != made.orthanc.password


def test_what_a_site_sets_itself_stands(tmp_path: Path) -> None:
    own = OrthancSettings(username="site", password="own")
    half = with_credentials(Settings(state_dir=tmp_path / "half", orthanc=own))
    assert half.orthanc == own
    assert half.triton.secret
    whole = Settings(state_dir=tmp_path / "whole", orthanc=own, triton=TritonSettings(secret="own"))
    assert with_credentials(whole) is whole
    assert not (tmp_path / "whole").exists()
    Path("appliance.toml").write_text("state_dir = 'half'\n[orthanc]\nusername = 'site'\npassword = 'new'\n")
    assert load_settings().orthanc.password == "new"


def test_a_damaged_file_is_named_and_not_quoted(tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / CREDENTIALS_FILE).write_text("secret = hunter2")
    with pytest.raises(SettingsError, match=CREDENTIALS_FILE) as raised:
        load_settings()
    assert "hunter2" not in str(raised.value)
