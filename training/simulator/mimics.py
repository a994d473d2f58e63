# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What looks like blood and is none, or hides it: in heads with and without hemorrhage at the same rates.

Dense dura, calcifications, beam hardening, swollen scalp; and what makes brains differ without blood: white matter
disease and old infarcts. Rates are about those of an emergency population, higher where learning needs them
(calcified pineal: Zimmerman & Bilaniuk, Radiology 1982; choroid plexus: Modic et al., Radiology 1980; basal ganglia:
Koller et al., Neurology 1979; beam hardening: Brooks & Di Chiro, Phys Med Biol 1976).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.simulator.landmarks import Landmarks, smoothstep

Field = NDArray[np.float32]
Point = tuple[float, float, float]


@dataclass(frozen=True)
class Mimics:
    """One head's mimics; 0 where it has none of a kind.

    Attributes
    ----------
    dense_dura_hu: added to the falx, half of it to the tentorium.
    pineal_hu, choroid_hu, pallidum_hu, cortex_hu: added by calcifications; `cortex_hu` by one of a gyrus or the falx.
    peripheral_hu: what beam hardening leaves at the inner table, falling off inwards.
    petrous_hu: what it takes away in the band between the petrous bones.
    white_matter_hu: taken from the white matter beside the ventricles.
    infarct_mm: radius of an old infarct.
    swelling_mm: height of a swelling of the scalp.
    """

    dense_dura_hu: float
    pineal_hu: float
    choroid_hu: float
    pallidum_hu: float
    cortex_hu: float
    peripheral_hu: float
    petrous_hu: float
    white_matter_hu: float
    infarct_mm: float
    swelling_mm: float

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Mimics:
        """Return one head's mimics."""

        def maybe(rate: float, low: float, high: float) -> float:
            value = float(rng.uniform(low, high))
            return value if rng.random() < rate else 0.0

        return cls(
            dense_dura_hu=maybe(0.35, 5, 28),
            pineal_hu=maybe(0.5, 80, 350),
            choroid_hu=maybe(0.45, 60, 300),
            pallidum_hu=maybe(0.12, 15, 120),
            cortex_hu=maybe(0.12, 60, 400),
            peripheral_hu=maybe(0.6, 1, 8),
            petrous_hu=maybe(0.6, 2, 14),
            white_matter_hu=maybe(0.3, 3, 10),
            infarct_mm=maybe(0.1, 6, 22),
            swelling_mm=maybe(0.15, 3, 11),
        )


def lay_lesions(hu: Field, at: Landmarks, mimics: Mimics, csf_hu: float, rng: np.random.Generator) -> None:
    """Lower the white matter beside the ventricles and hollow an old infarct in `hu` [Z, Y, X]."""
    if mimics.white_matter_hu:
        near = np.exp(-np.maximum(at.from_ventricle, 0) / 7) * (at.tentorium > 2)
        hu -= np.float32(mimics.white_matter_hu) * at.white * near * np.clip(1 + 0.4 * at.texture, 0, 2)
    if mimics.infarct_mm:
        side = float(rng.choice([-1, 1]))
        centre = (float(rng.uniform(-5, 45)), float(rng.uniform(-70, 40)), side * float(rng.uniform(25, 55)))
        radius = np.float32(mimics.infarct_mm)
        box, distance = at.around(centre, mimics.infarct_mm * 1.5 + 4)
        share = 0.8 * smoothstep((radius * (1 + 0.25 * at.texture[box]) - distance) / 5 + 0.5) * at.brain[box]
        hu[box] += share * (np.float32(csf_hu + 6) - hu[box])


def lay_calcifications(hu: Field, at: Landmarks, mimics: Mimics, rng: np.random.Generator) -> None:
    """Add calcifications of pineal gland, choroid plexus, pallidum and a gyrus or the falx to `hu` [Z, Y, X]."""

    def about(value: float, spread: float) -> float:
        return float(rng.normal(value, spread))

    spots: list[tuple[Point, float, float]] = []
    if mimics.pineal_hu:
        spots.append(((2.0, -27.0, about(0, 0.7)), float(rng.uniform(1.2, 2.6)), mimics.pineal_hu))
    for side in (-1.0, 1.0):
        if mimics.choroid_hu:
            for _ in range(int(rng.integers(1, 4))):
                at_plexus = (about(9, 2.5), about(-42, 2.5), side * float(rng.uniform(18, 26)))
                spots.append((at_plexus, float(rng.uniform(0.8, 3.0)), mimics.choroid_hu * float(rng.uniform(0.4, 1))))
        if mimics.pallidum_hu:
            for _ in range(int(rng.integers(2, 6))):
                at_pallidum = (about(-1, 2.5), about(-3, 3.0), side * float(rng.uniform(15, 22)))
                spots.append(
                    (at_pallidum, float(rng.uniform(0.8, 2.6)), mimics.pallidum_hu * float(rng.uniform(0.3, 1)))
                )
    if mimics.cortex_hu:
        place = (float(rng.uniform(10, 60)), float(rng.uniform(-70, 50)), float(rng.choice([0.0, -35.0, 35.0])))
        spots.append((place, float(rng.uniform(1.0, 3.0)), mimics.cortex_hu))
    for centre, radius, added in spots:
        box, distance = at.around(centre, 2 * radius + 3)
        hu[box] += np.float32(added) * smoothstep((radius * (1 + 0.35 * at.texture[box]) - distance) / 1.5 + 0.5)


def beam_hardening(at: Landmarks, mimics: Mimics) -> Field:
    """Return what beam hardening adds to the HU inside the skull, [Z, Y, X]."""
    out: Field = np.float32(mimics.peripheral_hu) * np.exp(-np.maximum(at.depth, 0) / np.float32(6))
    if mimics.petrous_hu:
        across = np.exp(-0.5 * (at.x / 26) ** 4)
        band = np.exp(-0.5 * ((at.z + 36) / 8) ** 2) * np.exp(-0.5 * ((at.y + 28) / 7) ** 2) * across
        out -= np.asarray(mimics.petrous_hu * band, np.float32)
    return out
