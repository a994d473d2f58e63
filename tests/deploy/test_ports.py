# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Ports: free ones, taken ones, and settings that collide with nobody."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from appliance.errors import SettingsError, UnavailableError
from appliance.ports import is_free, require_free
from appliance.sections.orthanc import OrthancSettings
from appliance.settings import Settings
from deploy.local.ports import free_ports, named_ports, orthanc_http_port, with_free_ports


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_a_port_that_someone_listens_on_is_not_free(address: str) -> None:
    with socket.socket() as server:
        server.bind((address, 0))
        server.listen()
        port = server.getsockname()[1]
        assert not is_free(port)
    assert is_free(port)


def test_a_taken_port_is_refused_by_the_name_of_its_setting() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        (free,) = free_ports(1)
        with pytest.raises(UnavailableError, match=rf"service\.port = {port} is taken") as refused:
            require_free({"service.port": port, "orthanc.dicom_port": free})
        assert "orthanc.dicom_port" not in str(refused.value)


def test_two_settings_with_one_port_are_refused() -> None:
    (port,) = free_ports(1)
    with pytest.raises(UnavailableError, match=rf"triton\.http_port = {port} is also service\.port"):
        require_free({"service.port": port, "triton.http_port": port})


def test_free_ports_differ_and_are_free() -> None:
    ports = free_ports(50)
    assert len(set(ports)) == 50
    assert all(is_free(port) for port in ports)


def test_settings_with_free_ports_keep_everything_else(tmp_path: Path) -> None:
    settings = Settings(orthanc=OrthancSettings(aet="SITE"))
    free = with_free_ports(settings, tmp_path)
    require_free(named_ports(free))
    assert not set(named_ports(free).values()) & set(named_ports(settings).values())
    assert free.orthanc.aet == "SITE"
    assert free.state_dir == tmp_path
    assert free.intake == settings.intake


@pytest.mark.parametrize("url", ["https://127.0.0.1:8043", "http://127.0.0.1"])
def test_an_orthanc_address_without_a_usable_port_is_refused_by_name(url: str) -> None:
    with pytest.raises(SettingsError, match=r"orthanc\.url = "):
        orthanc_http_port(Settings(orthanc=OrthancSettings(url=url)))
