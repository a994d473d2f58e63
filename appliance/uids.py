# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Which texts can be UIDs of DICOM (PS3.5, 9.1). Orthanc takes images with others, and the ledger has room for none."""

from __future__ import annotations

import re

_UID = re.compile(r"[0-9.]{1,64}")


def is_uid(text: str) -> bool:
    """Return whether `text` consists of digits and dots, at most 64 of them; how they alternate does not matter."""
    return _UID.fullmatch(text) is not None
