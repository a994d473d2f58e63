# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m deploy.install.bundle`: one file with everything for an installation on a machine without a network.

It holds the parts of this checkout that a site needs, the Python packages of `environments/service.lock` and
`triton.lock` by their hashes, Orthanc and its plugins with all the packages of Debian 12 that they need, the OHIF
viewer, the parts list, what is known against the Python packages, and a checksum of every file. Downloads are kept in a
cache, so that the next bundle takes seconds.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Final

import typer

from appliance import __version__
from appliance.errors import ApplianceError, UnavailableError
from deploy.containers.parts_list import parts_list, viewer_part
from deploy.install.debian_packages import fetch_packages, write_index
from deploy.viewer import fetch as viewer

ROOT: Final = Path(__file__).resolve().parents[2]
PARTS: Final = (
    "appliance",
    "deploy",
    "orthanc_plugin",
    "model_repository",
    "environments",
    "LICENSES",
    "docs",
    "LICENSE",
    "README.md",
)
"""As in `deploy/install.sh`."""
SUMS: Final = "SHA256SUMS"
SBOM: Final = "sbom"
"""The folder of the parts list and of the reports of known vulnerabilities."""
LARGEST: Final = 1_500_000_000
_PIP: Final = "pip==26.3"
_PIP_SHA256: Final = "f3b60b20ffaadd4415ed7957212a38ac63fa4c5fa375bd0f4a797777940fad13"
_LOCKS: Final = ("service", "triton")
_FIELD: Final = re.compile(r"^(Package|Version|Architecture): (.*)$", re.MULTILINE)
# Debian 12 has glibc 2.36 and Python 3.11.
_PLATFORMS: Final = (*(f"manylinux_2_{minor}_x86_64" for minor in range(36, 16, -1)), "manylinux2014_x86_64")
_ABIS: Final = ("cp311", "abi3", "none")


def fetch_wheels(root: Path, folder: Path) -> None:
    """Fetch the packages of both locks, and a pip to install them, if `folder` does not hold them yet.

    Raises `UnavailableError` with pip's message when a package is not available, or is not the one in the lock.
    """
    folder.mkdir(parents=True, exist_ok=True)
    platforms = [word for platform in _PLATFORMS for word in ("--platform", platform)]
    abis = [word for abi in _ABIS for word in ("--abi", abi)]
    options = ["--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:", "--implementation", "cp"]
    command = [sys.executable, "-m", "pip", "download", *options, "--python-version", "3.11", *platforms, *abis]
    command += ["--dest", str(folder)]
    with tempfile.TemporaryDirectory() as aside:
        pip_lock = Path(aside) / "pip.txt"
        pip_lock.write_text(f"{_PIP} --hash=sha256:{_PIP_SHA256}\n")
        for lock in (pip_lock, *(root / "environments" / f"{name}.lock" for name in _LOCKS)):
            if is_complete(lock.read_text(), folder):
                continue
            done = subprocess.run(
                [*command, "--requirement", str(lock)],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                raise UnavailableError(f"the packages of {lock.name} cannot be fetched:\n{done.stderr[-2000:]}")


def is_complete(lock: str, folder: Path) -> bool:
    """Return whether a folder has a file for every package of a lock, by its hashes."""
    there = {sha256(wheel) for wheel in folder.glob("*.whl")}
    packages = re.split(r"^(?=[A-Za-z0-9])", lock, flags=re.MULTILINE)
    hashes = [set(re.findall(r"--hash=sha256:([0-9a-f]{64})", package)) for package in packages if "==" in package]
    return all(of_package & there for of_package in hashes)


def wanted_wheels(root: Path, folder: Path) -> list[Path]:
    """Return the wheels in a folder whose sha256 a lock names, and pip; a cache may hold older ones too."""
    locks = "".join((root / "environments" / f"{name}.lock").read_text() for name in _LOCKS) + _PIP_SHA256
    return [wheel for wheel in sorted(folder.glob("*.whl")) if sha256(wheel) in locks]


def sha256(file: Path) -> str:
    """Return the sha256 of a file, in hexadecimal digits."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def tracked_files(root: Path) -> list[Path]:
    """Return the files of a checkout that belong to an installation: only those that git tracks."""
    listed = subprocess.run([*_git(root), "ls-files", "-z", "--", *PARTS], capture_output=True, text=True, check=True)
    return [Path(name) for name in listed.stdout.split("\0") if name and (root / name).is_file()]


def _git(root: Path) -> list[str]:
    """Return the beginning of a git command in a checkout, which may belong to another user than its caller."""
    return ["git", "-c", f"safe.directory={root}", "-C", str(root)]


def version_of(root: Path) -> str:
    """Return the version of a checkout: the package's version, the commit, and whether files have changed since."""
    git = _git(root)
    commit = subprocess.run([*git, "rev-parse", "--short=10", "HEAD"], capture_output=True, text=True, check=True)
    changed = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True)
    return f"{__version__}+{commit.stdout.strip()}{'.changed' if changed.stdout.strip() else ''}"


def lay_out(root: Path, version: str, cache: Path, folder: Path) -> None:
    """Put the contents of a bundle into `folder`. Raises `UnavailableError` when something is not available."""
    for name in tracked_files(root):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / name, folder / name)
    (folder / "VERSION").write_text(f"{version}\n")
    fetch_wheels(root, cache / "wheels")
    fetch_packages(cache / "apt")
    (folder / "wheels").mkdir()
    for wheel in wanted_wheels(root, cache / "wheels"):
        _link(wheel, folder / "wheels" / wheel.name)
    (folder / "debian").mkdir()
    for package in sorted((cache / "apt/var/cache/apt/archives").glob("*.deb")):
        _link(package, folder / "debian" / package.name.replace("%3a", "-"))
    write_index(folder / "debian")
    viewer.lay_out(viewer.fetch(cache), folder / "viewer")
    write_parts_list(root, version, folder)
    audit(root, folder / SBOM)
    write_sums(folder)


def write_parts_list(root: Path, version: str, folder: Path) -> None:
    """Write the parts list of a bundle whose other files are in `folder`."""
    index = (folder / "debian" / "Packages").read_text()
    packages = [dict(_FIELD.findall(stanza)) for stanza in index.split("\n\n") if stanza.strip()]
    lines = ["\t".join(one[field] for field in ("Package", "Version", "Architecture")) for one in packages]
    locks = [(root / "environments" / f"{name}.lock").read_text() for name in _LOCKS]
    further = [viewer_part(viewer.VERSION, viewer.INTEGRITY)]
    parts = parts_list("hemorrhage-appliance", version, "\n".join(lines), locks, further, kind="application")
    (folder / SBOM).mkdir(exist_ok=True)
    (folder / SBOM / "hemorrhage-appliance.cdx.json").write_text(json.dumps(parts, indent=1) + "\n")


def audit(root: Path, folder: Path) -> None:
    """Write what is known against the Python packages of a checkout into `folder`, or why that cannot be told.

    A bundle with known vulnerabilities is made all the same: `appliance doctor` names them. Raises `UnavailableError`
    when not even the reason was written.
    """
    own = root / ".venv-audit" / "bin" / "python"
    python = own if own.exists() else Path(sys.executable)
    subprocess.run([python, root / "environments" / "advisories.py", folder], check=False)
    if not (folder / "audit.json").exists():  # an error of Python's ends with 1, as known vulnerabilities do
        raise UnavailableError("environments/advisories.py failed; what it said is above")


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy(source, target)


def write_sums(folder: Path) -> None:
    """Write the sha256 of every file in `folder` into its `SHA256SUMS`."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != SUMS)
    (folder / SUMS).write_text("".join(f"{sha256(file)}  {file.relative_to(folder)}\n" for file in files))


def pack(folder: Path, bundle: Path) -> None:
    """Make one file of a folder, and one beside it with its sha256. Raises `UnavailableError` when it is too large.

    The contents are compressed already. Names and times do not depend on where and when it is made; the report of known
    vulnerabilities in it has its date.
    """
    aside = bundle.with_name(f".{bundle.name}.new")
    with tarfile.open(aside, "w") as tar:
        for file in _installer_first(folder.rglob("*")):
            tar.add(file, str(file.relative_to(folder)), recursive=False, filter=_make_plain)
    if aside.stat().st_size > LARGEST:
        size = aside.stat().st_size
        aside.unlink()
        raise UnavailableError(f"the bundle has {size / 1e6:.0f} MB, and {LARGEST / 1e6:.0f} are allowed")
    aside.replace(bundle)
    bundle.with_name(f"{bundle.name}.sha256").write_text(f"{sha256(bundle)}  {bundle.name}\n")


def _installer_first(files: Iterable[Path]) -> list[Path]:
    return sorted(files, key=lambda file: (file.name != "install.sh", str(file)))


def _make_plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = "root"
    member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
    return member


def make_bundle(out: Path, cache: Path, version: str = "", root: Path = ROOT) -> Path:
    """Make a bundle of a checkout in the folder `out` and return its file.

    Raises `UnavailableError` when a package is not available or the bundle is too large.
    """
    named = version or version_of(root)
    out.mkdir(parents=True, exist_ok=True)
    cache.mkdir(parents=True, exist_ok=True)
    bundle = out / f"hemorrhage-appliance-{named}.bundle"
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        lay_out(root, named, cache, Path(folder))
        pack(Path(folder), bundle)
    return bundle


def main(
    out: Annotated[Path, typer.Option(help="Folder of the bundle")] = Path("var/bundle"),
    cache: Annotated[Path, typer.Option(help="Folder that keeps what was downloaded")] = Path("var/bundle/cache"),
    version: Annotated[str, typer.Option(help="Another name for the version than that of package and commit")] = "",
) -> None:
    """Make one file that installs the appliance where there is no network."""
    try:
        bundle = make_bundle(out.absolute(), cache.absolute(), version)
    except (ApplianceError, OSError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from error
    print(f"{bundle}  {bundle.stat().st_size / 1e6:.0f} MB")
    print(bundle.with_name(f"{bundle.name}.sha256").read_text(), end="")


if __name__ == "__main__":
    typer.run(main)
