# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Conditions of rules: the Common Expression Language (cel.dev), compiled and checked by its authors' own library.

Its type checker finds unknown names and comparisons of different types. A word that a variable never has, as in
`answer == "presnt"`, has the right type and would silently never hold, so this module searches for such words too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, Final

from appliance.delivery.variables import VARIABLES, Kind, Variable

_FAULT: Final = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")
_TOKEN: Final = re.compile(
    r"""//[^\n]*|(?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')|(?P<name>[A-Za-z_][\w.]*)|==|!=|&&|\|\||\S"""
)


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
        for fault in (*_unknown_words(text), *_wrong_patterns(text)):
            raise ConditionError(fault)

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


def _unknown_words(text: str) -> Iterator[str]:
    """Yield a sentence for each word that is compared with a variable that never has it."""
    known = {variable.name: variable for variable in VARIABLES if variable.words}
    tokens = [match for match in _TOKEN.finditer(text) if not match[0].startswith("//")]
    for index, token in enumerate(tokens):
        name = token[0]
        if token["name"] and "." in name and name.partition(".")[0] in known:
            name, _, word = name.partition(".")
            if known[name].kind is Kind.DOUBLES and (word in ("all", "exists", "exists_one", "map", "filter", "size")):
                continue
            yield from _unless_known(known[name], f'"{word}"') if known[name].kind is Kind.DOUBLES else ()
        elif token["name"] and name in known:
            yield from (fault for word in _compared(tokens, index) for fault in _unless_known(known[name], word))


def _wrong_patterns(text: str) -> Iterator[str]:
    """Yield a sentence for each invalid regular expression, which CEL would notice only on use."""
    tokens = [match[0] for match in _TOKEN.finditer(text)]
    for name, opened, pattern in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if name.rpartition(".")[2] == "matches" and opened == "(" and pattern[0] in "\"'":
            told = str(_environment().compile(f'"".matches({pattern})').eval(data={}).value())
            if told not in ("True", "False"):
                yield f"{pattern}: {_sentence(told)}"


def _compared(tokens: list[re.Match[str]], index: int) -> Iterator[str]:
    """Yield the texts that stand beside the variable at `index`: compared, in a list that it is in, or its key."""

    def at(place: int) -> re.Match[str] | None:
        return tokens[place] if 0 <= place < len(tokens) else None

    before, after, beyond = at(index - 1), at(index + 1), at(index + 2)
    left = at(index - 2)
    if after is not None and after[0] in ("==", "!=", "[") and beyond is not None and beyond["text"]:
        yield beyond[0]
    if before is not None and before[0] in ("==", "!=", "in") and left is not None and left["text"]:
        yield left[0]
    if after is not None and after[0] == "in" and beyond is not None and beyond[0] == "[":
        for token in tokens[index + 3 :]:
            if token["text"]:
                yield token[0]
            elif token[0] != ",":
                return


def _unless_known(variable: Variable, quoted: str) -> Iterator[str]:
    word = quoted[1:-1]
    if word not in variable.words:
        near = get_close_matches(word.lower(), variable.words, n=1, cutoff=0.6)
        meant = f"did you mean {near[0]!r}?" if near else f"it is one of {', '.join(filter(None, variable.words))}"
        yield f"{variable.name} is never {word!r}; {meant}"
