# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Which heads a training folder holds, and on which planes they are kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from training.heads import THIN_PLANES, kept_geometry, make, stored
from training.simulator.finding import Finding
from training.simulator.geometry import planned_geometry
from training.simulator.noise_free import NoiseFreeScan
from training.simulator.population import REALISTIC, TRAINING


def test_heads_for_validation_are_kept_as_they_are_planned() -> None:
    assert all(kept_geometry(seed, REALISTIC) == planned_geometry(seed, REALISTIC) for seed in range(30))


def test_some_training_heads_are_kept_in_thin_gapless_planes() -> None:
    kept = [(kept_geometry(seed, TRAINING), planned_geometry(seed, TRAINING)) for seed in range(200)]
    thin = [geometry for geometry, planned in kept if geometry != planned]
    slabs = [geometry for geometry in thin if geometry.shape[0] == THIN_PLANES and geometry.thickness_mm[0] < 1.3]

    assert 0.3 < len(thin) / len(kept) < 0.55
    assert 0.04 < len(slabs) / len(kept) < 0.17
    assert min(geometry.thickness_mm[0] for geometry in slabs) < 0.65
    for geometry in thin:
        np.testing.assert_allclose(geometry.thickness_mm, geometry.spans_mm)


def test_a_folder_of_one_population_takes_no_heads_of_another(tmp_path: Path) -> None:
    air = np.zeros((1, 32, 32), np.int16)
    scan = NoiseFreeScan(5, Finding.SAH, air, air.astype(np.uint8), (0.5, 0.5), np.full(1, 5.0), population="realistic")
    scan.save(tmp_path / "sah-5")

    assert [head.name for head in stored(tmp_path)] == ["sah-5"]
    with pytest.raises(ValueError, match="realistic"):
        make(tmp_path, 5, 1, 1, TRAINING)


def test_a_head_that_is_only_half_written_is_not_there(tmp_path: Path) -> None:
    np.save(tmp_path / "sah-5.hu.npy", np.zeros(3))

    assert stored(tmp_path) == []
