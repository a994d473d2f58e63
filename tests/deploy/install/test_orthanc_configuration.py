# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Orthanc's configuration as it is made of the settings before each start."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.errors import SettingsError
from deploy.install.answers import write_first_settings
from deploy.install.layout import Layout
from deploy.install.orthanc_configuration import site_configuration


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    found = Layout(tmp_path)
    found.secrets.mkdir(parents=True)
    (found.secrets / "orthanc.username").write_text("appliance\n")
    (found.secrets / "orthanc.password").write_text("s3cret\n")
    (found.secrets / "triton.secret").write_text("another\n")
    monkeypatch.setenv("APPLIANCE_SECRETS", str(found.secrets))
    write_first_settings(found, {"orthanc": {"senders": ["CT1@10.0.0.21"]}})
    return found


def test_it_has_the_senders_the_archive_and_the_password_and_no_other_secret(layout: Layout) -> None:
    written = site_configuration(layout)
    assert written["StorageDirectory"] == written["IndexDirectory"] == str(layout.archive)
    assert written["RegisteredUsers"] == {"appliance": "s3cret"}
    assert "CT1" in [modality["AET"] for modality in written["DicomModalities"].values()]
    assert "another" not in str(written)


def test_what_a_site_adds_of_orthancs_own_wins(layout: Layout) -> None:
    layout.orthanc_extra.write_text('{"DicomTlsEnabled": true, "StableAge": 5}')
    written = site_configuration(layout)
    assert (written["DicomTlsEnabled"], written["StableAge"]) == (True, 5)


def test_the_documented_way_to_name_a_peer_leads_into_orthancs_configuration(layout: Layout) -> None:
    documented = (Path(__file__).parents[3] / "docs" / "delivery.md").read_text()
    (block,) = [text for text in documented.split("```json\n")[1:] if "OrthancPeers" in text]
    layout.orthanc_extra.write_text(block.partition("```")[0])
    assert list(site_configuration(layout)["OrthancPeers"]) == ["TEACHING"]


@pytest.mark.parametrize("text", ["{", "[]"])
def test_an_addition_that_is_none_stops_the_start_with_its_file(layout: Layout, text: str) -> None:
    layout.orthanc_extra.write_text(text)
    with pytest.raises(SettingsError, match=r"orthanc\.json"):
        site_configuration(layout)


@pytest.mark.parametrize("script", ["deploy/routing/present_first.lua", "/srv/not-there.lua"])
def test_a_script_that_is_not_there_stops_the_start_with_its_name(
    layout: Layout, script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path / "run")  # as Orthanc's unit, in a folder of its own
    layout.settings.write_text(layout.settings.read_text().replace("[orthanc]", f'[orthanc]\nscripts = ["{script}"]'))
    with pytest.raises(SettingsError, match=f"{script} is not there"):
        site_configuration(layout)


def test_the_routing_example_of_the_installed_version_can_be_named(layout: Layout) -> None:
    example = Path(__file__).parents[3] / "deploy/routing/present_first.lua"
    installed = layout.current / "deploy/routing/present_first.lua"
    installed.parent.mkdir(parents=True)
    installed.write_bytes(example.read_bytes())
    layout.settings.write_text(
        layout.settings.read_text().replace("[orthanc]", f'[orthanc]\nscripts = ["{installed}"]')
    )
    assert site_configuration(layout)["LuaScripts"][0] == str(installed)
