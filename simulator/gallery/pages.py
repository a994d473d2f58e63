# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The pages of the gallery: which heads each shows, and what of them.

A page is a list of strips. A strip is simulated in one go (by a process of its own where several work) and gives one or
more tiles; tiles fill the page row by row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from itertools import count
from typing import Final

import numpy as np

from simulator.bleeding import coarser
from simulator.diagnosis import Diagnosis
from simulator.fields import stream
from simulator.gallery.pictures import Tile, Window
from simulator.gallery.views import Shown, View
from simulator.head import SimulatedHead
from simulator.mimics import HELD_OUT, KINDS, Mimics
from simulator.population import POPULATIONS, REALISTIC, MimicSet
from simulator.scanner import Scanner
from simulator.tissue import Tissue

FIRST_SEED: Final = 9_000_000
SIZES_ML: Final = (0.008, 0.3, 2.0, 12.0, 40.0)
SCANNED_ML: Final = 12.0
FAINT_ML: Final = 1.0
"""Bleeds up to this are outlined on the page of sizes, or nobody finds them."""
LEVELS: Final = (0.12, 0.22, 0.32, 0.42, 0.5, 0.58, 0.66, 0.74, 0.82)
"""Slices of heads without blood, as parts of the way from the lowest to the highest."""
WHOLE_HEAD: Final = 15
"""Slices of a head that is shown from base to vertex."""
DIFFERENT_HU: Final = 2


NEW_MIMICS: Final = next(p for p in POPULATIONS.values() if p.mimics is MimicSet.HELD_OUT)


class PageName(StrEnum):
    """What a page lets one compare."""

    TYPES = "types"
    """A row of heads for each type of blood, and one without."""
    SIZES = "sizes"
    """Each type from punctate to large."""
    MIMICS = "mimics"
    """Each mimic, and outlined what it changes in the same head without it."""
    SCANNERS = "scanners"
    """One slice, many scanners."""
    POPULATIONS = "populations"
    """A row of heads for each population."""
    PAIRS = "pairs"
    """The same seed without blood, with it, and with its labels outlined."""
    WINDOWS = "windows"
    """The same slice in the brain, stroke, subdural and bone windows."""
    LEVELS = "levels"
    """One head from base to vertex."""


@dataclass(frozen=True)
class Choice:
    """What a gallery was asked for.

    Attributes
    ----------
    seed: the first head's; others follow.
    count: heads in each row.
    diagnosis: only this type where a page would show several; None shows all.
    population: the heads' where a page does not compare populations.
    size_px: of a tile.
    """

    seed: int = FIRST_SEED
    count: int = 4
    diagnosis: Diagnosis | None = None
    population: str = REALISTIC.name
    size_px: int = 320

    @property
    def diagnoses(self) -> tuple[Diagnosis, ...]:
        """The types of blood to show."""
        return (self.diagnosis,) if self.diagnosis else tuple(kind for kind in Diagnosis if kind is not Diagnosis.NONE)


Strip = Callable[[], list[Tile]]


@dataclass(frozen=True)
class Page:
    """A page to be simulated."""

    title: str
    columns: int
    strips: list[Strip]


def plan_page(name: PageName, choice: Choice) -> Page:
    """Return what a page shows."""
    columns, strips = {
        PageName.TYPES: _types,
        PageName.SIZES: _sizes,
        PageName.MIMICS: _mimics,
        PageName.SCANNERS: _scanners,
        PageName.POPULATIONS: _populations,
        PageName.PAIRS: _pairs,
        PageName.WINDOWS: _windows,
        PageName.LEVELS: _levels,
    }[name](choice)
    return Page(f"{name}: simulated head CTs, no patient is behind them", columns, strips)


def _types(choice: Choice) -> tuple[int, list[Strip]]:
    diagnoses = choice.diagnoses if choice.diagnosis else tuple(Diagnosis)
    strips: list[Strip] = []
    for row, diagnosis in enumerate(diagnoses):
        for n in range(choice.count):
            view = View(choice.seed + row * 100 + n, diagnosis, None, choice.population)
            strips.append(partial(_one, view, choice.size_px, LEVELS[(2 + 3 * n) % len(LEVELS)]))
    return choice.count, strips


def _sizes(choice: Choice) -> tuple[int, list[Strip]]:
    strips: list[Strip] = []
    for row, diagnosis in enumerate(choice.diagnoses):
        for n, volume_ml in enumerate(SIZES_ML):
            view = View(choice.seed + 1000 + row * 100 + n, diagnosis, volume_ml, choice.population)
            strips.append(partial(_one, view, choice.size_px, 0.5, outlined=volume_ml <= FAINT_ML))
    return len(SIZES_ML), strips


def _populations(choice: Choice) -> tuple[int, list[Strip]]:
    strips: list[Strip] = []
    for population in POPULATIONS:
        for n in range(choice.count):
            diagnosis = choice.diagnosis or list(Diagnosis)[n % len(Diagnosis)]
            view = View(choice.seed + 2000 + n, diagnosis, None, population)
            strips.append(partial(_one, view, choice.size_px, 0.45))
    return choice.count, strips


def _pairs(choice: Choice) -> tuple[int, list[Strip]]:
    views = [
        View(choice.seed + 3000 + row * 100 + n, diagnosis, None, choice.population)
        for row, diagnosis in enumerate(choice.diagnoses)
        for n in range(max(1, choice.count // 2))
    ]
    return 6 if len(views) > 3 else 3, [partial(_pair, view, choice.size_px) for view in views]


def _windows(choice: Choice) -> tuple[int, list[Strip]]:
    diagnoses = choice.diagnoses if choice.diagnosis else tuple(Diagnosis)
    views = [
        View(choice.seed + 4000 + row, diagnosis, None, choice.population) for row, diagnosis in enumerate(diagnoses)
    ]
    return len(Window), [partial(_in_windows, view, choice.size_px) for view in views]


def _levels(choice: Choice) -> tuple[int, list[Strip]]:
    view = View(choice.seed, choice.diagnosis or Diagnosis.NONE, None, choice.population)
    return 5, [partial(_whole, view, choice.size_px)]


def _scanners(choice: Choice) -> tuple[int, list[Strip]]:
    view = View(choice.seed, choice.diagnosis or Diagnosis.IPH, SCANNED_ML, choice.population)
    return choice.count, [partial(_scan_tiles, view, choice.size_px, choice.count)]


def _mimics(choice: Choice) -> tuple[int, list[Strip]]:
    strips: list[Strip] = [partial(_mimic, name, choice) for name in (*KINDS, *HELD_OUT)]
    return 2 * max(1, choice.count // 2 + 1), strips


# ---- strips


def _one(view: View, size_px: int, level: float, *, outlined: bool = False) -> list[Tile]:
    """Return the slice with the most blood, or that at a level where there is none."""
    k = view.at(level) if view.diagnosis is Diagnosis.NONE else view.bloodiest
    return [view.tile(shown, size_px, outlined=outlined) for shown in view.render([k])]


def _pair(view: View, size_px: int) -> list[Tile]:
    """Return the bloodiest slice without its blood, with it, and with its labels outlined."""
    k = view.bloodiest
    without = replace(view, diagnosis=Diagnosis.NONE, volume_ml=None)
    shown = view.render([k])[0]
    return [
        without.tile(without.render([k])[0], size_px),
        view.tile(shown, size_px),
        view.tile(shown, size_px, outlined=True),
    ]


def _in_windows(view: View, size_px: int) -> list[Tile]:
    """Return one slice in every window."""
    k = view.at(0.45) if view.diagnosis is Diagnosis.NONE else view.bloodiest
    shown = view.render([k])[0]
    return [view.tile(shown, size_px, window) for window in Window]


def _whole(view: View, size_px: int) -> list[Tile]:
    """Return a head from base to vertex."""
    slices = sorted({view.at(part) for part in np.linspace(0, 1, WHOLE_HEAD)})
    return [view.tile(shown, size_px) for shown in view.render(slices)]


def _scan_tiles(view: View, size_px: int, count: int) -> list[Tile]:
    """Return one slice as scanners of every population give it, a row of `count` for each kind of scanner.

    Captions say the noise at 5 mm and the width of the point spread.
    """
    k = view.at(0.45) if view.diagnosis is Diagnosis.NONE else view.bloodiest
    kinds = {(p.scanners, p.kernels): name for name, p in reversed(POPULATIONS.items())}
    tiles = []
    for name in reversed(kinds.values()):
        for n in range(count):
            scanner = Scanner.draw(stream(view.seed, f"scanner {n}"), POPULATIONS[name])
            note = f"{name}  {scanner.noise_hu:.1f} HU  {scanner.psf_mm:.1f} mm"
            tiles.append(view.tile(view.render([k], scanner)[0], size_px, note=note))
    return tiles


def _mimic(name: str, choice: Choice) -> list[Tile]:
    """Return the slice that a mimic changes most, and the same with what it changes outlined.

    The head is the first from the seed on that has the mimic; those that training never draws are in every head of
    their population.
    """
    population = NEW_MIMICS if name in HELD_OUT else POPULATIONS[choice.population]
    seed = next(s for s in count(choice.seed) if name in Mimics.draw(s, population.mimics).names)
    view = View(seed, Diagnosis.NONE, None, population.name)
    anatomy = view.head.anatomy
    mimics = anatomy.mimics.without(name)
    tissue = mimics.thicken(Tissue.draw(stream(seed, "tissue")))
    exterior = replace(anatomy.exterior, mimics=mimics, tissue=tissue)
    lacking = replace(anatomy, mimics=mimics, tissue=tissue, exterior=exterior)
    without = SimulatedHead(lacking, lacking.hu())
    rough = coarser(coarser(view.geometry))
    change = np.abs(view.head.noise_free(rough) - without.noise_free(rough)).sum(axis=(1, 2))
    k = int(change.argmax())
    shown = view.render([k])[0]
    plane = replace(view.geometry, positions_mm=view.geometry.positions_mm[k : k + 1], thickness_mm=(1.0,))
    different = np.abs(view.head.noise_free(plane) - without.noise_free(plane))[0] > DIFFERENT_HU
    marked = Shown(shown.hu, different.astype(np.uint8), shown.position_mm)
    return [
        view.tile(shown, choice.size_px, note=name),
        view.tile(marked, choice.size_px, outlined=True, note=name),
    ]
