# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Answers to write down: the made head with bleedings, without, tilted, unevenly spaced."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from appliance.coverage.coverage import Coverage
from appliance.findings.find import find
from appliance.findings.finding import Finding
from appliance.imaging.volume import Turn, Volume
from appliance.inference.detections import Reading
from appliance.reading.lesions import Criteria
from appliance.results.report import Results, report
from appliance.settings import Settings
from tests.appliance.phantom import bleeding, made_volume, reading_of, stroke_reading

CREATED = datetime(2026, 3, 1, 8, 31, 12, 250000, UTC)
MIXED_MM = np.concatenate([np.arange(6) * 2.5, 12.5 + np.arange(1, 8) * 5.0])


@dataclass(frozen=True)
class Answered:
    """An answer with all that it was made from."""

    volume: Volume
    reading: Reading
    finding: Finding
    settings: Settings
    results: Results


def answer_of(
    volume: Volume | None = None,
    reading: Reading | None = None,
    threshold: float = 0.5,
    settings: Settings | None = None,
    **more: Any,
) -> Answered:
    """Return the answer to a reading; the made head with three lesions unless given."""
    volume = made_volume() if volume is None else volume
    reading = stroke_reading(volume.slices) if reading is None else reading
    settings = settings or Settings()
    finding = find(reading, volume, Criteria.of(settings.finding, threshold))
    volume = bleeding(volume, finding.lesion_map)
    made = {"covered": Coverage(volume.slices, volume.slices, 5.0 * volume.slices), "created": CREATED}
    results = report(volume, reading, finding, settings=settings, **{**made, **more})
    return Answered(volume, reading, finding, settings, results)


def negative(**more: Any) -> Answered:
    """Return an answer without a finding, with dismissed proposals."""
    return answer_of(reading=reading_of(dismissed=stroke_reading().dismissed), **more)


def volumes() -> dict[str, Volume]:
    """Return the geometries that results must survive, by name."""
    return {
        "even": made_volume(),
        "tilted": made_volume(tilt_degrees=18),
        "mixed spacing": made_volume(positions_mm=MIXED_MM),
        "overlapping": made_volume(positions_mm=np.arange(12) * 2.5),
        "turned": made_volume(turn=Turn(transpose=True, flip_x=True), matrix=(96, 80)),
        "tilted and turned": made_volume(tilt_degrees=-15, turn=Turn(flip_y=True, flip_x=True)),
        "not square": made_volume(matrix=(80, 112), spacing_mm=(2.6, 1.9)),
    }
