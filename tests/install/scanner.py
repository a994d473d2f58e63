# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.install.scanner SETTINGS SECRETS COMMAND ...`: a scanner on the machine's network, which asks it.

Run where the machine's network is, with the machine's own settings; prints JSON.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

import httpx

from appliance.settings import Settings
from appliance.settings_sources import load_settings
from deploy.local.demo import stored_results
from deploy.local.storescu import send

_UNDECIDED_S = 0.5


def send_study(settings: Settings, folder: Path) -> dict[str, Any]:
    """Send every DICOM file of a folder, trying again as a scanner does while the box starts."""
    files = sorted(folder.rglob("*.dcm"))
    begin = time.monotonic()
    tries = 0
    while True:
        tries += 1
        try:
            images = send(files, settings.orthanc)
        except Exception:
            if time.monotonic() - begin > 600:
                raise
            time.sleep(2)
        else:
            return {"images": images, "tries": tries}


def await_answer(settings: Settings, study_uid: str, timeout_s: float) -> dict[str, Any]:
    """Return the service's record of a study once it is answered; keep asking while the box starts."""
    end = time.monotonic() + timeout_s
    seen: dict[str, Any] = {"state": "not known"}
    while time.monotonic() < end:
        try:
            document = _service(settings, "/status?limit=100").json()
            seen = next((study for study in document["studies"] if study["study_uid"] == study_uid), seen)
        except (httpx.HTTPError, ValueError):
            pass
        if seen["state"] in ("done", "refused", "failed"):
            return seen
        time.sleep(_UNDECIDED_S)
    raise RuntimeError(f"the study is {seen['state']} after {timeout_s:.0f} s: {json.dumps(seen)[:2000]}")


def results(settings: Settings, study_uid: str, out: Path) -> dict[str, Any]:
    """Return the result objects of a study in Orthanc, as files by kind."""
    return {name: str(file) for name, file in stored_results(settings.orthanc, study_uid, out).items()}


def counts(settings: Settings) -> dict[str, Any]:
    """Return how many instances Orthanc holds by modality, which they are, and how many studies the service knows.

    Orthanc names an instance by its patient and its three UIDs: the same names are the same instances.
    """
    user = (settings.orthanc.username, settings.orthanc.password)
    found: dict[str, int] = {}
    names: list[str] = []
    with httpx.Client(base_url=settings.orthanc.url, auth=user, timeout=60, trust_env=False) as orthanc:
        for series in orthanc.get("/series?expand").raise_for_status().json():
            modality = series["MainDicomTags"].get("Modality", "")
            found[modality] = found.get(modality, 0) + len(series["Instances"])
            names += series["Instances"]
    studies = _service(settings, "/status?limit=100").json()["studies"]
    which = hashlib.sha256("".join(sorted(names)).encode()).hexdigest()
    return {"instances": found, "which": which, "studies": len(studies)}


def look_with_the_viewer(settings: Settings, study_uid: str) -> dict[str, Any]:
    """Fetch what a browser does to show a study: page, bundle, the study's series by DICOMweb, an image's pixels."""
    page = _service(settings, "/viewer/").text
    script = re.search(r'src="(/viewer/app\.bundle\.\w+\.js)"', page)
    if script is None:
        raise RuntimeError(f"this is not the viewer's page: {page[:500]}")
    _service(settings, script[1])
    study = f"/dicom-web/studies/{study_uid}/series"
    series = {one["00080060"]["Value"][0]: one["0020000E"]["Value"][0] for one in _service(settings, study).json()}
    images = f"{study}/{series['CT']}/instances"
    image = _service(settings, images).json()[0]["00080018"]["Value"][0]
    frame = _service(settings, f"{images}/{image}/frames/1").content
    return {"modalities": sorted(series), "frame_bytes": len(frame)}


def _service(settings: Settings, path: str) -> httpx.Response:
    address = f"http://{settings.service.host}:{settings.service.port}{path}"
    return httpx.get(address, timeout=30, trust_env=False).raise_for_status()


def main(settings_file: str, secrets: str, command: str, *arguments: str) -> Any:
    """Run one command and return what it found."""
    os.environ["APPLIANCE_SECRETS"] = secrets
    settings = load_settings(Path(settings_file))
    if command == "send":
        return send_study(settings, Path(arguments[0]))
    if command == "await":
        return await_answer(settings, arguments[0], float(arguments[1]))
    if command == "results":
        return results(settings, arguments[0], Path(arguments[1]))
    if command == "counts":
        return counts(settings)
    if command == "viewer":
        return look_with_the_viewer(settings, arguments[0])
    raise SystemExit(f"{command}: send, await, results, counts and viewer are the commands")


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
