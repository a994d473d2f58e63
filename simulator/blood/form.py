# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The forms that blood takes inside the head, and the type that each is labelled with."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from appliance.reading.contract import HemorrhageType


class Form(StrEnum):
    """Where and how blood lies."""

    DEEP = "deep"
    LOBAR = "lobar"
    CEREBELLAR = "cerebellar"
    BRAINSTEM = "brainstem"
    CONTUSION = "contusion"
    VENTRICULAR = "ventricular"
    EPIDURAL = "epidural"
    CONVEXITY = "subdural along the vault"
    FALX = "subdural along the falx"
    TENTORIUM = "subdural along the tentorium"
    CISTERNAL = "cisternal"
    PERIMESENCEPHALIC = "perimesencephalic"
    SULCAL = "sulcal"

    @property
    def type(self) -> HemorrhageType:
        """The type of the contract; blood in a ventricle counts as intraparenchymal."""
        if self in (Form.EPIDURAL, Form.CONVEXITY, Form.FALX, Form.TENTORIUM):
            return HemorrhageType.EDH_SDH
        if self in (Form.CISTERNAL, Form.PERIMESENCEPHALIC, Form.SULCAL):
            return HemorrhageType.SAH
        return HemorrhageType.IPH


@dataclass(frozen=True)
class Bleed:
    """One bleed of a head, not yet laid.

    Attributes
    ----------
    volume_ml: how much blood.
    side: +1 where MNI x is positive in the atlas, -1 on the other side.
    ruptured: whether it breaks into a ventricle.
    clear: whether its clot is acute and plainly denser than brain, whatever else would be drawn.
    """

    form: Form
    volume_ml: float
    side: float
    ruptured: bool = False
    clear: bool = False
