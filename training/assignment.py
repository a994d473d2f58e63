# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Which anchor learns which piece of blood: the targets of the region-proposal network.

An anchor is positive from an overlap of 0.5 on, negative below 0.3, and not used in between. Every piece also gets the
anchors that overlap it best, however little: no anchor overlaps a 3 px lesion by half. One of them is the piece's own:
neither a neighbour that the same anchor fits best nor the sampling can take it away.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from appliance.reading.boxes import overlaps

POSITIVE_OVERLAP: Final = 0.5
NEGATIVE_OVERLAP: Final = 0.3
SAMPLED: Final = 256
POSITIVE_SHARE: Final = 0.25  # "a ratio of positive-to-negative samples fixed at 1:3"


def anchor_targets(
    anchors: NDArray[np.float32], boxes: NDArray[np.float32], rng: np.random.Generator
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return what one slice's anchors [A, 4] should say, given its pieces [G, 4].

    Returns labels int8 [A] (1 positive, 0 negative, -1 not used), of which at most `SAMPLED` are used with at most a
    quarter positive, and the box [A, 4] to which each positive anchor should move (zeros elsewhere).
    """
    labels = np.zeros(len(anchors), np.int8)
    targets = np.zeros_like(anchors)
    own = np.zeros(0, np.intp)
    if len(boxes):
        overlap = overlaps(boxes, anchors).T  # anchors, the many, lie contiguous
        best = overlap.max(axis=1)
        matched = overlap.argmax(axis=1)
        labels[best >= NEGATIVE_OVERLAP] = -1
        labels[best >= POSITIVE_OVERLAP] = 1
        anchor, piece = np.nonzero((overlap >= overlap.max(axis=0) - 1e-4) & (overlap > 0))
        labels[anchor], matched[anchor] = 1, piece
        own = _own_anchors(overlap)
        labels[own], matched[own] = 1, np.arange(len(boxes))
        targets[labels == 1] = boxes[matched[labels == 1]]
    positive = np.flatnonzero(labels == 1)
    most = max(int(SAMPLED * POSITIVE_SHARE), len(own))
    if len(positive) > most:
        spare = np.setdiff1d(positive, own)
        labels[rng.choice(spare, len(positive) - most, replace=False)] = -1
    negative = np.flatnonzero(labels == 0)
    wanted = SAMPLED - min(len(positive), most)
    if len(negative) > wanted:
        labels[negative] = -1
        labels[rng.choice(negative, wanted, replace=False)] = 0
    return labels, targets


def _own_anchors(overlap: NDArray[np.float32]) -> NDArray[np.intp]:
    """Return for each piece [G] its own anchor, by the overlaps [A, G]: the best one that is not taken.

    The piece with the worst overlaps chooses first, because it has the fewest alternatives.
    """
    own = np.full(overlap.shape[1], -1, np.intp)
    free = overlap.copy(order="K")
    for piece in np.argsort(overlap.max(axis=0), kind="stable"):
        own[piece] = free[:, piece].argmax()
        free[own[piece]] = -1
    return own
