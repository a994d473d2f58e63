# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Images of the study that were made as the stack's slices were and could not become slices of any.

They do not say where they lie, how their values become HU, or that they are CT images; or they are frames of an
enhanced CT, which this version does not read. As long as nothing tells that they lie elsewhere, or show something else,
any of them may go on where the stack ends. Within the stack's own series such an image refuses the stack
(`imaging.stacks`), unless it is labelled as something else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import CTImageStorage

from appliance.errors import RefusalCode
from appliance.imaging.body_part import Region, region
from appliance.imaging.geometry import Geometry
from appliance.imaging.header import integer, number, numbers, text, texts
from appliance.imaging.stacks import Stack

_PARALLEL: Final = float(np.cos(np.radians(40.0)))


def describe_unplaced(stack: Stack, study: Iterable[Stack]) -> Iterator[str]:
    """Yield a sentence for each series, and kind of fault, of images that may go on where a stack ends."""
    geometry = stack.geometry
    if geometry is None:
        return
    for other in study:
        if other.geometry is not None or other.refusal is None or other.refusal.code is RefusalCode.LOCALIZER:
            continue
        images = sum(_may_belong(instance.header, other.refusal.code, stack, geometry) for instance in other.instances)
        if images:
            what = "1 image" if images == 1 else f"{images} images"
            yield (
                f"{what} of series {other.series_uid} could not be read ({other.refusal.code.value}) and may belong "
                "to it"
            )


def _may_belong(header: Dataset, code: RefusalCode, stack: Stack, geometry: Geometry) -> bool:
    if code is RefusalCode.ENHANCED_CT:
        return _frames_go_beyond(header, geometry)
    if code is RefusalCode.NOT_CT:
        in_series = any(str(header.SeriesInstanceUID) == instance.series_uid for instance in stack.instances)
        if str(header.SOPClassUID) != CTImageStorage or not in_series:
            return False
    return _is_made_alike(header, stack.header) and _may_lie_beyond(header, geometry)


def _is_made_alike(one: Dataset, other: Dataset) -> bool:
    """Return whether nothing that an image says of its making contradicts what a slice says of its own."""
    if "SECONDARY" in (word.upper() for word in texts(one, "ImageType")[1:2]):
        return False
    if Region.OTHER in (region(text(one, keyword)) for keyword in ("BodyPartExamined", "SeriesDescription")):
        return False
    said = (
        *((integer(one, keyword), integer(other, keyword)) for keyword in ("Rows", "Columns")),
        (text(one, "ConvolutionKernel").upper(), text(other, "ConvolutionKernel").upper()),
        (_rounded(number(one, "SliceThickness")), _rounded(number(other, "SliceThickness"))),
    )
    return all(not here or not there or here == there for here, there in said)


def _rounded(mm: float | None) -> float | None:
    return None if mm is None else round(mm, 1)


def _may_lie_beyond(header: Dataset, geometry: Geometry) -> bool:
    """Return whether an image lies beyond the ends of a stack and in its planes, or does not say where."""
    if not _is_parallel(numbers(header, "ImageOrientationPatient"), geometry):
        return False
    origin = numbers(header, "ImagePositionPatient")
    return len(origin) != 3 or _is_beyond(np.array([origin]), geometry)


def _is_parallel(directions: tuple[float, ...], geometry: Geometry) -> bool:
    """Return whether six direction cosines, if they are some, lie in about the planes of a stack."""
    if len(directions) != 6:
        return True
    normal = np.cross(directions[:3], directions[3:])
    length = float(np.linalg.norm(normal))
    return length == 0 or abs(float(normal @ geometry.normal)) > _PARALLEL * length


def _frames_go_beyond(header: Dataset, geometry: Geometry) -> bool:
    """Return whether frames of an enhanced CT say that they lie beyond the ends of a stack."""
    if "SECONDARY" in (word.upper() for word in texts(header, "ImageType")[1:2]):
        return False
    origins = []
    for frame in header.get("PerFrameFunctionalGroupsSequence") or ():
        for place in frame.get("PlanePositionSequence") or ():
            origin = numbers(place, "ImagePositionPatient")
            if len(origin) == 3:
                origins.append(origin)
    return bool(origins) and _is_beyond(np.array(origins), geometry)


def _is_beyond(origins_mm: NDArray[np.float64], geometry: Geometry) -> bool:
    """Return whether any origin [N, 3] lies more than half a slice beyond the ends of a stack."""
    positions = origins_mm @ geometry.normal
    low, high = geometry.positions_mm[0], geometry.positions_mm[-1]
    return bool((np.maximum(low - positions, positions - high) > 0.5 * geometry.spacing_mm).any())
