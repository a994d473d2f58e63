# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The settings of intake: when a study is decided, and which of several goes first."""

from __future__ import annotations

from pydantic import Field, field_validator

from appliance.allowed import Date, DicomText
from appliance.clocks import DAY_S
from appliance.sections.section import Section


class IntakeSettings(Section):
    """When a study is decided and read."""

    quiet_s: float = Field(
        2.0,
        ge=0.2,
        le=600,
        description="A study is decided when no instance has arrived for this long, s; or for four times the longest "
        "pause within one of its series so far, if that is longer",
    )
    quiet_longest_s: float = Field(30.0, ge=0.2, le=600, description="Longest quiet time for a slow sender, s")
    incomplete_s: float = Field(
        120.0,
        ge=1,
        le=DAY_S,
        description="How long a series with a gap or too few slices may wait for the rest before it is refused, s",
    )
    ends_s: float = Field(
        30.0,
        ge=1,
        le=DAY_S,
        description="How long a head may wait when its lowest or highest slice shows that the base or top is missing; "
        "then it is read and marked as a part, s",
    )
    poll_s: float = Field(
        1.0, ge=0.1, le=3600, description="Interval at which Orthanc's change log is read without a doorbell, s"
    )
    since: Date = Field(
        "",
        description="First start only: begin with studies received since this UTC date (YYYYMMDD), not with the newest",
    )
    headers_kept: int = Field(
        2000,
        ge=100,
        le=1_000_000,
        description="Most headers of instances kept in memory until their study is decided (about 40 kB each)",
    )
    files_kept_mib: int = Field(
        256,
        ge=0,
        le=65536,
        description="Memory for the files of instances until their study is answered, so that none is fetched twice, "
        "MiB; a routine head CT has 150",
    )
    largest_series: int = Field(
        2000,
        ge=50,
        le=1_000_000,
        description="A CT series with more images is refused unread; a perfusion series may have ten thousand",
    )
    ahead_mib: int = Field(
        192,
        ge=0,
        le=65_536,
        description="Memory for studies that are read during their quiet time, MiB; 0: none is read ahead",
    )
    lost_s: float = Field(
        300.0,
        ge=0,
        le=DAY_S,
        description="Interval at which all current reports are looked for in Orthanc; a study without its report is "
        "answered again; 0: never, s",
    )
    queue_most: int = Field(
        500,
        ge=1,
        le=1_000_000,
        description="Most answers that may be queued or in progress; further studies are decided when there is room, "
        "emergencies first, and none is dropped",
    )
    retry_first_s: float = Field(
        2.0, ge=0.01, le=DAY_S, description="First pause after a failed try, s; doubles with each try"
    )
    retry_longest_s: float = Field(
        300.0, ge=0.01, le=DAY_S, description="Longest pause between tries, s; tries never end"
    )
    poison_tries: int = Field(
        5, ge=1, le=1000, description="A study is refused after it has broken the pipeline this many times"
    )


class PrioritySettings(Section):
    """Which of several waiting studies is read first."""

    urgent: tuple[DicomText, ...] = Field(
        ("emergency", "stat", "urgent", "trauma", "stroke", "notfall", "urgences"),
        description="Words of headers that mark an emergency (descriptions, protocol, department, station, ward, "
        "reason for visit): such a study goes first",
    )
    recent_days: int = Field(
        2,
        ge=1,
        le=36_500,
        description="A study scanned more days than this before it arrived is read after all others, d",
    )

    @field_validator("urgent")
    @classmethod
    def _are_words(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(word.strip() for word in value):
            raise ValueError("words are allowed, none of them empty; [] for none")
        return tuple(word.strip() for word in value)
