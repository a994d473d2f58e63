# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from benchmarks.accuracy.truth import contrast_hu, true_lesions
from simulator.geometry import ScanGeometry

GEOMETRY = ScanGeometry(
    rows=128,
    columns=128,
    pixel_spacing_mm=(1.0, 1.0),
    positions_mm=tuple(5.0 * i for i in range(8)),
    thickness_mm=(5.0,) * 8,
)


def block(labels: np.ndarray, z: slice, y: slice, x: slice, label: int) -> None:
    labels[z, y, x] = label


def test_pieces_of_one_type_within_10_mm_are_one_true_lesion() -> None:
    labels = np.zeros(GEOMETRY.shape, np.uint8)
    labels[2, 20:30, 20:30] = 3
    labels[2, 20:30, 38:48] = 3
    labels[2, 20:30, 70:80] = 3
    labels[2, 60:70, 20:30] = 1
    found = [(str(one.type), round(one.volume_ml(GEOMETRY), 3)) for one in true_lesions(labels, GEOMETRY)]
    assert found == [("iph", 0.5), ("sah", 1.0), ("sah", 0.5)]


def test_abc2_is_of_iph_alone() -> None:
    labels = np.zeros(GEOMETRY.shape, np.uint8)
    labels[2:4, 20:40, 20:40] = 1
    labels[2:4, 60:80, 60:80] = 2
    iph, edh = true_lesions(labels, GEOMETRY)
    assert iph.abc2_ml(GEOMETRY) == pytest.approx(20 * np.sqrt(2) * 20 * np.sqrt(2) * 10 / 2 / 1000, rel=0.02)
    assert edh.abc2_ml(GEOMETRY) is None


def test_contrast_is_against_tissue_beside_the_lesion_without_bone() -> None:
    hu = np.full(GEOMETRY.shape, 30, np.int16)
    labels = np.zeros(GEOMETRY.shape, np.uint8)
    labels[3, 50:60, 50:60] = 1
    hu[labels > 0] = 62
    hu[3, 50:60, 50:52] = 900
    hu[3, :, 64:70] = 1200
    (lesion,) = true_lesions(labels, GEOMETRY)
    assert contrast_hu(hu, labels, lesion, GEOMETRY) == pytest.approx(32)


def test_a_lesion_within_bone_has_no_contrast() -> None:
    labels = np.zeros(GEOMETRY.shape, np.uint8)
    labels[3, 50:60, 50:60] = 1
    (lesion,) = true_lesions(labels, GEOMETRY)
    assert contrast_hu(np.full(GEOMETRY.shape, 1200, np.int16), labels, lesion, GEOMETRY) is None
