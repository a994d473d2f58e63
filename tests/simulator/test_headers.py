# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The vendors' headers: valid to the standard's validator, telling nothing of the diagnosis."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pydicom
import pytest

from simulator import vendors
from simulator.anatomy import Anatomy
from simulator.headers import Descriptions, Examination
from simulator.population import POPULATIONS, REALISTIC, TRAINING, Population
from simulator.series import EVERY_SERIES, PatientPosition, SeriesKind
from simulator.study import StudySpec, WrittenStudy, write_stacks
from simulator.vendors import VENDORS, VendorName, vendor_of
from tests.simulator.tiny_study import tiny_stacks


@pytest.fixture(scope="module", params=list(VENDORS))
def full(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> WrittenStudy:
    """A study of every kind of series from each vendor in turn."""
    spec = StudySpec(7, "iph", series=EVERY_SERIES, vendor=request.param, descriptions=Descriptions.VENDOR)
    return write_stacks(tiny_stacks(), spec, tmp_path_factory.mktemp(request.param))


def errors(path: Path) -> list[str]:
    """Return the error lines that dciodvfy prints of a file."""
    run = subprocess.run(["dciodvfy", "-new", path], capture_output=True, text=True, check=False)
    lines = (run.stdout + run.stderr).splitlines()
    assert any("IODName" in line or "CTImage" in line or "SCImage" in line for line in lines), lines
    return [line for line in lines if line.startswith("Error")]


@pytest.mark.parametrize("kind", SeriesKind)
def test_dciodvfy_finds_no_error(full: WrittenStudy, kind: SeriesKind) -> None:
    assert [errors(path) for path in full.files[kind][:2]] == [[]] * len(full.files[kind][:2])


@pytest.mark.parametrize("vendor", VENDORS)
def test_dciodvfy_finds_no_error_on_tilted_unevenly_spaced_slices_of_a_prone_patient(
    vendor: str, tmp_path: Path
) -> None:
    spec = StudySpec(
        8, "none", vendor=vendor, orientation=PatientPosition.FFP, descriptions=Descriptions.MISSING, series=()
    )
    written = write_stacks(tiny_stacks(12.0, (2.5, 2.5, 5.0, 5.0)), spec, tmp_path)
    assert errors(written.all_files[2]) == []


@pytest.mark.parametrize("population", [TRAINING, REALISTIC, POPULATIONS["all new"]])
def test_the_age_is_that_of_the_head(population: Population) -> None:
    assert Examination.draw(3).age_years == int(Anatomy.draw(3, population).build.age_years)


def test_names_are_simulated_ones_and_readable_in_their_character_set(full: WrittenStudy) -> None:
    header = pydicom.dcmread(full.all_files[0])
    name = str(header.PatientName)
    assert "7" in name
    assert any(word in name.upper() for word in ("SIMULATED", "SIMULÉ", "СИМУЛЯЦИЯ"))
    assert header.PatientID == "SIM-000007"
    assert "imulated" in header.PatientComments


def test_headers_do_not_tell_the_finding(full: WrittenStudy, tmp_path: Path) -> None:
    spec = StudySpec(
        7, "none", series=EVERY_SERIES, vendor=full.truth.request["vendor"], descriptions=Descriptions.VENDOR
    )
    clean = write_stacks(tiny_stacks(), spec, tmp_path)
    for with_blood, without in zip(full.all_files, clean.all_files, strict=True):
        pair = [pydicom.dcmread(path, stop_before_pixels=True) for path in (with_blood, without)]
        for header in pair:
            for uid in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"):
                if uid in header:
                    del header[uid]
        assert pair[0] == pair[1]


def test_instance_numbers_rise_against_the_position_for_some_vendors_and_with_it_for_others() -> None:
    assert {vendor.head_first_instances for vendor in VENDORS.values()} == {True, False}


def test_every_vendor_is_drawn_by_some_seed() -> None:
    assert {vendor_of(seed) for seed in range(60)} == set(VENDORS)


@pytest.mark.parametrize("mode", Descriptions)
def test_series_descriptions_are_as_truthful_as_asked(mode: Descriptions, tmp_path: Path) -> None:
    spec = StudySpec(7, "iph", series=(), vendor="northway", descriptions=mode)
    written = write_stacks(tiny_stacks(), spec, tmp_path)
    description = pydicom.dcmread(written.all_files[0]).get("SeriesDescription")
    if mode is Descriptions.VENDOR:
        assert description == "20MM STANDARD"
    elif mode is Descriptions.MISSING:
        assert description is None
    elif mode is Descriptions.SWAPPED:
        assert description == "20MM BONE"
    elif mode is Descriptions.LOCAL:
        assert description == "Crâne 20.0 mm"
    else:
        assert description in VENDORS[VendorName.NORTHWAY].leftovers


def test_two_scouts_are_one_series_for_some_vendors_and_two_for_others(full: WrittenStudy) -> None:
    records = {record.kind: record for record in full.truth.series}
    side, front = records["scout"], records["frontal-scout"]
    joined = VENDORS[VendorName(full.truth.request["vendor"])].joins_scouts
    assert (side.series_uid == front.series_uid) is joined
    assert (side.number == front.number) is joined
    assert not set(side.files) & set(front.files)
    assert {vendor.joins_scouts for vendor in VENDORS.values()} == {True, False}


def test_what_was_scanned_after_contrast_agent_says_so_unless_the_vendor_leaves_it_out(full: WrittenStudy) -> None:
    agent = VENDORS[VendorName(full.truth.request["vendor"])].contrast_agent
    after = {SeriesKind.CTA, SeriesKind.MIP, SeriesKind.CONTRAST}
    for kind, files in full.files.items():
        header = pydicom.dcmread(files[0], stop_before_pixels=True)
        assert header.get("ContrastBolusAgent") == (agent if kind in after else None)
    assert {vendor.contrast_agent is None for vendor in VENDORS.values()} == {True, False}


def test_scans_follow_one_another_scouts_first_and_contrast_agent_last(full: WrittenStudy) -> None:
    order = [SeriesKind.SCOUT, SeriesKind.AXIAL, SeriesKind.RESCAN, SeriesKind.CTA, SeriesKind.CONTRAST]
    headers = [pydicom.dcmread(full.files[kind][0], stop_before_pixels=True) for kind in order]
    times = [float(header.AcquisitionTime) for header in headers]
    assert times == sorted(times)
    assert len({int(header.AcquisitionNumber) for header in headers}) == len(order)


def test_the_dose_is_on_one_page_for_some_vendors_and_on_two_for_others(full: WrittenStudy) -> None:
    pages = VENDORS[VendorName(full.truth.request["vendor"])].dose_pages
    assert len(full.files[SeriesKind.DOSE]) == pages
    assert {vendor.dose_pages for vendor in VENDORS.values()} == {1, 2}


@pytest.mark.parametrize(
    ("line", "instead", "says"),
    [
        ('model = "Lumen 128"', 'modell = "Lumen 128"', "polder: .*modell"),
        ("[akane", "[akana", "akana, akane"),
        ("coronal = {", "coronel = {", "northway: .*coronal"),
        ('scouts = ["scout"]', 'scouts = ["scowt"]', "rheinwald: .*scowt"),
    ],
)
def test_a_vendor_table_with_a_misspelt_entry_is_refused_by_name(tmp_path, line, instead, says):
    table = Path(vendors.__file__).with_name("vendors.toml").read_text(encoding="utf-8")
    assert line in table
    path = tmp_path / "vendors.toml"
    path.write_text(table.replace(line, instead), encoding="utf-8")

    with pytest.raises(ValueError, match=says):
        vendors.read_vendors(path)
