# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Faults that tests let happen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def raise_after(times: int, error: Exception, do: Callable[..., Any]) -> Callable[..., Any]:
    """Return `do`, which raises `error` once it was called `times` times, and only then."""
    calls = 0

    def count_calls(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == times + 1:
            raise error
        return do(*arguments, **named)

    return count_calls
