# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Builds the images of the appliance with podman, and writes each as one file with its checksum and parts list.

The build context is what a bundle holds (`deploy.install.bundle`): the tracked files of this checkout, the Python
packages by the hashes of the locks, and Debian's packages. So only the base image comes from elsewhere: Debian's from a
registry, or one that is made of a folder that `debootstrap` has filled.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from appliance import __version__
from appliance.errors import UnavailableError
from deploy.containers.parts_list import parts_list, viewer_part
from deploy.install.bundle import ROOT, lay_out, sha256, version_of
from deploy.viewer import fetch as viewer

BASE: Final = "docker.io/library/debian:12-slim"
IMAGES: Final = ("service", "triton", "orthanc")
"""The stages of the Containerfile that become images, in the order in which they build on each other."""
PREFIX: Final = "localhost/hemorrhage-"
CONTAINERFILE: Final = Path("deploy/containers/Containerfile")


@dataclass(frozen=True)
class Image:
    """An image that was built: its name, its id, its size unpacked (bytes), and how long building it took, s."""

    name: str
    identifier: str
    size: int
    seconds: float


def image_name(kind: str, tag: str = __version__) -> str:
    """Return the name of an image with its tag."""
    return f"{PREFIX}{kind}:{tag}"


def podman(*arguments: str | Path) -> str:
    """Return the output of podman. Raises `UnavailableError` with the end of what it said when it fails."""
    try:
        done = subprocess.run(["podman", *map(str, arguments)], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise UnavailableError("podman is not there; install Debian's podman and buildah") from error
    if done.returncode != 0:
        raise UnavailableError(f"podman {arguments[0]} failed:\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout.strip()


def import_base(tree: Path, name: str = "localhost/debian:12") -> str:
    """Make an image of a folder with a root file system, as debootstrap leaves it, and return its name."""
    with tempfile.TemporaryDirectory(dir=tree.parent) as folder:
        packed = Path(folder) / "base.tar"
        subprocess.run(["tar", "-C", str(tree), "-cf", str(packed), "--exclude=./var/cache/apt/*", "."], check=True)
        podman("import", packed, name)
    return name


def build(base: str, cache: Path, kinds: Iterable[str] = IMAGES) -> list[Image]:
    """Build images from this checkout and return them.

    Raises `UnavailableError` when a package is not available or a build fails.
    """
    version = version_of(ROOT)
    cache.mkdir(parents=True, exist_ok=True)
    built = []
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        context = Path(folder)
        lay_out(ROOT, version, cache, context)
        for kind in kinds:
            begin = time.monotonic()
            named: list[str | Path] = ["--file", context / CONTAINERFILE, "--target", kind, "--tag", image_name(kind)]
            arguments = ["--build-arg", f"BASE={base}", "--build-arg", f"VERSION={version}"]
            arguments += ["--build-arg", f"REVISION={version.partition('+')[2]}", "--network", "none"]
            # HEALTHCHECK is a word of Docker's format alone.
            podman("build", "--format", "docker", "--quiet", *named, *arguments, context)
            built.append(_look_at(kind, time.monotonic() - begin))
    return built


def _look_at(kind: str, seconds: float) -> Image:
    found = inspect(image_name(kind))
    return Image(image_name(kind), found["Id"], int(found["Size"]), seconds)


def inspect(name: str) -> dict[str, Any]:
    """Return what podman knows of an image."""
    found: list[dict[str, Any]] = json.loads(podman("image", "inspect", name))
    return found[0]


def save(images: Iterable[Image], out: Path) -> dict[str, Any]:
    """Write all images into one file, with their parts lists and a checksum of everything; return a summary.

    The layers that they share are in it once.
    """
    out.mkdir(parents=True, exist_ok=True)
    images = list(images)
    file = out / f"hemorrhage-images-{__version__}.tar"
    file.unlink(missing_ok=True)
    podman("save", "--multi-image-archive", "--output", file, *(image.name for image in images))
    files = [file]
    for image in images:
        kind = image.name.removeprefix(PREFIX).partition(":")[0]
        files.append(out / f"{kind}.cdx.json")
        files[-1].write_text(json.dumps(_parts_of(kind, image), indent=1) + "\n")
    files.append(out / "compose.tar.gz")
    _pack_compose(files[-1])
    (out / "SHA256SUMS").write_text("".join(f"{sha256(each)}  {each.name}\n" for each in files))
    return {"images": [asdict(image) for image in images], "file": str(file), "bytes": file.stat().st_size}


def _parts_of(kind: str, image: Image) -> Mapping[str, Any]:
    """Return the parts list of an image: Debian's packages as its own dpkg lists them, Python's from the locks."""
    query = r"${Package}\t${Version}\t${Architecture}\n"
    listed = podman("run", "--rm", "--network", "none", "--entrypoint", "dpkg-query", image.name, "-W", "-f", query)
    locks = {"service": ("service",), "triton": ("service", "triton")}.get(kind, ())
    texts = [(ROOT / "environments" / f"{lock}.lock").read_text() for lock in locks]
    further = [viewer_part(viewer.VERSION, viewer.INTEGRITY)] if locks else []
    return parts_list(f"hemorrhage-{kind}", __version__, listed, texts, further)


def _pack_compose(file: Path) -> None:
    folder = ROOT / "deploy/containers"
    names = [path.name for path in sorted(folder.glob("compose*.yaml"))] + [
        "appliance.toml",
        "hemorrhage-containers.service",
        "upgrade.sh",
    ]
    with tempfile.TemporaryDirectory() as aside:
        for name in names:
            shutil.copy(folder / name, Path(aside) / name)
        subprocess.run(["tar", "-C", aside, "--owner=0", "--group=0", "-czf", str(file), *names], check=True)
