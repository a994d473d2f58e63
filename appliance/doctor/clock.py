# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Whether this machine's clock and Orthanc's agree."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from appliance.clocks import OrthancClock
from appliance.doctor.check import Check
from appliance.errors import UnavailableError
from appliance.orthanc import Orthanc
from appliance.orthanc_errors import OrthancError

_LOOKS: Final = 3
_BETWEEN_S: Final = 0.3


def check_clock(orthanc: Orthanc) -> Iterator[Check]:
    """Look at Orthanc's clock several times, because it shows only whole seconds."""
    clock = OrthancClock()
    try:
        for look in range(_LOOKS):
            if look:
                time.sleep(_BETWEEN_S)
            before = time.time()
            clock.look(before, orthanc.now(), time.time())
    except (OrthancError, UnavailableError) as error:
        yield Check(
            "clock",
            "warn",
            f"Orthanc does not tell its time: {error}",
            "let the service's user ask for /tools/now; without it the times of studies are less exact",
        )
        return
    ahead_s = clock.ahead_s or 0.0
    if clock.agrees:
        yield Check("clock", "ok", "this machine's clock and Orthanc's agree")
    else:
        yield Check(
            "clock",
            "warn",
            f"Orthanc's clock is {abs(ahead_s):.0f} s {'ahead of' if ahead_s > 0 else 'behind'} this machine's",
            "let both machines follow one time server; studies are still answered in time, but times in status, "
            "results and logs do not fit together",
        )
