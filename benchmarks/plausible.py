# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""How many heads the check of plausible HU refuses, and how many wrongly scaled ones (docs/quality.md).

    python -m benchmarks.plausible --seeds 90

Heads of all populations and diagnoses are used in turn, scanned as each seed says (so that some begin in the neck, lie
in a holder, or have a padding ring) with slices about 6 mm apart. Each is then changed as real heads may be (`HEADS`),
and as no head can be (`WRONG`): wrong slopes and offsets, with the air around the head as the wrong scale gives it, and
clipped to -1024 HU as 12 stored bits leave it. `--kvp 80` first gives fat and brain their values at 80 kVp.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import typer
from numpy.typing import NDArray
from pydicom import Dataset

from appliance.errors import RefusedError
from appliance.imaging.check import check
from appliance.imaging.pixels import AIR_HU, air_below_vacuum_hu
from appliance.imaging.volume import Turn, Volume
from simulator.diagnosis import Diagnosis
from simulator.geometry import draw_geometry
from simulator.population import POPULATIONS
from simulator.scan import simulate_scan

MATRIX: Final = 256
SPACING_MM: Final = 6.0

Planes = NDArray[np.int16]
Change = Callable[[Planes], NDArray[np.number]]

app = typer.Typer(add_completion=False)


def without_bone(hu: Planes, width: float, towards: float) -> Planes:
    """Return a head [Z, Y, X] without the skull in a sector of so many radians about its middle."""
    body = hu[len(hu) // 2] > -200
    rows, columns = np.arange(hu.shape[1]), np.arange(hu.shape[2])
    middle = np.average(rows, weights=body.sum(1)), np.average(columns, weights=body.sum(0))
    angle = np.arctan2(rows[:, None] - middle[0], columns[None] - middle[1]) - towards
    sector = np.abs(np.angle(np.exp(1j * angle))) < width / 2
    return np.where((hu > 120) & sector, np.int16(40), hu)


def make_denser(hu: Planes, by: int, share: float) -> Planes:
    """Return a head [Z, Y, X] whose brain and fluid are denser by so many HU on that share of the columns."""
    right = np.arange(hu.shape[2]) < share * hu.shape[2]
    return np.where((hu > 5) & (hu < 60) & right, hu + np.int16(by), hu)


def as_at_80_kvp(hu: Planes) -> Planes:
    """Return a head [Z, Y, X], scanned at 120 kVp, with fat less dense by 30 HU and brain denser by 5 HU."""
    fat = (hu > -300) & (hu < -20)
    lower = np.rint(30 * np.clip((-20 - hu.astype(np.float32)) / 60, 0, 1)).astype(np.int16)
    return np.where(fat, hu - lower, make_denser(hu, 5, 1.0))


HEADS: Final[dict[str, Change]] = {
    "as scanned": lambda hu: hu,
    "a skull a quarter as dense": lambda hu: np.where(hu > 150, 150 + (hu - 150) // 4, hu),
    "after a hemicraniectomy": lambda hu: without_bone(hu, 2.1, 0.6),
    "after a bifrontal craniectomy": lambda hu: without_bone(hu, 2.6, -np.pi / 2),
    "brain less dense by 5 HU": lambda hu: make_denser(hu, -5, 1.0),
    "half of the brain denser by 25 HU": lambda hu: make_denser(hu, 25, 0.5),
    "air masked": lambda hu: np.where(hu < -700, AIR_HU, hu),
    "sides cut off": lambda hu: hu[:, :, 34:-34],
    "cut to the brain": lambda hu: hu[:, 40:-40, 60:-60],
    "air masked, sides cut off": lambda hu: np.where(hu < -700, AIR_HU, hu)[:, :, 34:-34],
}
"""Heads that must be read, by their change."""


def scaled(slope: float, *, clipped: bool = False, cut: bool = False) -> Change:
    """Return a function that multiplies all HU; `clipped` as 12 stored bits would, `cut` to a field within the head."""

    def change(hu: Planes) -> NDArray[np.number]:
        wrong = np.maximum(hu * slope, AIR_HU) if clipped else hu * slope
        return wrong[:, 40:-40, 60:-60] if cut else wrong

    return change


def shifted(offset: int) -> Change:
    """Return a function that adds so many HU to all values."""
    return lambda hu: hu + np.int16(offset)


WRONG: Final[dict[str, Change]] = {
    **{f"HU times {slope:g}": scaled(slope) for slope in (0.5, 0.75, 1.25, 1.5, 2.0)},
    **{f"HU times {slope:g}, air clipped": scaled(slope, clipped=True) for slope in (1.25, 1.5, 2.0)},
    **{f"HU times {slope:g}, cut to the brain": scaled(slope, cut=True) for slope in (0.5, 0.75, 1.25, 1.5, 2.0)},
    "HU times 1.5, air clipped, cut to the brain": scaled(1.5, clipped=True, cut=True),
    **{f"HU {offset:+}": shifted(offset) for offset in (-100, -50, -24, 24, 50, 100)},
    "HU +24, air clipped": lambda hu: np.where(hu < -900, AIR_HU, hu + 24),
    "intercept lost": shifted(1024),
    "intercept lost, padding ring": lambda hu: np.where(hu == AIR_HU, AIR_HU, hu + 1024),
}
"""Changes to values that no head has."""


def refusal_of(
    hu: NDArray[np.number], pixel_mm: float, positions_mm: NDArray[np.float64], kvp: float | None = None
) -> str:
    """Return the code with which a volume, [Z, Y, X] in what should be HU, is refused; "" when it is read."""
    rounded = np.rint(hu)
    if any(air_below_vacuum_hu(plane) is not None for plane in rounded):
        return "implausible_hu"
    header = Dataset()
    header.SOPInstanceUID, header.SeriesInstanceUID, header.KVP = "1.2.3", "1.2", kvp
    clipped = np.clip(rounded, AIR_HU, 32767).astype(np.int16)
    try:
        check(Volume(clipped, (pixel_mm, pixel_mm), positions_mm, Turn(), (header,) * len(hu)))
    except RefusedError as error:
        return str(error.refusals[0].code)
    return ""


def head_of(seed: int, number: int) -> tuple[Planes, float, NDArray[np.float64]]:
    """Return a head [Z, Y, X] in HU, its pixel spacing in mm and the positions of its slices in mm."""
    population = tuple(POPULATIONS.values())[number % len(POPULATIONS)]
    drawn = draw_geometry(seed, population)
    positions = np.array(drawn.positions_mm)
    every = max(1, round(SPACING_MM / float(np.median(np.diff(positions)))))
    pixel_mm = drawn.pixel_spacing_mm[0] * drawn.columns / MATRIX
    geometry = replace(
        drawn,
        rows=MATRIX,
        columns=MATRIX,
        pixel_spacing_mm=(pixel_mm, pixel_mm),
        positions_mm=tuple(positions[::every]),
        thickness_mm=drawn.thickness_mm[::every],
    )
    diagnosis = tuple(Diagnosis)[number // 2 % len(Diagnosis)]
    scan = simulate_scan(seed, diagnosis, geometry=geometry, population=population)
    return scan.hu, pixel_mm, positions[::every]


def is_asked(name: str, only: list[str] | None) -> bool:
    """Return whether a row is asked for."""
    return not only or any(part in name for part in only)


@app.command()
def main(
    seeds: Annotated[int, typer.Option(help="How many heads")] = 90,
    first: Annotated[int, typer.Option(help="Seed of the first; training uses 1,000,000 to 6,999,999")] = 8_200_000,
    out: Annotated[Path, typer.Option(help="Where heads are kept; those that it holds are not made again")] = Path(
        "var/plausible"
    ),
    kvp: Annotated[float, typer.Option(help="Tube voltage in the header; 0: none is stated")] = 120,
    only: Annotated[list[str] | None, typer.Option(help="Rows whose name holds this; all when left out")] = None,
) -> None:
    """Print how many of the heads are read and how many are refused, after each change."""
    out.mkdir(parents=True, exist_ok=True)
    changes = {name: change for name, change in (*HEADS.items(), *WRONG.items()) if is_asked(name, only)}
    found = {name: Counter[str]() for name in ("newborn-sized", *HEADS, *WRONG) if is_asked(name, only)}
    for number in range(seeds):
        kept = out / f"{first + number}.npz"
        if not kept.exists():
            hu, pixel_mm, positions = head_of(first + number, number)
            np.savez_compressed(kept, hu=hu, pixel_mm=pixel_mm, positions=positions)
        with np.load(kept) as head:
            hu, pixel_mm, positions = head["hu"], float(head["pixel_mm"]), head["positions"]
        if 0 < kvp < 110:
            hu = as_at_80_kvp(hu)
        if "newborn-sized" in found:
            found["newborn-sized"][refusal_of(hu, 0.52 * pixel_mm, 0.52 * positions, kvp or None)] += 1
        for name, change in changes.items():
            found[name][refusal_of(change(hu), pixel_mm, positions, kvp or None)] += 1
    typer.echo("| head | read | refused |\n|---|---|---|")
    for name, codes in found.items():
        refused = {code: count for code, count in codes.items() if code}
        typer.echo(f"| {name} | {codes['']} of {seeds} | {json.dumps(refused) if refused else 'none'} |")


if __name__ == "__main__":
    app()
