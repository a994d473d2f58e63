# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Whether a volume can be a head in HU: the last look before the network, at the pixels themselves.

The network answers whatever it is given. A series whose values are not HU, that is blank, or that shows another part
of the body must not get a confident answer, however well its header describes a head. The limits are wide: they are
there for what is certainly wrong, and infants, big skulls and bandages pass.
"""

from __future__ import annotations

import numpy as np

from appliance.errors import Refusal, RefusalCode, RefusedError
from appliance.imaging.volume import Volume

# Shares of the voxels.
_LEAST_AIR = 0.002
_LEAST_SOFT_TISSUE = 0.01
_AIR_BELOW_HU = -500
_SOFT_TISSUE_HU = (-20, 120)
# Area of what is denser than fat in the slice that has most of it. A newborn's head has about 80 cm2, an adult's up to
# 300 cm2 with ears and pillow; a trunk has 500 cm2 and more.
_HEAD_AREA_CM2 = (25.0, 450.0)
_BODY_ABOVE_HU = -200
_STEP = 4


def check(volume: Volume) -> None:
    """Accept the volume, or raise `RefusedError`: IMPLAUSIBLE_HU or NOT_HEAD with the figures that say why."""

    def refused(code: RefusalCode, reason: str) -> RefusedError:
        return RefusedError(Refusal(code, reason, volume.series_uid))

    # Every fourth pixel of every fourth row shows all of this as well.
    sparse = volume.hu[:, ::_STEP, ::_STEP]
    blank = [index for index, plane in enumerate(sparse) if plane.min() == plane.max()]
    if len(blank) == volume.slices:
        raise refused(RefusalCode.IMPLAUSIBLE_HU, "every image has one value throughout")
    shown = [index for index in range(volume.slices) if index not in set(blank)]
    inside = [index for index in blank if shown[0] < index < shown[-1]]
    if inside:
        raise refused(
            RefusalCode.IMPLAUSIBLE_HU,
            f"image {volume.instance_uids[inside[0]]} between other slices has one value throughout",
        )
    air = float(np.mean(sparse < _AIR_BELOW_HU))
    if air < _LEAST_AIR:
        raise refused(
            RefusalCode.IMPLAUSIBLE_HU, f"only {air:.1%} of the voxels are air: the values do not look like HU"
        )
    low, high = _SOFT_TISSUE_HU
    soft = float(np.mean((sparse >= low) & (sparse <= high)))
    if soft < _LEAST_SOFT_TISSUE:
        raise refused(RefusalCode.IMPLAUSIBLE_HU, f"only {soft:.1%} of the voxels are soft tissue ({low} to {high} HU)")
    pixel_cm2 = _STEP**2 * volume.pixel_spacing_mm[0] * volume.pixel_spacing_mm[1] / 100
    area = float(np.max(np.count_nonzero(sparse > _BODY_ABOVE_HU, axis=(1, 2)))) * pixel_cm2
    least, most = _HEAD_AREA_CM2
    if not least <= area <= most:
        raise refused(
            RefusalCode.NOT_HEAD, f"the largest slice shows {area:.0f} cm2 of body, a head {least:.0f} to {most:.0f}"
        )
