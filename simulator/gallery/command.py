# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m simulator gallery`: pages as PNG or JPEG, by one process or several, with a progress bar."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from copy import deepcopy
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.progress import Progress

from simulator.diagnosis import Diagnosis
from simulator.gallery.pages import FIRST_SEED, Choice, PageName, Strip, plan_page
from simulator.gallery.pictures import Tile, sheet
from simulator.population import POPULATIONS, REALISTIC

JPEG_QUALITY: Final = 75


def gallery(
    out: Annotated[Path, typer.Option(help="Folder for the pages, one file each.")] = Path("var/gallery"),
    page: Annotated[list[PageName] | None, typer.Option(help="Pages; may be repeated. All by default.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="The first head's seed.")] = FIRST_SEED,
    count: Annotated[int, typer.Option(min=1, max=12, help="Heads in a row.")] = 4,
    diagnosis: Annotated[Diagnosis | None, typer.Option(help="Only this type of blood.")] = None,
    population: Annotated[
        str, typer.Option(help=f"Where heads and scanners are drawn from: {', '.join(POPULATIONS)}.")
    ] = REALISTIC.name,
    tile: Annotated[int, typer.Option(min=64, max=1024, help="Width of a picture in pixels.")] = 320,
    jpeg: Annotated[bool, typer.Option("--jpeg", help="Small JPEG files instead of PNG.")] = False,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
) -> None:
    """Render pages of simulated slices to look at.

    Example: python -m simulator gallery --page pairs --diagnosis sah --workers 2
    """
    if population not in POPULATIONS:
        raise typer.BadParameter(f"a population is one of {', '.join(POPULATIONS)}", param_hint="--population")
    choice = Choice(seed=seed, count=count, diagnosis=diagnosis, population=population, size_px=tile)
    planned = {name: plan_page(name, choice) for name in (page or list(PageName))}
    out.mkdir(parents=True, exist_ok=True)
    with Progress() as progress:
        bar = progress.add_task("simulating", total=sum(len(p.strips) for p in planned.values()))
        for name, one in planned.items():
            tiles: list[Tile] = []
            for strip in make_tiles(one.strips, workers):
                tiles += strip
                progress.advance(bar)
            sheet(one.title, tiles, one.columns).save(out / f"{name}.{'jpg' if jpeg else 'png'}", quality=JPEG_QUALITY)
    typer.echo(f"{', '.join(planned)} in {out}")


def make_tiles(strips: list[Strip], workers: int) -> Iterator[list[Tile]]:
    """Yield the tiles of each strip in order, made by `workers` processes."""
    if workers == 1:
        yield from (_call(strip) for strip in strips)
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(_call, strips)


def _call(strip: Strip) -> list[Tile]:
    """Return the tiles of a copy of a strip, which goes with the heads it made: each holds some hundred MB."""
    return deepcopy(strip)()
