# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Who may import whom (CONTRIBUTING, "Imports"), read from the source: imports inside functions count too."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = ("appliance", "benchmarks", "conversion", "deploy", "orthanc_plugin", "simulator", "tests", "training")
# Each folder with the places of this repository that it may import from, beside itself.
MAY_IMPORT = {
    "appliance/reading": ("appliance.reading",),
    "appliance": ("appliance",),
    "simulator": ("simulator", "appliance.reading.contract"),
    "training": ("training", "simulator", "appliance.reading"),
    "conversion": ("conversion", "training", "simulator", "appliance.reading"),
    # Benchmarks run, in their own process, the very code that Triton runs.
    "benchmarks": (
        "benchmarks",
        "deploy",
        "simulator",
        "appliance",
        "conversion.triton_model",
        "conversion.series_triton_model",
    ),
    "deploy": ("deploy", "simulator", "appliance"),
    "orthanc_plugin": ("orthanc_plugin",),
}
READING_NEEDS = {"numpy", "scipy"}


def sources(folder: str) -> list[Path]:
    """Return the Python files under a folder of the repository."""
    return sorted((ROOT / folder).rglob("*.py"))


def imports_of(path: Path) -> Iterator[str]:
    """Yield every module that a file imports; of `from a import b` it is `a.b`, which may be a module too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import does not say from where"
            yield from (f"{node.module}.{name.name}" for name in node.names)


def is_within(module: str, places: tuple[str, ...]) -> bool:
    """Return whether a module is one of the places, or in one of them."""
    return any(module == place or module.startswith(place + ".") for place in places)


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_a_folder_imports_only_what_it_may(folder: str) -> None:
    files = sources(folder)
    assert files
    against = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in files
        for module in imports_of(path)
        if module.partition(".")[0] in OURS and not is_within(module, MAY_IMPORT[folder])
    ]
    assert not against


def test_every_folder_with_code_has_its_rule() -> None:
    with_code = {path.name for path in ROOT.iterdir() if path.name in OURS and sources(path.name)}
    assert with_code - {"tests"} <= set(MAY_IMPORT)


def test_the_rules_that_everybody_shares_need_numpy_and_scipy_alone() -> None:
    needed = {module.partition(".")[0] for path in sources("appliance/reading") for module in imports_of(path)}
    assert needed - set(sys.stdlib_module_names) - {"appliance"} <= READING_NEEDS


def test_what_tests_share_is_no_test() -> None:
    against = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in sources("tests")
        for module in imports_of(path)
        if module.startswith("tests.") and any(part.startswith(("test_", "conftest")) for part in module.split("."))
    ]
    assert not against


def test_no_module_of_the_appliance_is_imported_in_a_circle() -> None:
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in sources("appliance")}
    imports = {
        module: {
            found
            for name in imports_of(path)
            for found in (name, name.rpartition(".")[0])
            if found in modules and found != module
        }
        for module, path in modules.items()
    }
    assert imports["appliance.pipeline"] >= {"appliance.imaging.read", "appliance.findings.find"}
    TopologicalSorter(imports).prepare()  # raises CycleError, which names the circle
