# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The gate, on studies whose figures are known, and on one that is really read."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.reading.contract import MASK_SIZE, MAX_DETECTIONS, MAX_DISMISSED, HemorrhageType
from conversion.precision import KINDS, Outcome, figures, golden_room, judge, read
from conversion.precision_command import keep_verdicts, load_report, table
from conversion.studies import LabelledScan
from conversion.triton_model import BYTES, FULL, GATE
from simulator.geometry import ScanGeometry

VOXELS = 1000


def study(score: float, shared: int = 800, kind: str | None = "iph") -> Outcome:
    """A study with a thousand voxels of blood of a kind, as many found, and some of them shared; or without blood."""
    holds = [int(one in ("any", kind)) if kind else 0 for one in KINDS]
    return Outcome(score, *(tuple(count * one for one in holds) for count in (shared, VOXELS, VOXELS)))


def studies(bleeding: int = 100, healthy: int = 100) -> list[Outcome]:
    """Studies that are all told apart: those with blood, of the three kinds in turn, have higher scores."""
    return [
        *(study(0.6 + 0.3 * i / bleeding, kind=KINDS[1 + i % 3]) for i in range(bleeding)),
        *(study(0.1 + 0.3 * i / healthy, kind=None) for i in range(healthy)),
    ]


def change(outcomes: list[Outcome], at: int, **to: object) -> list[Outcome]:
    return [replace(one, **to) if i == at else one for i, one in enumerate(outcomes)]  # type: ignore[arg-type]


def test_an_engine_that_answers_as_the_reference_does_passes() -> None:
    verdict = judge(studies(), studies())
    assert verdict.passed
    assert verdict.auc_fall == 0
    assert verdict.auc_fall_95 == (0, 0)
    assert set(verdict.dice_fall.values()) == {0.0}
    assert verdict.figures.dice == dict.fromkeys(KINDS, pytest.approx(0.8))


def test_an_engine_that_answers_the_golden_chunk_otherwise_does_not_pass() -> None:
    verdict = judge(studies(), studies(), "a score is 0.5, not 0.3 ± 0.1")
    assert not verdict.passed
    assert verdict.faults == ("the golden chunk: a score is 0.5, not 0.3 ± 0.1",)


def test_what_rounds_otherwise_on_another_cpu_leaves_half_of_the_golden_tolerance_to_it() -> None:
    assert golden_room("bf16") == golden_room("f32") / 2 == golden_room(None) / 2


@pytest.mark.parametrize(("missed", "passes"), [(20, True), (21, False)])
def test_auc_may_fall_by_two_thousandths(missed: int, passes: bool) -> None:
    # Of 100 x 100 pairs: a study with blood scores below so many without.
    verdict = judge(studies(), change(studies(), 0, score=0.1 + 0.3 * (100 - missed - 0.5) / 100))
    assert verdict.auc_fall == pytest.approx(missed / 10_000)
    assert verdict.passed is passes
    assert passes or verdict.faults == ("AUC falls by 0.0021, more than 0.002",)


def test_dice_of_one_type_must_not_fall_behind_a_figure_of_all_blood_that_holds() -> None:
    outcomes = studies()
    at = next(i for i, one in enumerate(outcomes) if one.true[KINDS.index("sah")])
    verdict = judge(outcomes, change(outcomes, at, shared=(600, 0, 0, 600)))
    assert verdict.dice_fall["any"] == pytest.approx(0.002)
    assert verdict.dice_fall["sah"] == pytest.approx(200 / 33_000)
    assert verdict.faults == (f"Dice of sah falls by {200 / 33_000:.4f}, more than 0.005",)


def test_a_better_engine_passes() -> None:
    outcomes = studies()
    verdict = judge(change(outcomes, 0, score=0.05), outcomes)
    assert verdict.passed
    assert verdict.auc_fall == pytest.approx(-0.01)


@pytest.mark.parametrize(("bleeding", "healthy"), [(100, 99), (99, 101)])
def test_too_few_studies_give_figures_and_no_pass(bleeding: int, healthy: int) -> None:
    verdict = judge(studies(bleeding, healthy), studies(bleeding, healthy))
    assert verdict.figures.auc == 1
    assert verdict.faults == (f"{bleeding + healthy} studies, {bleeding} with blood: a pass takes 200 and 100",)


def test_other_studies_are_not_compared() -> None:
    with pytest.raises(ValueError, match="not read the same studies"):
        judge(studies(), studies()[::-1])


@pytest.mark.parametrize("kept", [slice(0, 100), slice(100, 200)])
def test_studies_all_with_blood_or_all_without_have_no_verdict(kept: slice) -> None:
    with pytest.raises(ValueError, match="with and without blood"):
        judge(studies()[kept], studies()[kept])


def test_the_interval_of_a_fall_holds_it() -> None:
    outcomes = studies()
    verdict = judge(outcomes, [replace(one, shared=tuple(count * 3 // 4 for count in one.shared)) for one in outcomes])
    low, high = verdict.dice_fall_95["any"]
    assert low <= verdict.dice_fall["any"] <= high
    assert verdict.dice_fall["any"] == pytest.approx(0.2)


def detects(boxes: list[tuple[int, int, float]]) -> object:
    """A detector that finds 20 px boxes of IPH on slices, given as slice of the chunk, left edge and score."""

    def run(hu: np.ndarray) -> dict[str, np.ndarray]:
        out = {
            "detection_count": np.array([len(boxes)], np.int32),
            "detection_slice": np.zeros(MAX_DETECTIONS, np.int32),
            "detection_box": np.zeros((MAX_DETECTIONS, 4), np.float32),
            "detection_score": np.zeros((MAX_DETECTIONS, 3), np.float32),
            "detection_mask": np.ones((MAX_DETECTIONS, MASK_SIZE, MASK_SIZE), np.float32),
            "dismissed_count": np.zeros(1, np.int32),
            "dismissed_slice": np.zeros(MAX_DISMISSED, np.int32),
        }
        for i, (number, left, score) in enumerate(boxes):
            out["detection_slice"][i], out["detection_score"][i, 0] = number, score
            out["detection_box"][i] = [100, left, 120, left + 20]
        return out

    return run


def test_a_study_is_read_as_the_service_reads_it_and_counted_voxel_by_voxel() -> None:
    geometry = ScanGeometry(512, 512, (0.5, 0.5), tuple(range(0, 60, 5)), (5.0,) * 12)
    hu, labels = np.full(geometry.shape, 60, np.int16), np.zeros(geometry.shape, np.uint8)
    labels[4, 100:120, 200:220] = HemorrhageType.IPH.label
    labels[4, 100:110, 300:310] = HemorrhageType.SAH.label
    hu[4, 100:120, 215:220] = 900  # bone, which is no clot
    # Sure on slice 4, less sure on slice 5 of the same lesion, and less sure far from it.
    run = detects([(4, 200, 0.99), (5, 200, 0.6), (9, 300, 0.6)])
    outcome = read(run, LabelledScan(hu, labels, geometry), 0.9)  # type: ignore[arg-type]
    assert outcome.score == pytest.approx(0.99)
    assert outcome.shared == (300, 300, 0, 0)
    assert outcome.found == (700, 700, 0, 0)
    assert outcome.true == (500, 400, 0, 100)
    assert figures([outcome]).dice["any"] == pytest.approx(2 * 300 / 1200)
    assert np.isnan(figures([outcome]).dice["edh_sdh"])


JUDGED = {
    "made": "2026-11-28T10:00:00+00:00",
    "studies": {"count": 200, "with_blood": 120, "population": "realistic", "seeds": [1, 2]},
    "cpu": {"instructions": "AVX2"},
    "reference": {"name": "onnxruntime-fp32", "auc": 0.9, "dice": dict.fromkeys(KINDS, 0.8)},
}


def report_of(*names: str, full: bytes = b"full", judged: dict[str, Any] = JUDGED, **shared: object) -> dict[str, Any]:
    """Return a report of these engines, those of 8 bits with the file b"eight"."""
    files = {FULL: full} | ({BYTES: b"eight"} if any("int8" in name for name in names) else {})
    figures = judge(studies(), studies()).as_json()
    return {
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
        "threshold": 0.9,
        "most": {"auc_fall": 0.002},
        "runtimes": {"openvino": "1"},
        "engines": {name: {"file": BYTES if "int8" in name else FULL, **figures, "judged": judged} for name in names},
        "skipped": {},
        **shared,
    }


@pytest.mark.parametrize(
    ("changed", "kept"),
    [
        ({}, ["openvino-int8", "openvino-fp32"]),
        ({"judged": JUDGED | {"cpu": {"instructions": "AVX-512"}}}, ["openvino-int8", "openvino-fp32"]),
        ({"threshold": 0.8}, []),
        ({"most": {"auc_fall": 0.001}}, []),
        ({"runtimes": {"openvino": "2"}}, []),
        ({"full": b"another"}, []),
    ],
)
def test_a_run_of_one_engine_keeps_the_verdicts_that_still_hold(
    tmp_path: Path, changed: dict[str, Any], kept: list[str]
) -> None:
    (tmp_path / BYTES).write_bytes(b"eight")
    now = report_of("tensorrt-fp16", **changed)
    keep_verdicts(now, report_of("openvino-int8", "openvino-fp32"), tmp_path)
    assert list(now["engines"]) == ["tensorrt-fp16", *kept]
    assert all(now["engines"][name]["judged"] == JUDGED for name in kept)
    assert set(now["sha256"]) == ({FULL, BYTES} if kept else {FULL})


def test_engines_that_were_judged_on_different_cpus_stand_in_a_table_each() -> None:
    elsewhere = JUDGED | {"cpu": {"instructions": "AVX-512"}, "reference": JUDGED["reference"] | {"auc": 0.95}}
    both = report_of("openvino-int8", skipped={"openvino-bf16": "this CPU has no avx512_bf16"})
    both["engines"] |= report_of("openvino-fp32", judged=elsewhere)["engines"]
    first, second = table(both).split("; AVX-512, 2026-11-28.")
    assert "; AVX2, 2026-11-28." in first
    assert "| onnxruntime-fp32 | 0.9000 |" in first
    assert "| openvino-int8 | " in first
    assert "openvino-fp32" not in first
    assert "| onnxruntime-fp32 | 0.9500 |" in second
    assert second.endswith("\nopenvino-bf16 was not judged: this CPU has no avx512_bf16.\n")


def test_a_report_of_an_older_version_is_read(tmp_path: Path) -> None:
    older = report_of("openvino-int8") | JUDGED
    del older["engines"]["openvino-int8"]["judged"]
    (tmp_path / GATE).write_text(json.dumps(older))
    assert load_report(tmp_path) == report_of("openvino-int8")


@pytest.mark.parametrize("eight", [b"changed", None])
def test_a_graph_that_was_changed_or_is_gone_costs_its_own_verdict_alone(tmp_path: Path, eight: bytes | None) -> None:
    if eight is not None:
        (tmp_path / BYTES).write_bytes(eight)
    now = report_of("tensorrt-fp16")
    keep_verdicts(now, report_of("openvino-int8", "openvino-fp32"), tmp_path)
    assert list(now["engines"]) == ["tensorrt-fp16", "openvino-fp32"]
    assert set(now["sha256"]) == {FULL}


def test_the_verdict_of_a_graph_that_is_made_anew_is_not_kept(tmp_path: Path) -> None:
    (tmp_path / BYTES).write_bytes(b"eight")
    now = report_of("openvino-int8-bf16")
    now["sha256"][BYTES] = "of the new one"
    keep_verdicts(now, report_of("openvino-int8"), tmp_path)
    assert list(now["engines"]) == ["openvino-int8-bf16"]


def test_a_folder_without_a_report_has_none_and_a_damaged_one_is_said_to_be(tmp_path: Path) -> None:
    assert load_report(tmp_path) == {}
    now = report_of("tensorrt-fp16")
    keep_verdicts(now, {}, tmp_path)
    assert now == report_of("tensorrt-fp16")
    for damaged in ("{", "[]", '{"engines": {"openvino-int8": 1}}'):
        (tmp_path / GATE).write_text(damaged)
        with pytest.raises(ValueError, match="is damaged"):
            load_report(tmp_path)
