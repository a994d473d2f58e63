# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""On which line of the settings file a rule stands: Python's TOML reader keeps no lines."""

from __future__ import annotations

import re
from typing import Final

_RULES: Final = re.compile(r"\[\[\s*(?:rules|\"rules\"|'rules')\s*\]\]")
_LONG_TEXT: Final = re.compile(r'"""(?:[^\\]|\\.)*?"""|\'\'\'.*?\'\'\'', re.DOTALL)


def line_of_rule(text: str, index: int, name: str = "", line: int = 0) -> int | None:
    """Return the line (from 1) of the rule with this index (from 0), or of its setting `name`.

    `line` counts lines within the value, from 0. None where the rules are written in another way than as tables
    `[[rules]]`.
    """
    # What stands in a text of several lines is no heading; its lines stay.
    shown = _LONG_TEXT.sub(lambda found: '"""' + "\n" * found[0].count("\n") + '"""', text)
    lines = shown.splitlines()
    heads = [number for number, one in enumerate(lines) if _RULES.match(one.strip())]
    if index >= len(heads):
        return None
    head = heads[index]
    for number in range(head + 1, len(lines)):
        if lines[number].lstrip().startswith("["):
            break
        if re.match(rf"\s*(?:{re.escape(name)}|\"{re.escape(name)}\")\s*=", lines[number]) and name:
            return number + 1 + _within(text.splitlines()[number], line)
    return head + 1


def _within(opening: str, line: int) -> int:
    """Return how many lines below its setting a line of a value stands: TOML drops a line break after the quotes."""
    starts_below = opening.rstrip().endswith(('"""', "'''"))
    return line + int(starts_below)
