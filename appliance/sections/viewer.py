# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The settings of the viewer that the service may show."""

from __future__ import annotations

from pydantic import Field

from appliance.allowed import PathName
from appliance.sections.section import Section


class ViewerSettings(Section):
    """The OHIF viewer, an optional part (docs/viewer.md)."""

    folder: PathName | None = Field(
        None,
        description="Folder of the OHIF viewer that `make viewer` lays out; unset: viewer in the state folder, or the "
        "one that came with the installation. Without a viewer there, none is shown",
    )
    requests: int = Field(
        12,
        ge=1,
        le=40,
        description="Most requests of viewers that Orthanc gets at a time; others wait. Orthanc answers 50 in all",
    )
