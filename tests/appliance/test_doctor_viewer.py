# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The viewer with a real Orthanc: its plugin is loaded, its images are passed on, and the doctor says what lacks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread
from starlette.applications import Starlette
from starlette.testclient import TestClient

from appliance.doctor.viewer import check_viewer
from appliance.sections.viewer import ViewerSettings
from appliance.settings import Settings
from appliance.web.looks import Looks
from appliance.web.viewer import Viewer
from deploy.local.orthanc import DICOMWEB_PLUGIN, OrthancProcess, configuration
from deploy.local.ports import with_free_ports
from deploy.local.storescu import send
from tests.orthanc_plugin.small_ct import small_series


def lay_out(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "index.html").write_text("the page")
    (folder / "VERSION").write_text("3.13.2\n")
    return folder


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings with a viewer, and the running Orthanc that was started with them."""
    folder = tmp_path_factory.mktemp("shown")
    settings = with_free_ports(Settings(), folder)
    lay_out(settings.state_dir / "viewer")
    orthanc = settings.orthanc.model_copy(update={"username": "appliance", "password": "of-orthanc"})
    settings = settings.model_copy(update={"orthanc": orthanc})
    with OrthancProcess(settings, folder / "orthanc"):
        yield settings


def test_orthanc_loads_its_dicomweb_plugin_only_where_there_is_a_viewer(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path)
    without = configuration(settings, tmp_path)
    assert str(DICOMWEB_PLUGIN) not in without["Plugins"]
    assert "DicomWeb" not in without
    lay_out(tmp_path / "viewer")
    with_viewer = configuration(settings, tmp_path)
    assert with_viewer["Plugins"] == [*without["Plugins"], str(DICOMWEB_PLUGIN)]
    assert with_viewer["DicomWeb"]["EnableWado"] is False
    assert with_viewer["DicomWeb"]["Servers"] == {}


def test_a_viewer_that_gets_its_images_is_well(shown: Settings) -> None:
    (check,) = check_viewer(shown)
    assert (check.state, check.remedy) == ("ok", "")
    assert "OHIF 3.13.2" in check.what


def test_the_images_of_a_study_are_read_through_the_service(shown: Settings, tmp_path: Path) -> None:
    files = small_series(tmp_path, 3)
    send(files, shown.orthanc)
    header = dcmread(files[0])
    viewer = Viewer.of(shown, Looks())
    assert viewer is not None
    with TestClient(Starlette(routes=viewer.routes), base_url="http://reading.example:8044") as client:
        study = f"/dicom-web/studies/{header.StudyInstanceUID}"
        instances = client.get(f"{study}/series/{header.SeriesInstanceUID}/metadata").json()
        assert {one["00080018"]["Value"][0] for one in instances} == {
            str(dcmread(file).SOPInstanceUID) for file in files
        }
        image = f"{study}/series/{header.SeriesInstanceUID}/instances/{header.SOPInstanceUID}"
        frame = client.get(
            f"{image}/frames/1", headers={"Accept": 'multipart/related; type="application/octet-stream"'}
        )
        assert header.PixelData.rstrip(b"\0") in frame.content
        addresses = {one.get("00081190", {}).get("Value", [""])[0] for one in client.get(f"{study}/series").json()}
        assert all(address.startswith("http://reading.example:8044/dicom-web/") for address in addresses)
        assert client.get("/dicom-web/studies/1.2.3.4/metadata").status_code == 404


def test_an_orthanc_without_the_plugin_is_told_what_to_install(tmp_path: Path) -> None:
    settings = with_free_ports(Settings(), tmp_path)
    with OrthancProcess(settings, tmp_path / "orthanc"):
        assert list(check_viewer(settings)) == []  # without a viewer nothing is missing
        lay_out(settings.state_dir / "viewer")
        (check,) = check_viewer(settings)
    assert check.state == "fail"
    assert "orthanc-dicomweb" in check.remedy


def test_a_viewer_that_the_settings_name_and_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path, viewer=ViewerSettings(folder=tmp_path / "elsewhere"))
    (check,) = check_viewer(settings)
    assert check.state == "fail"
    assert f"viewer.folder = {tmp_path / 'elsewhere'}" in check.what
    assert "make viewer" in check.remedy
