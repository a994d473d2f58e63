# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""How a record's field is kept in a table: only an annotation at the field names the column.

`columns_of` turns the annotations of a record into the columns of its table, and `record_of` and `values_of` move
between rows and records, so that a new column is a line in `records` and a migration.
"""

from __future__ import annotations

from dataclasses import MISSING, Field, dataclass, fields
from enum import StrEnum
from types import NoneType
from typing import Any, TypeVar, get_args, get_type_hints

from sqlalchemy import JSON, Column, String, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

Record = TypeVar("Record")


class FreeText(TypeDecorator[str]):
    """A text in others' words, of any length; characters that PostgreSQL keeps in no text are left out or replaced."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, _dialect: Dialect) -> str | None:
        """Return the text to keep: without NUL, and with a question mark for half a surrogate pair."""
        return None if value is None else value.replace("\0", "").encode("utf-8", "replace").decode()


@dataclass(frozen=True)
class Kept:
    """The column of a field: its SQL type, its name if that differs from the field's, and whether it is a key."""

    type: TypeEngine[Any]
    column: str = ""
    primary_key: bool = False


class Word(TypeDecorator[StrEnum]):
    """A word of a closed vocabulary, kept as text."""

    impl = String
    cache_ok = True

    def __init__(self, words: type[StrEnum], length: int) -> None:
        super().__init__(length)
        self.words = words
        self.length = length

    def process_bind_param(self, value: StrEnum | str | None, _dialect: Dialect) -> str | None:
        """Return the text to keep."""
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, _dialect: Dialect) -> StrEnum | None:
        """Return the stored word; raises `ValueError` for one from another version."""
        return None if value is None else self.words(value)


class Texts(TypeDecorator[tuple[str, ...]]):
    """A tuple of texts, kept as JSON."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: tuple[str, ...] | None, _dialect: Dialect) -> list[str] | None:
        """Return the list to keep."""
        return None if value is None else list(value)

    def process_result_value(self, value: list[str] | None, _dialect: Dialect) -> tuple[str, ...] | None:
        """Return the stored list as a tuple."""
        return None if value is None else tuple(value)


def columns_of(record: type) -> list[Column[Any]]:
    """Return new columns for the fields of `record`; an insert without a field writes the field's default."""
    return [
        Column(
            name,
            kept.type,
            primary_key=kept.primary_key,
            nullable=nullable,
            default=_default(field),
        )
        for field, name, kept, nullable in _list_fields(record)
    ]


def record_of(record: type[Record], row: Any) -> Record:
    """Return the record that a row of its table holds."""
    return record(**{field.name: getattr(row, name) for field, name, _, _ in _list_fields(record)})


def values_of(record: Any) -> dict[str, Any]:
    """Return the values of a record by column."""
    return {name: getattr(record, field.name) for field, name, _, _ in _list_fields(type(record))}


_KNOWN: dict[type, tuple[tuple[Field[Any], str, Kept, bool], ...]] = {}


def _list_fields(record: type) -> tuple[tuple[Field[Any], str, Kept, bool], ...]:
    """Return each field with its column's name, how it is kept, and whether it may be null."""
    if record not in _KNOWN:
        hints = get_type_hints(record, include_extras=True)
        found = []
        for field in fields(record):
            plain_type, kept = get_args(hints[field.name])
            found.append((field, kept.column or field.name, kept, NoneType in get_args(plain_type)))
        _KNOWN[record] = tuple(found)
    return _KNOWN[record]


def _default(field: Field[Any]) -> Any:
    if field.default_factory is not MISSING:
        return field.default_factory
    return None if field.default is MISSING else field.default
