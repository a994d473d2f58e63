# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The way of a study's true blood through everything except the network, with a count of what is left after each step.

The network is assumed to be perfect: every positive anchor proposes its piece exactly, and every piece gets its type
with a score of 1 and the mask of the training target. If equals compete for a limited list, the piece with more blood
goes first.

In the training target a cell on the edge says how much of it is blood, and pasting turns this into an edge finer than
the cells. A network is seldom that exact: the last step pastes masks in which every cell is certain, 0 or 1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from appliance.reading.anchors import anchor_boxes
from appliance.reading.boxes import Boxes, decode, encode, suppress
from appliance.reading.contract import (
    CHUNK_SLICES,
    CONTEXT_SLICES,
    DETECTION_OVERLAP,
    MASK_SIZE,
    MATRIX,
    MAX_DETECTIONS,
    PROPOSAL_OVERLAP,
    PROPOSALS_KEPT,
    PROPOSALS_PER_SLICE,
    TYPES,
    chunks,
)
from appliance.reading.detections import Box
from appliance.reading.masks import blood, cells, paste
from training.assignment import anchor_targets
from training.instances import TAUGHT, Cutting, pieces

Labels = NDArray[np.uint8]
Counts = NDArray[np.int64]


class Stage(StrEnum):
    """The steps at which blood can be lost, in order."""

    CUT = "cut into pieces"
    PIECES = "pieces a slice"
    BOXES = "anchors and box offsets"
    PROPOSALS = "suppression of proposals"
    DETECTIONS = "suppression of detections"
    CHUNK = "detections a chunk"
    MASK = "mask as taught, pasted"
    SURE = "mask of sure cells, pasted"


@dataclass(frozen=True)
class Choice:
    """One choice of what the paper leaves open."""

    name: str
    cutting: Cutting = TAUGHT
    mask_size: int = MASK_SIZE


@dataclass(frozen=True)
class Passage:
    """The result for a study.

    Attributes
    ----------
    truth
        Labelled pixels [types, Z].
    told, shared
        For each step the pixels of the answer, and those of them that are true, [types, Z].
    pieces, anchored, asked
        Pieces of each type [types]; those with a positive anchor; those that still have one after the sampling.
    most_pieces, most_listed
        The most pieces on a slice before the limit, and the most detections of a chunk before its limit.
    """

    truth: Counts
    told: dict[Stage, Counts]
    shared: dict[Stage, Counts]
    pieces: Counts
    anchored: Counts
    asked: Counts
    most_pieces: int
    most_listed: int


@dataclass(frozen=True)
class _Slice:
    """The pieces of one slice after a step: boxes [G, 4] and labels [G], most blood first, and their blood [G] px."""

    boxes: Boxes
    kinds: NDArray[np.int32]
    areas: NDArray[np.int64]

    def only(self, chosen: NDArray[np.bool_ | np.intp] | slice) -> _Slice:
        return _Slice(self.boxes[chosen], self.kinds[chosen], self.areas[chosen])


def follow(labels: Labels, choices: list[Choice], rng: np.random.Generator) -> list[Passage]:
    """Return the passages of a study's labels [Z, 512, 512] by each choice; `rng` draws the samples of anchors.

    Choices that differ only in the mask share the rest of the way.

    Raises
    ------
    ValueError
        If the slices are not of the contract's grid.
    """
    if labels.shape[1:] != (MATRIX, MATRIX):
        raise ValueError(f"slices of {labels.shape[1:]} pixels, the network reads {MATRIX} x {MATRIX}")
    ways: dict[Cutting, tuple[Passage, dict[int, _Slice]]] = {}
    passages = []
    for choice in choices:
        if choice.cutting not in ways:
            ways[choice.cutting] = _boxes_passed(labels, choice.cutting, rng)
        way, listed = ways[choice.cutting]
        told, shared = dict(way.told), dict(way.shared)
        for step in (Stage.MASK, Stage.SURE):
            told[step], shared[step] = _answer(labels, listed, choice.mask_size, sure=step is Stage.SURE)
        passages.append(replace(way, told=told, shared=shared))
    return passages


def _boxes_passed(labels: Labels, cutting: Cutting, rng: np.random.Generator) -> tuple[Passage, dict[int, _Slice]]:
    """Return the passage up to the mask, and the detections of each slice that has any."""
    bleeding = [int(z) for z in np.flatnonzero(labels.any(axis=(1, 2)))]
    counts = np.zeros((3, len(TYPES)), np.int64)
    after: dict[Stage, dict[int, _Slice]] = {step: {} for step in Stage if step not in (Stage.MASK, Stage.SURE)}
    unlimited = replace(cutting, most=MATRIX**2)
    for z in bleeding:
        boxes, kinds = pieces(labels[z], unlimited)
        cut = _Slice(boxes, kinds, np.array([_blood(labels[z], *one).sum() for one in zip(boxes, kinds, strict=True)]))
        after[Stage.CUT][z] = cut
        after[Stage.PIECES][z] = taught = cut.only(slice(cutting.most))
        proposed, at = _propose(taught, rng, counts)
        # The classifier's offsets start from the proposal and are clipped alike.
        target = taught.only(at).boxes
        refined = decode(encode(target, proposed.boxes), proposed.boxes)
        after[Stage.BOXES][z] = _Slice(refined, proposed.kinds, proposed.areas)
        keep = np.flatnonzero(suppress(proposed.boxes[:PROPOSALS_PER_SLICE], PROPOSAL_OVERLAP))[:PROPOSALS_KEPT]
        after[Stage.PROPOSALS][z] = judged = after[Stage.BOXES][z].only(keep)
        # Types do not suppress one another.
        apart = judged.boxes + np.float32(2 * MATRIX) * judged.kinds[:, None].astype(np.float32)
        after[Stage.DETECTIONS][z] = judged.only(suppress(apart, DETECTION_OVERLAP))
    after[Stage.CHUNK], most_listed = _list_detections(after[Stage.DETECTIONS], len(labels))
    covered = {step: _count_covered(labels, slices) for step, slices in after.items()}
    passage = Passage(
        truth=np.stack([np.count_nonzero(labels == kind.label, axis=(1, 2)) for kind in TYPES]),
        told=covered,
        shared=covered,
        pieces=counts[0],
        anchored=counts[1],
        asked=counts[2],
        most_pieces=max((len(one.boxes) for one in after[Stage.CUT].values()), default=0),
        most_listed=most_listed,
    )
    return passage, after[Stage.CHUNK]


def _propose(taught: _Slice, rng: np.random.Generator, counts: Counts) -> tuple[_Slice, NDArray[np.intp]]:
    """Return what the positive anchors of a slice propose, one box a piece, and the pieces they are for.

    Of several anchors of a piece the first stands for it. `counts` [3, types] is raised by the pieces, by those with a
    positive anchor, and by those with one that the sampling left.
    """
    anchors = anchor_boxes(MATRIX)
    sampled, moved = anchor_targets(anchors, taught.boxes, rng)
    positive = np.flatnonzero(moved.any(axis=1))
    boxes, found = np.zeros_like(taught.boxes), np.zeros(len(taught.boxes), bool)
    for piece, (box, kind) in enumerate(zip(taught.boxes, taught.kinds, strict=True)):
        of_piece = positive[(moved[positive] == box).all(axis=1)]
        counts[:, kind - 1] += [1, len(of_piece) > 0, (sampled[of_piece] == 1).any()]
        if len(of_piece):
            anchor = anchors[of_piece[:1]]
            boxes[piece] = decode(encode(box[None], anchor), anchor)[0]
            found[piece] = True
    return _Slice(boxes, taught.kinds, taught.areas).only(found), np.flatnonzero(found)


def _list_detections(found: dict[int, _Slice], depth: int) -> tuple[dict[int, _Slice], int]:
    """Return the detections of each slice that the lists of a study's chunks hold, and the most a chunk had to list."""
    listed: dict[int, _Slice] = {}
    most = 0
    for number, index in enumerate(chunks(depth)):
        first = int(index[CONTEXT_SLICES])
        here = [(z, found[z]) for z in range(first, first + CHUNK_SLICES) if z in found]
        areas = np.concatenate([np.zeros(0, np.int64), *(one.areas for _, one in here)])
        most = max(most, len(areas))
        chosen = np.zeros(len(areas), bool)
        chosen[np.argsort(-areas, kind="stable")[:MAX_DETECTIONS]] = True
        start = 0
        for z, one in here:
            if z >= number * CHUNK_SLICES:
                listed[z] = one.only(chosen[start : start + len(one.areas)])
            start += len(one.areas)
    return listed, most


def _window(box: NDArray[np.float32]) -> tuple[slice, slice]:
    """Return the pixels whose centre lies in a box."""
    window, _ = paste(Box(*map(float, box)), np.ones((1, 1), np.float32), (MATRIX, MATRIX))
    return window


def _blood(plane: Labels, box: NDArray[np.float32], kind: np.int32) -> NDArray[np.bool_]:
    """Return the blood of a type in a box."""
    return np.asarray(plane[_window(box)] == kind)


def _count_covered(labels: Labels, slices: dict[int, _Slice]) -> Counts:
    """Return the pixels [types, Z] of true blood that lie in a box of their type."""
    count = np.zeros((len(TYPES), len(labels)), np.int64)
    for z, one in slices.items():
        for kind in TYPES:
            inside = np.zeros((MATRIX, MATRIX), bool)
            for box in one.boxes[one.kinds == kind.label]:
                inside[_window(box)] = True
            count[kind.label - 1, z] = np.count_nonzero(inside & (labels[z] == kind.label))
    return count


def _answer(labels: Labels, slices: dict[int, _Slice], mask_size: int, *, sure: bool) -> tuple[Counts, Counts]:
    """Return the pixels [types, Z] that pasted masks make blood, and those of them that are.

    Where types claim a pixel the more probable one gets it, as in the service.
    """
    told, shared = np.zeros((2, len(TYPES), len(labels)), np.int64)
    for z, one in slices.items():
        answer, claim = np.zeros((MATRIX, MATRIX), np.uint8), np.full((MATRIX, MATRIX), -1, np.float32)
        for box, kind in zip(one.boxes, one.kinds, strict=True):
            place = Box(*map(float, box))
            mask = cells((labels[z] == kind).astype(np.float32), place, mask_size)
            if sure:
                mask = np.round(mask)
            window, probability = paste(place, mask, (MATRIX, MATRIX))
            wins = blood(probability) & (probability > claim[window])
            claim[window][wins] = probability[wins]
            answer[window][wins] = kind
        for kind in TYPES:
            of_kind = answer == kind.label
            told[kind.label - 1, z] = np.count_nonzero(of_kind)
            shared[kind.label - 1, z] = np.count_nonzero(of_kind & (labels[z] == kind.label))
    return told, shared
