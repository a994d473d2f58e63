# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""How often ordinary simulated heads are said to have a flaw, and how often moved ones are (docs/quality.md).

    python -m benchmarks.flaws --seeds 60 --moved 12

Each head is scanned as its seed says, on a matrix of 256, lying still, and the first heads again while they move by 3
mm during some slices. Flaws that a head really has (metal, brain beyond the edge of the image) are reported too; the
list shows which those are.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Final

import numpy as np
import typer
from numpy.typing import NDArray
from pydicom import Dataset

from appliance.errors import RefusedError
from appliance.imaging.check import check
from appliance.imaging.flaws import Flaw, flaws
from appliance.imaging.geometry import Geometry, Plane
from appliance.imaging.volume import Turn, Volume
from simulator.diagnosis import Diagnosis
from simulator.geometry import ScanGeometry, draw_geometry
from simulator.population import REALISTIC
from simulator.scan import simulate_scan

MATRIX: Final = 256
MOVED_MM: Final = 3.0

app = typer.Typer(add_completion=False)


def flaws_of(hu: NDArray[np.int16], geometry: ScanGeometry) -> tuple[Flaw, ...]:
    """Return the flaws of a scan, int16 [Z, Y, X]; none if it is refused."""
    header = Dataset()
    header.SOPInstanceUID, header.SeriesInstanceUID = "1.2.3", "1.2"
    positions = np.array(geometry.positions_mm, np.float64)
    volume = Volume(hu, geometry.pixel_spacing_mm, positions, Turn(), (header,) * len(hu))
    rows, columns = hu.shape[1:]
    axial = (np.array([1.0, 0, 0]), np.array([0, 1.0, 0]))
    plane = Plane(rows, columns, np.zeros(3), *axial, geometry.pixel_spacing_mm)
    try:
        return flaws(volume, Geometry(plane, positions), check(volume).slices)
    except RefusedError:
        return ()


@app.command()
def main(
    seeds: Annotated[int, typer.Option(help="How many heads")] = 60,
    first: Annotated[int, typer.Option(help="Seed of the first; training uses 1,000,000 to 6,999,999")] = 7_000_000,
    moved: Annotated[int, typer.Option(help="How many of them are scanned moving too")] = 12,
) -> None:
    """Print each head that has a flaw, and how many there are."""
    still, moving = 0, 0
    for seed in range(first, first + seeds):
        drawn = draw_geometry(seed, REALISTIC)
        pixel_mm = drawn.pixel_spacing_mm[0] * drawn.columns / MATRIX
        geometry = replace(drawn, rows=MATRIX, columns=MATRIX, pixel_spacing_mm=(pixel_mm, pixel_mm))
        diagnosis = list(Diagnosis)[seed % len(Diagnosis)]
        scan = simulate_scan(seed, diagnosis, geometry=geometry, population=REALISTIC)
        quiet = replace(scan.scanner, motion_mm=0.0)
        lying = scan.hu if scan.scanner.motion_mm == 0 else scan.head.render(geometry, scanner=quiet)
        for flaw in (found := flaws_of(lying, geometry)):
            typer.echo(f"{seed} still: {flaw.code}: {flaw.reason}")
        still += bool(found)
        if seed < first + moved:
            shaken = scan.head.render(geometry, scanner=replace(quiet, motion_mm=MOVED_MM))
            moving += any(flaw.code == "motion" for flaw in flaws_of(shaken, geometry))
    typer.echo(f"{still} of {seeds} still heads have a flaw; {moving} of {moved} moved by {MOVED_MM} mm are seen to")


if __name__ == "__main__":
    app()
