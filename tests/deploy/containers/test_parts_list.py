# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Proves the parts lists of the images."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.errors import ApplianceError
from deploy.containers.parts_list import parts_list, viewer_part

ENVIRONMENTS = Path(__file__).resolve().parents[3] / "environments"
DEBIAN = "libstdc++6\t12.2.0-14\tamd64\northanc\t1.10.1+dfsg-2+deb12u1\tamd64\n"


def test_every_package_of_the_locks_is_in_it_with_the_hashes_of_its_files():
    locks = [(ENVIRONMENTS / f"{name}.lock").read_text() for name in ("service", "triton")]
    made = parts_list("hemorrhage-triton", "1", DEBIAN, locks)
    python = {part["name"]: part for part in made["components"] if part["purl"].startswith("pkg:pypi/")}
    pinned = {line.split("==")[0].split("[")[0] for lock in locks for line in lock.splitlines() if "==" in line}
    assert set(python) == pinned
    for part in python.values():
        assert part["properties"]
        for each in part["properties"]:
            assert each["value"] in "".join(locks)


def test_both_versions_of_a_package_that_two_environments_hold_are_in_it_once_each():
    locks = [(ENVIRONMENTS / f"{name}.lock").read_text() for name in ("service", "triton")]
    made = parts_list("hemorrhage-triton", "1", "", [*locks, *locks])
    assert sorted(part["version"] for part in made["components"] if part["name"] == "numpy") == ["1.26.4", "2.4.6"]


def test_packages_of_debian_are_named_as_vulnerability_scanners_know_them():
    made = parts_list("hemorrhage-orthanc", "1", DEBIAN, [])
    assert [part["purl"] for part in made["components"]] == [
        "pkg:deb/debian/libstdc%2B%2B6@12.2.0-14?arch=amd64&distro=debian-12",
        "pkg:deb/debian/orthanc@1.10.1%2Bdfsg-2%2Bdeb12u1?arch=amd64&distro=debian-12",
    ]


def test_what_is_no_package_is_refused():
    with pytest.raises(ApplianceError, match="dpkg-query"):
        parts_list("hemorrhage-orthanc", "1", "dpkg-query: no packages found\n", [])
    with pytest.raises(ApplianceError, match="no hash of numpy"):
        parts_list("hemorrhage-service", "1", "", ["numpy==2.4.6\n"])


def test_the_viewer_is_a_part_by_the_name_that_vulnerability_scanners_know_and_the_hash_that_was_checked():
    made = parts_list("hemorrhage-service", "1", "", [], [viewer_part("3.13.2", "q80=")])
    (part,) = made["components"]
    assert part["purl"] == "pkg:npm/%40ohif/app@3.13.2"
    assert part["hashes"] == [{"alg": "SHA-512", "content": "abcd"}]
