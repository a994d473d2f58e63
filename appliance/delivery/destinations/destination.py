# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What every destination is: something that takes a parcel and says that it did, and that can be tried without one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from appliance.delivery.variables import Situation
from appliance.errors import ApplianceError
from appliance.ledger.records import Delivery


class AwayError(ApplianceError):
    """Nobody takes anything there now: the destination's deliveries wait."""


class NotTakenError(ApplianceError):
    """The destination answered and did not take this one; it may later."""


class RejectedError(ApplianceError):
    """The destination will never take this one."""


class StoppingError(ApplianceError):
    """The service stops; `handle` is what the destination calls the transfer that goes on without it."""

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
        SOP Instance UID of the older report that this answer takes the place of; empty for none.
    note
        Keeps what the destination calls the transfer, so that another life of the service asks for it.
    go_on
        To be called at each step of something long: it renews the lease. Raises `StoppingError`.
    """

    delivery: Delivery
    situation: Situation
    instances: tuple[str, ...]
    replaces: str = ""
    note: Callable[[str], None] = lambda _handle: None
    go_on: Callable[[], None] = lambda: None


class Destination(Protocol):
    """One destination. `deliver` and `test` are called from one thread at a time each."""

    def deliver(self, parcel: Parcel) -> str:
        """Deliver a parcel and return how the destination confirmed it.

        Raises `AwayError`, `NotTakenError`, `RejectedError` or `StoppingError`.
        """
        ...

    def test(self) -> str:
        """Return what was seen of the destination, without delivering anything. Raises `AwayError`."""
        ...


def secret_in(file: Path | None) -> str:
    """Return the secret that stands in a file, without the end of its line; empty for no file.

    Read at each use: a secret that is changed needs no restart. Raises `AwayError` when it cannot be read.
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
