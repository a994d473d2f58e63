# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from appliance.cli import app
from appliance.errors import SettingsError
from appliance.settings import load_settings

SECRET = "hunter2"


@pytest.fixture(autouse=True)
def _no_settings_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("APPLIANCE_SETTINGS", raising=False)


def fault(toml: str) -> str:
    """Return what is said of a settings file that is wrong."""
    file = Path("wrong.toml")
    file.write_text(toml)
    with pytest.raises(SettingsError) as raised:
        load_settings(file)
    assert raised.value.__cause__ is None or SECRET not in str(raised.value.__cause__)
    return str(raised.value)


@pytest.mark.parametrize(
    ("toml", "name", "value", "allowed"),
    [
        ("[intake]\nquiet_s = 9000", "intake.quiet_s", "9000", "less than or equal to 600"),
        ("[service]\nport = 'high'", "service.port", "'high'", "valid integer"),
        ("[triton]\nprofile = 'tpu'", "triton.profile", "'tpu'", "'cpu' or 'gpu'"),
        ("[intake]\nsince = '2026-01-01'", "intake.since", "'2026-01-01'", "%Y%m%d"),
        ("state_dir = 7", "state_dir", "7", "path"),
        (
            "[finding]\nthreshold = 0.4\nextend_score = 0.6",
            "finding.extend_score",
            "0.6",
            "at most finding.threshold, which is 0.4",
        ),
    ],
)
def test_a_wrong_setting_is_told_by_name_value_and_what_is_allowed(
    toml: str, name: str, value: str, allowed: str
) -> None:
    told = fault(toml)
    assert f"{name} = {value}: " in told
    assert allowed in told
    assert "wrong.toml" in told


def test_every_wrong_setting_is_told_at_once() -> None:
    told = fault("[intake]\nquiet_s = 0\npoll_s = 0\n[service]\nworkers = 99")
    assert all(name in told for name in ("intake.quiet_s", "intake.poll_s", "service.workers"))


@pytest.mark.parametrize(
    ("toml", "name"),
    [
        (f"[orthanc]\npassword = ['{SECRET}']", "orthanc.password"),
        (f"[orthanc]\npasword = '{SECRET}'", "orthanc.pasword"),
        (f"[orthank]\npassword = '{SECRET}'", "orthank"),
        (f"[orthanc]\nurl = ['http://me:{SECRET}@there']", "orthanc.url"),
        (f"[ledger]\nurl = ['postgresql://me:{SECRET}@there']", "ledger.url"),
        (f"ledger = 'postgresql://me:{SECRET}@there'", "ledger"),
        (f"password = '{SECRET}'", "password"),
    ],
)
def test_what_may_be_a_secret_is_not_told_with_its_name(toml: str, name: str) -> None:
    told = fault(toml)
    assert f"  {name}: " in told
    assert SECRET not in told


@pytest.mark.parametrize(
    ("toml", "extend_score"),
    [("", 0.5), ("join_mm = 5", 0.5), ("threshold = 0.9", 0.5), ("threshold = 0.4", 0.4), ("extend_score = 0.7", 0.7)],
)
def test_lesions_are_extended_from_one_half_or_from_a_lower_threshold_unless_the_site_says_otherwise(
    toml: str, extend_score: float
) -> None:
    Path("appliance.toml").write_text(f"[finding]\n{toml}\n")
    assert load_settings().finding.extend_score == extend_score


def test_a_threshold_of_the_environment_and_an_extending_score_of_the_file_are_judged_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("APPLIANCE_FINDING__THRESHOLD", "0.3")
    assert "finding.extend_score = 0.4: " in fault("[finding]\nextend_score = 0.4")


def test_a_settings_file_that_cannot_be_read_is_told_of() -> None:
    with pytest.raises(SettingsError, match=r"/proc/self/mem: cannot be read"):
        load_settings(Path("/proc/self/mem"))


def test_a_settings_file_that_is_not_there_is_told_of() -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.toml: not there"):
        load_settings(Path("nowhere.toml"))


def test_a_settings_file_that_is_no_toml_is_told_of() -> None:
    assert "wrong.toml" in fault("quiet_s: 3")


def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("appliance.toml").write_text("[intake]\nquiet_s = 3\npoll_s = 5\n")
    monkeypatch.setenv("APPLIANCE_INTAKE__QUIET_S", "4")
    loaded = load_settings()
    assert (loaded.intake.quiet_s, loaded.intake.poll_s) == (4, 5)


def test_the_settings_are_shown_without_their_secrets() -> None:
    Path("appliance.toml").write_text(
        f"[orthanc]\nusername = 'reader'\npassword = '{SECRET}'\n[ledger]\nurl = 'postgresql://me:{SECRET}@there/x'\n"
    )
    shown = CliRunner().invoke(app, ["settings", "--json"])
    values = json.loads(shown.stdout)
    assert (values["orthanc"]["username"], values["orthanc"]["password"]) == ("reader", "***")
    assert values["ledger"]["url"] == "***"
    table = CliRunner().invoke(app, ["settings"], env={"COLUMNS": "300"}).stdout
    assert "orthanc.password" in table
    assert SECRET not in table
