# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""How the installation speaks: plain lines, whatever terminal or log they go to.

A terminal that has gone away takes no line any more; that stops nothing.
"""

from __future__ import annotations

import sys
from contextlib import suppress


def say(sentence: str) -> None:
    """Say what is done."""
    with suppress(OSError):
        print(sentence, flush=True)


def warn(sentence: str) -> None:
    """Say what went wrong, or what a person is to see to."""
    with suppress(OSError):
        print(sentence, file=sys.stderr, flush=True)
