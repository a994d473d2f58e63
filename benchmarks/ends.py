# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""How well a head's missing ends are seen: simulated heads, cut slice by slice (docs/completeness.md).

    python -m benchmarks.ends --seeds 200 --out var/ends.json

Each head is scanned from below its skull base to above its crown in slices of 5 mm, without blood, on a realistic
scanner. The range is the one that the simulator plans for a whole head, without its scans that deliberately begin too
high or end too low. Each slice is measured as the service measures the first and the last one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer
from numpy.typing import NDArray

from appliance.coverage.ends import BASE_CM2, TOP_CM2, intracranial_cm2
from simulator.diagnosis import Diagnosis
from simulator.fields import stream
from simulator.geometry import draw_geometry
from simulator.population import REALISTIC
from simulator.scan import simulate_scan

SPACING_MM: Final = 5.0
MATRIX: Final = 240
BOTTOM_MM, TOP_MM, SCATTER_MM = -62.0, 100.0, 4.0
"""Where a planned whole scan ends, and how much that varies (`simulator.geometry`)."""
MOST_CUT: Final = 8

app = typer.Typer(add_completion=False)


def areas_cm2(seed: int) -> NDArray[np.float64]:
    """Return the area within the skull on each slice of a head's whole scan, foot first, float64 [Z], cm2."""
    drawn = draw_geometry(seed, REALISTIC)
    bottom, top = stream(seed, "ends").normal([BOTTOM_MM, TOP_MM], SCATTER_MM)
    positions = np.arange(bottom + SPACING_MM / 2, top, SPACING_MM)
    pixel_mm = drawn.pixel_spacing_mm[0] * drawn.columns / MATRIX
    geometry = replace(
        drawn,
        rows=MATRIX,
        columns=MATRIX,
        pixel_spacing_mm=(pixel_mm, pixel_mm),
        positions_mm=tuple(positions),
        thickness_mm=(SPACING_MM,) * len(positions),
    )
    hu = simulate_scan(seed, Diagnosis.NONE, geometry=geometry, population=REALISTIC).hu
    return np.array([intracranial_cm2(plane, geometry.pixel_spacing_mm) for plane in hu])


def table(heads: list[NDArray[np.float64]]) -> Iterator[str]:
    """Yield the table: how many heads are said to lack their top, and their base, when so much is cut off.

    At the top it is counted from the highest slice that shows the inside of the skull, because scans continue above the
    crown; at the base from the planned end, because there the spinal canal continues and there is no such slice.
    """
    yield "| cut off, mm | said to lack the top | top slice, cm2: 5 %, median, 95 % | said to lack the base | lowest |"
    yield "|---|---|---|---|---|"
    crowns = [int(np.flatnonzero(head)[-1]) for head in heads]
    for cut in range(MOST_CUT + 1):
        cells = [f"{cut * SPACING_MM:.0f}"]
        for limit, areas in (
            (TOP_CM2, np.array([head[crown - cut] for head, crown in zip(heads, crowns, strict=True)])),
            (BASE_CM2, np.array([head[cut] for head in heads])),
        ):
            low, median, high = np.percentile(areas, [5, 50, 95])
            cells += [f"{int(np.sum(areas > limit))} of {len(heads)}", f"{low:.0f}, {median:.0f}, {high:.0f}"]
        yield f"| {' | '.join(cells)} |"


@app.command()
def main(
    seeds: Annotated[int, typer.Option(help="How many heads")] = 200,
    first: Annotated[int, typer.Option(help="Seed of the first; training uses 1,000,000 and up")] = 5_000_000,
    out: Annotated[Path, typer.Option(help="Where the areas are kept; seeds that it holds are not made again")] = Path(
        "var/ends.json"
    ),
) -> None:
    """Measure, keep and print."""
    kept: dict[str, Any] = json.loads(out.read_text()) if out.exists() else {}
    out.parent.mkdir(parents=True, exist_ok=True)
    for seed in range(first, first + seeds):
        if str(seed) not in kept:
            kept[str(seed)] = [round(area, 2) for area in areas_cm2(seed).tolist()]
            out.write_text(json.dumps(kept))
    typer.echo("\n".join(table([np.array(kept[str(seed)]) for seed in range(first, first + seeds)])))


if __name__ == "__main__":
    app()
