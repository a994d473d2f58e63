# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The short form of `python -m tests.chaos`, and an audit that finds what it is there to find."""

from __future__ import annotations

from copy import deepcopy
from random import Random
from typing import Any

import pytest
from pydicom import Dataset

from appliance.errors import UnavailableError
from tests.appliance.results.answers import answer_of
from tests.chaos import audit, storm
from tests.chaos.__main__ import is_well
from tests.chaos.bench import Bench
from tests.chaos.senders import Sent
from tests.chaos.storm import run


@pytest.mark.end_to_end
def test_no_study_is_lost_or_answered_twice_while_all_parts_are_killed_and_cut_off() -> None:
    killed = ("orthanc killed", "triton killed", "model process killed", "service killed")
    faults = (*killed, "ledger locked", "network cut", "clock moved")
    seen = run(studies=8, seed=3, gap_s=(0.2, 1.0), only=faults)
    assert is_well(seen), seen
    assert set(seen["faults"]) == set(faults)
    assert (seen["confirmed"], seen["answered"], seen["refused"]) == (8, 7, 1)


class TestStorm:
    """How many faults are made, with faults that do nothing."""

    @pytest.fixture
    def made(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        made: list[str] = []
        faults = {name: lambda *_, name=name: made.append(name) for name in ("a", "b", "c")}
        monkeypatch.setattr(storm, "faults_for", lambda _: faults)
        return made

    @staticmethod
    def storm_of(names: list[str], wanted: int) -> storm._Storm:
        begun = storm._Storm(None, Random(1), (0, 0), names, wanted)  # type: ignore[arg-type]
        begun.thread.start()
        return begun

    def test_each_is_made_before_any_is_made_again_and_as_many_as_are_wanted(self, made: list[str]) -> None:
        self.storm_of(["a", "b", "c"], 7).end()
        assert len(made) >= 7
        assert {*made[:3]} == {*made[3:6]} == {"a", "b", "c"}

    def test_none_are_made_where_none_are_wanted_or_there_are_none(self, made: list[str]) -> None:
        self.storm_of(["a"], 0).end()
        self.storm_of([], 7).end()
        assert made == []

    def test_a_run_that_is_broken_off_makes_no_more(self, made: list[str]) -> None:
        self.storm_of(["a"], 10**9).break_off()

    def test_a_supervisor_that_is_busy_ends_no_storm(self, monkeypatch: pytest.MonkeyPatch) -> None:
        answers = iter([False, True, False, True, True])

        def fail_at_times(*_: object) -> None:
            if not next(answers, True):
                raise UnavailableError("busy")

        monkeypatch.setattr(storm, "faults_for", lambda _: {"a": fail_at_times})
        begun = self.storm_of(["a"], 3)
        begun.end()
        assert begun.made["a"] >= 3


def test_senders_wait_for_the_queue_that_the_service_last_told_of_also_while_it_is_dead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench.__new__(Bench)
    bench._last_waiting = 0
    counted = iter([None, 25, None, 3])
    monkeypatch.setattr(bench, "_count_waiting", lambda: next(counted))
    assert [bench.waiting() for _ in range(4)] == [0, 25, 25, 3]


class TestAudit:
    """What the audit says of a study as Orthanc and the service show it; `held` is changed by each test."""

    @pytest.fixture
    def held(self) -> list[Dataset]:
        answer = answer_of()
        return [*answer.volume.headers, *(dataset for _, dataset in answer.results.make_datasets())]

    @pytest.fixture
    def told(self, held: list[Dataset]) -> dict[str, Any]:
        (report,) = of(held, "SR")
        images = len(of(held, "CT"))
        covered = {"slices_read": images, "partial": False}
        return {"state": "done", "sr_uid": report.SOPInstanceUID, "coverage": covered, "lesions": [1, 2, 3]}

    def kinds(
        self,
        held: list[Dataset],
        told: dict[str, Any] | None,
        monkeypatch: pytest.MonkeyPatch,
        readable: bool = True,
        kept: int | None = None,
    ) -> set[str]:
        monkeypatch.setattr(audit, "_held", lambda *_: (held, []))
        sent = Sent("1.2", 12, "at once", readable, kept)
        return {fault.partition(":")[0] for fault in audit.faults_of(None, sent, told)}  # type: ignore[arg-type]

    def test_a_whole_answer_is_well(
        self, held: list[Dataset], told: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert self.kinds(held, told, monkeypatch) == set()

    @pytest.mark.parametrize(
        ("modality", "kind"), [("SR", "unsaid"), ("SEG", "orphan"), ("KO", "orphan"), ("CT", "lost")]
    )
    def test_what_is_missing_is_found(
        self, held: list[Dataset], told: dict[str, Any], monkeypatch: pytest.MonkeyPatch, modality: str, kind: str
    ) -> None:
        held.remove(of(held, modality)[0])
        assert kind in self.kinds(held, told, monkeypatch)

    def test_a_second_report_that_replaces_nothing_and_a_segmentation_that_nobody_names_are_found(
        self, held: list[Dataset], told: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for modality, kind in (("SR", "twice"), ("SEG", "orphan")):
            another = deepcopy(of(held, modality)[0])
            another.SOPInstanceUID += ".9"
            assert kind in self.kinds([*held, another], told, monkeypatch)

    def test_a_part_that_is_called_the_whole_is_found(
        self, held: list[Dataset], told: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        told["coverage"]["slices_read"] -= 1
        assert self.kinds(held, told, monkeypatch) == {"part"}
        told["coverage"]["partial"] = True
        assert self.kinds(held, told, monkeypatch) == set()

    def test_an_image_that_orthanc_confirmed_and_did_not_keep_is_not_lost_and_makes_the_answer_one_of_a_part(
        self, held: list[Dataset], told: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        held.remove(of(held, "CT")[0])
        told["coverage"]["slices_read"] -= 1
        assert self.kinds(held, told, monkeypatch, kept=12) == {"lost", "part", "orphan"}
        assert self.kinds(held, told, monkeypatch, kept=11) == {"part"}
        told["coverage"]["partial"] = True
        assert self.kinds(held, told, monkeypatch, kept=11) == set()
        assert self.kinds(held, None, monkeypatch, kept=0) == set()

    def test_a_study_that_nobody_knows_or_that_is_answered_though_it_cannot_be_read_is_found(
        self, held: list[Dataset], told: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert self.kinds(held, None, monkeypatch) == {"lost"}
        assert self.kinds(held, told, monkeypatch, readable=False) == {"wrong"}


def of(held: list[Dataset], modality: str) -> list[Dataset]:
    return [one for one in held if one.Modality == modality]
