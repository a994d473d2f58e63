# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Is the right series chosen? Simulated stroke studies with their headers as written, emptied, and swapped.

    python -m benchmarks.series --studies 60 --out var/benchmarks/series.jsonl

Twelve series a study. *Emptied*: descriptions, protocol, body part, kernel, window and contrast agent are gone from
every header. *Swapped*: the axial soft-tissue series and one other (bone, thin bone, angiography, after contrast) carry
each other's. Image Type and geometry stay as the scanner wrote them. The series is chosen by headers alone, and with a
look at the images by the committed classifier in this process. Only slices that are looked at are rendered. A run
continues after the studies in its file. **The studies are simulated**, by the simulator that the classifier learnt
from.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer
from numpy.typing import NDArray
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from appliance.imaging.instances import Instance
from appliance.imaging.stacks import stacks
from appliance.reading.series import CLASSIFIER, CONTRACT_VERSION, shown_slices
from appliance.sections.answers import SelectionSettings
from appliance.selection.look import look_at
from appliance.selection.select import Selection, select
from benchmarks.statistics import Proportion, spread
from conversion.series_triton_model import Classifier
from simulator.bleeding import simulate_head
from simulator.contrast import Phase, enhance
from simulator.diagnosis import Diagnosis
from simulator.dicom import Uids, set_ct_pixels
from simulator.fields import stream
from simulator.geometry import draw_geometry
from simulator.head import SimulatedHead
from simulator.headers import Examination, ct_header
from simulator.population import REALISTIC
from simulator.scanner import Kernel, Scanner
from simulator.series import (
    AXIAL_KINDS,
    SHARP_KINDS,
    PatientPosition,
    Planes,
    Protocol,
    SeriesKind,
    series_geometry,
    within_circle,
)
from simulator.vendors import VENDORS, vendor_of

MODEL: Final = Path(__file__).parents[1] / "model_repository" / CLASSIFIER / "1" / "model.onnx"
FIRST_SEED: Final = 8_200_000
VARIANTS: Final = ("written", "emptied", "swapped")
LEFT_OUT: Final = frozenset(
    {SeriesKind.RESCAN, SeriesKind.DOSE, SeriesKind.MIP, SeriesKind.SCOUT, SeriesKind.FRONTAL_SCOUT}
)
"""A rescan would be right too; the others are no candidates: Image Type refuses them before any look."""
SWAPS: Final = (SeriesKind.BONE, SeriesKind.THIN_BONE, SeriesKind.CTA, SeriesKind.CONTRAST)
WORDS: Final = (
    "SeriesDescription",
    "ProtocolName",
    "BodyPartExamined",
    "ConvolutionKernel",
    "WindowCenter",
    "WindowWidth",
    "ContrastBolusAgent",
)
_OF_PIXELS: Final = [
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "RescaleIntercept",
    "RescaleSlope",
    "RescaleType",
]
_PHASES: Final = {SeriesKind.CTA: Phase.ARTERIAL, SeriesKind.CONTRAST: Phase.DELAYED}


class InProcess:
    """The committed classifier without Triton, on one thread."""

    def __init__(self) -> None:
        self._classifier = Classifier(MODEL, str(CONTRACT_VERSION))

    def is_there(self) -> bool:
        """Return that it is."""
        return True

    def classify(self, thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return probabilities [N, classes] for thumbnails [N, *INPUT_SHAPE]."""
        return self._classifier(thumbnails)


Series = dict[SeriesKind, list[Dataset]]


def simulate_series(seed: int) -> tuple[Series, dict[str, bytes]]:
    """Return the headers of a study's series, and the files, by SOP Instance UID, of the slices that may be shown."""
    axial = draw_geometry(seed, REALISTIC)
    head = simulate_head(seed, Diagnosis.NONE, geometry=axial, population=REALISTIC)
    scanner = Scanner.draw(stream(seed, "scanner"), REALISTIC)
    protocol = Protocol.draw(stream(seed, "protocol"))
    vendor = VENDORS[vendor_of(seed)]
    examination, uids = Examination.draw(seed), Uids(f"series benchmark {seed}")
    series: Series = {}
    files: dict[str, bytes] = {}
    for kind in SeriesKind:
        if kind in LEFT_OUT:
            continue
        geometry = series_geometry(kind, axial, protocol)
        shown = shown_slices(geometry.shape[0])
        stack = Planes.on(geometry, np.zeros(geometry.shape, np.int16))
        if kind in AXIAL_KINDS:  # planes that are not axial are never looked at
            part = replace(
                geometry,
                positions_mm=tuple(geometry.positions_mm[z] for z in shown),
                thickness_mm=tuple(geometry.thickness_mm[z] for z in shown),
            )
            seen: SimulatedHead = enhance(head, _PHASES[kind]) if kind in _PHASES else head
            kernel = Kernel.BONE if kind in SHARP_KINDS else Kernel.SOFT
            stack.hu[list(shown)] = seen.render(part, kernel, scanner=scanner, noise=list(SeriesKind).index(kind))
            stack = within_circle(stack)
        datasets = [
            ct_header(vendor, examination, uids, kind, stack, z, position=PatientPosition.HFS)
            for z in range(geometry.shape[0])
        ]
        for z in shown:
            pixels = Dataset()
            pixels.update(datasets[z])
            set_ct_pixels(pixels, stack.hu[z], stack.outside, vendor.storage, z)
            files[str(datasets[z].SOPInstanceUID)] = _file(pixels)
            for keyword in _OF_PIXELS:
                for dataset in datasets if z == shown[0] else (datasets[z],):
                    setattr(dataset, keyword, getattr(pixels, keyword))
            if "PixelPaddingValue" in pixels:
                datasets[z].PixelPaddingValue = pixels.PixelPaddingValue
        series[kind] = datasets
    return series, files


def _file(dataset: Dataset) -> bytes:
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    written = io.BytesIO()
    dcmwrite(written, dataset, enforce_file_format=True)
    return written.getvalue()


def vary(series: Series, variant: str, seed: int) -> Series:
    """Return the series with their headers as `variant` has them."""
    other = SWAPS[seed % len(SWAPS)]
    words_of = {kind: kind for kind in series}
    if variant == "swapped":
        words_of |= {SeriesKind.AXIAL: other, other: SeriesKind.AXIAL}
    out: Series = {}
    for kind, datasets in series.items():
        source = series[words_of[kind]][0]
        out[kind] = []
        for dataset in datasets:
            copy = Dataset()
            copy.update(dataset)
            if variant != "written":
                for keyword in WORDS:
                    if keyword in copy:
                        del copy[keyword]
                    if variant == "swapped" and keyword in source:
                        setattr(copy, keyword, source[keyword].value)
            out[kind].append(copy)
    return out


def chosen_kind(selection: Selection, series: Series) -> str:
    """Return the kind of series that was chosen, "none" where none was."""
    if selection.chosen is None:
        return "none"
    uid = selection.chosen.series_uid
    return next(str(kind) for kind, datasets in series.items() if str(datasets[0].SeriesInstanceUID) == uid)


def study(seed: int, classifier: InProcess) -> dict[str, Any]:
    """Return the choice in one study, by variant, and how long the look took."""
    series, files = simulate_series(seed)
    out: dict[str, Any] = {"seed": seed}
    for variant in VARIANTS:
        changed = vary(series, variant, seed)
        found = stacks(Instance(str(one.SOPInstanceUID), one) for datasets in changed.values() for one in datasets)
        alone = select(found, SelectionSettings())
        begun = time.thread_time()
        looks = look_at(alone.candidates, files.__getitem__, classifier, clock=time.thread_time)
        look_s = time.thread_time() - begun
        out[variant] = {
            "headers": chosen_kind(alone, changed),
            "looked": chosen_kind(select(found, SelectionSettings(), looks=looks), changed),
            "series_looked_at": len(looks),
            "look_s": round(look_s, 4),
            "looks": {
                str(stack.description or ""): [str(look.series_class), round(look.probability, 3)]
                for stack, look in looks.items()
            }
            if variant == "written"
            else {},
        }
    return out


def report(records: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the lines of the table."""
    yield f"{len(records)} simulated studies; right series (95 % interval)"
    for variant in VARIANTS:
        for how in ("headers", "looked"):
            answers = [record[variant][how] for record in records]
            right = Proportion(answers.count(str(SeriesKind.AXIAL)), len(answers))
            wrong = {one: answers.count(one) for one in sorted(set(answers)) if one != str(SeriesKind.AXIAL)}
            yield f"{variant:8} {how:8} {right}  {wrong or ''}"
    times = spread([record[variant]["look_s"] for record in records for variant in VARIANTS])
    yield "look, s of one core: " + ", ".join(f"{name} {value:.3f}" for name, value in times.items())


def main(
    studies: Annotated[int, typer.Option(min=1)] = 60,
    out: Annotated[Path, typer.Option(help="One line for each study; a run continues from it.")] = Path(
        "var/benchmarks/series.jsonl"
    ),
    seed: Annotated[int, typer.Option(help="The first study's.")] = FIRST_SEED,
) -> None:
    """Choose the series of simulated studies, and print how often it is the right one."""
    out.parent.mkdir(parents=True, exist_ok=True)
    records = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
    done = {record["seed"] for record in records}
    classifier = InProcess()
    with out.open("a") as lines:
        for one in range(seed, seed + studies):
            if one not in done:
                records.append(study(one, classifier))
                lines.write(json.dumps(records[-1]) + "\n")
                lines.flush()
    for line in report(records):
        typer.echo(line)


if __name__ == "__main__":
    typer.run(main)
