# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The versions that lie on a machine, and the link to the one that runs."""

from __future__ import annotations

from pathlib import Path

from deploy.install.layout import Layout
from deploy.install.upgrade import forget_older


def with_versions(root: Path, *versions: str) -> Layout:
    layout = Layout(root)
    for version in versions:
        layout.version_folder(version).mkdir(parents=True)
    return layout


def test_switching_leads_current_to_another_version(tmp_path: Path) -> None:
    layout = with_versions(tmp_path, "1", "2")
    assert layout.current_version() == ""
    for version in ("1", "2", "1"):
        layout.switch(version)
        assert layout.current_version() == version
        assert layout.current.resolve() == layout.version_folder(version)


def test_after_an_upgrade_the_version_before_is_kept_and_older_ones_are_not(tmp_path: Path) -> None:
    layout = with_versions(tmp_path, "1", "2", "3")
    (layout.home / ".unpacked.abc").mkdir()
    layout.switch("3")
    forget_older(layout, keep={"2", "3"})
    assert sorted(layout.versions()) == ["2", "3"]
    assert layout.current_version() == "3"
