# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Which simulator files on disk come from: a hash of all that a head hangs on, stated once in their folder.

The same seed gives another head after every change of the simulator, so a folder that was begun with one and filled up
with another would be a cohort of neither. Git's revision would not do: it changes with every document.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Final

_SIMULATOR: Final = Path(__file__).parent
_PROJECT: Final = _SIMULATOR.parent
_CONTRACT: Final = _PROJECT / "appliance" / "reading" / "contract.py"  # types and size classes
_PACKAGES: Final = ("numpy", "scipy", "pydicom")  # what heads hang on beside our own code
_KINDS: Final = ("*.py", "*.npz", "*.toml")  # code, atlases, tables
_NO_MATTER: Final = ("audit", "gallery", "manifests")  # folders that change nothing in a scan


def simulator_revision(also: Iterable[Path] = ()) -> str:
    """Return a hash of what heads come from: simulator, atlases, contract, the packages they use, and files `also`."""
    sources = [
        path
        for path in sorted(path for kind in _KINDS for path in _SIMULATOR.rglob(kind))
        if path.relative_to(_SIMULATOR).parts[0] not in _NO_MATTER
    ]
    found = hashlib.sha256(" ".join(f"{name} {version(name)}" for name in _PACKAGES).encode())
    for path in (*sources, _CONTRACT, *also):
        found.update(path.relative_to(_PROJECT).as_posix().encode() + b"\0" + path.read_bytes())
    return found.hexdigest()[:16]


def stated_simulator(folder: Path, stated: str) -> str | None:
    """Return the revision that a folder says, in its file `stated`, its files are of; None where it says nothing.

    Raises
    ------
    ValueError
        If the file cannot be read.
    """
    revision = _read_statement(folder / stated).get("simulator")
    return None if revision is None else str(revision)


def claim(folder: Path, stated: str, what: str, **made_with: object) -> None:
    """State in a folder what its files are made with; the folder is made if need be.

    Parameters
    ----------
    stated: name of the file that says so.
    what: what the folder's files are, for the message.
    made_with: the simulator's revision, and whatever else the files hang on.

    Raises
    ------
    ValueError
        If the folder holds files that were made with something else, or that do not say with what.
    """
    path = folder / stated
    before = _read_statement(path)
    changed = [name for name, value in made_with.items() if before.get(name) != value]
    if path.exists() and not changed:
        return
    if any(kept.name != stated and not kept.name.startswith(".") for kept in folder.glob("*")):
        other = f"of another {' and '.join(changed)}" if before else "that do not say of which simulator they are"
        raise ValueError(f"{folder} holds {what} {other}: remove it, or take another one")
    folder.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{stated}.partial")
    partial.write_text(json.dumps(made_with) + "\n", encoding="utf-8")
    partial.replace(path)


def _read_statement(path: Path) -> dict[str, object]:
    """Return what a folder says that its files are made with, nothing where it is silent."""
    if not path.exists():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} cannot be read ({error}): remove its folder, or take another one") from error
