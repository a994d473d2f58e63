# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A look at the images themselves: what the series classifier takes each candidate stack for.

If the header rules leave a stack's place open, a few of its slices are fetched, made into thumbnails and shown to the
classifier. Its answer is one more piece of evidence for `rules`. Nothing waits for it: a stack that cannot be read, or
that there is no time for, is judged by its header alone, and so are all stacks when the classifier does not answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from appliance.errors import RefusalCode, RefusedError
from appliance.imaging.pixels import hounsfield
from appliance.imaging.stacks import Stack
from appliance.reading.series import CLASSES, FRACTIONS, MOST_SERIES, SeriesClass, shown_slices, thumbnail

BUDGET_S: Final = 0.15
"""After this no further stack of a study is looked at, s."""

LIFTED: Final = frozenset({RefusalCode.NOT_SOFT_TISSUE, RefusalCode.CONTRAST})
"""The refusals that a look may overrule: those that rest on words. Geometry and Image Type are the scanner's own."""


class Classifier(Protocol):
    """Recognises series by their thumbnails."""

    def is_there(self) -> bool:
        """Return whether making thumbnails is worthwhile; quick, and never raises."""
        ...

    def classify(self, thumbnails: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """Return probabilities [N, classes] for [N, *INPUT_SHAPE], None where there is no answer."""
        ...


@dataclass(frozen=True)
class Look:
    """What a stack's images look like: the likeliest class, and how likely."""

    series_class: SeriesClass
    probability: float


@dataclass(frozen=True)
class Candidate:
    """A stack and the refusal that the header rules have for it, None where they have none."""

    stack: Stack
    refused: RefusalCode | None


def look_at(
    candidates: Iterable[Candidate],
    fetch: Callable[[str], bytes],
    classifier: Classifier,
    clock: Callable[[], float] = time.monotonic,
) -> Mapping[Stack, Look]:
    """Return what the classifier says of the stacks of one study, without those that it says nothing of.

    Parameters
    ----------
    candidates: the stacks as the header rules rank them, best first.
    fetch: returns the file of an instance's `ref`; its errors other than refusals are passed on.
    """
    if not classifier.is_there():
        return {}
    begun = clock()
    seen: list[Stack] = []
    shown: list[NDArray[np.uint8]] = []
    for candidate in candidates:
        if len(seen) == MOST_SERIES or clock() - begun > BUDGET_S:
            break
        if not _is_open(candidate):
            continue
        try:
            thumbnails = _thumbnails(candidate.stack, fetch)
        except RefusedError:  # reading the stack will meet it again and report it
            continue
        seen.append(candidate.stack)
        shown.append(thumbnails)
    if not seen:
        return {}
    probabilities = classifier.classify(np.stack(shown))
    if probabilities is None:
        return {}
    return {
        stack: Look(CLASSES[int(np.argmax(row))], float(np.max(row)))
        for stack, row in zip(seen, probabilities, strict=True)
    }


def _is_open(candidate: Candidate) -> bool:
    """Return whether a look can change anything about a stack."""
    stack = candidate.stack
    return (
        stack.refusal is None
        and stack.geometry is not None
        and len(stack.instances) >= len(FRACTIONS)
        and (candidate.refused is None or candidate.refused in LIFTED)
    )


def _thumbnails(stack: Stack, fetch: Callable[[str], bytes]) -> NDArray[np.uint8]:
    """Return the thumbnails [*INPUT_SHAPE] of a stack's slices as stored. Raises `RefusedError` for bad pixels."""
    shown = (stack.instances[index] for index in shown_slices(len(stack.instances)))
    return np.stack([thumbnail(hounsfield(fetch(instance.ref), instance)) for instance in shown])
