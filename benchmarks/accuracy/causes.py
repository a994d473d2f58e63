# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Why a study was misread, by the simulator's truth: what lies where a false lesion is, and how a missed one looked.

A mimic is a cause where the head without it differs at the false lesion by at least `EFFECT_HU`. Where no mimic is,
the place names the cause, in the paper's words (Fig 4: falx, periphery, posterior fossa, motion). A cause is where one
looks first, not a proof: the network was not asked again with it taken away.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from appliance.reading.contract import HemorrhageType, SizeClass
from benchmarks.accuracy.record import Record
from simulator.anatomy import Anatomy
from simulator.geometry import ScanGeometry
from simulator.scan import SimulatedScan

EFFECT_HU: Final = 5.0
FAINT_HU: Final = 12.0
MOST_VOXELS: Final = 400
"""Of a lesion so many voxels are looked up in the head."""

CATEGORIES: Final = {
    "pineal": "calcification",
    "habenula": "calcification",
    "choroid plexus": "calcification",
    "basal ganglia": "calcification",
    "dentate nuclei": "calcification",
    "cortical calcification": "calcification",
    "carotid siphons": "calcification",
    "vertebrobasilar arteries": "calcification",
    "tentorial calcium": "calcification",
    "falx plaques": "falx",
    "dense dura": "falx",
    "peripheral hardening": "periphery",
    "petrous hardening": "posterior fossa",
}
"""The paper's name for a mimic; what is not here is called by its own."""

Facts = dict[str, Any]
_PLACES: Final[tuple[tuple[str, Callable[[Facts], bool]], ...]] = (
    ("outside the skull", lambda facts: facts["outside_share"] > 0.5),
    ("motion", lambda facts: facts["motion_mm"] >= 1.0),
    ("falx", lambda facts: abs(facts["falx_mm"]) <= 4.0 and facts["tentorium_mm"] > 0),
    ("tentorium", lambda facts: abs(facts["tentorium_mm"]) <= 3.0),
    ("posterior fossa", lambda facts: facts["tentorium_mm"] < 0),
    ("periphery", lambda facts: facts["depth_mm"] <= 8.0),
)
"""Where no mimic is, the first that holds names the cause."""
UNKNOWN: Final = "nothing in the truth"


def false_lesion(scan: SimulatedScan, geometry: ScanGeometry, voxels: NDArray[np.intp]) -> tuple[str, Facts]:
    """Return the cause of a false lesion in a head without blood, and what it was judged by.

    Parameters
    ----------
    voxels: its voxels [N, 3], z, y, x in the series of `geometry`.
    """
    facts = place(scan, geometry, voxels)
    effects: dict[str, float] = facts["mimics_hu"]
    if effects and facts["outside_share"] <= 0.5:
        strongest = max(effects, key=lambda name: effects[name])
        return CATEGORIES.get(strongest, strongest), facts
    return next((name for name, holds in _PLACES if holds(facts)), UNKNOWN), facts


def place(scan: SimulatedScan, geometry: ScanGeometry, voxels: NDArray[np.intp]) -> Facts:
    """Return where voxels [N, 3] of a series lie in its head, and what mimics do there.

    The keys: `outside_share` of voxels outside the cavity's box; `depth_mm` below the inner table, `falx_mm` and
    `tentorium_mm` to the sheets (medians; the tentorium's negative below it); `motion_mm`; `mimics_hu`: by mimic, what
    it changes there (90th percentile of voxels), those of at least `EFFECT_HU`.
    """
    some = voxels[np.linspace(0, len(voxels) - 1, min(len(voxels), MOST_VOXELS)).astype(np.intp)]
    row, column, _ = geometry.axes
    dy, dx = geometry.pixel_spacing_mm
    points = geometry.origins_mm[some[:, 0]] + some[:, 1:2] * dy * column + some[:, 2:] * dx * row
    anatomy = scan.head.anatomy
    box = anatomy.cavity_box
    index = np.rint(anatomy.atlas_index(points)).astype(np.intp) - [one.start for one in box]
    inside = np.all((index >= 0) & (index < [one.stop - one.start for one in box]), axis=1)
    facts: Facts = {"outside_share": float(1 - inside.mean()), "motion_mm": float(scan.scanner.motion_mm)}
    if not inside.any():
        return facts | {"depth_mm": -99.0, "falx_mm": 99.0, "tentorium_mm": 99.0, "mimics_hu": {}}
    z, y, x = index[inside].T
    at = anatomy.landmarks
    facts |= {
        "depth_mm": float(np.median(at.depth[z, y, x])),
        "falx_mm": float(np.median(at.falx[z, y, x])),
        "tentorium_mm": float(np.median(at.tentorium[z, y, x])),
    }
    whole = _inside(anatomy)[z, y, x]
    effects = {}
    for name in anatomy.mimics.names:
        without = _inside(replace(anatomy, mimics=anatomy.mimics.without(name)))[z, y, x]
        effect = float(np.percentile(np.abs(whole - without), 90))
        if effect >= EFFECT_HU:
            effects[name] = round(effect, 1)
    return facts | {"mimics_hu": effects}


def _inside(anatomy: Anatomy) -> NDArray[np.float32]:
    """Return the HU of the cavity's box as if all of it were inside the skull, with what bone's hardening adds."""
    hardening = anatomy.mimics.hardening(anatomy.landmarks)
    return anatomy.intracranial if hardening is None else np.asarray(anatomy.intracranial + hardening, np.float32)


def miss(record: Record) -> str:
    """Return why a study with blood was missed, by its largest lesion of the study's own type."""
    own = [lesion for lesion in record.true if lesion.type == record.diagnosis]
    contrast = max(own, key=lambda lesion: lesion.volume_ml).contrast_hu if own else None
    if record.size is SizeClass.PUNCTATE:
        return "punctate"
    if contrast is not None and contrast < FAINT_HU:
        return "faint SAH" if record.diagnosis == HemorrhageType.SAH else "isodense"
    if record.size is SizeClass.SMALL:
        return "small"
    return "large enough and bright"
