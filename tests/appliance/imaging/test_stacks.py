# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What belongs together is one stack, what does not is several, and what cannot be read says so."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from pydicom.uid import EnhancedCTImageStorage, SecondaryCaptureImageStorage

from appliance.errors import RefusalCode
from appliance.imaging.stacks import Stack, stacks
from tests.appliance.imaging.scans import ROOT, head, headers_only, image, series


def stacks_of(images: list) -> tuple[Stack, ...]:
    return stacks(headers_only(images))


def rename(images: list, group: str, **attributes: Any) -> list:
    """Return the images with UIDs of their own and other attributes."""
    for dataset in images:
        dataset.SOPInstanceUID = f"{dataset.SOPInstanceUID}.{group}"
        for keyword, value in attributes.items():
            setattr(dataset, keyword, value)
    return images


def test_one_scan_is_one_stack_foot_first() -> None:
    images = series()
    random.Random(1).shuffle(images)
    (stack,) = stacks_of(images)
    assert [int(instance.header.InstanceNumber) for instance in stack.instances] == list(range(1, 9))
    assert stack.refusal is None
    assert stack.complete
    assert stack.missing is None
    assert stack.geometry is not None
    assert stack.geometry.spacing_mm == 5
    assert stack.geometry.extent_mm == 40
    assert stack.geometry.tilt_deg == 0


def test_the_stacks_do_not_depend_on_the_order_of_the_instances() -> None:
    images = series() + rename(series(), "2", SeriesInstanceUID=f"{ROOT}.2", SeriesNumber=2)
    expected = [[i.uid for i in stack.instances] for stack in stacks_of(images)]
    for seed in range(5):
        random.Random(seed).shuffle(images)
        assert [[i.uid for i in stack.instances] for stack in stacks_of(images)] == expected


def test_the_slice_set_hash_follows_the_slices_and_nothing_else() -> None:
    images = series()
    (whole,) = stacks_of(images)
    (again,) = stacks_of(list(reversed(series(RescaleSlope=2))))
    (fewer,) = stacks_of(images[:-1])
    assert whole.slice_set_hash == again.slice_set_hash != fewer.slice_set_hash
    assert len(whole.slice_set_hash) == 64


@pytest.mark.parametrize(
    "other",
    [
        {"ConvolutionKernel": "H60s"},
        {"PixelSpacing": [7.5, 7.5]},
        {"FrameOfReferenceUID": "1.2.3"},
        {"AcquisitionNumber": 2},
        {"ContrastBolusAgent": "OMNIPAQUE"},
        {"AcquisitionTime": "120500"},
        {"ImageType": ["DERIVED", "SECONDARY", "AXIAL"]},
        {"KVP": 140},
        {"TemporalPositionIdentifier": 2},
    ],
    ids=lambda other: next(iter(other)),
)
def test_two_scans_in_one_series_are_two_stacks(other: dict) -> None:
    found = stacks_of(series() + rename(series(), "2", **other))
    assert [len(stack.instances) for stack in found] == [8, 8]
    assert all(not stack.copies and stack.complete and stack.refusal is None for stack in found)


def test_reformats_in_the_series_of_their_source_are_a_stack_of_their_own() -> None:
    coronal = [
        image(np.zeros((32, 32)), (-100, 5 * y, 0), uid=f"1.2.{y}", orientation=(1, 0, 0, 0, 0, -1)) for y in range(6)
    ]
    assert sorted(len(stack.instances) for stack in stacks_of(series() + coronal)) == [6, 8]


def test_another_matrix_is_another_stack() -> None:
    small = series(head(8, 24))
    found = stacks_of(series() + rename(small, "2"))
    assert sorted(stack.geometry.plane.rows for stack in found if stack.geometry) == [24, 32]


def test_two_phases_are_told_apart_by_time_though_each_slice_has_its_own() -> None:
    images = series() + rename(series(), "2")
    for second, dataset in enumerate(images):
        dataset.AcquisitionTime = f"1200{second:02}.5"
    found = stacks_of(images)
    assert [(stack.pass_number, stack.passes, len(stack.instances)) for stack in found] == [(1, 2, 8), (2, 2, 8)]
    assert not str(found[0].instances[0].uid).endswith(".2")


def test_an_acquisition_number_for_every_rotation_does_not_split_a_scan() -> None:
    images = series()
    for number, dataset in enumerate(images):
        dataset.AcquisitionNumber = number // 2
    (stack,) = stacks_of(images)
    assert len(stack.instances) == 8


def test_two_acquisitions_whose_slices_lie_among_each_other_are_two_stacks() -> None:
    later = series(positions_mm=np.arange(8) * 5 + 2.0)
    found = stacks_of(series() + rename(later, "2", AcquisitionNumber=2))
    assert [len(stack.instances) for stack in found] == [8, 8]


def test_most_of_a_scan_scanned_again_is_a_stack_of_its_own() -> None:
    found = stacks_of(series() + rename(series()[2:], "2", AcquisitionNumber=2))
    assert [len(stack.instances) for stack in found] == [8, 6]


def test_twenty_phases_are_twenty_passes() -> None:
    images = [
        dataset for phase in range(20) for dataset in rename(series(head(3)), str(phase), AcquisitionNumber=phase)
    ]
    found = stacks_of(images)
    assert [stack.pass_number for stack in found] == list(range(1, 21))
    assert {stack.passes for stack in found} == {20}


def test_a_missing_slice_is_said_with_its_place() -> None:
    images = series()
    below = images[3].SOPInstanceUID
    del images[4]
    (stack,) = stacks_of(images)
    assert not stack.complete
    assert stack.refusal is None
    assert stack.missing == f"about 1 slice is missing: 10.0 mm above image {below}, where 5.0 mm is usual"
    assert stack.missing_refusal is not None
    assert stack.missing_refusal.code is RefusalCode.MISSING_SLICE


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ({"Modality": "MR"}, RefusalCode.NOT_CT),
        ({"Modality": None}, RefusalCode.NOT_CT),
        ({"SOPClassUID": SecondaryCaptureImageStorage}, RefusalCode.NOT_CT),
        ({"SOPClassUID": EnhancedCTImageStorage}, RefusalCode.ENHANCED_CT),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, RefusalCode.LOCALIZER),
        ({"ImagePositionPatient": None}, RefusalCode.NO_POSITION),
        ({"ImagePositionPatient": [0, 0]}, RefusalCode.NO_POSITION),
        ({"ImagePositionPatient": ["nan", 0, 0]}, RefusalCode.NO_POSITION),
        ({"ImagePositionPatient": ["1e12", 0, 0]}, RefusalCode.NO_POSITION),
        ({"ImageOrientationPatient": None}, RefusalCode.NO_POSITION),
        ({"ImageOrientationPatient": [0, 0, 0, 0, 0, 0]}, RefusalCode.NO_POSITION),
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, RefusalCode.NO_POSITION),
        ({"ImageOrientationPatient": [2, 0, 0, 0, 2, 0]}, RefusalCode.NO_POSITION),
        ({"Rows": 0}, RefusalCode.BAD_GEOMETRY),
        ({"Rows": None}, RefusalCode.BAD_GEOMETRY),
        ({"Columns": 65535}, RefusalCode.BAD_GEOMETRY),
        ({"PixelSpacing": None}, RefusalCode.BAD_GEOMETRY),
        ({"PixelSpacing": [0, 0]}, RefusalCode.BAD_GEOMETRY),
        ({"PixelSpacing": [1]}, RefusalCode.BAD_GEOMETRY),
        ({"RescaleSlope": None}, RefusalCode.NO_RESCALE),
        ({"RescaleSlope": [1, 1]}, RefusalCode.NO_RESCALE),
        ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, RefusalCode.BAD_PIXELS),
    ],
    ids=repr,
)
def test_a_series_that_cannot_be_read_is_one_refused_stack(attributes: dict, code: RefusalCode) -> None:
    images = [image(np.zeros((32, 32)), (0, 0, 5 * z), number=z + 1, **attributes) for z in range(4)]
    (stack,) = stacks_of(images)
    assert stack.refusal is not None
    assert stack.refusal.code is code
    assert stack.refusal.series_uid == stack.series_uid
    assert stack.refusal.reason
    assert len(stack.instances) == 4


@pytest.mark.parametrize(
    "damage",
    [{"ImagePositionPatient": None}, {"Rows": 0}, {"RescaleIntercept": None}, {"BitsStored": 40}],
    ids=repr,
)
def test_one_damaged_slice_refuses_its_stack_and_is_named(damage: dict) -> None:
    images = series()
    images[4] = image(np.zeros((32, 32)), images[4].ImagePositionPatient, number=5, **damage)
    (stack,) = stacks_of(images)
    assert stack.refusal is not None
    assert images[4].SOPInstanceUID in stack.refusal.reason


def test_a_localizer_or_a_page_of_figures_within_a_series_leaves_its_slices_alone() -> None:
    scout = image(np.zeros((32, 32)), (0, 0, 0), number=90, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    page = image(
        np.zeros((32, 32)), (0, 0, 0), number=91, ImageType=["DERIVED", "SECONDARY", "OTHER"], ImagePositionPatient=None
    )
    slices, *others = stacks_of([*series(), scout, page])
    assert len(slices.instances) == 8
    assert slices.refusal is None
    assert [stack.refusal.code for stack in others if stack.refusal] == [
        RefusalCode.LOCALIZER,
        RefusalCode.NO_POSITION,
    ]


def test_slices_that_jump_sideways_are_no_stack() -> None:
    images = series()
    images[4].ImagePositionPatient = [-60, -100, 20]
    (stack,) = stacks_of(images)
    assert stack.refusal is not None
    assert stack.refusal.code is RefusalCode.BAD_GEOMETRY
    assert images[4].SOPInstanceUID in stack.refusal.reason


def test_one_uid_at_two_positions_is_no_stack() -> None:
    images = series()
    images[4].SOPInstanceUID = images[3].SOPInstanceUID
    (stack,) = stacks_of(images)
    assert stack.refusal is not None
    assert stack.refusal.code is RefusalCode.BAD_GEOMETRY


def test_the_same_file_twice_is_a_copy() -> None:
    (stack,) = stacks_of([*series(), series()[2]])
    assert len(stack.instances) == 8
    assert [z for z, _ in stack.copies] == [2]


def test_rounded_orientations_do_not_split_a_scan() -> None:
    images = series()
    for index, dataset in enumerate(images):
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 0.99999, 0.0001 * (index % 2)]
    (stack,) = stacks_of(images)
    assert len(stack.instances) == 8


@pytest.mark.parametrize(
    ("orientation", "name"),
    [
        ([1, 0, 0, 0, 1, 0], "axial"),
        ([0, 1, 0, 1, 0, 0], "axial"),
        ([1, 0, 0, 0, 0, -1], "coronal"),
        ([0, 1, 0, 0, 0, -1], "sagittal"),
        ([1, 0, 0, 0, 0.70710678, 0.70710678], "oblique"),
    ],
)
def test_planes_are_named(orientation: list, name: str) -> None:
    stack = stacks_of(
        [image(np.zeros((32, 32)), (5 * z, 5 * z, 5 * z), number=z, orientation=orientation) for z in range(3)]
    )[0]
    assert stack.geometry is not None
    assert stack.geometry.orientation == name


def test_no_instances_are_no_stacks() -> None:
    assert stacks([]) == ()
