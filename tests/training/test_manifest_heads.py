# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from simulator.diagnosis import Diagnosis
from simulator.manifest import Entry, read, write
from simulator.noise_free import NoiseFreeScan
from simulator.population import REALISTIC, TRAINING
from simulator.recipes import INDEPENDENT_SEEDS, VALIDATION_SEEDS
from training import __main__ as command
from training import manifest_heads
from training.heads import find_heads
from training.manifest_heads import check, is_enough, make, split

VALIDATION = read("validation")
BLED = Entry(2_000_001, Diagnosis.SAH, 7.0, REALISTIC.name)
OTHER = Entry(2_000_002, Diagnosis.SAH, 9.0, REALISTIC.name)
ENTRIES = (
    BLED,
    BLED.without_blood,
    OTHER,
    *(Entry(2_000_010 + i, Diagnosis.NONE, None, REALISTIC.name) for i in range(3)),
)

asked: list[tuple[int, str, float | None]] = []


def empty_scan(seed: int, diagnosis: Diagnosis, *, volume_ml: float | None = None, **_: object) -> NoiseFreeScan:
    """Return a scan of air, and note what was asked for; seed 2,000,011 cannot be simulated."""
    if seed == 2_000_011:
        raise RuntimeError("no room")
    asked.append((seed, str(diagnosis), volume_ml))
    air = np.full((1, 512, 512), -1000, np.int16)
    return NoiseFreeScan(
        seed, diagnosis, air, air.astype(np.uint8), (0.5, 0.5), np.full(1, 5.0), population=REALISTIC.name
    )


class Here:
    """A pool of processes that works in this one."""

    def __init__(self, workers: int) -> None:
        from concurrent.futures import ThreadPoolExecutor

        self._pool = ThreadPoolExecutor(1)
        self.submit = self._pool.submit

    def __enter__(self) -> Here:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()


@pytest.fixture(autouse=True)
def simulate_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    asked.clear()
    monkeypatch.setattr(manifest_heads, "simulate_noise_free", empty_scan)
    monkeypatch.setattr(manifest_heads, "ProcessPoolExecutor", Here)


def test_a_tenth_of_each_diagnosis_is_validated_on_and_no_head_is_on_both_sides() -> None:
    learn, validate = split(VALIDATION)
    assert sorted(e.name for e in (*learn, *validate)) == sorted(e.name for e in VALIDATION)
    count = {kind: sum(e.diagnosis is kind for e in validate) for kind in Diagnosis}
    assert count == {Diagnosis.NONE: 30, Diagnosis.IPH: 6, Diagnosis.EDH_SDH: 6, Diagnosis.SAH: 6}
    paired = tuple(one for e in VALIDATION[:40] for one in {e, e.without_blood})
    learn, validate = split(paired)
    assert not {e.seed for e in learn} & {e.seed for e in validate}


def test_a_manifest_of_few_studies_still_validates_on_each_diagnosis() -> None:
    learn, validate = split(VALIDATION[:16])
    assert {e.diagnosis for e in validate} == {e.diagnosis for e in VALIDATION[:16]}
    assert learn


def test_too_few_studies_to_learn_from_and_to_validate_on_are_refused() -> None:
    with pytest.raises(ValueError, match="none is left to learn from of iph"):
        split([e for e in VALIDATION[:40] if e.diagnosis is Diagnosis.NONE] + [Entry(2_000_400, Diagnosis.IPH)])


def test_folds_share_the_heads_that_were_made(tmp_path: Path) -> None:
    store = tmp_path / "store"
    for fold in ("1", "2"):
        failed = make(store, tmp_path / fold, ENTRIES, 1)
        assert {name: str(error) for name, error in failed.items()} == {"none-2000011": "no room"}
        names = [h.name for side in ("heads", "validation") for h in find_heads(tmp_path / fold / side)]
        assert sorted(names) == ["none-2000001", "none-2000010", "none-2000012", "sah-2000001", "sah-2000002"]
    assert sorted(asked) == [
        (2_000_001, "none", None),
        (2_000_001, "sah", 7.0),
        (2_000_002, "sah", 9.0),
        (2_000_010, "none", None),
        (2_000_012, "none", None),
    ]
    assert all(head.scan.population == REALISTIC.name for head in find_heads(tmp_path / "2"))


@pytest.mark.parametrize(
    "entry",
    [
        Entry(VALIDATION_SEEDS.start, Diagnosis.IPH, 7.0, "new mimics"),
        Entry(INDEPENDENT_SEEDS.start, Diagnosis.IPH, 7.0, REALISTIC.name),
    ],
)
def test_what_figures_are_reported_on_is_not_learnt_from(
    entry: Entry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match="kept for figures"):
        check([entry])
    write([entry], tmp_path / "mine.csv")
    with pytest.raises(SystemExit) as ended:
        command.main(["heads", "--manifest", str(tmp_path / "mine.csv"), "--cache", str(tmp_path / "cache")])
    assert ended.value.code == 2
    assert "kept for figures" in capsys.readouterr().err
    assert not (tmp_path / "cache").exists()


def test_the_command_makes_a_manifests_heads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(ENTRIES, tmp_path / "mine.csv")
    ended = command.main(["heads", "--manifest", str(tmp_path / "mine.csv"), "--cache", str(tmp_path / "cache")])
    assert ended == 1
    assert "failed: none-2000011: RuntimeError: no room" in capsys.readouterr().err
    assert len(find_heads(tmp_path / "cache" / "store")) == 5


@pytest.mark.parametrize(("more", "status"), [(3, 1), (20, 0)])
def test_the_command_fails_only_when_more_than_one_head_in_ten_cannot_be_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: int, status: int
) -> None:
    entries = (*ENTRIES, *(Entry(2_000_100 + i, Diagnosis.NONE, None, REALISTIC.name) for i in range(more)))
    write(entries, tmp_path / "mine.csv")
    ended = command.main(["heads", "--manifest", str(tmp_path / "mine.csv"), "--cache", str(tmp_path / "cache")])
    assert ended == status
    assert "failed: none-2000011: RuntimeError: no room" in capsys.readouterr().err


def test_heads_are_not_enough_without_one_of_each_diagnosis_to_learn_from_and_to_validate_on() -> None:
    learn, validate = split(VALIDATION)
    assert is_enough(VALIDATION, ())
    assert is_enough(VALIDATION, {validate[0].name, learn[0].name})
    assert not is_enough(VALIDATION, {one.name for one in validate if one.diagnosis is Diagnosis.IPH})
    assert not is_enough(VALIDATION, {one.name for one in learn[: len(VALIDATION) // 5]})


def test_a_folder_loses_the_heads_that_another_manifest_gave_it(tmp_path: Path) -> None:
    make(tmp_path / "store", tmp_path / "1", ENTRIES, 1)
    fewer = [entry for entry in ENTRIES if entry.seed != 2_000_010]
    more = [*fewer, *(Entry(2_000_100 + i, Diagnosis.SAH, 3.0, REALISTIC.name) for i in range(20))]
    make(tmp_path / "store", tmp_path / "1", more, 1)
    for side, own in zip(("heads", "validation"), split(more), strict=True):
        folder = tmp_path / "1" / side
        assert {head.name for head in find_heads(folder)} == {one.name for one in own if one.seed != 2_000_011}
        assert {path.name.partition(".")[0] for path in folder.glob("*-*")} == {h.name for h in find_heads(folder)}
    assert len(find_heads(tmp_path / "store")) == 25


def test_a_folder_with_heads_of_its_own_is_refused_and_keeps_them(tmp_path: Path) -> None:
    (tmp_path / "cache" / "heads").mkdir(parents=True)
    empty_scan(2_000_300, Diagnosis.NONE).save(tmp_path / "cache" / "heads" / "none-2000300")
    with pytest.raises(ValueError, match="none-2000300 is one; take another --cache"):
        make(tmp_path / "store", tmp_path / "cache", ENTRIES, 1)
    assert [head.name for head in find_heads(tmp_path / "cache" / "heads")] == ["none-2000300"]


@pytest.mark.parametrize("other", [replace(OTHER, volume_ml=8.0), replace(OTHER, population=TRAINING.name)])
def test_a_stored_head_of_another_volume_or_population_is_not_taken(tmp_path: Path, other: Entry) -> None:
    make(tmp_path / "store", tmp_path / "1", ENTRIES, 1)
    mine = [other if entry == OTHER else entry for entry in ENTRIES]
    with pytest.raises(ValueError, match=r"sah-2000002 in .* was not made with .*take another --store"):
        make(tmp_path / "store", tmp_path / "2", mine, 1)
    assert not find_heads(tmp_path / "2")
