# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from appliance.errors import ModelContractError
from appliance.reading import contract
from appliance.reading.golden import golden_chunk
from benchmarks.accuracy.network import REPOSITORY, Network, other_model, shipped_model


def test_the_shipped_network_reads_the_golden_chunk_as_it_did_at_conversion() -> None:
    model = shipped_model()
    found = Network(model, threads=2).read(golden_chunk())
    sure = {one.type for one in found.detections if one.score >= 0.99}
    assert {contract.HemorrhageType.IPH, contract.HemorrhageType.EDH_SDH} <= sure
    assert found.model.sha256 == model.identity.sha256
    assert all(0 <= one.slice_index < contract.CHUNK_INPUT_SLICES for one in found.detections)


def test_the_threshold_is_the_one_that_the_service_would_use() -> None:
    assert shipped_model().suggested_threshold == other_model(REPOSITORY / "1" / "model.onnx").suggested_threshold


def test_an_onnx_file_that_its_configuration_was_not_written_for_is_refused(tmp_path: Path) -> None:
    shutil.copytree(REPOSITORY, tmp_path / "detector")
    with (tmp_path / "detector" / "1" / "model.onnx").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ValueError, match="has the sha256"):
        shipped_model(tmp_path / "detector")


def test_a_configuration_of_another_contract_is_refused(tmp_path: Path) -> None:
    shutil.copytree(REPOSITORY, tmp_path / "detector")
    config = tmp_path / "detector" / "config.pbtxt"
    config.write_text(config.read_text().replace("dims: [ 20, 512, 512 ]", "dims: [ 20, 256, 256 ]"))
    with pytest.raises(ModelContractError, match="input hu is"):
        shipped_model(tmp_path / "detector")


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(np.zeros(9, np.uint8).tobytes())
    with pytest.raises(ValueError, match="is no ONNX file"):
        other_model(tmp_path / "model.onnx")
    with pytest.raises(ValueError, match="is not there"):
        other_model(tmp_path / "none.onnx")
    with pytest.raises(ValueError, match="is missing"):
        shipped_model(tmp_path)
