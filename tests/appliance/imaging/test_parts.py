# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Parts of a head that touch are one stack, whatever their headers say; scans that overlap are told apart."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset

from appliance.errors import RefusalCode
from appliance.imaging.stacks import Stack, stacks
from tests.appliance.imaging.scans import ROOT, head, headers_only, image, series

OTHER_FRAME = f"{ROOT}.99"
SLICES = 32


def scan_at(*positions_mm: float, group: str = "1", **attributes: Any) -> list[Dataset]:
    """Return slices at these positions, with UIDs of their own for each group."""
    images = series(head(len(positions_mm)), positions_mm=positions_mm, **attributes)
    for dataset in images:
        dataset.SOPInstanceUID = f"{dataset.SOPInstanceUID}.{group}"
    return images


def run(since: float, to: float, step: float = 5.0) -> list[float]:
    """Return positions from `since` to `to`, both included, mm."""
    return list(np.arange(since, to + step / 2, step))


def stacks_of(images: list[Dataset]) -> tuple[Stack, ...]:
    """Return the stacks of images in any order."""
    random.Random(len(images)).shuffle(images)
    return stacks(headers_only(images))


def positions(stack: Stack) -> list[float]:
    return [float(instance.header.ImagePositionPatient[2]) for instance in stack.instances]


DIFFERENCES: list[dict[str, Any]] = [
    {},
    {"AcquisitionNumber": 2, "AcquisitionTime": "120130"},
    {"AcquisitionNumber": None},
    {"AcquisitionTime": "120130"},
    {"AcquisitionTime": None, "AcquisitionDate": None},
    {"FrameOfReferenceUID": OTHER_FRAME},
    {"FrameOfReferenceUID": None},
    {"PixelSpacing": [7.003, 7.003]},
    {"ConvolutionKernel": "H 31 S"},
    {"ConvolutionKernel": "H30s"},
    {"ConvolutionKernel": ["H31s", "3"]},
    {"ConvolutionKernel": None},
    {"SeriesInstanceUID": f"{ROOT}.77", "SeriesNumber": 3},
    {"SeriesInstanceUID": f"{ROOT}.77", "SeriesNumber": 3, "FrameOfReferenceUID": OTHER_FRAME},
    {"KVP": 140},
    {"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SEQ"]},
    {"ContrastBolusAgent": "SEE NOTES"},
    {"TemporalPositionIdentifier": 2},
    {"ImageOrientationPatient": [1, 0, 0, 0, 0.99999, 0.001]},
]


@pytest.mark.parametrize("other", DIFFERENCES, ids=repr)
@pytest.mark.parametrize("shared", [0, 1], ids=["touching", "sharing a slice"])
def test_base_and_vertex_are_one_head(other: dict, shared: int) -> None:
    base = scan_at(*run(0, 75))
    vertex = scan_at(*run(80 - 5 * shared, 155), group="2", **other)
    (stack,) = stacks_of([*base, *vertex])
    assert positions(stack) == run(0, 155)
    assert stack.complete
    assert stack.refusal is None
    assert len(stack.repeats) + len(stack.copies) == shared


@pytest.mark.parametrize(
    "other",
    [
        {"FrameOfReferenceUID": None},
        {"FrameOfReferenceUID": OTHER_FRAME},
        {"AcquisitionNumber": None},
        {"AcquisitionNumber": 2},
        {"ConvolutionKernel": None},
        {"PixelSpacing": [6.999, 6.999]},
        {"ImageType": ["ORIGINAL", "PRIMARY"]},
        {"KVP": None},
        {"AcquisitionTime": None},
        {"TemporalPositionIdentifier": 1},
    ],
    ids=repr,
)
@pytest.mark.parametrize("step", [5.0, 2.5], ids=["beside each other", "overlapping"])
def test_what_is_written_on_every_other_slice_splits_nothing(other: dict, step: float) -> None:
    images = scan_at(*run(0, 155, step))
    for dataset in images[1::2]:
        for keyword, value in other.items():
            if value is None:
                dataset.pop(keyword, None)
            else:
                setattr(dataset, keyword, value)
    (stack,) = stacks_of(images)
    assert positions(stack) == run(0, 155, step)
    assert stack.complete


@pytest.mark.parametrize(
    "value",
    [
        lambda index: {"FrameOfReferenceUID": f"{ROOT}.9.{index}"},
        lambda index: {"AcquisitionNumber": index, "AcquisitionTime": f"12{index:02}00"},
        lambda index: {"SeriesInstanceUID": f"{ROOT}.7.{index}"},
    ],
    ids=["frame of reference", "acquisition", "series"],
)
def test_a_value_for_every_slice_splits_nothing(value: Callable[[int], dict]) -> None:
    images = scan_at(*run(0, 155))
    for index, dataset in enumerate(images):
        dataset.update({})
        for keyword, said in value(index).items():
            setattr(dataset, keyword, said)
    (stack,) = stacks_of(images)
    assert positions(stack) == run(0, 155)


@pytest.mark.parametrize("time", ["120000", "120500", None])
def test_two_series_of_every_second_slice_are_one_head(time: str | None) -> None:
    first = scan_at(*run(0, 150, 10), AcquisitionTime="120000" if time else None)
    second = scan_at(*run(5, 155, 10), group="2", series=2, AcquisitionTime=time)
    (stack,) = stacks_of([*first, *second])
    assert positions(stack) == run(0, 155)


def test_two_series_that_lie_half_a_slice_apart_are_two_scans() -> None:
    first = scan_at(*run(0, 150))
    second = scan_at(*run(2.5, 152.5), group="2", series=2)
    assert len(stacks_of([*first, *second])) == 2


@pytest.mark.parametrize("series_number", [1, 2], ids=["the same series", "another series"])
@pytest.mark.parametrize("shared", [2, 4, 7])
def test_a_vertex_of_another_frame_of_reference_takes_the_place_of_no_slices_of_the_base(
    shared: int, series_number: int
) -> None:
    base = scan_at(*run(0, 75))
    low = 80 - 5 * shared
    vertex = scan_at(*run(low, low + 75), group="2", series=series_number, FrameOfReferenceUID=OTHER_FRAME)
    found = stacks_of([*base, *vertex])
    assert [len(stack.instances) for stack in found] == [16, 16]
    assert not any(stack.repeats for stack in found)


@pytest.mark.parametrize("other", [1, 2], ids=["the same series", "another series"])
def test_a_vertex_with_contrast_agent_joins_a_base_without_in_one_series_alone(other: int) -> None:
    base = scan_at(*run(0, 75))
    vertex = scan_at(*run(80, 155), group="2", series=other, ContrastBolusAgent="Iomeron 300")
    assert len(stacks_of([*base, *vertex])) == other


def test_three_parts_that_share_slices_are_one_head() -> None:
    parts = [
        scan_at(*run(low, high), group=str(number), AcquisitionNumber=number, AcquisitionTime=f"12{number:02}00")
        for number, (low, high) in enumerate([(0, 50), (50, 100), (100, 155)], start=1)
    ]
    (stack,) = stacks_of([one for part in parts for one in part])
    assert positions(stack) == run(0, 155)
    assert len(stack.repeats) == 2


def test_a_tilted_head_in_two_parts_is_one_head() -> None:
    tilt = np.deg2rad(20)
    directions = (1, 0, 0, 0, np.cos(tilt), -np.sin(tilt))
    images = [
        image(
            np.zeros((32, 32)),
            (-100, -100, 5 * z / np.cos(tilt)),
            number=z,
            orientation=directions,
            AcquisitionNumber=1 + (z > 15),
            FrameOfReferenceUID=f"{ROOT}.{z > 15:d}",
        )
        for z in range(SLICES)
    ]
    (stack,) = stacks_of(images)
    assert len(stack.instances) == SLICES
    assert stack.refusal is None


def test_a_base_of_2_5_mm_and_a_vertex_of_5_mm_are_one_head() -> None:
    base = scan_at(*run(0, 60, 2.5), SliceThickness=2.5)
    vertex = scan_at(*run(60, 155), group="2", AcquisitionNumber=2, AcquisitionTime="120100")
    (stack,) = stacks_of([*base, *vertex])
    assert positions(stack) == [*run(0, 57.5, 2.5), *run(60, 155)]
    assert stack.complete


def test_a_slice_missing_between_two_parts_is_a_gap_in_one_head() -> None:
    (stack,) = stacks_of([*scan_at(*run(0, 70)), *scan_at(*run(80, 155), group="2", AcquisitionNumber=2)])
    assert stack.missing_refusal is not None
    assert stack.missing_refusal.code is RefusalCode.MISSING_SLICE


@pytest.mark.parametrize(
    ("first", "second", "taken"),
    [
        ({"AcquisitionTime": "120000"}, {"AcquisitionTime": "120500"}, "2"),
        ({"AcquisitionTime": "120500"}, {"AcquisitionTime": "120000"}, "1"),
        ({"AcquisitionNumber": 1}, {"AcquisitionNumber": 2}, "2"),
        ({"FrameOfReferenceUID": f"{ROOT}.8"}, {}, "1"),
    ],
    ids=["later", "earlier", "higher number", "fuller"],
)
def test_of_two_slices_at_a_position_that_of_the_later_part_is_taken_else_that_of_the_fuller(
    first: dict, second: dict, taken: str
) -> None:
    base = scan_at(*run(0, 80), **first)
    vertex = scan_at(*run(80, 155), group="2", **second)
    (stack,) = stacks_of([*base, *vertex])
    shared = stack.instances[positions(stack).index(80)]
    assert shared.uid.endswith(f".{taken}")
    (given_up,) = stack.repeats
    assert float(given_up.header.ImagePositionPatient[2]) == 80
    assert not given_up.uid.endswith(f".{taken}")


def test_slices_scanned_again_within_a_scan_take_the_place_of_the_first() -> None:
    again = scan_at(*run(40, 55), group="2", AcquisitionTime="120500")
    (stack,) = stacks_of([*scan_at(*run(0, 155)), *again])
    assert positions(stack) == run(0, 155)
    assert [p for p, one in zip(positions(stack), stack.instances, strict=True) if one.uid.endswith(".2")] == run(
        40, 55
    )
    assert len(stack.repeats) == 4


def test_single_slices_scanned_again_here_and_there_take_no_other_slices_place() -> None:
    images = scan_at(*run(0, 155))
    for number, position in enumerate((20, 70, 75, 140), start=2):
        images += scan_at(position, group=str(number), AcquisitionNumber=number, AcquisitionTime=f"13{number:02}00")
    (stack,) = stacks_of(images)
    assert positions(stack) == run(0, 155)
    assert len(stack.repeats) == 4
    assert sum(one.uid.endswith(".1") for one in stack.instances) == SLICES - 4


def test_single_slices_scanned_again_without_a_thickness_take_no_other_slices_place() -> None:
    images = scan_at(*run(0, 155), SliceThickness=None)
    again = scan_at(20, 70, group="2", AcquisitionNumber=2, AcquisitionTime="130000", SliceThickness=None)
    (stack,) = stacks_of([*images, *again])
    assert positions(stack) == run(0, 155)
    assert len(stack.repeats) == 2


def test_a_head_with_its_neck_and_a_frame_of_reference_on_every_other_slice_is_one_stack() -> None:
    images = scan_at(*run(0, 300))
    for dataset in images[::2]:
        del dataset.FrameOfReferenceUID
    (stack,) = stacks_of(images)
    assert positions(stack) == run(0, 300)


def test_a_scan_that_was_broken_off_and_begun_anew_is_one_head() -> None:
    broken_off = scan_at(*run(0, 60))
    anew = scan_at(*run(40, 155), group="2", AcquisitionNumber=2, AcquisitionTime="120500")
    (stack,) = stacks_of([*broken_off, *anew])
    assert positions(stack) == run(0, 155)
    assert len(stack.repeats) == 5


def test_a_repeat_that_is_not_on_the_same_positions_leaves_no_slice_out_and_none_among_others() -> None:
    again = scan_at(*run(42, 57), group="2", AcquisitionTime="120500")
    (stack,) = stacks_of([*scan_at(*run(0, 155)), *again])
    assert np.diff(positions(stack)).min() >= 2.5
    assert np.diff(positions(stack)).max() <= 7.5
    assert stack.complete


def test_parts_of_two_kernels_and_two_phases_join_their_like() -> None:
    made = []
    for number, (kernel, agent) in enumerate([("H31s", None), ("H60s", None), ("H31s", "IOMERON")]):
        for part, (low, high) in enumerate([(0, 75), (75, 155)]):
            made += scan_at(
                *run(low, high),
                group=f"{number}{part}",
                ConvolutionKernel=kernel,
                ContrastBolusAgent=agent,
                AcquisitionNumber=1 + part + 2 * (agent is not None),
                SeriesInstanceUID=f"{ROOT}.{part}{number}",
            )
    found = stacks_of(made)
    assert sorted({one.uid.split(".")[-1][0] for one in stack.instances} for stack in found) == [{"0"}, {"1"}, {"2"}]
    assert all(positions(stack) == run(0, 155) for stack in found)


def test_two_phases_of_two_parts_without_a_word_of_contrast_join_by_time() -> None:
    made = []
    for number, (low, high) in enumerate([(0, 75), (75, 155), (0, 75), (75, 155)]):
        made += scan_at(
            *run(low, high), group=str(number), AcquisitionNumber=number, AcquisitionTime=f"12{5 * number:02}00"
        )
    found = stacks_of(made)
    assert [positions(stack) for stack in found] == [run(0, 155)] * 2
    assert {one.uid.split(".")[-1] for one in found[0].instances} == {"0", "1"}
    assert [(stack.pass_number, stack.passes) for stack in found] == [(1, 2), (2, 2)]


@pytest.mark.parametrize("thickness", [{"SliceThickness": 1}, {}], ids=["said", "not said"])
def test_thin_and_thick_slices_of_one_series_are_two_stacks(thickness: dict) -> None:
    thin = scan_at(*run(0, 155, 1), **thickness, AcquisitionNumber=1 if thickness else 2)
    found = stacks_of([*thin, *scan_at(*run(0, 155), group="2")])
    assert sorted(len(stack.instances) for stack in found) == [32, 156]
    assert all(stack.complete and not stack.repeats for stack in found)


def test_a_sharp_kernel_is_never_read_with_a_soft_one() -> None:
    found = stacks_of([*scan_at(*run(0, 75)), *scan_at(*run(80, 155), group="2", ConvolutionKernel="H60s")])
    assert [len(stack.instances) for stack in found] == [16, 16]


@pytest.mark.parametrize("other", [{"SeriesInstanceUID": f"{ROOT}.77"}, {"FrameOfReferenceUID": OTHER_FRAME}])
def test_two_whole_heads_whose_coordinates_happen_to_touch_are_two(other: dict) -> None:
    found = stacks_of([*scan_at(*run(0, 155)), *scan_at(*run(160, 315), group="2", **other)])
    assert [positions(stack) for stack in found] == [run(0, 155), run(160, 315)]


def test_a_head_and_another_region_in_another_frame_of_reference_are_two() -> None:
    found = stacks_of([*scan_at(*run(0, 155)), *scan_at(*run(400, 555), group="2", FrameOfReferenceUID=OTHER_FRAME)])
    assert [len(stack.instances) for stack in found] == [32, 32]


def test_a_neck_in_a_series_of_its_own_does_not_join_the_head() -> None:
    neck = scan_at(*run(-100, -5), group="2", SeriesInstanceUID=f"{ROOT}.77", BodyPartExamined="NECK")
    found = stacks_of([*scan_at(*run(0, 155)), *neck])
    assert sorted(len(stack.instances) for stack in found) == [20, 32]


def test_an_image_to_wait_for_a_bolus_in_does_not_join_the_head() -> None:
    waiting = scan_at(-10, group="2", SeriesInstanceUID=f"{ROOT}.77", SliceThickness=10)
    assert [len(stack.instances) for stack in stacks_of([*scan_at(*run(0, 155)), *waiting])] == [32, 1]


def test_parts_that_lie_beside_each_other_do_not_join() -> None:
    beside = scan_at(*run(80, 155), group="2", SeriesInstanceUID=f"{ROOT}.77")
    for dataset in beside:
        dataset.ImagePositionPatient = [-60, *dataset.ImagePositionPatient[1:]]
    found = stacks_of([*scan_at(*run(0, 75)), *beside])
    assert [len(stack.instances) for stack in found] == [16, 16]
    assert all(stack.refusal is None for stack in found)


def test_a_damaged_slice_of_one_part_refuses_the_whole_head() -> None:
    vertex = scan_at(*run(80, 155), group="2", SeriesInstanceUID=f"{ROOT}.77")
    vertex[3].ImagePositionPatient = [0, 0]
    (stack,) = stacks_of([*scan_at(*run(0, 75)), *vertex])
    assert stack.refusal is not None
    assert stack.refusal.code is RefusalCode.NO_POSITION
