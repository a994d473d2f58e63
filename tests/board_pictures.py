# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.board_pictures`: pictures of the board for the documents, by day and by night.

Simulated patients go through a real Orthanc, Triton and service; the pictures are what a reader's browser shows.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Final

import typer

from appliance.sections.delivery import DeliverySettings
from appliance.settings import Settings
from deploy.local.appliance import LocalAppliance
from deploy.local.ports import with_free_ports
from simulator.diagnosis import Diagnosis
from simulator.population import CLEAR
from simulator.series import SeriesKind
from simulator.study import StudySpec
from simulator.vendors import VendorName
from tests.browser import chromium, tab
from tests.end_to_end.patient import Patient
from tests.end_to_end.running import Running, until

DOCS: Final = Path(__file__).parents[1] / "docs"
_SLICES: Final = 20
_SPACING_MM: Final = 8.0
_PART: Final = 6


def _spec(seed: int, diagnosis: Diagnosis, volume_ml: float | None) -> StudySpec:
    return StudySpec(
        seed,
        diagnosis,
        volume_ml=volume_ml,
        slices=_SLICES,
        spacing_mm=_SPACING_MM,
        vendor=VendorName.NORTHWAY,  # its patients have names that every machine has letters for
        population=CLEAR.name,
    )


def main(out: Annotated[Path, typer.Option(help="Where the pictures go")] = DOCS) -> None:
    """Send some studies, judge one, and write board.png, board-night.png and board-study.png."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = with_free_ports(Settings(), folder / "stack")
        intake = settings.intake.model_copy(update={"incomplete_s": 4.0, "ends_s": 4.0})
        zone = DeliverySettings(time_zone="Europe/Vienna")
        with LocalAppliance(settings.model_copy(update={"intake": intake, "delivery": zone})) as local:
            running = Running(local)
            studies = _send_all(running, folder)
            with chromium() as browser, tab(browser, local.service.url, color_scheme="light") as (view, _):
                view.goto(f"/studies/{studies[0]}")
                view.get_by_role("button", name="Agree", exact=True).click()
                view.get_by_text("agreed", exact=True).first.wait_for()
                for path, name in (("/", "board"), (f"/studies/{studies[1]}", "board-study")):
                    view.goto(path)
                    view.wait_for_load_state("networkidle")
                    view.screenshot(path=out / f"{name}.png")
                view.emulate_media(color_scheme="dark")
                view.goto("/")
                view.wait_for_load_state("networkidle")
                view.screenshot(path=out / "board-night.png")
    for name in ("board", "board-study", "board-night"):  # the servers of the appliance keep what is theirs private
        (out / f"{name}.png").chmod(0o644)


def _send_all(running: Running, folder: Path) -> list[str]:
    """Send a night's studies; return Orthanc's identifiers of those with a hemorrhage, in the order they came."""
    found = []
    for number, (diagnosis, volume_ml) in enumerate(
        [
            (Diagnosis.IPH, 18.0),
            (Diagnosis.NONE, None),
            (Diagnosis.NONE, None),
            (Diagnosis.SAH, 25.0),
            (Diagnosis.EDH_SDH, 60.0),
        ]
    ):
        written = Patient(_spec(7100 + number, diagnosis, volume_ml)).study(folder / str(number))
        files = sorted(written.files[SeriesKind.AXIAL])
        if number == 2:  # the rest of this head never comes
            files = files[:_PART]
        running.send(files)
        uid = written.truth.study_uid
        until(lambda uid=uid: running.study(uid)["state"] in ("done", "refused"), lambda uid=uid: running.study(uid))
        if running.study(uid)["present"]:
            found.append(running.orthanc_study(uid) or "")
    return found


if __name__ == "__main__":
    typer.run(main)
