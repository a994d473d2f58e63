# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.end_to_end.viewer_pictures`: the pictures of docs/viewer.md, from an appliance started for them.

The patient is simulated, with an intraparenchymal hemorrhage of 50 mL.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from appliance.settings import Settings
from appliance.web.viewer import study_link
from deploy.local.appliance import LocalAppliance
from deploy.local.ports import with_free_ports
from deploy.local.service import ROOT
from deploy.viewer.fetch import fetch, lay_out
from simulator.diagnosis import Diagnosis
from simulator.population import CLEAR
from simulator.study import StudySpec
from tests.end_to_end.ohif import Ohif, browser_page
from tests.end_to_end.patient import Patient
from tests.end_to_end.running import Running

PATIENT = StudySpec(7001, Diagnosis.IPH, volume_ml=50, slices=32, spacing_mm=5.0, population=CLEAR.name)


def main(out: Path = ROOT / "docs") -> None:
    """Write the pictures."""
    with tempfile.TemporaryDirectory() as folder:
        settings = with_free_ports(Settings(), Path(folder) / "state")
        lay_out(fetch(ROOT / "var/bundle/cache"), settings.state_dir / "viewer")
        with LocalAppliance(settings) as local, browser_page() as page:
            running, ohif = Running(local), Ohif(page)
            study = Patient(PATIENT).study(Path(folder) / "study")
            running.send(study.all_files)
            running.answered(study.truth.study_uid)
            segmentation = running.stored(study.truth.study_uid).segmentation
            link = study_link(study.truth.study_uid, str(segmentation.SeriesInstanceUID))
            ohif.open(local.service.url + link)
            ohif.until_coloured()
            most = max(study.truth.slices, key=lambda one: sum(one.volumes_ml.values()))
            ohif.scroll_to(most.sop_instance_uid)
            ohif.until_coloured()
            page.screenshot(path=out / "viewer-masks.png")
            ohif.open_report()
            page.wait_for_timeout(2_000)  # until nothing moves any more
            page.screenshot(path=out / "viewer-report.png")


if __name__ == "__main__":
    main()
