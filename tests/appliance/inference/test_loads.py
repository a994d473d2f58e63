# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""How often a Triton is told to load a model that it lacks, and who waits for it."""

from __future__ import annotations

import itertools
import threading

import pytest
from tritonclient.utils import InferenceServerException

from appliance.inference.client import LOAD_TIMEOUT_S
from appliance.inference.lanes import TOO_LATE
from appliance.inference.loads import LONGEST_PAUSE_S, PAUSE_S, LoadingError, Loads, NotLoadedError
from appliance.sections.triton import TritonSettings
from tests.appliance.inference.clock import Clock

PATIENCE_S = 30.0
FIRST, SECOND = TritonSettings(grpc_port=8401), TritonSettings(grpc_port=8411)
MODEL = "hemorrhage_detector_2"


class Loader:
    """Stands for Triton's side of a load: fails with `fault`, and can be held in the middle."""

    def __init__(self) -> None:
        self.fault: Exception | None = InferenceServerException("no version is available\nTraceback", "INTERNAL")
        self.asked: list[int] = []
        self.begun = threading.Event()
        self.go = threading.Event()
        self.go.set()

    def __call__(self, triton: TritonSettings, model: str) -> None:
        assert model == MODEL
        self.asked.append(triton.grpc_port)
        self.begun.set()
        assert self.go.wait(PATIENCE_S)
        if self.fault is not None:
            raise self.fault


@pytest.fixture
def loader() -> Loader:
    return Loader()


@pytest.fixture
def loads(loader: Loader, clock: Clock) -> Loads:
    return Loads(clock, loader)


def fault_of(loads: Loads, triton: TritonSettings = FIRST) -> str:
    with pytest.raises(NotLoadedError) as caught:
        loads.load(triton, MODEL, wait=True)
    return str(caught.value)


def settle(loads: Loads) -> None:
    """Return once nothing is being loaded."""
    for thread in threading.enumerate():
        if thread.name == "load":
            thread.join(PATIENCE_S)
            assert not thread.is_alive()


def test_the_first_load_is_waited_for_and_a_later_one_holds_nobody_up(
    loads: Loads, loader: Loader, clock: Clock
) -> None:
    assert fault_of(loads) == f"Triton does not load {MODEL}: no version is available"
    loader.begun.clear()
    loader.go.clear()
    clock.now = PAUSE_S
    assert fault_of(loads) == f"Triton does not load {MODEL}: no version is available"  # told while it is tried again
    assert loader.begun.wait(PATIENCE_S)
    fault_of(loads)
    assert len(loader.asked) == 2  # one at a time
    loader.fault = None
    loader.go.set()
    settle(loads)
    loads.load(FIRST, MODEL, wait=True)  # it is lacking once more, and that is another first time
    assert len(loader.asked) == 3


def test_the_pause_between_loads_that_fail_doubles_up_to_an_hour(loads: Loads, loader: Loader, clock: Clock) -> None:
    fault_of(loads)
    began = [clock.now]
    while clock.now < 4 * LONGEST_PAUSE_S:
        clock.now += PAUSE_S / 2
        fault_of(loads)
        settle(loads)
        if len(loader.asked) > len(began):
            began.append(clock.now)
    pauses = [later - earlier for earlier, later in itertools.pairwise(began)]
    assert pauses[:7] == [60, 120, 240, 480, 960, 1920, 3600]
    assert set(pauses[7:]) == {LONGEST_PAUSE_S}


def test_a_load_that_nobody_waits_for_goes_on_by_itself(loads: Loads, loader: Loader) -> None:
    loader.go.clear()
    with pytest.raises(LoadingError, match=f"Triton has not loaded {MODEL} yet"):
        loads.load(FIRST, MODEL, wait=False)
    assert len(loader.asked) == 1
    loader.go.set()
    settle(loads)
    assert "does not load" in fault_of(loads)


def test_a_first_load_in_progress_is_waited_for_whoever_began_it(loads: Loads, loader: Loader) -> None:
    loader.go.clear()
    with pytest.raises(LoadingError):
        loads.load(FIRST, MODEL, wait=False)
    release = threading.Timer(0.2, loader.go.set)  # it fails then; before, it is "not loaded yet"
    release.start()
    assert fault_of(loads) == f"Triton does not load {MODEL}: no version is available"
    release.join()
    assert len(loader.asked) == 1


def test_a_first_load_is_waited_for_no_longer_than_it_may_take(loads: Loads, loader: Loader, clock: Clock) -> None:
    loader.go.clear()
    with pytest.raises(LoadingError):
        loads.load(FIRST, MODEL, wait=False)
    clock.now = 2 * LOAD_TIMEOUT_S
    with pytest.raises(LoadingError, match="has not loaded"):
        loads.load(FIRST, MODEL, wait=True)
    loader.go.set()
    settle(loads)


def test_what_failed_on_one_triton_is_tried_on_another_and_again_on_one_that_was_started_anew(
    loads: Loads, loader: Loader
) -> None:
    for _ in range(2):
        fault_of(loads, FIRST)
        fault_of(loads, SECOND)
    assert loader.asked == [8401, 8411]
    loads.forget(FIRST)
    fault_of(loads, FIRST)
    fault_of(loads, SECOND)
    assert loader.asked == [8401, 8411, 8401]


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (InferenceServerException("deadline", TOO_LATE), f"Triton has not loaded {MODEL} in 90 s"),
        (ValueError("a defect"), f"{MODEL} was not loaded: ValueError: a defect"),
    ],
)
def test_whoever_waits_is_told_whatever_went_wrong(loads: Loads, loader: Loader, fault: Exception, told: str) -> None:
    loader.fault = fault
    assert fault_of(loads) == told
