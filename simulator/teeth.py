# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""One head's teeth: which are left, how dense they are, and where they stand on the two dental arches.

Widths and lengths are those of the usual tables of crowns and roots (Nelson, Wheeler's Dental Anatomy); enamel measures
2000-3000 HU, dentine 1200-1800. Adults lose teeth with age: of those over 65 in the United States nearly one in five
has none (Dye et al., NCHS Data Brief 197, 2015). Places are MNI z, y, x; colin27 ends above the mouth, so they are this
project's own, set below its maxillary sinuses.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from simulator.mimics.mimic import Outside

Point = tuple[float, float, float]

BITE_Z = -101.0  # where upper and lower crowns meet
_WIDTHS_MM = (8.0, 6.6, 7.6, 7.0, 6.8, 10.2, 9.6, 8.8)  # central incisor to third molar
_LENGTHS_MM = (22.0, 21.5, 25.0, 21.0, 21.0, 20.0, 19.0, 17.0)
_CROWN_MM = 7.5
MOLARS = range(3, 8)
"""The teeth that are filled: premolars and molars."""


@dataclass(frozen=True)
class Arch:
    """Half an ellipse that the teeth of one jaw stand on: its middle's MNI y and half axes to side and front, mm."""

    y: float
    side: float
    front: float

    def place(self, along_mm: float) -> tuple[float, float]:
        """Return the MNI y and |x| of the point that lies `along_mm` from the midline."""
        angles = np.linspace(0, np.pi / 2, 91)
        steps = np.hypot(np.diff(self.side * np.sin(angles)), np.diff(self.front * np.cos(angles)))
        angle = float(np.interp(along_mm, np.concatenate([[0.0], np.cumsum(steps)]), angles))
        return self.y + self.front * float(np.cos(angle)), self.side * float(np.sin(angle))


UPPER = Arch(22.0, 28.0, 49.0)
LOWER = Arch(21.0, 26.0, 46.0)


@dataclass(frozen=True)
class Teeth:
    """The teeth of one head.

    Attributes
    ----------
    there: of the upper and lower jaw, right (MNI x positive) then left, central incisor to third molar: 4 x 8.
    enamel, dentine: HU.
    open_mm: how far the lower teeth stand off the upper ones.
    """

    there: tuple[tuple[bool, ...], ...]
    enamel: float
    dentine: float
    open_mm: float

    @classmethod
    def draw(cls, rng: np.random.Generator, age_years: float) -> Teeth:
        """Return the teeth of a head of this age."""
        old = max(0.0, (age_years - 45) / 50)
        lost = rng.beta(0.6 + 3 * old, 4.0)
        none = rng.random() < 0.35 * old
        there = []
        for _ in range(4):
            back = np.array([0.7, 0.7, 0.6, 0.9, 1.0, 1.4, 1.3, 3.0])
            there.append(tuple(bool(v) for v in (rng.random(8) > np.clip(lost * back, 0, 0.97)) & (not none)))
        return cls(
            tuple(there),
            enamel=float(rng.uniform(2000, 2900)),
            dentine=float(rng.uniform(1200, 1750)),
            open_mm=float(rng.choice([0.5, 1.5, rng.uniform(2, 10)], p=[0.4, 0.35, 0.25])),
        )

    def crown(self, jaw: int, side: int, tooth: int) -> Point:
        """Return the MNI z, y, x of a crown's middle; `jaw` is 0 for the upper one, `side` 0 where x is positive."""
        middles = [w - _WIDTHS_MM[i] / 2 for i, w in enumerate(accumulate(_WIDTHS_MM))]
        y, x = (UPPER, LOWER)[jaw].place(middles[tooth])
        z = BITE_Z + _CROWN_MM / 2 if jaw == 0 else BITE_Z - self.open_mm - _CROWN_MM / 2
        return z, y, x if side == 0 else -x

    def lay(self, place: Outside) -> None:
        """Put the teeth into a head: enamel over dentine, with a pulp in the middle."""
        for row, there in enumerate(self.there):
            jaw, side = divmod(row, 2)
            for tooth, is_there in enumerate(there):
                if is_there:
                    self._lay_tooth(place, self.crown(jaw, side, tooth), tooth, 1.0 if jaw == 0 else -1.0)

    def _lay_tooth(self, place: Outside, crown: Point, tooth: int, root: float) -> None:
        """Put one tooth into a head, its root up (1) or down (-1) from its crown."""
        z, y, x = crown
        half = _WIDTHS_MM[tooth] / 2
        length = _LENGTHS_MM[tooth] - _CROWN_MM / 2
        box, _ = place.along(((z - root * 5, y, x), (z + root * length, y, x)), half + 2)
        up = root * (place.z[box[0]] - np.float32(z))
        aside = np.hypot(place.y[:, box[1]] - np.float32(y), place.x[:, :, box[2]] - np.float32(x))
        # A crown bulges a little, the root tapers.
        radius = np.where(up < _CROWN_MM / 2, half, half * np.clip(0.85 - 0.5 * (up - 3.75) / length, 0.25, 1))
        off = np.maximum(aside - radius, np.maximum(-_CROWN_MM / 2 - up, up - length))
        hu = np.where((up < 2.5) & (off > -1.7), np.float32(self.enamel), np.float32(self.dentine))
        hu = np.where((aside < 0.22 * radius) & (up > 0), np.float32(250), hu)
        place.blend(box, np.clip(0.5 - off, 0, 1), hu)
