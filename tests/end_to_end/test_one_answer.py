# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""One scan, stored in every way a scanner may store it, gets one answer."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.analyze import analyze, folder_contents
from appliance.inference.detector import TritonDetector
from appliance.pipeline import ReadAnswer
from simulator.dicom import TransferSyntax
from simulator.series import PatientPosition, SeriesKind
from simulator.vendors import VendorName
from tests.end_to_end.patient import Patient
from tests.end_to_end.running import Running
from tests.end_to_end.stored import dice, segments


@dataclass(frozen=True)
class Told:
    """What was answered of a scan: the lesions with type and mL, the probability, the Dice coefficient with truth."""

    present: bool
    probability: float
    lesions: list[tuple[str, float]]
    dice: float

    def agrees_with(self, other: Told) -> bool:
        """Whether another answer says the same."""
        return (
            self.present == other.present
            and [kind for kind, _ in self.lesions] == [kind for kind, _ in other.lesions]
            and self.probability == pytest.approx(other.probability, abs=1e-4)
            and [ml for _, ml in self.lesions] == pytest.approx([ml for _, ml in other.lesions], rel=1e-3)
            and self.dice == pytest.approx(other.dice, abs=1e-3)
        )


@pytest.fixture(scope="module")
def detector(running: Running) -> Iterator[TritonDetector]:
    made = TritonDetector(running.settings.triton)
    yield made
    made.close()


@pytest.fixture
def told(running: Running, detector: TritonDetector, bleeding: Patient, tmp_path: Path) -> Any:
    """Answers the bleeding scan, stored as asked for."""

    def answer_by(name: str, **changes: Any) -> Told:
        written = bleeding.study(tmp_path / name, **changes)
        study = folder_contents(written.folder).study(written.truth.study_uid)
        assert study is not None
        answer = analyze(study, running.settings, detector, print)
        assert isinstance(answer, ReadAnswer), answer.refusals
        assert answer.results.seg is not None
        masks = segments(answer.results.seg, written.files[SeriesKind.AXIAL])
        truth = np.load(written.folder / "truth.npy") > 0
        lesions = [(str(lesion.type), lesion.volume_ml) for lesion in answer.finding.lesions]
        finding = answer.finding
        return Told(finding.present, finding.probability, lesions, dice(np.any(list(masks.values()), axis=0), truth))

    return answer_by


def test_every_orientation_transfer_syntax_and_number_format_of_one_scan_gets_one_answer_on_its_own_planes(
    told: Any,
) -> None:
    ways = list(zip(PatientPosition, itertools.cycle(TransferSyntax), itertools.cycle(VendorName), strict=False))
    assert [set(each) for each in zip(*ways, strict=True)] == [
        set(PatientPosition),
        set(TransferSyntax),
        set(VendorName),
    ]
    answers = {
        (position, syntax, vendor): told(position, orientation=position, transfer_syntax=syntax, vendor=vendor)
        for position, syntax, vendor in ways
    }
    first = answers[ways[0]]
    assert first.present
    assert first.dice > 0.5
    assert {way for way, answer in answers.items() if not answer.agrees_with(first)} == set()
