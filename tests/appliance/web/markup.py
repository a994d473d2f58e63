# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Looks at a page as a browser does: its elements, its words, and what it would load."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser

_VOID = frozenset(("meta", "link", "br", "img", "input", "hr"))


class Markup(HTMLParser):
    """A page that was read; fails on an element that is closed where another is open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _VOID:
            self.open.append(tag)
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def values(self, attribute: str) -> list[str]:
        """Return the values of an attribute of all elements."""
        return [attributes[attribute] for _, attributes in self.elements if attribute in attributes]


def words(text: str) -> str:
    """Return what a reader sees of a page, on one line."""
    return " ".join(unescape(re.sub("<[^>]+>", " ", text)).split())
