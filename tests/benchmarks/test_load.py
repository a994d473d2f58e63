# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from typer import BadParameter

from appliance.ledger.states import JobState
from benchmarks import load
from benchmarks.load import Round, figures_of, main, pairs_in_order


def record(last_instance: str, turnaround_s: float, tries: int = 1) -> dict[str, Any]:
    return {"last_instance": last_instance, "turnaround_s": turnaround_s, "tries": tries}


def test_order_is_the_share_of_pairs_that_are_answered_as_they_came() -> None:
    assert pairs_in_order([1, 2, 3, 4], [11, 12, 13, 14]) == 1
    assert pairs_in_order([1, 2, 3, 4], [14, 13, 12, 11]) == 0
    assert pairs_in_order([1, 2, 3, 4], [11, 13, 12, 14]) == pytest.approx(5 / 6)
    assert pairs_in_order([1, 1], [12, 11]) == 1
    assert pairs_in_order([1], [2]) is None


def test_a_row_counts_what_was_not_answered_and_takes_the_least_fair_round() -> None:
    fair = Round(2, 30.0, [record("2026-01-01T00:00:00.000Z", 3.0), record("2026-01-01T00:00:01.000Z", 5.0, 2)], [], 2)
    unfair = Round(
        3,
        30.0,
        [record("2026-01-01T00:00:00.000Z", 9.0), record("2026-01-01T00:00:01.000Z", 4.0)],
        ["refused: no head"],
        3,
    )
    row = figures_of([fair, unfair])
    assert (row["studies"], row["answered"], row["success"]) == (5, 4, 0.8)
    assert row["studies_a_minute"] == 4
    assert (row["turnaround_s"]["min"], row["turnaround_s"]["max"]) == (3.0, 9.0)
    assert (row["peak_queue"], row["tries_most"], row["in_order"]) == (3, 2, 0.0)
    assert row["failures"] == ["refused: no head"]


def test_a_round_without_an_answer_is_a_row_too() -> None:
    row = figures_of([Round(1, 10.0, [], ["not answered in time"], 0)])
    assert (row["success"], row["turnaround_s"], row["in_order"]) == (0, None, None)


@pytest.mark.parametrize("senders", ["", "many", "1,0", "-3", "1.5"])
def test_senders_are_whole_numbers_from_1_on(senders: str) -> None:
    with pytest.raises(BadParameter, match="whole numbers"):
        main(senders=senders)


def test_a_study_whose_sender_failed_and_that_was_answered_ends_no_round(monkeypatch: pytest.MonkeyPatch) -> None:
    studies: Any = [SimpleNamespace(truth=SimpleNamespace(study_uid=uid), all_files=[uid]) for uid in ("1.1", "1.2")]

    def send(files: list[str], orthanc: object) -> None:
        if files == ["1.1"]:
            raise OSError("the association was aborted after the last image")

    class Answers:
        asked = 0

        def status(self, limit: int) -> dict[str, Any]:
            self.asked += 1
            answered = ["1.1"] if self.asked < 4 else ["1.1", "1.2"]
            return {"jobs": {}, "studies": [{"study_uid": uid, "state": JobState.DONE} for uid in answered]}

    monkeypatch.setattr(load, "send", send)
    monkeypatch.setattr(load, "_ASKED_EVERY_S", 0.01)
    settings: Any = SimpleNamespace(orthanc=None)
    watch: Any = Answers()
    ended = load.run_round(settings, studies, watch, patience_s=30)
    assert [record["study_uid"] for record in ended.records] == ["1.2"]
    assert ended.failures == ["not sent: the association was aborted after the last image"]
