# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The short form of `python -m tests.chaos`, and an audit that finds what it is there to find."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from pydicom import Dataset

from tests.appliance.results.answers import answer_of
from tests.chaos import audit
from tests.chaos.__main__ import is_well
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


class TestAudit:
    """What the audit says of a study as Orthanc and the service show it; `held` is changed by each test."""

    @pytest.fixture
    def held(self) -> list[Dataset]:
        answer = answer_of()
        return [*answer.volume.headers, *(dataset for _, dataset in answer.results.named_datasets())]

    @pytest.fixture
    def told(self, held: list[Dataset]) -> dict[str, Any]:
        (report,) = of(held, "SR")
        images = len(of(held, "CT"))
        covered = {"slices_read": images, "partial": False}
        return {"state": "done", "sr_uid": report.SOPInstanceUID, "coverage": covered, "lesions": [1, 2, 3]}

    def kinds(
        self, held: list[Dataset], told: dict[str, Any] | None, monkeypatch: pytest.MonkeyPatch, readable: bool = True
    ) -> set[str]:
        monkeypatch.setattr(audit, "_held", lambda *_: (held, []))
        sent = Sent("1.2", 12, "at once", readable)
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

    def test_a_study_that_nobody_knows_or_that_is_answered_though_it_cannot_be_read_is_found(
        self, held: list[Dataset], told: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert self.kinds(held, None, monkeypatch) == {"lost"}
        assert self.kinds(held, told, monkeypatch, readable=False) == {"wrong"}


def of(held: list[Dataset], modality: str) -> list[Dataset]:
    return [one for one in held if one.Modality == modality]
