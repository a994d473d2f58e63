# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Two services on one PostgreSQL ledger that write the same new row at the same moment: neither ends with an error."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from sqlalchemy import create_engine, event, text

from appliance.ledger.ledger import Ledger
from appliance.ledger.records import Arrival, KnownSeries, NewJob, Origin, Position, UnseenSeries

PATIENCE_S = 60.0
SERIES = KnownSeries("series", "study", Origin.SOURCE, 3)
ARRIVAL = Arrival("study", "1.2.3", 10.0, 10.0, True, (SERIES,))
WRITES: dict[str, Callable[[Ledger], object]] = {
    "a heartbeat": lambda ledger: ledger.services.beat("doctor", ""),
    "the cursor": lambda ledger: ledger.feed.begin(Position(7, "", 0.0)),
    "a study that came": lambda ledger: ledger.feed.notice([ARRIVAL]),
    "a series": lambda ledger: ledger.series.note([SERIES]),
    "a sweep": lambda ledger: ledger.sweeps.begin(counting=True),
    "a series put off": lambda ledger: ledger.sweeps.settle([], [], [], [UnseenSeries("odd", 1, 5.0, "why")]),
    "an answer asked for": lambda ledger: ledger.queue.request("study", "1.2.3", NewJob("", "", series="series")),
}
ONCE = {"the cursor": [True, False]}
"""What the two are told, where only the first is to go on; otherwise both are told the same."""


@pytest.fixture
def ledgers(new_postgres: str) -> Iterator[list[Ledger]]:
    opened = [Ledger(new_postgres) for _ in range(2)]
    yield opened
    for ledger in opened:
        ledger.close()


@pytest.mark.parametrize("what", WRITES)
def test_a_row_that_two_services_write_at_once_is_written_once(
    what: str, ledgers: list[Ledger], new_postgres: str
) -> None:
    first, _ = ledgers
    is_written, may_commit = threading.Event(), threading.Event()

    def hold(_: object) -> None:
        is_written.set()
        assert may_commit.wait(PATIENCE_S)

    event.listen(first._database._engine, "commit", hold, once=True)
    told: list[object] = [None, None]

    def write(number: int) -> None:
        try:
            told[number] = WRITES[what](ledgers[number])
        except Exception as error:
            told[number] = error

    threads = [threading.Thread(target=write, args=(number,)) for number in range(2)]
    threads[0].start()
    assert is_written.wait(PATIENCE_S)
    threads[1].start()
    _await_lock(new_postgres)
    may_commit.set()
    for thread in threads:
        thread.join()
    assert told == ONCE.get(what, [told[0]] * 2)
    assert not isinstance(told[0], Exception)


def test_of_a_study_that_two_services_find_at_once_the_later_instance_counts(
    ledgers: list[Ledger], new_postgres: str
) -> None:
    later = replace(ARRIVAL, quiet_from=11.0, last_instance_at=11.0)
    is_written, may_commit = threading.Event(), threading.Event()

    def hold(_: object) -> None:
        is_written.set()
        assert may_commit.wait(PATIENCE_S)

    event.listen(ledgers[0]._database._engine, "commit", hold, once=True)
    threads = [
        threading.Thread(target=ledger.feed.notice, args=([arrival],))
        for ledger, arrival in zip(ledgers, (ARRIVAL, later), strict=True)
    ]
    threads[0].start()
    assert is_written.wait(PATIENCE_S)
    threads[1].start()
    _await_lock(new_postgres)
    may_commit.set()
    for thread in threads:
        thread.join()
    (study,) = ledgers[0].studies.list_followed()
    assert study.quiet_from == 11.0


def _await_lock(url: str) -> None:
    """Return once a transaction waits for another one."""
    engine = create_engine(url)
    end = time.monotonic() + PATIENCE_S
    waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    while True:
        with engine.connect() as connection:
            if connection.execute(waiting).scalar_one():
                break
        assert time.monotonic() < end, "nobody waits"
        time.sleep(0.02)
    engine.dispose()
