# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What signals do to work that must not be left half done: a dropped ssh connection, a `kill`, Ctrl-C.

Programs that are started while a signal is ignored ignore it too.
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
    """Continue when the terminal goes away; raise `SystemExit` on SIGTERM, so that the work is undone."""
    with _handlers({signal.SIGHUP: signal.SIG_IGN, signal.SIGTERM: _exit}):
        yield


@contextmanager
def ignore_signals() -> Iterator[None]:
    """Keep this process running when the terminal goes away, and on SIGTERM and Ctrl-C."""
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
