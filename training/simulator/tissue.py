# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What each tissue of one head measures, in HU at about 120 kVp.

Grey 37-41, white 26-32, their difference 3-12 (Weinstein et al., Radiology 1977; Arimitsu et al., J Comput Assist
Tomogr 1977; with age and oedema down to 3: Torbey et al., Stroke 2000); CSF 0-12 (Norman et al., Radiology 1977);
muscle 45-65, fat -80 to -110 (Hounsfield, Br J Radiol 1973); flowing blood 35-66, by haematocrit (New & Aronow,
Radiology 1976; Black et al., AJNR 2011); skull tables 1000-1900 with diploe of 300-900 between (Lillie et al., J Bone
Miner Res 2016); vitreous 0-15, lens 60-115 (Moseley & Sanders, Computerized Tomography in Neuro-ophthalmology, 1982).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Tissue:
    """The HU of one head's tissues, and the mild physics that tells one head from the next."""

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
    vitreous: float
    lens: float
    texture: float  # standard deviation of slow variation inside tissue, HU

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Tissue:
        """Return one head's values, wider than one scanner would show."""
        white = float(rng.uniform(25.5, 32.5))
        return cls(
            grey=float(np.clip(white + rng.uniform(3.0, 12.0), 34.0, 42.5)),
            white=white,
            csf=float(rng.uniform(0.5, 12.0)),
            muscle=float(rng.uniform(45, 64)),
            fat=float(rng.uniform(-112, -80)),
            cortical=float(rng.uniform(1200, 1850)),
            diploe=float(rng.uniform(300, 900)),
            petrous=float(rng.uniform(1300, 1950)),
            dura=float(rng.uniform(42, 62)),
            venous=float(rng.uniform(40, 66)),
            vitreous=float(rng.uniform(0, 15)),
            lens=float(rng.uniform(60, 115)),
            texture=float(rng.uniform(0.4, 1.5)),
        )
