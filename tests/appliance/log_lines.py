# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What was logged, line by line."""

from __future__ import annotations

import io
import json
from typing import Any


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    """Return the lines of a log, read as JSON."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]
