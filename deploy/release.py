# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m deploy.release VERSION`: gives this checkout another version, everywhere where one is named.

It changes files and nothing else: `make release` also commits and tags them (CONTRIBUTING.md, "Releases").
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from appliance import __version__
from appliance.errors import ApplianceError, SettingsError

ROOT: Final = Path(__file__).resolve().parents[1]
_VERSION: Final = re.compile(r"\d+\.\d+\.\d+")
_NAMED: Final = (
    r'(?<=^__version__ = "){}(?="$)',
    r"(?<=hemorrhage-service:){}\b",
    r"(?<=hemorrhage-triton:){}\b",
    r"(?<=hemorrhage-triton-nvidia:){}\b",
    r"(?<=hemorrhage-orthanc:){}\b",
    r"(?<=newTag: ){}(?=\})",
)
_PLACES: Final = ("appliance/__init__.py", "deploy", "docs/containers.md", "docs/kubernetes.md")


def rename(text: str, old: str, new: str) -> str:
    """Return a text with the appliance's version and its images' tags changed, and nothing else that looks like one."""
    for place in _NAMED:
        text = re.sub(place.replace("{}", re.escape(old)), new, text, flags=re.MULTILINE)
    return text


def release(root: Path, old: str, new: str) -> list[Path]:
    """Change the version in the tracked files of a checkout; return those that have changed.

    Raises `SettingsError` for a version that is none or not a later one.
    """
    if not _VERSION.fullmatch(new):
        raise SettingsError(f"VERSION={new}: three numbers with dots between them are wanted, as in 0.2.0")
    if _numbers(new) <= _numbers(old):
        raise SettingsError(f"VERSION={new}: the checkout is of {old}; a later one is wanted")
    git = ["git", "-c", f"safe.directory={root}", "-C", str(root), "ls-files", "-z", "--", *_PLACES]
    listed = subprocess.run(git, capture_output=True, text=True, check=True).stdout
    changed = []
    for name in filter(None, listed.split("\0")):
        file = root / name
        try:
            text = file.read_text()
        except UnicodeDecodeError:
            continue
        if (renamed := rename(text, old, new)) != text:
            file.write_text(renamed)
            changed.append(file)
    return changed


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.split("."))


def main(version: Annotated[str, typer.Argument(help="The new version, as in 0.2.0")]) -> None:
    """Change the version everywhere."""
    try:
        changed = release(ROOT, __version__, version)
    except (ApplianceError, OSError) as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from error
    print("\n".join(str(file.relative_to(ROOT)) for file in changed))


if __name__ == "__main__":
    typer.run(main)
