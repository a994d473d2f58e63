# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The golden chunk, and whether a detector's answer to it is the one that the conversion recorded.

It proves a whole path at once: that the right model is served, that tensors arrive as they were sent, and that the
runtime computes the same as the conversion's. `appliance/inference/golden.py` decides how long the proof is valid.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from appliance.reading.boxes import overlaps
from appliance.reading.contract import (
    CHUNK_SLICES,
    INPUT_SHAPE,
    MATRIX,
    MAX_DETECTIONS,
    SCORE_FLOOR,
    TYPES,
    output_fault,
)

GOLDEN_SCORE: Final = 0.5
"""Detections of the golden chunk from this score on are compared one by one."""
GOLDEN_DETECTIONS: Final = 8
"""At most this many of them, the strongest."""
GOLDEN_TOLERANCE: Final = 0.1
"""How far scores may lie from the recorded ones, because of reduced precision on the site; see `wrong_score`."""
_STEADY: Final = 0.5
_LOOSE: Final = 2.0
GOLDEN_IOU: Final = 0.5
GOLDEN_AREA_RATIO: Final = 0.7


def golden_chunk() -> NDArray[np.int16]:
    """Return the golden input [`CHUNK_INPUT_SLICES`, 512, 512] in HU: a head-like phantom that bleeds.

    It has scalp, skull, brain, ventricles and noise, a ball of acute blood deep on the patient's left and a crescent of
    blood under the skull on the right. Integer arithmetic and a generator with a frozen stream make it identical to the
    last bit on every machine, so that an answer recorded at conversion can be compared anywhere.
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


def golden_summary(outputs: Mapping[str, NDArray[Any]], tolerance: float = GOLDEN_TOLERANCE) -> str:
    """Return what is kept of the right answer to `golden_chunk`, as JSON to be stored as `contract.PARAMETER_GOLDEN`.

    `outputs` are the detector's outputs by name (`contract.OUTPUTS`), computed at conversion by ONNX Runtime in fp32;
    `tolerance` is how far scores may lie from it (`wrong_score`). The object holds `scores` (highest
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
        "scores": np.round(slice_scores(outputs), 4).tolist(),
        "lowest": round(_lowest_told(outputs), 4),
        "detections": detections,
        "dismissed": _real(outputs, "dismissed"),
        "tolerance": tolerance,
    }
    return json.dumps(summary, separators=(",", ":"))


def golden_matches(summary: str, outputs: Mapping[str, NDArray[Any]]) -> str | None:
    """Return how the outputs to `golden_chunk` differ from the recorded `golden_summary`, None when they are right.

    Right means: the contract is kept; the highest score of each type on each slice is right (`wrong_score`); each
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
    got = slice_scores(outputs)
    wrong = wrong_score(expected, got, told_from, tolerance)
    if wrong is not None:
        at, of, allowed = wrong
        return (
            f"the highest {TYPES[of].display} score on target slice {at} is {got[at, of]:.3f}, "
            f"not {expected[at, of]:.3f} ± {allowed:g}"
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


def wrong_score(
    expected: NDArray[np.float64], got: NDArray[np.float64], told_from: float, tolerance: float
) -> tuple[int, int, float] | None:
    """Return which of the highest scores [slices, types] is furthest outside its bounds, and these; None if none is.

    Each score has to lie within half of the tolerance from the recorded one, except one: of those below `GOLDEN_SCORE`
    the one that moved most may lie up to twice the tolerance away. A faint score hangs on which of two proposals that
    overlap is kept, and rounding alone can turn that choice on one slice. What is wrong with a model, its input or its
    server moves a sure score, or several. Scores below `told_from` are not known.
    """
    apart = np.abs(np.maximum(got, told_from) - np.maximum(expected, told_from))
    allowed = np.full(apart.shape, _STEADY * tolerance)
    faint = np.maximum(expected, got) < GOLDEN_SCORE
    if faint.any():
        allowed.flat[np.where(faint, apart, -1.0).argmax()] = _LOOSE * tolerance
    beyond = apart - allowed
    if beyond.max() <= 0:
        return None
    at, of = np.unravel_index(int(beyond.argmax()), beyond.shape)
    return int(at), int(of), float(allowed[at, of])


def _is_known(known: Mapping[str, Any], outputs: Mapping[str, NDArray[Any]], i: int, tolerance: float) -> bool:
    """Return whether detection `i` of the outputs is the recorded one, by score, box and blood area."""
    box = np.asarray(outputs["detection_box"][i], np.float64)
    area = _mask_area(box, outputs["detection_mask"][i])
    smaller, larger = sorted((area, float(known["area"])))
    return (
        abs(float(outputs["detection_score"][i].max()) - known["score"]) <= tolerance
        and overlaps(box[None], np.asarray([known["box"]], np.float64))[0, 0] >= GOLDEN_IOU
        and (smaller >= GOLDEN_AREA_RATIO * larger or larger - smaller <= 16)
    )


def _real(outputs: Mapping[str, NDArray[Any]], kind: str) -> int:
    return int(outputs[f"{kind}_count"][0])


def slice_scores(outputs: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
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
