# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The shipped detector in 8 bits: what is quantised and what is not, and that it still answers."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from appliance.reading import contract
from appliance.reading.golden import golden_chunk, golden_matches, golden_summary
from conversion import quantise as quantise_module
from conversion.checks import check
from conversion.engine_run import onnx_run
from conversion.half import WEIGHTED
from conversion.quantise import (
    FEATURE_STEPS,
    WEIGHT_STEPS,
    Limits,
    _least_error,
    calibrate,
    chosen_nodes,
    quantise,
    sources,
)

SHIPPED = Path(__file__).parents[2] / "model_repository" / contract.DETECTOR / "1" / "model.onnx"


@pytest.fixture(scope="module")
def exported() -> onnx.ModelProto:
    return onnx.load(str(SHIPPED))


@pytest.fixture(scope="module")
def limits(exported: onnx.ModelProto) -> Limits:
    return calibrate(exported, [golden_chunk().astype(np.float32)])


@pytest.fixture(scope="module")
def quantised_detector(exported: onnx.ModelProto, limits: Limits) -> onnx.ModelProto:
    return quantise(exported, limits)


def test_the_finest_pyramid_map_and_the_mask_head_are_quantised_and_nothing_else(exported: onnx.ModelProto) -> None:
    assert [node.name for node in chosen_nodes(exported.graph)] == [
        "feature_pyramid_1/smoothing0_1/BiasAdd",
        "rpn_1/shared_1/BiasAdd",
        "mask_head_1/convolution0_1/BiasAdd",
        "mask_head_1/convolution1_1/BiasAdd",
        "mask_head_1/upsample_1/BiasAdd",
    ]


def test_wherever_it_is_allowed_the_first_convolution_and_the_last_layers_of_every_head_keep_full_precision(
    exported: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantise_module, "EIGHT_BITS", re.compile(""))
    products = [node for node in exported.graph.node if node.op_type in WEIGHTED]
    chosen = {node.name for node in chosen_nodes(exported.graph)}
    kept = [node.name for node in products if node.name not in chosen]
    heads = [name for name in kept if name != products[0].name]
    assert len(kept) == len(heads) + 1  # the first
    assert Counter(name.split("/")[0] + "/" + name.split("/")[1].rstrip("_0123456789") for name in heads) == {
        "rpn_1/offsets": 4,
        "rpn_1/objectness": 4,
        "classifier_1/offsets": 1,
        "classifier_1/logits": 1,
        "mask_head_1/logits": 1,
    }


def test_it_is_on_the_contract_and_carries_the_same_metadata(
    exported: onnx.ModelProto, quantised_detector: onnx.ModelProto
) -> None:
    check(quantised_detector)
    assert list(quantised_detector.metadata_props) == list(exported.metadata_props)


def test_weights_leave_room_for_the_sum_of_two_products_in_16_bits(quantised_detector: onnx.ModelProto) -> None:
    values = [numpy_helper.to_array(one) for one in quantised_detector.graph.initializer if one.name.endswith("/bytes")]
    assert len(values) == len(chosen_nodes(onnx.load(str(SHIPPED)).graph))
    assert {array.dtype for array in values} == {np.dtype(np.int8)}
    most = max(int(np.abs(array).max()) for array in values)
    assert most == WEIGHT_STEPS
    assert 2 * most * FEATURE_STEPS[False] < 2**15


def test_slices_and_their_concatenations_move_bytes(exported: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantise_module, "EIGHT_BITS", re.compile(""))
    anything = dict.fromkeys(sources(exported.graph).values(), (1.0, False))
    inferred = onnx.shape_inference.infer_shapes(quantise(exported, anything))
    types = {one.name: one.type.tensor_type.elem_type for one in inferred.graph.value_info}
    of = {node.output[0]: types[node.output[0]] for node in inferred.graph.node if node.op_type in ("Concat", "Resize")}
    moved = [name for name, kind in of.items() if kind in (TensorProto.UINT8, TensorProto.INT8)]
    assert len(moved) == 10  # four stages, three projections of several slices, three upsamplings
    assert all(name.endswith("/bytes") for name in moved)


def test_it_answers_the_golden_chunk_as_the_exported_detector_does(quantised_detector: onnx.ModelProto) -> None:
    hu = golden_chunk().astype(np.float32)
    expected, got = onnx_run(SHIPPED.read_bytes())(hu), onnx_run(quantised_detector.SerializeToString())(hu)
    assert golden_matches(golden_summary(expected), got) is None
    assert not np.array_equal(expected["detection_score"], got["detection_score"])


def test_a_chunk_of_values_that_no_scanner_gives_does_not_spoil_the_answer(
    quantised_detector: onnx.ModelProto,
) -> None:
    hu = golden_chunk().astype(np.float32)
    hu[3, 10, :4] = [np.nan, np.inf, -np.inf, 1e38]
    assert contract.output_fault(onnx_run(quantised_detector.SerializeToString())(hu)) is None


def test_limits_of_another_model_are_refused(exported: onnx.ModelProto, limits: Limits) -> None:
    name = next(iter(sources(exported.graph).values()))
    with pytest.raises(ValueError, match=f"of another model: {name} missing"):
        quantise(exported, {one: limit for one, limit in limits.items() if one != name})


def test_calibration_without_a_chunk_is_refused(exported: onnx.ModelProto) -> None:
    with pytest.raises(ValueError, match="at least one chunk"):
        calibrate(exported, [])


def test_one_outlier_of_a_feature_is_clipped_where_that_loses_less_than_coarser_steps_for_all() -> None:
    values = np.append(np.linspace(0, 1, 1_000_000, dtype=np.float32), np.float32(40))
    limit, negative = _least_error(values)
    assert not negative
    assert 1 < limit < 20
    assert _least_error(values[:-1])[0] == pytest.approx(1, abs=0.06)
    assert _least_error(-values)[1]
