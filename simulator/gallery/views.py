# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What a gallery shows of one head: which slices, and their simulation at a fraction of a whole scan's cost.

The head is the one that a study of the same seed shows. Its blood is measured at half the resolution, and only the
slices shown are sampled, with their neighbours and a few others of the head, against which the scanner sets its noise.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from simulator.bleeding import coarser, simulate_head
from simulator.diagnosis import Diagnosis
from simulator.fields import stream
from simulator.gallery.pictures import Tile, Window, picture
from simulator.geometry import ScanGeometry, draw_geometry
from simulator.head import SimulatedHead
from simulator.labels import volumes_ml
from simulator.noise_free import NoiseFreeScan, realise
from simulator.population import POPULATIONS, Population
from simulator.scanner import Scanner

REFERENCES: Final = (0.3, 0.5, 0.7)
"""Slices that are sampled beside the shown ones, as parts of the way from the lowest to the highest."""


@dataclass(frozen=True)
class Shown:
    """One slice as the scanner gave it: HU and labels [Y, X], and its position along the normal, mm."""

    hu: NDArray[np.int16]
    labels: NDArray[np.uint8]
    position_mm: float


@dataclass(frozen=True)
class View:
    """A head to look at.

    Attributes
    ----------
    volume_ml: None draws it.
    population: its name.
    """

    seed: int
    diagnosis: Diagnosis
    volume_ml: float | None
    population: str

    @cached_property
    def geometry(self) -> ScanGeometry:
        """The planes of the seed's main series."""
        return draw_geometry(self.seed, self.drawn_from)

    @property
    def drawn_from(self) -> Population:
        """The population."""
        return POPULATIONS[self.population]

    @cached_property
    def scanner(self) -> Scanner:
        """The seed's scanner."""
        return Scanner.draw(stream(self.seed, "scanner"), self.drawn_from)

    @cached_property
    def head(self) -> SimulatedHead:
        """The head, its blood measured at half the resolution."""
        return simulate_head(
            self.seed,
            self.diagnosis,
            volume_ml=self.volume_ml,
            geometry=coarser(self.geometry),
            population=self.drawn_from,
        )

    @cached_property
    def coarse_labels(self) -> NDArray[np.uint8]:
        """Labels [Z, Y, X] of every slice at half the resolution."""
        return self.head.labels(coarser(self.geometry))

    @property
    def words(self) -> str:
        """What the head shows: its types of blood with the labelled mL of each."""
        volumes = volumes_ml(self.coarse_labels, coarser(self.geometry))
        return " + ".join(f"{kind} {ml:.2g}" for kind, ml in volumes.items()) + " mL" if volumes else "none"

    @property
    def bloodiest(self) -> int:
        """The index of the slice with the most labelled blood."""
        return int((self.coarse_labels > 0).sum(axis=(1, 2)).argmax())

    def at(self, part: float) -> int:
        """Return the index of the slice at a part (0 to 1) of the way from the lowest to the highest."""
        return round(part * (self.geometry.shape[0] - 1))

    def noise_free(self, slices: list[int]) -> tuple[NoiseFreeScan, list[int]]:
        """Return the scan before the scanner of some slices with those about them, and where in it the slices are.

        The scanner mixes a slice with its neighbours; the references are for its noise.
        """
        beside = {k + step for k in slices for step in (-1, 0, 1)} & set(range(self.geometry.shape[0]))
        sampled = sorted({*beside, *(self.at(part) for part in REFERENCES)})
        geometry = replace(
            self.geometry,
            positions_mm=tuple(self.geometry.positions_mm[k] for k in sampled),
            thickness_mm=tuple(self.geometry.thickness_mm[k] for k in sampled),
        )
        scan = NoiseFreeScan(
            seed=self.seed,
            diagnosis=self.diagnosis,
            hu=np.rint(self.head.noise_free(geometry)).astype(np.int16),
            labels=self.head.labels(geometry),
            pixel_spacing_mm=geometry.pixel_spacing_mm,
            thickness_mm=np.asarray(geometry.thickness_mm),
            population=self.population,
        )
        return scan, [sampled.index(k) for k in slices]

    def render(self, slices: list[int], scanner: Scanner | None = None) -> list[Shown]:
        """Return some slices as a scanner, by default the seed's, gives them."""
        scan, places = self.noise_free(slices)
        hu, labels = realise(scan, stream(self.seed, "noise 0"), scanner=scanner or self.scanner, move=False)
        return [
            Shown(hu[place], labels[place], self.geometry.positions_mm[k])
            for place, k in zip(places, slices, strict=True)
        ]

    def tile(
        self, shown: Shown, size_px: int, window: Window = Window.BRAIN, *, outlined: bool = False, note: str = ""
    ) -> Tile:
        """Return a slice as a picture with its caption."""
        image = picture(shown.hu, window, size_px, labels=shown.labels if outlined else None)
        second = note or f"{self.population}  {window.words}  z {shown.position_mm:+.0f}"
        return Tile(image, f"{self.words}\n{self.seed}  {second}")
