# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The audit: a small one holds, and what would betray blood breaks it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer
from pydicom.dataset import Dataset
from typer.testing import CliRunner

pytest.importorskip("sklearn", reason="the audit runs in the development environment")

from sklearn.metrics import roc_auc_score

from simulator.audit.bars import (
    Bar,
    detector_bars,
    failure_bar,
    header_bars,
    image_bars,
    physics_bars,
    size_bars,
)
from simulator.audit.cases import Case, Seen
from simulator.audit.classifiers import encode, spread_by_chance, trials
from simulator.audit.command import measured_pairs
from simulator.audit.headers import digests, features, header_features
from simulator.audit.kept import claim, keep, read_kept
from simulator.audit.physics import ScannerFigures, measure_scanner
from simulator.audit.report import conclude
from simulator.audit.surroundings import REACH_MM, mask_blood, skull_cavity, statistics_of
from simulator.audit.threshold import largest_dense_ml
from simulator.cli import app
from simulator.geometry import ScanGeometry
from simulator.manifest import read
from simulator.recipes import pairs
from simulator.scanner import Scanner

GEOMETRY = ScanGeometry(
    rows=128,
    columns=128,
    pixel_spacing_mm=(1.6, 1.6),
    positions_mm=tuple(5.0 * i for i in range(12)),
    thickness_mm=(5.0,) * 12,
)
FIGURES = ScannerFigures(4.0, (0.1, 0.2), (1.0, 0.5), 0.3, 0.8)


def ball(centre: tuple[int, int, int], radius_mm: float) -> np.ndarray:
    """Return the voxels [Z, Y, X] within a ball."""
    z, y, x = (np.arange(n) - c for n, c in zip(GEOMETRY.shape, centre, strict=True))
    return (z[:, None, None] * 5) ** 2 + (y[:, None] * 1.6) ** 2 + (x * 1.6) ** 2 <= radius_mm**2


def skull() -> np.ndarray:
    """Return a tube of bone in air, filled with noisy brain of 32 HU, int16 [Z, Y, X]."""
    y, x = np.mgrid[:128, :128] - 63.5
    radius = np.hypot(y, x) * 1.6
    plane = np.where(radius < 80, np.where(radius < 70, 32, 900), -1000)
    noise = np.random.default_rng(0).normal(0, 4, GEOMETRY.shape)
    return np.rint(plane + noise).astype(np.int16)


def cases(count: int, change: Callable[[Seen, np.random.Generator], Seen] = lambda seen, _: seen) -> list[Case]:
    """Return pairs of made-up figures; `change` is done to the scans with blood."""
    found = []
    for entry in pairs(count):
        rng = np.random.default_rng(entry.seed)
        surroundings = {f"figure {i}": float(rng.normal()) for i in range(8)}
        healthy = Seen(
            {"0 Manufacturer": "ABCDE"[entry.seed % 5], "0 KVP 0": 120.0}, surroundings, float(rng.uniform(0, 9))
        )
        bleeding = change(replace(healthy, dense_ml=healthy.dense_ml + float(rng.exponential(3))), rng)
        tissue = {"grey": 39.0, "white": 29.5, "CSF": 5.0}
        found.append(Case(entry, bleeding, healthy, 20.0, {}, 0.05, 0.0, tissue, 64.0, FIGURES))
    return found


def noisy(seen: Seen, rng: np.random.Generator) -> Seen:
    """Return a scan whose image differs from its twin's by chance alone."""
    return replace(seen, surroundings={name: float(rng.normal()) for name in seen.surroundings})


def broken_bars(bars: list[Bar]) -> list[str]:
    return [bar.subject for bar in bars if not bar.holds]


def test_a_small_audit_of_real_pairs_holds(tmp_path: Path) -> None:
    arguments = "audit --studies 10 --matrix 128 --workers 1 --json --out"
    result = CliRunner().invoke(app, [*arguments.split(), str(tmp_path)])
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "audit.json").read_text())
    assert report["pairs"] == 5
    assert all(bar["holds"] for bar in report["bars"])
    assert (tmp_path / "audit.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "audit.md").read_text().count("holds") == len(report["bars"])


def test_an_audit_goes_on_from_the_pairs_that_are_kept(tmp_path: Path) -> None:
    folder = claim(tmp_path, matrix=256)
    made_up = cases(5)
    for case in made_up:
        keep(case, folder)
    assert read_kept(pairs(6), folder) == made_up
    assert measured_pairs(pairs(5), tmp_path, 256, workers=1) == (made_up, {})


def test_pairs_on_slices_of_another_matrix_are_refused(tmp_path: Path) -> None:
    keep(cases(1)[0], claim(tmp_path, matrix=256))
    result = CliRunner().invoke(app, ["audit", "--studies", "10", "--matrix", "128", "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert "pairs of another matrix" in " ".join(result.output.replace("│", " ").split())


def test_pairs_of_another_simulator_are_refused(tmp_path: Path) -> None:
    folder = claim(tmp_path, matrix=256)
    keep(cases(1)[0], folder)
    (folder / "measured_with.json").write_text(json.dumps({"simulator": "an earlier one", "matrix": 256}))
    with pytest.raises(ValueError, match="another simulator: remove it"):
        claim(tmp_path, matrix=256)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_pair_that_fails_stops_no_other_and_says_why(workers: int) -> None:
    found, failed = measured_pairs(pairs(3), None, 0, workers)
    assert found == []
    assert failed == dict.fromkeys((entry.name for entry in pairs(3)), "ZeroDivisionError: float division by zero")


def test_pairs_that_could_not_be_made_are_named_and_break_a_bar() -> None:
    bar = failure_bar(cases(10), {"iph-8000003": "ValueError: no room"})
    assert broken_bars([bar]) == ["pairs that could not be made"]
    assert bar.note == "iph-8000003: ValueError: no room"
    assert failure_bar(cases(10), {}).holds


def test_pairs_that_differ_in_the_blood_alone_break_nothing() -> None:
    found = cases(60)
    bars = [*header_bars(found, {}), *image_bars(found), *detector_bars(found), *physics_bars(found)]
    assert broken_bars(bars) == []


def test_a_header_that_follows_the_finding_is_named() -> None:
    bars = header_bars(cases(60, lambda seen, _: replace(seen, headers=seen.headers | {"0 KVP 0": 140.0})), {})
    assert "attributes that differ within a pair" in broken_bars(bars)
    assert len(broken_bars(bars)) == 3
    assert all("0 KVP 0" in bar.note for bar in bars)


def test_what_features_leave_out_of_a_header_is_named_within_a_pair() -> None:
    def write_header(word: str) -> Dataset:
        item = Dataset()
        item.CodeMeaning = word
        dataset = Dataset()
        dataset.SeriesNumber, dataset.SOPInstanceUID = 2, f"1.2.{len(word)}"
        dataset.ImageComments = f"a comment of more than some {word} of letters"
        dataset.ProcedureCodeSequence = [item]
        return dataset

    one, other = write_header("scores"), write_header("dozens")
    assert features([one]) == features([other])
    found = [
        replace(
            case,
            bleeding=replace(case.bleeding, digests=digests([one])),
            healthy=replace(case.healthy, digests=digests([other])),
        )
        for case in cases(10)
    ]
    bars = [bar for bar in header_bars(found, {}) if not bar.holds]
    assert [bar.note for bar in bars] == ["CodeMeaning, ImageComments"]


def test_chance_widens_no_area_of_a_whole_audit() -> None:
    few, whole = (image_bars(cases(count, noisy))[0] for count in (20, 200))
    assert few.high - few.low > 0.1
    assert whole.high - whole.low == pytest.approx(0.1)


def test_a_cohort_whose_seeds_tell_who_bleeds_is_named() -> None:
    entries = sorted(read("validation"), key=lambda entry: (entry.diagnosis, entry.seed))
    sorted_seeds = [replace(entry, seed=2_000_000 + i) for i, entry in enumerate(entries)]
    bars = header_bars(cases(10), {"a careless cohort": (sorted_seeds, header_features(sorted_seeds))})
    assert [bar.holds for bar in bars if "careless" in bar.subject] == [False, False]


@pytest.mark.parametrize("shift", [1.0, -1.0])
def test_an_image_that_differs_away_from_the_blood_is_named(shift: float) -> None:
    def move(seen: Seen, rng: np.random.Generator) -> Seen:
        return replace(seen, surroundings=seen.surroundings | {"figure 3": seen.surroundings["figure 3"] + shift})

    bars = image_bars(cases(100, move))
    assert any("bleed masked out" in name for name in broken_bars(bars))
    assert "figure 3" in bars[0].note


def test_bone_that_changes_with_the_finding_is_named() -> None:
    found = [replace(case, changed_bone=1e-6) for case in cases(10)]
    assert any("outside the cavity" in name for name in broken_bars(image_bars(found)))


def test_blood_that_a_threshold_finds_is_named() -> None:
    bright = cases(200, lambda seen, rng: replace(seen, dense_ml=float(rng.uniform(8, 80))))
    assert broken_bars(detector_bars(bright)) == ["60 HU detector, AUC"]


def test_tissue_noise_and_edges_that_nobody_measured_are_named() -> None:
    wrong = ScannerFigures(14.0, (0.1, 0.2), (1.0, 0.5), 0.9, 2.0)
    found = [
        replace(case, tissue_hu={"grey": 45.0, "white": 44.0, "CSF": 20.0}, blood_hu=95.0, scanner=wrong)
        for case in cases(30)
    ]
    assert len(broken_bars(physics_bars(found))) == len(physics_bars(found))


def test_heads_outside_a_cited_range_are_named_with_their_mimics() -> None:
    found = cases(30)
    odd = replace(found[4], tissue_hu=found[4].tissue_hu | {"white": 24.6}, mimics=("white matter disease",))
    white = next(bar for bar in physics_bars([odd, *found[:4]]) if bar.subject == "white, median HU")
    assert white.holds
    assert white.note == f"{odd.entry.name} 24.6 (white matter disease)"


def test_a_cohort_off_table_1_and_a_positive_without_blood_are_named() -> None:
    found = [replace(case, volume_ml=0.0) for case in cases(10)]
    assert broken_bars(size_bars(found, read("independent"))) == ["positives without a labelled voxel of their type"]
    assert "independent cohort: positives off Table 1" in broken_bars(size_bars(cases(10), read("validation")))


def test_a_broken_bar_ends_the_command_loudly(capsys: pytest.CaptureFixture[str]) -> None:
    conclude([Bar("fine", 0.5, 0.45, 0.55, 10)])
    with pytest.raises(typer.Exit) as ended:
        conclude([Bar("fine", 0.5, 0.45, 0.55, 10), Bar("headers, AUC", 0.7, 0.45, 0.55, 10, "KVP alone 0.70")])
    assert ended.value.exit_code == 1
    assert capsys.readouterr().err == "BROKEN: headers, AUC is 0.7, not 0.45 to 0.55. KVP alone 0.70\n"


def test_a_figure_that_is_no_number_holds_nothing() -> None:
    assert not Bar("lost", float("nan"), 0, 1, 10).holds


def test_features_of_pure_chance_tell_nobody_and_one_that_follows_blood_tells() -> None:
    rng = np.random.default_rng(3)
    bleeds, heads = rng.random(200) < 0.5, np.arange(200)
    chance = [{f"f{i}": float(v) for i, v in enumerate(row)} for row in rng.normal(size=(200, 6))]
    for trial in trials(chance, bleeds, heads):
        assert abs(trial.auc - 0.5) < 3 * trial.by_chance
        assert trial.by_chance == pytest.approx(np.sqrt(201 / (12 * bleeds.sum() * (~bleeds).sum())), rel=0.2)
    leaking = [row | {"leak": float(bleeds[i] + rng.normal())} for i, row in enumerate(chance)]
    for trial in trials(leaking, bleeds, heads):
        assert trial.auc > 0.5 + 3 * trial.by_chance
        name, area = trial.hints[0]
        assert name == "leak"
        assert area == pytest.approx(roc_auc_score(bleeds, [row["leak"] for row in leaking]))


def test_what_is_missing_is_a_feature_of_its_own() -> None:
    table, names = encode([{"a": 1.0, "b": "x"}, {"a": 2.0}, {"a": float("nan"), "b": "y"}])
    assert names == ["a is there", "a", "b is there", "b is x", "b is y"]
    assert table.tolist() == [[1, 1, 1, 1, 0], [1, 2, 0, 0, 0], [0, 1.5, 1, 0, 1]]


def test_a_feature_that_one_head_alone_has_stops_nothing() -> None:
    studies: list[dict[str, float | str]] = [{"a": float(i // 2)} for i in range(24)]
    for twin in studies[:2]:
        twin["rare"] = 3.0
    found = trials(studies, np.arange(24) % 2 == 0, np.arange(24) // 2)
    assert [trial.auc for trial in found] == [0.5, 0.5]


def test_pairs_that_look_the_same_leave_chance_no_room() -> None:
    scores = np.repeat(np.random.default_rng(0).random(50), 2)
    bleeds, heads = np.arange(100) % 2 == 0, np.repeat(np.arange(50), 2)
    assert spread_by_chance(scores, bleeds, heads) == pytest.approx(0)
    assert spread_by_chance(scores, bleeds, np.arange(100)) > 0.03


def test_headers_become_numbers_categories_and_digits_and_uids_are_left_out() -> None:
    slices = []
    for i in range(3):
        dataset = Dataset()
        dataset.SeriesNumber = 2
        dataset.SOPInstanceUID = f"1.2.{i}"
        dataset.PatientID = "SIM-2000017"
        dataset.WindowCenter = [40, 500]
        dataset.SliceLocation = str(5 * i)
        slices.append(dataset)
    found = features(slices)
    assert (found["0 WindowCenter 0"], found["0 WindowCenter 1"]) == (40, 500)
    assert found["0 SliceLocation spread"] == pytest.approx(np.std([0, 5, 10]))
    assert (found["0 PatientID"], found["0 PatientID digits"]) == ("SIM-#", 2000017)
    assert not any("UID" in name for name in found)


def test_what_lies_under_the_mask_changes_no_statistic() -> None:
    labels = ball((6, 60, 60), 9).astype(np.uint8)
    hidden = mask_blood(labels, GEOMETRY)
    assert not (hidden & ~ball((6, 60, 60), 9 + REACH_MM)).any()
    assert not (~hidden & ball((6, 60, 60), 9 + REACH_MM - 5)).any()
    healthy = skull()
    bleeding = np.where(hidden, 75, healthy).astype(np.int16)
    assert statistics_of(bleeding, hidden) == pytest.approx(statistics_of(healthy, hidden), nan_ok=True)
    nothing = np.zeros_like(hidden)
    assert statistics_of(bleeding, nothing) != pytest.approx(statistics_of(healthy, nothing), nan_ok=True)


def test_noise_and_shift_away_from_the_mask_are_statistics() -> None:
    quiet, hidden = skull(), mask_blood(ball((6, 60, 60), 9).astype(np.uint8), GEOMETRY)
    noisy = np.rint(quiet + np.random.default_rng(1).normal(0, 4, quiet.shape)).astype(np.int16)
    before, noisier, higher = (statistics_of(hu, hidden) for hu in (quiet, noisy, quiet + np.int16(3)))
    assert noisier["low noise"] > 1.2 * before["low noise"]
    assert higher["middle mean"] == pytest.approx(before["middle mean"] + 3, abs=0.01)


def test_the_cavity_is_what_the_skull_closes_in() -> None:
    inside = skull_cavity(skull())
    y, x = np.mgrid[:128, :128] - 63.5
    radius = np.hypot(y, x) * 1.6
    assert inside[:, radius < 64].all()
    assert not inside[:, radius > 70].any()


def test_the_threshold_finds_a_ball_of_blood_with_its_volume_and_nothing_in_brain() -> None:
    healthy = skull()
    assert largest_dense_ml(healthy, GEOMETRY) < 0.1
    blood = ball((6, 60, 60), 16)
    bleeding = np.where(blood, 72, healthy).astype(np.int16)
    assert largest_dense_ml(bleeding, GEOMETRY) == pytest.approx(
        float(blood.sum(axis=(1, 2)) @ GEOMETRY.voxel_ml), rel=0.15
    )


def test_the_vault_that_slopes_through_a_slice_is_no_blood() -> None:
    closing = skull()
    y, x = np.mgrid[:128, :128] - 63.5
    inner = np.hypot(y, x) * 1.6
    for z in range(6, 12):  # each slice narrower, with partial volume of the bone that the next one has
        inside = 70 - 8 * (z - 5)
        closing[z][(inner >= inside) & (inner < 70)] = 900
        if z < 11:
            closing[z][(inner >= inside - 8) & (inner < inside)] = 80
    assert largest_dense_ml(closing, GEOMETRY) < 0.5


def test_blood_along_an_upright_wall_counts() -> None:
    fine = replace(GEOMETRY, rows=256, columns=256, pixel_spacing_mm=(0.8, 0.8))
    y, x = np.mgrid[:256, :256] - 127.5
    inner = np.hypot(y, x) * 0.8
    hu = np.where(inner < 80, np.where(inner < 70, 32, 900), -1000).astype(np.int16).repeat(12).reshape(256, 256, 12)
    hu = np.ascontiguousarray(hu.transpose(2, 0, 1))
    crescent = np.zeros(hu.shape, bool)
    crescent[3:9] = (inner >= 66) & (inner < 70) & (x < -20)  # 4 mm thick
    hu[crescent] = 72
    # All but the two pixels along the skull, and what smoothing takes from its sides.
    assert largest_dense_ml(hu, fine) > 0.4 * float(crescent.sum(axis=(1, 2)) @ fine.voxel_ml)


def test_a_scanners_figures_are_those_it_was_set_to() -> None:
    figures = measure_scanner(Scanner(noise_hu=4.0, psf_mm=1.0, overshoot=0.0, noise_peak_per_mm=0.2), 0)
    assert figures.noise_hu == pytest.approx(4.0, rel=0.2)
    assert figures.edge_mm == pytest.approx(1.0, rel=0.15)


def test_an_unknown_population_is_refused_before_anything_is_simulated() -> None:
    result = CliRunner().invoke(app, ["audit", "--population", "strange"])
    assert result.exit_code == 2
    assert "a population is one of training" in " ".join(result.output.split())
