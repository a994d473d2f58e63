# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import pytest
from sqlalchemy import JSON, Integer, MetaData, String, Table, create_engine, insert, select

from appliance.ledger.columns import Kept, Texts, Word, columns_of, record_of, values_of
from appliance.ledger.states import JobState


@dataclass(frozen=True)
class Errand:
    """A record with one field of each sort."""

    id: Annotated[int, Kept(Integer(), primary_key=True)]
    where: Annotated[str, Kept(String(8), "place")]
    state: Annotated[JobState, Kept(Word(JobState, 16))]
    stops: Annotated[tuple[str, ...], Kept(Texts())] = ()
    facts: Annotated[dict[str, Any], Kept(JSON())] = field(default_factory=dict)
    minutes: Annotated[int | None, Kept(Integer())] = None


@dataclass(frozen=True)
class LaterErrand(Errand):
    """The record of a later version, with one more field."""

    priority: Annotated[int, Kept(Integer())] = 3


def test_a_record_comes_back_from_its_table_as_it_went_in(tmp_path: Path) -> None:
    table = Table("errands", MetaData(), *columns_of(Errand))
    engine = create_engine(f"sqlite:///{tmp_path / 'errands.sqlite'}")
    table.create(engine)
    errand = Errand(1, "here", JobState.DONE, ("a", "b"), {"x": 1.5}, 7)
    with engine.begin() as connection:
        connection.execute(insert(table).values(values_of(errand)))
        connection.execute(insert(table).values(id=2, place="there", state=JobState.QUEUED))
        first, second = (record_of(Errand, row) for row in connection.execute(select(table).order_by(table.c.id)))
    engine.dispose()
    assert first == errand
    assert second == Errand(2, "there", JobState.QUEUED)


def test_only_a_field_that_may_be_none_is_a_column_that_may_be_null() -> None:
    assert [column.name for column in columns_of(Errand) if column.nullable] == ["minutes"]


def test_one_new_field_is_a_column_of_the_table_and_of_what_is_read_and_written(tmp_path: Path) -> None:
    table = Table("errands", MetaData(), *columns_of(LaterErrand))
    engine = create_engine(f"sqlite:///{tmp_path / 'errands.sqlite'}")
    table.create(engine)
    with engine.begin() as connection:
        connection.execute(insert(table).values(values_of(LaterErrand(1, "here", JobState.DONE, priority=9))))
        (errand,) = (record_of(LaterErrand, row) for row in connection.execute(select(table)))
    engine.dispose()
    assert errand.priority == 9


def test_a_word_of_another_version_is_not_taken_for_one_of_ours() -> None:
    with pytest.raises(ValueError, match="asleep"):
        Word(JobState, 16).process_result_value("asleep", None)  # type: ignore[arg-type]
