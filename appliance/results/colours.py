# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The colours of the answer, the same in key images and in the segmentation's recommended display.

They are from the palette of Okabe and Ito, which people with any common colour vision can distinguish; each box also
names its type.
"""

from __future__ import annotations

from typing import Final

from appliance.reading.contract import HemorrhageType

COLOURS: Final = {
    HemorrhageType.IPH: (213, 94, 0),
    HemorrhageType.EDH_SDH: (86, 180, 233),
    HemorrhageType.SAH: (240, 228, 66),
}
DISMISSED: Final = (204, 121, 167)
"""For what the network looked at and did not take for hemorrhage."""
