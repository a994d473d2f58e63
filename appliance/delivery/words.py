# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Words in a condition that no variable ever has: `answer == "presnt"` has the right types and would never hold.

The syntax tree is walked, so that a word is found in whatever way it is written: in a raw string, a list, a macro, or
as an argument of `startsWith` or `matches`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final

from appliance.delivery.variables import VARIABLES, Kind

_EQUAL: Final = ("_==_", "_!=_")
_CHOICE: Final = "_?_:_"
_WITHIN: Final = ("@in", "in", "_in_")
_PART_TESTS: Final[Mapping[str, tuple[str, Callable[[str, str], bool]]]] = {
    "startsWith": ("starts with", str.startswith),
    "endsWith": ("ends with", str.endswith),
    "contains": ("contains", lambda word, part: part in word),
    "matches": ("matches", lambda word, pattern: re.search(pattern, word) is not None),
}


@dataclass(frozen=True)
class Fault:
    """What is wrong, and the node of the syntax tree where it is."""

    node: int
    said: str


@dataclass(frozen=True)
class _Values:
    """The only values that an expression can have, and of which variable they are.

    `inside`: those of its members, or of its keys where it is `keyed`.
    """

    name: str
    words: tuple[str, ...]
    inside: bool = False
    keyed: bool = False


@dataclass(frozen=True)
class _Written:
    """The texts written in a condition that an expression can have."""

    texts: tuple[str, ...]


_Scope = Mapping[str, _Values | _Written]


_KNOWN: Final[_Scope] = {
    variable.name: _Values(
        variable.name, variable.words, variable.kind is not Kind.STRING, variable.kind is Kind.DOUBLES
    )
    for variable in VARIABLES
    if variable.words
}


def unknown_words(tree: Any) -> Iterator[Fault]:
    """Yield each word of a syntax tree that its variable never has, from left to right."""
    yield from sorted(_walk(tree, _KNOWN), key=lambda fault: fault.node)


def _walk(node: Any, known: _Scope) -> Iterator[Fault]:
    if node.HasField("call_expr"):
        yield from _check_call(node, known)
        for part in (node.call_expr.target, *node.call_expr.args):
            yield from _walk(part, known)
    elif node.HasField("select_expr"):
        of = _values(node.select_expr.operand, known)
        if of is not None and of.inside:
            yield from _unless_known(node.id, of, node.select_expr.field)
        yield from _walk(node.select_expr.operand, known)
    elif node.HasField("list_expr"):
        for part in node.list_expr.elements:
            yield from _walk(part, known)
    elif node.HasField("comprehension_expr"):
        loop = node.comprehension_expr
        yield from _walk(loop.iter_range, known)
        of = _values(loop.iter_range, known)
        inner = {name: values for name, values in known.items() if name not in (loop.iter_var, loop.accu_var)}
        if of is not None and of.inside:
            inner[loop.iter_var] = _Values(of.name, of.words)
        elif written := _elements(loop.iter_range):
            inner[loop.iter_var] = _Written(tuple(text for one in written for text in _texts(one, known)))
        for part in (loop.accu_init, loop.loop_condition, loop.loop_step, loop.result):
            yield from _walk(part, inner)


def _check_call(node: Any, known: _Scope) -> Iterator[Fault]:
    call = node.call_expr
    parts = [*([call.target] if call.HasField("target") else []), *call.args]
    if call.function in _EQUAL:
        for one, other in (parts, reversed(parts)):
            of = _values(one, known)
            if of is not None:
                written = _elements(other) if of.inside else [other]
                yield from (fault for word in written for fault in _unless_known_text(node.id, of, word, known))
    elif call.function in _WITHIN:
        member, whole = parts
        of = _values(whole, known)
        if of is not None and of.inside:
            yield from _unless_known_text(node.id, of, member, known)
        of = _values(member, known)
        if of is not None and not of.inside:
            yield from (fault for word in _elements(whole) for fault in _unless_known_text(node.id, of, word, known))
    elif call.function == "_[_]":
        of = _values(parts[0], known)
        if of is not None and of.inside:
            yield from _unless_known_text(node.id, of, parts[1], known)
    elif call.function in _PART_TESTS:
        yield from _check_part(node.id, call.function, parts, known)


def _check_part(node: int, function: str, parts: list[Any], known: _Scope) -> Iterator[Fault]:
    of = _values(parts[0], known)
    if of is None or of.inside:
        return
    said, holds = _PART_TESTS[function]
    for part in _texts(parts[1], known):
        try:
            if any(holds(word, part) for word in of.words):
                continue
        except re.error:  # CEL has another syntax; whether it is right there is checked elsewhere
            continue
        yield Fault(node, f"{of.name} never {said} {part!r}; {_choice(of)}")


def _values(node: Any, known: _Scope) -> _Values | None:
    """Return the only values that an expression can have; None where it can have any."""
    if node.HasField("ident_expr"):
        of = known.get(node.ident_expr.name)
        return of if isinstance(of, _Values) else None
    if not node.HasField("call_expr"):
        return None
    call = node.call_expr
    if call.function == "_[_]":
        of = _values(call.args[0], known)
        return _Values(of.name, of.words) if of is not None and of.inside and not of.keyed else None
    if call.function == _CHOICE:
        return _values_of_either(call.args[1], call.args[2], known)
    return None


def _values_of_either(one: Any, other: Any, known: _Scope) -> _Values | None:
    """Return the values of `condition ? one : other`, where at least one of them is a variable."""
    found = [_values(branch, known) for branch in (one, other)]
    texts = (*_texts(one, known), *_texts(other, known))
    of = [values for values in found if values is not None]
    is_known = all(
        values is not None or _text(branch) is not None for values, branch in zip(found, (one, other), strict=True)
    )
    if not of or not is_known or len({values.inside for values in of}) > 1:
        return None
    name = " or ".join(dict.fromkeys(values.name for values in of))
    words = dict.fromkeys((*(word for values in of for word in values.words), *texts))
    return _Values(name, tuple(words), of[0].inside, any(values.keyed for values in of))


def _elements(node: Any) -> list[Any]:
    """Return the elements of a list that is written in a condition; of both where a condition chooses."""
    if node.HasField("call_expr") and node.call_expr.function == _CHOICE:
        return [*_elements(node.call_expr.args[1]), *_elements(node.call_expr.args[2])]
    return [*node.list_expr.elements]


def _texts(node: Any, known: _Scope) -> tuple[str, ...]:
    """Return the texts written in a condition that an expression can have; none for anything else."""
    text = _text(node)
    if text is not None:
        return (text,)
    if node.HasField("ident_expr"):
        of = known.get(node.ident_expr.name)
        return of.texts if isinstance(of, _Written) else ()
    if node.HasField("call_expr") and node.call_expr.function == _CHOICE:
        return (*_texts(node.call_expr.args[1], known), *_texts(node.call_expr.args[2], known))
    return ()


def _text(node: Any) -> str | None:
    """Return a text that is written in a condition; None for anything else."""
    is_text = node.HasField("const_expr") and node.const_expr.HasField("string_value")
    return node.const_expr.string_value if is_text else None


def _unless_known_text(node: int, of: _Values, written: Any, known: _Scope) -> Iterator[Fault]:
    for word in _texts(written, known):
        yield from _unless_known(node, of, word)


def _unless_known(node: int, of: _Values, word: str) -> Iterator[Fault]:
    if word not in of.words:
        near = get_close_matches(word.lower(), [*filter(None, of.words)], n=1, cutoff=0.6)
        yield Fault(node, f"{of.name} is never {word!r}; {f'did you mean {near[0]!r}?' if near else _choice(of)}")


def _choice(of: _Values) -> str:
    empty = ', or "" where there is none' if "" in of.words else ""
    return f"it is one of {', '.join(filter(None, of.words))}{empty}"


def texts_given_to(function: str, tree: Any) -> Iterator[tuple[int, str]]:
    """Yield each text that is written as the argument of a function, with its node."""
    if tree.HasField("call_expr"):
        call = tree.call_expr
        if call.function == function and call.args:
            text = _text(call.args[-1])
            if text is not None:
                yield tree.id, text
    for part in _parts(tree):
        yield from texts_given_to(function, part)


def _parts(node: Any) -> Iterator[Any]:
    if node.HasField("call_expr"):
        yield from (node.call_expr.target, *node.call_expr.args)
    elif node.HasField("select_expr"):
        yield node.select_expr.operand
    elif node.HasField("list_expr"):
        yield from node.list_expr.elements
    elif node.HasField("comprehension_expr"):
        loop = node.comprehension_expr
        yield from (loop.iter_range, loop.accu_init, loop.loop_condition, loop.loop_step, loop.result)
