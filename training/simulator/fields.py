# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Smooth random fields, the raw material of deformation, texture and ragged edges, and one random stream a purpose.

A field is a cubic B-spline with random coefficients on a coarse grid: as smooth as its spacing says and cheap to
evaluate (three small matrix products), unlike a Gaussian filter over the full grid.
"""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]

_WHITE_TO_UNIT = 1 / 0.3287  # a cubic B-spline of unit white coefficients has a mean variance of 0.479^3


def stream(seed: int, purpose: str) -> np.random.Generator:
    """Return the random stream of one purpose: what one purpose draws never shifts what another draws."""
    return np.random.default_rng(np.random.SeedSequence([seed, zlib.crc32(purpose.encode())]))


def spline_basis(size: int, spacing: float) -> Field:
    """Return the matrix [size, coefficients] of a cubic B-spline sampled at 0, 1, .. size - 1."""
    at = np.arange(size) / spacing
    cell = at.astype(int)
    t = at - cell
    weights = np.stack(
        [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3],
        axis=1,
    )
    basis = np.zeros((size, int(cell[-1]) + 4), np.float32)
    for k in range(4):
        basis[np.arange(size), cell + k] = weights[:, k] / 6
    return basis


def spread(coefficients: Field, bases: tuple[Field, Field, Field]) -> Field:
    """Return a field [Z, Y, X] from its coefficients [z, y, x] and a basis matrix an axis."""
    part = np.tensordot(coefficients, bases[2], axes=(2, 1))
    part = np.tensordot(part, bases[1], axes=(1, 1))
    part = np.tensordot(bases[0], part, axes=(1, 0))
    return np.ascontiguousarray(part.swapaxes(1, 2), np.float32)


def smooth_field(rng: np.random.Generator, shape: tuple[int, ...], spacing: float) -> Field:
    """Return a random field [Z, Y, X] of about unit standard deviation, smooth over `spacing` voxels."""
    bases = (
        spline_basis(shape[0], spacing),
        spline_basis(shape[1], spacing),
        spline_basis(shape[2], spacing),
    )
    coefficients = rng.standard_normal([b.shape[1] for b in bases], np.float32)
    return spread(coefficients, bases) * np.float32(_WHITE_TO_UNIT)
