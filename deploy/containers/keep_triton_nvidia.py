# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m deploy.containers.keep_triton_nvidia`: Triton in NVIDIA's image, with engines that it builds first.

The image's model repository is copied to a volume, where the engine for the GPU that is there is built once (`python -m
conversion engine` builds nothing when the right one exists). The engines of the site's versions are built again when
they are of another driver, GPU or TensorRT, as after a change of the image. Then NVIDIA's server starts with the same
options as the one for a CPU. No GPU has run this yet: the tests run it with a stand-in for the server and for the
builder.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from appliance.errors import ApplianceError, SettingsError, UnavailableError
from appliance.inference.client import THIS_MACHINE
from appliance.inference.server import TritonServer
from appliance.models.shelf import ONNX, PLAN
from appliance.reading.contract import DETECTOR
from appliance.settings_sources import load_settings
from deploy.install.keep_triton import keep

HOME: Final = Path("/opt/hemorrhage-appliance")
ENGINES: Final = Path("/var/lib/hemorrhage-appliance/engines")
SERVER: Final = Path("/opt/tritonserver")
_KEPT: Final = (PLAN, f"{PLAN}.json")
"""What is built on the site and stays when a newer image brings another repository."""
ASIDE: Final = f".{PLAN}.aside"
"""An engine that could not be settled, where Triton does not see it."""


class NvidiaTriton(TritonServer):
    """NVIDIA's server in its own image: its programs and backends lie where that image has them."""

    server = SERVER

    def check(self) -> Path:
        """Return where the server lies. Raises `SettingsError` when it, the models or the profile are not there."""
        if self._settings.host not in THIS_MACHINE:
            raise SettingsError(f"triton.host = {self._settings.host!r}: 127.0.0.1 is allowed in a container")
        self._check_model()
        if not (self.server / "bin/tritonserver").is_file():
            raise SettingsError(f"{self.server} holds no tritonserver; this runs in NVIDIA's image alone")
        return self.server

    def _link_backends(self, packages: Path) -> Path:
        return packages / "backends"

    def _command(self, packages: Path, backends: Path) -> list[str]:
        _, *options = super()._command(packages, backends)
        return [str(packages / "bin/tritonserver"), *options]

    def _environment(self, packages: Path) -> dict[str, str]:  # noqa: ARG002 - theirs need none of ours
        return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "APPLIANCE_"))}


def lay_out_models(shipped: Path, served: Path) -> None:
    """Copy the image's model repository over the one that is served; engines that were built there stay."""
    for file in sorted(path for path in shipped.rglob("*") if path.is_file()):
        target = served / file.relative_to(shipped)
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.name not in _KEPT:
            aside = target.with_name(f".{target.name}.new")
            shutil.copyfile(file, aside)
            aside.replace(target)


def settle_engines(python: Path, served: Path, site_models: Path) -> None:
    """Have the shipped version, and each of the site's that has an engine, served by the right one for this GPU.

    An engine that is right stays. Without one a version is not served: an old engine may be of another file, or its
    graph may have failed the precision gate since.

    Raises `UnavailableError` when no version has one; the builder has said why.
    """
    shipped = served / DETECTOR / "1"
    of_site = sorted(path for path in site_models.glob(f"{DETECTOR}_*/[0-9]*") if _has_engine(path))
    settled = [place for place in (shipped, *of_site) if _settle_engine(python, place)]
    if not settled:
        raise UnavailableError("no engine for this GPU was built; see the lines above")
    for place in (shipped, *of_site):
        if place not in settled:
            print(f"{place} is not served on this GPU: see the lines above", file=sys.stderr)


def _has_engine(place: Path) -> bool:
    return (place / PLAN).is_file() or (place / ASIDE).is_file()


def _settle_engine(python: Path, place: Path) -> bool:
    """Return whether a version folder has the right engine; one that cannot be settled is put aside until it can."""
    plan, aside = place / PLAN, place / ASIDE
    if aside.is_file() and not plan.is_file():
        aside.replace(plan)
    command = [str(python), "-m", "conversion", "engine", "--onnx", str(place / ONNX), *_options(place)]
    if subprocess.run(command, check=False).returncode == 0:
        return True
    if plan.is_file():
        plan.replace(aside)
    return False


def _options(place: Path) -> list[str]:
    """Return the options with which the engine in a version folder was built; none without an engine."""
    try:
        options = json.loads((place / f"{PLAN}.json").read_text())["key"]["options"]
        return [
            f"--{name.replace('_', '-')}={options[name]}" for name in ("precision", "optimisation", "workspace_mib")
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def main() -> int:
    """Build what is missing and keep the server; return the exit status."""
    try:
        settings = load_settings()
        served = settings.triton.model_repository
        if settings.triton.profile == "cpu":
            raise SettingsError("triton.profile = 'cpu': gpu or gpu-datacentre is allowed in this image")
        lay_out_models(HOME / "model_repository", served)
        settle_engines(settings.triton.builder or Path(sys.executable), served, settings.site_models)
    except (ApplianceError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return keep(settings, NvidiaTriton)


if __name__ == "__main__":
    sys.exit(main())
