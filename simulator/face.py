# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The face and neck that the atlas lacks: nose, jaws, teeth, tongue, airway and the upper spine.

Both anatomies end at MNI z -71, through the maxillary sinuses, and T1 does not tell thin bone from air. So nose,
mandible, zygomatic arches and dens are drawn into the atlas's part, and all below it is built here, when a scan reaches
down so far. What the atlas shows of jaw, airway and spine at its lowest slices gives the places; lengths are those of
anatomical tables (dens and cervical bodies: Panjabi et al., Spine 1991; mandible, palate and pharynx: Gray's Anatomy),
rounded. None of it follows from whether the head bleeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from simulator.atlas import Atlas
from simulator.fields import smooth_field, stream
from simulator.landmarks import smoothstep
from simulator.mimics.mimic import Outside
from simulator.teeth import BITE_Z, LOWER, UPPER, Teeth
from simulator.tissue import Tissue

Field = NDArray[np.float32]
Point = tuple[float, float, float]

DEPTH_MM = 76
"""How far below the atlas the face is built at most; the neck goes on as its lowest slice."""
AIR_HU = -1000.0
_CORD_HU = 33.0
_FLUID_HU = 8.0


@dataclass(frozen=True)
class Face:
    """What tells one face from the next.

    Attributes
    ----------
    teeth: of both jaws.
    congestion: how swollen the turbinates are, 0.6 to 1.3.
    septum_mm: how far the septum is bent, to the side where MNI x is positive.
    airway: relative width of the pharynx; an intubated or sleeping throat is narrow.
    mouth_air_mm: of air between tongue and palate.
    spine_slope: how far back the spine goes for each mm down.
    fat_mm: added to the fat below the skin.
    chin_z: MNI z of the lower border of the chin.
    """

    teeth: Teeth
    congestion: tuple[float, float]
    septum_mm: float
    airway: float
    mouth_air_mm: float
    spine_slope: float
    fat_mm: float
    chin_z: float

    @classmethod
    def draw(cls, rng: np.random.Generator, age_years: float) -> Face:
        """Return the face of a head of this age."""
        teeth = Teeth.draw(rng, age_years)
        # The nasal cycle: one side is wider while the other swells.
        swollen, cycle = float(rng.uniform(0.75, 1.1)), float(rng.normal(0, 0.15))
        return cls(
            teeth=teeth,
            congestion=(swollen + cycle, swollen - cycle),
            septum_mm=float(np.clip(rng.normal(0, 2.5), -5, 5)),
            airway=float(rng.uniform(0.45, 1.25)),
            mouth_air_mm=float(max(0.0, rng.normal(0.5, 2.0))),
            spine_slope=float(rng.uniform(-0.05, 0.3)),
            fat_mm=float(rng.gamma(2.0, 1.5)),
            chin_z=BITE_Z - 41 - 0.5 * teeth.open_mm + float(rng.normal(0, 2.5)),
        )

    # ---- within the atlas

    def lay_upper(self, place: Outside) -> None:
        """Put nose, mandible, zygomatic arches and dens into the part of the face that the atlas has."""
        self._lay_ethmoid(place)
        self._lay_nose(place)
        self._lay_mandible(place)
        self._lay_arches_and_plates(place)
        self._lay_spine(place)

    def _lay_ethmoid(self, place: Outside) -> None:
        """Open the ethmoid cells between the eyes, which T1 shows as one dark block."""
        box, _ = place.along(((-48.0, 36.0, 0.0), (-29.0, 36.0, 0.0)), 22)
        z, y, x = place.z[box[0]], place.y[:, box[1]], place.x[:, :, box[2]]
        half = np.interp(z, [-50, -42, -30], [7, 10, 12]).astype(np.float32)
        off = _round_edges(np.abs(x) - half, np.maximum(-48 - z, z + 29), np.maximum(16 - y, y - 57))
        # Cells of 7 mm, skewed, with walls as thin as paper; the walls that lie across a slice are seen as a haze.
        sway = 2.2 * np.sin(0.21 * z + 0.33 * y) + 1.5 * np.sin(0.45 * x + 0.2 * z + self.septum_mm)
        walls = [
            np.abs(np.remainder(part, 1.0) - 0.5) * size
            for part, size in (
                ((y + sway + 0.4 * z) / 7.5, 7.5),
                ((np.abs(x) - 0.5 * sway) / 6, 6.0),
                ((z - 0.3 * y + sway) / 8, 8.0),
            )
        ]
        wall = np.clip(1 - np.minimum(np.minimum(walls[0], walls[1]), walls[2]), 0, 1)
        hu = AIR_HU + wall * np.float32(0.3 * place.tissue.cortical - AIR_HU)
        place.blend(box, np.clip(0.5 - off, 0, 1), hu)

    def _lay_nose(self, place: Outside) -> None:
        """Fill the nasal cavity with air, and hang septum and turbinates into it."""
        box, _ = place.along(((-78.0, 46.0, 0.0), (-40.0, 46.0, 0.0)), 44)
        z, y, x = place.z[box[0]], place.y[:, box[1]], place.x[:, :, box[2]]
        # Half the width of the cavity: wide at the floor, narrow between the eyes.
        half = np.interp(z, [-79, -71, -62, -52, -44, -36], [13, 17, 14, 11.5, 9, 5]).astype(np.float32)
        half = half * smoothstep((79 - y) / 14 + 0.15)
        floor = np.where(y > 66, np.float32(-70), np.float32(-78))
        half = half * (0.55 + 0.45 * smoothstep((y - 12) / 10))
        ends = np.maximum(13 - y, y - np.interp(z, [-78, -66, -50, -40], [76, 77, 68, 62]))
        off = _round_edges(np.abs(x) - half, np.maximum(floor + 0.05 * (y - 40) - z, z + 41), ends)
        wall = np.clip(1.3 - np.abs(off - 0.9), 0, 1) * smoothstep((68 - y) / 6) * smoothstep((y - 20) / 4)
        place.blend(box, wall, 0.45 * place.tissue.cortical)
        place.blend(box, np.clip(0.5 - off, 0, 1), 38.0)  # mucosa
        place.blend(box, np.clip(-0.9 - off, 0, 1), AIR_HU)
        bent = np.float32(self.septum_mm) * np.sin(np.clip((y - 16) / 56, 0, 1) * np.pi) * smoothstep((-44 - z) / 14)
        sheet = np.clip(1.6 - np.abs(x - bent), 0, 1) * np.clip(0.5 - off, 0, 1)
        place.blend(box, sheet, 45.0)
        plate = np.clip(0.9 - np.abs(x - bent), 0, 1) * np.clip(0.5 - off, 0, 1) * smoothstep((48 - y) / 4)
        place.blend(box, plate, 0.4 * place.tissue.cortical)
        for side, swollen in zip((1.0, -1.0), self.congestion, strict=True):
            for height, aside, wide, tall, back, front in ((-70, 10.0, 4.4, 7.0, 22, 64), (-55, 6.8, 2.3, 6.0, 22, 56)):
                shape = np.sqrt(
                    ((side * x - np.float32(aside)) / np.float32(wide * swollen)) ** 2
                    + ((z - np.float32(height) - 0.06 * (y - 40)) / np.float32(tall * swollen)) ** 2
                    + (np.maximum(np.maximum(back - y, y - front), 0) / np.float32(4)) ** 2
                )
                share = np.clip((1 - shape) * np.float32(wide * swollen) + 0.5, 0, 1) * np.clip(0.5 - off, 0, 1)
                place.blend(box, share, 48.0)
                core = np.clip((0.28 - shape) * np.float32(wide) + 0.5, 0, 1) * np.clip(0.5 - off, 0, 1)
                place.blend(box, core, 0.35 * place.tissue.cortical)

    def _lay_mandible(self, place: Outside) -> None:
        """Put the mandible into a head: rami with condyles and coronoids, and the body down to the chin."""
        drop = self.teeth.open_mm
        for side in (1.0, -1.0):
            box, _ = place.along(((self.chin_z, 6.0, side * 52), (-48.0, 6.0, side * 52)), 36)
            z, y, x = place.z[box[0]], place.y[:, box[1]], side * place.x[:, :, box[2]]
            # Rami diverge backwards, bulge outwards on the way, and are thick behind and thin in front.
            back_part = np.clip((27 - y) / 42, 0, 1)
            middle = 48.5 + 10 * back_part + 2.2 * np.sin(np.pi * back_part) - np.clip((-75 - z) / 35, 0, 1) * 4.5
            thick = np.interp(z, [-118, -100, -71, -52], [4.2, 3.0, 2.5, 2.6]).astype(np.float32)
            thick = thick * (0.6 + 0.55 * smoothstep(back_part * 1.2))
            front = np.interp(z, [-118, -100, -80, -71, -50], [34, 30, 27, 26, 30]).astype(np.float32)
            back = np.interp(z, [-118, -105, -71, -50], [4, -8, -15, -14]).astype(np.float32)
            notch = -64 + 0.06 * (y - 8) ** 2  # between coronoid and condyle
            top = np.minimum(notch, np.where(y > 10, np.float32(-51), np.float32(-57)))
            off = _round_edges(np.abs(x - middle) - thick, np.maximum(y - front, back - y), radius=2.0)
            off = np.maximum(off, np.maximum(z - top, self._border(y) - z))
            _lay_bone(place, box, off, 1.3)
            head: tuple[Point, ...] = ((-53.5 - 0.1 * drop, -8.0, side * 51), (-53.5 - 0.1 * drop, -9.5, side * 62))
            neck: tuple[Point, ...] = ((-54.0, -9.0, side * 57), (-70.0, -12.0, side * 57))
            angle: tuple[Point, ...] = ((BITE_Z - drop - 17, 30.0, side * 33), (BITE_Z - drop - 10, 9.0, side * 48))
            for line, radius in ((head, 4.0), (neck, 3.2), (angle, 5.0)):
                box, distance = place.along(line, radius + 2)
                _lay_bone(place, box, distance - np.float32(radius), 1.2)
        box, _ = place.along(((self.chin_z, 30.0, 0.0), (BITE_Z - drop - 6, 30.0, 0.0)), 56)
        z, y, x = place.z[box[0]], place.y[:, box[1]], place.x[:, :, box[2]]
        rim = BITE_Z - drop - 8.5
        down = np.clip((rim - z) / (rim - self.chin_z), 0, 1)
        aside = LOWER.side + down * 19
        ahead, middle = LOWER.front + down * 13, LOWER.y - down * 12
        off = np.abs(_off_ellipse(y - middle, x, ahead, aside)) - (5.2 - 0.8 * down)
        off = np.maximum(off, np.maximum(z - np.float32(rim), self._border(y) - z))
        off = np.maximum(off, 8 - y)
        _lay_bone(place, box, off, 2.0)

    def _border(self, y: Field) -> Field:
        """Return the MNI z of the mandible's lower border at MNI y: it rises from the chin to the angle."""
        return np.asarray(self.chin_z + 0.42 * np.clip(70 - y, 0, 66), np.float32)

    def _lay_arches_and_plates(self, place: Outside) -> None:
        """Put zygomatic arches and pterygoid plates into a head."""
        for side in (1.0, -1.0):
            arch: tuple[Point, ...] = (
                (-45.0, 49.0, side * 48),
                (-46.0, 32.0, side * 58),
                (-47.0, 10.0, side * 63),
                (-46.0, -6.0, side * 62),
            )
            box, distance = place.along(arch, 5)
            _lay_bone(place, box, distance - np.float32(2.3), 1.2)
            for foot in (13.0, 21.0):
                box, _ = place.along(((-80.0, 8.0, side * foot), (-52.0, 16.0, side * 16)), 9)
                z, y, x = place.z[box[0]], place.y[:, box[1]], side * place.x[:, :, box[2]]
                off = np.abs(x - 15.5 - (foot - 15.5) * np.clip((17 - y) / 12, 0, 1)) - 0.7
                off = np.maximum(off, np.maximum(np.maximum(y - 17, 5 - y), np.maximum(z + 52, -79 - z)))
                _lay_bone(place, box, off, 0.8)

    def _canal_y(self, z: NDArray[np.floating]) -> Field:
        """Return the MNI y of the spinal canal's middle at MNI z; in the atlas it stands upright."""
        return np.asarray(-43 - self.spine_slope * np.maximum(-71 - z, 0), np.float32)

    def _lay_spine(self, place: Outside) -> None:
        """Put dens, vertebrae and what their canal holds into a head."""
        box, _ = place.along(((-147.0, -48.0, 0.0), (-58.0, -40.0, 0.0)), 46)
        z, y, x = place.z[box[0]], place.y[:, box[1]], place.x[:, :, box[2]]
        behind = self._canal_y(z) - y  # positive behind the canal's middle
        aside = np.abs(x)
        off = np.full(np.broadcast_shapes(z.shape, y.shape, x.shape), 9.0, np.float32)

        def add(part: NDArray[np.floating]) -> None:
            np.minimum(off, part, out=off)

        # Atlas: lateral masses, two arches.
        first = np.abs(z + 71) - np.float32(5.5)
        ring = _off_ellipse(behind + 1, x, np.float32(20), np.float32(20))
        add(np.maximum(np.abs(ring) - 2.8, first))
        add(np.maximum(np.hypot((aside - 22) / 1.0, behind + 9) - 8.5, np.abs(z + 70) - 8))
        # Axis: dens and body.
        add(np.maximum(np.hypot(x, behind + 15) - 5.3, np.abs(z + 73) - 14))
        for number in range(5):
            top = -84 - 17.5 * number
            middle = z - np.float32(top - 7)
            body = np.hypot(x / 1.35, behind + 18) - 8.2
            add(np.maximum(body, np.abs(middle) - 6.6))
            pillar = np.hypot((aside - 19) / 1.1, behind + 4) - 6.2
            add(np.maximum(pillar, np.abs(middle) - 7.4))
            lamina = np.abs(_off_ellipse(behind, x, np.float32(12), np.float32(17))) - 2.2
            add(np.maximum(np.maximum(lamina, -behind), np.abs(middle + 3) - 5))
            spine = np.maximum(
                aside - (2.6 if number else 4.5), np.maximum(11 - behind, behind - (27 if number else 31))
            )
            add(np.maximum(spine, np.abs(middle + 4 + 0.15 * behind) - 4))
        canal = np.hypot(x / 1.25, behind) - 9.3
        off = np.maximum(off, -canal)
        _lay_bone(place, box, off, 1.1, marrow=320)
        below = smoothstep((-70 - z) / 2)
        place.blend(box, np.clip(0.5 - canal, 0, 1) * below, _FLUID_HU)
        place.blend(box, np.clip(1.2 - np.abs(canal - 0.6), 0, 1) * below * (off > 0.3), -40.0)
        place.blend(box, np.clip(0.5 - (np.hypot(x / 1.3, behind) - 5.2), 0, 1) * below, _CORD_HU)
        artery = np.hypot(aside - 16.5, behind + 12) - 2.0
        place.blend(box, np.clip(0.5 - artery, 0, 1) * smoothstep((-80 - z) / 3), place.tissue.venous)

    # ---- below the atlas

    def below(
        self, atlas: Atlas, tissue: Tissue, lowest: tuple[Field, Field], skin_mm: float, seed: int, depth_mm: int
    ) -> Field:
        """Return the HU [Z, Y, X] of the first `depth_mm` of face and neck below the atlas, foot to head.

        Parameters
        ----------
        lowest: HU and distance (mm) to the skin [Y, X] of the head's lowest slice, into which it passes over.
        skin_mm: thickness of the skin.
        """
        first, y, x = atlas.mni()
        # From the head down, so that random fields begin alike at any depth.
        down = np.arange(1, depth_mm + 1, dtype=np.float32)[:, None, None]
        z = np.asarray(float(first.ravel()[0]) - down, np.float32)
        skin = self._skin(z, y, x)
        over = smoothstep(down / 22)
        skin = lowest[1] * (1 - over) + skin * over
        shape = skin.shape
        out = self._soft(skin, z, y, x, tissue, skin_mm, seed)
        seen = np.clip(lowest[0], tissue.fat, tissue.muscle + 20)
        fade = smoothstep(down / 9)
        out = seen * (1 - fade) + out * fade
        outside = np.full((1, 1, 1), 99.0, np.float32)
        place = Outside(out, z, y, x, np.broadcast_to(outside, shape), np.broadcast_to(outside, shape), skin, tissue)
        self._lay_sinus_floor(place, atlas)
        self._lay_nose(place)
        self._lay_throat(place)
        self._lay_vessels(place)
        self._lay_upper_jaw(place)
        self._lay_mandible(place)
        self._lay_arches_and_plates(place)
        self._lay_spine(place)
        self.teeth.lay(place)
        out = np.asarray(AIR_HU + np.clip(0.5 - skin, 0, 1) * (out - AIR_HU), np.float32)
        return out[::-1]

    def _skin(self, z: Field, y: Field, x: Field) -> Field:
        """Return the distance (mm, about) to the skin of jaw and neck, negative inside."""
        down = -71 - z
        neck = _off_ellipse(
            y + 48 + self.spine_slope * down * 0.8, x, np.float32(62), np.interp(z, [-147, -90], [60, 70])
        )
        chin = smoothstep((z - np.float32(self.chin_z - 12)) / 18)
        ahead = 34 + 32 * chin + 2.5 * np.exp(-0.5 * ((z - BITE_Z) / 7) ** 2)
        aside = np.interp(z, [-150, -125, -100, -71], [50, 60, 72, 80]) + self.fat_mm
        jaw = _off_ellipse(y - 14, x, ahead, aside)
        # A smooth union: the angle of jaw and neck is rounded.
        blend = np.clip(0.5 + (neck - jaw) / 56, 0, 1)
        return np.asarray(neck + (jaw - neck) * blend - 28 * blend * (1 - blend) + 3, np.float32)

    def _soft(self, skin: Field, z: Field, y: Field, x: Field, tissue: Tissue, skin_mm: float, seed: int) -> Field:
        """Return the HU of muscle, glands and fat below the skin [Z, Y, X]."""
        depth = -skin
        grain = smooth_field(stream(seed, "muscle"), skin.shape, 3)
        waves = smooth_field(stream(seed, "muscles"), skin.shape, 24)
        waves = 0.6 * (waves + waves[..., ::-1]) + 0.3 * waves  # the two sides are much alike
        under = np.float32(3.0 + self.fat_mm) + 2 * smoothstep((-60 - y) / 30) + 3 * smoothstep((20 + y) / 40)
        fat = self._fat_between_muscles(depth - under, z, y, x, waves)
        fat *= 0.8 * smoothstep(0.55 + 0.5 * smooth_field(stream(seed, "fasciae"), skin.shape, 12) + 0.25 * grain)
        fat = np.maximum(fat, 0.95 * smoothstep((under + 1.2 * waves - depth) / 1.5 + 0.5))
        aside = np.abs(x)
        for at, size in (((-86, 40, 46), (14, 11, 8)), ((-84, 4, 27), (16, 7, 5)), ((-110, -8, 40), (12, 8, 6))):
            off = sum(
                ((line - np.float32(c)) / np.float32(s)) ** 2
                for line, c, s in zip((z, y, aside), at, size, strict=True)
            )
            fat = np.maximum(fat, smoothstep((1.1 - np.sqrt(off) + 0.2 * grain) * 4))
        fat *= smoothstep((depth - np.float32(skin_mm)) / 0.8)
        glands = np.zeros_like(skin)
        for at, size in (((-86, -12, 64), (24, 15, 10)), ((-122, 22, 32), (10, 13, 8))):
            off = sum(
                ((line - np.float32(c)) / np.float32(s)) ** 2
                for line, c, s in zip((z, y, aside), at, size, strict=True)
            )
            glands = np.maximum(glands, smoothstep((1.0 - np.sqrt(off)) * 4) * smoothstep((depth - under) / 2))
        out = tissue.muscle + fat * np.float32(tissue.fat - tissue.muscle)
        out += glands * (np.float32(tissue.muscle - 35) + 14 * grain - out)
        out += 3 * grain
        return np.asarray(out, np.float32)

    def _fat_between_muscles(self, depth: Field, z: Field, y: Field, x: Field, waves: Field) -> Field:
        """Return how much of each voxel is fat between muscles, [Z, Y, X].

        Behind the spine they lie in coats on both sides of the ligament of the nape: trapezius, splenius, semispinalis
        and the short ones. The sternomastoid is a strap of its own at the side.

        Parameters
        ----------
        depth: mm below the fat under the skin.
        """
        aside, behind = np.abs(x), self._canal_y(z) - y
        nape = smoothstep((behind - 6) / 10)
        sheet = np.full(depth.shape, 9.0, np.float32)
        for coat, swing in ((6.0, 1.2), (13.0, 1.8), (25.0, 2.5)):
            # Coats end on the ligament: towards the middle they lie closer to the skin.
            at = np.float32(coat) * (0.5 + 0.5 * smoothstep(aside / 26)) + np.float32(swing) * waves
            np.minimum(sheet, np.abs(depth - at), out=sheet)
        fat = smoothstep(1.3 - sheet / np.float32(0.8)) * nape
        ligament = smoothstep(1.4 - np.abs(x + 0.8 * waves)) * smoothstep((behind - 24) / 6)
        out = aside - np.interp(z, [-147, -71], [42, 58])
        strap = np.hypot(out / 8, (behind - np.interp(z, [-147, -71], [-6, 14])) / 17)
        wrap = smoothstep(1.5 - np.abs(strap - 1.0 - 0.06 * waves) * 9) * smoothstep((depth - 1) / 3)
        fat = np.where(strap < 1, 0.25 * fat, fat)
        return np.asarray(np.maximum(np.maximum(fat, 0.8 * ligament), 0.9 * wrap), np.float32)

    def _lay_sinus_floor(self, place: Outside, atlas: Atlas) -> None:
        """Let the maxillary sinuses of the atlas end in a floor of bone."""
        y, x = place.y[0], place.x[0]
        cut = (atlas.air[0] > 0.5) & (np.abs(x) > 17) & (y > 12)
        within = np.asarray(ndimage.distance_transform_edt(cut) - ndimage.distance_transform_edt(~cut), np.float32)
        down = float(place.z.max()) + 1 - place.z
        off = np.float32(0.85) * down - within
        box = (slice(None), slice(None), slice(None))
        near = (down < 18) & (np.abs(x) < 50)
        place.blend(box, np.clip(1.6 - np.abs(off - 0.8), 0, 1) * near, 0.5 * place.tissue.cortical)
        place.blend(box, np.clip(0.5 - off, 0, 1) * near, AIR_HU)

    def _lay_throat(self, place: Outside) -> None:
        """Put tongue, and the air of mouth and pharynx, into a face."""
        box, _ = place.along(((-147.0, 20.0, 0.0), (-71.0, 20.0, 0.0)), 52)
        z, y, x = place.z[box[0]], place.y[:, box[1]], place.x[:, :, box[2]]
        tongue = np.sqrt((x / 23) ** 2 + ((y - 33) / 32) ** 2 + ((z + 106) / 21) ** 2)
        place.blend(box, smoothstep((1 - tongue) * 8), place.tissue.muscle - 6)
        place.blend(box, smoothstep((0.9 - tongue) * 6) * np.clip(1.2 - np.abs(x), 0, 1), -20.0)  # its fatty septum
        if self.mouth_air_mm:
            gap = np.abs(z - (-86 - 0.06 * (y - 40) ** 2 / 10)) - np.float32(self.mouth_air_mm / 2)
            gap = _round_edges(gap, np.hypot(x / 0.75, (y - 34) / 1.1) - 27, 8 - y)
            place.blend(box, np.clip(0.5 - gap, 0, 1), AIR_HU)
        middle = np.interp(z, [-147, -105, -90, -80, -71], [-5, -5, -3, 3, 10]).astype(np.float32)
        wide = np.interp(z, [-147, -125, -100, -88, -71], [11, 13, 11, 9, 12]).astype(np.float32)
        deep = np.interp(z, [-147, -125, -100, -88, -71], [9, 7, 5, 4, 6]).astype(np.float32)
        throat = _off_ellipse(y - middle, x, deep * np.float32(self.airway), wide * np.float32(0.4 + 0.6 * self.airway))
        place.blend(box, np.clip(0.5 - throat, 0, 1), AIR_HU)
        hyoid = np.abs(_off_ellipse(y - 4, x, np.float32(30), np.float32(20))) - 2.2
        hyoid = np.maximum(hyoid, np.maximum(np.abs(z - np.float32(self.chin_z + 6)) - 3.5, 6 - y))
        _lay_bone(place, box, hyoid, 1.0)

    def _lay_vessels(self, place: Outside) -> None:
        """Put carotid arteries and jugular veins into a neck."""
        for side in (1.0, -1.0):
            for radius, aside, y in ((2.6, 26.0, -14.0), (4.5, 33.0, -20.0)):
                line: tuple[Point, ...] = ((-147.0, y + 2, side * (aside + 3)), (-72.0, y, side * aside))
                box, distance = place.along(line, radius + 2)
                place.blend(box, np.clip(radius + 0.5 - distance, 0, 1), place.tissue.venous)

    def _lay_upper_jaw(self, place: Outside) -> None:
        """Put palate and the upper jaw's rim into a face."""
        box, _ = place.along(((-95.0, 40.0, 0.0), (-78.0, 40.0, 0.0)), 46)
        z, y, x = place.z[box[0]], place.y[:, box[1]], place.x[:, :, box[2]]
        ring = _off_ellipse(y - UPPER.y, x, np.float32(UPPER.front), np.float32(UPPER.side))
        end = np.float32(20) - y
        any_left = any(any(there) for there in self.teeth.there[:2])
        rim = BITE_Z + (9.0 if any_left else 13.0)  # without teeth the rim wastes
        _lay_bone(place, box, np.maximum(np.maximum(np.abs(ring) - 5.5, end), np.maximum(z + 78, rim - z)), 1.2)
        vault = np.abs(z + 81 + 0.02 * x**2 - 0.06 * (y - 40)) - np.float32(1.4)
        _lay_bone(place, box, np.maximum(np.maximum(vault, ring), 16 - y), 1.0)


def _round_edges(*parts: NDArray[np.floating], radius: float = 5.0) -> Field:
    """Return the distance to what several surfaces bound, negative inside, its edges rounded by about `radius` mm."""
    over = [np.maximum(np.asarray(part, np.float32) + np.float32(radius), 0) for part in parts]
    outside = np.sqrt(sum(part * part for part in over)) - np.float32(radius)
    deepest = np.max(np.broadcast_arrays(*parts), axis=0)
    return np.asarray(np.where(deepest > -radius, outside, deepest), np.float32)


def _off_ellipse(
    ahead: NDArray[np.floating],
    aside: NDArray[np.floating],
    front: NDArray[np.floating] | np.floating,
    side: NDArray[np.floating] | np.floating,
) -> Field:
    """Return about how far (mm) places are off an ellipse about the origin, negative inside; half axes in mm."""
    radius = np.sqrt((ahead / front) ** 2 + (aside / side) ** 2)
    slope = np.sqrt((ahead / front**2) ** 2 + (aside / side**2) ** 2) / np.maximum(radius, 1e-3)
    return np.asarray((radius - 1) / np.maximum(slope, 1 / np.maximum(front, side)), np.float32)


def _lay_bone(
    place: Outside, box: Sequence[slice], off: NDArray[np.floating], cortex_mm: float, marrow: float | None = None
) -> None:
    """Put bone with a hard shell of `cortex_mm` into a head; `off` is mm to its surface, negative inside."""
    z, y, x = box
    hard, soft = 0.8 * place.tissue.cortical, np.float32(marrow or 0.6 * place.tissue.diploe)
    spongy = smoothstep((-np.asarray(off, np.float32) - np.float32(cortex_mm)) / np.float32(0.9) + 0.3)
    place.blend((z, y, x), np.clip(0.5 - off, 0, 1), hard + spongy * (soft - hard))
