# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Our Orthanc: its configuration, and two of them beside each other."""

from __future__ import annotations

import socket
from pathlib import Path

import httpx
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import JPEGLSLossless, generate_uid
from pynetdicom import AE
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    CTImageStorage,
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from appliance.errors import SettingsError, UnavailableError
from appliance.sections.orthanc import OrthancSettings
from appliance.sections.viewer import ViewerSettings
from appliance.settings import Settings
from deploy.local.orthanc import DICOMWEB_PLUGIN, DOORBELL, TRUSTED_HOSTS, OrthancProcess, configuration
from deploy.local.ports import with_free_ports
from deploy.local.storescu import send
from tests.orthanc_plugin.small_ct import small_series


def test_the_configuration_follows_the_settings(tmp_path: Path) -> None:
    orthanc = OrthancSettings(url="http://127.0.0.1:9001", dicom_port=9002, aet="SITE", username="u", password="p")
    written = configuration(Settings(orthanc=orthanc), tmp_path)
    expected = {
        "HttpPort": 9001,
        "DicomPort": 9002,
        "DicomAet": "SITE",
        "AuthenticationEnabled": True,
        "RegisteredUsers": {"u": "p"},
        "RemoteAccessAllowed": False,
        "HttpBindAddresses": ["127.0.0.1"],
        "DicomAlwaysAllowStore": False,
        "LuaScripts": [str(TRUSTED_HOSTS)],
        "StableAge": 2,
        "StorageDirectory": str(tmp_path / "storage"),
        "IndexDirectory": str(tmp_path / "storage"),
        "PythonScript": str(DOORBELL),
    }
    assert {key: written[key] for key in expected} == expected
    assert written["Hemorrhage"]["ServiceUrl"] == "http://127.0.0.1:8044"


def test_the_plugin_of_the_viewer_is_loaded_where_the_other_machine_is_said_to_have_it(tmp_path: Path) -> None:
    for name in ("index.html", "VERSION"):
        (tmp_path / name).write_text("3.13.2\n")
    settings = Settings(viewer=ViewerSettings(folder=tmp_path))
    there, away = (configuration(settings, tmp_path, dicomweb=has) for has in (True, False))
    assert str(DICOMWEB_PLUGIN) in there["Plugins"]
    assert there["DicomWeb"]["Root"] == "/dicom-web/"
    assert str(DICOMWEB_PLUGIN) not in away["Plugins"]
    assert "DicomWeb" not in away


def test_where_orthanc_wants_an_address_it_gets_one(tmp_path: Path) -> None:
    orthanc = OrthancSettings(url="http://localhost:9001", dicom_host="localhost", senders=("CT1@10.0.0.21",))
    written = configuration(Settings(orthanc=orthanc), tmp_path)
    assert written["HttpBindAddresses"] == ["127.0.0.1"]
    hosts = {modality["AET"]: modality["Host"] for modality in written["DicomModalities"].values()}
    assert hosts == {"SCANNER": "127.0.0.1", "APPLIANCE_DOCTOR": "127.0.0.1", "CT1": "10.0.0.21"}


def test_a_receiver_may_be_sent_to_by_its_name_and_may_send_only_where_it_is_a_sender_too(tmp_path: Path) -> None:
    receivers = ("PACS=PACS1@10.0.0.5:104", "CT=CT1@10.0.0.21:11112")
    orthanc = OrthancSettings(senders=("CT1@10.0.0.21",), receivers=receivers)
    written = configuration(Settings(orthanc=orthanc), tmp_path)["DicomModalities"]
    assert (written["PACS"]["AET"], written["PACS"]["Host"], written["PACS"]["Port"]) == ("PACS1", "10.0.0.5", 104)
    assert written["PACS"]["AllowStore"] is False
    assert written["CT"]["AllowStore"] is True
    assert written["CT"]["AllowFind"] is False
    for known in written.values():
        for asked in ("Find", "FindWorklist", "Get", "Move", "StorageCommitment"):
            assert known[f"Allow{asked}"] is False


@pytest.mark.parametrize("receiver", ["CT=CT1@10.9.9.9:104", "CT=ct1@10.9.9.9:104", "A=SCANNER@10.9.9.9:104"])
def test_a_receiver_that_would_shut_out_a_sender_stops_the_start(receiver: str, tmp_path: Path) -> None:
    orthanc = OrthancSettings(senders=("CT1@10.0.0.21",), receivers=(receiver,))
    with pytest.raises(SettingsError, match="could no longer"):
        configuration(Settings(orthanc=orthanc), tmp_path)


@pytest.mark.end_to_end
def test_who_is_sender_and_receiver_may_send_and_who_is_receiver_alone_may_not(tmp_path: Path) -> None:
    settings = with_free_ports(Settings(), tmp_path)
    receivers = tuple(f"A-{title}={title}@127.0.0.1:104" for title in ("SCANNER", "ARCHIVE"))
    settings = settings.model_copy(update={"orthanc": settings.orthanc.model_copy(update={"receivers": receivers})})
    with OrthancProcess(settings, tmp_path, doorbell=False) as running:
        assert send(small_series(tmp_path / "ct", 1), running.settings.orthanc) == 1
        receiver = AE(ae_title="ARCHIVE")
        receiver.add_requested_context(CTImageStorage)
        association = receiver.associate("127.0.0.1", running.dicom_port, ae_title=running.aet)
        try:
            sent = association.send_c_store(dcmread(small_series(tmp_path / "other", 1)[0]))
        except RuntimeError:  # it was not even let in
            sent = None
        finally:
            association.abort()
        assert not sent or sent.Status != 0
        with running.client() as client:
            assert len(client.get("/instances").json()) == 1


@pytest.mark.end_to_end
@pytest.mark.parametrize("senders", [(), ("*",)])
@pytest.mark.parametrize("title", ["SCANNER", "STRANGER"])
def test_nobody_gets_orthanc_to_commit_itself_to_storage(tmp_path: Path, senders: tuple[str, ...], title: str) -> None:
    settings = with_free_ports(Settings(), tmp_path)
    settings = settings.model_copy(update={"orthanc": settings.orthanc.model_copy(update={"senders": senders})})
    asked = Dataset()
    asked.TransactionUID = generate_uid()
    one = Dataset()
    one.ReferencedSOPClassUID, one.ReferencedSOPInstanceUID = CTImageStorage, generate_uid()
    asked.ReferencedSOPSequence = [one]
    with OrthancProcess(settings, tmp_path, doorbell=False) as running:
        scanner = AE(ae_title=title)
        scanner.add_requested_context(StorageCommitmentPushModel)
        scanner.add_requested_context(CTImageStorage)
        association = scanner.associate("127.0.0.1", running.dicom_port, ae_title=running.aet)
        try:
            answer, _ = association.send_n_action(
                asked, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
            )
        except (RuntimeError, ValueError):  # it was not let in, or this not agreed on
            answer = None
        finally:
            association.abort()
        assert not answer or answer.Status != 0


def test_a_script_of_the_site_is_loaded_before_our_own_and_one_that_is_not_there_stops_the_start(
    tmp_path: Path,
) -> None:
    script = tmp_path / "site.lua"
    script.touch()
    settings = Settings(orthanc=OrthancSettings(scripts=(script,)))
    assert configuration(settings, tmp_path)["LuaScripts"] == [str(script), str(TRUSTED_HOSTS)]
    script.unlink()
    with pytest.raises(SettingsError, match=r"orthanc\.scripts: .*site\.lua is not there"):
        OrthancProcess(settings, tmp_path).prepare()


@pytest.mark.parametrize(
    ("receivers", "words"),
    [
        (("PACS1@10.0.0.5:104",), "PACS=PACS1@10.0.0.5:104"),
        (("PACS=PACS1@10.0.0.5",), "PACS=PACS1@10.0.0.5:104"),
        (("a/b=PACS1@10.0.0.5:104",), "PACS=PACS1@10.0.0.5:104"),
        (("PACS=A@10.0.0.5:104", "PACS=B@10.0.0.5:105"), "PACS is there twice"),
        (("sender-1=A@10.0.0.5:104",), "a name of the appliance's own"),
    ],
)
def test_a_receiver_that_could_not_work_is_refused(receivers: tuple[str, ...], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        OrthancSettings(receivers=receivers)


def test_without_the_doorbell_no_plugin_is_loaded(tmp_path: Path) -> None:
    written = configuration(Settings(), tmp_path, doorbell=False)
    assert written["Plugins"] == []
    assert not {"PythonScript", "Hemorrhage"} & set(written)


@pytest.mark.end_to_end
def test_two_orthancs_stand_beside_each_other_and_keep_their_own_studies(tmp_path: Path) -> None:
    files = small_series(tmp_path / "series", 2)
    first = OrthancProcess(with_free_ports(Settings(), tmp_path), tmp_path / "first", doorbell=False)
    second = OrthancProcess(with_free_ports(Settings(), tmp_path), tmp_path / "second", doorbell=False)
    with first, second, first.client() as one, second.client() as other:
        assert send(files, first.settings.orthanc) == 2
        assert len(one.get("/instances").json()) == 2
        assert other.get("/instances").json() == []


@pytest.mark.end_to_end
def test_studies_survive_a_power_cut_and_a_password_is_asked_for(tmp_path: Path) -> None:
    settings = with_free_ports(Settings(orthanc=OrthancSettings(username="u", password="p")), tmp_path)
    with OrthancProcess(settings, tmp_path / "orthanc", doorbell=False) as orthanc:
        assert httpx.get(f"{orthanc.url}/system", timeout=60).status_code == 401
        assert (tmp_path / "orthanc" / "orthanc.json").stat().st_mode & 0o077 == 0
        send(small_series(tmp_path / "series", 3), settings.orthanc)
        orthanc.kill()
        orthanc.start()
        with orthanc.client() as client:
            assert len(client.get("/instances").json()) == 3


@pytest.mark.end_to_end
def test_compressed_images_are_sent_as_they_are(tmp_path: Path) -> None:
    (file,) = small_series(tmp_path / "series", 1)
    dataset = dcmread(file)
    dataset.compress(JPEGLSLossless, generate_instance_uid=False)
    dataset.save_as(file)
    with (
        OrthancProcess(with_free_ports(Settings(), tmp_path), tmp_path / "orthanc", doorbell=False) as orthanc,
        orthanc.client() as client,
    ):
        send([file], orthanc.settings.orthanc)
        (instance,) = client.get("/instances").json()
        assert client.get(f"/instances/{instance}/metadata/TransferSyntax").text == JPEGLSLossless


@pytest.mark.end_to_end
def test_a_file_that_orthanc_does_not_take_is_an_error_in_storescus_words(tmp_path: Path) -> None:
    wrong = tmp_path / "text.dcm"
    wrong.write_text("no DICOM")
    with OrthancProcess(with_free_ports(Settings(), tmp_path), tmp_path / "orthanc", doorbell=False) as orthanc:
        with pytest.raises(UnavailableError, match=r"storescu .* failed"):
            send([wrong], orthanc.settings.orthanc)
        orthanc.stop()
        with pytest.raises(UnavailableError, match=r"storescu .* failed"):
            send(small_series(tmp_path / "series", 1), orthanc.settings.orthanc)


def test_a_taken_port_is_named_before_anything_starts(tmp_path: Path) -> None:
    settings = with_free_ports(Settings(), tmp_path)
    with socket.socket() as server:
        server.bind(("127.0.0.1", settings.orthanc.dicom_port))
        server.listen()
        orthanc = OrthancProcess(settings, tmp_path / "orthanc")
        with pytest.raises(UnavailableError, match=rf"orthanc\.dicom_port = {settings.orthanc.dicom_port} is taken"):
            orthanc.start()
        assert orthanc.pid is None
