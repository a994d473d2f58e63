# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Conditions of rules: the Common Expression Language (cel.dev), compiled and checked by its authors' own library.

Its type checker finds unknown names and comparisons of different types. A word that a variable never has is
searched for in `words`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, Final

from appliance.delivery.syntax import parse_tree
from appliance.delivery.variables import VARIABLES, Kind
from appliance.delivery.words import Fault, texts_given_to, unknown_words

_FAULT: Final = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")


class ConditionError(ValueError):
    """A condition is not CEL, or does not fit the variables; `line` counts from 0 within its text."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.line = line


class EvaluationError(Exception):
    """A condition cannot be evaluated for one answer; the text is CEL's."""


class Condition:
    """A compiled condition; may be evaluated by several threads.

    Raises `ConditionError` when it is wrong.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            self._expression = _environment().compile(text)
        except RuntimeError as error:
            raise _condition_error(text, str(error)) from None
        kind = self._expression.return_type().name()
        if kind.lower() != Kind.BOOL.value:
            raise ConditionError(f"it says {kind.lower()}, and a condition has to say true or false: {text}")
        tree, places = parse_tree(self._expression.serialize())
        for fault in (*unknown_words(tree), *_wrong_patterns(tree)):
            raise ConditionError(fault.said, text[: places.get(fault.node, 0)].count("\n"))

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Return whether it holds with these values of the variables. Raises `EvaluationError` when it cannot be."""
        try:
            result = self._expression.eval(data=dict(values))
        except RuntimeError as error:
            raise EvaluationError(_sentence(str(error))) from None
        value = result.value()
        if not isinstance(value, bool):  # an error is a value too
            # It may quote a value, which may be of a header.
            raise EvaluationError(re.sub(r'"[^"]*"', '"…"', _sentence(str(value))))
        return value


def check_condition(text: str) -> str:
    """Return the text of a valid condition. Raises `ConditionError` otherwise."""
    Condition(text)
    return text


@lru_cache(maxsize=1)
def _environment() -> Any:
    """Return CEL's environment; its library is loaded only if there is a rule."""
    from cel_expr_python import cel

    kinds = {
        Kind.STRING: cel.Type.STRING,
        Kind.BOOL: cel.Type.BOOL,
        Kind.INT: cel.Type.INT,
        Kind.DOUBLE: cel.Type.DOUBLE,
        Kind.STRINGS: cel.Type.List(cel.Type.STRING),
        Kind.DOUBLES: cel.Type.Map(cel.Type.STRING, cel.Type.DOUBLE),
    }
    return cel.NewEnv(variables={variable.name: kinds[variable.kind] for variable in VARIABLES})


def _condition_error(text: str, told: str) -> ConditionError:
    found = _FAULT.search(told)
    if found is None:
        return ConditionError(_sentence(told))
    line, column, message = int(found[1]), int(found[2]), found[3].removesuffix(" [INVALID_ARGUMENT]")
    undeclared = re.match(r"undeclared reference to '([^']+)'", message)
    if undeclared:
        message = f"there is no variable {undeclared[1]!r}{_suggestion(undeclared[1])}"
    elif "(double, int)" in message or "(int, double)" in message:
        message += "; volumes and probability are decimal numbers: write 30.0, not 30"
    where = f"column {column}" if line == 1 else f"line {line}, column {column} of it"
    return ConditionError(f"{message} ({where}): {text.splitlines()[line - 1] if text.strip() else text!r}", line - 1)


def _suggestion(name: str) -> str:
    names = [variable.name for variable in VARIABLES]
    near = get_close_matches(name.lower(), names, n=2, cutoff=0.6)
    return f"; did you mean {' or '.join(near)}?" if near else f"; there are {', '.join(names)}"


def _sentence(told: str) -> str:
    """Return CEL's message without the code before and after it."""
    return re.sub(r"^[A-Z_]+: | \[[A-Z_]+\]$", "", told.strip())


def _wrong_patterns(tree: Any) -> Iterator[Fault]:
    """Yield each invalid regular expression, which CEL would notice only on use."""
    for node, pattern in texts_given_to("matches", tree):
        told = str(_matches().eval(data={"text": "", "pattern": pattern}).value())
        if told not in ("True", "False"):
            yield Fault(node, f"{pattern!r}: {_sentence(told)}")


@lru_cache(maxsize=1)
def _matches() -> Any:
    from cel_expr_python import cel

    return cel.NewEnv(variables={"text": cel.Type.STRING, "pattern": cel.Type.STRING}).compile("text.matches(pattern)")
