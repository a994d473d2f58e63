# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The rules by which a stack is, or is not, the axial soft-tissue series of a head before contrast.

Each rule looks at one thing and returns `Evidence`: points and a sentence for people. What the scanner measured or
computed (planes, spacing, extent, field of view, kernel, window) counts most; what a person typed counts one point, so
that no description outvotes the geometry. Only the part of the body is not decided by the geometry: if the protocol
names another part, the series is no head, whatever its size. What the images look like to the series classifier is one
more piece of evidence. `select` turns evidence into a choice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from pydicom import Dataset

from appliance.imaging.body_part import Region, region
from appliance.imaging.contrast import contrast_given
from appliance.imaging.geometry import Geometry
from appliance.imaging.header import numbers, text, texts
from appliance.imaging.kernels import Sharpness, kernel
from appliance.imaging.parts import LONGEST_HEAD_MM
from appliance.imaging.stacks import Stack
from appliance.reading.series import SeriesClass
from appliance.selection.look import Look
from appliance.selection.words import Contrast, contrast, says_bone, says_projection


class Topic(StrEnum):
    """What a piece of evidence is about."""

    PLANES = "planes"
    SLICES = "slices"
    TISSUE = "tissue"
    KIND = "kind"
    HEAD = "head"
    CONTRAST = "contrast"


@dataclass(frozen=True)
class Evidence:
    """Points for (above 0) or against (below 0) a stack, and why.

    The points count once in the stack's score; `also` names further topics that they concern.
    """

    topic: Topic
    points: float
    reason: str
    also: tuple[Topic, ...] = ()

    def is_about(self, topic: Topic) -> bool:
        """Return whether it concerns a topic."""
        return topic is self.topic or topic in self.also


# The paper's studies have slices of 3 to 5 mm (Chang et al. 2018); 2.5 mm is usual too. Rounded outwards.
_BEST_SPACING_MM: Final = (2.2, 6.0)
_FINE_SPACING_MM: Final = 1.4
_COARSE_SPACING_MM: Final = 10.0
_HEAD_EXTENT_MM: Final = (100.0, LONGEST_HEAD_MM)
_HEAD_AND_NECK_MM: Final = 330.0
_HEAD_FIELD_MM: Final = (130.0, 320.0)
_TRUNK_FIELD_MM: Final = 400.0
_BRAIN_WINDOW_WIDTH: Final = (50.0, 450.0)
_BRAIN_WINDOW_CENTER: Final = (-10.0, 110.0)
_BONE_WINDOW_WIDTH: Final = 1200.0
_BONE_WINDOW_CENTER: Final = 250.0
_LUNG_WINDOW_CENTER: Final = -300.0

COMPUTED_WORDS: Final = (
    {"MIP", "MAXIP", "MINIP", "VRT", "SSD", "RENDERING", "SCREEN", "PERFUSION", "PARAMETRIC"}
    | {"CBF", "CBV", "RCBF", "RCBV", "MTT", "TTP", "TTD", "TMAX"}
    | {"SUBTRACTION", "SUBTRACTED", "IODINE"}
)
"""Image Type words of images that were computed from slices and are not slices in HU themselves."""
_REFORMAT_WORDS: Final = {"MPR", "REFORMATTED", "REFORMAT", "RESAMPLED", "CURVED"}


def image_type_words(header: Dataset) -> set[str]:
    """Return the words of the Image Type, in capitals."""
    return {word for value in texts(header, "ImageType") for word in value.upper().replace("_", " ").split()}


def planes(geometry: Geometry) -> Iterator[Evidence]:
    """Axial planes."""
    tilt = geometry.tilt_deg
    if geometry.orientation == "axial":
        yield Evidence(Topic.PLANES, 2, "axial planes" if tilt < 1 else f"axial planes, tilted by {tilt:.0f} degrees")
    else:
        yield Evidence(Topic.PLANES, -8, f"{geometry.orientation} planes, {tilt:.0f} degrees from axial")


def spacing(geometry: Geometry) -> Iterator[Evidence]:
    """2.5-5 mm over thin."""
    if len(geometry.positions_mm) < 2:
        return
    found = sorted({round(float(mm), 1) for mm in geometry.intervals_mm})
    shown = f"{found[0]:.1f} mm" if len(found) == 1 else f"{found[0]:.1f} to {found[-1]:.1f} mm"
    least, most = _BEST_SPACING_MM
    usual = geometry.spacing_mm
    if least <= usual <= most:
        yield Evidence(Topic.SLICES, 4, f"2.5-5 mm slices ({shown})")
    elif usual < _FINE_SPACING_MM:
        yield Evidence(Topic.SLICES, -1, f"thin slices ({shown})")
    elif usual < least:
        yield Evidence(Topic.SLICES, 1, f"slices a little thin ({shown})")
    elif usual <= _COARSE_SPACING_MM:
        yield Evidence(Topic.SLICES, 1, f"thick slices ({shown})")
    else:
        yield Evidence(Topic.SLICES, -4, f"slices far apart ({shown})")


def extent(geometry: Geometry) -> Iterator[Evidence]:
    """The slices cover a head, and not a whole body."""
    covered = f"{len(geometry.positions_mm)} slices cover {geometry.extent_mm:.0f} mm"
    least, most = _HEAD_EXTENT_MM
    if geometry.extent_mm < least:
        # This does not count against a head: slices may still arrive.
        yield Evidence(Topic.SLICES, -1, f"{covered}, only part of a head")
    elif geometry.extent_mm <= most:
        yield Evidence(Topic.HEAD, 2, f"{covered}, a head's extent")
    elif geometry.extent_mm <= _HEAD_AND_NECK_MM:
        yield Evidence(Topic.HEAD, 0.5, f"{covered}, as a head with the upper neck does")
    else:
        yield Evidence(Topic.HEAD, -3, f"{covered}, more than a head")


def field_of_view(geometry: Geometry) -> Iterator[Evidence]:
    """A head's field of view."""
    size = max(geometry.field_of_view_mm)
    least, most = _HEAD_FIELD_MM
    if size < least:
        yield Evidence(Topic.HEAD, -2, f"field of view of {size:.0f} mm shows part of a head only")
    elif size <= most:
        yield Evidence(Topic.HEAD, 2, f"field of view of {size:.0f} mm fits a head")
    elif size < _TRUNK_FIELD_MM:
        yield Evidence(Topic.HEAD, -1, f"field of view of {size:.0f} mm is wide for a head")
    else:
        yield Evidence(Topic.HEAD, -2, f"field of view of {size:.0f} mm fits a trunk")


def sharpness(header: Dataset) -> Iterator[Evidence]:
    """Soft-tissue over sharp kernels."""
    made_with = kernel(texts(header, "ConvolutionKernel"))
    if made_with.sharpness is Sharpness.SOFT:
        yield Evidence(Topic.TISSUE, 3, f"soft-tissue kernel {made_with.name}")
    elif made_with.sharpness is Sharpness.MEDIUM:
        yield Evidence(Topic.TISSUE, -1, f"kernel {made_with.name} between soft and sharp")
    elif made_with.sharpness is Sharpness.SHARP:
        yield Evidence(Topic.TISSUE, -8, f"sharp kernel {made_with.name}")


def window(header: Dataset) -> Iterator[Evidence]:
    """The window that the scanner proposes: brain over bone and lung."""
    centers, widths = numbers(header, "WindowCenter"), numbers(header, "WindowWidth")
    if not centers or not widths:
        return
    center, width = centers[0], widths[0]
    shown = f"{width:.0f}/{center:.0f}"
    if center <= _LUNG_WINDOW_CENTER:
        yield Evidence(Topic.TISSUE, -3, f"lung window {shown}")
    elif width >= _BONE_WINDOW_WIDTH or center >= _BONE_WINDOW_CENTER:
        yield Evidence(Topic.TISSUE, -3, f"bone window {shown}")
    elif (
        _BRAIN_WINDOW_WIDTH[0] <= width <= _BRAIN_WINDOW_WIDTH[1]
        and _BRAIN_WINDOW_CENTER[0] <= center <= _BRAIN_WINDOW_CENTER[1]
    ):
        yield Evidence(Topic.TISSUE, 1, f"brain window {shown}")


def image_kind(header: Dataset) -> Iterator[Evidence]:
    """Original reconstructions over images computed from them."""
    words = image_type_words(header)
    if computed := sorted(words & COMPUTED_WORDS):
        yield Evidence(Topic.KIND, -8, f"computed from other images ({computed[0]})")
    elif reformat := sorted(words & _REFORMAT_WORDS):
        yield Evidence(Topic.KIND, -3, f"reformat ({reformat[0]})")
    elif "DERIVED" in words:
        yield Evidence(Topic.KIND, -1, "derived images")
    elif "ORIGINAL" in words:
        yield Evidence(Topic.KIND, 1, "original images")


# More points than a head's size gives: millimetres do not outvote the name of another part of the body.
_ANOTHER_PART: Final = -8.0
_DISPUTED_PART: Final = -2.0


def part_of_the_body(header: Dataset) -> Iterator[Evidence]:
    """The part of the body that the header names: Body Part Examined, and the descriptions.

    Another part in Body Part Examined, or in two of the descriptions, decides, unless something names the head. A
    single description may come from another protocol, and words that disagree settle nothing: then the pixels decide
    (`imaging.check`).
    """
    protocol = region(text(header, "BodyPartExamined"))
    descriptions = [region(text(header, word)) for word in ("SeriesDescription", "ProtocolName", "StudyDescription")]
    described = descriptions[0] or descriptions[1]
    agreed = protocol is Region.OTHER or descriptions.count(Region.OTHER) > 1
    against = _ANOTHER_PART if agreed and Region.HEAD not in (protocol, *descriptions) else _DISPUTED_PART
    if protocol is Region.HEAD:
        yield Evidence(Topic.HEAD, 1, "body part is the head")
    elif protocol is Region.OTHER:
        yield Evidence(Topic.HEAD, against, "body part is not the head")
    if described is Region.HEAD:
        yield Evidence(Topic.HEAD, 1, "description names the head")
    elif described is Region.OTHER:
        yield Evidence(Topic.HEAD, against, "description names another part of the body")


def description(header: Dataset) -> Iterator[Evidence]:
    """What the description says of the reconstruction and of contrast agent."""
    words = text(header, "SeriesDescription")
    if says_bone(words):
        yield Evidence(Topic.TISSUE, -1, "description names bone or a sharp kernel")
    if says_projection(words):
        yield Evidence(Topic.KIND, -2, "description names a projection, rendering or map")
    said = contrast(words)
    if said is Contrast.WITH:
        yield Evidence(Topic.CONTRAST, -2, "description speaks of contrast agent")
    elif said is Contrast.WITHOUT:
        yield Evidence(Topic.CONTRAST, 1, "description says without contrast agent")


def contrast_agent(header: Dataset) -> Iterator[Evidence]:
    """Before contrast over after."""
    if contrast_given(header):
        yield Evidence(Topic.CONTRAST, -8, "contrast agent was given")


DYNAMIC_PASSES: Final = 4


def passes(stack: Stack) -> Iterator[Evidence]:
    """The first scan of the same slices over later ones; many are a perfusion study."""
    which = f"scan {stack.pass_number} of {stack.passes} of the same slices in this series"
    if stack.passes >= DYNAMIC_PASSES:
        yield Evidence(Topic.CONTRAST, -8, f"{which}: a dynamic study, with contrast agent")
    elif stack.pass_number > 1:
        yield Evidence(Topic.CONTRAST, -1, which)


_CLEAR: Final = 0.9
_LIKELY: Final = 0.6
# The topic of a class, its points when it is clear and when it is likely, and its words. If the header contradicts a
# clear look, neither refuses the stack alone: it can be read, but any other goes first. If the header is silent, a
# clear look refuses.
_APPEARANCES: Final = {
    SeriesClass.SOFT_TISSUE: (Topic.TISSUE, 4, 2, "axial soft tissue of a head without contrast agent"),
    SeriesClass.SHARP: (Topic.TISSUE, -6, -2, "a bone or lung kernel"),
    SeriesClass.CONTRAST: (Topic.CONTRAST, -5.5, -2, "a head with contrast agent"),
    SeriesClass.REFORMAT: (Topic.PLANES, -2.5, -1, "coronal or sagittal planes"),
    SeriesClass.SCOUT: (Topic.KIND, -4, -1, "a scout"),
    # Refuses what has a head's size when nothing calls it a head.
    SeriesClass.NOT_HEAD: (Topic.HEAD, -4, -1, "no head"),
}
# From these points on, words count so much against a series that a clear look at its soft tissue contradicts them. The
# look then makes up for them, and the series ranks like one that words and images support. A look makes up only for
# words (a kernel's name, a window, a contrast agent), never for planes, Image Type, repeated scans or the size of a
# head.
_CONTRADICTED: Final = -3.0
_AGREED: Final = 8.0
_WORDED: Final = (Topic.TISSUE, Topic.CONTRAST)


def appearance(look: Look, words: tuple[Evidence, ...]) -> Iterator[Evidence]:
    """What the images themselves look like to the series classifier; `words` is the evidence of the header."""
    if look.probability < _LIKELY:
        return
    clear = look.probability >= _CLEAR
    topic, clear_points, likely_points, what = _APPEARANCES[look.series_class]
    points = clear_points if clear else likely_points
    # Never "100 %": a network is not that sure.
    reason = f"the images look like {what} ({min(look.probability, 0.99):.0%})"
    if look.series_class is not SeriesClass.SOFT_TISSUE:
        yield Evidence(topic, points, reason)
        return
    said = sum(item.points for item in words if item.topic in _WORDED)
    if clear and said <= _CONTRADICTED:
        reason = f"{reason}, whatever the header says"
        yield Evidence(topic, _AGREED - said, reason, also=(Topic.CONTRAST,))
    else:
        yield Evidence(topic, points, reason)


_OF_GEOMETRY: Final = (planes, spacing, extent, field_of_view)
_OF_HEADER: Final = (sharpness, window, image_kind, part_of_the_body, description, contrast_agent)
# What the rules of the header ask.
_ASKED: Final = (
    "ConvolutionKernel",
    "WindowCenter",
    "WindowWidth",
    "ImageType",
    "BodyPartExamined",
    "SeriesDescription",
    "ProtocolName",
    "StudyDescription",
    "ContrastBolusAgent",
    "ContrastBolusAgentSequence",
    "ContrastBolusRoute",
    "ContrastBolusAdministrationRouteSequence",
    "ContrastBolusVolume",
    "ContrastBolusTotalDose",
    "ContrastAdministrationProfileSequence",
)


def of_headers(stack: Stack) -> Iterator[Evidence]:
    """The rules of the header, asked of every slice, as parts of several series or acquisitions may be one stack.

    Where slices disagree, the evidence most against the stack counts: slices with contrast agent, or computed ones, do
    not become a plain scan by the slices below them. For the part of the body, the evidence most for a head counts,
    because the lowest slices may be labelled a neck. What a single slice says beside others is left out.
    """
    headers: dict[tuple[str, ...], Dataset] = {}
    slices: Counter[tuple[str, ...]] = Counter()
    for instance in stack.instances:
        header = instance.header
        said = tuple(str(header.get(keyword, "")) for keyword in _ASKED)
        headers.setdefault(said, header)
        slices[said] += 1
    for rule in _OF_HEADER:
        yield from _of_slices(rule, headers, slices)


def _of_slices(
    rule: Callable[[Dataset], Iterator[Evidence]],
    headers: dict[tuple[str, ...], Dataset],
    slices: Counter[tuple[str, ...]],
) -> Iterator[Evidence]:
    """Yield what one rule finds, given a header for each way to say what is asked and how many slices say it."""
    found: Counter[tuple[Evidence, ...]] = Counter()
    for said, header in headers.items():
        found[tuple(rule(header))] += slices[said]
    often = {items: count for items, count in found.items() if count > 1} or dict(found.most_common(1))
    choose = max if rule is part_of_the_body else min
    chosen = choose(often, key=lambda items: (sum(item.points for item in items), [item.reason for item in items]))
    where = "" if len(often) == 1 else f" (on {often[chosen]} of {slices.total()} slices)"
    yield from (replace(item, reason=item.reason + where) for item in chosen)


def evidence(stack: Stack, look: Look | None = None) -> tuple[Evidence, ...]:
    """Return all evidence about a stack, including a look at its images; none when it has no geometry."""
    if stack.geometry is None:
        return ()
    geometry = stack.geometry
    words = tuple(of_headers(stack))
    return (
        *(found for rule in _OF_GEOMETRY for found in rule(geometry)),
        *words,
        *passes(stack),
        # Single images of a dynamic study look like those of any.
        *(() if look is None or stack.passes >= DYNAMIC_PASSES else appearance(look, words)),
    )
