# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Writes `NAME.lock` from what an environment has installed, limited to what `NAME.in` needs, so that a lock never
holds a stray package, with the hashes that PyPI states for every file of each version (uv asks for them). Run by the
environment's own Python: `.venv/bin/python environments/lock.py development`."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HERE = Path(__file__).parent
UV = HERE.parent / ".venv" / "bin" / "uv"
HEADER = """# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
# Written by environments/lock.py: what {name}.in asks for, as installed and tested.
"""


def requirements(path: Path) -> tuple[list[Requirement], set[str]]:
    """Return the requirements of one `.in` file and of those that it includes, and the names whose own wants do not
    count (their comment opens with "no-deps")."""
    found: list[Requirement] = []
    alone: set[str] = set()
    for line in path.read_text().splitlines():
        text = re.sub(r"(^|\s+)#.*", "", line).strip()
        if text.startswith("-r "):
            included, included_alone = requirements(path.parent / text[3:].strip())
            found += included
            alone |= included_alone
        elif text:
            found.append(Requirement(text))
            if "# no-deps" in line:
                alone.add(canonicalize_name(found[-1].name))
    return found, alone


def resolve(wanted: list[Requirement], alone: set[str]) -> dict[str, str]:
    """Return name and installed version of all that `wanted` needs, dependencies included but for those of `alone`."""
    versions: dict[str, str] = {}
    queue = [(requirement, extra) for requirement in wanted for extra in ("", *requirement.extras)]
    seen: set[tuple[str, str]] = set()
    while queue:
        requirement, extra = queue.pop()
        name = canonicalize_name(requirement.name)
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        try:
            installed = distribution(name)
        except PackageNotFoundError:
            sys.exit(f"{name} is not installed here: install the .in file first")
        versions[name] = installed.version
        if name in alone:
            continue
        for text in installed.requires or ():
            dependency = Requirement(text)
            if dependency.marker is None or dependency.marker.evaluate({**default_environment(), "extra": extra}):
                queue += [(dependency, inner) for inner in ("", *dependency.extras)]
    return versions


def with_hashes(versions: dict[str, str]) -> str:
    """Return the lines of a lock: each version, and the hashes of its files. Ends the program where uv fails."""
    pins = "".join(f"{package}=={version}\n" for package, version in sorted(versions.items()))
    asked = subprocess.run(
        [UV, "pip", "compile", "--no-deps", "--generate-hashes", "--no-header", "--no-annotate", "--quiet", "-"],
        input=pins,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if asked.returncode:
        sys.exit(asked.returncode)
    return asked.stdout


if __name__ == "__main__":
    name = sys.argv[1]
    versions = resolve(*requirements(HERE / f"{name}.in"))
    (HERE / f"{name}.lock").write_text(HEADER.format(name=name) + with_hashes(versions))
    print(f"environments/{name}.lock: {len(versions)} packages")
