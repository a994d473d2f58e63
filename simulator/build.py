# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""How one head is built and how it lies in the gantry: size, age, asymmetry, thickness of bone and scalp.

Sulci and ventricles widen with age, most from the sixties on and most in the frontal lobes and the Sylvian fissures
(Barron et al., Neurology 1976; Resnick et al., J Neurosci 2003); in the young they are tight. The right frontal and
left occipital lobes are usually the longer (LeMay, Ann N Y Acad Sci 1976), the right transverse sinus usually the
wider (Durgun et al., Surg Radiol Anat 1993); a cavum septi pellucidi stays in some per cent of adults (Born et al., Eur
Arch Psychiatry Clin Neurosci 2004).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.holder import Holder


@dataclass(frozen=True)
class Build:
    """How one head differs from the atlas apart from its HU.

    Attributes
    ----------
    age_years: what atrophy, ventricles, sutures and artificial lenses follow.
    mirrored: whether left and right of the atlas are exchanged.
    scale: z, y, x.
    rotation_deg: pitch (chin down positive), yaw, roll.
    shift_mm: z, y, x of the head in patient space.
    skew_mm: how far one side of the outside lies before the other, at 70 mm from the midline.
    atrophy: -0.35 tight .. 1.4 wide sulci; `subdural_mm`: CSF between the frontal lobes and the inner table.
    ventricles: widening of the right and left lateral ventricles, mm; 0 as the atlas.
    torque_mm: how far the midline bends behind.
    cavum_mm: half the width of a cavum septi pellucidi, 0 for none.
    transverse_sinus: relative width of the right and left transverse sinus.
    skull_mm, uneven_mm: added to the skull's thickness, outward, and how much that varies from place to place.
    scalp_mm, skin_mm: added to the scalp; the skin's thickness.
    """

    age_years: float
    mirrored: bool
    scale: tuple[float, float, float]
    rotation_deg: tuple[float, float, float]
    shift_mm: tuple[float, float, float]
    skew_mm: float
    atrophy: float
    subdural_mm: float
    ventricles: tuple[float, float]
    torque_mm: float
    cavum_mm: float
    transverse_sinus: tuple[float, float]
    skull_mm: float
    uneven_mm: float
    scalp_mm: float
    skin_mm: float
    holder: Holder | None

    @classmethod
    def draw(cls, rng: np.random.Generator, *, wide: bool = True) -> Build:
        """Return one head's build; `wide` lets it lie further off centre and more turned than technicians leave it."""
        size = rng.normal(1.0, 0.035)
        age = float(18 + 77 * rng.beta(2.1, 1.5))
        old = (age - 60) / 35
        ventricles = float(np.clip(rng.normal(2.2 + 3.4 * old, 1.4), -1.2, 7.5))
        lopsided = float(rng.normal(0, 0.8))
        atrophy = float(np.clip(rng.normal(0.5 + 0.8 * old, 0.3), -0.35, 1.4))
        spread = 1.6 if wide else 0.8
        wider, narrower = float(rng.uniform(0.8, 1.15)), float(rng.uniform(0.35, 0.95))
        right_wider = rng.random() < 0.65
        return cls(
            age_years=age,
            mirrored=bool(rng.random() < 0.5),
            scale=(
                float(size * rng.normal(1, 0.025)),
                float(size * rng.normal(1, 0.03)),
                float(size * rng.normal(1, 0.03)),
            ),
            rotation_deg=(
                float(np.clip(rng.normal(-2, 5 * spread), -24, 20)),
                float(np.clip(rng.normal(0, 4 * spread), -20, 20)),
                float(np.clip(rng.normal(0, 3 * spread), -14, 14)),
            ),
            shift_mm=(
                float(rng.normal(0, 4 * spread)),
                float(np.clip(rng.normal(0, 6 * spread), -22, 22)),
                float(np.clip(rng.normal(0, 5 * spread), -20, 20)),
            ),
            skew_mm=float(rng.normal(0, 1.6)),
            atrophy=atrophy,
            subdural_mm=float(max(0.0, atrophy) * rng.uniform(0.0, 4.0)),
            ventricles=(ventricles + lopsided, ventricles - lopsided),
            torque_mm=float(rng.normal(0, 2.0)),
            cavum_mm=float(rng.uniform(1.0, 4.0)) if rng.random() < 0.08 else 0.0,
            transverse_sinus=(wider, narrower) if right_wider else (narrower, wider),
            skull_mm=float(rng.uniform(-1.9, 1.9)),
            uneven_mm=float(rng.uniform(0.2, 0.9)),
            scalp_mm=float(np.clip(rng.gamma(2.0, 0.9) - 1.4, -1.6, 4.0)),
            skin_mm=float(rng.uniform(1.3, 2.4)),
            holder=Holder.draw(rng) if rng.random() < 0.65 else None,
        )


def rotation(pitch: float, yaw: float, roll: float) -> NDArray[np.float64]:
    """Return the matrix that turns (z, y, x) column vectors by the three angles in degrees."""
    p, w, r = np.deg2rad([pitch, yaw, roll])
    about_x = np.array([[np.cos(p), np.sin(p), 0], [-np.sin(p), np.cos(p), 0], [0, 0, 1]])
    about_z = np.array([[1, 0, 0], [0, np.cos(w), np.sin(w)], [0, -np.sin(w), np.cos(w)]])
    about_y = np.array([[np.cos(r), 0, np.sin(r)], [0, 1, 0], [-np.sin(r), 0, np.cos(r)]])
    return np.asarray(about_z @ about_y @ about_x)
