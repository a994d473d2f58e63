# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Every link and picture within the repository leads to something that git has, and to a heading that is there.

Links to other hosts are not followed: a test asks nothing of the internet.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.documents import pages
from tests.documents.pages import PAGES, ROOT, anchors, targets


def in_git() -> set[str]:
    """Return every file of the repository, and every folder of one."""
    listed = subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    files = {Path(name) for name in listed.stdout.split("\0") if name}
    return {path.as_posix() for file in files for path in (file, *file.parents)}


def faults(page: str, there: set[str]) -> list[str]:
    """Return the links of a page that lead nowhere, each with the reason."""
    found = []
    for target in targets(page):
        if re.match(r"(https?|mailto):", target):
            continue
        path, _, anchor = unquote(target).partition("#")
        leads_to = (ROOT / page).parent.joinpath(path).resolve() if path else ROOT / page
        name = leads_to.relative_to(ROOT).as_posix() if leads_to.is_relative_to(ROOT) else ""
        if name not in there:
            found.append(f"{target}: no such file in git")
        elif anchor and (leads_to.suffix != ".md" or anchor not in anchors(name)):
            found.append(f"{target}: no such heading")
    return found


@pytest.mark.parametrize("page", PAGES)
def test_every_link_within_the_repository_leads_somewhere(page: str) -> None:
    assert faults(page, in_git()) == []


def test_a_link_to_a_missing_file_or_heading_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "one.md").write_text("# One two `x`!\n[a](two.md#there) [b](two.md#gone) [c](no.md) [d](#one-two-x)\n")
    (tmp_path / "two.md").write_text("# There\n# There\n[a](#there-1) [b](#there-2) [c](../../etc/passwd)\n")
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    there = {"one.md", "two.md"}
    assert faults("one.md", there) == ["two.md#gone: no such heading", "no.md: no such file in git"]
    assert faults("two.md", there) == ["#there-2: no such heading", "../../etc/passwd: no such file in git"]


def test_every_page_of_the_documents_is_reached_from_the_first_one() -> None:
    reached, ahead = set(), ["README.md"]
    while ahead:
        page = ahead.pop()
        reached.add(page)
        for target in targets(page):
            path = target.partition("#")[0]
            if path.endswith(".md") and not path.startswith("http"):
                name = (ROOT / page).parent.joinpath(path).resolve().relative_to(ROOT).as_posix()
                ahead += [name] if name not in reached and name not in ahead else []
    assert {page for page in PAGES if page.startswith("docs/")} - reached == set()
