# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.dialects import postgresql, sqlite

from appliance.ledger.board import Place, jobs_statement, page_statement
from appliance.ledger.ledger import Ledger
from appliance.ledger.outcomes import SHOWN, Standing
from appliance.ledger.records import NewJob
from tests.appliance.ledger.course import arrival, claim, finish, follow, queue


def answered(ledger: Ledger, study: str, at: float, sr: str) -> None:
    queue(ledger, study, at)
    finish(ledger, sr)


def shown(
    ledger: Ledger, standing: Standing = Standing.FOUND, limit: int = 10, after: Place | None = None
) -> list[str]:
    return [one.study.id for one in ledger.board.page(standing, limit, after)]


def test_the_newest_study_of_a_group_comes_first_with_its_answers(ledger: Ledger) -> None:
    for number, study in enumerate("abc"):
        answered(ledger, study, 50.0 + number, f"1.{number}")
    assert shown(ledger) == ["c", "b", "a"]
    (newest, *_) = ledger.board.page(Standing.FOUND, 1)
    assert [job.sr_uid for job in newest.jobs] == ["1.2"]
    assert ledger.board.count(Standing.FOUND, 10) == 3
    assert ledger.board.count(Standing.FOUND, 2) == 2


def test_pages_follow_each_other_without_a_gap_or_a_repeat_also_where_times_are_equal(ledger: Ledger) -> None:
    for number in range(7):
        answered(ledger, f"s{number}", 50.0 + number // 3, f"1.{number}")
    seen: list[str] = []
    after: Place | None = None
    while page := ledger.board.page(Standing.FOUND, 2, after):
        seen += [one.study.id for one in page]
        after = page[-1].place
    assert len(seen) == 7
    assert seen == shown(ledger)


def test_a_study_leaves_the_board_when_orthanc_deletes_it_and_comes_back_when_it_is_sent_again(ledger: Ledger) -> None:
    answered(ledger, "s1", 50.0, "1.1")
    ledger.studies.delete("s1")
    assert [shown(ledger, standing) for standing in SHOWN] == [[], [], [], []]
    ledger.feed.notice([arrival("s1", 60.0)])
    assert shown(ledger) == ["s1"]


def test_a_refusal_stands_open_until_an_answer_takes_its_place(ledger: Ledger) -> None:
    queue(ledger, "s1")
    ledger.jobs.refuse(claim(ledger), (), {}, "1.88", "1.77")
    assert shown(ledger, Standing.UNDECIDED) == ["s1"]
    ledger.feed.notice([arrival("s1", 60.0)])
    ledger.studies.decide(follow(ledger, "s1"), NewJob("more", "c"))
    finish(ledger, "1.1")
    assert (shown(ledger, Standing.UNDECIDED), shown(ledger)) == ([], ["s1"])


def test_a_study_that_was_deleted_before_it_was_read_and_sent_again_is_what_its_answer_says(ledger: Ledger) -> None:
    queue(ledger, "s1")
    ledger.studies.delete("s1")
    ledger.feed.notice([arrival("s1", 60.0)])
    assert shown(ledger, Standing.UNDECIDED) == ["s1"]
    ledger.studies.decide(follow(ledger, "s1"), NewJob("again", "c"))
    finish(ledger, "1.1")
    assert (shown(ledger, Standing.UNDECIDED), shown(ledger)) == ([], ["s1"])


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)  # PostgreSQL's planner has statistics of its own
def test_the_jobs_of_a_page_are_read_by_their_studies_and_not_by_their_states(ledger: Ledger, url: str) -> None:
    engine = create_engine(url)
    answered(ledger, "s1", 50.0, "1.1")
    statement = jobs_statement(["s1", "s2"]).compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True})
    with engine.begin() as connection:
        plan = "\n".join(str(row) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}"))
    engine.dispose()
    assert "USING INDEX jobs_study" in plan, plan


def test_the_oldest_of_a_group_is_known(ledger: Ledger) -> None:
    assert ledger.board.oldest(Standing.FOUND) is None
    for number in range(3):
        answered(ledger, f"s{number}", 50.0 + number, f"1.{number}")
    assert ledger.board.oldest(Standing.FOUND) == 50.0


def test_what_is_on_the_way_is_what_has_not_ended(ledger: Ledger) -> None:
    answered(ledger, "done", 50.0, "1.1")
    queue(ledger, "queued", 60.0)
    ledger.feed.notice([arrival("coming", 70.0)])
    ledger.studies.miss(follow(ledger, "coming"), "a slice is missing", [])
    ledger.feed.notice([arrival("new", 80.0)])
    assert [one.study.id for one in ledger.board.on_the_way(10)] == ["new", "coming", "queued"]
    assert [one.study.id for one in ledger.board.on_the_way(1)] == ["new"]


@pytest.mark.parametrize("after", [None, Place(5_000.0, "s")])
def test_a_page_is_read_from_the_index_in_its_order_and_no_further_than_it_reaches(
    ledger: Ledger, url: str, after: Place | None
) -> None:
    engine = create_engine(url)
    on_sqlite = engine.dialect.name == "sqlite"
    dialect = sqlite.dialect() if on_sqlite else postgresql.dialect()  # type: ignore[no-untyped-call]
    statement = page_statement(Standing.FOUND, 20, after).compile(
        dialect=dialect, compile_kwargs={"literal_binds": True}
    )
    with engine.begin() as connection:
        rows = [
            {
                "orthanc_id": f"s{number:05d}",
                "study_uid": f"1.{number}",
                "state": "decided",
                "at": float(number),
                "standing": "read" if number % 10 else "found",
                "none": "[]",
            }
            for number in range(10_000)
        ]
        connection.execute(
            text(
                "INSERT INTO studies (orthanc_id, study_uid, state, since, last_instance_at, quiet_from, live, why, "
                "refusals, looker, deaths, standing) VALUES (:orthanc_id, :study_uid, :state, :at, :at, :at, "
                f"{'1' if on_sqlite else 'true'}, '', :none, '', 0, :standing)"
            ),
            rows,
        )
        if not on_sqlite:
            connection.exec_driver_sql("ANALYZE studies")
            # Of a common group it may find sorting a few rows of another index cheaper; this shows that it need not.
            connection.exec_driver_sql("SET LOCAL enable_incremental_sort = off")
            connection.exec_driver_sql("SET LOCAL enable_sort = off")
        explain = "EXPLAIN QUERY PLAN " if on_sqlite else "EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF) "
        # No parameters are passed, so that a percent sign is only a percent sign.
        plan = "\n".join(str(row) for row in connection.exec_driver_sql(explain + str(statement)))
    engine.dispose()
    assert "studies_board" in plan, plan
    assert "SCAN studies" not in plan, plan
    assert "Sort" not in plan, plan
    assert "TEMP B-TREE" not in plan, plan
    if not on_sqlite:
        assert "rows=20 loops=1" in plan, plan
        assert "Removed by Filter" not in plan, plan
    assert len(ledger.board.page(Standing.FOUND, 20, after)) == 20
