# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The shipped rules with every span of time divided by one number, so that a day of alerts can be seen in minutes.

Windows, offsets, `for`, pauses between readings and between messages become shorter, all by the same factor. What is
measured and what is compared stays: the minute within which a head CT is to be answered, the share that may be late,
and how many times that share is too many.
"""

from __future__ import annotations

import re
from typing import Final

_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SPAN: Final = r"(?P<number>\d+)(?P<unit>[smhd])\b"
_PLACES: Final = re.compile(
    rf"(?P<before>\[|\boffset |\bfor: |_(?:interval|wait): ){_SPAN}",
)


def shorten(text: str, factor: float) -> str:
    """Return a file of Prometheus or Alertmanager with each span of time divided by `factor`, in milliseconds."""

    def divide(found: re.Match[str]) -> str:
        seconds = int(found["number"]) * _SECONDS[found["unit"]]
        return f"{found['before']}{max(1, round(1000 * seconds / factor))}ms"

    return _PLACES.sub(divide, text)
