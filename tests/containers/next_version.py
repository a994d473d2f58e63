# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Images of a next version, made of those that were built: a good one, and one that an upgrade must undo.

The broken one keeps the names of the images that run, as two builds of one version do; the good one has its own tag.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final

from deploy.containers.images import IMAGES, PREFIX, image_name
from deploy.install.bundle import sha256
from tests.containers.engine import SHIPPED, podman
from tests.install.broken_version import break_version

_CONTAINERFILE: Final = """FROM {base}
LABEL org.opencontainers.image.version="{label}"
COPY --chown=0:0 appliance /opt/hemorrhage-appliance/appliance
"""
_PARTS: Final = ("compose.nvidia.yaml", "appliance.toml", "hemorrhage-containers.service", "upgrade.sh")


def good_version(out: Path, compose: Path, source: Path, tag: str) -> Path:
    """Return a folder as `make images` leaves one, of the same images by another tag, with another label."""
    return _pack(out, compose, source, tag)


def broken_version(out: Path, compose: Path, source: Path) -> Path:
    """Return a folder with a service that migrates the ledger and never gets ready, by the names of those that run."""
    broken = out / "context" / "appliance"
    shutil.copytree(source / "appliance", broken, ignore=shutil.ignore_patterns("__pycache__"))
    break_version(broken)
    return _pack(out, compose, broken.parent, image_name("service").rpartition(":")[2])


def _pack(out: Path, compose: Path, source: Path, tag: str) -> Path:
    """Write images by their new names and all that lies beside them; the names of before then stand as before."""
    out.mkdir(parents=True, exist_ok=True)
    before = {image_name(kind): podman("image", "inspect", "--format", "{{.Id}}", image_name(kind)) for kind in IMAGES}
    context = out / "context"
    if not context.exists():
        shutil.copytree(source / "appliance", context / "appliance", ignore=shutil.ignore_patterns("__pycache__"))
    file = context / "Containerfile"
    file.write_text(_CONTAINERFILE.format(base=image_name("service"), label=tag))
    podman(
        "build", "--format", "docker", "--quiet", "--file", str(file), "--tag", f"{PREFIX}service:{tag}", str(context)
    )
    for kind in IMAGES[1:]:
        podman("tag", image_name(kind), f"{PREFIX}{kind}:{tag}")
    folder = out / "images"
    folder.mkdir()
    packed = folder / "hemorrhage-images-next.tar"
    names = [f"{PREFIX}{kind}:{tag}" for kind in IMAGES]
    podman("save", "--multi-image-archive", "--output", str(packed), *names)
    for name in names:
        if name not in before:
            podman("untag", name)
    for name, identifier in before.items():
        podman("tag", identifier.strip(), name)
    for name in _PARTS:
        shutil.copy(SHIPPED / name, context / name)
    old = image_name("service").rpartition(":")[2]
    (context / "compose.yaml").write_text(compose.read_text().replace(f":{old}\n", f":{tag}\n"))
    command = ["tar", "-C", str(context), "-czf", str(folder / "compose.tar.gz"), "compose.yaml", *_PARTS]
    subprocess.run(command, check=True)
    listed = [f"{sha256(each)}  {each.name}\n" for each in sorted(folder.iterdir())]
    (folder / "SHA256SUMS").write_text("".join(listed))
    return folder
