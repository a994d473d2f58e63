# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Examples for the series classifier: thumbnails of simulated series, each series rendered on a few planes only.

There is one file for each seed, `<seed>.npz`, with one head (every kind of series, each with its own scanners) and some
things that are no heads. A series is stored as `KEPT` thumbnails at rising places of its stack; `batches.py` draws
three of them. A new run continues from the existing files.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from appliance.reading.series import CLASSES, INPUT_SHAPE, SeriesClass, thumbnail
from simulator.bleeding import UnlabelledBleedError, simulate_head
from simulator.contrast import Phase, enhance
from simulator.diagnosis import Diagnosis
from simulator.fields import stream
from simulator.geometry import ScanGeometry, draw_geometry
from simulator.head import SimulatedHead
from simulator.not_a_head import NotAHead, noise_free
from simulator.population import CLEAR, REALISTIC, TRAINING
from simulator.scanner import Kernel, Scanner, acquire
from simulator.series import (
    AXIAL_KINDS,
    SCOUTS,
    SHARP_KINDS,
    Planes,
    Protocol,
    SeriesKind,
    project_scout,
    series_geometry,
    slabs,
    within_circle,
)

KEPT: Final = 5
"""Thumbnails kept of a series."""
PLACES: Final = (0.18, 0.82)
"""Fractions of the stack between which they lie: wider than what the service asks for, so that a stack that begins
lower or ends higher is known too."""

CLASS_OF: Final = {
    SeriesKind.AXIAL: SeriesClass.SOFT_TISSUE,
    SeriesKind.THIN: SeriesClass.SOFT_TISSUE,
    SeriesKind.RESCAN: SeriesClass.SOFT_TISSUE,
    SeriesKind.BONE: SeriesClass.SHARP,
    SeriesKind.THIN_BONE: SeriesClass.SHARP,
    SeriesKind.CORONAL: SeriesClass.REFORMAT,
    SeriesKind.SAGITTAL: SeriesClass.REFORMAT,
    SeriesKind.SCOUT: SeriesClass.SCOUT,
    SeriesKind.FRONTAL_SCOUT: SeriesClass.SCOUT,
    SeriesKind.CTA: SeriesClass.CONTRAST,
    SeriesKind.MIP: SeriesClass.CONTRAST,
    SeriesKind.CONTRAST: SeriesClass.CONTRAST,
}
"""What each kind of simulated series is; the dose page is no CT image and never asked about."""

_TWICE: Final = frozenset({SeriesKind.AXIAL, SeriesKind.BONE, SeriesKind.CTA, SeriesKind.CONTRAST})
"""The kinds of series that two scanners scan."""
_PHASES: Final = (
    (Phase.ARTERIAL, frozenset({SeriesKind.CTA, SeriesKind.MIP})),
    (Phase.DELAYED, frozenset({SeriesKind.CONTRAST})),
)
_SLAB_MM: Final = 10.0
_MATRICES: Final = (512, 512, 512, 512, 384, 640)
_THINGS: Final = 5  # a seed


@dataclass(frozen=True)
class Example:
    """A series: its class, what was drawn, and thumbnails uint8 [KEPT, SIZE, SIZE, channels] at rising places."""

    kind: str
    series_class: SeriesClass
    thumbnails: NDArray[np.uint8]


def make_examples(seeds: Iterator[int] | range, folder: Path) -> Iterator[Path]:
    """Make the files of `seeds` that are not in `folder` yet; yield each as it is there."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        path = folder / f"{seed}.npz"
        if not path.exists():
            examples = [*head_examples(seed), *other_examples(seed)]
            partial = folder / f".{seed}.{os.getpid()}.npz"
            np.savez_compressed(
                partial,
                kinds=np.array([one.kind for one in examples]),
                classes=np.array([CLASSES.index(one.series_class) for one in examples], np.uint8),
                thumbnails=np.stack([one.thumbnails for one in examples]),
            )
            partial.rename(path)
            yield path


def head_examples(seed: int) -> Iterator[Example]:
    """Yield the kinds of series of one head, those that are told apart with most care by two scanners."""
    rng = stream(seed, "series examples")
    population = (TRAINING, TRAINING, REALISTIC, CLEAR)[seed % 4]
    diagnosis = list(Diagnosis)[int(rng.integers(len(Diagnosis)))] if rng.random() < 0.25 else Diagnosis.NONE
    axial = draw_geometry(seed, population)
    matrix = int(rng.choice(_MATRICES))
    pixel = axial.rows * axial.pixel_spacing_mm[0] / matrix
    axial = replace(axial, rows=matrix, columns=matrix, pixel_spacing_mm=(pixel, pixel))
    try:
        # On the planes that are rendered alone: where blood is labelled does not matter here.
        head = simulate_head(seed, diagnosis, geometry=_thin_out(axial, KEPT), population=population)
    except UnlabelledBleedError:
        head = simulate_head(seed, Diagnosis.NONE, geometry=axial, population=population)
    protocol = Protocol.draw(rng)
    # One phase a head: the agent costs as much to give as a head to draw.
    phase, phase_kinds = _PHASES[seed % len(_PHASES)]
    with_agent = enhance(head, phase)
    noise = 0
    for kind in CLASS_OF:
        if CLASS_OF[kind] is SeriesClass.CONTRAST and kind not in phase_kinds:
            continue
        geometry = series_geometry(kind, axial, protocol)
        whole = kind in SCOUTS or kind is SeriesKind.MIP
        planes = geometry if whole else _thin_out(geometry, KEPT)
        shown = with_agent if kind in phase_kinds else head
        for _ in range(2 if kind in _TWICE else 1):
            noise += 1
            scanner = Scanner.draw(rng, TRAINING if rng.random() < 0.7 else REALISTIC)
            if kind not in AXIAL_KINDS and kind is not SeriesKind.MIP:
                scanner = scanner.without_rays()
            if kind in SHARP_KINDS:
                scanner = sharp(scanner, rng)
            yield Example(str(kind), CLASS_OF[kind], _render(shown, kind, planes, scanner, noise, rng))


def sharp(scanner: Scanner, rng: np.random.Generator) -> Scanner:
    """Return a scanner with one of many sharp kernels: what the simulator calls the bone kernel is one of them."""
    noise = float(rng.uniform(2.5, 6))
    return replace(
        scanner.sharpen(),
        noise_hu=scanner.noise_hu * noise,
        psf_mm=float(rng.uniform(0.3, 0.45)),
        noise_peak_per_mm=float(rng.uniform(0.5, 0.9)),
        overshoot=float(rng.uniform(0.4, 1.2)),
    )


def other_examples(seed: int) -> Iterator[Example]:
    """Yield things that are no heads, by soft and by sharp kernels, some with contrast agent."""
    rng = stream(seed, "other examples")
    kinds = list(NotAHead)
    for number in range(_THINGS):
        kind = kinds[(seed + number) % len(kinds)]
        agent = float(rng.uniform(50, 300)) if rng.random() < 0.4 else 0.0
        matrix = int(rng.choice(_MATRICES))
        spacing = float(rng.uniform(5, 30))
        hu, pixel = noise_free(
            kind, 100 * seed + number, slices=KEPT, spacing_mm=spacing, matrix=matrix, agent_hu=agent
        )
        scanner = Scanner.draw(rng, TRAINING if rng.random() < 0.7 else REALISTIC)
        if rng.random() < 0.35:
            scanner = sharp(scanner, rng)
        thickness = np.full(KEPT, float(rng.choice([1.0, 2.5, 5.0])))
        yield Example(
            str(kind), SeriesClass.NOT_HEAD, _thumbnails(acquire(hu, (pixel, pixel), thickness, scanner, rng))
        )


def _thin_out(geometry: ScanGeometry, count: int) -> ScanGeometry:
    """Return `count` planes of a stack, at even places between `PLACES`."""
    slices = len(geometry.positions_mm)
    places = np.unique(np.rint(np.linspace(*PLACES, count) * (slices - 1)).astype(int))
    return replace(
        geometry,
        positions_mm=tuple(geometry.positions_mm[i] for i in places),
        thickness_mm=tuple(geometry.thickness_mm[i] for i in places),
    )


def _render(
    head: SimulatedHead,
    kind: SeriesKind,
    planes: ScanGeometry,
    scanner: Scanner,
    noise: int,
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    """Return the thumbnails [KEPT, SIZE, SIZE, channels] of a series."""
    if kind is SeriesKind.MIP:
        return _projections(head, planes, scanner, noise)
    # A sharp kernel is in the scanner already.
    stack = Planes.on(planes, head.render(planes, Kernel.SOFT, scanner=scanner, noise=noise))
    if kind in SCOUTS:
        return _thumbnails(project_scout(stack).hu)
    if kind in AXIAL_KINDS and rng.random() < 0.7:
        stack = within_circle(stack)
        assert stack.outside is not None
        stack.hu[:, stack.outside] = -1024
    return _thumbnails(stack.hu)


def _projections(head: SimulatedHead, planes: ScanGeometry, scanner: Scanner, noise: int) -> NDArray[np.uint8]:
    """Return the thumbnails of maximum intensity projections of an angiography, at the places of `_thin_out`."""
    slices = len(planes.positions_mm)
    spacing = planes.positions_mm[1] - planes.positions_mm[0]
    width = min(slices, max(1, round(_SLAB_MM / spacing)))
    made = []
    for place in np.linspace(*PLACES, 3):
        part = planes.part(round(place * (slices - width)), width)
        stack = Planes.on(part, head.render(part, Kernel.SOFT, scanner=scanner, noise=noise))
        made.append(slabs(stack, _SLAB_MM).hu[0])
    return _thumbnails(np.stack(made))


def _thumbnails(hu: NDArray[np.int16]) -> NDArray[np.uint8]:
    """Return `KEPT` thumbnails of the planes [Z, Y, X]; where there are fewer, some are there more than once."""
    shown = np.stack([thumbnail(plane) for plane in hu])
    return np.asarray(shown[np.rint(np.linspace(0, len(shown) - 1, KEPT)).astype(int)])


def load_examples(folder: Path, seeds: range) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.str_]]:
    """Return thumbnails [N, KEPT, SIZE, SIZE, channels], classes [N] and kinds [N] of the files of `seeds` there."""
    paths = [path for seed in seeds if (path := folder / f"{seed}.npz").exists()]
    if not paths:
        raise FileNotFoundError(f"no examples of seeds {seeds.start} to {seeds.stop - 1} in {folder}")
    files = [np.load(path) for path in paths]
    thumbnails = np.concatenate([one["thumbnails"] for one in files])
    assert thumbnails.shape[2:] == INPUT_SHAPE[1:]
    return (
        thumbnails,
        np.concatenate([one["classes"] for one in files]).astype(np.int64),
        np.concatenate([one["kinds"] for one in files]),
    )
