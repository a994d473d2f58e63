# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Whether the viewer is there and gets images."""

from __future__ import annotations

from collections.abc import Iterator

from appliance.doctor.check import Check
from appliance.errors import ApplianceError
from appliance.orthanc import Orthanc
from appliance.settings import Settings
from appliance.web.viewer import installed_version

_PLUGIN = "dicom-web"


def check_viewer(settings: Settings) -> Iterator[Check]:
    """Check the viewer's folder and Orthanc's DICOMweb plugin; without a viewer there is nothing to check."""
    folder = settings.viewer_folder
    version = installed_version(folder)
    if not version:
        if settings.viewer.folder is not None:
            yield Check(
                "viewer",
                "fail",
                f"viewer.folder = {folder}: there is no viewer, or a part of one",
                "lay it out with `make viewer`, or remove the setting",
            )
        return
    orthanc = Orthanc(settings.orthanc)
    try:
        has_plugin = _PLUGIN in orthanc.plugins()
    except ApplianceError:
        return  # the check of Orthanc says so
    finally:
        orthanc.close()
    if has_plugin:
        yield Check("viewer", "ok", f"OHIF {version} in {folder}")
    else:
        yield Check(
            "viewer",
            "fail",
            f"OHIF {version} is in {folder}, and Orthanc has no DICOMweb plugin, so that no image would show",
            "install Debian's orthanc-dicomweb and restart Orthanc",
        )
