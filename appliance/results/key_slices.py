# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Which slices a reader should be shown."""

from __future__ import annotations

from collections import Counter
from typing import Final

import numpy as np

from appliance.findings.finding import Finding
from appliance.imaging.volume import Volume
from appliance.inference.detections import Reading

NEGATIVE_SLICES: Final = 3
"""At most this many for a negative study: the slices that came closest to a hemorrhage."""


def key_slices(volume: Volume, reading: Reading, finding: Finding, most: int) -> list[int]:
    """Return the Z indices of the slices that matter, at most `most`, foot to head.

    With a hemorrhage: for each lesion, largest first, the slice with most of it; then the slices with most blood.
    Without: the slices with the highest scores below the threshold, or the middle one when there are none, so that a
    reader sees what was looked at.
    """
    if finding.lesions:
        voxels_on: Counter[int] = Counter()
        for lesion in finding.lesions:
            voxels_on.update(dict(zip(lesion.slices, lesion.voxels, strict=True)))
        wanted = [lesion.slices[int(np.argmax(lesion.voxels))] for lesion in finding.lesions]
        wanted += sorted(voxels_on, key=lambda z: (-voxels_on[z], z))
    else:
        most = min(most, NEGATIVE_SLICES)
        wanted = _by_score(volume, reading)
    return sorted(list(dict.fromkeys(wanted))[:most])


def closest_slice(volume: Volume, reading: Reading) -> int:
    """Return the Z index of the slice with the highest score, the middle one when there are no scores."""
    return _by_score(volume, reading)[0]


def _by_score(volume: Volume, reading: Reading) -> list[int]:
    """Return the Z indices of what scored, highest first, with repeats; the middle one when nothing did."""
    scored = [(one.score, one.slice_index) for one in reading.detections]
    scored += [(max(one.scores), one.slice_index) for one in reading.dismissed]
    return [index for _, index in sorted(scored, reverse=True)] or [volume.slices // 2]
