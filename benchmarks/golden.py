# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What the golden chunk lets pass and what it catches: the engines of this CPU, and faults made on purpose.

    python -m benchmarks.golden

Each row reads the golden chunk with the shipped detector. It says how far the scores lie from the reference's, the one
faint score that may be turned by rounding apart from all others (`appliance.reading.golden.wrong_score`), and the
verdict of `golden_matches`.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import onnx
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from appliance.reading import contract
from appliance.reading.detections import Outputs
from appliance.reading.golden import GOLDEN_SCORE, golden_chunk, golden_matches, golden_summary, slice_scores
from appliance.settings_sources import load_settings
from conversion.triton_model import ENGINES, FULL, REFERENCE, Detector, Engine, cpu_flags, instruction_set

Chunk = NDArray[np.int16]
_SATURATED: Final = 0.874
"""Where all scores of the detector end when its whole graph is in 8 bits."""

INPUT_FAULTS: Final[dict[str, Callable[[Chunk], NDArray[Any]]]] = {
    "rows taken for columns": lambda hu: hu.transpose(0, 2, 1),
    "right taken for left": lambda hu: hu[:, :, ::-1],
    "front taken for back": lambda hu: hu[:, ::-1],
    "head taken for foot": lambda hu: hu[::-1],
    "one slice off": lambda hu: np.roll(hu, 1, axis=0),
    "4 pixels off": lambda hu: np.roll(hu, 4, axis=2),
    "2 HU off": lambda hu: hu + 2,
    "HU 5 % too low": lambda hu: hu * 0.95,
    "cut to a brain window": lambda hu: np.clip(hu, 0, 80),
    "zeros": lambda hu: hu * 0,
}
"""Faults between the scanner and the network."""


def _with(outputs: Outputs, **changed: NDArray[Any]) -> Outputs:
    return {**outputs, **changed}


OUTPUT_FAULTS: Final[dict[str, Callable[[Outputs], Outputs]]] = {
    "types exchanged": lambda out: _with(out, detection_score=out["detection_score"][:, ::-1]),
    "answers one slice off": lambda out: _with(out, detection_slice=(out["detection_slice"] + 1) % 16),
    "scores that saturate": lambda out: _with(out, detection_score=np.minimum(out["detection_score"], _SATURATED)),
    "boxes halved": lambda out: _with(out, detection_box=out["detection_box"] / 2),
    "no detections": lambda out: _with(out, detection_count=np.zeros(1, np.int32)),
    "no masks": lambda out: _with(out, detection_mask=np.zeros_like(out["detection_mask"])),
}
"""Faults of a runtime or of the way back."""


def perturb(model: onnx.ModelProto, share: float, seed: int) -> onnx.ModelProto:
    """Return a model whose weights are each changed by a random share, normally distributed."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    rng = np.random.default_rng(seed)
    for weights in changed.graph.initializer:
        values = onnx.numpy_helper.to_array(weights)
        if values.dtype == np.float32 and values.ndim > 1:
            noisy = (values * (1 + share * rng.standard_normal(values.shape))).astype(np.float32)
            weights.CopyFrom(onnx.numpy_helper.from_array(noisy, weights.name))
    return changed


def distances(reference: Outputs, outputs: Outputs) -> tuple[float, float]:
    """Return how far the faint score that moved most lies from the reference's, and the furthest of all others."""
    expected, got = (np.maximum(slice_scores(one), contract.SCORE_FLOOR) for one in (reference, outputs))
    apart = np.abs(expected - got)
    faint = np.where(np.maximum(expected, got) < GOLDEN_SCORE, apart, -1.0)
    at = faint.argmax()
    loosest = max(float(faint.flat[at]), 0.0)
    if faint.flat[at] >= 0:
        apart.flat[at] = 0.0
    return loosest, float(apart.max())


def answers(place: Path, threads: int) -> Iterator[tuple[str, str, Outputs]]:
    """Yield kind, name and outputs of each reading of the golden chunk; the first one is the reference's."""
    hu = golden_chunk()

    def load(file: Path, engine: Engine = REFERENCE) -> Detector:
        return Detector(file, str(contract.CONTRACT_VERSION), threads, engine)

    detector = load(place / FULL)
    reference = detector(hu)
    yield "engine", REFERENCE.name, reference
    for engine in ENGINES:
        if engine is not REFERENCE and engine.needs <= cpu_flags() and (place / engine.file).is_file():
            yield "engine", engine.name, load(place / engine.file, engine)(hu)
    for name, spoil in INPUT_FAULTS.items():
        yield "fault", name, detector(np.ascontiguousarray(spoil(hu), np.float32))
    for name, break_ in OUTPUT_FAULTS.items():
        yield "fault", name, break_(reference)
    del detector
    model = onnx.load(str(place / FULL))
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(2):
            file = Path(folder) / f"{seed}.onnx"
            onnx.save(perturb(model, 0.01, seed), str(file))
            yield "fault", f"weights changed by 1 %, {seed + 1}", load(file)(hu)


def main(
    threads: Annotated[int, typer.Option(min=1, help="CPU threads")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON")] = False,
) -> None:
    """Read the golden chunk with each engine of this CPU, and with faults made on purpose."""
    place = load_settings().triton.model_repository / contract.DETECTOR / "1"
    readings = answers(place, threads)
    kind, name, reference = next(readings)
    summary = golden_summary(reference)
    rows: list[dict[str, Any]] = [{"kind": kind, "name": name, "faint": 0.0, "others": 0.0, "fault": None}]
    for kind, name, outputs in readings:
        faint, others = distances(reference, outputs)
        fault = golden_matches(summary, outputs)
        rows.append({"kind": kind, "name": name, "faint": faint, "others": others, "fault": fault})
    if as_json:
        print(json.dumps({"instructions": instruction_set(cpu_flags()), "rows": rows}, indent=2))
        return
    table = Table("", "faint score", "all others", "verdict")
    for row in rows:
        table.add_row(row["name"], f"{row['faint']:.3f}", f"{row['others']:.3f}", row["fault"] or "right")
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
