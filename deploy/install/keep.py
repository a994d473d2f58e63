# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Keeps one server that knows nothing of systemd: starts it, reports when it answers, and confirms it while it does.

If the server ends, its keeper ends too, and if it no longer answers, the confirmations stop; in both cases systemd
restarts the unit.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from typing import Final

from appliance.errors import ApplianceError, UnavailableError
from appliance.private import be_private
from appliance.systemd import READY, STOPPING, be_watched, notify
from deploy.local.answering import Asked

_LOOKED_AT_EVERY_S: Final = 0.2


class Kept:
    """A server to keep.

    Parameters
    ----------
    name
        What people call it.
    start
        Starts it; raises `ApplianceError` when that fails.
    stop
        Ends it in order.
    ended
        Returns its exit status, None while it runs.
    asked
        Asks it; returns why it does not answer.
    starting_s
        Longest wait for its first answer, s.
    """

    def __init__(
        self,
        name: str,
        start: Callable[[], None],
        stop: Callable[[], None],
        ended: Callable[[], int | None],
        asked: Asked,
        starting_s: float,
    ) -> None:
        self._name = name
        self._start = start
        self._stop = stop
        self._ended = ended
        self._asked = asked
        self._starting_s = starting_s
        self._stopping = threading.Event()

    def keep(self) -> int:
        """Run it until it ends (1) or SIGTERM comes (0)."""
        be_private()
        signal.signal(signal.SIGTERM, self._stop_on_signal)
        try:
            self._start()
            self._await_answer()
            notify(READY)
            threading.Thread(target=self._give_signs, daemon=True).start()
            while not self._stopping.wait(_LOOKED_AT_EVERY_S):
                status = self._ended()
                if status is not None:
                    self._say(f"ended with status {status}")
                    return 1
            return 0
        except ApplianceError as error:
            self._say(str(error))
            return 1
        finally:
            self._stopping.set()
            notify(STOPPING)
            self._stop()

    def _stop_on_signal(self, *_: object) -> None:
        if not self._stopping.is_set():
            self._stopping.set()
            raise SystemExit(0)  # even out of a start that waits

    def _await_answer(self) -> None:
        waited_s = 0.0
        while fault := self._asked():
            if self._ended() is not None:
                return  # the loop reports it
            if waited_s > self._starting_s:
                raise UnavailableError(f"gives no answer after {self._starting_s:.0f} s: {fault}")
            self._stopping.wait(_LOOKED_AT_EVERY_S)
            waited_s += _LOOKED_AT_EVERY_S

    def _give_signs(self) -> None:
        be_watched(self._asked, self._stopping, self._say)

    def _say(self, sentence: str) -> None:
        print(f"{self._name}: {sentence}", file=sys.stderr, flush=True)
