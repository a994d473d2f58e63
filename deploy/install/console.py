# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""How the installation speaks: plain lines, whatever terminal or log they go to."""

from __future__ import annotations

import sys


def say(sentence: str) -> None:
    """Say what is done."""
    print(sentence, flush=True)


def warn(sentence: str) -> None:
    """Say what went wrong, or what a person is to see to."""
    print(sentence, file=sys.stderr, flush=True)
