# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What looks like blood and is none, or hides it: in heads with and without hemorrhage at the same rates.

`KINDS` states every kind and the share of heads that have it. Each is drawn from a stream of its own, so that neither
the diagnosis nor another kind moves it. Rates are about those of the literature each module cites, higher where
learning needs them; they hold for each head alone (nothing is drawn by age).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import reduce
from typing import Final

import numpy as np
from numpy.typing import NDArray

from simulator.fields import stream
from simulator.landmarks import Landmarks
from simulator.mimics.beam_hardening import PeripheralHardening, PetrousHardening
from simulator.mimics.calcifications import (
    BasalGanglia,
    ChoroidPlexus,
    CorticalCalcification,
    DentateNuclei,
    Habenula,
    Pineal,
)
from simulator.mimics.contrast import ContrastInVessels, ContrastStaining
from simulator.mimics.cysts import ArachnoidCyst, MegaCisternaMagna
from simulator.mimics.dura import DenseDura, FalxPlaques, TentorialCalcium
from simulator.mimics.fracture import Fracture
from simulator.mimics.infarcts import FreshInfarct, OldInfarct
from simulator.mimics.metal import AneurysmClip, AneurysmCoil
from simulator.mimics.mimic import Inside, Mimic, Nodes, Outside
from simulator.mimics.openings import BurrHoles, Craniotomy
from simulator.mimics.scalp import Dressing, Electrodes, Laceration, SkinClips, Swelling
from simulator.mimics.shunt import Shunt
from simulator.mimics.sinuses import ArachnoidGranulations, LargeSinuses, SinusThrombosis, ThickBlood
from simulator.mimics.tumours import BrainTumour, Meningioma
from simulator.mimics.vessel_walls import CarotidSiphons, VertebrobasilarArteries
from simulator.mimics.white_matter import Lacunes, WhiteMatterDisease
from simulator.population import MimicSet
from simulator.tissue import Tissue

Field = NDArray[np.float32]


@dataclass(frozen=True)
class Kind:
    """A kind of mimic.

    Attributes
    ----------
    draw: draws one.
    rate: the share of heads that have it.
    confuses: it is bright where blood may be, or hides blood: one of those that at least half of all heads must have.
    """

    draw: Callable[[np.random.Generator], Mimic]
    rate: float
    confuses: bool = True


KINDS: Final[dict[str, Kind]] = {
    # Order is the order in which they are laid.
    "white matter disease": Kind(WhiteMatterDisease.draw, 0.3, confuses=False),
    "lacunes": Kind(Lacunes.draw, 0.15, confuses=False),
    "old infarct": Kind(OldInfarct.draw, 0.08, confuses=False),
    "fresh infarct": Kind(FreshInfarct.draw, 0.06),
    "brain tumour": Kind(BrainTumour.draw, 0.03),
    "arachnoid cyst": Kind(ArachnoidCyst.draw, 0.015, confuses=False),
    "mega cisterna magna": Kind(MegaCisternaMagna.draw, 0.015, confuses=False),
    "contrast staining": Kind(ContrastStaining.draw, 0.05),
    "dense dura": Kind(DenseDura.draw, 0.25),
    "falx plaques": Kind(FalxPlaques.draw, 0.15),
    "tentorial calcium": Kind(TentorialCalcium.draw, 0.15),
    "large sinuses": Kind(LargeSinuses.draw, 0.5),
    "thick blood": Kind(ThickBlood.draw, 0.04),
    "sinus thrombosis": Kind(SinusThrombosis.draw, 0.015),
    "arachnoid granulations": Kind(ArachnoidGranulations.draw, 0.2, confuses=False),
    "contrast in vessels": Kind(ContrastInVessels.draw, 0.02),
    "pineal": Kind(Pineal.draw, 0.6),
    "habenula": Kind(Habenula.draw, 0.2),
    "choroid plexus": Kind(ChoroidPlexus.draw, 0.55),
    "basal ganglia": Kind(BasalGanglia.draw, 0.08),
    "dentate nuclei": Kind(DentateNuclei.draw, 0.03),
    "cortical calcification": Kind(CorticalCalcification.draw, 0.08),
    "carotid siphons": Kind(CarotidSiphons.draw, 0.3),
    "vertebrobasilar arteries": Kind(VertebrobasilarArteries.draw, 0.12),
    "aneurysm clip": Kind(AneurysmClip.draw, 0.008),
    "aneurysm coil": Kind(AneurysmCoil.draw, 0.008),
    "burr holes": Kind(BurrHoles.draw, 0.02),
    "craniotomy": Kind(Craniotomy.draw, 0.025),
    "shunt": Kind(Shunt.draw, 0.02),
    "fracture": Kind(Fracture.draw, 0.1, confuses=False),
    "swelling": Kind(Swelling.draw, 0.2, confuses=False),
    "laceration": Kind(Laceration.draw, 0.05, confuses=False),
    "skin clips": Kind(SkinClips.draw, 0.03, confuses=False),
    "electrodes": Kind(Electrodes.draw, 0.04, confuses=False),
    "dressing": Kind(Dressing.draw, 0.05, confuses=False),
    "peripheral hardening": Kind(PeripheralHardening.draw, 0.6),
    "petrous hardening": Kind(PetrousHardening.draw, 0.6),
}
"""Every kind that training draws."""

HELD_OUT: Final[dict[str, Kind]] = {"meningioma": Kind(Meningioma.draw, 1.0)}
"""The kinds that training never draws; each head of `MimicSet.HELD_OUT` has them all."""


@dataclass(frozen=True)
class Mimics:
    """One head's mimics, by the name of their kind; every method is the sum of what they do."""

    present: tuple[tuple[str, Mimic], ...] = ()

    @classmethod
    def draw(cls, seed: int, mimics: MimicSet = MimicSet.FAMILIAR) -> Mimics:
        """Return the mimics of a seed's head."""
        present: list[tuple[str, Mimic]] = []
        if mimics is MimicSet.NONE:
            return cls()
        for name, kind in KINDS.items():
            rng = stream(seed, f"mimic {name}")
            if rng.random() < kind.rate:
                present.append((name, kind.draw(rng)))
        if mimics is MimicSet.HELD_OUT:
            present += [(name, kind.draw(stream(seed, f"mimic {name}"))) for name, kind in HELD_OUT.items()]
        return cls(tuple(present))

    @property
    def names(self) -> tuple[str, ...]:
        """The kinds this head has."""
        return tuple(name for name, _ in self.present)

    @property
    def fracture(self) -> Fracture | None:
        """The fracture of the skull, at which epidural blood lies."""
        return next((mimic for _, mimic in self.present if isinstance(mimic, Fracture)), None)

    @property
    def confusing(self) -> bool:
        """Whether one of them may be taken for blood or hides it."""
        return any(({**KINDS, **HELD_OUT}[name]).confuses for name in self.names)

    def without(self, *names: str) -> Mimics:
        """Return the mimics but those of the kinds named."""
        return replace(self, present=tuple((name, mimic) for name, mimic in self.present if name not in names))

    def thicken(self, tissue: Tissue) -> Tissue:
        """Return the head's tissue values as its mimics change them."""
        return reduce(lambda seen, named: named[1].thicken(seen), self.present, tissue)

    def push(self, nodes: Nodes) -> Field | None:
        """Return how the brain gives way to them, as in `Anatomy.push_tissue`, or None."""
        return _sum([mimic.push(nodes) for _, mimic in self.present])

    def lay_in_brain(self, inside: Inside) -> None:
        """Change the brain, before arteries, dura and sinuses are laid."""
        for _, mimic in self.present:
            mimic.lay_in_brain(inside)

    def lay_over_dura(self, inside: Inside) -> None:
        """Change the cavity after all of it is laid."""
        for _, mimic in self.present:
            mimic.lay_over_dura(inside)

    def lift(self, z: Field, y: Field, x: Field) -> Field | None:
        """Return how far (mm) the skin is lifted at MNI z, y, x, or None."""
        return _sum([mimic.lift(z, y, x) for _, mimic in self.present])

    def lay_outside(self, outside: Outside) -> None:
        """Change skull, scalp and what lies around them."""
        for _, mimic in self.present:
            mimic.lay_outside(outside)

    def hardening(self, at: Landmarks) -> Field | None:
        """Return what is added to the HU inside the skull, [Z, Y, X], or None."""
        return _sum([mimic.hardening(at) for _, mimic in self.present])


def _sum(fields: list[Field | None]) -> Field | None:
    """Return the sum of what is there."""
    present = [part for part in fields if part is not None]
    return reduce(lambda a, b: np.asarray(a + b, np.float32), present) if present else None
