# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Studies that cannot be read: each is refused with a code and a sentence, and keeps nobody else waiting."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.uid import MRImageStorage

from simulator.series import SeriesKind
from tests.end_to_end.patient import Patient, edit
from tests.end_to_end.running import Running, until

NOTHING = "no_suitable_series"


def drop_middle(files: list[Path]) -> None:
    del files[len(files) // 2]


def drop_all_but_one(files: list[Path]) -> None:
    del files[1:]


def cut_short(files: list[Path]) -> None:
    def halve(dataset: Dataset) -> None:
        dataset.PixelData = dataset.PixelData[: len(dataset.PixelData) // 2]

    edit(files[len(files) // 2], halve)


def without_position(files: list[Path]) -> None:
    def lose(dataset: Dataset) -> None:
        del dataset.ImagePositionPatient

    for file in files:
        edit(file, lose)


def of_another_modality(files: list[Path]) -> None:
    def rename(dataset: Dataset) -> None:
        dataset.Modality, dataset.SOPClassUID = "MR", MRImageStorage

    for file in files:
        edit(file, rename)


@dataclass(frozen=True)
class Bad:
    """A series that is sent alone, the code it is refused with, and what is done to the list of its files before."""

    kind: SeriesKind
    code: str
    change: Callable[[list[Path]], None] | None = None


BAD: Mapping[str, Bad] = {
    "a scout alone": Bad(SeriesKind.SCOUT, "localizer"),
    "a bone kernel alone": Bad(SeriesKind.BONE, "not_soft_tissue"),
    "coronal reformats alone": Bad(SeriesKind.CORONAL, "not_axial"),
    "a dose page alone": Bad(SeriesKind.DOSE, "not_ct"),
    "an MR": Bad(SeriesKind.AXIAL, "not_ct", of_another_modality),
    "a missing slice": Bad(SeriesKind.AXIAL, "missing_slice", drop_middle),
    "one slice": Bad(SeriesKind.AXIAL, "too_few_slices", drop_all_but_one),
    "pixels cut short": Bad(SeriesKind.AXIAL, "bad_pixels", cut_short),
    "no position": Bad(SeriesKind.AXIAL, "no_position", without_position),
}


NO_CT = ("a dose page alone", "an MR")


@dataclass(frozen=True)
class Sent:
    """The bad studies that were sent, by what is wrong with them, and a good one sent after them."""

    bad: Mapping[str, str]
    images: Mapping[str, int]
    good: str


@pytest.fixture(scope="module")
def sent(running: Running, bleeding: Patient, tmp_path_factory: pytest.TempPathFactory) -> Sent:
    """Every kind of bad study, sent one after another, and a good one behind them that is answered."""
    folder = tmp_path_factory.mktemp("bad")
    uids, images = {}, {}
    for name, bad in BAD.items():
        written = bleeding.study(folder / name, series=(bad.kind,))
        files = list(written.files[bad.kind])
        if bad.change is not None:
            bad.change(files)
        running.send(files)
        uids[name], images[name] = written.truth.study_uid, len(files)
    good = bleeding.study(folder / "good")
    running.send(good.all_files)
    running.answered(good.truth.study_uid)
    return Sent(uids, images, good.truth.study_uid)


@pytest.mark.parametrize("name", BAD)
def test_a_study_that_cannot_be_read_is_refused_with_a_code_and_a_sentence(
    name: str, running: Running, sent: Sent
) -> None:
    uid = sent.bad[name]
    record = running.until_state(uid, "refused", "failed", "done")
    assert record["state"] == "refused"
    assert record["present"] is None
    assert {refusal["code"] for refusal in record["refusals"]} == {BAD[name].code, NOTHING}
    assert all(len(refusal["reason"].split()) > 2 for refusal in record["refusals"])
    until(lambda: BAD[name].code in refusals_in_log(running, uid), lambda: refusals_in_log(running, uid))


@pytest.mark.parametrize("name", BAD)
def test_a_refused_ct_study_gets_a_report_that_says_so_and_nothing_else(
    name: str, running: Running, sent: Sent
) -> None:
    uid = sent.bad[name]
    record = running.until_state(uid, "refused", "failed", "done")
    reports = running.stored(uid).reports
    study = running.orthanc.get(f"/studies/{running.orthanc_study(uid)}/instances").raise_for_status().json()
    assert len(study) == sent.images[name] + len(reports)
    assert len(reports) == int(name not in NO_CT)
    for report in reports:
        assert report.SOPInstanceUID == record["sr_uid"]
        assert report.CompletionFlagDescription.startswith("Not read: ")
        assert BAD[name].code in str(report)


def test_a_good_study_behind_bad_ones_is_answered(running: Running, sent: Sent) -> None:
    record = running.study(sent.good)
    assert record["present"] is True
    assert len(running.stored(sent.good).reports) == 1


def test_refusals_are_counted_by_code(running: Running, sent: Sent) -> None:
    for uid in sent.bad.values():
        running.until_state(uid, "refused")
    least = {NOTHING: len(BAD)} | {bad.code: 1 for bad in BAD.values()}

    def are_counted() -> bool:
        counted = running.metrics()
        return all(counted[f"hemorrhage_refusals_total[{code}][refused]"] >= count for code, count in least.items())

    until(are_counted, running.metrics)  # a moment after the ledger has them


def test_a_slice_that_comes_after_the_refusal_completes_the_study(
    running: Running, healthy: Patient, tmp_path: Path
) -> None:
    written = healthy.study(tmp_path)
    files, uid = list(written.files[SeriesKind.AXIAL]), written.truth.study_uid
    late = files.pop(10)
    running.send(files)
    running.until_state(uid, "refused")
    running.send([late])
    assert running.answered(uid)["series"]["slices"] == len(files) + 1


def refusals_in_log(running: Running, uid: str) -> set[str]:
    """Return the codes with which the service's log tells that a study was refused."""
    whole, _, _ = running.log().rpartition("\n")  # the last line may still be written
    lines: list[dict[str, Any]] = [json.loads(line) for line in whole.splitlines()]
    return {
        refusal["code"]
        for line in lines
        if line["event"] == "study refused" and line.get("study") == uid
        for refusal in line["refusals"]
    }
