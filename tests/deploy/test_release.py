# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Proves that a release changes its version wherever one is named, and nothing else."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from appliance import __version__
from appliance.errors import SettingsError
from deploy.release import release, rename

ROOT = Path(__file__).parents[2]
PLACES = ("appliance/__init__.py", "deploy/containers", "deploy/kubernetes", "docs/containers.md", "docs/kubernetes.md")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for place in PLACES:
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / place).is_dir():
            shutil.copytree(ROOT / place, tmp_path / place, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / place, tmp_path / place)
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    subprocess.run(["git", "-C", str(tmp_path), "add", "--all"], check=True)
    return tmp_path


def test_the_package_and_every_image_have_the_new_version(checkout: Path) -> None:
    changed = {str(file.relative_to(checkout)) for file in release(checkout, __version__, "98.76.54")}
    assert {"appliance/__init__.py", "deploy/containers/compose.yaml", "docs/containers.md"} <= changed
    texts = [file.read_text() for file in checkout.rglob("*") if file.is_file() and ".git" not in file.parts]
    named = re.findall(r"hemorrhage-(?:service|triton|triton-nvidia|orthanc):(\d+\.\d+[\w.]*)", "\n".join(texts))
    assert len(named) > 10
    assert set(named) == {"98.76.54"}
    assert set(re.findall(r"newTag: ([\d.]+)", "\n".join(texts))) == {"98.76.54"}
    assert '__version__ = "98.76.54"' in (checkout / "appliance/__init__.py").read_text()


def test_versions_of_others_stay() -> None:
    text = "OHIF 0.1.0, debian:0.1.0, hemorrhage-service:0.1.01, numpy==0.1.0"
    assert rename(text, "0.1.0", "0.2.0") == text


@pytest.mark.parametrize("version", ["1", "v1.0.0", "1.0.0+x", "", __version__, "0.0.1"])
def test_what_is_no_later_version_is_refused_and_nothing_changed(checkout: Path, version: str) -> None:
    with pytest.raises(SettingsError, match="VERSION="):
        release(checkout, __version__, version)
    assert (checkout / "appliance/__init__.py").read_text() == (ROOT / "appliance/__init__.py").read_text()
