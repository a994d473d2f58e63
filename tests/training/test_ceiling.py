# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from appliance.reading.contract import MATRIX, MAX_DETECTIONS, TYPES, HemorrhageType
from training.ceiling.__main__ import main
from training.ceiling.figures import BARS, Figures, figures
from training.ceiling.passage import Choice, Passage, Stage, follow
from training.ceiling.studies import PUNCTATE, Order, simulated_orders
from training.ceiling.thin import crescent, strands
from training.instances import MAX_PIECES, TAUGHT

VOXEL_ML = 0.001


def planes(depth: int) -> np.ndarray:
    return np.zeros((depth, MATRIX, MATRIX), np.uint8)


def passage(labels: np.ndarray, **choice: object) -> Passage:
    (one,) = follow(labels, [Choice("asked", **choice)], np.random.default_rng(0))  # type: ignore[arg-type]
    return one


def measure(one: Passage) -> Figures:
    return figures([one], [np.full(one.truth.shape[1], VOXEL_ML)])


def ball() -> np.ndarray:
    labels = planes(9)
    z, y, x = np.ogrid[:9, :MATRIX, :MATRIX]
    labels[(6.0 * (z - 4)) ** 2 + (y - 250) ** 2 + (x - 180) ** 2 < 24**2] = HemorrhageType.IPH.label
    return labels


@pytest.mark.parametrize(
    ("labels", "kind"),
    [(ball(), HemorrhageType.IPH), (crescent(5), HemorrhageType.EDH_SDH), (strands(4.5), HemorrhageType.SAH)],
)
def test_blood_of_every_type_comes_back_above_its_bar(labels: np.ndarray, kind: HemorrhageType) -> None:
    found = measure(passage(labels))
    assert BARS[kind] <= found.per_study[kind].mean <= 1
    assert found.per_slice[kind].count == np.count_nonzero(labels.any(axis=(1, 2)))
    assert found.missed == []


def test_a_long_thin_crescent_in_one_box_is_lost_to_a_coarse_mask() -> None:
    uncut = replace(TAUGHT, longest_px=math.inf)
    kind = HemorrhageType.EDH_SDH
    coarse, today = (
        measure(passage(crescent(5), cutting=cutting, mask_size=size)).per_study[kind].mean
        for cutting, size in ((uncut, 28), (TAUGHT, 56))
    )
    assert coarse < 0.75
    assert today > 0.95


def test_a_punctate_bleed_has_an_anchor_and_comes_back() -> None:
    labels = planes(3)
    labels[1, 300:302, 200:202] = HemorrhageType.IPH.label
    found = measure(passage(labels))
    assert found.pieces["punctate"] == 1
    assert found.anchored["punctate"] == found.asked["punctate"] == 1
    assert found.by_size["iph"]["punctate"].mean == 1


def test_what_exceeds_the_pieces_of_a_slice_is_lost_at_that_step() -> None:
    labels = planes(1)
    for i in range(MAX_PIECES + 6):
        y, x = divmod(i, 6)
        labels[0, 100 + 40 * y : 106 + 40 * y, 100 + 40 * x : 106 + 40 * x] = HemorrhageType.SAH.label
    one = passage(labels)
    row = HemorrhageType.SAH.label - 1
    assert one.most_pieces == MAX_PIECES + 6
    assert one.shared[Stage.CUT][row, 0] == 36 * (MAX_PIECES + 6)
    assert one.shared[Stage.PIECES][row, 0] == 36 * MAX_PIECES


def test_a_chunk_hands_out_its_largest_detections_only() -> None:
    labels = planes(16)
    for z in range(16):
        for i in range(10):
            side = 5 + (i % 2)
            labels[z, 100 + 30 * i : 100 + 30 * i + side, 200 : 200 + side] = HemorrhageType.SAH.label
    one = passage(labels)
    row = HemorrhageType.SAH.label - 1
    assert one.most_listed == 160
    assert one.shared[Stage.DETECTIONS][row].sum() == one.truth[row].sum()
    assert one.shared[Stage.CHUNK][row].sum() == 80 * 36 + (MAX_DETECTIONS - 80) * 25


def test_boxes_of_one_type_that_lie_on_one_another_are_suppressed_and_of_two_types_are_not() -> None:
    labels = planes(1)
    labels[0, 100:160, 100:160] = HemorrhageType.EDH_SDH.label
    labels[0, 102:158, 102:158] = 0
    labels[0, 109:151, 109:151] = HemorrhageType.EDH_SDH.label  # 42 of 60 px: an overlap of 0.49
    labels[0, 111:149, 111:149] = 0  # a frame in a frame, so that the larger has more blood
    one = passage(labels)
    row = HemorrhageType.EDH_SDH.label - 1
    assert one.most_pieces == 2
    assert one.most_listed == 1
    assert one.shared[Stage.DETECTIONS][row, 0] == one.truth[row, 0]  # the box that is left holds both
    labels[0, 109:151, 109:151][labels[0, 109:151, 109:151] > 0] = HemorrhageType.IPH.label
    assert passage(labels).most_listed == 2


def test_figures_say_what_misses_its_bar() -> None:
    labels = planes(1)
    labels[0, 100:400, 100:400:6] = HemorrhageType.SAH.label  # sheets of a pixel, cut to 128 px
    (line,) = measure(passage(labels, mask_size=28)).missed
    assert line.startswith("SAH: mean Dice 0.")
    assert line.endswith(" is below 0.92")


def test_a_bleed_of_a_pixel_on_a_slice_comes_back() -> None:
    labels = planes(3)
    labels[:2, 300, 200] = HemorrhageType.EDH_SDH.label
    assert measure(passage(labels)).per_study["edh_sdh"].mean == 1


def test_slices_of_another_grid_are_refused() -> None:
    with pytest.raises(ValueError, match="256"):
        passage(np.zeros((3, 256, 256), np.uint8))


def test_studies_are_of_every_type_size_and_slice_distance() -> None:
    orders = simulated_orders(48, 7)
    assert {(one.diagnosis, one.size) for one in orders} == {
        (str(kind), size) for kind in TYPES for size in ("drawn", "small", "punctate")
    }
    assert {(one.size, one.spacing_mm) for one in orders} >= {(PUNCTATE, None), (PUNCTATE, 2.5), (PUNCTATE, 1.25)}
    assert [one.seed for one in orders] == list(range(7, 55))


def test_a_simulated_head_is_of_the_size_and_slice_distance_asked_for() -> None:
    study = Order(3, "iph", PUNCTATE, 2.5).labelled()
    volume = (study.labels == HemorrhageType.IPH.label).sum(axis=(1, 2)) @ study.voxel_ml
    assert 0 < volume < 0.02
    assert len(study.labels) > 50


def test_the_command_measures_a_simulated_head(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--studies", "1", "--seed", "2", "--workers", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    today = found["choices"]["as taught"]
    assert today["per_study"]["iph"]["mean"] > BARS[HemorrhageType.IPH]
    assert found["choices"]["mask 28"]["mask_head_gflop"]["full"] * 4 == pytest.approx(
        today["mask_head_gflop"]["full"], rel=1e-4
    )
    assert found["thin"]["not cut, mask 28"]["crescent 5 px"] < 0.7 < 0.95 < found["thin"]["as taught"]["crescent 5 px"]
