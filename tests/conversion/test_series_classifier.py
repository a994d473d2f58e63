# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The export of the series classifier, with random weights: the graph is there whatever was learnt."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("tensorflow", reason="needs the training environment")

import keras
import numpy as np
import onnx

from appliance.reading import series
from conversion.checks import UnfitModelError
from conversion.series_classifier import (
    MOST_DIFFERENCE,
    check,
    largest_difference,
    lay_out,
    model_metadata,
    onnx_model,
    random_thumbnails,
)
from conversion.series_triton_model import Classifier
from training.series_classifier.network import load_network, series_network

pytestmark = pytest.mark.training


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    keras.utils.set_random_seed(3)
    path = tmp_path_factory.mktemp("weights") / "series_classifier.weights.h5"
    network = series_network()
    for variable in network.variables:
        if variable.path.endswith(("moving_mean", "beta", "bias")):
            variable.assign(np.random.default_rng(1).normal(0, 0.2, variable.shape))
    network.save_weights(path)
    return path


@pytest.fixture(scope="module")
def model(weights: Path) -> onnx.ModelProto:
    return onnx_model(load_network(weights), model_metadata(weights, {"command": "none, random weights"}))


def test_onnx_runtime_says_what_keras_says_for_one_series_and_for_several(
    weights: Path, model: onnx.ModelProto
) -> None:
    network = load_network(weights)
    said = np.asarray(network(random_thumbnails(1), training=False))
    assert said.std(axis=0).max() > 1e-3  # else a constant would pass
    assert largest_difference(network, model) < MOST_DIFFERENCE


def test_other_weights_are_found_out_by_the_comparison(model: onnx.ModelProto) -> None:
    keras.utils.set_random_seed(4)
    assert largest_difference(series_network(), model) > MOST_DIFFERENCE


def test_the_exported_model_is_fit_to_be_served_and_one_that_is_not_says_why(model: onnx.ModelProto) -> None:
    check(model)
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    onnx.helper.set_model_props(changed, {"contract_version": "2"})
    with pytest.raises(UnfitModelError, match="contract_version = '2', the contract '1'"):
        check(changed)
    changed.CopyFrom(model)
    changed.graph.output[0].name = "something"
    with pytest.raises(UnfitModelError):
        check(changed)


def test_the_order_of_the_slices_does_not_count(weights: Path) -> None:
    network, shown = load_network(weights), random_thumbnails(2)
    found, back = (np.asarray(network(one, training=False)) for one in (shown, shown[:, ::-1]))
    assert np.allclose(found, back, atol=1e-6)


def test_the_repository_holds_both_profiles_and_the_model_that_triton_runs(
    tmp_path: Path, model: onnx.ModelProto
) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(model, str(path))
    folder = lay_out(path, tmp_path / "models")
    for profile, backend in (("cpu", "python"), ("gpu", "onnxruntime")):
        text = (folder / "configs" / f"{profile}.pbtxt").read_text()
        assert f'backend: "{backend}"' in text
        assert json.dumps(",".join(series.CLASSES)) in text
    said = Classifier(folder / "1" / "model.onnx", "1")(random_thumbnails(1))
    assert said.shape == (series.MOST_SERIES, len(series.CLASSES))
