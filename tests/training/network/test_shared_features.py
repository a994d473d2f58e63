# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The shared form of the features against the paper's 3D form."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("tensorflow", reason="needs the training environment")

import keras
import numpy as np
import tensorflow as tf

from tests.training.network.conv3d_twin import twin_pyramid
from tests.training.network.random_detector import random_detector
from training.network.detector import Detector

pytestmark = pytest.mark.training


@pytest.fixture
def double_precision() -> Iterator[None]:
    """Let networks be built in float64, so that a difference is one of form and not of rounding."""
    usual = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_floatx(usual[0])
    keras.config.set_dtype_policy(usual[1])


@pytest.mark.parametrize("variant", ["edge", "full"])
@pytest.mark.usefixtures("double_precision")
def test_the_shared_form_gives_what_3d_convolutions_give_slab_by_slab(variant: str) -> None:
    detector = random_detector(variant)
    slices = np.random.default_rng(1).uniform(-3, 3, (7, 64, 64))
    shared = detector.pyramid(tf.constant(slices[..., None]))
    for target in range(3):
        for level, expected in zip(shared, twin_pyramid(detector, slices[target : target + 5]), strict=True):
            scale = float(tf.reduce_max(tf.abs(expected)))
            np.testing.assert_allclose(level[target], expected[0], rtol=0, atol=1e-12 * scale)


@pytest.mark.usefixtures("double_precision")
def test_slabs_interleaved_in_one_batch_do_not_mix() -> None:
    edge = random_detector("edge")
    slabs = np.random.default_rng(2).uniform(-3, 3, (6, 2, 64, 64))
    both = edge.pyramid(tf.constant(slabs.reshape(12, 64, 64, 1)), slabs=2)
    for b in range(2):
        alone = edge.pyramid(tf.constant(slabs[:, b, ..., None]))
        for level, expected in zip(both, alone, strict=True):
            scale = float(tf.reduce_max(tf.abs(expected)))
            np.testing.assert_allclose(level[b::2], expected, rtol=0, atol=1e-12 * scale)


def test_the_pyramid_has_the_contracts_strides_and_the_variants_width(edge: Detector) -> None:
    pyramid = edge.pyramid(tf.zeros((5, 128, 128, 1)))
    assert [tuple(level.shape) for level in pyramid] == [(1, 128 // s, 128 // s, 64) for s in (4, 8, 16, 32)]


def test_full_has_the_papers_128_channel_maps() -> None:
    assert random_detector("full").variant.pyramid == 128
