# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The result of a check of the doctor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

State = Literal["ok", "warn", "fail"]

PATIENCE_S: Final = 5.0
"""How long a neighbour has to answer."""


@dataclass(frozen=True)
class Check:
    """One result of a check.

    Attributes
    ----------
    name
        Short name, the same in every diagnosis.
    state
        `ok`; `warn`: works, but not as it should; `fail`: studies are not read, or answers are not stored or delivered.
    what
        What was seen.
    remedy
        What to do about it; empty when ok.
    """

    name: str
    state: State
    what: str
    remedy: str = ""
