# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What a simulated study shows: one of the contract's types of hemorrhage, or none."""

from __future__ import annotations

from enum import StrEnum

from appliance.reading.contract import HemorrhageType


class Diagnosis(StrEnum):
    """What a simulated study shows."""

    IPH = "iph"
    EDH_SDH = "edh_sdh"
    SAH = "sah"
    NONE = "none"

    @property
    def type(self) -> HemorrhageType | None:
        """The contract's type, None for none."""
        return None if self is Diagnosis.NONE else HemorrhageType(self.value)
