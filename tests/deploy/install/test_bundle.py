# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The bundle: one file, a checksum of everything in it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from appliance.errors import UnavailableError
from deploy.install import bundle, debian_packages
from deploy.install.bundle import (
    PARTS,
    ROOT,
    audit,
    is_complete,
    pack,
    sha256,
    tracked_files,
    wanted_wheels,
    write_parts_list,
    write_sums,
)

INSTALLER = (ROOT / "deploy/install.sh").read_text()


def filled(folder: Path) -> Path:
    (folder / "deploy").mkdir(parents=True)
    (folder / "deploy/install.sh").write_text("#!/bin/sh\n")
    (folder / "appliance").mkdir()
    (folder / "appliance/__init__.py").write_text("")
    (folder / "VERSION").write_text("1\n")
    write_sums(folder)
    return folder


def test_every_file_has_a_checksum_that_sha256sum_agrees_with(tmp_path: Path) -> None:
    folder = filled(tmp_path / "laid-out")
    command = ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"]
    assert subprocess.run(command, cwd=folder, check=False).returncode == 0
    named = {line.split("  ", 1)[1] for line in (folder / "SHA256SUMS").read_text().splitlines()}
    assert named == {"deploy/install.sh", "appliance/__init__.py", "VERSION"}
    (folder / "VERSION").write_text("2\n")
    assert subprocess.run(command, cwd=folder, check=False, capture_output=True).returncode != 0


def test_two_bundles_of_the_same_files_are_the_same_and_the_installer_comes_first(tmp_path: Path) -> None:
    first, second = tmp_path / "a.bundle", tmp_path / "b.bundle"
    pack(filled(tmp_path / "one"), first)
    pack(filled(tmp_path / "two"), second)
    assert sha256(first) == sha256(second)
    assert (tmp_path / "a.bundle.sha256").read_text() == f"{sha256(first)}  a.bundle\n"
    with tarfile.open(first) as tar:
        assert tar.getnames()[0] == "deploy/install.sh"


def test_a_bundle_that_is_too_large_is_not_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "LARGEST", 100)
    with pytest.raises(UnavailableError, match="are allowed"):
        pack(filled(tmp_path / "one"), tmp_path / "a.bundle")
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_script_and_bundle_agree_on_what_a_site_gets() -> None:
    parts = re.search(r'^PARTS="(.*)"$', INSTALLER, re.MULTILINE)
    assert parts is not None
    assert tuple(parts[1].split()) == PARTS
    wanted = re.search(r'wanted="(orthanc .*)"$', INSTALLER, re.MULTILINE)
    assert wanted is not None
    assert tuple(wanted[1].split()) == debian_packages.WANTED


def test_only_what_belongs_to_the_checkout_goes_in() -> None:
    files = {str(path) for path in tracked_files(ROOT)}
    for wanted in ("deploy/install.sh", "appliance/cli.py", "model_repository/hemorrhage_detector/1/model.onnx"):
        assert wanted in files
    assert not [name for name in files if name.startswith(("tests/", "training/", "var/")) or "__pycache__" in name]


def test_a_wheel_that_no_lock_names_stays_out(tmp_path: Path) -> None:
    (tmp_path / "numpy-1.0-py3-none-any.whl").write_text("not the one that was tested")
    assert wanted_wheels(ROOT, tmp_path) == []


def test_what_the_cache_has_by_its_hash_is_not_fetched_again(tmp_path: Path) -> None:
    (tmp_path / "a-1-py3-none-any.whl").write_text("a")
    digest = sha256(tmp_path / "a-1-py3-none-any.whl")
    lock = f"# of a list\na==1 \\\n    --hash=sha256:{'0' * 64} \\\n    --hash=sha256:{digest}\n"
    assert is_complete(lock, tmp_path)
    assert not is_complete(lock + f"b==2 \\\n    --hash=sha256:{'1' * 64}\n", tmp_path)


def test_the_parts_list_of_a_bundle_names_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "debian").mkdir()
    stanza = "Package: orthanc\nSource: orthanc (1)\nVersion: 1.10.1+dfsg-2+deb12u1\nArchitecture: amd64\n"
    (tmp_path / "debian/Packages").write_text(
        f"{stanza}Depends: a\nVersion-like: 3\n\n{stanza.replace('orthanc', 'b')}"
    )
    write_parts_list(ROOT, "1.2+abc", tmp_path)
    parts = json.loads((tmp_path / "sbom/hemorrhage-appliance.cdx.json").read_text())
    named = {(part["name"], part["version"]) for part in parts["components"]}
    assert {("orthanc", "1.10.1+dfsg-2+deb12u1"), ("numpy", "2.4.6"), ("numpy", "1.26.4")} <= named
    assert {"b", "@ohif/app"} <= {name for name, _ in named}
    assert parts["metadata"]["component"]["type"] == "application"


def test_no_bundle_is_made_when_the_audit_itself_breaks(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "environments", tmp_path / "environments")
    (tmp_path / "environments/advisories.py").write_text("raise OSError('no room')")
    with pytest.raises(UnavailableError, match="failed; what it said"):
        audit(tmp_path, tmp_path / "sbom")


def test_a_bundle_whose_packages_cannot_be_audited_says_why(tmp_path: Path) -> None:
    """It is checksummed like all else, and `deploy/install.sh` puts it where the doctor looks."""
    shutil.copytree(ROOT / "environments", tmp_path / "environments")
    program = tmp_path / "environments/advisories.py"
    program.write_text(program.read_text().replace("https://pypi.org", "https://127.0.0.1:1"))
    (tmp_path / "laid-out").mkdir()
    audit(tmp_path, tmp_path / "laid-out/sbom")
    write_sums(tmp_path / "laid-out")
    record = json.loads((tmp_path / "laid-out/sbom/audit.json").read_text())
    assert record["fault"].startswith("https://127.0.0.1:1/pypi/jinja2/2.4.1/json cannot be read")
    assert "  sbom/audit.json\n" in (tmp_path / "laid-out/SHA256SUMS").read_text()
    assert 'for sbom in "$source/sbom"' in INSTALLER
