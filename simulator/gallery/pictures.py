# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""From HU to a sheet of captioned pictures: display windows, cropping to the head, outlines of labels, the grid.

It knows nothing of how a head is made.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

BACKGROUND: Final = 16
CAPTION_PX: Final = 13
LINES: Final = 2
TITLE_PX: Final = 20
GAP_PX: Final = 4
HEAD_HU: Final = -300
MARGIN_PX: Final = 12
OUTLINES: Final = ((255, 210, 0), (80, 220, 255), (255, 110, 200))
"""Colours of the labels 1 (iph), 2 (edh_sdh), 3 (sah)."""


class Window(Enum):
    """A display window: its width and centre in HU."""

    BRAIN = (80, 40)
    SUBDURAL = (130, 50)
    STROKE = (40, 35)
    BONE = (2500, 500)

    @property
    def words(self) -> str:
        """The window as captions write it, such as `W80 L40`."""
        width, centre = self.value
        return f"W{width} L{centre}"

    def to_grey(self, hu: NDArray[Any]) -> NDArray[np.uint8]:
        """Return HU of any shape as grey values."""
        width, centre = self.value
        grey = (np.asarray(hu, np.float32) - (centre - width / 2)) * (255 / width)
        return np.asarray(np.rint(np.clip(grey, 0, 255)), np.uint8)


@dataclass(frozen=True)
class Tile:
    """One picture of a sheet: uint8 [H, W, 3] and at most two lines under it."""

    image: NDArray[np.uint8] = field(repr=False)
    caption: str


def head_square(hu: NDArray[Any]) -> tuple[slice, slice]:
    """Return the rows and columns of the smallest square around what is not air in a slice [Y, X]."""
    there = np.asarray(hu) > HEAD_HU
    ys, xs = np.flatnonzero(there.sum(1) > 8), np.flatnonzero(there.sum(0) > 8)
    if not len(ys) or not len(xs):
        return slice(0, there.shape[0]), slice(0, there.shape[1])
    half = max(ys[-1] - ys[0], xs[-1] - xs[0]) // 2 + MARGIN_PX
    parts = []
    for low, high, size in ((ys[0], ys[-1], there.shape[0]), (xs[0], xs[-1], there.shape[1])):
        start = int(np.clip((low + high) // 2 - half, 0, max(0, size - 2 * half)))
        parts.append(slice(start, min(size, start + 2 * half)))
    return parts[0], parts[1]


def picture(hu: NDArray[Any], window: Window, size_px: int, *, labels: NDArray[Any] | None = None) -> NDArray[np.uint8]:
    """Return a slice [Y, X] cropped to the head, in a window, uint8 [size_px, size_px, 3].

    Parameters
    ----------
    labels: [Y, X]; the edge of each label is drawn in its colour.
    """
    crop = head_square(hu)
    grey = Image.fromarray(window.to_grey(hu[crop])).resize((size_px, size_px), Image.Resampling.LANCZOS)
    out = np.repeat(np.asarray(grey)[..., None], 3, axis=2)
    if labels is not None:
        scaled = Image.fromarray(np.asarray(labels[crop], np.uint8)).resize((size_px, size_px), 0)
        for value, colour in enumerate(OUTLINES, 1):
            out[_edge(np.asarray(scaled) == value)] = colour
    return np.asarray(out, np.uint8)


def _edge(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels just outside a mask [Y, X]."""
    padded = np.pad(mask, 1)
    near = padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]
    return np.asarray(near & ~mask)


def sheet(title: str, tiles: list[Tile], columns: int) -> Image.Image:
    """Return the tiles in rows of `columns`, captions under them, the title above."""
    height, width = tiles[0].image.shape[:2]
    rows = -(-len(tiles) // columns)
    step_y, step_x = height + LINES * (CAPTION_PX + 3) + GAP_PX, width + GAP_PX
    page = Image.new("RGB", (columns * step_x + GAP_PX, rows * step_y + TITLE_PX + 2 * GAP_PX), (BACKGROUND,) * 3)
    draw = ImageDraw.Draw(page)
    draw.text((GAP_PX, GAP_PX), title, fill=(255, 255, 255), font=ImageFont.load_default(TITLE_PX - 4))
    font = ImageFont.load_default(CAPTION_PX - 2)
    for n, tile in enumerate(tiles):
        x, y = GAP_PX + (n % columns) * step_x, TITLE_PX + 2 * GAP_PX + (n // columns) * step_y
        page.paste(Image.fromarray(tile.image), (x, y))
        draw.multiline_text((x + 2, y + height + 1), tile.caption, fill=(200, 200, 200), font=font, spacing=2)
    return page
