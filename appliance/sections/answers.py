# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The settings of answers: which series is read, what counts as blood, and how an answer is written."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from appliance.allowed import DicomText
from appliance.reading.contract import EXTEND_SCORE, JOIN_MM
from appliance.sections.section import Section


class SelectionSettings(Section):
    """Which series of a study is read."""

    min_slices: int = Field(8, ge=2, le=10_000, description="Fewest slices of a head series")
    min_coverage_mm: float = Field(
        60.0, gt=0, le=1000, description="Least extent of a head series along its normal, mm"
    )
    max_volume_mib: int = Field(
        512, ge=16, le=65_536, description="A stack is refused when its HU need more memory than this, MiB"
    )


class FindingSettings(Section):
    """From detections to an answer."""

    threshold: float | None = Field(
        None,
        ge=0.05,
        le=1.0,
        description="Class score from which a detection makes the study positive; unset: the model's suggestion",
    )
    extend_score: float = Field(
        # A site that lowers the threshold below it need not lower this too.
        default_factory=lambda known: min(EXTEND_SCORE, known.get("threshold") or EXTEND_SCORE),
        ge=0.05,
        le=1.0,
        description="Class score from which a detection extends a lesion that has another at the threshold. At most "
        f"the threshold; equal to it: no extension; unset: {EXTEND_SCORE}, or the threshold if that is lower",
    )
    join_mm: float = Field(
        JOIN_MM, ge=0, le=300, description="Pieces of one type within this distance form one lesion, mm"
    )

    @field_validator("extend_score")
    @classmethod
    def _is_at_most_the_threshold(cls, value: float, known: ValidationInfo) -> float:
        threshold = known.data.get("threshold")
        if threshold is not None and value > threshold:
            raise ValueError(f"must be at most finding.threshold, which is {threshold:g} (the same: no extension)")
        return value


class ResultsSettings(Section):
    """How answers are written."""

    sr_sop_class: Literal["comprehensive-3d", "comprehensive"] = Field(
        "comprehensive-3d", description="SOP class of the SR"
    )
    key_images: int = Field(6, ge=0, le=40, description="Most key images of a study")
    refusals: bool = Field(
        True,
        description="Store a report without an answer in a study with CT images that could not be read: it says why",
    )
    compress_key_images: bool = Field(
        True,
        description="Write key images in RLE Lossless, half the size or less; false for an archive that accepts only "
        "uncompressed images, with an Orthanc that may not transcode",
    )
    institution: DicomText = Field(
        "", description="Institution name written to the results' equipment module, empty for none"
    )
