# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Where mimics lie in a head, and that batches teach them by their name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from simulator.diagnosis import Diagnosis
from simulator.mimics import HELD_OUT, KINDS, Mimics
from simulator.noise_free import NoiseFreeScan
from simulator.population import REALISTIC
from training.batches import Shape, batch
from training.heads import DIAGNOSIS_OF_SEED, Head, find_heads, make_one
from training.mimic_labels import (
    DENSE_HU,
    NAMES,
    STEP,
    make_with_mimics,
    mimic_labels,
    mimic_places,
)
from training.network.classes import Named
from training.pool import FIRST_SEED


def wanted() -> int:
    """Return the first seed of a head without blood that has contrast staining and a calcified plexus."""
    return next(
        seed
        for seed in range(FIRST_SEED, FIRST_SEED + 9999)
        if DIAGNOSIS_OF_SEED[seed % 10] == "none"
        and {"contrast staining", "choroid plexus"} <= set(Mimics.draw(seed).names)
    )


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Head:
    folder = tmp_path_factory.mktemp("heads")
    make_with_mimics(folder, wanted(), REALISTIC)
    (made,) = find_heads(folder)
    return made


def test_a_head_with_its_mimics_is_the_head_that_is_made_without(head: Head, tmp_path: Path) -> None:
    make_one(tmp_path, head.seed, REALISTIC)
    (other,) = find_heads(tmp_path)
    np.testing.assert_array_equal(other.scan.hu, head.scan.hu)
    np.testing.assert_array_equal(other.scan.labels, head.scan.labels)
    assert other.name == head.name
    assert (other.folder / f"{other.name}.json").read_text() == (head.folder / f"{head.name}.json").read_text()


def test_mimics_are_labelled_where_the_head_is_dense_and_shows_them(head: Head) -> None:
    slices = head.scan.slices()
    labels = mimic_labels(head, slices)
    assert labels is not None
    hu = head.scan.whole(head.scan.hu, -1000)
    assert labels.shape == hu.shape
    assert {Named.CALCIFICATION, Named.STAINING, Named.VESSEL_OR_DURA} <= set(np.unique(labels))
    for kind in np.unique(labels)[1:]:
        there = hu[labels == kind]
        assert np.median(there) >= DENSE_HU
    assert np.median(hu[labels == Named.CALCIFICATION]) > np.median(hu[labels == Named.STAINING])
    brain = (hu > 15) & (hu < 45)
    assert brain[labels > 0].mean() < 0.35  # partial volume


def test_places_are_voxels_of_their_class(head: Head) -> None:
    labels = mimic_labels(head, head.scan.slices())
    assert labels is not None
    for kind, places in mimic_places(head).items():
        assert (labels[tuple(places.T)] == kind).all()


def test_every_name_is_of_a_mimic_that_training_draws() -> None:
    assert set(NAMES) <= set(KINDS)
    assert not set(NAMES) & set(HELD_OUT)
    assert set(NAMES.values()) == set(Named)


def keep_head(folder: Path, seed: int, mimics: np.ndarray | None) -> None:
    hu = np.full((6, 512, 512), 30, np.int16)
    if mimics is not None:
        hu[np.repeat(np.repeat(mimics, STEP, 1), STEP, 2) > 0] = 90
    scan = NoiseFreeScan(
        seed, Diagnosis.NONE, hu, np.zeros(hu.shape, np.uint8), (0.45, 0.45), np.full(6, 5.0), population="realistic"
    )
    if mimics is not None:
        np.save(folder / f"none-{seed}.mimics.npy", mimics)
    scan.save(folder / f"none-{seed}")


def test_a_batch_has_boxes_about_its_mimics_and_says_where_nobody_knows_them(tmp_path: Path) -> None:
    mimics = np.zeros((6, 256, 256), np.uint8)
    mimics[:, 100:130, 100:130] = Named.TUMOUR
    mimics[:, 150:154, 150:154] = Named.CALCIFICATION
    keep_head(tmp_path, 0, mimics)
    shape = Shape(slabs=1, targets=2, size=256)
    seen = set()
    for i in range(12):
        made = batch(find_heads(tmp_path), shape, np.random.default_rng(i))
        assert (made.kinds == 0).all()
        for slices, boxes, kinds in zip(made.slices[2:4], made.mimic_boxes, made.mimic_kinds, strict=True):
            seen |= set(kinds.tolist())
            for y1, x1, y2, x2 in boxes[kinds > 0].round().astype(int):
                if min(y1, x1) > 0 and max(y2, x2) < 256:  # at the edge the scanner's blur may leave little
                    assert slices[y1:y2, x1:x2].max() > 48
    assert seen == {0, Named.TUMOUR, Named.CALCIFICATION}

    (tmp_path / "other").mkdir()
    keep_head(tmp_path / "other", 1, None)
    made = batch(find_heads(tmp_path / "other"), shape, np.random.default_rng(1))
    assert (made.mimic_kinds == -1).all()
    assert not made.mimic_boxes.any()


def test_crops_come_to_a_named_mimic_that_is_no_denser_than_its_surroundings(tmp_path: Path) -> None:
    mimics = np.zeros((6, 256, 256), np.uint8)
    mimics[2, 40:44, 200:204] = Named.STAINING
    keep_head(tmp_path, 0, mimics)
    (head,) = find_heads(tmp_path)
    assert not len(head.mimics)  # there is no skull, so the search for what is dense inside it finds nothing
    shape = Shape(slabs=1, targets=1, size=64)
    shown = [batch([head], shape, np.random.default_rng(i)).mimic_kinds.max() > 0 for i in range(40)]
    assert sum(shown) > 4
