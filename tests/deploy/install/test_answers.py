# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The settings file of a new installation, from what a site answers."""

from __future__ import annotations

import socket
import tomllib
from pathlib import Path
from typing import Any

import pytest

from appliance.errors import SettingsError
from appliance.settings_sources import load_settings
from deploy.install.answers import first_settings, read_answers, require_answers_hold, write_first_settings
from deploy.install.layout import Layout


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    found = Layout(tmp_path)
    found.etc.mkdir(parents=True)
    return found


def answered(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "answers.toml"
    file.write_text(text)
    return file


def test_answers_are_settings_and_stand_in_the_file(layout: Layout, tmp_path: Path) -> None:
    answers = read_answers(answered(tmp_path, '[orthanc]\naet = "BLEED"\nsenders = ["CT1@10.0.0.21"]\n'))
    settings = write_first_settings(layout, answers)
    assert (settings.orthanc.aet, settings.orthanc.senders) == ("BLEED", ("CT1@10.0.0.21",))
    assert load_settings(layout.settings).model_dump() == settings.model_dump()
    assert settings.state_dir == layout.state
    assert settings.triton.model_repository == layout.current / "model_repository"


@pytest.mark.parametrize(
    "text",
    [
        '[orthanc]\naet = "FAR_TOO_LONG_FOR_AN_AE_TITLE"\n',
        '[orthanc]\naett = "BLEED"\n',
        '[orthanc]\nsenders = ["CT1"]\n',
    ],
)
def test_an_answer_that_is_not_allowed_leaves_no_file(layout: Layout, tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match="orthanc"):
        write_first_settings(layout, read_answers(answered(tmp_path, text)))
    assert not list(layout.etc.iterdir())


@pytest.mark.parametrize("text", ["not toml", '[triton]\nsecret = "abc"\n', '[orthanc]\npassword = "abc"\n'])
def test_what_is_no_answer_is_refused_with_its_file(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match="answers"):
        read_answers(answered(tmp_path, text))
    with pytest.raises(SettingsError, match="not-there"):
        read_answers(tmp_path / "not-there.toml")


def test_a_taken_port_is_left_to_its_owner_unless_an_answer_names_it(layout: Layout) -> None:
    with socket.socket() as other:
        try:
            other.bind(("", 4243))
        except OSError:
            pass  # taken by somebody else, who serves as well
        else:
            other.listen(1)
        found = first_settings(layout, {})
        assert found["orthanc"]["dicom_port"] > 4243
        named = first_settings(layout, {"orthanc": {"dicom_port": 4243}})
        assert named["orthanc"]["dicom_port"] == 4243


@pytest.mark.parametrize(
    "answers",
    [
        {"orthanc": {"dicom_port": 8044}},
        {"service": {"port": 4243}},
        {"orthanc": {"url": "http://127.0.0.1:8401"}},
        {"triton": {"metrics_port": 8043}},
    ],
)
def test_a_port_that_an_answer_names_is_given_to_nobody_else(
    layout: Layout, answers: dict[str, dict[str, Any]]
) -> None:
    settings = write_first_settings(layout, answers)
    orthanc, triton = settings.orthanc, settings.triton
    ports = [orthanc.dicom_port, int(orthanc.url.rpartition(":")[2]), settings.service.port]
    ports += [triton.http_port, triton.grpc_port, triton.metrics_port]
    assert len(set(ports)) == len(ports), ports


@pytest.mark.parametrize("service", [{"port": "abc"}, {"port": "http://127.0.0.1:99999"}, {"port": [1]}, 8044])
def test_a_port_that_is_none_is_refused_by_its_name(layout: Layout, service: object) -> None:
    with pytest.raises(SettingsError, match="service"):
        write_first_settings(layout, {"service": service})


def test_answers_that_a_settings_file_holds_already_change_nothing_and_others_are_named(layout: Layout) -> None:
    write_first_settings(layout, {"orthanc": {"aet": "BLEED", "senders": ["CT1@10.0.0.21"]}})
    before = layout.settings.read_text()
    require_answers_hold(layout, {"orthanc": {"aet": "BLEED"}})
    with pytest.raises(SettingsError, match=r"orthanc\.aet, disk_low_gb"):
        require_answers_hold(layout, {"orthanc": {"aet": "OTHER"}, "disk_low_gb": 5})
    assert layout.settings.read_text() == before
    assert tomllib.loads(before)["orthanc"]["aet"] == "BLEED"
