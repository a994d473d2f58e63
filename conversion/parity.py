# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Whether an exported detector says what the trained one says: the same detections, box by box and mask by mask.

Two runtimes add floating-point numbers in different orders, so detections of almost the same score may swap places;
they are compared in pairs of one slice, nearest boxes first. A detection without a partner is allowed only if its score
is at the floor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from appliance.reading.contract import CLIP_HU, INPUT_SHAPE, SCORE_FLOOR

Outputs = Mapping[str, NDArray[np.generic]]

MAX_BOX_PX: Final = 0.02
MAX_SCORE: Final = 5e-4
MAX_MASK: Final = 5e-3


@dataclass(frozen=True)
class Difference:
    """How far two answers to one chunk are apart, over the detections and the dismissed proposals.

    Attributes
    ----------
    detections
        How many the reference has.
    unpaired
        Detections of either that the other lacks, without those at the score floor.
    box_px, score, mask
        The largest differences of paired detections.
    """

    chunk: str
    detections: int
    dismissed: int
    unpaired: int
    box_px: float
    score: float
    mask: float

    @property
    def small(self) -> bool:
        """Whether the two count as the same."""
        return self.unpaired == 0 and self.box_px <= MAX_BOX_PX and self.score <= MAX_SCORE and self.mask <= MAX_MASK

    def as_json(self) -> dict[str, Any]:
        """Return the figures as plain values."""
        return asdict(self) | {"small": self.small}


def difference(chunk: str, reference: Outputs, other: Outputs) -> Difference:
    """Return how far the answers `reference` and `other` to one chunk are apart."""
    counts = [int(out["detection_count"][0]) for out in (reference, other)]
    scores = [np.asarray(out["detection_score"][:n], float) for out, n in zip((reference, other), counts, strict=True)]
    cost = np.abs(
        np.asarray(reference["detection_box"][: counts[0], None], float)
        - np.asarray(other["detection_box"][None, : counts[1]], float)
    ).max(axis=-1, initial=0)
    cost += 10 * np.abs(scores[0][:, None] - scores[1][None]).max(axis=-1, initial=0)
    where = [np.asarray(out["detection_slice"][:n]) for out, n in zip((reference, other), counts, strict=True)]
    cost[where[0][:, None] != where[1][None]] = np.inf
    pairs: list[tuple[int, int]] = []
    while cost.size and np.isfinite(cost).any() and cost.min() < 1:
        i, j = np.unravel_index(int(cost.argmin()), cost.shape)
        pairs.append((int(i), int(j)))
        cost[i, :], cost[:, j] = np.inf, np.inf
    unpaired = 0
    for side, score in enumerate(scores):
        alone = np.setdiff1d(np.arange(len(score)), [pair[side] for pair in pairs])
        unpaired += int((score[alone].max(axis=1, initial=0) > SCORE_FLOOR + MAX_SCORE).sum())
    left, right = (np.array(side, int) for side in (zip(*pairs, strict=True) if pairs else ([], [])))

    def largest(name: str) -> float:
        a, b = np.asarray(reference[name], float)[left], np.asarray(other[name], float)[right]
        return float(np.abs(a - b).max(initial=0))

    return Difference(
        chunk,
        counts[0],
        int(reference["dismissed_count"][0]),
        unpaired,
        largest("detection_box"),
        largest("detection_score"),
        largest("detection_mask"),
    )


def differ_by_rounding(differences: Sequence[Difference]) -> bool:
    """Return whether chunks differ in nothing but which detections are kept: those that both answers have agree."""
    return all(replace(one, unpaired=0).small for one in differences)


def describe(differences: Sequence[Difference]) -> str:
    """Return what is wrong with an exported detector in a sentence, and what to do where that is known.

    Raises
    ------
    ValueError
        If nothing is wrong.
    """
    wrong = [one for one in differences if not one.small]
    if not wrong:
        raise ValueError("all chunks are answered the same")
    told = (
        f"{len(wrong)} of {len(differences)} chunks are answered differently ({', '.join(one.chunk for one in wrong)})"
    )
    if differ_by_rounding(differences):
        return (
            f"{told}, all of them only in which detections are kept: {sum(one.unpaired for one in wrong)} have no "
            "partner, the others agree. Where many proposals score alike, rounding decides which are kept, as in a "
            "network that has hardly been trained: train it longer"
        )
    values = ", ".join(
        f"{name} by {max(getattr(one, name) for one in wrong):.1e}" for name in ("box_px", "score", "mask")
    )
    return f"{told}: at most {values}"


def random_chunk(seed: int) -> NDArray[np.float32]:
    """Return a chunk of smooth random tissue with noise, and values no scanner gives (NaN, infinite, 1e38)."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(30, 30, (INPUT_SHAPE[0], 32, 32))
    hu = np.repeat(np.repeat(coarse, 16, axis=1), 16, axis=2) + rng.normal(0, 10, INPUT_SHAPE)
    hu[:, :40] = -1000
    hu[rng.integers(INPUT_SHAPE[0], size=4), 5, 5] = [np.nan, np.inf, -np.inf, 1e38]
    hu[:, 200:204, 100:300] = CLIP_HU
    return hu.astype(np.float32)
