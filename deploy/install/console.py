# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The messages of the installation: plain lines for any terminal or log.

A terminal that has gone away stops nothing.
"""

from __future__ import annotations

import sys
from contextlib import suppress


def say(sentence: str) -> None:
    """Say what is done."""
    with suppress(OSError):
        print(sentence, flush=True)


def warn(sentence: str) -> None:
    """Say what went wrong, or what a person should do."""
    with suppress(OSError):
        print(sentence, file=sys.stderr, flush=True)
