# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A block of shell lines as simple commands: a program with its arguments each, without what shells do around them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from itertools import takewhile
from typing import Final

_AROUND: Final = ("for", "do", "done", "while", "if", "then", "fi", "exec", "sudo")
_JOINS: Final = frozenset({";", "&&", "||", "|", "&", "\n"})
_HEREDOC: Final = re.compile(r"<<-?\s*'?(\w+)'?")


@dataclass(frozen=True)
class Command:
    """A program, its arguments, and what it is fed from the lines after it ("" for nothing)."""

    program: str
    arguments: tuple[str, ...]
    fed: str = ""

    def __str__(self) -> str:
        return shlex.join((self.program, *self.arguments))


def commands(text: str) -> list[Command]:
    """Return the simple commands of a block, in their order. Raises `ValueError` for a quotation without an end."""
    found: list[Command] = []
    lines = iter(text.splitlines())
    for line in lines:
        whole, fed = line, ""
        while whole.endswith("\\") or not _is_closed(whole):
            further = next(lines, None)
            if further is None:
                raise ValueError(f"a line without its end: {whole}")
            whole = whole.removesuffix("\\") + ("" if whole.endswith("\\") else "\n") + further
        heredoc = _HEREDOC.search(whole)
        if heredoc:
            fed = "\n".join(takewhile(heredoc[1].__ne__, lines))
            whole = whole.replace(heredoc[0], "")
        for words in _parts(whole):
            if words:
                found.append(Command(words[0], tuple(words[1:]), fed))
    return found


def _is_closed(line: str) -> bool:
    try:
        shlex.split(line, comments=True)
    except ValueError:
        return False
    return True


def _parts(line: str) -> list[list[str]]:
    """Return the words of each command of one line: assignments, words of the shell's own and redirections left out."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|<>")
    lexer.whitespace_split = True
    lexer.commenters = "#"
    parts: list[list[str]] = [[]]
    redirected = False
    for word in lexer:
        if word in _JOINS:
            parts.append([])
        elif set(word) <= {"<", ">", "&"}:
            redirected = True
        elif redirected:
            redirected = False
        else:
            parts[-1].append(word)
    return [_without_the_shells_own(words) for words in parts]


def _without_the_shells_own(words: list[str]) -> list[str]:
    if words[:1] in (["for"], ["done"]):
        return []
    while words and (words[0] in _AROUND or re.match(r"\w+=", words[0])):
        words = words[1:]
    if words[:1] == ["runuser"] and "--" in words:
        words = words[words.index("--") + 1 :]
    return words
