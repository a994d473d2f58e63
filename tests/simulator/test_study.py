# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A study on disk: the same from the same spec, its truth in step with its files."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.pixels import apply_rescale

from simulator.dicom import TransferSyntax
from simulator.series import EVERY_SERIES, PatientPosition, SeriesKind
from simulator.study import StudySpec, WrittenStudy, axial_geometry, write_stacks
from simulator.vendors import VENDORS
from tests.simulator.tiny_study import SLICES, tiny_stacks

SPEC = StudySpec(7, "iph", vendor="northway", series=())
UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")


def write(folder: Path, spec: StudySpec = SPEC, tilt_deg: float = 0.0, **stacks: object) -> WrittenStudy:
    return write_stacks(tiny_stacks(tilt_deg, **stacks), spec, folder)  # type: ignore[arg-type]


def axial_foot_first(study: WrittenStudy) -> list[Dataset]:
    """Read the axial series from its files alone, by rising position along the normal that points to the head."""
    datasets = [pydicom.dcmread(path) for path in study.files[SeriesKind.AXIAL]]

    def position(dataset: Dataset) -> float:
        cosines = np.asarray(dataset.ImageOrientationPatient, float)
        normal = np.cross(cosines[:3], cosines[3:])
        return float(normal * np.sign(normal[2]) @ np.asarray(dataset.ImagePositionPatient, float))

    return sorted(datasets, key=position)


def hu(datasets: list[Dataset]) -> np.ndarray:
    """Return the HU [Z, Y, X] with everything below air (padding too) at -1024."""
    return np.maximum([apply_rescale(d.pixel_array, d) for d in datasets], -1024)


def test_the_same_spec_gives_the_same_bytes(tmp_path: Path) -> None:
    spec = dataclasses.replace(SPEC, series=EVERY_SERIES)
    first, second = write(tmp_path / "a", spec), write(tmp_path / "b", spec)
    names = sorted(path.name for path in first.folder.iterdir())
    assert names == sorted(path.name for path in second.folder.iterdir())
    assert [name for name in names if (first.folder / name).read_bytes() != (second.folder / name).read_bytes()] == []


def test_other_specs_have_other_uids(tmp_path: Path) -> None:
    others = [SPEC, dataclasses.replace(SPEC, seed=8), dataclasses.replace(SPEC, diagnosis="none")]
    studies = [write(tmp_path / str(i), spec).truth for i, spec in enumerate(others)]
    assert len({truth.study_uid for truth in studies}) == 3
    assert len({uid for truth in studies for uid in truth.series[0].instance_uids}) == 3 * SLICES


def test_new_uids_change_nothing_but_uids(tmp_path: Path) -> None:
    first = write(tmp_path / "a")
    second = write(tmp_path / "b", dataclasses.replace(SPEC, new_uids=True))
    third = write(tmp_path / "c", dataclasses.replace(SPEC, new_uids=True))
    assert len({study.truth.study_uid for study in (first, second, third)}) == 3
    for one, other in zip(first.all_files, second.all_files, strict=True):
        pair = [pydicom.dcmread(path) for path in (one, other)]
        for keyword in UIDS:
            assert pair[0][keyword].value != pair[1][keyword].value
            for dataset in pair:
                del dataset[keyword]
        assert pair[0] == pair[1]
    np.testing.assert_array_equal(np.load(first.folder / "truth.npy"), np.load(second.folder / "truth.npy"))


@pytest.mark.parametrize(
    ("tilt_deg", "steps_mm"), [(0.0, (20.0,) * 6), (17.0, (20.0,) * 6), (0.0, (2.5, 2.5, 2.5, 5.0, 5.0, 5.0))]
)
def test_labelled_voxels_times_pixel_area_times_distance_is_the_volume_in_truth_json(
    tilt_deg: float, steps_mm: tuple[float, ...], tmp_path: Path
) -> None:
    study = write(tmp_path, tilt_deg=tilt_deg, steps_mm=steps_mm)
    truth = json.loads((tmp_path / "truth.json").read_text())
    labels = np.load(tmp_path / "truth.npy")
    datasets = axial_foot_first(study)
    cosines = np.asarray(datasets[0].ImageOrientationPatient, float)
    positions = np.array([d.ImagePositionPatient for d in datasets], float) @ np.cross(cosines[:3], cosines[3:])
    gaps = np.diff(positions)
    spans = (np.append(gaps[0], gaps) + np.append(gaps, gaps[-1])) / 2
    area = float(np.prod(np.asarray(datasets[0].PixelSpacing, float)))
    volume = float((labels > 0).sum(axis=(1, 2)) @ spans * area / 1000)
    assert volume > 5
    assert truth["volume_ml"] == pytest.approx(volume, rel=1e-5)
    assert sum(truth["volumes_ml"].values()) == pytest.approx(truth["volume_ml"])
    assert truth["type"] == "iph"


def test_truth_names_the_slices_that_hold_blood(tmp_path: Path) -> None:
    study = write(tmp_path, dataclasses.replace(SPEC, vendor="rheinwald"))
    truth = json.loads((tmp_path / "truth.json").read_text())
    labels = np.load(tmp_path / "truth.npy")
    datasets = axial_foot_first(study)
    assert truth["series_uid"] == datasets[0].SeriesInstanceUID
    assert [(s["index"], s["sop_instance_uid"]) for s in truth["slices"]] == [
        (z, datasets[z].SOPInstanceUID) for z in range(SLICES) if labels[z].any()
    ]
    for number, entry in enumerate(truth["series"]):
        for uid, name in zip(entry["instance_uids"], entry["files"], strict=True):
            header = pydicom.dcmread(tmp_path / name)
            assert (header.SOPInstanceUID, header.SeriesInstanceUID) == (uid, truth["series"][number]["series_uid"])


def test_the_truth_says_what_volume_was_wanted_beside_what_is_labelled(tmp_path: Path) -> None:
    labelled_ml = write(tmp_path / "drawn").truth.volumes_ml["iph"]
    near, far = (
        write(tmp_path / name, dataclasses.replace(SPEC, volume_ml=times * labelled_ml))
        for name, times in (("near", 1.2), ("far", 2.0))
    )
    none = write(tmp_path / "none", dataclasses.replace(SPEC, diagnosis="none"))

    assert json.loads((tmp_path / "far" / "truth.json").read_text())["wanted_ml"] == 2 * labelled_ml
    assert (near.volume_fits, far.volume_fits) == (True, False)
    assert (none.truth.wanted_ml, none.volume_fits) == (None, True)


def test_the_volume_wanted_is_the_seeds_own_where_none_is_asked_for(tmp_path: Path) -> None:
    wanted = [write(tmp_path / str(seed), dataclasses.replace(SPEC, seed=seed)).truth.wanted_ml for seed in (7, 8)]

    assert wanted == [dataclasses.replace(SPEC, seed=seed).wanted_ml for seed in (7, 8)]
    assert wanted[0] != wanted[1]


@pytest.mark.parametrize("position", PatientPosition)
def test_truth_lies_on_the_pixels_as_stored_in_every_orientation(position: PatientPosition, tmp_path: Path) -> None:
    study = write(tmp_path, dataclasses.replace(SPEC, orientation=position), tilt_deg=10.0)
    values, labels = hu(axial_foot_first(study)), np.load(tmp_path / "truth.npy")
    assert labels.dtype == np.uint8
    assert values[labels == 1].mean() > 60
    assert (values[(labels == 0) & (values > 0) & (values < 100)] < 50).all()


@pytest.mark.parametrize("position", PatientPosition)
def test_headers_put_the_blood_at_the_same_millimetres_in_every_orientation(
    position: PatientPosition, tmp_path: Path
) -> None:
    study = write(tmp_path, dataclasses.replace(SPEC, orientation=position), tilt_deg=10.0, steps_mm=(6.0,) * 20)
    labels = np.load(tmp_path / "truth.npy")
    points = []
    for plane, dataset in zip(labels, axial_foot_first(study), strict=True):
        rows, columns = np.nonzero(plane)
        cosines = np.asarray(dataset.ImageOrientationPatient, float)
        dy, dx = map(float, dataset.PixelSpacing)
        origin = np.asarray(dataset.ImagePositionPatient, float)
        points.append(origin + np.outer(columns * dx, cosines[:3]) + np.outer(rows * dy, cosines[3:]))
    np.testing.assert_allclose(np.concatenate(points).mean(axis=0), (30, 20, 5), atol=1.5)
    assert dataset.PatientPosition == position


def test_vendors_number_formats_and_transfer_syntaxes_hold_the_same_hu(tmp_path: Path) -> None:
    reference = hu(axial_foot_first(write(tmp_path / "reference")))
    specs = [
        *(
            dataclasses.replace(SPEC, vendor=vendor, signed=signed)
            for vendor in VENDORS
            for signed in (None, True, False)
        ),
        *(dataclasses.replace(SPEC, transfer_syntax=syntax) for syntax in TransferSyntax),
    ]
    for number, spec in enumerate(specs):
        datasets = axial_foot_first(write(tmp_path / str(number), spec))
        np.testing.assert_array_equal(hu(datasets), reference)
        assert spec.signed is None or datasets[0].PixelRepresentation == spec.signed
        assert datasets[0].file_meta.TransferSyntaxUID == spec.transfer_syntax.uid


def test_a_shorter_study_leaves_no_file_of_the_longer_one_before_it(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    write(tmp_path, dataclasses.replace(SPEC, series=EVERY_SERIES))
    study = write(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [*(path.name for path in study.all_files), "notes.txt", "truth.json", "truth.npy"]
    )


def test_some_vendors_send_one_or_two_scouts_unasked() -> None:
    assert {StudySpec(1, "none", vendor=vendor).kinds for vendor in VENDORS} == {
        (SeriesKind.AXIAL,),
        (SeriesKind.AXIAL, SeriesKind.SCOUT),
        (SeriesKind.AXIAL, SeriesKind.SCOUT, SeriesKind.FRONTAL_SCOUT),
    }


@pytest.mark.parametrize(
    "options",
    [
        {"diagnosis": "tumour"},
        {"vendor": "nobody"},
        {"mixed_spacing": True, "spacing_mm": 5.0},
        {"diagnosis": "none", "volume_ml": 3.0},
    ],
)
def test_a_spec_that_no_study_can_meet_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"diagnosis|vendor|spacing|volume"):
        StudySpec(**{"seed": 1, "diagnosis": "iph", **options})  # type: ignore[arg-type]


def test_axial_geometry_keeps_the_field_of_view_at_any_matrix() -> None:
    large, small = (axial_geometry(StudySpec(5, "none", matrix=matrix)) for matrix in (768, 256))
    assert (large.rows, small.columns) == (768, 256)
    assert large.pixel_spacing_mm[0] * 768 == pytest.approx(small.pixel_spacing_mm[0] * 256)
    assert large.positions_mm == small.positions_mm


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_axial_geometry_covers_the_head_with_the_slices_or_the_spacing_asked_for(seed: int) -> None:
    drawn = axial_geometry(StudySpec(seed, "none"))
    height = drawn.spans_mm.sum()
    many = axial_geometry(StudySpec(seed, "none", slices=320))
    assert many.shape[0] == 320
    assert many.spans_mm.sum() == pytest.approx(height)
    coarse = axial_geometry(StudySpec(seed, "none", spacing_mm=7.5))
    np.testing.assert_allclose(np.diff(coarse.positions_mm), 7.5)
    assert coarse.spans_mm.sum() == pytest.approx(height, abs=7.5)
    both = axial_geometry(StudySpec(seed, "none", slices=12, spacing_mm=5.0, tilt_deg=-9.0))
    assert (both.shape[0], both.tilt_deg) == (12, -9.0)
    np.testing.assert_allclose(np.diff(both.positions_mm), 5.0)


def test_mixed_spacing_has_touching_thin_slices_below_and_thick_ones_above() -> None:
    geometry = axial_geometry(StudySpec(4, "none", mixed_spacing=True))
    steps = np.diff(geometry.positions_mm)
    assert set(steps.round(6)) == {2.5, 3.75, 5.0}
    assert (np.diff(steps) > -1e-9).all()
    assert set(geometry.thickness_mm) == {2.5, 5.0}
