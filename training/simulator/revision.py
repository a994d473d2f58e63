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
_PROJECT: Final = _SIMULATOR.parents[1]
_CONTRACT: Final = _PROJECT / "appliance" / "contract.py"  # types and size classes
_PACKAGES: Final = ("numpy", "scipy", "pydicom")  # what heads hang on beside our own code
_NO_MATTER: Final = ("audit", "gallery", "manifests")  # folders that change nothing in a scan


def revision(also: Iterable[Path] = ()) -> str:
    """Return a hash of what heads come from: simulator, atlases, contract, the packages they use, and files `also`."""
    sources = [
        path
        for path in sorted((*_SIMULATOR.rglob("*.py"), *_SIMULATOR.rglob("*.npz")))
        if path.relative_to(_SIMULATOR).parts[0] not in _NO_MATTER
    ]
    found = hashlib.sha256(" ".join(f"{name} {version(name)}" for name in _PACKAGES).encode())
    for path in (*sources, _CONTRACT, *also):
        found.update(path.relative_to(_PROJECT).as_posix().encode() + b"\0" + path.read_bytes())
    return found.hexdigest()[:16]


def stated_simulator(folder: Path, stated: str) -> str | None:
    """Return the revision that a folder says its files are of, None where it says nothing."""
    path = folder / stated
    return str(json.loads(path.read_text(encoding="utf-8")).get("simulator")) if path.exists() else None


def claim(folder: Path, stated: str, what: str, **made_with: object) -> None:
    """State in a folder, in the file `stated`, what its files are made with; the folder is made if need be.

    Raises
    ------
    ValueError
        If `what` it holds was made with something else, or does not say with what.
    """
    path = folder / stated
    if path.exists():
        before = json.loads(path.read_text(encoding="utf-8"))
        changed = [name for name, value in made_with.items() if before.get(name) != value]
        if changed:
            raise ValueError(
                f"{folder} holds {what} of another {' and '.join(changed)}: remove it, or take another one"
            )
        return
    if any(not kept.name.startswith(".") for kept in folder.glob("*")):
        raise ValueError(f"{folder} holds {what} and does not say of which simulator: remove it, or take another one")
    folder.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{stated}.partial")
    partial.write_text(json.dumps(made_with) + "\n", encoding="utf-8")
    partial.replace(path)
