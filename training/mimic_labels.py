# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Where in a head the things lie that are often taken for blood, by their name: what the named classes are learnt from.

The simulator labels blood alone. But it lays mimics one after another, so what each of them brightens can be noted as
it is laid; between its two hooks for mimics, arteries, falx, tentorium and sinuses are. Only what becomes as dense as
blood may be is labelled, and no blood.

A head has them in a file beside its others, `<stem>.mimics.npy`: uint8 [Z, 256, 256], the class of each second pixel
(`training.network.classes.Named`), 0 for none. Heads that were made before do without: of what is no blood in them,
nothing has a name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from appliance.reading.contract import MATRIX
from simulator.anatomy import Anatomy
from simulator.bleeding import simulate_head
from simulator.diagnosis import Diagnosis
from simulator.fields import Taps, spread
from simulator.geometry import ScanGeometry, draw_geometry
from simulator.kept_blood import KeptBlood
from simulator.labels import label_voxels
from simulator.mimics import Mimics
from simulator.mimics.mimic import Inside
from simulator.noise_free import NoiseFreeScan
from simulator.population import Population
from training.heads import DIAGNOSIS_OF_SEED, Head, kept_geometry
from training.network.classes import Named

Field = NDArray[np.float32]
Labels = NDArray[np.uint8]

NAMES: Final[dict[str, Named]] = {
    "pineal": Named.CALCIFICATION,
    "habenula": Named.CALCIFICATION,
    "choroid plexus": Named.CALCIFICATION,
    "basal ganglia": Named.CALCIFICATION,
    "dentate nuclei": Named.CALCIFICATION,
    "cortical calcification": Named.CALCIFICATION,
    "carotid siphons": Named.CALCIFICATION,
    "vertebrobasilar arteries": Named.CALCIFICATION,
    "falx plaques": Named.CALCIFICATION,
    "tentorial calcium": Named.CALCIFICATION,
    "brain tumour": Named.TUMOUR,
    "contrast staining": Named.STAINING,
    "dense dura": Named.VESSEL_OR_DURA,
    "large sinuses": Named.VESSEL_OR_DURA,
    "sinus thrombosis": Named.VESSEL_OR_DURA,
    "contrast in vessels": Named.VESSEL_OR_DURA,
}
"""The class of each kind of the simulator's mimics that has one."""
RISE_HU: Final = 8.0
DENSE_HU: Final = 40.0
"""A voxel is labelled that a mimic brightens by so much, to so much or more."""
STEP: Final = 2
"""Pixels of a slice that a pixel of the labels is wide."""
_LATTICE_PX: Final = 16
_SUFFIX: Final = "mimics.npy"


@dataclass(frozen=True)
class Watched(Mimics):
    """Mimics that note what they brighten as they are laid.

    Attributes
    ----------
    classes: uint8 [Z, Y, X] of the cavity's box, the class of each voxel, under the name "all" once laid.
    """

    noted: dict[str, NDArray[np.generic]] = field(default_factory=dict)

    def lay_in_brain(self, inside: Inside) -> None:
        """Change the brain, and note it."""
        self.noted["all"] = np.zeros(inside.hu.shape, np.uint8)
        for name, mimic in self.present:
            before = inside.hu.copy()
            mimic.lay_in_brain(inside)
            self._note(NAMES.get(name), before, inside.hu)
        self.noted["brain"] = inside.hu.copy()

    def lay_over_dura(self, inside: Inside) -> None:
        """Change the cavity, and note it and what was laid since the brain."""
        self._note(Named.VESSEL_OR_DURA, np.asarray(self.noted.pop("brain"), np.float32), inside.hu)
        for name, mimic in self.present:
            before = inside.hu.copy()
            mimic.lay_over_dura(inside)
            self._note(NAMES.get(name), before, inside.hu)

    def _note(self, kind: Named | None, before: Field, after: Field) -> None:
        if kind is not None:
            self.noted["all"][(after - before >= RISE_HU) & (after >= DENSE_HU)] = kind


def classes_in(anatomy: Anatomy) -> Labels:
    """Return the class of each voxel of an anatomy's `cavity_box`, uint8 [Z, Y, X]."""
    watched = Watched(anatomy.mimics.present)
    _ = replace(anatomy, mimics=watched).intracranial  # laid as it is asked for
    found: Labels = np.where(anatomy.cavity >= 0.5, watched.noted["all"], 0).astype(np.uint8)
    return found


def on_planes(classes: Labels, anatomy: Anatomy, geometry: ScanGeometry) -> Labels:
    """Return the classes of a cavity's box on each second row and column of planes, uint8 [Z, rows / 2, columns / 2].

    A pixel has a class if at least two of three samples through its thickness have it.
    """
    out = np.zeros((geometry.shape[0], -(-geometry.rows // STEP), -(-geometry.columns // STEP)), np.uint8)
    row, column, normal = geometry.axes
    dy, dx = geometry.pixel_spacing_mm
    nodes_y, nodes_x = (np.arange(-(-size // _LATTICE_PX) + 1) * _LATTICE_PX for size in geometry.shape[1:])
    taps = tuple(
        Taps.linear((np.arange(size) * STEP + (STEP - 1) / 2) / _LATTICE_PX, len(nodes))
        for size, nodes in zip(out.shape[1:], (nodes_y, nodes_x), strict=True)
    )
    low = np.array([one.start for one in anatomy.cavity_box], np.float32)[:, None, None]
    extent = np.array(classes.shape)[:, None, None]
    for k in range(len(out)):
        plane = geometry.origins_mm[k] + nodes_y[:, None, None] * dy * column + nodes_x[None, :, None] * dx * row
        samples = []
        for offset in (-1 / 3, 0.0, 1 / 3):
            at = anatomy.atlas_index(plane + offset * geometry.thickness_mm[k] * normal)
            index = np.rint(spread(np.moveaxis(at, -1, 0).astype(np.float32) - low, taps)).astype(np.intp)
            inside = np.all((index >= 0) & (index < extent), axis=0)
            z, y, x = np.where(inside, index, 0)
            samples.append(np.where(inside, classes[z, y, x], 0))
        first, middle, last = samples
        out[k] = np.where((middle == first) | (middle == last), middle, np.where(first == last, first, 0))
    return out


def make_with_mimics(folder: Path, seed: int, population: Population) -> None:
    """Simulate a seed's head as `heads.make_one` does, and store it in `folder` with the labels of its mimics.

    Raises
    ------
    ValueError
        If its matrix is not the contract's.
    """
    diagnosis = Diagnosis(DIAGNOSIS_OF_SEED[seed % len(DIAGNOSIS_OF_SEED)])
    planned, geometry = draw_geometry(seed, population), kept_geometry(seed, population)
    if geometry.shape[1:] != (MATRIX, MATRIX):
        raise ValueError(f"head {seed} has a matrix of {geometry.shape[1:]}, training takes {MATRIX}")
    head = simulate_head(seed, diagnosis, geometry=planned, population=population)
    bleeds = head.bleeds(geometry)
    gapless = bool(np.allclose(geometry.spans_mm, geometry.thickness_mm, rtol=0.02))
    scan = NoiseFreeScan(
        seed=seed,
        diagnosis=diagnosis,
        hu=np.rint(head.noise_free(geometry)).astype(np.int16),
        labels=label_voxels(bleeds, geometry.shape, geometry.pixel_spacing_mm),
        pixel_spacing_mm=geometry.pixel_spacing_mm,
        thickness_mm=np.asarray(geometry.thickness_mm),
        gapless=gapless,
        population=population.name,
        blood=KeptBlood.of(bleeds, geometry.shape) if gapless else None,
    )
    mimics = on_planes(classes_in(head.anatomy), head.anatomy, geometry)
    bleeding = scan.labels.reshape(len(mimics), mimics.shape[1], STEP, mimics.shape[2], STEP).any(axis=(2, 4))
    stem = folder / Head(folder, str(diagnosis), seed).name
    partial = stem.with_name(f".{stem.name}.partial")
    with partial.open("wb") as file:
        np.save(file, np.where(bleeding, 0, mimics))
    partial.replace(stem.with_name(f"{stem.name}.{_SUFFIX}"))
    scan.save(stem)  # its `.json` comes last


@lru_cache(maxsize=1024)
def _kept(head: Head) -> Labels | None:
    """Return a head's labels by memory map, None where it has none."""
    path = head.folder / f"{head.name}.{_SUFFIX}"
    return np.load(path, mmap_mode="r") if path.exists() else None


def mimic_labels(head: Head, slices: Sequence[range]) -> Labels | None:
    """Return the classes of slices of a head, uint8 [slices, 512, 512]: those of each slice's middle plane.

    None where the head was kept without.
    """
    kept = _kept(head)
    if kept is None:
        return None
    middle = kept[[(planes.start + planes.stop - 1) // 2 for planes in slices]]
    return np.repeat(np.repeat(middle, STEP, axis=1), STEP, axis=2)


@lru_cache(maxsize=1024)
def mimic_places(head: Head) -> dict[Named, NDArray[np.int32]]:
    """Return voxels (z, y, x) [N, 3] of a head by their class, some of each slice; nothing of what it does not have."""
    kept = _kept(head)
    found: dict[Named, NDArray[np.int32]] = {}
    if kept is None:
        return found
    for kind in Named:
        chosen = []
        for z, plane in enumerate(kept):
            places = np.argwhere(plane == kind)
            places = places[:: max(1, len(places) // 64)]
            chosen.append(np.column_stack([np.full(len(places), z), STEP * places]).astype(np.int32))
        if any(map(len, chosen)):
            found[kind] = np.concatenate(chosen)
    return found
