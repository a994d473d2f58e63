# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Secrets come from files or the environment, and none comes out again."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import httpx
import pytest
import structlog
from typer.testing import CliRunner

from appliance.cli import app
from appliance.errors import SettingsError
from appliance.log import describe, log_to
from appliance.settings import Settings
from appliance.settings_sources import SECRETS, load_settings

SECRET = "b7Zk-Geheim_0815"


@pytest.fixture(autouse=True)
def _no_settings_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("APPLIANCE_SETTINGS", "APPLIANCE_SECRETS", "CREDENTIALS_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("variable", ["APPLIANCE_SECRETS", "CREDENTIALS_DIRECTORY"])
def test_a_secret_stands_in_a_file_of_its_own(variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "orthanc.password").write_text(f"{SECRET}\n")
    (folder / "orthanc.username").write_text("reader")
    (folder / "triton.secret").write_text("from-file")
    (folder / "unrelated").write_text("x")
    (tmp_path / "appliance.toml").write_text("[triton]\nsecret = 'from-toml'\n[orthanc]\naet = 'SITE'\n")
    monkeypatch.setenv(variable, str(folder))
    loaded = load_settings()
    assert (loaded.orthanc.username, loaded.orthanc.password, loaded.orthanc.aet) == ("reader", SECRET, "SITE")
    assert loaded.triton.secret == "from-file"
    monkeypatch.setenv("APPLIANCE_TRITON__SECRET", "from-environment")
    assert load_settings().triton.secret == "from-environment"


def test_a_secret_that_cannot_be_read_is_told_of_by_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPLIANCE_SECRETS", str(tmp_path))
    (tmp_path / "triton.secret").mkdir()
    with pytest.raises(SettingsError, match=r"triton\.secret: cannot be read"):
        load_settings()


def test_every_setting_that_is_not_shown_may_stand_in_a_file() -> None:
    hidden = {
        (section, name)
        for section, outer in Settings.model_fields.items()
        for name, field in getattr(outer.annotation, "model_fields", {}).items()
        if not field.repr
    }
    assert hidden <= set(SECRETS)


def test_no_log_line_error_or_command_tells_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir()
    url = f"postgresql+psycopg://box:{SECRET}@127.0.0.1:9/ledger"
    for name, value in (
        ("orthanc.username", "reader"),
        ("orthanc.password", SECRET),
        ("triton.secret", SECRET),
        ("ledger.url", url),
    ):
        (folder / name).write_text(value)
    monkeypatch.setenv("APPLIANCE_SECRETS", str(folder))
    loaded = load_settings()
    lines = io.StringIO()
    log_to(lines)
    log = structlog.get_logger("test")
    try:
        log.info("starting", settings=repr(loaded), orthanc=str(loaded.orthanc))
        logging.getLogger("sqlalchemy").error("connecting to %s", loaded.ledger)
        try:
            httpx.get("http://127.0.0.1:9/", headers={"Authorization": f"Bearer {SECRET}"}, trust_env=False)
        except httpx.HTTPError as error:
            log.error("away", error=describe(error))
        try:
            raise ValueError(f"could not use {SECRET}")
        except ValueError as error:
            log.error("fault", error=describe(error))
            logging.getLogger("library").exception("fault")
    finally:
        logging.getLogger().handlers[:] = []
    assert "starting" in lines.getvalue()
    assert SECRET not in lines.getvalue()
    run = CliRunner()
    for words in (["settings"], ["settings", "--json"], ["status"], ["doctor", "--json"]):
        done = run.invoke(app, words)
        assert SECRET not in done.output, words
