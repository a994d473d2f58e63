# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What the Orthanc plugin rings for, and the box where it lies until intake comes by.

A ring only makes intake look at once, and brings the time at which each instance was received, which Orthanc's change
log keeps in whole seconds only. A lost ring loses no study.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

_STAMPS_KEPT: Final = 20_000


class Ring(BaseModel):
    """One message of the plugin: instances with the Unix time they were received, series and studies, by Orthanc id."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    instances: Mapping[str, FiniteFloat] = Field(default_factory=dict)
    series: Mapping[str, Literal["stable", "deleted"]] = Field(default_factory=dict)
    studies: Mapping[str, Literal["stable", "deleted"]] = Field(default_factory=dict)
    orthanc: Literal["started", "stopped"] | None = None

    @classmethod
    def of(cls, message: Any) -> Self:
        """Return the ring that a JSON message means; raises `ValueError` with what is wrong."""
        return cls.model_validate(message)


@dataclass
class News:
    """What was rung since intake came by last."""

    stamps: dict[str, float] = field(default_factory=dict)
    deleted_studies: set[str] = field(default_factory=set)
    deleted_series: set[str] = field(default_factory=set)
    orthanc_started: bool = False


class Bell:
    """The box: the web server's thread puts rings in, intake's thread waits for them and takes them out."""

    def __init__(self) -> None:
        self._rung = threading.Condition()
        self._any = False
        self._news = News()

    def ring(self, ring: Ring) -> None:
        """Put a ring in; returns at once."""
        with self._rung:
            news = self._news
            news.stamps.update(ring.instances)
            for oldest in list(news.stamps)[: max(0, len(news.stamps) - _STAMPS_KEPT)]:
                del news.stamps[oldest]
            news.deleted_studies |= {study for study, what in ring.studies.items() if what == "deleted"}
            news.deleted_series |= {series for series, what in ring.series.items() if what == "deleted"}
            news.orthanc_started |= ring.orthanc == "started"
            self._any = True
            self._rung.notify()

    def wake(self) -> None:
        """Wake the waiting thread, without news."""
        with self._rung:
            self._any = True
            self._rung.notify()

    def wait(self, longest_s: float) -> None:
        """Return when something was rung, or after `longest_s`."""
        with self._rung:
            self._rung.wait_for(lambda: self._any, max(0.0, longest_s))

    def take(self) -> News:
        """Take out what was rung."""
        with self._rung:
            news, self._news, self._any = self._news, News(), False
            return news
