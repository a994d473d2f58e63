# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Whether the PACS that priors are fetched from answers a query, where the site has any fetched."""

from __future__ import annotations

from collections.abc import Iterator

from appliance.doctor.check import PATIENCE_S, Check
from appliance.errors import ApplianceError
from appliance.orthanc import Orthanc
from appliance.prior.retrieve import try_query
from appliance.settings import Settings


def check_prior(settings: Settings) -> Iterator[Check]:
    """Ask the PACS for a patient whom it cannot have."""
    pacs = settings.prior.pacs
    if not pacs:
        return
    patience_s = min(settings.orthanc.timeout_s, 2 * PATIENCE_S)
    orthanc = Orthanc(settings.orthanc.model_copy(update={"timeout_s": patience_s}))
    try:
        try_query(orthanc, pacs)
    except ApplianceError as error:
        yield Check(
            "priors",
            "fail",
            f"the PACS ({pacs}) cannot be asked for priors: {error}",
            "see prior.pacs and orthanc.receivers; the PACS has to know the AE title "
            f"{settings.orthanc.aet}, and to allow it C-FIND and C-MOVE",
        )
    else:
        yield Check("priors", "ok", f"the PACS ({pacs}) answers queries; whether it sends priors, the first one shows")
    finally:
        orthanc.close()
