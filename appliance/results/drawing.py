# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""One key image as pixels: the slice in the blood window with what was found on it, and what was dismissed.

Words are in strips above and below the image, never on it; boxes are thin and keep a distance from what they frame; a
lesion's outline lies just outside its voxels. Nothing identifies the patient.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from appliance.reading.contract import HemorrhageType
from appliance.reading.detections import Box
from appliance.reading.masks import box_on_matrix
from appliance.results.colours import COLOURS, DISMISSED

WINDOW_WIDTH_HU: Final = 80
WINDOW_CENTRE_HU: Final = 40
LEAST_SIDE: Final = 640
"""The image's longer side has at least this many pixels; a larger source matrix keeps its size."""

Colour = tuple[int, int, int]
INK: Final = (235, 235, 235)
PART_INK: Final = (255, 190, 60)
BLACK: Final = (0, 0, 0)

STRIP: Final = 26
"""Height of a line of words, pixels."""

BOX_MARGIN: Final = 4
"""The distance of boxes from what they frame, pixels."""

SCALE_MM: Final = 50


@dataclass(frozen=True)
class Mark:
    """A box to draw, on the contract grid: its label, and whether it was dismissed."""

    box: Box
    label: str
    type: HemorrhageType | None

    @property
    def colour(self) -> Colour:
        """The colour of its type, or that of dismissed proposals."""
        return DISMISSED if self.type is None else COLOURS[self.type]


def draw_slice(
    hu: NDArray[np.int16],
    pixel_spacing_mm: tuple[float, float],
    lesions: Iterable[tuple[HemorrhageType, NDArray[np.bool_]]],
    marks: Iterable[Mark],
    heading: Iterable[tuple[str, Colour]],
    footing: tuple[str, str],
) -> NDArray[np.uint8]:
    """Return the key image, RGB uint8 [rows, columns, 3].

    Parameters
    ----------
    hu: the slice [Y, X] in the contract's orientation.
    pixel_spacing_mm: of rows and columns.
    lesions: type and mask [Y, X] of each lesion on the slice.
    marks: boxes of detections and of dismissed proposals.
    heading: the words above the image, each with its colour.
    footing: the two lines below it.
    """
    height, width = _size(hu.shape, pixel_spacing_mm)
    grey = np.clip((hu.astype(np.float32) - (WINDOW_CENTRE_HU - WINDOW_WIDTH_HU / 2)) * (255 / WINDOW_WIDTH_HU), 0, 255)
    plane = Image.fromarray(grey.astype(np.uint8)).resize((width, height), Image.Resampling.BILINEAR)
    pixels = np.repeat(np.asarray(plane)[:, :, None], 3, axis=2)
    for type_, mask in lesions:
        pixels[_outline(mask, (height, width))] = COLOURS[type_]

    canvas = Image.new("RGB", (width, height + 3 * STRIP), BLACK)
    canvas.paste(Image.fromarray(pixels), (0, STRIP))
    pen = ImageDraw.Draw(canvas)
    _draw_marks(
        pen,
        [(mark, _on_picture(mark.box, hu.shape, pixel_spacing_mm, (height, width))) for mark in marks],
        (height, width),
    )
    font = _font(15)
    left = 8.0
    for words, colour in heading:
        pen.text((left, STRIP // 2), words, colour, font, anchor="lm")
        left += pen.textlength(words, font) + 16
    pen.text((8, STRIP + height + STRIP // 2), footing[0], INK, font, anchor="lm")
    pen.text((8, STRIP + height + STRIP + STRIP // 2), footing[1], INK, font, anchor="lm")
    _draw_scale(pen, (width - 8, STRIP + height + STRIP // 2), height / (hu.shape[0] * pixel_spacing_mm[0]))
    side = _font(22)
    pen.text((8, STRIP + height // 2), "R", INK, side, anchor="lm", stroke_width=2, stroke_fill=BLACK)
    pen.text((width - 8, STRIP + height // 2), "L", INK, side, anchor="rm", stroke_width=2, stroke_fill=BLACK)
    return np.asarray(canvas)


def _size(shape: tuple[int, ...], pixel_spacing_mm: tuple[float, float]) -> tuple[int, int]:
    """Return the height and width of the image: true to the patient's proportions, never smaller than the source."""
    extent = np.array(shape[:2]) * np.asarray(pixel_spacing_mm)
    side = max(LEAST_SIDE, *shape[:2])
    height, width = np.maximum(1, np.round(extent * (side / extent.max()))).astype(int)
    return int(height), int(width)


def _outline(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the line, one pixel wide, just outside a mask [Y, X] enlarged to `size`."""
    enlarged = np.asarray(
        Image.fromarray(mask.astype(np.uint8) * 255).resize((size[1], size[0]), Image.Resampling.NEAREST)
    ).astype(bool)
    line = np.zeros_like(enlarged)
    line[1:] |= enlarged[:-1]
    line[:-1] |= enlarged[1:]
    line[:, 1:] |= enlarged[:, :-1]
    line[:, :-1] |= enlarged[:, 1:]
    return np.asarray(line & ~enlarged)


def _on_picture(box: Box, shape: tuple[int, ...], pixel_spacing_mm: tuple[float, float], size: tuple[int, int]) -> Box:
    """Return a box of the contract grid in pixels of a slice's picture, by way of the slice's matrix."""
    rows, columns = shape
    own = box_on_matrix(box, (rows, columns), pixel_spacing_mm)
    down, across = size[0] / rows, size[1] / columns
    return Box(own.y1 * down, own.x1 * across, own.y2 * down, own.x2 * across)


def _draw_marks(pen: ImageDraw.ImageDraw, marks: list[tuple[Mark, Box]], size: tuple[int, int]) -> None:
    """Draw the boxes, given in pixels of the picture, and beside them their labels if there is room."""
    height, width = size
    rectangles = []
    for mark, box in marks:
        left, top = max(box.x1 - BOX_MARGIN, 0), max(box.y1 - BOX_MARGIN, 0) + STRIP
        right, bottom = min(box.x2 + BOX_MARGIN, width - 1), min(box.y2 + BOX_MARGIN, height - 1) + STRIP
        rectangles.append((left, top, right, bottom))
        if mark.type is None:
            _draw_dashed(pen, (left, top, right, bottom), mark.colour)
        else:
            pen.rectangle((left, top, right, bottom), outline=mark.colour, width=2)
    taken = list(rectangles)
    font = _font(15)
    for (mark, _), rectangle in zip(marks, rectangles, strict=True):
        place = _label_place(pen.textbbox((0, 0), mark.label, font), rectangle, taken, (width, height))
        taken.append(place)
        pen.text(place[:2], mark.label, mark.colour, font, stroke_width=2, stroke_fill=BLACK, anchor="lt")


Rectangle = tuple[float, float, float, float]


def _label_place(text: Rectangle, box: Rectangle, taken: list[Rectangle], size: tuple[int, int]) -> Rectangle:
    """Return the place of a label: above its box, else below, right or left of it, where nothing is yet."""
    wide, high = text[2] - text[0], text[3] - text[1]
    left, top, right, bottom = box
    gap = 5
    places = [
        (left, top - high - gap),
        (left, bottom + gap),
        (right + gap, top),
        (left - wide - gap, top),
        (right - wide, top - high - gap),
        (right - wide, bottom + gap),
    ]
    on_image = [
        (min(max(x, 4), size[0] - wide - 4), min(max(y, STRIP + 4), STRIP + size[1] - high - 4)) for x, y in places
    ]
    rectangles = [(x, y, x + wide, y + high) for x, y in on_image]
    return next((one for one in rectangles if not any(_overlap(one, other) for other in taken)), rectangles[0])


def _overlap(a: Rectangle, b: Rectangle) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _draw_dashed(pen: ImageDraw.ImageDraw, box: Rectangle, colour: Colour) -> None:
    """Draw a dashed rectangle."""
    left, top, right, bottom = box
    dash, gap = 6, 4
    for x in np.arange(left, right, dash + gap):
        end = min(x + dash, right)
        pen.line((x, top, end, top), colour, width=2)
        pen.line((x, bottom, end, bottom), colour, width=2)
    for y in np.arange(top, bottom, dash + gap):
        end = min(y + dash, bottom)
        pen.line((left, y, left, end), colour, width=2)
        pen.line((right, y, right, end), colour, width=2)


def _draw_scale(pen: ImageDraw.ImageDraw, right: tuple[int, int], pixels_per_mm: float) -> None:
    """Draw a bar of known length that ends at `right`, with its length before it."""
    x, y = right
    start = x - SCALE_MM * pixels_per_mm
    pen.line((start, y, x, y), INK)
    pen.line((start, y - 4, start, y + 4), INK)
    pen.line((x, y - 4, x, y + 4), INK)
    pen.text((start - 8, y), f"{SCALE_MM // 10} cm", INK, _font(15), anchor="rm")


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return Pillow's own font, so that no font has to be installed."""
    return ImageFont.load_default(size)
