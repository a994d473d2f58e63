# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The training run on a handful of heads drawn here: bright squares in grey tissue."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("tensorflow", reason="needs the training environment")

import numpy as np

from simulator.diagnosis import Diagnosis
from simulator.noise_free import NoiseFreeScan
from training import false_alarms, missed_lesions
from training.__main__ import WEIGHTS, main
from training.batches import Shape
from training.history import LOG, entries
from training.long_run import Places
from training.long_trainer import settings
from training.provenance import provenance
from training.train import LastPart, Run, Trainer, _to_learn_from
from training.weight_file import store_weights

pytestmark = pytest.mark.training


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("training")
    for part, first in (("heads", 0), ("validation", 100)):
        (folder / part).mkdir()
        for seed, diagnosis in enumerate(("none", "iph"), start=first):
            hu = np.full((8, 512, 512), 30)
            labels = np.zeros(hu.shape, np.uint8)
            if diagnosis != "none":
                labels[2:6, 200:300, 220:320] = 1
                hu[labels > 0] += 60
            scan = NoiseFreeScan(seed, Diagnosis(diagnosis), hu.astype(np.int16), labels, (0.45, 0.45), np.full(8, 5.0))
            scan.save(folder / part / f"{diagnosis}-{seed}")
    return Run(
        variant="edge",
        heads=folder / "heads",
        validation=folder / "validation",
        folder=folder / "run",
        steps=12,
        shape=Shape(slabs=2, targets=1, size=128),
        rate=1e-3,
        warm_up=2,
        checkpoint_minutes=0.0,
        validate_every=12,
        alarms_every=6,
    )


@pytest.fixture(scope="module")
def trained(run: Run) -> Trainer:
    trainer = Trainer(run)
    trainer.train()
    return trainer


def test_a_run_ends_after_its_steps_and_logs_its_validation(trained: Trainer) -> None:
    assert trained.progress["step"] == 12
    log = [json.loads(line) for line in (trained.run.folder / "log.jsonl").read_text().splitlines()]
    assert log[-1]["validation"]["studies"] == 2


def test_a_run_reads_its_heads_whole_for_false_alarms_and_missed_lesions(trained: Trainer) -> None:
    for file, head in ((false_alarms.FILE, "none-0"), (missed_lesions.FILE, "iph-1")):
        assert list(json.loads((trained.run.folder / file).read_text())) == [head]


def test_there_is_no_validation_before_there_are_heads_enough(run: Run, trained: Trainer) -> None:
    few = Trainer(replace(run, folder=run.folder / "few", least_validated=3))
    assert few.validate() is None


def test_all_weights_were_learnt_but_not_the_statistics_of_the_last_part(trained: Trainer) -> None:
    fresh = Trainer(replace(trained.run, folder=trained.run.folder / "fresh"))
    for before, after in zip(fresh.detector.trainable_variables, trained.detector.trainable_variables, strict=True):
        assert not np.array_equal(before, after), before.path
    moving = [v for v in trained.detector.non_trainable_variables if v.path.endswith("moving_mean")]
    known = [v.numpy() for v in moving]
    assert trained.cooling
    trained.steps[False](12, 1e-3, list(vars(next(trained._batches())).values()))
    for before, after in zip(known, moving, strict=True):
        np.testing.assert_array_equal(before, after)


def test_a_run_that_was_stopped_goes_on_from_its_checkpoint(run: Run, trained: Trainer, tmp_path: Path) -> None:
    short = replace(run, folder=tmp_path / "stopped")
    stopped = Trainer(short)
    stopped.train(stop=lambda: stopped.progress["step"] >= 3)
    again = Trainer(short)
    assert again.progress == stopped.progress
    for part in ("detector", "dense", "optimiser"):
        kept, expected = getattr(again.learner, part).variables, getattr(stopped.learner, part).variables
        for restored, value in zip(kept, expected, strict=True):
            np.testing.assert_array_equal(restored, value)
    for restored, value in zip(again.averages.values, stopped.averages.values, strict=True):
        np.testing.assert_array_equal(restored, value)


def test_the_last_part_draws_whole_slices_and_lets_the_rate_fall_to_a_fiftieth(run: Run, tmp_path: Path) -> None:
    last = LastPart(first=2, steps=4, shape=Shape(slabs=2, targets=1, size=512))
    trainer = Trainer(replace(run, folder=tmp_path, steps=float("inf"), cool_down=0.0, last=last))
    seen = {}
    for step in (1, 2, 4, 6):
        trainer.progress["step"] = step
        labels = next(trainer._batches()).labels
        seen[step] = (
            labels.shape[-1],
            trainer.cooling,
            trainer.part,
            pytest.approx(trainer.learning_rate() / run.rate),
        )
    assert seen == {
        1: (128, False, 0.0, 1.0),
        2: (512, True, 0.0, 1.0),
        4: (512, True, 0.5, 0.51),
        6: (512, True, 1.0, 0.02),
    }
    with pytest.raises(ValueError, match="the last part has 2 slabs, the run 1"):
        replace(trainer.run, shape=Shape(slabs=1, targets=1, size=128))


def test_the_long_run_takes_its_last_part_from_its_folder(tmp_path: Path) -> None:
    places = Places(tmp_path)
    assert settings(places).last is None
    places.last_part.write_text(json.dumps({"first": 1250, "steps": 40}))
    last = settings(places).last
    assert last == LastPart(first=1250, steps=40)
    assert last.shape == Shape(slabs=2, targets=2, size=512)


def test_steps_that_a_kill_cost_are_taken_from_the_log(run: Run, tmp_path: Path) -> None:
    killed = Trainer(replace(run, folder=tmp_path))
    killed.progress["step"] = 5
    killed._save()
    killed._log({"total": 1.0})
    killed.progress["step"] = 9
    killed._log({"total": 1.0})
    again = Trainer(killed.run)
    again.train(stop=lambda: True)
    assert [line["step"] for line in entries(tmp_path / LOG)] == [5]


def test_a_run_without_a_checkpoint_goes_on_from_published_weights(run: Run, trained: Trainer, tmp_path: Path) -> None:
    published = tmp_path / "edge.weights.h5"
    trained.detector.save_weights(published)
    (tmp_path / "edge.json").write_text(json.dumps({"steps": 700, "hours": 2.0}))
    here = Trainer(replace(run, folder=tmp_path / "run", start=published))
    assert (here.progress["step"], here.progress["seconds"], here.part) == (700, 7200.0, 0.0)
    assert here.learning_rate() == pytest.approx(run.rate / run.warm_up)
    for value, average, expected in zip(
        here.detector.variables, here.averages.values, trained.detector.variables, strict=True
    ):
        np.testing.assert_array_equal(value, expected)
        np.testing.assert_array_equal(average, expected)


def test_a_step_whose_losses_are_not_finite_changes_no_weight_and_twenty_end_the_run(run: Run, tmp_path: Path) -> None:
    trainer = Trainer(replace(run, folder=tmp_path))
    drawn = next(trainer._batches())
    before = [variable.numpy() for variable in trainer.learner.learnt]
    arrays = {name: np.asarray(value) for name, value in vars(drawn).items()}
    arrays["anchor_boxes"] = np.full_like(arrays["anchor_boxes"], np.nan)
    terms = {k: float(v) for k, v in trainer.steps[False](0, 1e-3, list(arrays.values())).items()}
    assert not np.isfinite(terms["total"])
    for value, expected in zip(trainer.learner.learnt, before, strict=True):
        np.testing.assert_array_equal(value, expected)
    for _ in range(19):
        trainer._check(terms)
    with pytest.raises(FloatingPointError, match="at step 0"):
        trainer._check(terms)


def test_a_head_that_is_given_up_meanwhile_is_no_longer_learnt_from(run: Run) -> None:
    known = _to_learn_from(run.heads, {})
    kept, gone = known
    there = {place: head for place, head in known.items() if place == kept}
    assert _to_learn_from(run.heads, there)[kept] is known[kept]
    with pytest.raises(ValueError, match="no heads in"):
        _to_learn_from(run.folder / "nowhere", known)
    assert gone in _to_learn_from(run.heads, there)


def test_validation_reads_with_the_averages_and_can_be_told_to_stop(run: Run, trained: Trainer) -> None:
    own = [variable.numpy() for variable in trained.detector.variables]
    assert trained.validate(stop=lambda: True) is None
    for value, expected in zip(trained.detector.variables, own, strict=True):
        np.testing.assert_array_equal(value, expected)
    with trained.averages.apply():
        assert any(not np.array_equal(v, o) for v, o in zip(trained.detector.variables, own, strict=True))


def test_the_rate_warms_up_is_annealed_on_a_plateau_and_cools_down(run: Run) -> None:
    trainer = Trainer(replace(run, folder=run.folder / "rates", steps=1000, warm_up=100, patience=50, rate=1.0))
    rates = {}
    for step in (0, 49, 99, 300, 749, 875, 999):
        trainer.progress["step"] = step
        rates[step] = trainer.learning_rate()
    assert rates[0] == pytest.approx(0.01)
    assert rates[49] == pytest.approx(0.5)
    assert rates[99] == rates[300] == rates[749] == 1.0
    assert rates[875] == pytest.approx(0.51)
    assert rates[999] < 0.03
    trainer.progress["step"] = 300
    trainer.anneal(2.0)
    trainer.progress["step"] = 340
    trainer.anneal(2.0)
    assert trainer.learning_rate() == 1.0
    trainer.progress["step"] = 360
    trainer.anneal(2.0)
    assert trainer.learning_rate() == 0.5


def test_the_provenance_names_command_data_seeds_revision_and_figures(trained: Trainer) -> None:
    figures = trained.validate()
    assert figures is not None
    origin = provenance(trained.run, "python -m training train", trained.progress, figures)
    assert origin["training_seeds"] == [(0, 1)]
    assert origin["steps"] == 12
    assert origin["training_simulator"] is origin["validation_simulator"] is None  # heads drawn here say nothing
    assert {"command", "git_revision", "date", "suggested_threshold", "validation"} <= origin.keys()
    json.dumps(origin)


def test_stored_weights_are_small_and_the_detector_carries_what_was_stored(trained: Trainer, tmp_path: Path) -> None:
    before = [variable.numpy() for variable in trained.detector.variables]
    store_weights(trained.detector, tmp_path / "edge.weights.h5")
    assert (tmp_path / "edge.weights.h5").stat().st_size < 2.2 * trained.detector.count_params()
    assert [path.name for path in tmp_path.iterdir()] == ["edge.weights.h5"]
    read = Trainer(replace(trained.run, folder=tmp_path / "none")).detector
    read.load_weights(tmp_path / "edge.weights.h5")
    for first, kept, again in zip(before, trained.detector.variables, read.variables, strict=True):
        np.testing.assert_array_equal(kept, again)
        np.testing.assert_allclose(kept, first, rtol=1e-3, atol=1e-6)


def test_the_command_writes_its_weights_beside_the_run_and_not_over_the_shipped_ones(run: Run, tmp_path: Path) -> None:
    shipped = {path: path.read_bytes() for path in WEIGHTS.iterdir()}
    for part in ("heads", "validation"):
        (tmp_path / part).symlink_to(getattr(run, part))
    few = ["--steps", "1", "--slabs", "1", "--targets", "1", "--size", "128", "--validate-every", "1000"]
    assert main(["train", *few, "--cache", str(tmp_path)]) == 0
    beside = tmp_path / "run-edge"
    assert (beside / "edge.weights.h5").is_file()
    origin = json.loads((beside / "edge.json").read_text())
    assert str(tmp_path) not in json.dumps(origin)
    assert origin["settings"]["heads"] == "heads"
    assert {path: path.read_bytes() for path in WEIGHTS.iterdir()} == shipped
    assert main(["train", *few, "--cache", str(tmp_path), "--out", str(tmp_path / "other")]) == 0
    assert sorted(path.name for path in (tmp_path / "other").iterdir()) == ["edge.json", "edge.weights.h5"]


def test_weights_are_validated_beside_one_another(
    run: Run, trained: Trainer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short, long = str(tmp_path / "short.weights.h5"), str(tmp_path / "long.weights.h5")
    trained.detector.save_weights(long)
    Trainer(replace(run, folder=tmp_path / "none")).detector.save_weights(short)

    assert main(["validate", "--weights", short, long, "--heads", str(run.validation), "--json"]) == 0

    told = json.loads(capsys.readouterr().out)
    assert [(row["weights"], row["studies"]) for row in told["rows"]] == [(short, 2), (long, 2)]
    heads = {one["head"]: one for one in told["heads"]}
    assert (heads["none-100"]["blood_voxels"], heads["iph-101"]["blood_voxels"]) == (0, 4 * 100 * 100)
    assert heads["iph-101"]["scores"][short] != heads["iph-101"]["scores"][long]
    assert told["simulators"] == {str(run.validation): None}


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ("--heads {none}", "python -m training heads"),
        ("--heads {heads} --weights {none}/no.h5", "there are no weights"),
        ("--heads {heads} --weights {own} {own}", "named twice"),
        ("--heads {heads} --weights {own} --variant full", "no weights of the variant full"),
        ("--heads {heads} --weights {broken}", "no weights of the variant edge"),
    ],
)
def test_what_cannot_be_validated_is_refused_with_the_way_out(
    asked: str, why: str, run: Run, trained: Trainer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.h5").write_bytes(b"no weights")
    own = tmp_path / "own.weights.h5"
    trained.detector.save_weights(own)
    places = {"none": tmp_path, "heads": run.validation, "own": own, "broken": tmp_path / "broken.h5"}
    with pytest.raises(SystemExit, match="2"):
        main(["validate", *asked.format(**places).split()])
    assert why in capsys.readouterr().err


def test_heads_that_are_kept_for_figures_are_not_learnt_from(tmp_path: Path) -> None:
    air = np.full((2, 512, 512), -1000, np.int16)
    scan = NoiseFreeScan(7_500_000, Diagnosis.NONE, air, np.zeros(air.shape, np.uint8), (0.5, 0.5), np.full(2, 5.0))
    replace(scan, population="new kernels").save(tmp_path / "none-7500000")
    with pytest.raises(ValueError, match=r"none-7500000 .* new kernels, kept for figures"):
        _to_learn_from(tmp_path, {})
