# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Derive the compact atlas from one subject's T1 of the whole head (`python -m simulator.atlas.derive`).

Needed only to make `colin27.npz` again; nothing else imports it. It reads `ch2.nii.gz` (the MNI's single-subject
average of 27 scans), `ch2bet.nii.gz` and `aal.nii.gz` as Debian's `mricron-data` installs them, and writes tissue
fractions, signed distances and labels on a 1 mm grid in contract orientation ([Z, Y, X]: foot to head, to
posterior, to the patient's left), small enough for the repository. T1 does not tell bone from air, and shows thin
bone and CSF both dark; where intensity is silent, places known from anatomy (MNI coordinates, mm) decide.
"""

from __future__ import annotations

import argparse
import gzip
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from simulator.atlas import DISTANCE_GRID_MM, DISTANCE_STEP_MM, FRACTION_STEPS, REGIONS

Mask = NDArray[np.bool_]
Field = NDArray[np.float32]
Image = NDArray[np.uint8]

NIFTI_BYTE = 2

PAD = 8  # mm added at both sides, front, back and top: the source crops ears and cheeks
ORIGIN_MNI = (-71.0, 91.0 + PAD, 90.0 + PAD)  # MNI z, y, x of voxel [0, 0, 0]; y and x fall with the index
# AAL numbers (1..116, odd left, even right; Tzourio-Mazoyer et al. 2002) of each region.
_AAL = {
    "frontal": [*range(1, 29), 69, 70],
    "insula": [29, 30],
    "limbic": [*range(31, 43)],
    "occipital": [*range(43, 57)],
    "parietal": [*range(57, 69)],
    "caudate": [71, 72],
    "putamen": [73, 74],
    "pallidum": [75, 76],
    "thalamus": [77, 78],
    "temporal": [*range(79, 91)],
    "cerebellum": [*range(91, 117)],
}


def nifti(path: Path) -> Image:
    """Return the voxels [X, Y, Z] of a little-endian single-file NIfTI-1 image of bytes.

    Raises
    ------
    ValueError
        If the file holds another type.
    """
    data = gzip.decompress(path.read_bytes())
    dims = struct.unpack("<8h", data[40:56])[1:4]
    kind = struct.unpack("<h", data[70:72])[0]
    if kind != NIFTI_BYTE:
        raise ValueError(f"{path.name}: NIfTI data type {kind} is not read here")
    offset = int(struct.unpack("<f", data[108:112])[0])
    return np.frombuffer(data, np.uint8, int(np.prod(dims)), offset).reshape(dims, order="F")


def orient(volume: Image) -> Image:
    """Return a right-anterior-superior [X, Y, Z] volume as padded [Z, Y, X] in contract orientation."""
    turned = volume.transpose(2, 1, 0)[:, ::-1, ::-1]
    return np.pad(turned, ((0, PAD), (PAD, PAD), (PAD, PAD)))


def mni(shape: tuple[int, ...]) -> tuple[Field, Field, Field]:
    """Return the MNI coordinates z, y, x (mm; x to the right, y to the front) of each voxel, broadcastable."""
    z = (ORIGIN_MNI[0] + np.arange(shape[0], dtype=np.float32))[:, None, None]
    y = (ORIGIN_MNI[1] - np.arange(shape[1], dtype=np.float32))[None, :, None]
    x = (ORIGIN_MNI[2] - np.arange(shape[2], dtype=np.float32))[None, None, :]
    return z, y, x


def outer_distance(mask: Mask) -> Field:
    """Return each voxel's distance (mm) to the mask, 0 inside."""
    return np.asarray(ndimage.distance_transform_edt(~mask), np.float32)


def dilate(mask: Mask, radius: float) -> Mask:
    """Return the mask grown by a ball of `radius` mm."""
    return outer_distance(mask) <= radius


def erode(mask: Mask, radius: float) -> Mask:
    """Return the mask shrunk by a ball of `radius` mm."""
    return np.asarray(ndimage.distance_transform_edt(mask) > radius)


def closing(mask: Mask, radius: float) -> Mask:
    """Return the morphological closing by a ball, the volume's borders counting as inside nothing."""
    wide = np.pad(mask, int(radius) + 2)
    cut = (slice(int(radius) + 2, -int(radius) - 2),) * 3
    return erode(dilate(wide, radius), radius)[cut]


def opening(mask: Mask, radius: float) -> Mask:
    """Return the morphological opening by a ball."""
    return dilate(erode(mask, radius), radius)


def largest(mask: Mask) -> Mask:
    """Return the largest connected piece."""
    labels, count = ndimage.label(mask)
    sizes = ndimage.sum(mask, labels, range(1, count + 1))
    return np.asarray(labels == 1 + int(np.argmax(sizes)))


def signed_distance(mask: Mask, smooth: float = 0.0) -> Field:
    """Return the distance (mm) to the mask's surface, negative inside, smoothed by a Gaussian of `smooth` mm."""
    inside = ndimage.distance_transform_edt(mask)
    distance = (outer_distance(mask) - inside + np.where(mask, 0.5, -0.5)).astype(np.float32)
    return np.asarray(ndimage.gaussian_filter(distance, smooth) if smooth else distance, np.float32)


def distance8(field: Field) -> NDArray[np.int8]:
    """Return a distance (mm) as it is stored: every second voxel, in counts of a byte."""
    field = ndimage.gaussian_filter(field, 0.5)[::DISTANCE_GRID_MM, ::DISTANCE_GRID_MM, ::DISTANCE_GRID_MM]
    return np.clip(np.round(field / DISTANCE_STEP_MM), -127, 127).astype(np.int8)


def fraction8(field: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Return a fraction of 0 to 1 as it is stored."""
    return np.clip(np.round(field * FRACTION_STEPS), 0, FRACTION_STEPS).astype(np.uint8)


def head_mask(t1: Field) -> Mask:
    """Return everything inside the skin, air-filled cavities included."""
    bright = largest(opening(ndimage.gaussian_filter(t1, 1) > 14, 1))
    # The neck goes on below the volume: repeat the lowest slice so that closing does not eat it.
    below = np.pad(bright, ((12, 0), (0, 0), (0, 0)), "edge")
    whole = closing(below, 10)[12:]
    return np.stack([ndimage.binary_fill_holes(plane) for plane in whole])


def tissue_fractions(t1: Field, brain: Mask) -> tuple[Field, Field, Field]:
    """Return grey matter, white matter and the normalised T1 (white 1.02, grey 0.78, CSF 0.3) of the brain.

    The slow shading of the coil is divided out by the smoothed intensity of white matter.
    """
    reference = np.full(t1.shape, 112, np.float32)
    for _ in range(4):
        white = (brain & (t1 > 0.9 * reference) & (t1 < 1.2 * reference)).astype(np.float32)
        weight = ndimage.gaussian_filter(white, 14)
        reference = ndimage.gaussian_filter(t1 * white, 14) / np.maximum(weight, 1e-4)
    normal = t1 / np.maximum(reference, 30)
    within = dilate(brain, 1)
    tissue = np.where(within, np.clip((normal - 0.38) / 0.30, 0, 1), 0)
    white = np.minimum(np.where(within, np.clip((normal - 0.83) / 0.14, 0, 1), 0), tissue)
    return (tissue - white).astype(np.float32), white.astype(np.float32), normal.astype(np.float32)


def ventricle_mask(normal: Field, brain: Mask) -> Mask:
    """Return the lateral, third and fourth ventricles: dark inside the brain, grown from where they are known."""
    z, y, x = mni(normal.shape)
    dark = normal < 0.58
    lateral = (abs(x) < 42) & (y < 42) & (y > -60) & (z > -6) & (z < 36) & ~((y < -38) & (abs(x) < 11))
    lateral &= ~((z < 8) & (abs(x) < 9) & (y < -30)) & ~((z < 1) & (y > 0)) & ~((y > 20) & (abs(x) < 3))
    lateral &= ~((z > 22) & (abs(x) < 5))
    lateral &= ~((z < 6) & (y < -8) & (y > -34) & (abs(x) > 7))
    deep = erode(closing(brain, 10), 14)
    horn = (abs(x) > 24) & (abs(x) < 42) & (y < -5) & (y > -45) & (z > -24) & (z <= 0)
    third = (abs(x) < 6) & (y < 5) & (y > -26) & (z > -12) & (z < 6)
    fourth = (abs(x) < 16) & (y < -32) & (y > -58) & (z > -50) & (z < -18)
    seeds = dark & ((lateral & deep) | (third & deep) | (fourth & erode(closing(brain, 10), 10)))
    pieces, count = ndimage.label(opening(seeds, 0.9) | (seeds & third))
    sizes = ndimage.sum(seeds, pieces, range(1, count + 1))
    keep = np.isin(pieces, 1 + np.flatnonzero(np.asarray(sizes) > 150))
    horns, count = ndimage.label(opening(dark & horn & erode(closing(brain, 6), 8), 0.9))
    sizes = ndimage.sum(dark, horns, range(1, count + 1))
    return np.asarray(keep | np.isin(horns, 1 + np.flatnonzero(np.asarray(sizes) > 100)))


def derive(source: Path) -> dict[str, NDArray[np.generic]]:
    """Return the atlas arrays, quantised, from the folder with the source images."""
    t1 = orient(nifti(source / "ch2.nii.gz")).astype(np.float32)
    brain = np.asarray(orient(nifti(source / "ch2bet.nii.gz")) > 0)
    aal = orient(nifti(source / "aal.nii.gz"))
    z, y, x = mni(t1.shape)

    head = head_mask(t1)
    brain = largest(opening(brain, 1)) | (brain & dilate(largest(opening(brain, 1)), 2))
    # At the base a wide closing would swallow clivus and petrous bone.
    hull = np.where(z < -8, closing(brain, 4), closing(brain, 10))
    hull = np.where((z < -24) & (abs(x) < 40) & (y > -34), brain, hull)

    # Soft tissue outside the skull: bright, reached from the skin without crossing bone.
    head_distance = signed_distance(head)
    soft = head & ((t1 > 45) | (head_distance > -3)) & ~dilate(hull, 1.5)
    soft = largest(opening(soft, 1.0))
    solid = head & ~soft
    solid = largest(opening(solid, 1.5)) | hull
    behind = np.broadcast_to(y < 5, t1.shape)
    filled = np.stack([ndimage.binary_fill_holes(plane) for plane in solid])
    solid = solid | (filled & behind & (z > -56))
    solid_distance = signed_distance(solid, 0.7)

    # Inner table: the brain's hull and the CSF around it, at most 7 mm of bone above the base.
    near = outer_distance(hull)
    cavity = near <= 1.2
    cavity |= (solid_distance < -7) & (near < 12) & (z > -6)
    smooth_t1 = ndimage.gaussian_filter(t1, 0.7)
    csf_like = (smooth_t1 > 21) & (smooth_t1 < 50) & solid & (near < 12) & (abs(x) < 36)
    cisterns = largest(opening(csf_like & (z < -20) & (y < 2) & (y > -60), 1.0))
    cisterns |= opening(csf_like & (z >= -34) & (z < -4) & (y < 14), 1.0)
    sinuses = solid & (t1 > 45) & (near < 14) & (y < -20) & (z > -50) & (z < 12)
    cavity |= dilate(cisterns, 0.8) | opening(sinuses, 1.0)
    cavity = opening(closing(largest(cavity & solid & (solid_distance < -1.5) | (hull & solid)), 2.0), 1.5)
    # Clivus, dorsum sellae and petrous apex: marrow as bright as brain; the dura before the pons bounds them.
    before_pons = (y > -8 - 0.0125 * x**2) & (y < 13)
    clivus = before_pons & (
        ((z <= -33) & (y < 0) & (abs(x) < 12)) | ((z <= -40) & (abs(x) < 22 - 0.015 * (y - 3) ** 2))
    )
    # The petrous ridge runs outwards and back.
    clivus |= before_pons & (z <= -40) & (y < -6 - 0.55 * (abs(x) - 14)) & (abs(x) < 46)
    cavity = largest(opening(cavity & ~clivus, 1.0))
    # Round the medulla the vertebral arteries are as dark as bone, and the cord lies in its CSF like a hole.
    cavity |= closing(cavity, 3.5) & (z < -40) & (abs(x) < 19) & ~clivus
    cavity |= np.stack([ndimage.binary_fill_holes(plane) for plane in cavity]) & (z < -52)
    cavity[:6] = cavity[6]  # the lowest slices are cut by the volume's border
    solid |= dilate(cavity, 2.0) & head
    solid_distance = np.minimum(solid_distance, signed_distance(dilate(cavity, 2.0) & head, 0.7))
    cavity_distance = signed_distance(cavity, 0.7)

    cord = (z < -54) & cavity & (abs(x) < 12) & (smooth_t1 > 55) & (y < -20)
    brain |= opening(cord, 1.5)
    brain[:6] = brain[6]
    grey, white, normal = tissue_fractions(t1, brain)
    # Inside the dura but no brain: dural sinuses behind, cavernous sinus, pituitary and nerves at the sella.
    sella = (z < -18) & (abs(x) < 42) & (y > -34) & (y < 22)
    behind_brain = (cavity_distance > -12) & (((y < -40) & (z < 24)) | ((abs(x) < 9) & (z > 24)))
    venous = (sella | behind_brain) & cavity & ~dilate(brain, 1)
    venous_fraction = np.where(venous, np.clip((normal - 0.40) / 0.15, 0, 1), 0).astype(np.float32)
    ventricles = ventricle_mask(normal, brain)
    # Beside a ventricle a half-filled voxel is half white matter: its T1 alone would call it grey.
    rim = dilate(ventricles, 2.2)
    rim_white = np.clip((normal - 0.33) / 0.6, 0, 1)
    total = grey + white
    white = np.where(rim & (normal < 0.93) & (ndimage.maximum_filter(white, 5) > 0.9), rim_white, white)
    grey = np.where(rim, np.maximum(np.minimum(total, 1) - white, 0) * (total > white), grey)

    # Air: dark and thick, at the places of the nose, the sinuses and the mastoid.
    dark = head & (smooth_t1 < 30) & ~dilate(cavity, 1.5) & ~soft
    depth = ndimage.distance_transform_edt(dark | ~head)
    nose = ((abs(x) < 24) & (y > -8) & (z < 2)) | ((abs(x) < 48) & (y > 14) & (z < -36))
    frontal = (abs(x) < 40) & (y > 52) & (z > -30) & (z < 8)
    air = dark & (nose | frontal) & (depth > 1.5)
    air |= head & (t1 < 20) & ((abs(x) > 72) | (y > 84)) & (z < -5) & ~solid
    air_fraction = ndimage.gaussian_filter(dilate(air, 0.5).astype(np.float32), 0.6)
    face = opening(dark & ~dilate(air, 1.5) & (head_distance < -5) & ~solid, 1.0)
    mastoid = np.exp(-0.5 * (((abs(x) - 52) / 9) ** 2 + ((y + 36) / 13) ** 2 + ((z + 42) / 13) ** 2))
    mastoid = np.where(dark & (depth > 1.5), mastoid, 0)

    fat = np.where(head & ~dilate(cavity, 0.5), np.clip((t1 - 96) / 30, 0, 1), 0)
    # Over the vault all between bone and skin is fat, but for the temporal muscle and the occipital one.
    temporal = np.clip((abs(x) - 44) / 8, 0, 1) * np.clip((58 - z) / 10, 0, 1) * np.clip((y + 50) / 10, 0, 1)
    occipital = np.clip((-70 - y) / 10, 0, 1) * np.clip((12 - z) / 10, 0, 1)
    vault = np.clip((z - 4) / 10, 0, 1) * (1 - np.maximum(temporal, occipital)) * (solid_distance > 0)
    fat = np.maximum(fat, 0.93 * vault * head)
    globe = (y > 46) & (z > -48) & (z < -18) & (abs(x) > 14) & (abs(x) < 52) & (t1 < 58) & head & ~solid
    globe = opening(globe, 4)

    labels = np.zeros(t1.shape, np.uint8)
    for name, numbers in _AAL.items():
        labels[np.isin(aal, numbers)] = REGIONS[name]
    brainstem = (labels == 0) & brain & (abs(x) < 22) & (y < -2) & (y > -48) & (z < -10)
    brainstem &= ~dilate(np.isin(labels, [REGIONS["temporal"], REGIONS["limbic"]]), 2) | (z < -35)
    labels[brainstem] = REGIONS["brainstem"]
    nearest = ndimage.distance_transform_edt(labels == 0, return_distances=False, return_indices=True)
    labels = labels[tuple(nearest)]
    below = np.isin(labels, [REGIONS["cerebellum"], REGIONS["brainstem"]])
    tentorium = 0.5 * (outer_distance(below & brain) - outer_distance(~below & brain))
    left = np.broadcast_to(x < 0, t1.shape)
    hemisphere = brain & ~below & (np.isin(aal, range(1, 91)))
    odd = hemisphere & (aal % 2 == 1)
    even = hemisphere & (aal % 2 == 0)
    falx = 0.5 * (outer_distance(odd & left) - outer_distance(even & ~left))
    falx = ndimage.gaussian_filter(falx, 1.5)
    deep = np.isin(labels, [REGIONS[name] for name in ("caudate", "putamen", "pallidum", "thalamus")])
    deep &= ~dilate(ventricles, 1)
    labels[ventricles] = REGIONS["ventricles"]
    labels[~dilate(cavity, 1.0)] = REGIONS["outside"]

    return {
        "grey": fraction8(np.where(cavity_distance < 0.5, grey, 0)),
        "white": fraction8(np.where(cavity_distance < 0.5, white, 0)),
        "venous": fraction8(ndimage.gaussian_filter(venous_fraction, 0.5)),
        "ventricle": fraction8(ndimage.gaussian_filter(ventricles.astype(np.float32), 0.5)),
        "air": fraction8(air_fraction),
        "mastoid": fraction8(mastoid),
        "fat": fraction8(fat),
        "bone": fraction8(ndimage.gaussian_filter(face.astype(np.float32), 0.6)),
        "globe": fraction8(ndimage.gaussian_filter(globe.astype(np.float32), 0.6)),
        "deep_grey": fraction8(ndimage.gaussian_filter(deep.astype(np.float32), 0.8)),
        "cavity_distance": distance8(cavity_distance),
        "skull_distance": distance8(solid_distance),
        "head_distance": distance8(signed_distance(head, 1.0)),
        "ventricle_distance": distance8(signed_distance(ventricles, 0.7)),
        "falx_distance": distance8(falx),
        "tentorium_distance": distance8(ndimage.gaussian_filter(tentorium, 1.0)),
        "region": labels,
        "origin_mni": np.asarray(ORIGIN_MNI, np.float32),
    }


def main() -> None:
    """Derive the atlas and write it beside this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, default=Path("/usr/share/mricron/templates"))
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("colin27.npz"))
    options = parser.parse_args()
    partial = options.out.with_suffix(".partial.npz")
    np.savez_compressed(partial, allow_pickle=False, **derive(options.source))
    partial.replace(options.out)


if __name__ == "__main__":
    main()
