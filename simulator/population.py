# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What a cohort is drawn from: which anatomy, scanners, kernels, mimics and shapes of bleeds a head may have.

Training draws from the first of each kind alone. The others are *mechanisms* kept for the independent cohort: figures
on them tell what the network makes of things it never met.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final


class ScannerRange(StrEnum):
    """How far scanners differ."""

    WIDE = "wide"
    """Wider than life, for training: a network meets scanners that nobody described."""
    REALISTIC = "realistic"
    """What clinics have, for figures."""


class KernelFamily(StrEnum):
    """How the scanner reconstructs: the shape of its transfer function and of its noise power."""

    FAMILIAR = "familiar"
    """Filtered back projection and iterative blends, as training sees them."""
    HELD_OUT = "held out"
    """A family that training never draws."""


class MimicSet(StrEnum):
    """What may look like blood."""

    FAMILIAR = "familiar"
    HELD_OUT = "held out"
    """The familiar ones, and always one that training never draws."""
    NONE = "none"
    """Heads that have none."""


class BleedShapes(StrEnum):
    """Which generator draws the shapes of bleeds."""

    FAMILIAR = "familiar"
    HELD_OUT = "held out"
    """A second generator that training never draws."""


class BleedSizes(StrEnum):
    """How much blood positive heads hold."""

    PAPER = "paper"
    """As the paper's test cohort (Table 1)."""
    WIDE = "wide"
    """More small and punctate bleeds, for training: what is hard to find is seen often enough."""


class Clots(StrEnum):
    """How dense blood may be."""

    ANY = "any"
    """Of every age and haematocrit, isodense ones too."""
    CLEAR = "clear"
    """Acute and plainly denser than brain."""


@dataclass(frozen=True)
class Population:
    """What heads, bleeds and scanners are drawn from.

    Attributes
    ----------
    anatomy: name of the atlas that every head starts from.
    companions: whether a bleed may have others of the same or of another type beside it.
    """

    name: str
    anatomy: str = "colin27"
    scanners: ScannerRange = ScannerRange.WIDE
    kernels: KernelFamily = KernelFamily.FAMILIAR
    mimics: MimicSet = MimicSet.FAMILIAR
    bleeds: BleedShapes = BleedShapes.FAMILIAR
    sizes: BleedSizes = BleedSizes.WIDE
    companions: bool = True
    clots: Clots = Clots.ANY


TRAINING: Final = Population("training")
REALISTIC: Final = Population("realistic", scanners=ScannerRange.REALISTIC, sizes=BleedSizes.PAPER)
# For demonstrations, where the network shall seldom err; never for figures.
CLEAR: Final = replace(REALISTIC, name="clear", mimics=MimicSet.NONE, companions=False, clots=Clots.CLEAR)
POPULATIONS: Final = {
    population.name: population
    for population in (
        TRAINING,
        REALISTIC,
        CLEAR,
        replace(REALISTIC, name="new anatomy", anatomy="icbm152"),
        replace(REALISTIC, name="new kernels", kernels=KernelFamily.HELD_OUT),
        replace(REALISTIC, name="new mimics", mimics=MimicSet.HELD_OUT),
        replace(REALISTIC, name="new bleeds", bleeds=BleedShapes.HELD_OUT),
        replace(
            REALISTIC,
            name="all new",
            anatomy="icbm152",
            kernels=KernelFamily.HELD_OUT,
            mimics=MimicSet.HELD_OUT,
            bleeds=BleedShapes.HELD_OUT,
        ),
    )
}
"""Every population by name."""
