# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""How dense blood is, by haematocrit and age, and how the density varies within a clot.

Whole blood rises with the haematocrit, the one that the head's vessels show (`tissue.py`). A clot retracts within six
hours (Kendall & Radue, Br J Radiol 1978) and then measures up to 78 here (clotted sinuses: 74 +- 9, Buyck). Blood that
has not clotted stays at 40-60, and so may that of the anaemic (Smith et al., AJR 1981; Duy et al., J Neuroimaging 2019,
find no difference). A subacute clot loses 1.6 HU a day here (textbooks: 1-2; Dolinskas et al., AJR 1977) and passes
brain between the first and the third week (Lee et al., J Korean Med Sci 1997, for subdural hematomas). Swirls are blood
that still runs (Greenberg et al., Neurosurgery 1985; Al-Nakshabandi, Radiology 2001); a horizontal level is blood that
settles unclotted (Pfleger et al., AJNR 1994).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from simulator.anatomy import Anatomy, Box
from simulator.blood.form import Bleed
from simulator.build import rotation
from simulator.fields import smooth_field
from simulator.landmarks import smoothstep

Field = NDArray[np.float32]

_HU_OF_PACKED_CELLS = 80.0
_CLEAR_HU = 60.0
ISODENSE_HU = 45.0  # no denser than grey matter about it


class Age(StrEnum):
    """How old a clot is."""

    HYPERACUTE = "hyperacute"
    ACUTE = "acute"
    SUBACUTE = "subacute"


@dataclass(frozen=True)
class Clot:
    """The blood of one bleed.

    Attributes
    ----------
    hu: mean density.
    uneven_hu: standard deviation of slow variation.
    swirl_hu: by how much runs of fresh blood are darker, 0 without any.
    """

    age: Age
    hu: float
    uneven_hu: float
    swirl_hu: float

    @classmethod
    def draw(cls, anatomy: Anatomy, bleed: Bleed, rng: np.random.Generator, subacute_rate: float = 0.08) -> Clot:
        """Return a clot of this head's blood, by its haematocrit: contrast agent in its vessels thickens no clot."""
        whole = anatomy.tissue.blood
        age = Age(
            str(rng.choice([Age.HYPERACUTE, Age.SUBACUTE, Age.ACUTE], p=[0.1, subacute_rate, 0.9 - subacute_rate]))
        )
        packed = whole + float(rng.uniform(0.15, 0.9)) * (_HU_OF_PACKED_CELLS - whole)
        if bleed.clear:
            age, packed = Age.ACUTE, max(packed, _CLEAR_HU)
        days = float(rng.uniform(4, 15))
        hu = {
            Age.HYPERACUTE: whole * float(rng.uniform(0.95, 1.08)),
            Age.ACUTE: packed,
            Age.SUBACUTE: max(packed - 1.6 * days, 38.0),
        }[age]
        swirls = {Age.HYPERACUTE: 0.6, Age.ACUTE: 0.15, Age.SUBACUTE: 0.0}[age]
        swirl = float(rng.uniform(6, 20)) if rng.random() < swirls else 0.0
        return cls(age, float(np.clip(hu, 38, 80)), float(rng.uniform(0.8, 3.5)), swirl)

    def density(self, rng: np.random.Generator, shape: tuple[int, ...], grain_mm: float) -> Field:
        """Return the HU [Z, Y, X] of the clot, uneven over `grain_mm`."""
        out = np.float32(self.hu) + np.float32(self.uneven_hu) * smooth_field(rng, shape, grain_mm)
        if self.swirl_hu:
            # Pools and runs of it wind through the clot, with soft edges.
            winding = smooth_field(rng, shape, max(5.0, 1.1 * grain_mm)) + 0.4 * smooth_field(rng, shape, 4.0)
            out -= np.float32(self.swirl_hu) * smoothstep((winding - 0.1) / 1.3)
        return np.asarray(out, np.float32)


def settle(density: Field, down: Field, level: float, drop_hu: float) -> Field:
    """Return a density with cells settled below a horizontal level: `drop_hu` darker above it, a little denser below.

    Parameters
    ----------
    down: mm downwards, see `downwards`.
    level: of the same.
    """
    above = smoothstep((np.float32(level) - down) / np.float32(2.5) + 0.5)
    return np.asarray(density + np.float32(0.2 * drop_hu) - np.float32(1.2 * drop_hu) * above, np.float32)


def downwards(anatomy: Anatomy, box: Box) -> Field:
    """Return how far down (mm, of a patient who lies on the back) each voxel [Z, Y, X] of a box of the grid lies."""
    build = anatomy.build
    turn = rotation(*build.rotation_deg)
    mirror = -1.0 if build.mirrored else 1.0
    step = [scale * turn[1][axis] for axis, scale in enumerate(build.scale)]
    z, y, x = (np.arange(s.start, s.stop, dtype=np.float32) for s in box)
    return np.asarray(
        np.float32(step[0]) * z[:, None, None]
        + np.float32(step[1]) * y[None, :, None]
        + np.float32(mirror * step[2]) * x[None, None, :],
        np.float32,
    )
