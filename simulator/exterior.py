# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""All of one head but the inside of its skull, on the atlas grid: what a bleed never changes, made once a head."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from simulator.atlas import Atlas
from simulator.build import Build
from simulator.face import Face
from simulator.fields import smooth_field, stream
from simulator.landmarks import smoothstep
from simulator.mimics import Mimics
from simulator.mimics.mimic import Outside
from simulator.skull import AIR_HU, FLUID_HU, Skull, lay_skull, sinus_air
from simulator.soft_tissue import Eye, soft_tissue
from simulator.tissue import Tissue

Field = NDArray[np.float32]

_THINNEST_BONE_MM = np.float32(1.2)
_VAULT_SCALP_MM = np.float32(5.5)


@dataclass(frozen=True)
class Exterior:
    """Skull, scalp, face and the air around one head, and its neck.

    Attributes
    ----------
    texture: a smooth random field [Z, Y, X] of the atlas grid.
    """

    seed: int
    atlas: Atlas
    tissue: Tissue
    build: Build
    skull: Skull
    face: Face
    eyes: tuple[Eye, Eye]
    mimics: Mimics
    texture: Field = field(repr=False)

    @cached_property
    def _thickening(self) -> Field:
        """How much (mm) this head's skull is thicker than the atlas's, [Z, Y, X]; evenly so in the face."""
        uneven = smooth_field(stream(self.seed, "skull"), self.atlas.shape, 32)
        z = self.atlas.mni()[0]
        uneven *= np.float32(self.build.uneven_mm) * smoothstep((z + 15) / 20)
        uneven += np.float32(self.build.skull_mm)
        return uneven

    @cached_property
    def outer_distance(self) -> Field:
        """Distance (mm) to this head's outer table, negative inside, [Z, Y, X]; the cavity is never without bone."""
        outer = self.atlas.skull_distance - self._thickening
        return np.asarray(np.minimum(outer, self.atlas.cavity_distance - _THINNEST_BONE_MM), np.float32)

    @cached_property
    def _lifted(self) -> Field | None:
        """How far (mm) mimics lift the skin, [Z, Y, X]."""
        return self.mimics.lift(*self.atlas.mni())

    @cached_property
    def _excess_scalp(self) -> Field:
        """How much (mm) the atlas's scalp over the vault is thicker than `_VAULT_SCALP_MM`, [Z, Y, X]; 0 over muscle.

        The T1 of the familiar anatomy has 11 mm of scalp at the vertex, that of the second one 5.
        """
        atlas = self.atlas
        z, y, x = atlas.mni()
        temporal = smoothstep((np.abs(x) - 42) / 12) * smoothstep((50 - z) / 16) * smoothstep((y + 55) / 20)
        occipital = smoothstep((-66 - y) / 14) * smoothstep((14 - z) / 14)
        # The forehead has no muscle worth the name down to the brow, the back of the head does.
        lowest = 2 - 24 * smoothstep((y - 30) / 30)
        bare = smoothstep((z - lowest) / 40) * (1 - np.maximum(temporal, occipital))
        return np.asarray(
            bare * np.maximum(atlas.skull_distance - _VAULT_SCALP_MM - atlas.head_distance, 0), np.float32
        )

    @cached_property
    def skin_distance(self) -> Field:
        """Distance (mm) to this head's skin, negative inside, [Z, Y, X]; at least a thin scalp covers the bone."""
        skin = self.atlas.head_distance + self._excess_scalp - self._thickening - np.float32(self.build.scalp_mm)
        skin = np.minimum(skin, self.outer_distance - np.float32(self.build.skin_mm + 0.8))
        if self._lifted is not None:
            skin -= self._lifted
        return np.asarray(skin, np.float32)

    @property
    def reach_mm(self) -> float:
        """How far beyond the atlas's skin this head reaches at most, about, mm."""
        build = self.build
        return max(build.skull_mm, 0.0) + 3 * build.uneven_mm + max(build.scalp_mm, 0.0) + 4

    @cached_property
    def hu(self) -> Field:
        """The HU [Z, Y, X]; what lies inside the cavity has no meaning. Not to be written to."""
        atlas, tissue, outer, skin = self.atlas, self.tissue, self.outer_distance, self.skin_distance
        cavity = np.clip(0.5 - atlas.cavity_distance, 0, 1)
        bone = np.clip(np.clip(0.5 - outer, 0, 1) - cavity, 0, 1)
        out = soft_tissue(atlas, tissue, self.build, outer, skin, self._lifted, self.texture)
        place = Outside(out, *atlas.mni(), atlas.cavity_distance, outer, skin, tissue)
        for eye in self.eyes:
            eye.lay(place, atlas)
        lay_skull(out, bone, outer, atlas, tissue, self.skull, self.texture, self.seed)
        air, fluid = sinus_air(atlas, outer, self.skull, self.seed)
        air *= 1 - cavity
        out += air * (np.float32(AIR_HU) + fluid * np.float32(FLUID_HU - AIR_HU) - out)
        self.face.lay_upper(Outside(out, *atlas.mni(), atlas.cavity_distance, outer, skin, tissue))
        out = np.asarray(AIR_HU + np.clip(0.5 - skin, 0, 1) * (out - AIR_HU), np.float32)
        place = Outside(out, *atlas.mni(), atlas.cavity_distance, outer, skin, tissue)
        self.mimics.lay_outside(place)
        out.flags.writeable = False
        return out

    def below(self, depth_mm: int, tissue: Tissue | None = None) -> Field:
        """Return the HU [`depth_mm`, Y, X] of face and neck below the atlas.

        Parameters
        ----------
        tissue: with contrast agent in its vessels; the head's own by default.
        """
        lowest = (self.hu[0], self.skin_distance[0])
        return self.face.below(self.atlas, tissue or self.tissue, lowest, self.build.skin_mm, self.seed, depth_mm)
