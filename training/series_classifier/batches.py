# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What the series classifier sees of its examples in training: balanced by class, and varied beyond the simulator.

It sees three of the stored thumbnails, turned and mirrored as any patient position stores them, zoomed, shifted, darker
or brighter, with more or less texture, and sometimes partly covered, so that no single cue is enough.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from appliance.reading.series import CHANNELS, CLASSES, INPUT_SHAPE, SIZE

_FINE: Final = CHANNELS.index("fine")
_COARSE: Final = CHANNELS.index("coarse")


def middle_three(thumbnails: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return of [N, KEPT, ...] the lower, the middle and the upper one [N, *INPUT_SHAPE], as the service asks."""
    kept = thumbnails.shape[1]
    return thumbnails[:, [kept // 4, kept // 2, kept - 1 - kept // 4]]


def batches(
    thumbnails: NDArray[np.uint8], classes: NDArray[np.int64], size: int, rng: np.random.Generator
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64]]]:
    """Yield thumbnails [size, *INPUT_SHAPE] and their classes [size] without end, each class as often."""
    of_class = [np.flatnonzero(classes == number) for number in range(len(CLASSES))]
    while True:
        wanted = rng.permutation(np.arange(size) % len(CLASSES))
        chosen = [int(rng.choice(of_class[number])) for number in wanted]
        yield np.stack([vary(thumbnails[one], rng) for one in chosen]), wanted.astype(np.int64)


def vary(kept: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return three of the thumbnails [KEPT, SIZE, SIZE, channels] of a series, as another scan might have them."""
    chosen = np.sort(rng.choice(len(kept), INPUT_SHAPE[0], replace=False))
    x = kept[chosen].astype(np.float32)
    if rng.random() < 0.5:
        x = x.swapaxes(1, 2)
    if rng.random() < 0.5:
        x = x[:, ::-1]
    if rng.random() < 0.5:
        x = x[:, :, ::-1]
    x = _move(x, rng)
    gain, shift = np.ones(len(CHANNELS), np.float32), np.zeros(len(CHANNELS), np.float32)
    gain[:3] = rng.uniform(0.9, 1.1, 3)
    shift[0] = rng.uniform(-14, 14)
    both = rng.uniform(0.88, 1.12)
    gain[[_FINE, _COARSE]] = both * rng.uniform(0.97, 1.03, 2)
    x = x * gain + shift
    x += rng.normal(0, rng.uniform(0, 4), x.shape).astype(np.float32)
    if rng.random() < 0.3:
        high, wide = rng.integers(10, 34, 2)
        y, left = rng.integers(0, SIZE - high), rng.integers(0, SIZE - wide)
        x[:, y : y + high, left : left + wide] = x[:, :1, :1]
    return np.clip(np.rint(x), 0, 255).astype(np.uint8)


def _move(x: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return thumbnails turned a little, zoomed and shifted; what comes in from outside is the corner's value."""
    angle, zoom = rng.uniform(-0.3, 0.3), np.exp(rng.uniform(-0.25, 0.3))
    cos, sin = np.cos(angle) * zoom, np.sin(angle) * zoom
    middle = (SIZE - 1) / 2
    at = np.arange(SIZE) - middle
    down, right = rng.uniform(-8, 8, 2)
    y = np.rint(cos * at[:, None] - sin * at[None] + middle + down).astype(int)
    left = np.rint(sin * at[:, None] + cos * at[None] + middle + right).astype(int)
    outside = (y < 0) | (y >= SIZE) | (left < 0) | (left >= SIZE)
    out = x[:, np.clip(y, 0, SIZE - 1), np.clip(left, 0, SIZE - 1)]
    out[:, outside] = x[:, :1, 0]
    return out
