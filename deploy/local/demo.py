# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`make demo`: three simulated patients are scanned, sent to Orthanc by C-STORE, and answered; then all is stopped.

The first study bleeds, the second does not, the third bleeds too and comes with scouts, a bone kernel and coronal
reformats beside its axial soft-tissue series. Exit 0 only if each got an answer, the right series was read, and
bleeding was found where there is some. The heads are clear ones, each with an acute bleed or none and nothing that
mimics blood. The network errs on such heads too, and it may take blood for another type. So a wrong answer does not
prove a broken part; `benchmarks.smoke` reads more heads and would show one. Types and volumes are shown beside the
simulated ones and remarked on, but not judged.
"""

from __future__ import annotations

import itertools
import time
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from appliance.errors import ApplianceError
from appliance.reading.contract import TYPES
from appliance.results.facts import lesion_detail, lesion_headline
from appliance.results.kinds import KEY_IMAGES, KEY_OBJECTS, SEG, SR
from appliance.results.report import RESULT_TYPES
from appliance.sections.orthanc import OrthancSettings
from appliance.settings import Settings
from appliance.settings_sources import load_settings
from deploy.local.appliance import LocalAppliance
from deploy.local.ports import with_free_ports
from deploy.local.storescu import send
from simulator.diagnosis import Diagnosis
from simulator.population import CLEAR
from simulator.series import SeriesKind
from simulator.study import StudySpec, WrittenStudy, write_study

BESIDE = (SeriesKind.AXIAL, SeriesKind.BONE, SeriesKind.CORONAL, SeriesKind.SCOUT)
MOST_REASONS = 4
KINDS = {type_.kind.modality: type_.kind for type_ in RESULT_TYPES}
# A table of five columns needs more than the 80 characters of a pipe or a log.
console = Console(width=max(Console().width, 120))


@dataclass(frozen=True)
class Patient:
    """One simulated patient of the demo: the name, and the study to simulate."""

    who: str
    spec: StudySpec


def patients(seed: int) -> tuple[Patient, ...]:
    """Return the demo's three patients for `seed`; no seed gives studies that the network was trained on."""
    first = 10_000_000 + 3 * seed
    clear = CLEAR.name
    bleeding, other = (Diagnosis(TYPES[(seed + turn) % len(TYPES)]) for turn in (0, 1))
    return (
        Patient("with a hemorrhage", StudySpec(first, bleeding, volume_ml=35, population=clear, new_uids=True)),
        Patient("without one", StudySpec(first + 1, Diagnosis.NONE, population=clear, new_uids=True)),
        Patient(
            "with a full study",
            StudySpec(first + 2, other, volume_ml=45, series=BESIDE, population=clear, new_uids=True),
        ),
    )


def faults(written: WrittenStudy, study: dict[str, Any]) -> list[str]:
    """Return what is wrong with the service's record of a study, in sentences."""
    truth = written.truth
    wrong = []
    if study["state"] != "done":
        wrong.append(f"its state is {study['state']}")
    bleeds = truth.type != "none"
    if study.get("present") is not bleeds:
        wrong.append(
            f"it {'bleeds' if bleeds else 'does not bleed'}, and the answer is present={study.get('present')}: "
            "the network erred, as it does now and then on clear heads too, or a part is broken"
        )
    if (study.get("series") or {}).get("uid") != truth.series_uid:
        wrong.append("another series than the axial soft-tissue one was read")
    return wrong


def remarks(written: WrittenStudy, study: dict[str, Any]) -> list[str]:
    """Return remarks about a right answer, in sentences: blood that was given another type."""
    volumes: dict[str, float] = {}
    for lesion in study.get("lesions") or ():
        volumes[lesion["type"]] = volumes.get(lesion["type"], 0.0) + lesion["volume_ml"]
    simulated = written.truth.type
    if simulated == "none" or not volumes:
        return []
    most = max(volumes, key=lambda type_: volumes[type_])
    if most == simulated:
        return []
    found = sum(volumes.values())
    return [
        f"its blood is {simulated}, and {volumes[most]:.0f} of the {found:.0f} mL found are called {most}: "
        "the network is less sure of types than of blood"
    ]


def stored_results(settings: OrthancSettings, study_uid: str, out: Path) -> dict[str, Path]:
    """Fetch the answer's objects of a study from Orthanc into `out` and return their files by kind."""
    out.mkdir(parents=True, exist_ok=True)
    files: dict[str, Path] = {}
    user = (settings.username, settings.password) if settings.username else None
    with httpx.Client(base_url=settings.url, auth=user, timeout=30, trust_env=False) as orthanc:
        found = orthanc.post("/tools/lookup", content=study_uid).raise_for_status().json()
        for series in orthanc.get(f"{found[0]['Path']}/series").raise_for_status().json():
            kind = KINDS.get(series["MainDicomTags"].get("Modality", ""))
            if kind is None or not series["MainDicomTags"].get("SeriesNumber", "").startswith("9"):
                continue
            for instance in series["Instances"]:
                data = orthanc.get(f"/instances/{instance}/file").raise_for_status().content
                name = kind.named(1 + sum(name.startswith(f"{kind.name}-") for name in files))
                files[name] = out / f"{name}.dcm"
                files[name].write_bytes(data)
                if kind is KEY_IMAGES:
                    preview = orthanc.get(f"/instances/{instance}/preview", headers={"Accept": "image/png"})
                    files[name].with_suffix(".png").write_bytes(preview.raise_for_status().content)
    return files


def wait_for_answers(service_url: str, uids: set[str], timeout_s: float = 180) -> dict[str, dict[str, Any]]:
    """Return the service's record of each study once all are decided, or what it has after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    records: dict[str, dict[str, Any]] = {}
    while time.monotonic() < deadline:
        document = httpx.get(f"{service_url}/status", timeout=10, trust_env=False).raise_for_status().json()
        records = {study["study_uid"]: study for study in document["studies"] if study["study_uid"] in uids}
        if set(records) == uids and all(study["state"] in {"done", "refused", "failed"} for study in records.values()):
            break
        time.sleep(0.2)
    return records


def answers_table(shown: list[tuple[Patient, WrittenStudy, dict[str, Any]]]) -> Table:
    """Return the table of what came back."""
    table = Table("study", "series picked and why", "answer", "lesions", "turnaround and its steps", show_lines=True)
    for patient, written, study in shown:
        truth = written.truth
        really = "none" if truth.type == "none" else f"{truth.type} {truth.volume_ml:.1f} mL"
        table.add_row(
            f"{patient.who}\n[dim]simulated: {really}[/dim]",
            _series_cell(study.get("series"), len(written.all_files)),
            _answer_cell(study),
            "\n".join(f"{lesion_headline(lesion)} ({lesion_detail(lesion)})" for lesion in study["lesions"]),
            _turnaround_cell(study),
        )
    return table


def _series_cell(series: dict[str, Any] | None, images: int) -> str:
    if series is None:
        return "none"
    named = escape(series["description"]) or "(no description)"
    why = ", ".join(series["reasons"][:MOST_REASONS])
    return f"{named}: {series['slices']} of {images} images\n[dim]{escape(why)}[/dim]"


def _answer_cell(study: dict[str, Any]) -> str:
    if study["present"] is None:
        return "not read\n" + ", ".join(refusal["code"] for refusal in study["refusals"])
    answer = "[red]hemorrhage[/red]" if study["present"] else "[green]none found[/green]"
    return f"{answer}\nprobability {study['probability']:.3f}"


def _turnaround_cell(study: dict[str, Any]) -> str:
    if study["turnaround_s"] is None:
        return ""
    steps = ", ".join(f"{name} {ms:.0f}" for name, ms in study["timing_ms"].items())
    return f"{study['turnaround_s']:.2f} s\n[dim]{steps} ms[/dim]"


def run(seed: int, out: Path) -> bool:
    """Run the demo; return whether each study got the right kind of answer."""
    settings = with_free_ports(load_settings(), out / "state")
    with ProcessPoolExecutor(max_workers=3) as scanners:  # patients are scanned while the servers start
        scans = [
            (patient, scanners.submit(write_study, patient.spec, out / "studies" / str(patient.spec.seed)))
            for patient in patients(seed)
        ]
        with LocalAppliance(settings) as started:
            sent, records = collect_answers(started.settings, scans)
            results = {
                study.truth.study_uid: stored_results(
                    started.settings.orthanc, study.truth.study_uid, out / "answers" / str(patient.spec.seed)
                )
                for patient, study in sent
            }
    shown = [(patient, study, records.get(study.truth.study_uid)) for patient, study in sent]
    console.print(answers_table([(patient, study, record) for patient, study, record in shown if record is not None]))
    good = True
    for patient, study, record in shown:
        wrong = ["no answer came"] if record is None else faults(study, record)
        kinds = set(results[study.truth.study_uid])
        wanted = {SR.name, KEY_OBJECTS.name, *((SEG.name,) if study.truth.type != "none" else ())}
        wrong += [f"Orthanc has no {kind} of it" for kind in sorted(wanted - kinds)]
        for sentence in wrong:
            console.print(f"patient {patient.who}: {sentence}", style="red", markup=False, highlight=False)
        for sentence in remarks(study, record or {}):
            console.print(f"patient {patient.who}: {sentence}", style="yellow", markup=False, highlight=False)
        good &= not wrong
    if not good:
        console.print("`.venv/bin/python -m benchmarks.smoke` reads more heads: a broken part shows in all of them")
    console.print(f"SR, SEG and key images (PNG too): {out / 'answers'}", highlight=False)
    console.print("All that was started has been stopped; `make up` keeps it running.")
    console.print("simulated patients, weights trained on simulated scans: for testing and research", style="dim")
    return good


def collect_answers(
    settings: Settings, scans: list[tuple[Patient, Future[WrittenStudy]]]
) -> tuple[list[tuple[Patient, WrittenStudy]], dict[str, dict[str, Any]]]:
    """Send each patient's study as soon as it is scanned; return the studies and the service's record of each."""
    service_url = f"http://{settings.service.host}:{settings.service.port}"
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    sent: list[tuple[Patient, WrittenStudy]] = []
    with Progress(*columns, console=console, transient=True) as progress:
        console.print(f"Orthanc, Triton and the service are up; the board is {service_url}", soft_wrap=True)
        for patient, scan in scans:
            doing = progress.add_task(f"scanning a simulated patient {patient.who}")
            study = scan.result()
            images = send(study.all_files, settings.orthanc)
            sent.append((patient, study))
            progress.remove_task(doing)
            console.print(f"sent {images} images of a patient {patient.who} by C-STORE to {settings.orthanc.aet}")
        progress.add_task("waiting for the answers")
        return sent, wait_for_answers(service_url, {study.truth.study_uid for _, study in sent})


def main(
    seed: Annotated[int, typer.Option(help="Which patients; any number")] = 1,
    out: Annotated[
        Path | None, typer.Option(help="Where studies and answers go; else a new folder under var/demo/")
    ] = None,
) -> None:
    """Send three simulated studies through a real Orthanc and a real Triton, and show what comes back."""
    folder = out or next(
        path for number in itertools.count(1) if not (path := Path("var/demo") / f"{seed}-{number}").exists()
    )
    folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    try:
        good = run(seed, folder)
    except ApplianceError as error:
        console.print(str(error), style="red", markup=False, highlight=False)
        raise typer.Exit(1) from error
    console.print(f"{'right' if good else 'WRONG'} in {time.monotonic() - started:.0f} s")
    raise typer.Exit(0 if good else 1)


if __name__ == "__main__":
    typer.run(main)
