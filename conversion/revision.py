# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What code computes, as a hash that comments, docstrings and line breaks do not change.

Readings of 200 studies take hours; they stay valid as long as the code that made them computes the same.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable
from pathlib import Path

_WITH_DOCSTRING = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def code_revision(files: Iterable[Path], root: Path) -> str:
    """Return a hash of Python files by their place under `root` and their code without comments, docstrings and layout.

    It is of the code, not of its syntax tree, which each version of Python writes in another way.

    Raises
    ------
    SyntaxError
        If one is not Python.
    """
    found = hashlib.sha256()
    for path in files:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            # A string alone is a statement that does nothing: a docstring, or the note under a constant.
            if isinstance(node, _WITH_DOCSTRING):
                node.body = [one for one in node.body if not _is_note(one)] or [ast.Pass()]
        found.update(path.relative_to(root).as_posix().encode() + b"\0" + ast.unparse(tree).encode() + b"\0")
    return found.hexdigest()[:16]


def _is_note(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
