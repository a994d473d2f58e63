# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The kinds of destinations. A new one is its settings (`sections/delivery.py`), a file beside this, a line here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from appliance.delivery.destinations.destination import Destination
from appliance.delivery.destinations.dicomweb import DicomWeb
from appliance.delivery.destinations.mail import Mail
from appliance.delivery.destinations.orthanc_sender import OrthancModality, OrthancPeer
from appliance.delivery.destinations.ups import Ups
from appliance.delivery.destinations.webhook import Webhook
from appliance.orthanc import Orthanc
from appliance.sections.delivery import DestinationSection


def _hl7(settings: Any, _orthanc: Orthanc) -> Destination:
    from appliance.delivery.destinations.hl7 import Hl7  # its library takes memory that few sites need

    return Hl7(settings)


BUILDERS: Final[dict[str, Callable[[Any, Orthanc], Destination]]] = {
    "orthanc-modality": OrthancModality,
    "orthanc-peer": OrthancPeer,
    "dicomweb": DicomWeb,
    "webhook": lambda settings, _orthanc: Webhook(settings),
    "hl7": _hl7,
    "ups": lambda settings, _orthanc: Ups(settings),
    "mail": lambda settings, _orthanc: Mail(settings),
}
"""What makes a destination from its settings, by kind."""


def destination(settings: DestinationSection, orthanc: Orthanc) -> Destination:
    """Return the destination that settings describe."""
    return BUILDERS[settings.kind](settings, orthanc)
