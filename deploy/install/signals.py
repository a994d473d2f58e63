# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What signals do to work that must not be left half done: an ssh connection that drops, a `kill`, Ctrl-C.

A signal that is ignored here is ignored by the programs that are started meanwhile, too.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NoReturn

_Handler = signal.Handlers | Callable[..., Any]
_STATUS_OF_A_SIGNAL: Final = 128


@contextmanager
def orderly_end() -> Iterator[None]:
    """Go on when the terminal goes away; raise `SystemExit` on SIGTERM, so that what was begun is taken back."""
    with _handlers({signal.SIGHUP: signal.SIG_IGN, signal.SIGTERM: _exit}):
        yield


@contextmanager
def ignore_signals() -> Iterator[None]:
    """Let neither a terminal that goes away, SIGTERM nor Ctrl-C end this process."""
    with _handlers(dict.fromkeys((signal.SIGHUP, signal.SIGTERM, signal.SIGINT), signal.SIG_IGN)):
        yield


def _exit(number: int, _frame: object) -> NoReturn:
    raise SystemExit(_STATUS_OF_A_SIGNAL + number)


@contextmanager
def _handlers(wanted: dict[signal.Signals, _Handler]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number, handler in wanted.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
