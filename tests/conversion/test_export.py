# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The export of a detector with random weights: all of the graph is there whatever was learnt."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("tensorflow", reason="needs the training environment")

import numpy as np
import onnx
import onnxruntime

from appliance.reading import contract
from conversion.checks import DIFFERS, UnfitModelError, check
from conversion.export import load_detector, model_metadata, onnx_model
from conversion.parity import difference, random_chunk
from conversion.repository import PROOF_CODE, lay_out
from conversion.simplify import simplify
from conversion.triton_model import RULES
from conversion.window import window_model
from tests.training.network.random_detector import random_detector
from training.network.detector import Detector
from training.train import detector_run

pytestmark = pytest.mark.training

ORIGIN = {"suggested_threshold": 0.7, "command": "none, random weights"}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "edge.weights.h5"
    random_detector("edge").save_weights(path)
    return path


@pytest.fixture(scope="module")
def detector(weights: Path) -> Detector:
    return load_detector("edge", weights)


@pytest.fixture(scope="module")
def model(detector: Detector, weights: Path) -> onnx.ModelProto:
    return onnx_model(detector, model_metadata("edge", weights, 3, ORIGIN))


def change(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def test_the_exported_model_is_valid_static_and_free_of_forbidden_nodes(model: onnx.ModelProto) -> None:
    check(model)
    assert [opset.version for opset in model.opset_import if opset.domain in ("", "ai.onnx")] == [17]


def test_the_exporters_detours_are_taken_out(model: onnx.ModelProto) -> None:
    assert simplify(model).graph.node == model.graph.node
    assert [node.op_type for node in model.graph.node].count("Resize") == 3


def test_onnx_runtime_says_what_tensorflow_says(model: onnx.ModelProto, detector: Detector) -> None:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    hu = random_chunk(0)
    found = dict(zip(names, session.run(names, {contract.INPUT: hu}), strict=True))
    apart = difference("random", detector_run(detector)(hu), found)
    assert apart.detections > 0
    assert apart.small, apart


def test_the_model_carries_contract_version_and_origin(model: onnx.ModelProto) -> None:
    said = {prop.key: prop.value for prop in model.metadata_props}
    assert contract.metadata().items() <= said.items()
    assert said["model_version"] == "3"
    assert said["variant"] == "edge"
    assert float(said["suggested_threshold"]) == 0.7
    assert json.loads(said["provenance"]) == ORIGIN
    assert len(said["weights_sha256"]) == 64


def test_a_forbidden_node_is_found(model: onnx.ModelProto) -> None:
    bad = change(model)
    bad.graph.node.append(onnx.helper.make_node("NonZero", [contract.INPUT], ["somewhere"]))
    with pytest.raises(UnfitModelError, match="NonZero"):
        check(bad)


def test_a_dimension_that_is_not_fixed_is_found(model: onnx.ModelProto) -> None:
    bad = change(model)
    bad.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "slices"
    with pytest.raises(UnfitModelError, match="inputs are"):
        check(bad)


def test_a_model_of_another_contract_is_not_laid_out(model: onnx.ModelProto, tmp_path: Path) -> None:
    bad = change(model)
    onnx.helper.set_model_props(bad, contract.metadata() | {"contract_version": "99"})
    onnx.save(bad, str(tmp_path / "bad.onnx"))
    with pytest.raises(UnfitModelError, match="contract_version = '99'"):
        lay_out(tmp_path / "bad.onnx", tmp_path / "repository")


def test_a_model_that_was_exported_for_figures_alone_is_not_laid_out(model: onnx.ModelProto, tmp_path: Path) -> None:
    hardly_trained = change(model)
    hardly_trained.metadata_props.add(key=DIFFERS, value="3 of 11 chunks")
    onnx.save(hardly_trained, str(tmp_path / "model.onnx"))
    with pytest.raises(UnfitModelError, match="for figures alone: 3 of 11 chunks"):
        lay_out(tmp_path / "model.onnx", tmp_path / "repository")


def test_the_repository_has_every_file_triton_and_the_site_need(model: onnx.ModelProto, tmp_path: Path) -> None:
    onnx.save(model, str(tmp_path / "good.onnx"))
    folder = lay_out(tmp_path / "good.onnx", tmp_path / "repository", version=2)
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    configs = {"config.pbtxt", *(f"configs/{profile}.pbtxt" for profile in ("cpu", "gpu", "gpu-datacentre"))}
    proof = {f"2/{RULES}/{file}" for file in PROOF_CODE}
    assert names == configs | proof | {"2/model.py", "2/model.onnx"}
    np.testing.assert_equal((folder / "2" / "model.onnx").read_bytes(), (tmp_path / "good.onnx").read_bytes())


def test_the_detector_for_one_slice_a_call_answers_for_a_slice_as_the_chunk_does(
    detector: Detector, model: onnx.ModelProto
) -> None:
    chunk = random_chunk(3)
    whole = onnxruntime.InferenceSession(model.SerializeToString())
    window = onnxruntime.InferenceSession(window_model(detector).SerializeToString())
    middle = contract.CHUNK_SLICES // 2
    one = window.run(None, {contract.INPUT: chunk[middle : middle + contract.SLAB_SLICES]})
    names = [output.name for output in contract.OUTPUTS]
    found = dict(zip(names, one, strict=True))
    there = dict(zip(names, whole.run(None, {contract.INPUT: chunk}), strict=True))
    count, total = int(found["detection_count"][0]), int(there["detection_count"][0])
    assert (found["detection_slice"][:count] == 0).all()
    boxes = there["detection_box"][:total][there["detection_slice"][:total] == middle]
    assert len(boxes) > 0
    # The chunk's list may hold fewer of a slice, as all of its slices share it, or more than a slice's share: then the
    # best, which come first.
    for box in boxes[:count]:
        assert np.abs(found["detection_box"][:count] - box).max(axis=1).min() < 0.1


@pytest.mark.parametrize("slices", [8, 32])
def test_the_detector_for_other_slices_a_call_answers_for_them_as_the_chunk_does(
    detector: Detector, model: onnx.ModelProto, slices: int
) -> None:
    most = max(slices, contract.CHUNK_SLICES)
    hu = np.resize(random_chunk(3), (most + 2 * contract.CONTEXT_SLICES, contract.MATRIX, contract.MATRIX))
    found = {}
    for count, one in ((contract.CHUNK_SLICES, model), (slices, window_model(detector, slices))):
        session = onnxruntime.InferenceSession(one.SerializeToString())
        said = session.get_modelmeta().custom_metadata_map
        assert (said["chunk_slices"], said["contract_version"]) == (str(count), str(contract.CONTRACT_VERSION))
        names = [output.name for output in session.get_outputs()]
        found[count] = dict(
            zip(names, session.run(None, {contract.INPUT: hu[: count + 2 * contract.CONTEXT_SLICES]}), strict=True)
        )
    assert len(found[slices]["detection_slice"]) == contract.MAX_DETECTIONS * slices // contract.CHUNK_SLICES
    shared = min(slices, contract.CHUNK_SLICES)
    best = {}
    for count, outputs in found.items():
        real = int(outputs["detection_count"][0])
        at, scores = outputs["detection_slice"][:real], outputs["detection_score"][:real].max(axis=1)
        best[count] = {int(z): scores[at == z].max() for z in set(at) if z < shared}
    both = best[slices].keys() & best[contract.CHUNK_SLICES].keys()
    assert both
    for z in both:
        assert abs(best[slices][z] - best[contract.CHUNK_SLICES][z]) < 1e-3
