# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The outbox on SQLite and PostgreSQL: once, in order, one service at a time, and the newer answer after the older."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from appliance.errors import Refusal, RefusalCode
from appliance.ledger.ledger import Ledger
from appliance.ledger.news import ANSWERS
from appliance.ledger.outbox import LostDeliveryError, Outbox, Planned
from appliance.ledger.records import Arrival, Delivery, Job, KnownSeries, NewJob, Origin, ResultObject
from appliance.ledger.states import DeliveryEvent, DeliveryState, InvalidTransitionError, JobState
from tests.appliance.ledger.clock import Clock

PACS = Planned("pacs", "a rule", ("sr", "seg"))
ME, OTHER = "me/1", "other/1"
ASIDE = 5


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(url: str, clock: Clock) -> Iterator[Ledger]:
    made = Ledger(url, clock)
    yield made
    made.close()


def refuse(ledger: Ledger, study: str) -> Job:
    """Refuse a study that nobody has seen, without a report; return the job as it ended."""
    series = KnownSeries(f"{study}-series-unread", study, Origin.SOURCE, 1)
    ledger.feed.notice([Arrival(study, f"1.2.{study}", 1.0, 1.0, True, (series,))])
    followed = next(one for one in ledger.studies.list_followed() if one.id == study)
    ledger.studies.decide(followed, NewJob("set-unread", "chosen-unread"))
    job = ledger.queue.claim("worker", 60)
    assert job is not None
    ledger.jobs.refuse(job, [Refusal(RefusalCode.NO_SUITABLE_SERIES, "none")], {})
    return ledger.jobs.of_study(study)[-1]


def answer(ledger: Ledger, study: str, sr_uid: str, grown: str = "") -> Job:
    """Answer a study that nobody has seen, or that has grown, with the report `sr_uid`; return the job as it ended."""
    series = KnownSeries(f"{study}-series{grown}", study, Origin.SOURCE, 1)
    ledger.feed.notice([Arrival(study, f"1.2.{study}", 1.0, 1.0, True, (series,))])
    followed = next(one for one in ledger.studies.list_followed() if one.id == study)
    ledger.studies.decide(followed, NewJob(f"set{grown}", f"chosen{grown}"))
    job = ledger.queue.claim("worker", 60)
    assert job is not None
    result = ResultObject(f"{sr_uid}-instance", f"{sr_uid}-series", "sr", sr_uid)
    ledger.jobs.deliver(job, [result], {"present": True}, (), f"chosen{grown}", "1.2.3")
    ledger.jobs.finish(job, "1.1", sr_uid, {}, None)
    return ledger.jobs.of_study(study)[-1]


def claim(ledger: Ledger, owner: str = ME, destination: str = "pacs") -> Delivery:
    delivery = ledger.outbox.claim(destination, owner, 60, ASIDE)
    assert delivery is not None
    return delivery


def states(ledger: Ledger) -> list[tuple[int, str]]:
    return [(one.job, one.state.value) for one in reversed(ledger.outbox.deliveries())]


def test_the_rules_are_applied_to_an_answer_once_and_what_they_ask_for_is_there_once(ledger: Ledger) -> None:
    job = answer(ledger, "s", "1.9")
    assert [one.id for one in ledger.outbox.unrouted()] == [job.id]
    assert len(ledger.outbox.route(job, [PACS, Planned("ris", "a rule")])) == 2
    assert ledger.outbox.unrouted() == []
    assert ledger.outbox.route(job, [PACS]) == []
    assert len(ledger.outbox.deliveries()) == 2


def test_two_services_that_apply_the_rules_at_the_same_time_ask_for_it_once(url: str, ledger: Ledger) -> None:
    job = answer(ledger, "s", "1.9")
    others = [Ledger(url) for _ in range(4)]
    threads = [threading.Thread(target=one.outbox.route, args=(job, [PACS])) for one in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in others:
        one.close()
    assert len(ledger.outbox.deliveries()) == 1


def test_the_same_answer_given_again_is_delivered_once(ledger: Ledger) -> None:
    job = answer(ledger, "s", "1.9")
    ledger.outbox.route(job, [PACS])
    ledger.outbox.confirm(claim(ledger), "stored")
    again = answer(ledger, "s", "1.9", "-again")
    assert again.id != job.id
    assert ledger.outbox.route(again, [PACS]) == []


@pytest.mark.parametrize("event", [DeliveryEvent.REJECT, DeliveryEvent.EXPIRE])
def test_the_same_answer_given_again_waits_again_where_its_delivery_was_given_up(
    ledger: Ledger, event: DeliveryEvent
) -> None:
    ledger.outbox.route(answer(ledger, "s", "1.9"), [PACS])
    ledger.outbox.end(claim(ledger), event, "the study is no longer in Orthanc")
    again = answer(ledger, "s", "1.9", "-again")
    (made,) = ledger.outbox.route(again, [Planned("pacs", "another rule", PACS.content, True)])
    assert (made.state, made.job, made.rule, made.first) == (DeliveryState.WAITING, again.id, "another rule", True)
    assert claim(ledger).job == again.id


def test_the_same_answer_given_again_does_not_undo_what_a_person_dropped(ledger: Ledger) -> None:
    (made,) = ledger.outbox.route(answer(ledger, "s", "1.9"), [PACS])
    ledger.outbox.drop(made.id, "me@here")
    assert ledger.outbox.route(answer(ledger, "s", "1.9", "-again"), [PACS]) == []


def test_a_destination_gets_answers_in_their_order_and_those_that_go_first_before(ledger: Ledger) -> None:
    for number, first in enumerate((False, False, True, False)):
        job = answer(ledger, f"s{number}", f"1.{number}")
        ledger.outbox.route(job, [Planned("pacs", "a rule", ("sr",), first)])
    got = []
    while (delivery := ledger.outbox.claim("pacs", ME, 60, ASIDE)) is not None:
        got.append(delivery.orthanc_study)
        ledger.outbox.confirm(delivery, "stored")
    assert got == ["s2", "s0", "s1", "s3"]


def test_what_waits_for_its_time_keeps_its_destination_waiting_and_no_other(ledger: Ledger, clock: Clock) -> None:
    for study in ("a", "b"):
        ledger.outbox.route(answer(ledger, study, f"1.{study}"), [PACS, Planned("ris", "a rule")])
    delivery = claim(ledger)
    ledger.outbox.postpone(delivery, "away", clock() + 30)
    assert ledger.outbox.claim("pacs", ME, 60, ASIDE) is None
    assert claim(ledger, destination="ris").orthanc_study == "a"
    clock.now += 31
    assert claim(ledger).orthanc_study == "a"


def test_one_that_is_turned_down_again_and_again_steps_aside_for_other_studies(ledger: Ledger, clock: Clock) -> None:
    for study in ("a", "b"):
        ledger.outbox.route(answer(ledger, study, f"1.{study}"), [PACS])
    for _ in range(ASIDE):
        ledger.outbox.postpone(claim(ledger), "no room for this one", clock() + 30, rejected=True)
        if _ < ASIDE - 1:
            assert ledger.outbox.claim("pacs", ME, 60, ASIDE) is None
            clock.now += 31
    assert claim(ledger).orthanc_study == "b"


def test_those_that_stepped_aside_take_no_turn_from_the_others_though_their_time_has_come(
    ledger: Ledger, clock: Clock
) -> None:
    for study in ("a", "b"):
        ledger.outbox.route(answer(ledger, study, f"1.{study}"), [PACS])
    for study in ("a", "b"):
        for _ in range(ASIDE if study == "a" else 1):  # another has stepped aside: this one does at once
            delivery = claim(ledger)
            assert delivery.orthanc_study == study
            ledger.outbox.postpone(delivery, "no room for this one", clock() + 30, rejected=True)
            clock.now += 31 * (study == "a" and _ < ASIDE - 1)
    ledger.outbox.route(answer(ledger, "healthy", "1.3"), [PACS])
    clock.now += 1000  # the time of all has come
    got = [claim(ledger)]
    ledger.outbox.confirm(got[0], "stored")
    got.append(claim(ledger))
    assert [one.orthanc_study for one in got] == ["healthy", "a"]


def turn_down_firsts(ledger: Ledger, clock: Clock, count: int) -> None:
    """Let a destination turn down so many answers that go first, until each has stepped aside."""
    for number in range(count):
        planned = Planned("pacs", "a rule", ("sr",), first=True)
        ledger.outbox.route(answer(ledger, f"poison{number}", f"1.9.{number}"), [planned])
        for _ in range(ASIDE if number == 0 else 1):
            ledger.outbox.postpone(claim(ledger), "no room for this one", clock() + 30, rejected=True)
            clock.now += 31 * (_ < ASIDE - 1 and number == 0)


def test_answers_that_go_first_and_are_turned_down_take_no_turn_from_routine_ones(ledger: Ledger, clock: Clock) -> None:
    turn_down_firsts(ledger, clock, 3)
    for study in ("a", "b", "c"):
        ledger.outbox.route(answer(ledger, study, f"1.{study}"), [PACS])
    clock.now += 1000  # the time of all has come
    got = []
    while (delivery := ledger.outbox.claim("pacs", ME, 60, ASIDE)) is not None:
        got.append(delivery.orthanc_study)
        if delivery.orthanc_study.startswith("poison"):
            ledger.outbox.postpone(delivery, "no room for this one", clock() + 120, rejected=True)
        else:
            ledger.outbox.confirm(delivery, "stored")
    assert got[:3] == ["a", "b", "c"]
    assert sorted(got[3:]) == ["poison0", "poison1", "poison2"]


def test_what_has_stepped_aside_is_tried_in_turns_and_now_and_then_before_routine_ones(
    ledger: Ledger, clock: Clock
) -> None:
    turn_down_firsts(ledger, clock, 2)
    clock.now += 1000
    for study, first in (("routine", False), ("bleed", True)):
        ledger.outbox.route(answer(ledger, study, f"1.{study}"), [Planned("pacs", "a rule", ("sr",), first)])
    got = []
    for _ in range(4):
        delivery = ledger.outbox.claim("pacs", ME, 60, ASIDE, aside_too=True)
        assert delivery is not None
        got.append(delivery.orthanc_study)
        if delivery.orthanc_study.startswith("poison"):
            ledger.outbox.postpone(delivery, "no room for this one", clock() + 120, rejected=True)
        else:
            ledger.outbox.confirm(delivery, "stored")
    assert got == ["bleed", "poison0", "poison1", "routine"]


def claim_and_turn_down(ledger: Ledger, clock: Clock) -> str:
    """Let the next delivery be turned down, so that its time comes again before its next turn; return its study."""
    delivery = claim(ledger)
    ledger.outbox.postpone(delivery, "no room for this one", clock() + 1, rejected=True)
    clock.now += 2
    return delivery.orthanc_study


def test_a_hemorrhage_that_was_turned_down_once_comes_before_what_is_turned_down_again_and_again(
    ledger: Ledger, clock: Clock
) -> None:
    for number in range(4):
        ledger.outbox.route(answer(ledger, f"poison{number}", f"1.9.{number}"), [PACS])
    for tries in range(ASIDE):
        for _ in range(4 if tries == ASIDE - 1 else 1):  # once the first has stepped aside, the others do at once
            delivery = claim(ledger)
            ledger.outbox.postpone(delivery, "no room for this one", clock() + 30, rejected=True)
        clock.now += 31 * (tries < ASIDE - 1)
    bleed = Planned("pacs", "a rule", ("sr",), first=True)
    ledger.outbox.route(answer(ledger, "bleed", "1.1"), [bleed])
    clock.now += 40
    delivery = claim(ledger)
    assert delivery.orthanc_study == "bleed"
    ledger.outbox.postpone(delivery, "busy", clock() + 5, rejected=True)
    clock.now += 1
    assert claim_and_turn_down(ledger, clock) == "poison0"  # its time has come, and that of the hemorrhage has not
    clock.now += 5
    assert claim(ledger).orthanc_study == "bleed"


def test_what_goes_first_and_is_turned_down_again_and_again_takes_turns_with_the_rest(
    ledger: Ledger, clock: Clock
) -> None:
    turn_down_firsts(ledger, clock, 2)
    for number in range(2):
        ledger.outbox.route(answer(ledger, f"routine{number}", f"1.8.{number}"), [PACS])
        assert claim_and_turn_down(ledger, clock) == f"routine{number}"
    clock.now += 1000
    got = [claim_and_turn_down(ledger, clock) for _ in range(2 * ASIDE + 8)]
    before, after = got[: ASIDE - 1], got[-8:]
    assert {one[:6] for one in before} == {"poison"}  # a hemorrhage has some tries ahead of the rest
    kinds = [one[:6] for one in after]
    assert kinds[::2] in (["poison"] * 4, ["routin"] * 4)
    assert kinds[1::2] in (["poison"] * 4, ["routin"] * 4)
    assert set(after) == {"poison0", "poison1", "routine0", "routine1"}


def test_a_transfer_that_its_destination_still_works_at_takes_no_turn_from_others(ledger: Ledger, clock: Clock) -> None:
    ledger.outbox.route(answer(ledger, "slow", "1.1"), [Planned("pacs", "a rule", ("sr",), first=True)])
    ledger.outbox.postpone(claim(ledger), "has yet to commit to it", clock() + 5, handle="transaction 7")
    ledger.outbox.route(answer(ledger, "routine", "1.2"), [PACS])
    clock.now += 6
    assert claim(ledger).orthanc_study == "routine"


def test_nothing_is_due_until_the_first_that_waits_has_its_time(ledger: Ledger, clock: Clock) -> None:
    assert ledger.outbox.next_due("pacs", ASIDE) is None
    for study in ("a", "b"):
        ledger.outbox.route(answer(ledger, study, f"1.{study}"), [PACS])
    ledger.outbox.postpone(claim(ledger), "away", clock() + 30)
    assert ledger.outbox.next_due("pacs", ASIDE) == clock() + 30  # though the time of the other has come
    assert ledger.outbox.next_due("ris", ASIDE) is None


def test_a_delivery_that_is_retried_keeps_what_its_destination_has_of_it(ledger: Ledger, clock: Clock) -> None:
    ledger.outbox.route(answer(ledger, "a", "1.1"), [PACS])
    ledger.outbox.postpone(claim(ledger), "two of three have it", clock() + 5, handle="mails 3")
    (waiting,) = ledger.outbox.deliveries()
    assert ledger.outbox.retry(waiting.id).handle == "mails 3"
    ledger.outbox.end(claim(ledger), DeliveryEvent.EXPIRE, "one of three never took it", "mails 7")
    assert ledger.outbox.retry(waiting.id).handle == "mails 7"
    again = answer(ledger, "a", "1.1", "-again")
    ledger.outbox.end(claim(ledger), DeliveryEvent.EXPIRE, "again in vain")
    (renewed,) = ledger.outbox.route(again, [PACS])
    assert (renewed.job, renewed.handle) == (again.id, "mails 7")


def test_what_a_destination_says_is_kept_whatever_characters_are_in_it(ledger: Ledger, clock: Clock) -> None:
    ledger.outbox.route(answer(ledger, "a", "1.1"), [PACS])
    ledger.outbox.postpone(claim(ledger), "AE\0, \ud800", clock())
    (waiting,) = ledger.outbox.deliveries()
    assert waiting.error == "AE, ?"
    ledger.outbox.confirm(claim(ledger), "AA\0")
    (delivered,) = ledger.outbox.deliveries()
    assert (delivered.state, delivered.receipt) == (DeliveryState.DELIVERED, "AA")


def test_whoever_has_a_part_of_an_answer_that_was_given_up_gets_the_newer_one(ledger: Ledger, clock: Clock) -> None:
    ledger.outbox.route(answer(ledger, "s", "1.1"), [PACS])
    ledger.outbox.end(claim(ledger), DeliveryEvent.EXPIRE, "one of three never took it", "mails 3")
    newer = answer(ledger, "s", "1.2", "-grown")
    assert [one.destination for one in ledger.outbox.route(newer, [])] == ["pacs"]


def test_whoever_follows_a_destination_is_woken_by_what_is_to_be_done_for_it(ledger: Ledger, clock: Clock) -> None:
    pacs, ris, answers = threading.Event(), threading.Event(), threading.Event()
    for topic, event in (("pacs", pacs), ("ris", ris), (ANSWERS, answers)):
        ledger.news.follow(topic, event)
    job = answer(ledger, "a", "1.1")
    assert answers.is_set()
    ledger.outbox.route(job, [PACS])
    assert (pacs.is_set(), ris.is_set()) == (True, False)
    (made,) = ledger.outbox.deliveries()
    ledger.outbox.postpone(claim(ledger), "away", clock() + 30)
    for act in (lambda: ledger.outbox.retry(made.id), lambda: ledger.outbox.drop(made.id, "me@here")):
        pacs.clear()
        act()
        assert pacs.is_set()
    answers.clear()
    refuse(ledger, "b")
    assert answers.is_set()


def test_what_is_about_the_same_study_does_not_pass_one_that_stepped_aside(ledger: Ledger, clock: Clock) -> None:
    ledger.outbox.route(answer(ledger, "a", "1.1"), [Planned("pacs", "a rule", ("sr",)), Planned("pacs", "other")])
    for _ in range(ASIDE):
        ledger.outbox.postpone(claim(ledger), "no room for this one", clock(), rejected=True)
    clock.now += 1000
    assert claim(ledger).content == ("sr",)


def test_one_service_at_a_time_sends_to_a_destination(url: str, ledger: Ledger, clock: Clock) -> None:
    for study in ("a", "b"):
        ledger.outbox.route(answer(ledger, study, f"1.{study}"), [PACS])
    mine = claim(ledger)
    other = Ledger(url, clock)
    assert other.outbox.claim("pacs", OTHER, 60, ASIDE) is None
    clock.now += 50
    ledger.outbox.renew(mine, 60)
    clock.now += 50
    assert other.outbox.take_up(OTHER) == []
    assert other.outbox.claim("pacs", OTHER, 60, ASIDE) is None
    clock.now += 11  # the service that has it hangs
    assert [one.id for one in other.outbox.take_up(OTHER)] == [mine.id]
    theirs = claim(other, OTHER)
    assert (theirs.id, theirs.key) == (mine.id, mine.key)
    with pytest.raises(LostDeliveryError):
        ledger.outbox.confirm(mine, "stored")
    other.outbox.confirm(theirs, "stored")
    other.close()
    assert states(ledger)[0][1] == "delivered"


@pytest.mark.parametrize(
    "end",
    [
        lambda outbox, one: outbox.confirm(one, "stored"),
        lambda outbox, one: outbox.postpone(one, "no room for this one", 0.0, rejected=True),
        lambda outbox, one: outbox.postpone(one, "the service stopped", 0.0, handle="job 7"),
        lambda outbox, one: outbox.end(one, DeliveryEvent.REJECT, "no such patient"),
        lambda outbox, one: outbox.take_up(one.owner),
    ],
    ids=["confirmed", "turned-down", "stopped", "rejected", "not-recorded"],
)
def test_a_service_that_has_nothing_under_way_does_not_keep_the_turn_of_a_destination(
    ledger: Ledger, end: Callable[[Outbox, Delivery], object]
) -> None:
    ledger.outbox.route(answer(ledger, "a", "1.1"), [PACS])
    end(ledger.outbox, claim(ledger, OTHER))
    ledger.outbox.route(answer(ledger, "bleed", "1.2"), [Planned("pacs", "a rule", ("sr",), first=True)])
    assert claim(ledger, ME).orthanc_study == "bleed"
    assert ledger.outbox.claim("pacs", OTHER, 60, ASIDE) is None  # one at a time


def test_what_an_earlier_life_was_sending_is_taken_up_at_once_with_the_name_of_its_transfer(ledger: Ledger) -> None:
    ledger.outbox.route(answer(ledger, "a", "1.1"), [PACS])
    delivery = claim(ledger)
    ledger.outbox.note_handle(delivery, "job 7")
    assert ledger.outbox.take_up(ME, [delivery.id]) == []
    assert [one.id for one in ledger.outbox.take_up("me/2")] == [delivery.id]
    assert claim(ledger, "me/2").handle == "job 7"


def test_what_this_life_could_not_record_is_taken_up(ledger: Ledger) -> None:
    ledger.outbox.route(answer(ledger, "a", "1.1"), [PACS])
    delivery = claim(ledger)
    assert [one.id for one in ledger.outbox.take_up(ME, [])] == [delivery.id]
    assert claim(ledger).tries == 2


def test_what_waits_of_an_older_answer_gives_way_to_the_newer(ledger: Ledger) -> None:
    older = answer(ledger, "s", "1.1")
    ledger.outbox.route(older, [PACS])
    newer = answer(ledger, "s", "1.2", "-grown")
    ledger.outbox.route(newer, [PACS])
    assert states(ledger) == [(older.id, "superseded"), (newer.id, "waiting")]
    assert claim(ledger).job == newer.id


def test_a_refusal_without_a_report_gives_way_once_its_study_is_read(ledger: Ledger) -> None:
    refused = refuse(ledger, "s")
    ledger.outbox.route(refused, [PACS, Planned("ris", "a rule")])
    ledger.outbox.confirm(claim(ledger, destination="ris"), "told")
    read = answer(ledger, "s", "1.2")
    ledger.outbox.route(read, [PACS])
    assert (refused.id, "superseded") in states(ledger)
    assert claim(ledger).job == read.id
    followed = claim(ledger, destination="ris")
    assert (followed.job, bool(followed.follows)) == (read.id, True)


def test_whoever_got_the_older_answer_gets_the_newer_though_no_rule_asks_for_it(ledger: Ledger) -> None:
    older = answer(ledger, "s", "1.1")
    ledger.outbox.route(older, [PACS, Planned("ris", "a rule"), Planned("mail", "a rule")])
    ledger.outbox.confirm(claim(ledger), "stored")
    claim(ledger, destination="ris")  # under way: it may have arrived
    newer = answer(ledger, "s", "1.2", "-grown")
    made = ledger.outbox.route(newer, [])
    assert {(one.destination, one.content, one.job) for one in made} == {
        ("pacs", ("sr", "seg"), newer.id),
        ("ris", (), newer.id),
    }
    assert all(one.follows for one in made)
    assert (older.id, "superseded") in states(ledger)  # the mail


def test_whoever_answered_and_did_not_confirm_the_older_answer_gets_the_newer_and_whoever_was_away_does_not(
    ledger: Ledger, clock: Clock
) -> None:
    older = answer(ledger, "s", "1.1")
    ledger.outbox.route(older, [PACS, Planned("ris", "a rule")])
    ledger.outbox.postpone(claim(ledger), "connection refused", clock())
    ledger.outbox.postpone(claim(ledger, destination="ris"), "no acknowledgement", clock(), rejected=True)
    newer = answer(ledger, "s", "1.2", "-grown")
    assert [one.destination for one in ledger.outbox.route(newer, [])] == ["ris"]
    assert states(ledger) == [(older.id, "superseded"), (older.id, "superseded"), (newer.id, "waiting")]


def test_an_answer_that_gave_way_before_its_rules_were_applied_is_delivered_to_nobody(ledger: Ledger) -> None:
    older = answer(ledger, "s", "1.1")
    newer = answer(ledger, "s", "1.2", "-grown")
    assert ledger.jobs.of_study("s")[0].state is JobState.SUPERSEDED
    assert ledger.outbox.route(older, [PACS]) == []
    assert len(ledger.outbox.route(newer, [PACS])) == 1


def test_a_study_that_is_as_it_was_again_is_delivered_again_after_the_answer_between(ledger: Ledger) -> None:
    for sr_uid, grown in (("1.1", ""), ("1.2", "-grown"), ("1.1", "-back")):
        ledger.outbox.route(answer(ledger, "s", sr_uid, grown), [PACS])
        ledger.outbox.confirm(claim(ledger), "stored")
    keys = [one.key for one in ledger.outbox.deliveries()]
    assert len(keys) == len(set(keys)) == 3


def test_a_delivery_is_given_up_retried_and_dropped(ledger: Ledger, clock: Clock) -> None:
    ledger.outbox.route(answer(ledger, "a", "1.1"), [PACS])
    delivery = claim(ledger)
    with pytest.raises(InvalidTransitionError):
        ledger.outbox.drop(delivery.id, "me")
    ledger.outbox.end(delivery, DeliveryEvent.REJECT, "no such patient")
    assert ledger.outbox.backlogs() == {}
    ledger.outbox.retry(delivery.id)
    assert claim(ledger).id == delivery.id
    ledger.outbox.postpone(claim_again(ledger), "away", clock())
    clock.now += 100
    assert [one.id for one in ledger.outbox.expire(clock() - 50)] == [delivery.id]
    ledger.outbox.retry(delivery.id)
    assert ledger.outbox.expire(clock() - 50) == []
    dropped = ledger.outbox.drop(delivery.id, "me@here")
    assert (dropped.state, dropped.error) == (DeliveryState.DROPPED, "dropped by me@here")
    assert [*ledger.audit.entries()][-1].event.value == "dropped"
    assert ledger.outbox.claim("pacs", ME, 60, ASIDE) is None


def claim_again(ledger: Ledger) -> Delivery:
    """Return what is under way, as its service knows it."""
    (under_way,) = ledger.outbox.deliveries((DeliveryState.SENDING,))
    return under_way


def test_what_was_confirmed_stands_in_the_audit_trail_with_its_destination_and_rule(ledger: Ledger) -> None:
    ledger.outbox.route(answer(ledger, "a", "1.1"), [PACS])
    delivery = claim(ledger)
    ledger.outbox.confirm(delivery, "stored")
    entry = [*ledger.audit.entries()][-1]
    assert (entry.event.value, entry.details["to"], entry.details["rule"]) == ("sent", "pacs", "a rule")
    assert entry.details["content"] == ["sr", "seg"]


def test_a_study_stays_in_the_archive_until_it_is_delivered_and_leaves_the_ledger_with_its_deliveries(
    ledger: Ledger, clock: Clock
) -> None:
    job = answer(ledger, "a", "1.1")
    assert ledger.keeping.removable() == []  # no rule has been applied to it
    ledger.outbox.route(job, [PACS])
    assert ledger.keeping.removable() == []
    ledger.outbox.confirm(claim(ledger), "stored")
    (study,) = ledger.keeping.removable()
    assert ledger.keeping.removable(after=study) == []
    assert ledger.keeping.may_go(study)
    ledger.studies.delete("a")
    clock.now += 100
    ledger.keeping.prune(clock() - 50)
    assert ledger.outbox.deliveries() == []
    assert ledger.keeping.rows()["outbox"] == 0
