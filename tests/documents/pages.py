# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The Markdown pages of this project: their headings, links, fenced blocks and words in code type."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = tuple(
    sorted(
        path.relative_to(ROOT).as_posix()
        for folder in (".", "docs", "deploy", "environments", "model_repository", "orthanc_plugin")
        for path in (ROOT / folder).glob("*.md" if folder == "." else "**/*.md")
    )
)
"""Every page that a reader of the repository may meet, by its path."""


@dataclass(frozen=True)
class Block:
    """A fenced block: its page, the line on which it begins, its language ("" for none) and its text."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


@cache
def _tokens(page: str) -> tuple[Token, ...]:
    return tuple(MarkdownIt("commonmark").enable("table").parse((ROOT / page).read_text()))


def _inline(page: str) -> Iterator[Token]:
    for token in _tokens(page):
        yield from token.children or ()


def blocks(page: str) -> list[Block]:
    """Return the fenced blocks of a page."""
    return [
        Block(page, token.map[0] + 1, token.info.strip(), token.content)
        for token in _tokens(page)
        if token.type == "fence" and token.map is not None
    ]


def words_in_code_type(page: str) -> list[str]:
    """Return what stands between single backticks, each with its white space as single spaces."""
    return [" ".join(token.content.split()) for token in _inline(page) if token.type == "code_inline"]


def targets(page: str) -> list[str]:
    """Return where the links and pictures of a page lead."""
    found = [(token.attrGet("href"), token.attrGet("src")) for token in _inline(page)]
    return [str(link or picture) for link, picture in found if link or picture]


def anchors(page: str) -> set[str]:
    """Return the anchors that the headings of a page make, by GitHub's rule."""
    found: set[str] = set()
    tokens = _tokens(page)
    for heading, text in pairwise(tokens):
        if heading.type == "heading_open":
            words = "".join(child.content for child in text.children or ())
            anchor = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
            number = 0
            while (named := f"{anchor}-{number}" if number else anchor) in found:
                number += 1
            found.add(named)
    return found
