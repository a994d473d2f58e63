# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Derive the second anatomy from the ICBM152 average brain (`python -m simulator.atlas.derive_icbm152`).

Needed only to make `icbm152.npz` again; nothing else imports it. It reads three files of the `nilearn` wheel
(`pip download --no-deps nilearn`, unzip, `--source .../nilearn/datasets/data`): the MNI's symmetric non-linear 2009a T1
and its grey and white maps, 1 mm, brain only. What comes from where:

- brain, ventricles, sulci, cisterns inside the brain's hull: from the T1 and the maps. An average's sulci are shallow
  and grey, so both are sharpened, and more sulci are carved at random, with cortex on their banks;
- asymmetry: the source has none. The carving, and a warp with the usual torque (right frontal and left occipital lobes
  the longer; LeMay, Ann N Y Acad Sci 1976) and random bends, bring it;
- skull and scalp of the vault: thicknesses of its own over the hull, from random fields about 3 mm at the temples and
  6-8 elsewhere (CT series have 5 and 7-8, see `docs/sources.md`); face, orbits, sinuses, mastoids and skull base:
  `colin27.npz`, bent until its inner table is that of this brain; so is the tentorium's attachment, the sella and the
  names of regions (both live in MNI space).
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from simulator.atlas import REGIONS, Atlas, load_atlas
from simulator.atlas.derive import (
    closing,
    dilate,
    distance8,
    fraction8,
    largest,
    mni,
    nifti,
    opening,
    outer_distance,
    signed_distance,
)
from simulator.fields import smooth_field, stream

Mask = NDArray[np.bool_]
Field = NDArray[np.float32]

_DEEP = ("caudate", "putamen", "pallidum", "thalamus")
_SEED = 152


def source_image(folder: Path, kind: str) -> Field:
    """Return one of the source's images (t1, gm, wm; 0 to 255) on the grid of the first anatomy, [Z, Y, X]."""
    image = nifti(folder / f"mni_icbm152_{kind}_tal_nlin_sym_09a_converted.nii.gz")
    turned = image.transpose(2, 1, 0)[:, ::-1, ::-1].astype(np.float32)
    # Its grid starts a millimetre lower and further back.
    return np.pad(turned[1:, :-1], ((0, 1), (1, 0), (0, 0)))


def sharper(image: Field, fine: float, wide: float) -> Field:
    """Return an average image with its detail raised: `fine` of what a 1 mm blur takes, `wide` of a 2 mm one."""
    return np.asarray(
        image
        + fine * (image - ndimage.gaussian_filter(image, 1.0))
        + wide * (image - ndimage.gaussian_filter(image, 2.0)),
        np.float32,
    )


@dataclass(frozen=True)
class Brain:
    """The brain on the grid: fractions of grey and white matter, the ventricles, and the hull around it all."""

    grey: Field
    white: Field
    ventricles: Mask
    mask: Mask
    hull: Mask


def ventricle_mask(t1: Field, mask: Mask) -> Mask:
    """Return the lateral, third and fourth ventricles: dark inside the brain, at their places."""
    z, y, x = mni(t1.shape)
    dark = mask & (t1 < 128)
    lateral = (abs(x) < 42) & (y < 40) & (y > -58) & (z > -4) & (z < 34) & (abs(x) > 2)
    lateral &= ~((y < -36) & (abs(x) < 13)) & ~((z < 10) & (y < -14) & (abs(x) < 14)) & ~((z < 3) & (y > -2))
    lateral &= ~((abs(x) > 24) & (y > -20) & (z < 30))
    horn = (abs(x) > 22) & (abs(x) < 38) & (y < -6) & (y > -44) & (z > -22) & (z <= 2)
    third = (abs(x) < 5) & (y < 4) & (y > -26) & (z > -10) & (z < 7)
    fourth = (abs(x) < 14) & (y < -34) & (y > -54) & (z > -44) & (z < -20)
    deep = ndimage.distance_transform_edt(closing(mask, 10)) > 13
    seeds = dark & deep & (lateral | horn | third | fourth)
    seeds |= ndimage.binary_dilation(seeds & lateral, iterations=2) & (t1 < 140) & deep
    pieces, count = ndimage.label(seeds)
    sizes = np.asarray(ndimage.sum(seeds, pieces, range(1, count + 1)))
    return np.isin(pieces, 1 + np.flatnonzero(sizes > 60))


def carve_sulci(hull: Mask) -> tuple[Field, Field, Field]:
    """Return additional sulci [Z, Y, X]: mm from their mid-sheet, how deep they go, and mm below the hull.

    Each is a zero of a smooth random field on the hull, carried straight inwards.
    """
    rng = stream(_SEED, "sulci")
    depth = np.asarray(ndimage.distance_transform_edt(hull), np.float32)
    inwards = np.stack(np.gradient(ndimage.gaussian_filter(depth, 2.0)))
    inwards /= np.maximum(np.sqrt((inwards**2).sum(0)), 0.3)
    at = np.stack(np.meshgrid(*(np.arange(n, dtype=np.float32) for n in hull.shape), indexing="ij"))
    at -= inwards * np.minimum(depth, 20)

    def on_hull(field: Field) -> Field:
        return np.asarray(ndimage.map_coordinates(field, at, order=1, mode="nearest", output=np.float32))

    lines = smooth_field(rng, hull.shape, 11)
    steepness = np.sqrt((np.stack(list(np.gradient(lines))) ** 2).sum(0))
    away = np.abs(on_hull(lines)) / np.maximum(on_hull(steepness), np.float32(0.04))
    return np.asarray(away, np.float32), on_hull(8 + 5 * smooth_field(rng, hull.shape, 14)), depth


def brain_of(t1: Field, gm: Field, wm: Field) -> Brain:
    """Return the brain of the source's images, with sulci as a single subject's."""
    z, y, x = mni(t1.shape)
    mask = t1 > 0
    # Beyond the brain the source is 0: sharpening must not see that as an edge.
    clear = sharper(np.where(mask, t1, 150).astype(np.float32), 0.6, 1.0)
    brain = np.clip((clear - 120) / 30, 0, 1) * mask
    white = np.clip(0.5 + (sharper(wm, 0.3, 0.5) - sharper(gm, 0.3, 0.5) - 10) / 60, 0, 1)
    hull = mask | np.where(z < -8, closing(mask, 4), closing(mask, 10))
    away, reach, depth = carve_sulci(hull)
    cortex = np.broadcast_to(((z > -18) | (abs(x) > 24)) & ~((y < -35) & (z < -10)), t1.shape)
    bank = np.clip(3.4 - away, 0, 1) * np.clip((reach + 2.5 - depth) / 1.5, 0, 1) * cortex
    brain = brain * (1 - np.clip(1.15 - away, 0, 1) * np.clip((reach - depth) / 2, 0, 1) * cortex)
    ventricles = ventricle_mask(t1, mask)
    # The ventricles' lining is no cortex: a half-filled voxel there is half white matter.
    rim = dilate(ventricles, 2.0) & (gm < 200)
    white = np.where(rim, 1, white * (1 - bank))
    brain = np.where(dilate(ventricles, 2.0), np.clip((clear - 105) / 60, 0, 1), brain)
    white = np.minimum(white, brain)
    return Brain((brain - white).astype(np.float32), white.astype(np.float32), ventricles, mask, hull)


def map_skull(colin: Atlas, cavity_distance: Field) -> Field:
    """Return where in the first anatomy each voxel's skull lies: its coordinates, float32 [3, Z, Y, X].

    A place as deep below this inner table comes from a place as deep below that one.
    """
    step = 2
    distance = np.asarray(colin.cavity_distance)
    slope = np.stack(np.gradient(ndimage.gaussian_filter(distance, 2.0)))
    slope /= np.maximum((slope**2).sum(0), 0.3)
    here = [np.arange(0, n, step, dtype=np.float32) for n in distance.shape]
    grid = np.stack(np.meshgrid(*here, indexing="ij"))
    wanted = cavity_distance[::step, ::step, ::step]
    weight = np.exp(-((wanted / 25) ** 2))
    bend = np.zeros_like(grid)
    for _ in range(25):
        at = grid + bend
        off = (ndimage.map_coordinates(distance, at, order=1, mode="nearest") - wanted) * weight
        for axis in range(3):
            part = ndimage.map_coordinates(slope[axis], at, order=1, mode="nearest")
            bend[axis] = ndimage.gaussian_filter(bend[axis] - 0.8 * off * part, 2.0)
    zoom = [
        np.minimum(np.arange(n, dtype=np.float32) / step, len(h) - 1) for n, h in zip(distance.shape, here, strict=True)
    ]
    fine = np.meshgrid(*zoom, indexing="ij")
    full = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in distance.shape), indexing="ij")
    return np.stack(
        [ndimage.map_coordinates(b, fine, order=1, output=np.float32) + f for b, f in zip(bend, full, strict=True)]
    )


def vault_thickness(shape: tuple[int, ...]) -> tuple[Field, Field]:
    """Return the thickness (mm) of this anatomy's own vault and of the scalp over it, [Z, Y, X]."""
    z, y, x = mni(shape)
    rng = stream(_SEED, "vault")
    behind, front = np.clip((-50 - y) / 30, 0, 1), np.clip((y - 40) / 30, 0, 1)
    squama = np.exp(-0.5 * (((np.abs(x) - 68) / 16) ** 2 + ((y + 10) / 35) ** 2 + ((z + 2) / 26) ** 2))
    bosses = np.exp(-0.5 * (((np.abs(x) - 45) / 22) ** 2 + ((y + 55) / 25) ** 2 + ((z - 55) / 25) ** 2))
    skull = 6.0 + 1.6 * behind + 0.8 * front + 1.2 * bosses - 3.0 * squama + 0.5 * smooth_field(rng, shape, 16)
    scalp = 4.8 + 1.2 * behind + 0.6 * squama + 0.7 * smooth_field(rng, shape, 22)
    return np.maximum(skull, 2.2).astype(np.float32), np.maximum(scalp, 3.2).astype(np.float32)


def asymmetry(shape: tuple[int, ...]) -> Field:
    """Return the warp that makes the symmetric source lopsided: where each voxel comes from, mm, [3, Z, Y, X]."""
    z, y, x = mni(shape)
    rng = stream(_SEED, "asymmetry")
    # Little, or the vault has bosses and dents that no skull has: each head is bent further when it is drawn.
    bend = np.stack([0.8 * smooth_field(rng, shape, 38) + 0.3 * smooth_field(rng, shape, 18) for _ in range(3)])
    # The torque: left occipital and right frontal lobes are the longer and cross the midline a little.
    left = np.tanh(-x / 25)
    bend[1] -= 3.0 * left * np.clip((-y - 20) / 60, 0, 1) + 0 * z
    bend[1] -= 2.5 * left * np.clip((y - 10) / 50, 0, 1) + 0 * z
    bend[2] += 1.8 * (np.clip(-y / 70, -1, 1)) * np.exp(-((x / 30) ** 2)) + 0 * z
    fade = np.clip((z + 70) / 25, 0, 1)
    return np.asarray(bend * fade, np.float32)


def _at(field: NDArray[np.generic], where: Field, order: int = 1) -> Field:
    return np.asarray(ndimage.map_coordinates(field, where, order=order, mode="nearest", output=np.float32))


def derive(source: Path) -> dict[str, NDArray[np.generic]]:
    """Return the atlas arrays, quantised, from the folder with the source images."""
    colin = load_atlas("colin27")
    t1, gm, wm = (source_image(source, kind) for kind in ("t1", "gm", "wm"))
    shape = t1.shape
    z, y, x = mni(shape)
    brain = brain_of(t1, gm, wm)

    # Inner table: the hull and some CSF above the base; at the base the first anatomy's, where the brain leaves room.
    # Over the fissure between the hemispheres bone runs on smoothly.
    vault = np.clip((z - 2) / 22, 0, 1) * np.ones(shape, np.float32)
    dome = signed_distance(closing(brain.mask, 26), 3.0)
    temples = signed_distance(closing(brain.mask, 14), 2.0)
    near = outer_distance(brain.hull)
    smooth = np.where(z > 2, dome, np.where((z > -14) & (y > -30), temples, near))
    cavity = np.minimum(smooth, near) <= 2.0
    cavity |= (colin.cavity_distance < 0) & (z < -6) & (near < 16)
    cavity = largest(opening(closing(cavity, 4.0), 2.0)) | brain.mask
    cavity[:8] |= colin.cavity_distance[:8] < 0
    cavity_distance = signed_distance(cavity, 1.0)
    cavity_distance += vault * (ndimage.gaussian_filter(cavity_distance, 4.0) - cavity_distance)

    where = map_skull(colin, cavity_distance)
    thickness, scalp = vault_thickness(shape)
    base_skull = _at(colin.skull_distance, where)
    skull_distance = base_skull + vault * ((cavity_distance - thickness) - base_skull)
    skull_distance = np.minimum(skull_distance, cavity_distance - 1.2)
    base_head = _at(colin.head_distance, where)
    head_distance = base_head + vault * ((cavity_distance - thickness - scalp) - base_head)
    head_distance = np.minimum(head_distance, skull_distance - 1.5)
    # Distances add along the normal only: measure them again from their surfaces.
    skull_distance = _distance_of(skull_distance)
    head_distance = _distance_of(np.minimum(head_distance, _bridge(head_distance, z)))
    # The first anatomy's source cuts the ears off: nothing may reach the border, or it would go on for ever.
    border = [np.minimum(np.arange(n), np.arange(n)[::-1]).astype(np.float32) for n in shape]
    edge = np.minimum(np.minimum(border[1][:, None], border[2]), (shape[0] - 1 - np.arange(shape[0]))[:, None, None])
    head_distance = np.maximum(head_distance, 6 - edge)
    fat = _at(colin.fat, where)
    temporal = np.clip((np.abs(x) - 44) / 8, 0, 1) * np.clip((58 - z) / 10, 0, 1) * np.clip((y + 50) / 10, 0, 1)
    fat = np.maximum(fat * (1 - vault), 0.93 * vault * (1 - temporal * (skull_distance < scalp * 0.6)))

    region = _at(colin.region, np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij")), 0).astype(np.uint8)
    known = (region != REGIONS["outside"]) & (region != REGIONS["ventricles"])
    nearest = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
    region = region[tuple(nearest)]
    below = np.isin(region, [REGIONS["cerebellum"], REGIONS["brainstem"]])
    # Cerebellum and cerebrum meet at the dark cleft: hand the voxels beside the border to the side they hang on.
    solid = (brain.grey + brain.white > 0.75) & brain.mask
    core = ndimage.distance_transform_edt(below) > 3
    other = ndimage.distance_transform_edt(~below) > 3
    to_below, to_other = outer_distance(core & solid), outer_distance(other & solid)
    below = np.where(core | other, core, to_below < to_other)
    tissue = solid & (ndimage.distance_transform_edt(solid) > 0.5)
    tentorium = 0.5 * (outer_distance(below & tissue) - outer_distance(~below & tissue))
    deep = np.isin(region, [REGIONS[name] for name in _DEEP]) & ~dilate(brain.ventricles, 1)
    region[brain.ventricles] = REGIONS["ventricles"]
    venous = _at(colin.venous, where) * (z < -16) * (brain.grey + brain.white < 0.2)

    bend = asymmetry(shape)
    lopsided = bend + np.stack(np.meshgrid(*(np.arange(n, dtype=np.float32) for n in shape), indexing="ij"))

    def move(field: NDArray[np.generic], order: int = 1) -> Field:
        return _at(field, lopsided, order)

    cavity_distance = move(cavity_distance)
    inside = cavity_distance < 0.5
    region = move(region, 0).astype(np.uint8)
    region[cavity_distance > 1.0] = REGIONS["outside"]
    blurred = {"globe": colin.globe, "mastoid": colin.mastoid, "air": colin.air, "bone": colin.bone}
    return {
        "grey": fraction8(move(brain.grey) * inside),
        "white": fraction8(move(brain.white) * inside),
        "venous": fraction8(move(venous)),
        "ventricle": fraction8(ndimage.gaussian_filter(move(brain.ventricles.astype(np.float32)), 0.4)),
        **{name: fraction8(move(_at(field, where))) for name, field in blurred.items()},
        "fat": fraction8(move(fat)),
        "deep_grey": fraction8(ndimage.gaussian_filter(move(deep.astype(np.float32)), 0.8)),
        "cavity_distance": distance8(cavity_distance),
        "skull_distance": distance8(move(skull_distance)),
        "head_distance": distance8(move(head_distance)),
        "ventricle_distance": distance8(move(signed_distance(brain.ventricles, 0.7))),
        "falx_distance": distance8(move(np.broadcast_to(x, shape).astype(np.float32))),
        "tentorium_distance": distance8(move(ndimage.gaussian_filter(tentorium, 1.2))),
        "region": region,
        "origin_mni": np.asarray(colin.origin_mni, np.float32),
    }


def _bridge(head_distance: Field, z: Field) -> Field:
    """Return the distance (mm) to a skin that spans hollows above the orbits: the temporal muscle fills them."""
    spanned = signed_distance(closing(head_distance < 0, 22), 2.0)
    return np.where(z > -24, spanned, head_distance).astype(np.float32)


def _distance_of(level: Field) -> Field:
    """Return the distance (mm) to the surface where a field is 0, keeping the field's own values within 2 mm of it."""
    far = signed_distance(level < 0, 1.0)
    own = np.clip(1 - np.abs(level) / 2, 0, 1)
    return np.asarray(own * level + (1 - own) * far, np.float32)


def main() -> None:
    """Derive the atlas and write it beside this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, required=True, help="nilearn/datasets/data of the unpacked wheel")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("icbm152.npz"))
    options = parser.parse_args()
    partial = options.out.with_suffix(".partial.npz")
    np.savez_compressed(partial, allow_pickle=False, **derive(options.source))
    partial.replace(options.out)


if __name__ == "__main__":
    main()
