# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Proves the configuration of Orthanc that a container gets."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from appliance.errors import SettingsError
from deploy.containers.configure import container_configuration
from deploy.local.orthanc import LOCAL_SENDERS

ROOT = Path(__file__).resolve().parents[3]
SHIPPED = ROOT / "deploy/containers/appliance.toml"


@pytest.fixture
def site(tmp_path):
    (tmp_path / "secrets").mkdir()
    for name, secret in (("orthanc.username", "appliance"), ("orthanc.password", "word"), ("triton.secret", "key")):
        (tmp_path / "secrets" / name).write_text(secret + "\n")
    (tmp_path / "appliance.toml").write_text(SHIPPED.read_text())
    return tmp_path


def configured(site, monkeypatch):
    monkeypatch.setenv("APPLIANCE_SECRETS", str(site / "secrets"))
    return container_configuration(site / "appliance.toml", site / "secrets")


def test_orthanc_keeps_its_studies_on_the_volume_and_stays_closed(site, monkeypatch):
    made = configured(site, monkeypatch)
    assert made["StorageDirectory"] == made["IndexDirectory"] == "/var/lib/hemorrhage-appliance/orthanc"
    assert made["RegisteredUsers"] == {"appliance": "word"}
    assert made["RemoteAccessAllowed"] is False
    assert made["AuthenticationEnabled"] is True
    assert made["DicomAlwaysAllowStore"] is False
    assert {(one["AET"], one["Host"]) for one in made["DicomModalities"].values()} == {
        (title, "127.0.0.1") for title in LOCAL_SENDERS
    }


def test_options_of_the_site_win_and_leave_their_neighbours(site, monkeypatch):
    (site / "orthanc.json").write_text(json.dumps({"StableAge": 5, "Hemorrhage": {"TimeoutSeconds": 2}}))
    made = configured(site, monkeypatch)
    assert made["StableAge"] == 5
    assert made["Hemorrhage"] == {
        "ServiceUrl": "http://127.0.0.1:8044",
        "TimeoutSeconds": 2,
        "ExplorerButton": True,
    }


def test_the_plugin_gets_its_account_from_a_secret(site, monkeypatch):
    assert "Token" not in configured(site, monkeypatch)["Hemorrhage"]
    (site / "secrets/doorbell.token").write_text("of-an-account\n")
    assert configured(site, monkeypatch)["Hemorrhage"]["Token"] == "of-an-account"


@pytest.mark.parametrize("text", ["{", "[1]", "// comment\n{}"])
def test_options_that_are_no_json_object_are_refused_by_the_files_name(site, monkeypatch, text):
    (site / "orthanc.json").write_text(text)
    with pytest.raises(SettingsError, match=r"orthanc\.json"):
        configured(site, monkeypatch)


def test_the_file_is_for_owner_and_group_alone_and_replaces_the_one_before(site):
    file = site / "made.json"
    file.write_text("old")
    environment = {"APPLIANCE_SETTINGS": str(site / "appliance.toml"), "APPLIANCE_SECRETS": str(site / "secrets")}
    command = [sys.executable, "-m", "deploy.containers.configure", str(file)]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert json.loads(file.read_text())["DicomAet"] == "HEMORRHAGE"
    assert not list(site.glob("*.new"))


def test_one_that_stays_removes_the_file_when_it_ends_so_that_no_old_one_is_taken_for_the_next(site):
    file = site / "made.json"
    environment = {"APPLIANCE_SETTINGS": str(site / "appliance.toml"), "APPLIANCE_SECRETS": str(site / "secrets")}
    command = [sys.executable, "-m", "deploy.containers.configure", str(file), "--stay"]
    staying = subprocess.Popen(command, env=environment, cwd=ROOT)
    while not file.exists():
        assert staying.poll() is None
        time.sleep(0.05)
    staying.terminate()
    assert staying.wait() == 0
    assert not file.exists()


def test_a_wrong_setting_ends_it_with_its_name_and_leaves_the_file(site):
    file = site / "made.json"
    file.write_text("old")
    (site / "appliance.toml").write_text("[orthanc]\ndicom_port = 0\n")
    environment = {"APPLIANCE_SETTINGS": str(site / "appliance.toml"), "APPLIANCE_SECRETS": str(site / "secrets")}
    command = [sys.executable, "-m", "deploy.containers.configure", str(file)]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "orthanc.dicom_port" in done.stderr
    assert file.read_text() == "old"
