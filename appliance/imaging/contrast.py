# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Whether contrast agent was given, as far as the header's own attributes say (not its descriptions)."""

from __future__ import annotations

from pydicom import Dataset

from appliance.imaging.header import number, text

_NONE = {"", "-", "0", "N", "NO", "NONE", "NIL", "NULL", "NATIVE", "NATIV", "NO CONTRAST", "NON CONTRAST", "WITHOUT"}
_NOT_IN_THE_VEINS = {"ORAL", "PO", "RECTAL", "INTRATHECAL"}


def contrast_given(header: Dataset) -> bool:
    """Return whether the header says that contrast agent went into the blood.

    By Contrast/Bolus Agent, unless it is a way to say "none", or by a positive volume; agent given by mouth or rectum
    does not count, as it is not seen in a head.
    """
    if text(header, "ContrastBolusRoute").upper() in _NOT_IN_THE_VEINS:
        return False
    agent = text(header, "ContrastBolusAgent").upper()
    if agent in _NOT_IN_THE_VEINS:
        return False
    return agent not in _NONE or (number(header, "ContrastBolusVolume") or 0) > 0
