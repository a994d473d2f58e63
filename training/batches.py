# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Training batches: random crops of slabs of a few heads, each by another scanner, with the network's targets.

A head is stored as it is before any scanner; a crop draws a view (mirror, rotation, scale) and a scanner, so only the
crop has to be scanned.

A batch depends only on the generator of (seed, step), so a run that is stopped and resumed sees the same batches, given
the same heads and false alarms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from appliance.reading.anchors import anchor_boxes
from appliance.reading.contract import CONTEXT_SLICES, MATRIX, HemorrhageType
from simulator.noise_free import NoiseFreeScan, scan_view
from simulator.population import POPULATIONS
from simulator.scanner import Scanner
from simulator.view import View, cut
from training.assignment import anchor_targets
from training.found_places import NOWHERE, FoundPlaces
from training.heads import Head
from training.instances import MAX_PIECES, MIMICS, pieces
from training.mimic_labels import mimic_labels, mimic_places
from training.network.classes import Named

THICKEST_MM: Final = 5.2
OVERLAPPING: Final = 0.15  # the share of merged slices that lie half a slice apart
SMALL_ML: Final = 5.0
MEDIUM_ML: Final = 25.0
ALARMED: Final = 0.5
"""The share of the crops without a bleed that return to a false alarm, while there are any."""
MISSED: Final = 0.5
"""The share of the crops with a bleed that return to a missed lesion, while there are any."""
ENOUGH_READ: Final = 20
"""While fewer bleeding heads were read for missed lesions, the share is lower in proportion: the few lesions that are
known by then would be shown hundreds of times."""
UNKNOWN: Final = 255
"""In a slice of mimics: nobody knows them."""


@dataclass(frozen=True)
class Shape:
    """How large a batch is.

    Attributes
    ----------
    slabs
        Crops in a batch, each of a head of its own.
    targets
        Slices of each crop that are learnt; two more at each end are context.
    size
        Rows and columns of a crop, in pixels, a multiple of 32.
    """

    slabs: int
    targets: int
    size: int


@dataclass(frozen=True)
class Batch:
    """One step's input and targets; S = targets * slabs, depth-major as in `training.network.backbone`.

    Attributes
    ----------
    slices
        int16 [(targets + 4) * slabs, H, W, 1], HU: scaled where it is learnt from, as the network does when it reads.
    labels
        uint8 [S, H, W].
    boxes, kinds
        The pieces, padded: [S, MAX_PIECES, 4] in pixels and int32 [S, MAX_PIECES] labels (0 is padding).
    anchor_labels, anchor_boxes
        int8 [S, A] and [S, A, 4], see `assignment.anchor_targets`.
    mimic_boxes, mimic_kinds
        The same of what is often taken for blood: [S, MAX_PIECES, 4] and int32 [S, MAX_PIECES] classes
        (`network.classes.Named`), 0 is padding; -1 throughout where nobody knows what a head's mimics are.
    """

    slices: NDArray[np.int16]
    labels: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    kinds: NDArray[np.int32]
    anchor_labels: NDArray[np.int8]
    anchor_boxes: NDArray[np.float32]
    mimic_boxes: NDArray[np.float32]
    mimic_kinds: NDArray[np.int32]


def batch(
    heads: Sequence[Head],
    shape: Shape,
    rng: np.random.Generator,
    alarms: FoundPlaces | None = None,
    missed: FoundPlaces | None = None,
) -> Batch:
    """Return a random batch: every other crop is about blood.

    Of those half return to a lesion that the network misses, if there are `missed` ones; each of them is shown equally
    often. The crops about no blood return to a false alarm half of the time, if there are `alarms`; otherwise they show
    a mimic of blood (`_mimics_of`), or any place, equally often.
    """
    # A thin part of a bleeding head may hold none of its blood.
    with_blood = [head for head in heads if head.diagnosis != "none" and len(head.blood)]
    chances = np.array([chance(head) for head in with_blood])
    alarmed = [head for head in heads if alarms and len(alarms.of(head))]
    overlooked = [(head, place) for head in heads if missed for place in missed.of(head)[:, None]]
    again = MISSED * min(1.0, missed.count_read(heads) / ENOUGH_READ) if missed and overlooked else 0.0
    crops = []
    for slab in range(shape.slabs):
        if slab % 2 == 0 and with_blood:
            if again and rng.random() < again:
                head, about = overlooked[int(rng.integers(len(overlooked)))]
            else:
                head = with_blood[int(rng.choice(len(with_blood), p=chances / chances.sum()))]
                about = head.blood
        elif alarms and alarmed and rng.random() < ALARMED:
            head = alarmed[int(rng.integers(len(alarmed)))]
            about = alarms.of(head)
        else:
            head = heads[int(rng.integers(len(heads)))]
            about = _mimics_of(head, rng) if rng.random() < 0.5 else NOWHERE
        crops.append(_crop(head, shape, about, rng))
    hu, labels, mimics = (np.stack(parts, axis=1) for parts in zip(*crops, strict=True))
    hu, labels, mimics = (values.reshape(-1, shape.size, shape.size) for values in (hu, labels, mimics))
    return _with_targets(hu, labels, mimics, rng)


def _mimics_of(head: Head, rng: np.random.Generator) -> NDArray[np.int32]:
    """Return where a head has what may be taken for blood [N, 3]: half of the time one of the things with a name.

    Each name that the head has is as likely, and the other half of the time it is whatever is dense. Contrast agent is
    often no denser than what lies around it, and calcium is small.
    """
    named = mimic_places(head)
    if named and rng.random() < 0.5:
        return list(named.values())[int(rng.integers(len(named)))]
    return head.mimics


def chance(head: Head) -> float:
    """Return how often a bleeding head is drawn, against one with a large bleed of the brain.

    Bleeds that are hard to find are shown more often: subarachnoid blood twice as often, and bleeds below 25 and below
    5 mL (the paper's medium and small ones) half as often again and twice as often.
    """
    by_size = 2.0 if head.blood_ml < SMALL_ML else 1.5 if head.blood_ml < MEDIUM_ML else 1.0
    return by_size * (2.0 if head.diagnosis == HemorrhageType.SAH else 1.0)


def _crop(
    head: Head, shape: Shape, about: NDArray[np.int32], rng: np.random.Generator
) -> tuple[NDArray[np.int16], NDArray[np.uint8], NDArray[np.uint8]]:
    """Return HU [targets + 4, H, W] and the targets' labels and mimics [targets, H, W] of a random crop of a head.

    Mimics are classes (`network.classes.Named`), `UNKNOWN` throughout where nobody knows them.

    The crop holds one of the voxels `about` [N, 3], if there are any.
    """
    slices = _slices(head.scan, rng)
    depth = len(slices)
    if len(about):
        z, y, x = (int(v) for v in about[rng.integers(len(about))])
        z = int(np.argmin([abs(2 * z + 1 - planes.start - planes.stop) for planes in slices]))
        first = z - int(rng.integers(shape.targets))
        reach = 0.4 * shape.size
        centre = (y + rng.uniform(-reach, reach), x + rng.uniform(-reach, reach))
    else:
        first = int(rng.integers(depth))
        low, high = shape.size / 2, MATRIX - shape.size / 2
        centre = (rng.uniform(low, high), rng.uniform(low, high)) if low < high else (low, low)
    first = int(np.clip(first, 0, max(0, depth - shape.targets)))
    view = random_view(centre, rng)
    if shape.size == MATRIX:
        view = View(View.whole((MATRIX, MATRIX)).centre, view.angle, max(view.scale, 1.0), view.mirrored)
    z_input = np.clip(np.arange(first - CONTEXT_SLICES, first + shape.targets + CONTEXT_SLICES), 0, depth - 1)
    low, high = int(z_input.min()), int(z_input.max()) + 1
    scanner = Scanner.draw(rng, POPULATIONS[head.scan.population])
    hu, labels = scan_view(head.scan, view, (shape.size, shape.size), slices[low:high], scanner, rng)
    z_input = z_input - low
    z_target = z_input[CONTEXT_SLICES : CONTEXT_SLICES + shape.targets]
    mimics = mimic_labels(head, [slices[low + z] for z in z_target])
    if mimics is None:
        seen = np.full((shape.targets, shape.size, shape.size), UNKNOWN, np.uint8)
    else:
        seen = cut(mimics, view, (shape.size, shape.size), nearest=True, around=0)
    return hu[z_input], labels[z_target], seen


def _slices(scan: NoiseFreeScan, rng: np.random.Generator) -> list[range]:
    """Return the planes of each slice of a realisation: as they are, or merged to thicker slices, some overlapping."""
    most = int(THICKEST_MM / scan.thickness_mm.max() + 0.1) if scan.mergeable else 1
    parts = int(rng.integers(1, max(1, most) + 1))
    first, overlapping = int(rng.integers(parts)), rng.random() < OVERLAPPING
    if len(scan.hu) < first + 2 * parts:
        return scan.slices()
    return scan.slices(parts, first, max(1, parts // 2) if overlapping else parts)


def random_view(centre: tuple[float, float], rng: np.random.Generator) -> View:
    """Return a view about `centre`: half of them mirrored, two thirds turned by up to 17 degrees and scaled."""
    turned = rng.random() < 0.67
    return View(
        centre,
        angle=float(rng.uniform(-0.3, 0.3)) if turned else 0.0,
        scale=float(np.exp(rng.uniform(-0.2, 0.2))) if turned else 1.0,
        mirrored=bool(rng.random() < 0.5),
    )


def _with_targets(
    hu: NDArray[np.int16], labels: NDArray[np.uint8], mimics: NDArray[np.uint8], rng: np.random.Generator
) -> Batch:
    """Return the batch of depth-major slices hu, labels and mimics, with the targets of every slice."""
    anchors = anchor_boxes(labels.shape[-1])
    count = len(labels)
    boxes, mimic_boxes = (np.zeros((count, MAX_PIECES, 4), np.float32) for _ in range(2))
    kinds, mimic_kinds = (np.zeros((count, MAX_PIECES), np.int32) for _ in range(2))
    asked = np.zeros((count, len(anchors)), np.int8)
    moved = np.zeros((count, len(anchors), 4), np.float32)
    for i, marks in enumerate(labels):
        found, kind = pieces(marks)
        boxes[i, : len(found)], kinds[i, : len(found)] = found, kind
        asked[i], moved[i] = anchor_targets(anchors, found, rng)
        if mimics[i].flat[0] == UNKNOWN:
            mimic_kinds[i] = -1
            continue
        found, kind = pieces(mimics[i], MIMICS, Named)
        mimic_boxes[i, : len(found)], mimic_kinds[i, : len(found)] = found, kind
    return Batch(hu[..., None], labels, boxes, kinds, asked, moved, mimic_boxes, mimic_kinds)
