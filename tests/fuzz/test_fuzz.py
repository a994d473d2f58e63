# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A small part of what `python -m tests.fuzz` does, and every input that once found something."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy.local.orthanc import ROOT
from tests.fuzz import guided
from tests.fuzz.campaign import SEEDS, Tally, campaign, replay, try_input
from tests.fuzz.targets import TARGETS, Files, Target

INPUTS = {
    "files": 400,
    "http": 600,
    "results": 6,
    "headers": 1000,
    "readback": 60,
    "orthanc": 600,
    "rings": 600,
    "dicomjson": 300,
    "hl7": 200,
    "sitefiles": 100,
}


@pytest.mark.parametrize(("name", "inputs"), [(name, INPUTS[name]) for name in TARGETS])
def test_spoiled_input_is_refused_and_what_comes_next_is_taken_as_before(name: str, inputs: int) -> None:
    tallies: dict[str, Tally] = {}
    done, found = campaign(inputs, seed=20260301, only=name, tallies=tallies)
    assert done == tallies[name].inputs == inputs
    assert [(one.error, one.where) for one in found] == []


@pytest.mark.parametrize("file", sorted(SEEDS.glob("*.bin")), ids=lambda file: file.name)
def test_an_input_that_once_found_something_finds_nothing_any_more(file: Path) -> None:
    assert replay(file) is None


@pytest.fixture(scope="module")
def files() -> Files:
    return Files()


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.binary(max_size=400))
def test_no_bytes_at_all_break_the_reading_of_a_file(files: Files, data: bytes) -> None:
    for start in (b"", bytes(128) + b"DICM", b"\x08\x00\x05\x00CS\x0a\x00"):
        assert try_input(files, b"\0\0" + start + data) is None


def test_a_target_that_breaks_takes_long_or_grows_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        name = "files"

        def __init__(self, do: Callable[[], object]) -> None:
            self._do = do

        def make(self, rng: random.Random) -> bytes:
            return b"x"

        def feed(self, data: bytes) -> None:
            self._do()

        def check_next(self) -> None: ...

    def forever() -> None:
        while True:
            pass

    monkeypatch.setattr("tests.fuzz.campaign.MOST_MIB", 100)
    held: list[bytearray] = []
    breaks: Target = Broken(lambda: 1 / 0)
    for target, said in (
        (breaks, "ZeroDivisionError"),
        (Broken(forever), "TookLongError"),
        (Broken(lambda: held.append(bytearray(b"x") * 2**28)), "grew by"),
    ):
        monkeypatch.setattr("tests.fuzz.campaign.LONGEST_S", 0.2 if said.startswith("Took") else 20.0)
        one = try_input(target, b"x")
        assert one is not None
        assert said in one.error


def test_a_campaign_finds_the_one_input_of_many_that_makes_the_process_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[bytearray] = []

    class Grows:
        name = "rings"

        def make(self, rng: random.Random) -> bytes:
            return b"large" if rng.random() < 0.05 else b"small"

        def feed(self, data: bytes) -> None:
            held.append(bytearray(b"x") * (2**28 if data == b"large" else 9))
            del held[:]

        def check_next(self) -> None: ...

    monkeypatch.setattr("tests.fuzz.campaign.MOST_MIB", 100)
    monkeypatch.setitem(TARGETS, "rings", Grows)
    done, found = campaign(60, seed=3, only="rings")
    assert (done, [(one.data, one.where) for one in found]) == (60, [(b"large", "memory")])
    done, found = campaign(1000, seed=3, only="rings", told=lambda done, _found: done < 40)  # ended by --minutes
    assert (done, [(one.data, one.where) for one in found]) == (40, [(b"large", "memory")])


def test_a_campaign_finds_what_keeps_a_little_of_every_input(monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[bytearray] = []

    class Keeps:
        name = "rings"

        def make(self, rng: random.Random) -> bytes:
            return b"x"

        def feed(self, data: bytes) -> None:
            held.append(bytearray(data) * 2**20)

        def check_next(self) -> None: ...

    monkeypatch.setitem(TARGETS, "rings", Keeps)
    tallies: dict[str, Tally] = {}
    done, found = campaign(60, seed=3, only="rings", tallies=tallies)
    assert (done, [(one.target, one.where) for one in found]) == (60, [("rings", "leak")])
    assert found[0].error.startswith("grew by ")
    assert tallies["rings"].grown_mib > 0


def test_the_same_seed_makes_the_same_inputs() -> None:
    for name, make in TARGETS.items():
        if name not in ("http", "sitefiles"):  # their secrets are new each time
            one, other = make(), make()
            assert one.make(random.Random(7)) == other.make(random.Random(7))


def test_what_leads_by_code_feeds_requests_alone_to_the_routes_and_every_finding_counts() -> None:
    fed: list[bytes] = []

    class Taken:
        def __init__(self, name: str) -> None:
            self.name = name

        def make(self, rng: random.Random) -> bytes:
            return b""

        def feed(self, data: bytes) -> None:
            fed.append(data)
            raise ValueError("found")

        def check_next(self) -> None: ...

    request = TARGETS["http"]().make(random.Random(1))
    for data in (b"", b"x" * 9, request[:-1], b"[]", b'{"app": 0}', request.replace(b'"app"', b'"App"')):
        guided.feed(Taken("http"), data)
    assert fed == []
    for name, data in (("http", request), ("files", b"x" * 9)):
        with pytest.raises(ValueError, match="found"):
            guided.feed(Taken(name), data)


def test_without_atheris_it_says_so() -> None:
    hidden = (
        "import sys, runpy; sys.modules['atheris'] = None; runpy.run_module('tests.fuzz.guided', run_name='__main__')"
    )
    ran = subprocess.run([sys.executable, "-c", hidden], capture_output=True, text=True, check=False, cwd=ROOT)
    assert (ran.returncode, ran.stderr.startswith("atheris is not installed here")) == (2, True), ran.stderr
