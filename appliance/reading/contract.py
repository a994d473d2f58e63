# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What the network, its training, its conversion and the service agree on, in one place.

It imports nothing but numpy, so that `training/` and `conversion/` can import it without the service. It holds
the names, shapes and units at the border of the exported detector, the preprocessing constants of the paper
(Chang et al., AJNR 2018, "Image Preprocessing" and "Implementation") and the fixed counts of the static graph.
The exported model carries `metadata()` in its ONNX metadata; who loads a model compares it with this file.

A *chunk* is what one call reads: `CHUNK_SLICES` target slices with `CONTEXT_SLICES` more at each end, ordered
foot to head, turned to nose-up with the patient's right on the image's left, resized in-plane to 512 x 512, in HU.
Everything else (sanitising, clipping, scaling, network, non-maximum suppression, masks) is inside the graph.
"""

from __future__ import annotations

import json
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

# Anchors ("4 scales (128, 64, 32, 16) and 3 aspect ratios (1:1, 1:2, 2:1)"), one scale a pyramid level.
ANCHOR_SIZES_PX: Final = (16, 32, 64, 128)
ANCHOR_ASPECTS: Final = (1.0, 0.5, 2.0)  # height / width
ANCHOR_STRIDES_PX: Final = (4, 8, 16, 32)

# "the top 256 proposals ... are pruned using nonmaximum suppression"
PROPOSALS_PER_SLICE: Final = 256
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
"""`golden_summary` of the outputs that ONNX Runtime computed from `golden_chunk` at conversion."""


def scaled(hu: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return HU values of any shape clipped to +-240 HU and scaled to [-3, 3] (paper, "Image Preprocessing").

    The exported graph does this itself; training and the tests' reference use this function.
    """
    clipped = np.clip(np.nan_to_num(np.asarray(hu, np.float32)), -CLIP_HU, CLIP_HU)
    return (clipped * np.float32(SCALED_RANGE / CLIP_HU)).astype(np.float32)


def chunks(slices: int) -> list[NDArray[np.intp]]:
    """Return for each chunk of a study of `slices` slices the indices of its `CHUNK_INPUT_SLICES` input slices.

    Chunk c tells of the slices from `c * CHUNK_SLICES` on; its first target is its index `CONTEXT_SLICES`. The last
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


def anchors() -> NDArray[np.float32]:
    """Return the anchor boxes [A, 4] as y1, x1, y2, x2 in pixels.

    Ordered by level (finest first), then row, column and aspect. A level's anchors have the area of its square and
    sit at the centres of its stride's cells.
    """
    levels = []
    for size, stride in zip(ANCHOR_SIZES_PX, ANCHOR_STRIDES_PX, strict=True):
        centres = (np.arange(MATRIX // stride) + 0.5) * stride
        y, x = np.meshgrid(centres, centres, indexing="ij")
        aspect = np.sqrt(np.asarray(ANCHOR_ASPECTS))
        half_h = 0.5 * size * aspect
        half_w = 0.5 * size / aspect
        y, x = y[..., None], x[..., None]
        levels.append(np.stack([y - half_h, x - half_w, y + half_h, x + half_w], axis=-1).reshape(-1, 4))
    return np.concatenate(levels).astype(np.float32)


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


GOLDEN_SCORE: Final = 0.5
"""Detections of the golden chunk from this score on are compared one by one."""
GOLDEN_DETECTIONS: Final = 8
"""At most this many of them, the strongest."""
GOLDEN_IOU: Final = 0.5
GOLDEN_AREA_RATIO: Final = 0.7


def golden_chunk() -> NDArray[np.int16]:
    """Return the golden input [`CHUNK_INPUT_SLICES`, 512, 512] in HU: a head-like phantom that bleeds.

    Scalp, skull, brain, ventricles and noise; a ball of acute blood deep on the patient's left and a crescent of it
    under the skull on the right. Integer arithmetic and a generator whose stream is frozen make it the same to the
    last bit on every machine, so that an answer recorded at conversion can be asked for anywhere.
    """
    z, y, x = np.ogrid[: INPUT_SHAPE[0], :MATRIX, :MATRIX]
    dz, dy, dx = z - 8, y - 256, x - 256

    def ellipse(half_y: int, half_x: int, *, centre_y: int = 0, centre_x: int = 0) -> NDArray[np.bool_]:
        """Voxels inside an ellipse whose half axes (px) shrink with the distance from slice 8."""
        shrink = 1000 - 2 * dz * dz
        return np.asarray(
            (1000 * half_x * (dy - centre_y)) ** 2 + (1000 * half_y * (dx - centre_x)) ** 2
            < (half_y * half_x * shrink) ** 2
        )

    hu = np.full(INPUT_SHAPE, -1000, np.int16)
    hu[ellipse(214, 172)] = 20
    hu[ellipse(204, 162)] = 950
    brain = ellipse(190, 148)
    hu[brain] = 33
    for side in (-1, 1):
        hu[ellipse(52, 13, centre_y=-10, centre_x=side * 24)] = 7
    ball = ((dy - 20) ** 2 + (dx - 78) ** 2 + (9 * (z - 7)) ** 2) < 36**2
    crescent = brain & ~ellipse(205, 148, centre_x=16) & (dx < 0) & (abs(dy) < 120) & (abs(z - 12) < 4)
    hu[ball | crescent] = 66
    noise = np.random.RandomState(2018).randint(-5, 6, size=(2, *INPUT_SHAPE), dtype=np.int16).sum(axis=0)
    noise += np.roll(noise, 1, axis=2)
    return np.asarray(hu + noise // 2, np.int16)


def _real(outputs: Mapping[str, NDArray[Any]], kind: str) -> int:
    return int(outputs[f"{kind}_count"][0])


def _slice_scores(outputs: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
    """Return the highest score of each type on each target slice [`CHUNK_SLICES`, 3], 0 without a detection."""
    count = _real(outputs, "detection")
    best = np.zeros((CHUNK_SLICES, len(TYPES)))
    np.maximum.at(best, outputs["detection_slice"][:count], outputs["detection_score"][:count])
    return best


def _lowest_told(outputs: Mapping[str, NDArray[Any]]) -> float:
    """Return the score below which a detection may have been cut off because the list was full."""
    if _real(outputs, "detection") < MAX_DETECTIONS:
        return SCORE_FLOOR
    return float(outputs["detection_score"].max(axis=1).min())


def _mask_area(box: NDArray[Any], mask: NDArray[Any]) -> float:
    """Return the blood that a mask says is inside its box, in pixels."""
    return float((box[2] - box[0]) * (box[3] - box[1]) * (mask > 0.5).mean())


def _iou(a: NDArray[Any], b: NDArray[Any]) -> float:
    overlap = np.prod(np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None))
    union = np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - overlap
    return float(overlap / union) if union > 0 else 0.0


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
        count = _real(outputs, kind)
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


def golden_summary(outputs: Mapping[str, NDArray[Any]], tolerance: float = 0.1) -> str:
    """Return what is kept of the right answer to `golden_chunk`, as JSON to be stored as `PARAMETER_GOLDEN`.

    `outputs` are the detector's outputs by name (`OUTPUTS`), computed at conversion by ONNX Runtime in fp32;
    `tolerance` is how far a score may lie from it (reduced precision on the site). The object holds `scores` (highest
    score of each type on each target slice), `lowest` (the score from which these are complete), `detections` (the
    strongest from `GOLDEN_SCORE` on: `slice`, `type`, `score`, `box`, `area` of the mask in pixels), `dismissed`
    (their count) and `tolerance`. Raises `ValueError` when the outputs break the contract.
    """
    fault = output_fault(outputs)
    if fault is not None:
        raise ValueError(fault)
    scores = outputs["detection_score"][: _real(outputs, "detection")]
    strongest = [int(i) for i in np.argsort(-scores.max(axis=1), kind="stable") if scores[i].max() >= GOLDEN_SCORE]
    detections = [
        {
            "slice": int(outputs["detection_slice"][i]),
            "type": str(TYPES[int(scores[i].argmax())]),
            "score": round(float(scores[i].max()), 4),
            "box": [round(float(edge), 1) for edge in outputs["detection_box"][i]],
            "area": round(_mask_area(outputs["detection_box"][i], outputs["detection_mask"][i]), 1),
        }
        for i in strongest[:GOLDEN_DETECTIONS]
    ]
    summary = {
        "scores": np.round(_slice_scores(outputs), 4).tolist(),
        "lowest": round(_lowest_told(outputs), 4),
        "detections": detections,
        "dismissed": _real(outputs, "dismissed"),
        "tolerance": tolerance,
    }
    return json.dumps(summary, separators=(",", ":"))


def golden_matches(summary: str, outputs: Mapping[str, NDArray[Any]]) -> str | None:
    """Say how the outputs to `golden_chunk` differ from the recorded `golden_summary`, None when they are right.

    Right means: the contract is kept; the highest score of each type on each slice lies within the tolerance; each
    recorded strong detection has one of its type on its slice with a similar score, box and blood area; and a model
    that dismissed proposals still does (outputs that come back empty do not pass as "nothing seen").
    """
    fault = output_fault(outputs)
    if fault is not None:
        return fault
    try:
        golden = json.loads(summary)
        expected = np.asarray(golden["scores"], np.float64).reshape(CHUNK_SLICES, len(TYPES))
        tolerance, lowest = float(golden["tolerance"]), float(golden["lowest"])
    except (ValueError, KeyError, TypeError) as error:
        return f"the recorded golden answer cannot be read: {type(error).__name__}: {error}"
    told_from = max(lowest, _lowest_told(outputs), SCORE_FLOOR)
    got = _slice_scores(outputs)
    apart = np.abs(np.maximum(got, told_from) - np.maximum(expected, told_from))
    if apart.max() > tolerance:
        at, of = np.unravel_index(int(apart.argmax()), apart.shape)
        return (
            f"the highest {TYPES[of].display} score on target slice {at} is {got[at, of]:.3f}, "
            f"not {expected[at, of]:.3f} ± {tolerance:g}"
        )
    if golden["dismissed"] and not _real(outputs, "dismissed"):
        return f"no dismissed proposal came back, where {golden['dismissed']} are known"
    count = _real(outputs, "detection")
    best = outputs["detection_score"][:count].argmax(axis=1)
    for known in golden["detections"]:
        like = (outputs["detection_slice"][:count] == known["slice"]) & (best == TYPES.index(known["type"]))
        if not any(_is_known(known, outputs, int(i), tolerance) for i in np.flatnonzero(like)):
            return (
                f"the {known['type']} detection with score {known['score']:.3f} on target slice {known['slice']} at "
                f"{known['box']} (y1, x1, y2, x2) did not come back"
            )
    return None


def _is_known(known: Mapping[str, Any], outputs: Mapping[str, NDArray[Any]], i: int, tolerance: float) -> bool:
    """Say whether detection `i` of the outputs is the recorded one: score, box and blood area."""
    box = np.asarray(outputs["detection_box"][i], np.float64)
    area = _mask_area(box, outputs["detection_mask"][i])
    smaller, larger = sorted((area, float(known["area"])))
    return (
        abs(float(outputs["detection_score"][i].max()) - known["score"]) <= tolerance
        and _iou(box, np.asarray(known["box"], np.float64)) >= GOLDEN_IOU
        and (smaller >= GOLDEN_AREA_RATIO * larger or larger - smaller <= 16)
    )
