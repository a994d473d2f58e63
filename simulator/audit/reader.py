# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What a reader of CT would measure on the two scans of a pair: blood beside bone, dura, the brain and its fluid.

Contrast and brightness are those of the scan as it is stored, noise and all. Dura, fluid and the places of subarachnoid
blood are measured in the head itself, as slices of 5 mm show it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from appliance.reading.contract import BRIGHTEST_CLOT_HU, TYPES, HemorrhageType
from simulator.audit.surroundings import skull_cavity
from simulator.geometry import ScanGeometry
from simulator.head import SimulatedHead
from simulator.scan import SimulatedScan

Field = NDArray[np.float32]
Mask = NDArray[np.bool_]

BLUR_MM: Final = 2.5
"""As near as this to bone a slice's brightness is partly bone's: point spread and partial volume."""
_BONE_HU: Final = 150.0
_BESIDE_MM: Final = 10.0
_FEW: Final = 60  # voxels
_SLICE_MM: Final = 5
_FLUID_HU: Final = 15.0
_DEEP_MM: Final = 20.0
_BASE_Z: Final = 0.0  # MNI mm; the brain above it holds no skull base
SEEN_HU: Final = 5.0
"""A sheet of dura is seen where it is so much brighter than the brain beside it: about one noise of a clinical scan."""


@dataclass(frozen=True)
class ReaderFigures:
    """What a reader would measure on a pair.

    Attributes
    ----------
    bright: share of the labelled voxels of each type that the scan shows above 100 HU.
    contrast_hu: median of labelled extra-axial blood less that of the brain beside it, both off bone's blur.
    clear: share of the labelled extra-axial voxels that lie off bone's blur.
    depth_mm: greatest depth of labelled extra-axial blood in a slice.
    cisternal: share of the subarachnoid blood that lies in basal cisterns and fissures.
    dura_hu: of sinus, falx behind and in front, and tentorium, the median HU in slices of 5 mm.
    dura_rise_hu: of falx behind and in front and of tentorium, HU above the brain beside it.
    brain_hu: median of the brain above the base in the scan without blood.
    fluid: share of the deep brain that is fluid.
    """

    bright: dict[str, float] = field(default_factory=dict)
    contrast_hu: float | None = None
    clear: float | None = None
    depth_mm: float | None = None
    cisternal: float | None = None
    dura_hu: dict[str, float] = field(default_factory=dict)
    dura_rise_hu: dict[str, float] = field(default_factory=dict)
    brain_hu: float | None = None
    fluid: float | None = None


def read_pair(bleeding: SimulatedScan, healthy: SimulatedScan) -> ReaderFigures:
    """Return what a reader would measure on a head with its blood and without."""
    extraaxial = bleeding.labels == HemorrhageType.EDH_SDH.label
    contrast, clear = beside_bone(bleeding.hu, extraaxial, bleeding.labels > 0, bleeding.geometry)
    dura, rise = dura_hu(healthy.head)
    return ReaderFigures(
        bright=bright_shares(bleeding.hu, bleeding.labels),
        contrast_hu=contrast,
        clear=clear,
        depth_mm=deepest_mm(extraaxial, bleeding.geometry),
        cisternal=cisternal_share(bleeding.head),
        dura_hu=dura,
        dura_rise_hu=rise,
        brain_hu=brain_hu(healthy),
        fluid=fluid_share(healthy.head),
    )


def bright_shares(hu: NDArray[np.int16], labels: NDArray[np.uint8]) -> dict[str, float]:
    """Return for each type that is labelled the share of its voxels above 100 HU."""
    found = {}
    for kind in TYPES:
        here = labels == kind.label
        if here.any():
            found[str(kind)] = float((hu[here] > BRIGHTEST_CLOT_HU).mean())
    return found


def beside_bone(
    hu: NDArray[np.int16], blood: Mask, labelled: Mask, geometry: ScanGeometry
) -> tuple[float | None, float | None]:
    """Return the contrast (HU) of extra-axial blood to the brain beside it off bone's blur, and how much lies off it.

    Parameters
    ----------
    blood: [Z, Y, X], labelled extra-axial voxels.
    labelled: [Z, Y, X], labelled voxels of any type, which are no brain.
    """
    if blood.sum() < _FEW:
        return None, None
    inner, outer = [], []
    cavity = skull_cavity(hu)
    for k in np.flatnonzero(blood.any(axis=(1, 2))):
        plane = ndimage.uniform_filter(np.asarray(hu[k], np.float32), 3)
        off_bone = ndimage.distance_transform_edt(plane < _BONE_HU, sampling=geometry.pixel_spacing_mm) > BLUR_MM
        away = ndimage.distance_transform_edt(~labelled[k], sampling=geometry.pixel_spacing_mm)
        inner.append(hu[k][blood[k] & off_bone])
        outer.append(hu[k][off_bone & cavity[k] & (away > BLUR_MM) & (away < _BESIDE_MM)])
    seen, brain = np.concatenate(inner), np.concatenate(outer)
    clear = float(seen.size / blood.sum())
    if seen.size < _FEW or brain.size < _FEW:
        return None, clear
    return float(np.median(seen) - np.median(brain)), clear


def deepest_mm(blood: Mask, geometry: ScanGeometry) -> float | None:
    """Return the greatest depth (mm) of labelled blood in a slice: the widest circle that fits into it."""
    depths = [
        2 * float(ndimage.distance_transform_edt(plane, sampling=geometry.pixel_spacing_mm).max())
        for plane in blood
        if plane.any()
    ]
    return max(depths) if depths else None


def cisternal_share(head: SimulatedHead) -> float | None:
    """Return the share of a head's subarachnoid blood in basal cisterns and fissures, None where it has none."""
    z, y, x = head.anatomy.atlas.mni()
    cisternal = total = 0.0
    for blood in head.blood:
        if blood.type is not HemorrhageType.SAH:
            continue
        box = tuple(slice(int(a), int(a) + n) for a, n in zip(blood.low, blood.fraction.shape, strict=True))
        at = (z[box[0]], y[:, box[1]], x[:, :, box[2]])
        total += float(blood.fraction.sum())
        cisternal += float((blood.fraction * cisterns(*at)).sum())
    return cisternal / total if total > 0 else None


def cisterns(z: Field, y: Field, x: Field) -> Mask:
    """Return where basal cisterns, Sylvian fissures and the lower interhemispheric one lie, MNI mm, broadcastable."""
    basal = (z < 4) & (y > -48) & (y < 45) & (np.abs(x) < 34)
    sylvian = (z < 18) & (z > -24) & (np.abs(y) < 26) & (np.abs(x) >= 26) & (np.abs(x) < 52)
    between = (np.abs(x) < 6) & (y > 10) & (z < 32)
    return np.asarray(basal | sylvian | between)


def dura_hu(head: SimulatedHead) -> tuple[dict[str, float], dict[str, float]]:
    """Return the HU of sinus, falx and tentorium as slices of 5 mm show them, and how far sheets rise above brain."""
    anatomy = head.anatomy
    at = anatomy.landmarks
    hu = ndimage.uniform_filter1d(head.hu[anatomy.cavity_box], _SLICE_MM, axis=0)
    brain = (at.brain > 0.97) & (at.depth > 6)
    sheets = {
        "falx behind": (at.falx, (at.y < -45) & (at.z > 25) & (at.z < 60) & (at.depth > 9)),
        "falx in front": (at.falx, (at.y > 25) & (at.z > 10) & (at.z < 45) & (at.depth > 9)),
        "tentorium": (at.tentorium, (np.abs(at.x) > 20) & (np.abs(at.x) < 42) & (at.y < -32) & (at.depth > 8)),
    }
    found, rise = {}, {}
    for name, (off, place) in sheets.items():
        sheet, beside = place & (np.abs(off) < 0.6), place & brain & (np.abs(off) > 4) & (np.abs(off) < 10)
        if sheet.sum() > _FEW and beside.sum() > _FEW:
            found[name] = float(np.median(hu[sheet]))
            rise[name] = found[name] - float(np.median(hu[beside]))
    sinus = (np.abs(at.falx) < 1.2) & (at.depth > 1.5) & (at.depth < 4) & ((at.z > 60) | ((at.y < -60) & (at.z > 5)))
    if sinus.sum() > _FEW:
        found["sinus"] = float(np.median(hu[sinus]))
    return found, rise


def brain_hu(scan: SimulatedScan) -> float | None:
    """Return the median HU of what the skull closes in above the base, fluid included, None where too little is."""
    above = scan.geometry.centres_mm[:, 2] > _BASE_Z
    inside = skull_cavity(scan.hu[above]) if above.any() else np.zeros(0, bool)
    values = scan.hu[above][inside] if inside.any() else np.zeros(0)
    return float(np.median(values)) if values.size > _FEW else None


def fluid_share(head: SimulatedHead) -> float:
    """Return how much of the brain 20 mm below the inner table and above the base is darker than 15 HU."""
    anatomy = head.anatomy
    slices = ndimage.uniform_filter1d(head.hu[anatomy.cavity_box], _SLICE_MM, axis=0)
    deep = (anatomy.landmarks.depth > _DEEP_MM) & (anatomy.landmarks.z > -5)
    return float(np.mean(slices[deep] < _FLUID_HU))
