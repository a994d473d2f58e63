# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""When another Triton is asked, and when the first one again, by a clock that the tests set."""

from __future__ import annotations

from typing import ClassVar

import pytest
from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from appliance.inference import tritons as tritons_module
from appliance.inference.tritons import Tritons
from appliance.sections.triton import TritonSettings
from tests.appliance.inference.clock import Clock

SETTINGS = TritonSettings(others=("127.0.0.1:8411", "127.0.0.1:8421"))


class FakeClient:
    """Stands for the connection to a Triton, which is live unless its port is among those `away`."""

    away: ClassVar[set[int]] = set()

    def __init__(self, settings: TritonSettings) -> None:
        self.settings = settings

    def is_server_live(self, client_timeout: float) -> bool:
        if self.settings.grpc_port in self.away:
            raise InferenceServerException("failed to connect", "StatusCode.UNAVAILABLE")
        return True

    def close(self) -> None:
        pass


@pytest.fixture
def noted_away() -> list[int]:
    """The ports of the Tritons that were found not to be live."""
    return []


@pytest.fixture
def tritons(clock: Clock, noted_away: list[int], monkeypatch: pytest.MonkeyPatch) -> Tritons:
    monkeypatch.setattr(tritons_module, "triton_client", lambda settings, _: FakeClient(settings))
    return Tritons(SETTINGS, lambda: None, lambda triton: noted_away.append(triton.grpc_port), clock)


def has(*ports: int) -> tritons_module.Asks:
    """Return what asks a Triton for something that those with these ports have."""

    def asks(triton: TritonSettings, _: InferenceServerClient) -> bool:
        return triton.grpc_port in ports

    return asks


def test_the_others_are_asked_in_turn_for_what_the_present_one_lacks(tritons: Tritons, clock: Clock) -> None:
    others = tritons.list_others()
    assert [one.grpc_port for one in others] == [8411, 8421]
    assert not tritons.hand_over(others, has(), "no version 3")
    assert tritons.first_left == ""
    assert tritons.hand_over(others, has(8421), "no version 2")
    assert tritons.address == "127.0.0.1:8421"
    assert tritons.first_left == "Triton at 127.0.0.1:8401 was left: no version 2"
    assert tritons.list_others() == ()  # asked a moment ago


def test_one_that_took_over_and_failed_is_asked_again_less_and_less_often(tritons: Tritons, clock: Clock) -> None:
    pauses = []
    for _ in range(7):
        assert tritons.hand_over(tritons.list_others(), has(8421), "no version 2")
        tritons.move_on("the golden chunk came back wrong")
        assert tritons.address == "127.0.0.1:8401"
        began = clock.now
        while not tritons.list_others():
            clock.now += 1
        pauses.append(clock.now - began)
        clock.now += 1000  # list_others counts as asked
    assert pauses == [30, 60, 120, 240, 480, 900, 900]


def test_a_first_one_that_was_just_left_does_not_take_over(tritons: Tritons, clock: Clock) -> None:
    tritons.move_on("it hangs")
    assert [one.grpc_port for one in tritons.list_others()] == [8421]
    clock.now = 60
    assert [one.grpc_port for one in tritons.list_others()] == [8401, 8421]


def test_the_first_one_is_gone_back_to_when_what_it_has_is_no_worse(tritons: Tritons, clock: Clock) -> None:
    tritons.move_on("it hangs")
    clock.now = 29
    tritons.go_back(has(8401))
    assert tritons.address == "127.0.0.1:8411"
    clock.now = 30
    tritons.go_back(has())
    assert tritons.address == "127.0.0.1:8411"
    clock.now = 90
    tritons.go_back(has(8401))
    assert tritons.address == "127.0.0.1:8401"
    assert tritons.first_left == ""


def test_one_that_is_not_live_is_noted_as_away_and_asked_nothing_more(
    tritons: Tritons, clock: Clock, noted_away: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeClient, "away", {8401, 8421})
    tritons.move_on("it hangs")
    tritons.go_back(has(8401))
    assert noted_away == []  # it is not time yet
    clock.now = 30
    tritons.go_back(has(8401))
    assert tritons.address == "127.0.0.1:8411"
    assert noted_away == [8401]
    assert not tritons.hand_over(tritons.list_others(), has(8421), "no version 2")
    assert set(noted_away) == {8401, 8421}


def pause_s(tritons: Tritons, clock: Clock) -> float:
    """Have the first Triton left, and return after how long it is gone back to, s."""
    tritons.move_on("a blip")
    began = clock.now
    while tritons.first_left:
        clock.now += 1
        tritons.go_back(has(8401))
    return clock.now - began


def test_the_pause_before_the_first_one_is_asked_again_begins_anew_once_it_has_read_a_study(
    tritons: Tritons, clock: Clock
) -> None:
    assert [pause_s(tritons, clock) for _ in range(7)] == [30, 60, 120, 240, 480, 900, 900]
    for _ in range(3):
        tritons.note_read()
        assert pause_s(tritons, clock) == 30


def test_one_that_took_over_and_read_a_study_is_asked_again_soon(tritons: Tritons, clock: Clock) -> None:
    for _ in range(7):
        assert tritons.hand_over(tritons.list_others(), has(8421), "no version 2")
        tritons.note_read()
        tritons.move_on("a blip")
        clock.now += 30
