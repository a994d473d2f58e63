# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Which heads a training folder holds, and on which planes they are kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from simulator.diagnosis import Diagnosis
from simulator.geometry import draw_geometry
from simulator.noise_free import NoiseFreeScan
from simulator.population import REALISTIC, TRAINING, Population
from simulator.recipes import FIGURE_SEEDS, HELD_OUT, HELD_OUT_SEEDS
from simulator.revision import claim, simulator_revision, stated_simulator
from training import __main__ as command
from training import heads
from training.heads import THIN_PLANES, find_heads, kept_geometry, make


def test_heads_for_validation_are_kept_as_they_are_planned() -> None:
    assert all(kept_geometry(seed, REALISTIC) == draw_geometry(seed, REALISTIC) for seed in range(30))


def test_some_training_heads_are_kept_in_thin_gapless_planes() -> None:
    kept = [(kept_geometry(seed, TRAINING), draw_geometry(seed, TRAINING)) for seed in range(200)]
    thin = [geometry for geometry, planned in kept if geometry != planned]
    slabs = [geometry for geometry in thin if geometry.shape[0] == THIN_PLANES and geometry.thickness_mm[0] < 1.3]

    assert 0.3 < len(thin) / len(kept) < 0.55
    assert 0.04 < len(slabs) / len(kept) < 0.17
    assert min(geometry.thickness_mm[0] for geometry in slabs) < 0.65
    for geometry in thin:
        np.testing.assert_allclose(geometry.thickness_mm, geometry.spans_mm)


def test_a_folder_of_one_population_takes_no_heads_of_another(tmp_path: Path) -> None:
    air = np.zeros((1, 32, 32), np.int16)
    scan = NoiseFreeScan(
        5, Diagnosis.SAH, air, air.astype(np.uint8), (0.5, 0.5), np.full(1, 5.0), population="realistic"
    )
    heads.claim_for_heads(tmp_path)
    scan.save(tmp_path / "sah-5")

    assert [head.name for head in find_heads(tmp_path)] == ["sah-5"]
    with pytest.raises(ValueError, match="realistic"):
        make(tmp_path, 5, 1, 1, TRAINING)


def test_heads_of_another_simulator_are_refused_with_the_way_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    claim(tmp_path / "heads", heads.MADE_WITH, "heads", simulator="an earlier one")
    (tmp_path / "heads" / "sah-5.json").touch()

    with pytest.raises(SystemExit, match="2"):
        command.main(["heads", "--validation", "1", "--workers", "1", "--cache", str(tmp_path)])

    assert "heads of another simulator: remove it, or take another one" in capsys.readouterr().err
    assert find_heads(tmp_path / "validation") == []  # the refusal came before any work


def test_folders_that_nothing_is_asked_of_are_left_alone(tmp_path: Path) -> None:
    claim(tmp_path / "heads", heads.MADE_WITH, "heads", simulator="an earlier one")
    (tmp_path / "heads" / "sah-5.json").touch()

    assert command.main(["heads", "--count", "0", "--validation", "0", "--cache", str(tmp_path)]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["heads"]


def test_heads_hang_on_the_simulator_and_on_what_a_seed_is_here(tmp_path: Path) -> None:
    heads.claim_for_heads(tmp_path)
    own = Path(heads.__file__)
    assert stated_simulator(tmp_path, heads.MADE_WITH) == simulator_revision([own]) != simulator_revision()


@pytest.mark.parametrize(
    ("asked", "why"),
    [("--first-seed 1999999 --count 2", "training has the seeds"), ("--held-out 10001", "10,000 heads")],
)
def test_seeds_that_are_not_to_be_had_are_refused(
    asked: str, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        command.main(["heads", "--cache", str(tmp_path), *asked.split()])
    assert why in capsys.readouterr().err


def test_a_head_that_is_only_half_written_is_not_there(tmp_path: Path) -> None:
    np.save(tmp_path / "sah-5.hu.npy", np.zeros(3))

    assert find_heads(tmp_path) == []


def scan_of_all_but_seven(seed: int, diagnosis: str, **_: object) -> NoiseFreeScan:
    """Return an empty scan; seed 7 cannot be simulated."""
    if seed == 7:
        raise RuntimeError("no room")
    air = np.full((1, 512, 512), -1000, np.int16)
    return NoiseFreeScan(seed, Diagnosis(diagnosis), air, air.astype(np.uint8), (0.5, 0.5), np.full(1, 5.0))


def test_a_seed_that_fails_is_named_and_the_others_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "simulate_noise_free", scan_of_all_but_seven)

    failed = make(tmp_path, 6, 3, 1)

    assert {seed: str(error) for seed, error in failed.items()} == {7: "no room"}
    assert sorted(head.seed for head in find_heads(tmp_path)) == [6, 8]


def test_the_command_names_failed_seeds_and_ends_with_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(heads, "simulate_noise_free", scan_of_all_but_seven)
    monkeypatch.setattr(command, "FIRST_VALIDATION_SEED", 7)

    status = command.main(["heads", "--count", "0", "--validation", "2", "--workers", "1", "--cache", str(tmp_path)])

    assert status == 1
    assert "failed: seed 7: RuntimeError: no room" in capsys.readouterr().err
    assert [head.seed for head in find_heads(tmp_path / "validation")] == [8]


def test_held_out_heads_have_seeds_for_figures_and_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: dict[str, range] = {}

    def note(folder: Path, first: int, count: int, _: int, population: Population) -> dict[int, BaseException]:
        if folder.name == "held-out":
            made[population.name] = range(first, first + count)
        return {}

    monkeypatch.setattr(command, "make", note)
    assert command.main(["heads", "--held-out", "50", "--cache", str(tmp_path)]) == 0

    assert tuple(made) == HELD_OUT
    seeds = [seed for part in made.values() for seed in part]
    assert len(set(seeds)) == 50 * len(HELD_OUT)
    assert all(seed in HELD_OUT_SEEDS and seed in FIGURE_SEEDS for seed in seeds)


def test_a_head_that_was_kept_when_its_diagnosis_was_called_finding_is_still_read(tmp_path: Path) -> None:
    scan_of_all_but_seven(4, "none").save(tmp_path / "none-4")
    stated = tmp_path / "none-4.json"
    stated.write_text(stated.read_text().replace('"diagnosis"', '"finding"'))

    assert NoiseFreeScan.load(tmp_path / "none-4").diagnosis is Diagnosis.NONE
