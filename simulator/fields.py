# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Smooth random fields, the raw material of deformation, texture and ragged edges, and one random stream a purpose.

A field is a cubic B-spline with random values at the nodes of a coarse grid: as smooth as its spacing says and cheap to
evaluate (four taps an axis), unlike a Gaussian filter over the full grid.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]

_WHITE_TO_UNIT = 1 / 0.3287  # a cubic B-spline of unit white coefficients has a mean variance of 0.479^3


def stream(seed: int, purpose: str) -> np.random.Generator:
    """Return the random stream of one purpose: what one purpose draws never shifts what another draws."""
    return np.random.default_rng(np.random.SeedSequence([seed, zlib.crc32(purpose.encode())]))


@dataclass(frozen=True)
class Taps:
    """How values at nodes become values at places along one axis: each place is a weighted sum of neighbouring nodes.

    Not a matrix product: BLAS rounds differently with the number of threads, and a seed must give the same head
    everywhere.

    Attributes
    ----------
    first: int [places], index of the first node that counts.
    weights: float32 [taps, places].
    nodes: how many nodes there are.
    """

    first: NDArray[np.intp]
    weights: Field
    nodes: int

    @classmethod
    def linear(cls, at: NDArray[np.floating], nodes: int) -> Taps:
        """Return linear interpolation between nodes at 0, 1, .. nodes - 1 at the places `at`, the ends held."""
        first = np.clip(np.floor(at).astype(np.intp), 0, nodes - 2)
        part = np.clip(at - first, 0, 1)
        return cls(first, np.asarray([1 - part, part], np.float32), nodes)

    @classmethod
    def spline(cls, size: int, spacing: float) -> Taps:
        """Return a cubic B-spline of nodes `spacing` apart at the places 0, 1, .. size - 1."""
        at = np.arange(size) / spacing
        first = at.astype(np.intp)
        t = at - first
        weights = [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]
        return cls(first, np.asarray(weights, np.float32) / np.float32(6), int(first[-1]) + 4)

    def along(self, values: Field, axis: int) -> Field:
        """Return `values` with the nodes of an axis replaced by the places."""
        shape = [1] * values.ndim
        shape[axis] = -1
        out = np.take(values, self.first, axis) * self.weights[0].reshape(shape)
        for tap, weight in enumerate(self.weights[1:], 1):
            out += np.take(values, self.first + tap, axis) * weight.reshape(shape)
        return np.asarray(out, np.float32)


def spread(values: Field, taps: tuple[Taps, ...]) -> Field:
    """Return values at nodes spread to places, by one set of taps for each of the last axes."""
    for axis in range(-1, -len(taps) - 1, -1):
        values = taps[axis].along(values, values.ndim + axis)
    return values


def smooth_field(rng: np.random.Generator, shape: tuple[int, ...], spacing: float) -> Field:
    """Return a random field [Z, Y, X] of about unit standard deviation, smooth over `spacing` voxels."""
    z, y, x = (Taps.spline(size, spacing) for size in shape)
    nodes = rng.standard_normal((z.nodes, y.nodes, x.nodes), np.float32)
    return spread(nodes, (z, y, x)) * np.float32(_WHITE_TO_UNIT)
