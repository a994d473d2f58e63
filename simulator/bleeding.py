# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""One seed, one head, bleeding as asked for: the search for bleeds whose labelled voxels have the volume wanted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from appliance.reading.contract import HemorrhageType
from simulator.anatomy import Anatomy
from simulator.blood import plan_bleed
from simulator.blood.form import Bleed
from simulator.blood.growth import Growth, Plan
from simulator.blood.laying import expected_blood, lay_bleeds
from simulator.blood.pattern import draw_bleeds
from simulator.blood.sizes import draw_volume_ml
from simulator.diagnosis import Diagnosis
from simulator.fields import stream
from simulator.geometry import ScanGeometry, draw_geometry
from simulator.head import SimulatedHead
from simulator.labels import volumes_ml
from simulator.population import TRAINING, Clots, Population

VOLUME_TOLERANCE = 0.07
MEASUREMENTS = 5
ATTEMPTS = 3  # a site may have too little room
ATTEMPTS_AT_LITTLE = 8  # or lie between two slices
GOOD_ENOUGH = 0.35
LITTLE_ML = 0.5
FURTHER_ATTEMPTS = 8  # where no voxel came out labelled
MOST_TIMES = 8.0
NO_HU = np.zeros((1, 1, 1), np.float32)  # a head of which only the blood is looked at


class UnlabelledBleedError(RuntimeError):
    """A head was to bleed, and no voxel of any bleed drawn for it could be labelled with the type asked for.

    Such a head would count as bleeding and show no blood: a figure on it, or a lesson from it, would be false.
    """


def simulate_head(
    seed: int,
    diagnosis: Diagnosis | str,
    *,
    volume_ml: float | None = None,
    geometry: ScanGeometry | None = None,
    population: Population = TRAINING,
) -> SimulatedHead:
    """Return the head of a seed, bleeding as asked for.

    Bleeds of other types, and others of this one, come with the main one at the rates of `blood/pattern.py` unless the
    population has no companions. Without a diagnosis it is the same head without any blood.

    Parameters
    ----------
    volume_ml: the volume that voxels labelled with the type asked for shall have together on `geometry`; drawn by
        default.
    geometry: the planes the volume is measured on, and the gantry tilt the head is laid for; the seed's own by default.
    population: what anatomy, mimics and bleeds are drawn from.

    Raises
    ------
    UnlabelledBleedError
        If no bleed drawn for it has a labelled voxel of the type asked for on `geometry`.
    """
    diagnosis = Diagnosis(diagnosis)
    geometry = geometry or draw_geometry(seed, population)
    # A tilted gantry follows the skull base, so the head lies about that much chin up or down.
    towards = geometry.tilt_deg * float(stream(seed, "lying").uniform(0.3, 1.0))
    anatomy = Anatomy.draw(seed, population, extra_pitch_deg=-towards)
    kind = diagnosis.type
    if kind is None:
        return SimulatedHead(anatomy, anatomy.hu())
    wanted = wanted_ml(seed, diagnosis, volume_ml, population)
    fractured_side = None if anatomy.mimics.fracture is None else anatomy.mimics.fracture.side

    def search(attempt: int) -> _Search:
        rng = stream(seed, f"blood {attempt}")
        bleeds = draw_bleeds(kind, wanted, rng, fractured_side=fractured_side, companions=population.companions)
        if population.clots is Clots.CLEAR:
            bleeds = tuple(replace(bleed, clear=True) for bleed in bleeds)
        parts = [_Part(bleed, plan_bleed(anatomy, bleed, rng, population.bleeds)) for bleed in bleeds]
        return _Search(kind, wanted, geometry, anatomy, parts)

    attempts = ATTEMPTS if wanted > LITTLE_ML else ATTEMPTS_AT_LITTLE
    best = search(0)
    for attempt in range(1, attempts):
        if best.miss < GOOD_ENOUGH:
            break
        best = min(best, search(attempt), key=lambda one: one.miss)
    head, miss = best.head()
    for attempt in range(attempts, attempts + FURTHER_ATTEMPTS):
        if np.isfinite(miss):
            break
        head, miss = search(attempt).head()
    if not np.isfinite(miss):
        raise UnlabelledBleedError(
            f"seed {seed}: no voxel is labelled {diagnosis} though {wanted:.4g} mL were asked for and bleeds were "
            f"drawn {attempts + FURTHER_ATTEMPTS} times; ask for more blood or for slices that cover the head, or take "
            "another seed"
        )
    return head


def wanted_ml(seed: int, diagnosis: Diagnosis, volume_ml: float | None, population: Population) -> float:
    """Return the labelled volume (mL) that a bleeding head shall have: `volume_ml` where given, or the seed's own."""
    return draw_volume_ml(stream(seed, "volume"), diagnosis, population.sizes) if volume_ml is None else volume_ml


def fits(wanted: float, labelled_ml: float) -> bool:
    """Return whether a labelled volume is near enough to the wanted one: neither by more than a third off.

    A site too small, or planes that hardly show the bleed, may hold less however it is drawn.
    """
    return _miss(labelled_ml / wanted) < GOOD_ENOUGH


@dataclass(frozen=True)
class _Part:
    """One bleed with its plan; those of the type asked for grow together until the labels have the volume."""

    bleed: Bleed
    plan: Plan


class _Search:
    """The search for how far the bleeds of a head grow.

    Attributes
    ----------
    miss: by what factor the labels missed the volume before tissue gave way, as the logarithm's size.
    """

    def __init__(
        self,
        kind: HemorrhageType,
        wanted_ml: float,
        geometry: ScanGeometry,
        anatomy: Anatomy,
        parts: Sequence[_Part],
    ) -> None:
        self.kind, self.wanted_ml, self.geometry, self.anatomy = kind, wanted_ml, geometry, anatomy
        self.asked = [part for part in parts if part.bleed.form.type is kind]
        self.companions = [
            (part.bleed.form.type, part.plan.grow(part.bleed.volume_ml))
            for part in parts
            if part.bleed.form.type is not kind
        ]
        # Labelled voxels are not the true fill: grow, measure (at half the resolution unless it is little), correct.
        measured = coarser(geometry) if wanted_ml > LITTLE_ML else geometry
        # What hardly shows on these planes must not be grown without end; a speck may well need many times its size.
        self._steps = _Steps(most=MOST_TIMES if wanted_ml > LITTLE_ML else np.inf)
        self.miss = np.inf
        for _ in range(MEASUREMENTS):
            times = self._steps.times
            blood = tuple(
                expected_blood(anatomy, kind, part.plan, growth)
                for part, growth in zip(self.asked, self._grow(times), strict=True)
            )
            ratio = self._ratio(SimulatedHead(anatomy, NO_HU, blood), measured)
            if _miss(ratio) < self.miss:
                self.miss, self._best = _miss(ratio), times
            if self.miss < VOLUME_TOLERANCE:
                break
            self._steps.correct(ratio)

    def head(self) -> tuple[SimulatedHead, float]:
        """Return the head nearest to the volume wanted, and its miss: infinite where nothing is labelled."""
        # What gave way to the blood, and other blood, may have changed what is seen of it.
        steps = _Steps(self._best if np.isfinite(self.miss) else self._steps.times, most=self._steps.most)
        tried = []
        for _ in range(2 if self.wanted_ml > LITTLE_ML else 4):
            # The main bleed is laid last.
            laid = [*self.companions, *((self.kind, growth) for growth in reversed(self._grow(steps.times)))]
            pushed, hu, blood = lay_bleeds(self.anatomy, laid)
            head = SimulatedHead(pushed, hu, blood)
            ratio = self._ratio(head, self.geometry)
            tried.append((head, _miss(ratio)))
            if tried[-1][1] < (VOLUME_TOLERANCE if self.wanted_ml > LITTLE_ML else GOOD_ENOUGH):
                break
            steps.correct(ratio)
        return min(tried, key=lambda one: one[1])

    def _grow(self, times: float) -> list[Growth]:
        return [part.plan.grow(part.bleed.volume_ml * times) for part in self.asked]

    def _ratio(self, head: SimulatedHead, geometry: ScanGeometry) -> float:
        """Return the volume of the voxels labelled with the type asked for on these planes, relative to the wanted."""
        return volumes_ml(head.labels(geometry), geometry).get(self.kind, 0.0) / self.wanted_ml


@dataclass
class _Steps:
    """How many times its planned volume a bleed is grown to, corrected by what was measured and kept between bounds."""

    times: float = 1.0
    low: float = 0.0
    high: float = np.inf
    most: float = np.inf

    def correct(self, ratio: float) -> None:
        """Take the ratio of labelled to wanted volume at these times."""
        if ratio < 1:
            self.low = max(self.low, self.times)
        else:
            self.high = min(self.high, self.times)
        self.times /= float(np.clip(ratio, 0.4, 2.5))
        if not self.low < self.times < self.high:
            self.times = float(np.sqrt(self.low * self.high))
        self.times = min(self.times, self.most)


def _miss(ratio: float) -> float:
    """Return how far off a ratio of volumes is; infinitely where nothing is labelled."""
    return abs(float(np.log(ratio))) if ratio > 0 else float("inf")


def coarser(geometry: ScanGeometry) -> ScanGeometry:
    """Return the geometry with half the rows and columns over the same field of view."""
    dy, dx = geometry.pixel_spacing_mm
    return replace(geometry, rows=geometry.rows // 2, columns=geometry.columns // 2, pixel_spacing_mm=(2 * dy, 2 * dx))
