# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The committed series classifier, and the code that Triton runs for it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from appliance.reading import series
from conversion.series_classifier import MODEL_CODE, PROFILES, WEIGHTS, check, config, random_thumbnails
from conversion.series_triton_model import Classifier, ContractError

FOLDER = Path(__file__).parents[2] / "model_repository" / series.CLASSIFIER
MODEL = FOLDER / "1" / "model.onnx"


def test_the_committed_repository_is_what_the_code_writes_of_the_committed_weights() -> None:
    said = {prop.key: prop.value for prop in onnx.load(str(MODEL)).metadata_props}
    assert said["weights_sha256"] == hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()
    assert json.loads(said["provenance"]) == json.loads(WEIGHTS.with_name("series_classifier.json").read_text())
    said["onnx_sha256"] = hashlib.sha256(MODEL.read_bytes()).hexdigest()
    assert (FOLDER / "config.pbtxt").read_text() == config("cpu", said)
    for profile in PROFILES:
        assert (FOLDER / "configs" / f"{profile}.pbtxt").read_text() == config(profile, said)
    assert (FOLDER / "1" / "model.py").read_bytes() == MODEL_CODE.read_bytes()


def test_the_committed_classifier_is_fit_to_be_served_and_says_probabilities() -> None:
    check(onnx.load(str(MODEL)))
    said = Classifier(MODEL, str(series.CONTRACT_VERSION))(random_thumbnails(1))
    assert said.shape == (series.MOST_SERIES, len(series.CLASSES))
    assert np.allclose(said.sum(axis=1), 1, atol=1e-5)


def test_a_classifier_of_another_contract_version_is_refused_at_load() -> None:
    with pytest.raises(ContractError, match="contract version 1, not 2"):
        Classifier(MODEL, "2")
