# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What lies outside the skull: skin, subcutaneous fat, galea and muscle, and the eyes with lens and optic nerve.

CT tells three coverings of the scalp: skin, subcutaneous fat, and galea with what lies under it (Hayman et al., J
Comput Assist Tomogr 2003), here some millimetres each, thicker with fat behind; a globe is 24 mm long, its lens 9 by 4
mm (Bekerman et al., J Ophthalmol 2014), the optic nerve in its sheath 4-5 mm thick.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from simulator.atlas import Atlas
from simulator.build import Build
from simulator.landmarks import smoothstep
from simulator.mimics.mimic import Outside
from simulator.tissue import Tissue

Field = NDArray[np.float32]
Point = tuple[float, float, float]

_OPTIC_CANAL: Point = (-22.0, 18.0, 12.0)  # MNI z, y, |x|


def soft_tissue(
    atlas: Atlas, tissue: Tissue, build: Build, outer: Field, skin: Field, lifted: Field | None, texture: Field
) -> Field:
    """Return the HU [Z, Y, X] of scalp and face as if no bone and no air were there.

    Parameters
    ----------
    outer, skin: mm to this head's outer table and skin, negative inside.
    lifted: mm by which a swelling lifts the skin; where it does by about 3 mm no fat is left.
    """
    depth = -skin
    fat = np.where(depth < np.float32(3.5 + max(0.0, build.scalp_mm)), np.float32(0.92), atlas.fat)
    # The temporal muscle ends at its line on the parietal bone; T1 shows the galea above it as dark as muscle.
    fat = np.maximum(fat, np.float32(0.92) * smoothstep((atlas.mni()[0] - 24) / 12))
    fat *= smoothstep((depth - np.float32(build.skin_mm)) / 0.8)
    # The galea: a thin sheet that glides on a little loose fat over the bone, dense only where muscle pulls on it.
    on_bone = smoothstep((outer - 0.3) / 0.6)
    sheet = np.clip(1.0 - np.abs(outer - 1.9), 0, 1) * np.float32(0.55)
    fat *= on_bone * (1 - sheet)
    if lifted is not None:
        # Fluid seeps into the fat about a swelling, unevenly.
        fat *= 1 - smoothstep(lifted * (1 + 0.3 * texture) / 3)
    out = np.float32(tissue.muscle) + fat * np.float32(tissue.fat - tissue.muscle)
    out += 4 * texture
    out += atlas.bone * np.float32(0.55 * tissue.cortical)
    return np.asarray(out, np.float32)


@dataclass(frozen=True)
class Eye:
    """One eye: where it is, where it looks and what its lens is like.

    Attributes
    ----------
    side: 1 where MNI x is positive, -1 where it is negative.
    gaze: unit vector z, y, x.
    lens_mm: thickness of the lens; an artificial one is thin.
    nerve_mm: radius of the optic nerve in its sheath.
    """

    side: float
    gaze: Point
    lens_mm: float
    lens_hu: float
    nerve_mm: float

    @classmethod
    def pair(cls, rng: np.random.Generator, tissue: Tissue, age_years: float) -> tuple[Eye, Eye]:
        """Return both eyes, which look the same way."""
        up, across = np.deg2rad(rng.normal(0, 8)), np.deg2rad(rng.normal(0, 10))
        gaze = (float(np.sin(up)), float(np.cos(up) * np.cos(across)), float(np.sin(across)))
        nerve = float(rng.uniform(1.7, 2.6))

        def eye(side: float) -> Eye:
            artificial = rng.random() < max(0.0, (age_years - 55) / 80)
            lens_mm = 1.4 if artificial else float(rng.uniform(3.6, 5.0))
            return cls(side, gaze, lens_mm, 160.0 if artificial else tissue.lens, nerve)

        return eye(1.0), eye(-1.0)

    def lay(self, place: Outside, atlas: Atlas) -> None:
        """Put the eye into a head."""
        centre = _globe_centre(atlas, self.side)
        if centre is None:
            return
        tissue = place.tissue
        away = np.asarray(self.gaze)
        back: Point = _move(centre, away, -11.0)
        canal: Point = (_OPTIC_CANAL[0], _OPTIC_CANAL[1], self.side * _OPTIC_CANAL[2])
        bend: Point = (back[0] - 1.0, 0.45 * back[1] + 0.55 * canal[1], 0.4 * back[2] + 0.6 * canal[2])
        box, distance = place.along((back, bend, canal), 5)
        place.blend(box, np.clip(self.nerve_mm + 0.5 - distance, 0, 1), 34.0)
        box, distance = place.along((centre,), 16)
        place.blend(box, np.clip(12.6 - distance, 0, 1), tissue.muscle)
        place.blend(box, np.clip(11.5 - distance, 0, 1), tissue.vitreous)
        lens: Point = _move(centre, away, 7.2)
        box, _ = place.along((lens,), 7)
        z, y, x = box
        offs = (
            place.z[z] - np.float32(lens[0]),
            place.y[:, y] - np.float32(lens[1]),
            place.x[:, :, x] - np.float32(lens[2]),
        )
        along = offs[0] * np.float32(away[0]) + offs[1] * np.float32(away[1]) + offs[2] * np.float32(away[2])
        square = offs[0] ** 2 + offs[1] ** 2 + offs[2] ** 2
        aside = np.sqrt(np.maximum(square - along**2, 0))
        shape = np.sqrt((aside / np.float32(4.6)) ** 2 + (along / np.float32(self.lens_mm / 2)) ** 2)
        place.blend(box, smoothstep((1 - shape) * np.float32(self.lens_mm / 2) + 0.5), self.lens_hu)


def _move(point: Point, along: NDArray[np.floating], mm: float) -> Point:
    z, y, x = (float(p + mm * a) for p, a in zip(point, along, strict=True))
    return z, y, x


def _globe_centre(atlas: Atlas, side: float) -> Point | None:
    """Return the MNI z, y, x of the middle of the globe on a side, or None where the atlas has none."""
    lines = [part.ravel() for part in atlas.mni()]
    found = ndimage.find_objects((atlas.globe > 0.5).astype(np.uint8))
    if not found:
        return None
    index = np.argwhere(atlas.globe[found[0]] > 0.5) + [s.start for s in found[0]]
    here = index[lines[2][index[:, 2]] * side > 0]
    if len(here) == 0:
        return None
    # The atlas shows too little of a globe in front: its back and its sides are what is reliable.
    z, y, x = (float(line[column].mean()) for line, column in zip(lines, here.T, strict=True))
    return z, y, x
