# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The Tritons that may be used, and the connection to the present one.

If one does not answer, or not rightly, the next is used; one that lacks the wanted version hands over to one that has
it. The first is tried again after a pause, which doubles each time it fails before it has read a study.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

import structlog
from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from appliance.inference.client import endpoints, is_live, triton_client
from appliance.sections.triton import TritonSettings

_FIRST_AGAIN_S: Final = 30.0
"""How long after a failover the first Triton is tried again, s; doubled each time it fails before it has read a
study."""
_OTHERS_AGAIN_S: Final = 30.0
"""The pause before the others are asked again for a model that the present Triton lacks, s; doubled each time that one
of them takes over and fails before it has read a study."""
_LONGEST_PAUSE_S: Final = 900.0
_LIVE_TIMEOUT_S: Final = 1.0
CHANNEL: Final = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # Each client has its own connections, so that a new one does not inherit the pauses after a failure.
    ("grpc.use_local_subchannel_pool", 1),
    # A hospital's web proxy does not reach a model server.
    ("grpc.enable_http_proxy", 0),
]
"""gRPC's options of a connection to a Triton."""
Asks = Callable[[TritonSettings, InferenceServerClient], bool]
"""Asks a Triton that is live something; may raise `InferenceServerException`."""


class Tritons:
    """The Tritons of the settings; the first one is preferred.

    Parameters
    ----------
    settings
        Where they are.
    leave
        Called before a change to another Triton, while the connection to the present one still exists.
    note_away
        Called with the settings of a Triton that is found not to be live: it may be started anew.
    clock
        Monotonic seconds.

    Attributes
    ----------
    settings
        Those of the present Triton.
    client
        The connection to it.
    first_left
        Why the first one is not the present one; empty when it is.
    """

    def __init__(
        self,
        settings: TritonSettings,
        leave: Callable[[], None],
        note_away: Callable[[TritonSettings], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._endpoints = endpoints(settings)
        self._leave = leave
        self._note_away = note_away
        self._clock = clock
        self._at = 0
        self._first_again_at = 0.0
        self._first_pause_s = _FIRST_AGAIN_S
        self._others_again_at = 0.0
        self._others_pause_s = _OTHERS_AGAIN_S
        self.first_left = ""
        self._log = structlog.get_logger("detector")
        self.settings = self._endpoints[0]
        self.client = triton_client(self.settings, CHANNEL)

    def __len__(self) -> int:
        return len(self._endpoints)

    @property
    def address(self) -> str:
        """Host and gRPC port of the present Triton."""
        return f"{self.settings.host}:{self.settings.grpc_port}"

    def reconnect(self) -> None:
        """Make a new connection, because a failed one answers from memory for a while."""
        self.client.close()
        self.client = triton_client(self.settings, CHANNEL)

    def move_on(self, why: str) -> None:
        """Change to the next Triton, if there is one."""
        if len(self) == 1:
            return
        self._leave_for((self._at + 1) % len(self), why)

    def list_others(self) -> tuple[TritonSettings, ...]:
        """Return the settings of the other Tritons, if it is time to ask them for what the present one lacks.

        The first one is not among them while it was left a short time ago.
        """
        now = self._clock()
        if now < self._others_again_at:
            return ()
        self._others_again_at = now + self._others_pause_s
        left = self._endpoints[:1] if now < self._first_again_at else ()
        return tuple(one for one in self._endpoints if one is not self.settings and one not in left)

    def hand_over(self, others: Sequence[TritonSettings], has: Asks, why: str) -> bool:
        """Change to the first of these that has what the present one lacks, if there is one; return whether."""
        for other in others:
            if self._says_yes(other, has):
                self._others_again_at = self._clock() + self._others_pause_s
                self._others_pause_s = min(2 * self._others_pause_s, _LONGEST_PAUSE_S)
                self._leave_for(self._endpoints.index(other), why)
                return True
        return False

    def go_back(self, is_no_worse: Asks) -> None:
        """Change back to the first Triton if it is time, it is live, and what it has is no worse.

        Whether its answers are right is seen when it is asked.
        """
        if not self._at or self._clock() < self._first_again_at:
            return
        self._first_again_at = self._clock() + self._first_pause_s
        if self._says_yes(self._endpoints[0], is_no_worse):
            self._turn_to(0)
            self._log.info("the first Triton is asked again", address=self.address)

    def note_read(self) -> None:
        """Learn that the present Triton has read a study: should it be left again, the pauses begin anew."""
        if self._at == 0:
            self._first_pause_s = _FIRST_AGAIN_S
        else:
            self._others_pause_s = _OTHERS_AGAIN_S

    def close(self) -> None:
        """Close the connection."""
        self.client.close()

    def _leave_for(self, at: int, why: str) -> None:
        if self._at == 0:
            self.first_left = f"Triton at {self.address} was left: {why}"
            self._first_again_at = self._clock() + self._first_pause_s
            self._first_pause_s = min(2 * self._first_pause_s, _LONGEST_PAUSE_S)
        self._turn_to(at)
        self._log.warning("another Triton is asked", address=self.address, why=why)

    def _turn_to(self, at: int) -> None:
        self._leave()
        self._at = at
        self.settings = self._endpoints[at]
        if at == 0:
            self.first_left = ""
        self.reconnect()

    def _says_yes(self, triton: TritonSettings, asks: Asks) -> bool:
        client = triton_client(triton, CHANNEL)
        try:
            if is_live(client, _LIVE_TIMEOUT_S):
                return asks(triton, client)
            self._note_away(triton)
            return False
        except InferenceServerException:
            return False
        finally:
            client.close()
