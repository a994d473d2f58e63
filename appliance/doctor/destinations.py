# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Whether each destination of the rules would take something now, tried without sending anything."""

from __future__ import annotations

from collections.abc import Iterator

from appliance.delivery.destinations.destination import AwayError
from appliance.delivery.destinations.registry import destination
from appliance.doctor.check import PATIENCE_S, Check
from appliance.orthanc import Orthanc
from appliance.settings import Settings


def check_destinations(settings: Settings) -> Iterator[Check]:
    """Try each destination."""
    if not settings.destinations:
        return
    patience_s = min(settings.orthanc.timeout_s, 2 * PATIENCE_S)
    orthanc = Orthanc(settings.orthanc.model_copy(update={"timeout_s": patience_s}))
    try:
        for name, section in settings.destinations.items():
            impatient = section.model_copy(update={"timeout_s": min(section.timeout_s, PATIENCE_S)})
            try:
                yield Check(f"destination {name}", "ok", destination(impatient, orthanc).test())
            except AwayError as error:
                yield Check(
                    f"destination {name}",
                    "fail",
                    str(error),
                    f"see destinations.{name} in the settings, and the system itself; what waits is delivered once it "
                    "answers (`appliance outbox list`)",
                )
    finally:
        orthanc.close()
