# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Which version answers when the promoted one does not load, with real Tritons."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from appliance import reading_room
from appliance.errors import UnavailableError
from appliance.inference.detector import TritonDetector
from appliance.inference.loads import PAUSE_S
from appliance.models.priority import give_way_on_the_processor, gives_way
from appliance.models.standing import targets
from appliance.reading_room import ReadingRoom
from tests.appliance.models.pair import Pair
from tests.appliance.models.site import Site
from tests.appliance.running import until

_BROKEN = """

import pathlib
import time

_FOLDER = pathlib.Path({folder!r})
_sound_initialize = TritonPythonModel.initialize


def _broken_initialize(self, args):
    tries = _FOLDER / "tries"
    tries.write_bytes(bytes((tries.stat().st_size if tries.exists() else 0) + 1))
    while (_FOLDER / "held").exists():
        time.sleep(0.02)
    if (_FOLDER / "broken").exists():
        raise RuntimeError("it does not load")
    _sound_initialize(self, args)


TritonPythonModel.initialize = _broken_initialize
"""

_FAILING = """

def _failing_execute(self, requests):
    raise MemoryError("full")


TritonPythonModel.execute = _failing_execute
"""


class Breakable:
    """A version on the disk that does not load while it is broken, and whose loads last while it is held."""

    def __init__(self, site: Site, version: int) -> None:
        self.folder = site.folder / f"breakable-{version}"
        self.folder.mkdir()
        self.broken, self.held = self.folder / "broken", self.folder / "held"
        (program,) = (site.settings.site_models / f"hemorrhage_detector_{version}").rglob("model.py")
        program.write_text(program.read_text() + _BROKEN.format(folder=str(self.folder)))

    @property
    def tries(self) -> int:
        """How often Triton has begun to load it."""
        counted = self.folder / "tries"
        return counted.stat().st_size if counted.exists() else 0


class Followed(Site):
    """A site whose detector goes by a clock that the test sets, `now`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.now = 0.0

    def follow_anew(self) -> None:
        """Begin with a new detector, as after a restart of the service."""
        self.detector.close()
        self.detector = TritonDetector(
            self.settings.triton,
            targets=lambda: targets(self.ledger.models.list_promoted()),
            clock=lambda: self.now,
        )

    def start_triton_anew(self) -> None:
        self.server.stop()
        self.server.start()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Followed]:
    opened = Followed(tmp_path)
    yield opened
    opened.close()


def test_a_version_that_does_not_load_holds_up_one_study_and_is_tried_again_behind_the_others(site: Followed) -> None:
    site.bring(2)
    site.promote(2)
    version = Breakable(site, 2)
    version.broken.touch()
    site.start_triton_anew()
    site.follow_anew()
    assert site.answering() == "1"
    assert "it does not load" in site.detector.passed_over
    assert version.tries == 1
    assert site.answering() == "1"
    assert version.tries == 1

    version.held.touch()
    site.now += PAUSE_S
    assert site.answering() == "1"  # and the load of version 2 goes on
    until(lambda: version.tries == 2, "the second load")
    assert site.detector.check_readiness()
    version.broken.unlink()
    version.held.unlink()
    until(lambda: site.answering() == "2", "version 2")
    assert site.detector.passed_over == ""
    assert version.tries == 2


def test_the_reading_room_says_that_an_earlier_version_answers_and_why(site: Followed) -> None:
    site.bring(2)
    site.promote(2)
    room = ReadingRoom(site.settings)
    room.follow(lambda: targets(site.ledger.models.list_promoted()))
    room.probe()
    told = room.model() or {}
    assert (told["version"], told.get("passed_over")) == ("2", None)
    room.close()
    Breakable(site, 2).broken.touch()
    site.start_triton_anew()
    room = ReadingRoom(site.settings)
    room.follow(lambda: targets(site.ledger.models.list_promoted()))
    room.probe()
    told = room.model() or {}
    room.close()
    assert told["version"] == "1"
    assert "it does not load" in told["passed_over"]
    assert "stands_in" not in told


def test_a_shadow_that_stands_in_reads_patients_with_the_usual_priority(site: Followed) -> None:
    for version in (2, 3):
        site.bring(version)
        site.promote(version)
    site.life.shadow(site.life.shelf.version("2"))
    (server,) = site.life.servers
    give_way_on_the_processor(server.processes("hemorrhage_detector_2"))
    room = ReadingRoom(site.settings)
    room.follow(lambda: targets(site.ledger.models.list_promoted()))
    room.probe()
    assert (room.model() or {})["version"] == "3"
    assert gives_way(server.processes("hemorrhage_detector_2"))
    Breakable(site, 3).broken.touch()
    server.unload("hemorrhage_detector_3")
    until(lambda: "hemorrhage_detector_3" not in (site.life.list_loaded() or ()), "unloaded")

    def is_restarted() -> bool:
        room.probe()
        return not gives_way(server.processes("hemorrhage_detector_2"))

    until(is_restarted, "restarted")
    assert (room.model() or {})["version"] == "2"
    assert server.processes("hemorrhage_detector_2")
    room.close()


def test_where_all_of_triton_gives_way_its_models_are_not_restarted_again_and_again(
    site: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.bring(2)
    site.promote(2)
    version = Breakable(site, 2)
    room = ReadingRoom(site.settings)
    room.follow(lambda: targets(site.ledger.models.list_promoted()))
    monkeypatch.setattr(reading_room, "gives_way", lambda _: True)
    for _ in range(6):
        room.probe()
    room.close()
    assert version.tries == 3


def test_a_triton_that_was_started_anew_is_asked_at_once_for_a_version_that_failed_before(site: Followed) -> None:
    site.bring(2)
    site.promote(2)
    version = Breakable(site, 2)
    version.broken.touch()
    site.start_triton_anew()
    site.follow_anew()
    assert site.answering() == "1"
    version.broken.unlink()
    site.start_triton_anew()

    def answers() -> bool:
        with suppress(UnavailableError):  # the first question may meet the old connection
            return site.answering() == "2"
        return False

    until(answers, "version 2")


def test_the_shipped_version_is_loaded_to_stand_in_when_it_was_unloaded(site: Followed) -> None:
    for version in (2, 3):
        site.bring(version)
        site.promote(version)
    breakable = [Breakable(site, version) for version in (2, 3)]
    for one in breakable:
        one.broken.touch()
    for server in site.life.servers:
        for name in ("hemorrhage_detector", "hemorrhage_detector_2", "hemorrhage_detector_3"):
            server.unload(name)
    until(lambda: not site.life.list_loaded(), "all unloaded")
    site.follow_anew()
    assert site.answering() == "1"
    assert "hemorrhage_detector_3" in site.detector.passed_over
    assert "hemorrhage_detector_2" in site.detector.passed_over


class FollowedPair(Pair):
    """Two Tritons with versions 2 and 3 on the disk of each, and a detector that goes by a clock that the test sets."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.now = 0.0
        self.spare.start()
        for version in (2, 3):
            self.bring(version)
            self.bring_to_spare(version)
            self.promote(version)

    follow_anew = Followed.follow_anew


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[FollowedPair]:
    opened = FollowedPair(tmp_path)
    yield opened
    opened.close()


def test_the_first_triton_is_gone_back_to_although_the_shipped_version_was_unloaded(pair: FollowedPair) -> None:
    for server in pair.life.servers:
        server.unload("hemorrhage_detector")
    until(lambda: all("hemorrhage_detector" not in (names or ()) for names in pair.loaded()), "unloaded")
    pair.follow_anew()
    assert pair.answering() == "3"
    for _ in range(3):  # as it reads studies in between, each time as soon
        pair.detector._tritons.move_on("a blip")
        assert pair.answering() == "3"
        assert pair.detector.first_left
        pair.now += 30
        assert pair.answering() == "3"
        assert pair.detector.first_left == ""


def unload_everywhere(pair: FollowedPair, version: int) -> None:
    for server in pair.life.servers:
        server.unload(f"hemorrhage_detector_{version}")
    until(lambda: all(f"hemorrhage_detector_{version}" not in (names or ()) for names in pair.loaded()), "unloaded")


def test_a_version_that_the_first_triton_does_not_load_answers_from_another_before_an_earlier_one_does(
    pair: FollowedPair,
) -> None:
    version = Breakable(pair, 3)
    version.broken.touch()
    pair.life.servers[0].unload("hemorrhage_detector_3")
    until(lambda: "hemorrhage_detector_3" not in (pair.life.list_loaded() or ()), "unloaded")
    pair.follow_anew()
    assert pair.answering() == "3"
    assert pair.detector.passed_over == ""
    assert "it does not load" in pair.detector.first_left
    tries = version.tries
    version.held.touch()
    version.broken.unlink()
    for _ in range(3):
        pair.now += 900
        assert pair.answering() == "3"  # while the first one loads it again, behind the studies
    until(lambda: version.tries == tries + 1, "loaded again")
    assert pair.detector.first_left
    version.held.unlink()
    until(lambda: "hemorrhage_detector_3" in (pair.life.list_loaded() or ()), "loaded")
    pair.now += 900
    assert pair.answering() == "3"
    assert pair.detector.first_left == ""


def test_an_earlier_version_answers_where_no_triton_has_the_promoted_one(pair: FollowedPair) -> None:
    for models in (pair.settings.site_models, pair.spare_models):
        (models / "hemorrhage_detector_3").rename(models.parent / f"gone-{models.name}")
    unload_everywhere(pair, 3)
    pair.follow_anew()
    for _ in range(3):
        assert pair.answering() == "2"
        assert "hemorrhage_detector_3" in pair.detector.passed_over
        assert pair.detector.first_left == ""  # nobody goes to and fro
        pair.now += 900


def test_an_earlier_version_answers_where_another_triton_has_the_promoted_one_and_it_answers_wrongly(
    pair: FollowedPair,
) -> None:
    models = pair.settings.site_models
    (models / "hemorrhage_detector_3").rename(models.parent / "gone")
    (program,) = (pair.spare_models / "hemorrhage_detector_3").rglob("model.py")
    program.write_text(program.read_text() + _FAILING)
    unload_everywhere(pair, 3)
    pair.follow_anew()
    assert pair.answering() == "2"
    assert "hemorrhage_detector_3" in (pair.loaded()[1] or ())  # it was asked
    assert pair.answering() == "2"
    assert "hemorrhage_detector_3" in pair.detector.passed_over


def settle() -> None:
    """Return once nothing is being loaded."""
    for thread in threading.enumerate():
        if thread.name == "load":
            thread.join()


def test_a_first_triton_that_was_started_anew_is_asked_for_a_version_that_failed_there_before(
    pair: FollowedPair,
) -> None:
    version = Breakable(pair, 3)
    version.broken.touch()
    pair.life.servers[0].unload("hemorrhage_detector_3")
    until(lambda: "hemorrhage_detector_3" not in (pair.life.list_loaded() or ()), "unloaded")
    pair.follow_anew()
    for now in (0, 90, 210):  # each time later than the pause; the next load is not due before 450
        pair.now = now
        assert pair.answering() == "3"
        settle()
    assert version.tries == 3
    assert pair.detector.first_left
    pair.server.stop()
    pair.now = 270
    assert pair.answering() == "3"  # the first one is found to be away
    version.broken.unlink()
    pair.server.start()
    pair.now = 330
    assert pair.answering() == "3"
    settle()
    assert "hemorrhage_detector_3" in (pair.life.list_loaded() or ())


def test_a_first_triton_that_ended_while_it_answered_is_asked_for_a_version_that_failed_there_before(
    pair: FollowedPair,
) -> None:
    version = Breakable(pair, 3)
    version.broken.touch()
    (pair.spare_models / "hemorrhage_detector_3").rename(pair.spare_models.parent / "gone")
    unload_everywhere(pair, 3)
    pair.follow_anew()
    assert pair.answering() == "2"
    assert pair.detector.first_left == ""
    pair.server.stop()
    assert pair.answering() == "2"
    assert pair.detector.first_left
    version.broken.unlink()
    pair.server.start()
    pair.now = PAUSE_S / 2
    assert pair.answering() == "2"
    settle()
    assert "hemorrhage_detector_3" in (pair.life.list_loaded() or ())
