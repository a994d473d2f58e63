# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What each tissue of one head measures, in HU at about 120 kVp.

Grey 37-41 and white 26-32 are today's usual figures; healthy volunteers had 33 +- 3 and 30 +- 3.5 on an early scanner
(Cala et al., AJNR 1981). Their difference is 5.5 by chemistry (Brooks et al., J Comput Assist Tomogr 1980) and about 9
by the healthy ratio of 1.3, which falls below 1.2 after cardiac arrest (Torbey et al., Stroke 2000); it is drawn from 3
to 12, most often near 10. Flowing blood follows the head's haematocrit: sinuses measure 31-68 and none of 166 normal
ones above 70 (Black et al., AJNR 2011; Buyck et al., AJNR 2013; Lee et al., Yonsei Med J 2013), and rise by about 1 HU
a percent (New & Aronow, Radiology 1976). CSF, dura, muscle, fat, bone by layers, vitreous and lens are handbook figures
without a paper of their own. What was read of each source, and what was not, stands in `docs/sources.md`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_HU_OF_PLASMA, _HU_PER_PERCENT = 15.0, 0.95  # so that 40 % has the 53 HU, 1.33 a percent, of Buyck et al.


def blood_hu(haematocrit: float) -> float:
    """Return the HU of blood that has not clotted, of a haematocrit in percent."""
    return _HU_OF_PLASMA + _HU_PER_PERCENT * haematocrit


@dataclass(frozen=True)
class Tissue:
    """The HU of one head's tissues, and the mild physics that tells one head from the next.

    `haematocrit` (percent) is that of all blood of the head, clotted or flowing; `venous` is what sinuses and arteries
    show, which contrast agent raises alone.
    """

    grey: float
    white: float
    csf: float
    muscle: float
    fat: float
    cortical: float
    diploe: float
    petrous: float
    dura: float
    venous: float
    haematocrit: float
    vitreous: float
    lens: float
    texture: float  # standard deviation of slow variation inside tissue, HU

    @property
    def blood(self) -> float:
        """The HU of this head's blood before it clots."""
        return blood_hu(self.haematocrit)

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Tissue:
        """Return one head's values, wider than one scanner would show."""
        white = float(rng.uniform(25.5, 32.5))
        haematocrit = float(np.clip(rng.normal(40, 5.5), 26, 52))
        return cls(
            # Any contrast from 3 to 12 HU, most often that of the ranges' middles, 39 and 29. Drawn evenly, the median
            # of grey was 36.5, below what is found; now it is 37.4.
            grey=float(np.clip(white + rng.triangular(3.0, 10.0, 12.0), 34.0, 42.5)),
            white=white,
            csf=float(rng.uniform(0.5, 12.0)),
            muscle=float(rng.uniform(45, 64)),
            fat=float(rng.uniform(-112, -80)),
            cortical=float(rng.uniform(1200, 1850)),
            diploe=float(rng.uniform(300, 900)),
            petrous=float(rng.uniform(1300, 1950)),
            dura=float(rng.uniform(44, 60)),
            venous=blood_hu(haematocrit),
            haematocrit=haematocrit,
            vitreous=float(rng.uniform(0, 15)),
            lens=float(rng.uniform(60, 115)),
            texture=float(rng.uniform(0.4, 1.5)),
        )
