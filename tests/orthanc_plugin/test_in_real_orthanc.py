# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The plugin in Debian's Orthanc, with a real HTTP server in the place of the service."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from appliance.settings import Settings
from deploy.local.orthanc import OrthancProcess
from deploy.local.ports import with_free_ports
from deploy.local.storescu import send
from tests.orthanc_plugin.listener import Listener, eventually
from tests.orthanc_plugin.small_ct import small_series

pytestmark = pytest.mark.end_to_end


def test_each_new_instance_rings_with_the_time_it_came(
    orthanc: OrthancProcess, listener: Listener, tmp_path: Path
) -> None:
    files = small_series(tmp_path / "series", 5)
    before = time.time()
    send(files, orthanc.settings.orthanc)
    with orthanc.client() as client:
        stored = set(client.get("/instances").json())
    assert len(stored) == 5
    assert eventually(lambda: set(listener.instances()) == stored)
    assert all(before <= stamp <= time.time() for stamp in listener.instances().values())
    assert any(ring["orthanc"] == "started" for ring in listener.rings)


def test_stable_and_deleted_series_and_the_stop_of_orthanc_ring(
    orthanc: OrthancProcess, listener: Listener, tmp_path: Path
) -> None:
    send(small_series(tmp_path / "series", 2), orthanc.settings.orthanc)
    with orthanc.client() as client:
        (series,) = client.get("/series").json()
        (study,) = client.get("/studies").json()
        assert eventually(lambda: listener.series() == {series: "stable"})
        client.get("/hemorrhage/status", params={"study": study}).raise_for_status()
        assert listener.asked[-1] == f"/status?study={study}"
        client.delete(f"/studies/{study}").raise_for_status()
    assert eventually(lambda: listener.series() == {series: "deleted"})
    assert any(ring["studies"] == {study: "deleted"} for ring in listener.rings)
    orthanc.stop()
    assert eventually(lambda: listener.rings[-1]["orthanc"] == "stopped")


def test_instances_are_stored_while_the_service_is_down_and_ring_once_it_is_up(
    unheard_orthanc: OrthancProcess, silent: Listener, tmp_path: Path
) -> None:
    send(small_series(tmp_path / "series", 40), unheard_orthanc.settings.orthanc)
    with unheard_orthanc.client() as client:
        stored = set(client.get("/instances").json())
        assert len(stored) == 40
        told = client.get("/hemorrhage/status").json()
        assert told["service"] is None
        assert told["plugin"]["instances"] == 40
    silent.start()
    assert eventually(lambda: set(silent.instances()) == stored)
    assert eventually(lambda: bool(silent.series()))


def test_a_service_that_never_answers_keeps_nothing_else_waiting(
    orthanc: OrthancProcess, listener: Listener, tmp_path: Path
) -> None:
    listener.may_answer.clear()
    send(small_series(tmp_path / "series", 20), orthanc.settings.orthanc)
    with orthanc.client() as client:
        assert len(client.get("/instances").json()) == 20
        assert eventually(lambda: client.get("/hemorrhage/status").json()["plugin"]["rings_failed"] > 0)


def test_news_go_on_being_noted_while_the_service_is_asked_to_analyze(
    patient_orthanc: OrthancProcess, listener: Listener, tmp_path: Path
) -> None:
    orthanc = patient_orthanc
    files = small_series(tmp_path / "series", 2)
    send(files[:1], orthanc.settings.orthanc)
    with orthanc.client() as client:
        (series,) = client.get("/series").json()
        assert eventually(lambda: len(listener.instances()) == 1)
        listener.may_answer.clear()
        answers: list[int] = []

        def press() -> None:
            with orthanc.client() as other:
                answers.append(other.post(f"/hemorrhage/series/{series}/analyze", timeout=600).status_code)

        pressed = threading.Thread(target=press)
        pressed.start()
        assert eventually(lambda: bool(listener.analyzed))
        send(files[1:], orthanc.settings.orthanc)
        # The route still waits for the listener: had it kept Python to itself, the change would not have been noted.
        assert eventually(
            lambda: client.get("/hemorrhage/status").json()["plugin"]["instances"] == 2 or not pressed.is_alive()
        )
        assert pressed.is_alive()
        listener.may_answer.set()
        pressed.join()
    assert answers == [202]


def test_the_button_is_in_orthanc_explorer_and_asks_for_the_series(
    orthanc: OrthancProcess, listener: Listener, tmp_path: Path
) -> None:
    send(small_series(tmp_path / "series", 1), orthanc.settings.orthanc)
    with orthanc.client() as client:
        assert "Analyze for hemorrhage" in client.get("/plugins/explorer.js").text
        (series,) = client.get("/series").json()
        answer = client.post(f"/hemorrhage/series/{series}/analyze")
        assert (answer.status_code, answer.json()) == (202, {"job": 7})
        assert len(answer.headers.get_list("Content-Type")) <= 1
        assert listener.analyzed == [f"/series/{series}/analyze"]

        listener.answers["/analyze"] = (404, b'{"error": "not a series of images"}')
        refused = client.post(f"/hemorrhage/series/{series}/analyze")
        assert (refused.status_code, refused.json()) == (404, {"error": "not a series of images"})
        assert client.post("/hemorrhage/series/..%2Fstatus/analyze").status_code == 404
        assert len(listener.analyzed) == 2

        listener.stop()
        down = client.post(f"/hemorrhage/series/{series}/analyze")
        assert down.status_code == 503
        assert "does not answer" in down.json()["error"]
        assert client.get(f"/hemorrhage/series/{series}/analyze").status_code == 405


def test_a_wrong_setting_keeps_the_doorbell_off_and_orthanc_on(tmp_path: Path) -> None:
    settings = with_free_ports(Settings(), tmp_path)
    wrong = {"Hemorrhage": {"ServiceUrl": "somewhere"}}
    with OrthancProcess(settings, tmp_path / "orthanc", overrides=wrong) as orthanc, orthanc.client() as client:
        assert client.get("/system").status_code == 200
        assert client.get("/hemorrhage/status").status_code == 404
        assert "Hemorrhage.ServiceUrl = 'somewhere'" in orthanc.log.read_text()
