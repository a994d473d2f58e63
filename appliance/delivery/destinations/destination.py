# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What every destination has: it takes a parcel and confirms it, and it can be tested without one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from appliance.delivery.variables import Situation
from appliance.errors import ApplianceError
from appliance.ledger.records import Delivery


class AwayError(ApplianceError):
    """Nobody accepts anything there now: the destination's deliveries wait."""


class NotTakenError(ApplianceError):
    """The destination answered and did not accept this delivery; it may do so later."""


class UnfinishedError(ApplianceError):
    """The destination has taken a part of this delivery, or still works at it.

    It is called again after the usual pause, with `handle` (at most 120 characters) in the delivery; others may pass.
    """

    def __init__(self, message: str, handle: str) -> None:
        super().__init__(message)
        self.handle = handle


class RejectedError(ApplianceError):
    """The destination will never accept this delivery."""


class StoppingError(ApplianceError):
    """The service stops; `handle` is the destination's name of the transfer that continues without it."""

    def __init__(self, handle: str = "") -> None:
        super().__init__("the service stops")
        self.handle = handle


@dataclass(frozen=True)
class Parcel:
    """What is delivered.

    Attributes
    ----------
    delivery
        Its entry in the outbox.
    situation
        The answer and what is known about it.
    instances
        Orthanc's identifiers of the objects to send, the report first; none for a message.
    replaces
        SOP Instance UID of the older report that this answer replaces; empty for none.
    note
        Stores the destination's name of the transfer, so that the service can ask for it after a restart.
    go_on
        Call this at each step of something long: it renews the lease. Raises `StoppingError`.
    corrects
        Whether this destination has, or may have, an older answer that this one takes the place of.
    earlier
        What this destination got, or may have got, about the study before, the oldest first.
    complain
        Logs and counts that a part of the delivery, though the rest was confirmed, will never arrive, and why.
    """

    delivery: Delivery
    situation: Situation
    instances: tuple[str, ...]
    replaces: str = ""
    note: Callable[[str], None] = lambda _handle: None
    go_on: Callable[[], None] = lambda: None
    complain: Callable[[str], None] = lambda _why: None
    corrects: bool = False
    earlier: tuple[Delivery, ...] = ()


class Destination(Protocol):
    """One destination. `deliver` and `test` are called from one thread at a time each."""

    def deliver(self, parcel: Parcel) -> str:
        """Deliver a parcel and return how the destination confirmed it.

        Raises `AwayError`, `NotTakenError`, `UnfinishedError`, `RejectedError` or `StoppingError`.
        """
        ...

    def test(self) -> str:
        """Return a sentence about the destination, without delivering anything. Raises `AwayError`."""
        ...


def secret_in(file: Path | None) -> str:
    """Return the secret in a file, without its line end; empty for no file.

    It is read at each use, so a changed secret needs no restart. Raises `AwayError` when it cannot be read.
    """
    if file is None:
        return ""
    try:
        secret = file.read_text().rstrip("\r\n")
    except (OSError, UnicodeError) as error:
        raise AwayError(f"{file}: cannot be read ({type(error).__name__}); check its rights") from None
    if not secret:
        raise AwayError(f"{file}: it is empty, and a secret is to stand in it")
    return secret
