# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Whether prior head CTs are fetched from the PACS."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, ValidationInfo

from appliance.sections.section import Section


class PriorSettings(Section):
    """Fetching the prior head CT of a patient from the PACS, to compare an answer with (docs/prior.md)."""

    pacs: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{0,64}$")] = Field(
        "",
        description="Name of the PACS in Orthanc (that of orthanc.receivers, or of DicomModalities), which is asked by "
        "C-FIND and sends by C-MOVE; empty: nothing is fetched",
    )
    days: int = Field(365, ge=1, le=36_500, description="A prior is fetched if it was scanned within so many days, d")
    most: int = Field(1, ge=1, le=5, description="Most studies that are fetched for one answer, the newest first")
    most_images: int = Field(
        2000, ge=1, le=100_000, description="A study with more images than this is not fetched, where the PACS says so"
    )


def check_pacs(prior: PriorSettings, known: ValidationInfo) -> PriorSettings:
    """Return the settings if the PACS that they name may send here what it is asked for. Raises `ValueError` otherwise.

    A PACS that is no receiver is one of an Orthanc of the site's own, which is not known here.
    """
    orthanc = known.data.get("orthanc")
    if not prior.pacs or orthanc is None or "*" in orthanc.senders:
        return prior
    title = next(
        (one.partition("=")[2].rpartition("@")[0] for one in orthanc.receivers if one.startswith(f"{prior.pacs}=")), ""
    )
    senders = {one.rpartition("@")[0].casefold() for one in orthanc.senders}
    if title and title.casefold() not in senders:
        allow = f"{title}@ADDRESS"
        raise ValueError(f"pacs = {prior.pacs} sends priors from {title}: orthanc.senders has to allow {allow}")
    return prior
