# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What the network, its training, its conversion and the service agree on, in one place.

It imports nothing but numpy, so that `training/` and `conversion/` can import it without the service. It holds
the names, shapes and units at the border of the exported detector, the preprocessing constants of the paper
(Chang et al., AJNR 2018, "Image Preprocessing" and "Implementation") and the fixed counts of the static graph.
The exported model carries `metadata()` in its ONNX metadata; clients compare it with this file when they load a model.

A *chunk* is what one call reads: `CHUNK_SLICES` target slices with `CONTEXT_SLICES` more at each end, ordered
foot to head, turned to nose-up with the patient's right on the image's left, resized in-plane to 512 x 512, in HU.
Everything else (sanitising, clipping, scaling, network, non-maximum suppression, masks) is inside the graph.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

CONTRACT_VERSION: Final = 1

DETECTOR: Final = "hemorrhage_detector"
"""The detector's name in Triton's model repository."""


class HemorrhageType(StrEnum):
    """The three types the paper reads; the values stand in files and in `result.json`."""

    IPH = "iph"
    EDH_SDH = "edh_sdh"
    SAH = "sah"

    @property
    def label(self) -> int:
        """The voxel value of this type in label volumes (0 is no blood)."""
        return TYPES.index(self) + 1

    @property
    def display(self) -> str:
        """The name people read."""
        return {"iph": "IPH", "edh_sdh": "EDH/SDH", "sah": "SAH"}[self.value]


TYPES: Final = (HemorrhageType.IPH, HemorrhageType.EDH_SDH, HemorrhageType.SAH)
"""The order of the class scores, and of the label values 1, 2, 3."""


class SizeClass(StrEnum):
    """The size classes of hemorrhages in the paper (Table 1, footnote a); the lower edge belongs to the class."""

    LARGE = "large"
    """25 mL and more."""
    MEDIUM = "medium"
    """From 5 mL."""
    SMALL = "small"
    """From 0.01 mL."""
    PUNCTATE = "punctate"
    """Less than 0.01 mL."""

    @classmethod
    def of(cls, volume_ml: float) -> SizeClass:
        """Return the class of a volume in mL."""
        edges_ml = {cls.LARGE: 25.0, cls.MEDIUM: 5.0, cls.SMALL: 0.01}
        return next((size for size, edge in edges_ml.items() if volume_ml >= edge), cls.PUNCTATE)


# In-plane grid and slab ("a 3D input matrix of 5 x 512 x 512 is mapped to 2D output feature maps").
MATRIX: Final = 512
SLAB_SLICES: Final = 5
CONTEXT_SLICES: Final = SLAB_SLICES // 2
CHUNK_SLICES: Final = 16
CHUNK_INPUT_SLICES: Final = CHUNK_SLICES + 2 * CONTEXT_SLICES

# "all matrix values less than -240 HU or greater than 240 HU were clipped, and ... rescaled to [-3, 3]"
CLIP_HU: Final = 240.0
SCALED_RANGE: Final = 3.0
# The client clips to this before it converts to the model's dtype: every integer up to 2048 is exact in FP16.
WIRE_CLIP_HU: Final = 1024
BRIGHTEST_CLOT_HU: Final = 100.0
"""No clot is brighter: acute ones measure 46 to 78 HU (docs/sources.md), packed cells 80 to 90, and a tenth of a voxel
of bone adds as much again. Labels are drawn, and masks cut, by this bound."""

# Anchors ("4 scales (128, 64, 32, 16) and 3 aspect ratios (1:1, 1:2, 2:1)"), one scale a pyramid level.
ANCHOR_SIZES_PX: Final = (16, 32, 64, 128)
ANCHOR_ASPECTS: Final = (1.0, 0.5, 2.0)  # height / width
ANCHOR_STRIDES_PX: Final = (4, 8, 16, 32)

# "the top 256 proposals ... are pruned using nonmaximum suppression"
PROPOSALS_PER_SLICE: Final = 256
PROPOSAL_OVERLAP: Final = 0.6
# Of the survivors the best go on to the classifier: a static graph needs a fixed count.
PROPOSALS_KEPT: Final = 48
# Detections of one slice and type that overlap by more are one.
DETECTION_OVERLAP: Final = 0.4
# Fixed counts of the static graph, a chunk: lists are padded to these, with a count beside them.
MAX_DETECTIONS: Final = 128
MAX_DISMISSED: Final = 128
# Detections below this score are never handed out; the site's threshold is applied by the client and lies above.
SCORE_FLOOR: Final = 0.05
# What a site has when it sets nothing else (`finding.extend_score`, `finding.join_mm`), and what validation goes by:
# the score from which a detection extends a lesion of a surer one, and the distance within which pieces are one lesion.
EXTEND_SCORE: Final = 0.5
JOIN_MM: Final = 10.0
MASK_SIZE: Final = 56

INPUT: Final = "hu"


@dataclass(frozen=True)
class Output:
    """One output tensor of the detector: its dtype, shape and meaning. Every output is padded to its shape."""

    name: str
    dtype: type[np.generic]
    shape: tuple[int, ...]
    meaning: str


OUTPUTS: Final = (
    Output("detection_count", np.int32, (1,), "how many detections of the chunk are real; the rest is padding"),
    Output(
        "detection_slice",
        np.int32,
        (MAX_DETECTIONS,),
        "the target slice of each detection, 0 .. CHUNK_SLICES - 1, by falling highest class score",
    ),
    Output(
        "detection_box",
        np.float32,
        (MAX_DETECTIONS, 4),
        "y1, x1, y2, x2 in pixels of the 512 x 512 grid, edges (0 .. 512), y2 and x2 exclusive",
    ),
    Output(
        "detection_score",
        np.float32,
        (MAX_DETECTIONS, len(TYPES)),
        "softmax scores of IPH, EDH/SDH, SAH; what is missing to 1 is 'no hemorrhage'",
    ),
    Output(
        "detection_mask",
        np.float32,
        (MAX_DETECTIONS, MASK_SIZE, MASK_SIZE),
        "probability of blood of the detection's best type, on a regular grid of cells filling the box",
    ),
    Output("dismissed_count", np.int32, (1,), "how many dismissed proposals of the chunk are real"),
    Output("dismissed_slice", np.int32, (MAX_DISMISSED,), "the target slice of each dismissed proposal"),
    Output("dismissed_box", np.float32, (MAX_DISMISSED, 4), "as detection_box"),
    Output(
        "dismissed_score",
        np.float32,
        (MAX_DISMISSED, len(TYPES)),
        "as detection_score: looked at (by falling objectness) and dismissed, no class reached the floor",
    ),
)

INPUT_SHAPE: Final = (CHUNK_INPUT_SLICES, MATRIX, MATRIX)

# What Triton's model configuration (`parameters` of config.pbtxt, string values) tells a client on any machine:
# every pair of `metadata()`, and these.
PARAMETER_MODEL_VERSION: Final = "model_version"
PARAMETER_ONNX_SHA256: Final = "onnx_sha256"
PARAMETER_THRESHOLD: Final = "suggested_threshold"
PARAMETER_GOLDEN: Final = "golden"
"""`golden.golden_summary` of the outputs that ONNX Runtime computed from `golden.golden_chunk` at conversion."""


def scale_hu(hu: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return HU values of any shape clipped to +-240 HU and scaled to [-3, 3] (paper, "Image Preprocessing").

    The exported graph does this itself; training and the tests' reference use this function.
    """
    clipped = np.clip(np.nan_to_num(np.asarray(hu, np.float32)), -CLIP_HU, CLIP_HU)
    return (clipped * np.float32(SCALED_RANGE / CLIP_HU)).astype(np.float32)


def chunks(slices: int) -> list[NDArray[np.intp]]:
    """Return for each chunk of a study of `slices` slices the indices of its `CHUNK_INPUT_SLICES` input slices.

    Chunk c answers for the slices from `c * CHUNK_SLICES` on; its first target is its index `CONTEXT_SLICES`. The last
    chunk starts earlier where slices are left over, and tells nothing of the targets that the chunk before it told:
    copies of the top slice as targets would crowd that slice's own detections out of the chunk's list. Indices beyond
    either end repeat the end slice (edge padding, facts of the shared-feature form); in a study shorter than a chunk,
    targets past the last slice are padding whose detections are dropped.
    """
    if slices < 1:
        raise ValueError(f"a study has at least one slice, not {slices}")
    latest = max(0, slices - CHUNK_SLICES)
    starts = [min(start, latest) for start in range(0, slices, CHUNK_SLICES)]
    offsets = np.arange(-CONTEXT_SLICES, CHUNK_SLICES + CONTEXT_SLICES)
    return [np.clip(start + offsets, 0, slices - 1) for start in starts]


def metadata() -> dict[str, str]:
    """Return what the exported model says of its contract, as the strings of ONNX's metadata_props."""
    return {
        "contract_version": str(CONTRACT_VERSION),
        "types": ",".join(TYPES),
        "chunk_slices": str(CHUNK_SLICES),
        "context_slices": str(CONTEXT_SLICES),
        "matrix": str(MATRIX),
        "clip_hu": repr(CLIP_HU),
        "scaled_range": repr(SCALED_RANGE),
        "anchor_sizes_px": ",".join(map(str, ANCHOR_SIZES_PX)),
        "anchor_aspects": ",".join(map(str, ANCHOR_ASPECTS)),
        "score_floor": repr(SCORE_FLOOR),
        "mask_size": str(MASK_SIZE),
        "orientation": "slices foot to head, rows to posterior, columns to the patient's left",
    }


def output_fault(outputs: Mapping[str, NDArray[Any]]) -> str | None:
    """Say what makes these not the outputs of a detector of this contract (see `OUTPUTS`), None when nothing does."""
    for output in OUTPUTS:
        value = outputs.get(output.name)
        if value is None:
            return f"output {output.name} is missing"
        if value.shape != output.shape:
            return f"output {output.name} has shape {list(value.shape)}, not {list(output.shape)}"
        if not np.isfinite(value).all():
            return f"output {output.name} holds values that are not finite"
    for kind, most in (("detection", MAX_DETECTIONS), ("dismissed", MAX_DISMISSED)):
        count = int(outputs[f"{kind}_count"][0])
        if not 0 <= count <= most:
            return f"{kind}_count is {count}, not 0 to {most}"
        slices = outputs[f"{kind}_slice"][:count]
        if ((slices < 0) | (slices >= CHUNK_SLICES)).any():
            return f"{kind}_slice leaves 0 to {CHUNK_SLICES - 1}"
        boxes = outputs[f"{kind}_box"][:count]
        if ((boxes < 0) | (boxes > MATRIX)).any() or (boxes[:, 2:] < boxes[:, :2]).any():
            return f"{kind}_box holds boxes that leave the grid or are turned inside out"
        scores = outputs[f"{kind}_score"][:count]
        if ((scores < 0) | (scores > 1)).any():
            return f"{kind}_score leaves 0 to 1"
    return None
