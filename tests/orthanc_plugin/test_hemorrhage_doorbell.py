# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The plugin with an injected `orthanc` of every version, and a real HTTP server in the place of the service."""

from __future__ import annotations

import ast
import importlib.util
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.orthanc_plugin.fake_orthanc import VERSIONS, FakeOrthanc
from tests.orthanc_plugin.listener import Listener, eventually

SOURCE = Path(__file__).parents[2] / "orthanc_plugin" / "hemorrhage_doorbell.py"
SERIES = "0123abcd-0123abcd-0123abcd-0123abcd-0123abcd"
STUDY = "1a2b3c4d-1a2b3c4d-1a2b3c4d-1a2b3c4d-1a2b3c4d"


@pytest.fixture(scope="module")
def plugin() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hemorrhage_doorbell", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Installed:
    """A fake Orthanc with the plugin in it."""

    def __init__(self, plugin: ModuleType, port: int, version: str = "4.0", **block: Any) -> None:
        # A listener on a busy machine has its time; one that is not there refuses at once.
        block = {"ServiceUrl": f"http://127.0.0.1:{port}", "TimeoutSeconds": 10, **block}
        configuration = {"Hemorrhage": block}
        self.orthanc = FakeOrthanc(version, configuration)
        self.doorbell = plugin.install(self.orthanc)

    def stop(self) -> None:
        self.orthanc.change("ORTHANC_STOPPED")
        self.doorbell._thread.join(60)
        assert not self.doorbell._thread.is_alive()


@pytest.fixture(params=list(VERSIONS))
def installed(request: pytest.FixtureRequest, plugin: ModuleType, listener: Listener) -> Iterator[Installed]:
    """The plugin in an Orthanc of each version."""
    each = Installed(plugin, listener.port, request.param)
    yield each
    each.stop()


@pytest.fixture
def unheard(plugin: ModuleType, silent: Listener) -> Iterator[Installed]:
    """The plugin in an Orthanc, ringing where nobody listens yet (`silent`)."""
    one = Installed(plugin, silent.port)
    yield one
    one.stop()


def test_every_version_rings_answers_and_shows_the_button(installed: Installed, listener: Listener) -> None:
    orthanc = installed.orthanc
    before = time.time()
    orthanc.change("ORTHANC_STARTED")
    orthanc.change("NEW_INSTANCE", "INSTANCE", "instance-1")
    orthanc.change("STABLE_SERIES", "SERIES", "series-1")
    orthanc.change("DELETED", "STUDY", "study-1")
    assert eventually(lambda: any(ring["studies"] for ring in listener.rings))
    assert before <= listener.instances()["instance-1"] <= time.time()
    assert listener.series() == {"series-1": "stable"}
    assert listener.rings[0]["orthanc"] == "started"
    assert listener.rings[-1]["studies"] == {"study-1": "deleted"}
    assert set(listener.rings[0]) == {"instances", "series", "studies", "orthanc", "sent"}
    assert listener.rings[0]["sent"] == pytest.approx(time.time(), abs=60)

    (script,) = orthanc.scripts
    assert "Analyze for hemorrhage" in script
    status = orthanc.call("GET", "/hemorrhage/status").json()
    assert status["service"] == {"studies": []}
    assert status["plugin"]["instances"] == 1
    answer = orthanc.call("POST", f"/hemorrhage/series/{SERIES}/analyze", SERIES)
    assert (answer.status, answer.json()) == (202, {"job": 7})
    assert listener.analyzed == [f"/series/{SERIES}/analyze"]


def test_changes_that_say_nothing_of_use_do_not_ring(installed: Installed, listener: Listener) -> None:
    for kind in ("NEW_SERIES", "NEW_STUDY", "NEW_PATIENT", "STABLE_STUDY", "STABLE_PATIENT", "NEW_CHILD_INSTANCE"):
        installed.orthanc.change(kind, "STUDY", "x")
    installed.orthanc.change("DELETED", "PATIENT", "x")
    assert installed.orthanc.call("GET", "/hemorrhage/status").json()["plugin"]["waiting"] == {
        "instances": 0,
        "series": 0,
        "studies": 0,
    }
    installed.orthanc.change("STABLE_SERIES", "SERIES", "last")
    assert eventually(lambda: listener.series() == {"last": "stable"})
    assert len(listener.rings) == 1


def test_many_instances_at_once_are_few_messages(plugin: ModuleType, listener: Listener) -> None:
    installed = Installed(plugin, listener.port)
    listener.may_answer.clear()
    installed.orthanc.change("NEW_INSTANCE", "INSTANCE", "first")
    assert eventually(lambda: len(listener.rings) == 1)
    for number in range(2999):
        installed.orthanc.change("NEW_INSTANCE", "INSTANCE", f"i{number}")
    listener.may_answer.set()
    assert eventually(lambda: len(listener.instances()) == 3000)
    installed.stop()
    # The first one, the others in three and the end; and again what was not answered in time.
    assert len(listener.rings) <= 5 + installed.doorbell.status()["rings_failed"]
    assert all(len(ring["instances"]) <= plugin.INSTANCES_A_RING for ring in listener.rings)


def test_what_a_silent_service_missed_is_rung_when_it_is_back(
    unheard: Installed, silent: Listener, plugin: ModuleType
) -> None:
    orthanc = unheard.orthanc
    orthanc.change("ORTHANC_STARTED")
    orthanc.change("NEW_INSTANCE", "INSTANCE", "i1")
    orthanc.change("STABLE_SERIES", "SERIES", "s1")
    assert eventually(lambda: unheard.doorbell.status()["rings_failed"] > 0)
    orthanc.change("NEW_INSTANCE", "INSTANCE", "i2")
    orthanc.change("DELETED", "SERIES", "s1")
    silent.start()
    assert eventually(lambda: set(silent.instances()) == {"i1", "i2"})
    assert silent.series() == {"s1": "deleted"}
    assert silent.rings[0]["orthanc"] == "started"
    # a word when it fell silent and one when it was back, not one a try
    assert eventually(lambda: [level for level, _ in orthanc.log] == ["warning", "info"])


def test_an_instance_that_came_again_carries_its_newest_time(unheard: Installed, silent: Listener) -> None:
    unheard.orthanc.change("NEW_INSTANCE", "INSTANCE", "i1")
    assert eventually(lambda: unheard.doorbell.status()["rings_failed"] > 0)
    again = time.time()
    unheard.orthanc.change("NEW_INSTANCE", "INSTANCE", "i1")
    silent.start()
    assert eventually(lambda: bool(silent.rings))
    assert silent.rings[0]["instances"]["i1"] >= again


def test_an_instance_deleted_before_it_was_told_is_not_told(plugin: ModuleType) -> None:
    doorbell = plugin.Doorbell(plugin.Settings({}), print, print)
    for identifier in ("gone", "stays"):
        doorbell.new_instance(identifier)
    doorbell.note_deleted("instances", "gone")
    assert doorbell.status()["waiting"]["instances"] == 1
    assert doorbell.status()["deleted"] == 1


def test_a_long_silence_keeps_the_newest_and_counts_the_rest(plugin: ModuleType) -> None:
    news = plugin.News()
    kept = plugin.INSTANCES_KEPT
    for number in range(kept):
        news.note("instances", f"i{number}", float(number))
    message = news.take()
    for number in range(kept, 2 * kept):
        news.note("instances", f"i{number}", float(number))
    news.put_back(message)
    assert len(news.instances) == kept
    assert news.dropped == kept
    assert f"i{2 * kept - 1}" in news.instances
    assert "i0" not in news.instances
    for number in range(2 * plugin.RESOURCES_KEPT):
        news.note("series", f"s{number}", "stable")
    assert list(news.series) == [f"s{n}" for n in range(plugin.RESOURCES_KEPT, 2 * plugin.RESOURCES_KEPT)]


def test_the_fullest_message_is_one_that_the_service_takes_and_the_rest_follows(plugin: ModuleType) -> None:
    news = plugin.News()
    for kind, value in (("instances", 1234567890.123456), ("series", "deleted"), ("studies", "deleted")):
        for number in range(1024):
            news.note(kind, f"{number:08x}-0a1b2c3d-0a1b2c3d-0a1b2c3d-0a1b2c3d", value)
    heard: dict[str, dict[str, object]] = {"instances": {}, "series": {}, "studies": {}}
    while news:
        message = news.take()
        assert len(json.dumps(message)) < 160 * 1024
        for kind, entries in heard.items():
            entries.update(message[kind])
    assert [len(entries) for entries in heard.values()] == [1024, 1024, 1024]


def test_a_message_not_heard_never_overwrites_newer_news(plugin: ModuleType) -> None:
    news = plugin.News()
    news.note("series", "s", "stable")
    news.orthanc = "started"
    message = news.take()
    assert not news
    news.note("series", "s", "deleted")
    news.orthanc = "stopped"
    news.put_back(message)
    assert news.take() == {"instances": {}, "series": {"s": "deleted"}, "studies": {}, "orthanc": "stopped"}


@pytest.mark.parametrize("status", [400, 500, 503])
def test_a_service_that_refuses_a_ring_is_rung_again(plugin: ModuleType, listener: Listener, status: int) -> None:
    listener.answers["/doorbell"] = (status, b"")
    installed = Installed(plugin, listener.port)
    installed.orthanc.change("STABLE_SERIES", "SERIES", "s1")
    assert eventually(lambda: installed.doorbell.status()["rings_failed"] > 0)
    assert f"answers {status}" in installed.doorbell.status()["last_fault"]
    listener.answers["/doorbell"] = (204, b"")
    assert eventually(lambda: installed.doorbell.status()["rings"] == 1)
    installed.stop()


def test_a_service_down_at_the_end_does_not_keep_orthanc_from_stopping(plugin: ModuleType, silent: Listener) -> None:
    installed = Installed(plugin, silent.port)
    installed.orthanc.change("NEW_INSTANCE", "INSTANCE", "i1")
    assert eventually(lambda: installed.doorbell.status()["rings_failed"] > 0)
    installed.stop()


def test_the_status_says_that_the_service_is_silent(unheard: Installed) -> None:
    answer = unheard.orthanc.call("GET", "/hemorrhage/status")
    assert answer.status == 200
    assert answer.json()["service"] is None
    assert "does not answer" in answer.json()["error"]
    assert unheard.orthanc.call("POST", "/hemorrhage/status").status == 405


def test_the_status_of_one_study_is_asked_for_by_its_identifier_alone(installed: Installed, listener: Listener) -> None:
    for study in (STUDY, "x&limit=9", ""):
        assert installed.orthanc.call("GET", "/hemorrhage/status", study=study).status == 200
    assert listener.asked == [f"/status?study={STUDY}", "/status", "/status"]
    (script,) = installed.orthanc.scripts
    assert "data: study ? { study: study } : {}" in script


def test_a_status_that_is_no_json_object_is_no_status(installed: Installed, listener: Listener) -> None:
    for body in (b"<html>", b"[1]", b"\xff"):
        listener.answers["/status"] = (200, body)
        assert installed.orthanc.call("GET", "/hemorrhage/status").json()["service"] is None


@pytest.mark.parametrize(
    ("service_says", "orthanc_says"),
    [
        ((202, b'{"job": 7}'), (202, {"job": 7})),
        ((404, b'{"error": "no such series"}'), (404, {"error": "no such series"})),
        ((409, b'{"error": "our own answer"}'), (409, {"error": "our own answer"})),
        ((429, b'{"error": "too many"}'), (429, {"error": "too many"})),
        ((503, b'{"error": "Orthanc is silent"}'), (503, {"error": "Orthanc is silent"})),
        ((500, b"Internal"), (503, {"error": "The hemorrhage service could not take the job (it answers 500)."})),
        ((202, b"ok"), (503, {"error": "The hemorrhage service could not take the job (it answers 202)."})),
    ],
)
def test_the_button_passes_on_what_the_service_says(
    installed: Installed, listener: Listener, service_says: tuple[int, bytes], orthanc_says: tuple[int, dict[str, Any]]
) -> None:
    listener.answers["/analyze"] = service_says
    answer = installed.orthanc.call("POST", f"/hemorrhage/series/{SERIES}/analyze", SERIES)
    assert (answer.status, answer.json()) == orthanc_says


def test_only_an_orthanc_identifier_reaches_the_service(installed: Installed, listener: Listener) -> None:
    for identifier in ("", "x", "../status", SERIES.upper(), SERIES + "\n", SERIES + "?a", "a" * 44):
        assert installed.orthanc.call("POST", "/hemorrhage/series/x/analyze", identifier).status == 404
    assert listener.analyzed == []
    assert installed.orthanc.call("GET", "/hemorrhage/series/x/analyze", SERIES).status == 405


def test_settings_stand_at_the_root_or_in_the_python_section_which_wins(plugin: ModuleType) -> None:
    assert plugin.Settings({}).url == "http://127.0.0.1:8044"
    assert plugin.Settings({"Python": {"Verbose": True}}).timeout_s == 0.5
    root = {"Hemorrhage": {"ServiceUrl": "http://[::1]:9/", "TimeoutSeconds": 1}}
    assert plugin.Settings(root).url == "http://[::1]:9"
    both = plugin.Settings({**root, "Python": {"Hemorrhage": {"ServiceUrl": "http://reader/base"}}})
    assert (both.url, both.timeout_s) == ("http://reader:80/base", 1)
    assert plugin.Settings({"Hemorrhage": {"ServiceUrl": "https://reader"}}).url == "https://reader:443"


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ({"ServiceUrl": "ftp://127.0.0.1:8044"}, "ServiceUrl = 'ftp://127.0.0.1:8044'"),
        ({"ServiceUrl": "https://reader", "CaFile": "/nowhere.pem"}, "CaFile = '/nowhere.pem'"),
        ({"Token": "two words"}, "Token: the secret"),
        ({"ServiceUrl": "http://127.0.0.1:80440"}, "ServiceUrl = 'http://127.0.0.1:80440'"),
        ({"ServiceUrl": 8044}, "ServiceUrl = 8044"),
        ({"TimeoutSeconds": "1"}, "TimeoutSeconds = '1'"),
        ({"TimeoutSeconds": 0}, "TimeoutSeconds = 0"),
        ({"TimeoutSeconds": True}, "TimeoutSeconds = True"),
        ({"ExplorerButton": "no"}, "ExplorerButton = 'no'"),
        ({"ServiceURL": "http://127.0.0.1:8044"}, "ServiceURL: no such setting"),
        (["http://127.0.0.1:8044"], "a block of settings is expected"),
    ],
)
def test_a_wrong_setting_is_named_in_orthancs_log_and_registers_nothing(
    plugin: ModuleType, block: Any, said: str
) -> None:
    orthanc = FakeOrthanc("5.0", {"Hemorrhage": block})
    assert plugin.install(orthanc) is None
    ((level, line),) = orthanc.log
    assert level == "error"
    assert said in line
    assert orthanc.on_change is None
    assert orthanc.routes == {}


def test_a_second_callback_that_orthanc_does_not_take_leaves_the_button(plugin: ModuleType, listener: Listener) -> None:
    class Taken(FakeOrthanc):
        def RegisterOnChangeCallback(self, callback: object) -> None:  # noqa: N802 - Orthanc's name
            raise RuntimeError("Can only register one Python on-changes callback")

    orthanc = Taken("4.0", {"Hemorrhage": {"ServiceUrl": f"http://127.0.0.1:{listener.port}"}})
    doorbell = plugin.install(orthanc)
    assert "only register one" in orthanc.log[0][1]
    assert orthanc.call("POST", f"/hemorrhage/series/{SERIES}/analyze", SERIES).status == 202
    doorbell.orthanc_is("stopped")
    assert eventually(lambda: any(ring["orthanc"] == "stopped" for ring in listener.rings))


def test_an_orthanc_without_the_explorer_of_this_script_rings_all_the_same_and_gets_no_script(
    plugin: ModuleType, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(VERSIONS, "without explorer", {"no_explorer"})
    # Another page, without the jQuery that the script needs.
    monkeypatch.setattr(
        FakeOrthanc, "ExtendOrthancExplorer2", lambda self, _, script: self.scripts.append(script), raising=False
    )
    installed = Installed(plugin, listener.port, "without explorer")
    installed.orthanc.change("NEW_INSTANCE", "INSTANCE", "i1")
    assert eventually(lambda: set(listener.instances()) == {"i1"})
    installed.stop()
    assert installed.orthanc.scripts == []


def test_the_button_can_be_left_out(plugin: ModuleType, silent: Listener) -> None:
    installed = Installed(plugin, silent.port, ExplorerButton=False)
    assert installed.orthanc.scripts == []
    installed.stop()


def test_the_script_writes_text_and_never_html(plugin: ModuleType) -> None:
    assert ".html(" not in plugin.EXPLORER_SCRIPT
    assert "innerHTML" not in plugin.EXPLORER_SCRIPT


def test_the_plugin_needs_nothing_but_the_standard_library() -> None:
    tree = ast.parse(SOURCE.read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in names} <= set(sys.stdlib_module_names) | {"orthanc"}
