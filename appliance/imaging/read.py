# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""From a stack to a `Volume`: the pixels of its slices in HU, turned to the contract's orientation.

Only one file is in memory at a time, and the volume is allocated once, so a study of 320 slices takes just its 160 MiB.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from appliance.errors import Refusal, RefusalCode, RefusedError
from appliance.imaging.pixels import hounsfield
from appliance.imaging.stacks import Stack
from appliance.imaging.volume import Volume


def read_volume(stack: Stack, fetch: Callable[[str], bytes]) -> Volume:
    """Return the stack's volume, on the source's own matrix.

    `fetch` returns the file of an instance's `ref`; its errors are passed on. Gaps are checked elsewhere
    (`stack.complete`).

    Raises `RefusedError`: the stack's own refusal, BAD_PIXELS or NO_RESCALE of an image, and DUPLICATE_POSITION when
    two images at one position differ.
    """
    if stack.refusal is not None:
        raise RefusedError(stack.refusal)
    geometry = stack.geometry
    if geometry is None:
        raise RefusedError(Refusal(RefusalCode.NO_POSITION, "the images have no position", stack.series_uid))

    turn = geometry.turn
    hu = np.empty((len(stack.instances), *geometry.contract_matrix), np.int16)
    for z, instance in enumerate(stack.instances):
        hu[z] = turn.to_contract(hounsfield(fetch(instance.ref), instance))
    for z, copy in stack.copies:
        if not np.array_equal(hu[z], turn.to_contract(hounsfield(fetch(copy.ref), copy))):
            raise RefusedError(
                Refusal(
                    RefusalCode.DUPLICATE_POSITION,
                    f"images {stack.instances[z].uid} and {copy.uid} stand at one position and differ",
                    stack.series_uid,
                )
            )
    return Volume(
        hu,
        geometry.contract_spacing_mm,
        geometry.positions_mm,
        turn,
        tuple(instance.header for instance in stack.instances),
    )
