# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A whole head-CT study as DICOM files with its truth beside them: what was asked for, and the writing of it.

`write_study` simulates the scan and writes it; `write_scan` writes a scan that is there already (with new UIDs, another
vendor, orientation or transfer syntax), which costs seconds less.
"""

from __future__ import annotations

import dataclasses
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset

from simulator.bleeding import fits, wanted_ml
from simulator.contrast import Phase, enhance
from simulator.diagnosis import Diagnosis
from simulator.dicom import Storage, TransferSyntax, Uids, set_ct_pixels, set_gray_pixels, write_dicom
from simulator.fields import stream
from simulator.geometry import ScanGeometry, draw_geometry
from simulator.head import SimulatedHead
from simulator.headers import Descriptions, Examination, ct_header, dose_header, dose_page_lines
from simulator.population import POPULATIONS, REALISTIC
from simulator.scan import SimulatedScan, simulate_scan
from simulator.scanner import Kernel
from simulator.series import (
    AXIAL_KINDS,
    SCOUTS,
    SHARP_KINDS,
    PatientPosition,
    Planes,
    Protocol,
    SeriesKind,
    project_scout,
    series_geometry,
    slabs,
    turn_planes,
    within_circle,
)
from simulator.truth import TRUTH_JSON, SeriesRecord, Truth, slice_volumes_ml, true_slices, write_truth
from simulator.vendors import VENDORS, Vendor, VendorName, vendor_of

_PHASES: Final = {
    SeriesKind.CTA: Phase.ARTERIAL,
    SeriesKind.MIP: Phase.ARTERIAL,
    SeriesKind.CONTRAST: Phase.DELAYED,
}
_DOSE_PAGE_PX: Final = 512
_THIN_MM, _THICK_MM = 2.5, 5.0
_NAMED: Final[Mapping[str, type[StrEnum]]] = {
    "diagnosis": Diagnosis,
    "vendor": VendorName,
    "orientation": PatientPosition,
    "transfer_syntax": TransferSyntax,
    "descriptions": Descriptions,
}


@dataclass(frozen=True)
class StudySpec:
    """What a study is to be. The same spec gives the same bytes, unless `new_uids` is set.

    Wherever an enumeration is asked for, its value as a string does.

    Attributes
    ----------
    seed: of the patient, the bleed, the scanner and everything else that is not said below.
    diagnosis: the type of blood, or none.
    volume_ml: how much blood, mL; None draws it.
    series: kinds of series beside the axial soft-tissue one, which is always there; None leaves it to the vendor
        (some send their scout with every study).
    vendor: whose header habits; None draws them.
    slices, spacing_mm, matrix, tilt_deg: geometry of the axial series. None keeps the seed's; slices without a spacing
        cover the seed's range, both together cover what they cover around its middle.
    mixed_spacing: 2.5 mm slices through the skull base, 5 mm above.
    orientation: how the patient lies, and so how the planes are stored.
    transfer_syntax: of the CT images and the dose page.
    signed: number format; None keeps the vendor's own.
    descriptions: how truthful series descriptions are; None draws it.
    new_uids: UIDs that no study had before.
    population: name of what head, bleed and scanner are drawn from (`population.POPULATIONS`).
    """

    seed: int
    diagnosis: Diagnosis
    volume_ml: float | None = None
    series: tuple[SeriesKind, ...] | None = None
    vendor: VendorName | None = None
    slices: int | None = None
    spacing_mm: float | None = None
    matrix: int = 512
    tilt_deg: float | None = None
    mixed_spacing: bool = False
    orientation: PatientPosition = PatientPosition.HFS
    transfer_syntax: TransferSyntax = TransferSyntax.EXPLICIT
    signed: bool | None = None
    descriptions: Descriptions | None = None
    new_uids: bool = False
    population: str = REALISTIC.name

    def __post_init__(self) -> None:
        """Take names for what they name, and refuse what no study can be."""
        for option, kinds in _NAMED.items():
            value = getattr(self, option)
            if value is not None and value not in list(kinds):
                raise ValueError(f"{option} is one of {', '.join(kinds)}, not {value!r}")
            object.__setattr__(self, option, None if value is None else kinds(value))
        if self.series is not None:
            object.__setattr__(self, "series", tuple(SeriesKind(kind) for kind in self.series))
        if self.population not in POPULATIONS:
            raise ValueError(f"population is one of {', '.join(POPULATIONS)}, not {self.population!r}")
        if self.mixed_spacing and self.spacing_mm is not None:
            raise ValueError("mixed spacing is 2.5 and 5 mm; it takes no spacing beside it")
        if self.diagnosis is Diagnosis.NONE and self.volume_ml:
            raise ValueError("a study without hemorrhage has no volume")

    @property
    def wanted_ml(self) -> float | None:
        """How much blood of the type is to be labelled, mL: as asked for, or the seed's; None without a diagnosis."""
        if self.diagnosis is Diagnosis.NONE:
            return None
        return wanted_ml(self.seed, self.diagnosis, self.volume_ml, POPULATIONS[self.population])

    @property
    def vendor_name(self) -> VendorName:
        """The vendor asked for, or the seed's."""
        return self.vendor or vendor_of(self.seed)

    @property
    def kinds(self) -> tuple[SeriesKind, ...]:
        """The kinds of series that the study has, in `SeriesKind`'s order, the axial one always."""
        asked = self.series
        if asked is None:
            asked = VENDORS[self.vendor_name].scouts
        return tuple(kind for kind in SeriesKind if kind in asked or kind is SeriesKind.AXIAL)

    def as_json(self) -> dict[str, Any]:
        """Return the spec as plain values, as `truth.json` keeps it."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class WrittenStudy:
    """A study on disk: its folder, its truth, and its DICOM files by kind of series and rising position."""

    folder: Path
    truth: Truth
    files: Mapping[SeriesKind, tuple[Path, ...]]

    @property
    def volume_fits(self) -> bool:
        """Whether the labels of the type asked for hold about the volume wanted."""
        wanted = self.truth.wanted_ml
        return wanted is None or fits(wanted, self.truth.volumes_ml[self.truth.type])

    @property
    def all_files(self) -> tuple[Path, ...]:
        """Every DICOM file of the study."""
        return tuple(path for paths in self.files.values() for path in paths)


def axial_geometry(spec: StudySpec) -> ScanGeometry:
    """Return the planes of the axial soft-tissue series that `spec` asks for."""
    drawn = draw_geometry(spec.seed, POPULATIONS[spec.population])
    steps = drawn.spans_mm
    low, high = drawn.positions_mm[0] - steps[0] / 2, drawn.positions_mm[-1] + steps[-1] / 2
    if spec.mixed_spacing:
        # Two fifths of the range, in whole slices; the last thin and the first thick slice touch.
        thin = round(0.4 * (high - low) / _THIN_MM) if spec.slices is None else spec.slices // 2
        thick = int((high - low - thin * _THIN_MM) / _THICK_MM) if spec.slices is None else spec.slices - thin
        steps = np.repeat([_THIN_MM, _THICK_MM], [thin, thick])
    elif spec.slices is not None or spec.spacing_mm is not None:
        spacing = spec.spacing_mm or (high - low) / (spec.slices or 1)
        steps = np.full(spec.slices or max(2, int((high - low) / spacing)), spacing)
    if spec.mixed_spacing or spec.slices is not None or spec.spacing_mm is not None:
        positions = (low + high - steps.sum()) / 2 + np.cumsum(steps) - steps / 2
        drawn = dataclasses.replace(
            drawn, positions_mm=tuple(positions.tolist()), thickness_mm=tuple(steps.astype(float).tolist())
        )
    pixel_mm = max(drawn.rows, drawn.columns) * drawn.pixel_spacing_mm[0] / spec.matrix
    return dataclasses.replace(
        drawn,
        rows=spec.matrix,
        columns=spec.matrix,
        pixel_spacing_mm=(pixel_mm, pixel_mm),
        tilt_deg=drawn.tilt_deg if spec.tilt_deg is None else spec.tilt_deg,
    )


def simulate(spec: StudySpec) -> SimulatedScan:
    """Return the scan whose study `spec` describes: the slow part of `write_study`."""
    return simulate_scan(
        spec.seed,
        spec.diagnosis,
        volume_ml=spec.volume_ml,
        geometry=axial_geometry(spec),
        population=POPULATIONS[spec.population],
    )


def stacks_of(scan: SimulatedScan, kinds: tuple[SeriesKind, ...]) -> dict[SeriesKind, Planes]:
    """Return the CT series of `kinds`, each as its own reconstruction of the same head on the same scanner."""
    protocol = Protocol.draw(stream(scan.seed, "protocol"))
    heads: dict[Phase | None, SimulatedHead] = {None: scan.head}
    stacks: dict[SeriesKind, Planes] = {}
    for kind in kinds:
        if kind is SeriesKind.DOSE:
            continue
        geometry = series_geometry(kind, scan.geometry, protocol)
        if kind is SeriesKind.AXIAL:
            stack = Planes.on(geometry, scan.hu, scan.labels)
        elif kind is SeriesKind.MIP and SeriesKind.CTA in stacks:
            stack = stacks[SeriesKind.CTA]
        else:
            phase = _PHASES.get(kind)
            if phase is not None and phase not in heads:
                heads[phase] = enhance(scan.head, phase)
            kernel = Kernel.BONE if kind in SHARP_KINDS else Kernel.SOFT
            # What runs along the rays of axial planes cannot be made on other planes.
            scanner = scan.scanner if kind in AXIAL_KINDS or kind is SeriesKind.MIP else scan.scanner.without_rays()
            # Projections are made of the angiography itself, with its noise.
            noise = list(SeriesKind).index(SeriesKind.CTA if kind is SeriesKind.MIP else kind)
            stack = Planes.on(geometry, heads[phase].render(geometry, kernel, scanner=scanner, noise=noise))
        if kind in SCOUTS:
            stack = project_scout(stack)
        if kind is SeriesKind.MIP:
            stack = slabs(stack)
        stacks[kind] = within_circle(stack) if kind in AXIAL_KINDS else stack
    return stacks


def write_study(spec: StudySpec, folder: Path) -> WrittenStudy:
    """Simulate what `spec` asks for and write it into `folder`: DICOM files, `truth.json`, `truth.npy`."""
    return write_scan(simulate(spec), spec, folder)


def write_scan(scan: SimulatedScan, spec: StudySpec, folder: Path) -> WrittenStudy:
    """Write a scan that `simulate` gave for this seed, diagnosis and geometry; all else in `spec` may have changed."""
    return write_stacks(stacks_of(scan, spec.kinds), spec, folder)


def write_stacks(stacks: Mapping[SeriesKind, Planes], spec: StudySpec, folder: Path) -> WrittenStudy:
    """Write the series of a study as DICOM files into `folder`, with `truth.json` and `truth.npy`.

    Files that an earlier study left in `folder` (those its `truth.json` names) are removed first; others stay.

    Parameters
    ----------
    stacks: the CT series; axial, thin and bone nose-up with the patient's right on the image's left. The axial one
        keeps labels.
    spec: what else was asked for.
    folder: made when it is not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _remove_earlier(folder)
    vendor = VENDORS[spec.vendor_name]
    vendor = dataclasses.replace(vendor, storage=_storage(vendor, spec.signed))
    examination = Examination.draw(spec.seed)
    if spec.descriptions is not None:
        examination = dataclasses.replace(examination, descriptions=spec.descriptions)
    uids = Uids(uuid.uuid4().hex if spec.new_uids else json.dumps(spec.as_json(), sort_keys=True))

    files: dict[SeriesKind, tuple[Path, ...]] = {}
    records = []
    for kind in spec.kinds:
        if kind is SeriesKind.DOSE:
            datasets = [_dose_page(vendor, examination, uids, page) for page in range(vendor.dose_pages)]
        else:
            stack = stacks[kind]
            if kind in AXIAL_KINDS:
                stack = turn_planes(stack, spec.orientation)
            datasets = _ct_images(vendor, examination, uids, kind, stack, spec.orientation)
        files[kind] = tuple(folder / f"{d.SeriesNumber:04d}-{d.InstanceNumber:04d}.dcm" for d in datasets)
        for dataset, path in zip(datasets, files[kind], strict=True):
            write_dicom(dataset, path, spec.transfer_syntax)
        records.append(
            SeriesRecord(
                kind=str(kind),
                series_uid=str(datasets[0].SeriesInstanceUID),
                number=int(datasets[0].SeriesNumber),
                description=datasets[0].get("SeriesDescription"),
                instance_uids=tuple(str(d.SOPInstanceUID) for d in datasets),
                files=tuple(path.name for path in files[kind]),
            )
        )

    axial = turn_planes(stacks[SeriesKind.AXIAL], spec.orientation)
    record = records[list(files).index(SeriesKind.AXIAL)]
    volumes = {kind: float(v.sum()) for kind, v in slice_volumes_ml(axial).items()}
    truth = Truth(
        seed=spec.seed,
        type=str(spec.diagnosis),
        volume_ml=sum(volumes.values()),
        volumes_ml=volumes,
        wanted_ml=spec.wanted_ml,
        slices=true_slices(axial, record.instance_uids),
        study_uid=uids.of("study"),
        series_uid=record.series_uid,
        pixel_spacing_mm=axial.pixel_spacing_mm,
        positions_mm=tuple(axial.positions_mm.tolist()),
        spans_mm=tuple(axial.spans_mm.tolist()),
        tilt_deg=axial.tilt_deg,
        series=tuple(records),
        request=spec.as_json(),
    )
    assert axial.labels is not None  # slice_volumes_ml would have raised
    write_truth(truth, axial.labels, folder)
    return WrittenStudy(folder, truth, files)


def _remove_earlier(folder: Path) -> None:
    """Remove the DICOM files that an earlier study's truth names, lest two studies mix in one folder."""
    earlier = folder / TRUTH_JSON
    if earlier.exists():
        for series in json.loads(earlier.read_text(encoding="utf-8"))["series"]:
            for name in series["files"]:
                (folder / Path(name).name).unlink(missing_ok=True)


def _storage(vendor: Vendor, signed: bool | None) -> Storage:
    """Return the vendor's number format, or the plainest one of the signedness asked for."""
    if signed is None or signed == vendor.storage.signed:
        return vendor.storage
    return Storage(signed=True, bits=16, intercept=0) if signed else Storage(signed=False, bits=12, intercept=-1024)


def _ct_images(
    vendor: Vendor,
    examination: Examination,
    uids: Uids,
    kind: SeriesKind,
    stack: Planes,
    position: PatientPosition,
) -> list[Dataset]:
    """Return the CT images of one series by rising position, pixels uncompressed."""
    datasets = []
    for index, hu in enumerate(stack.hu):
        dataset = ct_header(vendor, examination, uids, kind, stack, index, position=position)
        set_ct_pixels(dataset, hu, stack.outside, vendor.storage, index)
        datasets.append(dataset)
    return datasets


def _dose_page(vendor: Vendor, examination: Examination, uids: Uids, number: int) -> Dataset:
    """Return a dose page, numbered from 0: white text on black, 8 bit."""
    page = Image.new("L", (_DOSE_PAGE_PX, _DOSE_PAGE_PX))
    ImageDraw.Draw(page).multiline_text(
        (40, 60),
        "\n".join(dose_page_lines(vendor, examination, number)),
        fill=255,
        font=ImageFont.load_default(20),
        spacing=12,
    )
    dataset = dose_header(vendor, examination, uids, number)
    set_gray_pixels(dataset, np.asarray(page), 8)
    return dataset
