# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Answers delivered by rules: to a second real Orthanc as PACS, a real HL7 listener, web server and mail server."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import structlog
from pydicom.uid import generate_uid

from appliance.clocks import DAY_S
from appliance.delivery import dispatch
from appliance.errors import UnavailableError
from appliance.findings.outcome import Outcome
from appliance.ledger.states import JobState
from appliance.orthanc import Orthanc
from appliance.orthanc_errors import NotThereError
from appliance.sections.answers import FindingSettings
from tests.appliance.bench import exposition
from tests.appliance.delivery.receivers import Hook, Listener, MailServer, acknowledge
from tests.appliance.delivery.site import ALL, Post, Site, post_at
from tests.appliance.running import until
from tests.appliance.stand_in import head_series

PACS = {"kind": "orthanc-modality", "modality": "PACS"}


def to_pacs(*what: str, when: str = "true", **more: Any) -> dict[str, Any]:
    return {"name": "to the archive", "when": when, "actions": [{"to": "pacs", "send": what or ALL}], **more}


def tell(to: str, when: str = "true", **more: Any) -> dict[str, Any]:
    return {"name": f"tell {to}", "when": when, "actions": [{"to": to}], **more}


def hook_of(hook: Hook) -> dict[str, Any]:
    return {"kind": "webhook", "url": hook.url, "timeout_s": 60}


def listener_of(listener: Listener) -> dict[str, Any]:
    return {"kind": "hl7", "host": "127.0.0.1", "port": listener.port, "timeout_s": 60}


def test_an_answer_reaches_whom_the_rules_name_and_nobody_else(
    site: Site, hook: Hook, listener: Listener, mail_server: MailServer, study: str, tmp_path: Path
) -> None:
    mail = {"kind": "mail", "host": "127.0.0.1", "port": mail_server.port, "security": "none"}
    mail |= {"sender": "box@hospital.example", "recipients": ["stroke@hospital.example"]}
    settings = site.with_rules(
        {"pacs": PACS, "hook": hook_of(hook), "ris": listener_of(listener), "mail": mail},
        [
            to_pacs(when='answer == "present" && station == "CT9" && accession.startsWith("ER-")'),
            tell("hook", 'volume_ml.iph > 0.0 && calling_aet == ""'),
            tell("ris", 'modality == "CT"'),
            tell("mail", 'answer == "absent"'),
        ],
    )
    with post_at(settings, tmp_path) as post:
        post.answer(*head_series(study, StationName="CT9", AccessionNumber="ER-12", PatientID="77"))
        for name in settings.destinations:
            post.send_all(name)
        assert post.states() == ["delivered"] * 3
        job = post.bench.job(study)
        assert set(site.at_the_pacs(study)) == {"9001", "9002", "9003", "9004"}
        (posted,) = hook.came
        told = json.loads(posted.body)
        assert (told["answer"], told["study_uid"], told["report_uid"]) == ("present", study, job.sr_uid)
        assert told["accession"] == "ER-12"
        (message,) = listener.came
        assert study in message
        assert mail_server.came == []
        assert 'hemorrhage_deliveries_total{destination="pacs",outcome="delivered"} 1.0' in exposition(
            post.bench.metrics
        )
        assert "objects stored" in post.deliveries()[0].receipt


def test_the_source_is_sent_too_where_a_rule_says_so(site: Site, study: str, tmp_path: Path) -> None:
    with post_at(site.with_rules({"pacs": PACS}, [to_pacs("sr", "source")]), tmp_path) as post:
        post.answer(*head_series(study))
        post.send_all("pacs")
        numbers = site.at_the_pacs(study)
        assert numbers.count("9001") == 1
        assert len(numbers) == 15


def test_a_study_that_was_not_read_is_told_with_its_reasons_and_its_report(
    site: Site, hook: Hook, study: str, tmp_path: Path
) -> None:
    rules = [to_pacs(when='"too_few_slices" in refusals'), tell("hook", 'answer == "unread"')]
    with post_at(site.with_rules({"pacs": PACS, "hook": hook_of(hook)}, rules), tmp_path) as post:
        post.bench.send(*head_series(study, 2))
        post.bench.desk.wait(post.bench.desk.settings.intake.incomplete_s + 1)
        post.bench.worker.work()
        post.dispatch.route()
        for name in ("pacs", "hook"):
            post.send_all(name)
        assert site.at_the_pacs(study) == ["9005"]
        assert json.loads(hook.came[0].body)["refusals"]


def break_reader(post: Post, files: Sequence[bytes]) -> None:
    """Send images that break the reader in every try, so that their study is refused."""

    def poison(_asked: int) -> None:
        raise ZeroDivisionError

    post.bench.detector.conduct = poison
    post.bench.send(*files)
    for _ in range(post.bench.desk.settings.intake.poison_tries):
        post.bench.worker.work()
        post.bench.desk.clock.now += 400


def test_a_refusal_is_not_the_last_word_about_an_answer_that_stands(
    site: Site, hook: Hook, study: str, tmp_path: Path
) -> None:
    files = head_series(study, 20)
    with post_at(site.with_rules({"hook": hook_of(hook)}, [tell("hook")]), tmp_path) as post:
        post.answer(*files[:14])
        answered = post.bench.job(study)
        break_reader(post, files[14:])
        assert post.bench.job(study).state is JobState.REFUSED
        assert post.dispatch.route() == 1
        assert [one.job for one in post.deliveries()] == [answered.id]


def test_a_refusal_after_an_answer_without_hemorrhage_is_told_as_it_is_marked(
    site: Site, hook: Hook, study: str, tmp_path: Path
) -> None:
    files = head_series(study, 20)
    settings = site.with_rules({"hook": hook_of(hook)}, [tell("hook")])
    settings = settings.model_copy(update={"finding": FindingSettings(threshold=0.95)})
    with post_at(settings, tmp_path) as post:
        post.answer(*files[:14])
        answered = post.bench.job(study)
        break_reader(post, files[14:])
        refused = post.bench.job(study)
        assert (answered.outcome, refused.outcome) == (Outcome.ABSENT, Outcome.UNREAD)
        assert post.dispatch.route() == 1
        assert [one.job for one in post.deliveries()] == [answered.id, refused.id]


def test_a_study_that_was_deleted_and_is_refused_when_it_comes_again_is_told_of(
    site: Site, hook: Hook, study: str, tmp_path: Path
) -> None:
    with post_at(site.with_rules({"hook": hook_of(hook)}, [tell("hook")]), tmp_path) as post:
        post.answer(*head_series(study))
        answered = post.bench.job(study)
        post.bench.desk.delete_study(answered.orthanc_study)
        post.bench.send(*head_series(study, 2))
        post.bench.desk.wait(post.bench.desk.settings.intake.incomplete_s + 1)
        post.bench.worker.work()
        refused = post.bench.job(study)
        assert refused.state is JobState.REFUSED
        post.dispatch.route()
        assert [one.job for one in post.deliveries()] == [answered.id, refused.id]


def test_a_pacs_that_is_down_gets_all_in_order_once_it_is_back_and_delays_no_other(
    site: Site, hook: Hook, tmp_path: Path
) -> None:
    studies = [str(generate_uid()) for _ in range(3)]
    rules = [to_pacs("sr"), tell("hook")]
    with post_at(site.with_rules({"pacs": PACS, "hook": hook_of(hook)}, rules), tmp_path) as post:
        site.pacs.stop()
        try:
            for study in studies:
                post.answer(*head_series(study))
                assert post.dispatch.send("pacs")
                assert post.send_all("hook") == 1
                post.bench.desk.clock.now += 1
            waiting = post.deliveries(studies[0])[0]
            assert waiting.tries == 3
            assert "Connection refused" in waiting.error
            assert [
                one.tries for study in studies[1:] for one in post.deliveries(study) if one.destination == "pacs"
            ] == [0, 0]
            assert 'hemorrhage_deliveries_waiting{destination="pacs"} 3.0' in exposition(post.bench.metrics)
        finally:
            site.pacs.start()
        got = []
        while post.dispatch.send("pacs"):
            got.append([study for study in studies if site.at_the_pacs(study)])
        assert got == [studies[:1], studies[:2], studies]
        assert [json.loads(one.body)["study_uid"] for one in hook.came] == studies
        assert 'hemorrhage_deliveries_waiting{destination="pacs"} 0.0' in exposition(post.bench.metrics)


def test_a_service_that_dies_after_orthanc_took_the_transfer_asks_how_it_ended_and_sends_nothing_twice(
    site: Site, study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with post_at(site.with_rules({"pacs": PACS}, [to_pacs("sr")]), tmp_path) as post:
        post.answer(*head_series(study))
        outbox = post.bench.desk.ledger.outbox

        def die(*_: object) -> None:
            raise UnavailableError("the service was killed here")

        with monkeypatch.context() as patched:
            patched.setattr(outbox, "confirm", die)
            with pytest.raises(UnavailableError):
                post.dispatch.send("pacs")
        assert post.states() == ["sending"]
        transfers = site.jobs_of_orthanc()
        post.dispatch = post.another("me/2")
        assert not post.dispatch.send("pacs")  # until it is taken up
        post.dispatch.tidy()
        assert post.send_all("pacs") == 1
        assert post.states() == ["delivered"]
        assert site.jobs_of_orthanc() == transfers


def test_a_message_that_is_sent_again_after_a_death_is_known_by_its_key(
    site: Site, hook: Hook, study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with post_at(site.with_rules({"hook": hook_of(hook)}, [tell("hook")]), tmp_path) as post:
        post.answer(*head_series(study))
        with monkeypatch.context() as patched:
            patched.setattr(post.bench.desk.ledger.outbox, "confirm", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                post.dispatch.send("hook")
        post.dispatch = post.another("me/2")
        post.dispatch.tidy()
        post.send_all("hook")
        first, second = hook.came
        assert first.headers["idempotency-key"] == second.headers["idempotency-key"] == post.deliveries()[0].key
        assert json.loads(first.body) == json.loads(second.body)


def test_two_services_on_one_ledger_deliver_once_and_in_order(site: Site, hook: Hook, tmp_path: Path) -> None:
    studies = [str(generate_uid()) for _ in range(4)]
    with post_at(site.with_rules({"hook": hook_of(hook)}, [tell("hook")]), tmp_path) as post:
        for study in studies:
            post.answer(*head_series(study))
        others = [post.another(f"service-{number}/1") for number in range(3)]
        stopping = threading.Event()
        threads = [
            threading.Thread(target=body)
            for one in others
            for name, body in one.threads(stopping).items()
            if name != "rules"
        ]
        for thread in threads:
            thread.start()
        try:
            until(lambda: post.states() == ["delivered"] * 4, "delivered")
        finally:
            stopping.set()
            for one in others:
                one.wake()
            for thread in threads:
                thread.join()
        assert [json.loads(one.body)["study_uid"] for one in hook.came] == studies


def test_the_newer_answer_follows_the_older_one_to_whoever_got_it(
    site: Site, hook: Hook, listener: Listener, study: str, tmp_path: Path
) -> None:
    destinations = {"pacs": PACS, "hook": hook_of(hook), "ris": listener_of(listener)}
    rules = [to_pacs(when='earlier == ""'), tell("hook", 'earlier == ""'), tell("ris", 'earlier == ""')]
    files = head_series(study, 20)
    with post_at(site.with_rules(destinations, rules), tmp_path) as post:
        post.answer(*files[:14])
        older = post.bench.job(study)
        for name in ("pacs", "hook"):
            post.send_all(name)
        post.answer(*files[14:])  # no rule holds for it
        newer = post.bench.job(study)
        for name in destinations:
            post.send_all(name)
        assert site.sr_uids_at_the_pacs(study) == {older.sr_uid, newer.sr_uid}
        first, second = (json.loads(one.body) for one in hook.came)
        assert (first["follows"], second["follows"]) == (False, True)
        assert second["replaces_report_uid"] == first["report_uid"] == older.sr_uid
        assert listener.came == []  # it had not got the older one
        assert [one.state.value for one in post.deliveries() if one.destination == "ris"] == ["superseded"]


@pytest.mark.parametrize(("had", "status"), [(True, "C"), (False, "P")])
def test_a_message_corrects_an_older_one_only_where_that_may_have_come(
    site: Site, listener: Listener, study: str, tmp_path: Path, had: bool, status: str
) -> None:
    files = head_series(study, 20)
    when = "true" if had else 'earlier != ""'
    with post_at(site.with_rules({"ris": listener_of(listener)}, [tell("ris", when)]), tmp_path) as post:
        post.answer(*files[:14])
        post.send_all("ris")
        post.answer(*files[14:])
        post.send_all("ris")
        (obr,) = [line.split("|") for line in listener.came[-1].split("\r") if line.startswith("OBR|")]
        assert (len(listener.came), obr[25]) == (2 if had else 1, status)


def test_an_order_that_was_raised_is_known_to_the_answer_that_follows(
    site: Site, listener: Listener, study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = head_series(study, 20)
    ris = listener_of(listener) | {"message": "orm"}
    with post_at(site.with_rules({"ris": ris}, [tell("ris", 'earlier == ""')]), tmp_path) as post:
        header = post.bench.desk.orthanc.header
        monkeypatch.setattr(post.bench.desk.orthanc, "header", lambda one: header(one) | {"AccessionNumber": "ER-12"})
        post.answer(*files[:14])
        post.send_all("ris")
        post.answer(*files[14:])
        monkeypatch.setattr("appliance.delivery.destinations.hl7.is_urgent", lambda _seen: False)
        post.send_all("ris")
        priorities = [line.split("|")[7] for came in listener.came for line in came.split("\r") if line[:4] == "ORC|"]
        assert priorities == ["^^^^^S", "^^^^^R"]
        assert [one.receipt.partition("; ")[2] for one in post.deliveries()] == ["priority S", "priority R"]


def test_a_try_that_failed_while_a_newer_answer_came_is_not_made_again(
    site: Site, hook: Hook, study: str, tmp_path: Path
) -> None:
    files = head_series(study, 20)
    with post_at(site.with_rules({"hook": hook_of(hook)}, [tell("hook")]), tmp_path) as post:
        post.answer(*files[:14])
        ledger = post.bench.desk.ledger
        under_way = ledger.outbox.claim("hook", "me/1", 60, 5)
        assert under_way is not None
        post.answer(*files[14:])
        ledger.outbox.postpone(under_way, "away", 0.0)
        post.send_all("hook")
        assert post.states() == ["superseded", "delivered"]
        assert [json.loads(one.body)["job"] for one in hook.came] == [post.bench.job(study).id]


def test_a_rule_that_cannot_be_evaluated_is_counted_and_logged_and_keeps_nothing_back(
    site: Site, hook: Hook, study: str, tmp_path: Path
) -> None:
    rules = [tell("hook", "int(accession) > 7"), {**tell("hook"), "name": "the other"}]
    with post_at(site.with_rules({"hook": hook_of(hook)}, rules), tmp_path) as post:
        post.answer(*head_series(study, AccessionNumber="ER-12"))
        post.send_all("hook")
        assert json.loads(hook.came[0].body)["rule"] == "the other"
        assert 'hemorrhage_rule_errors_total{rule="tell hook"} 1.0' in exposition(post.bench.metrics)


def test_an_answer_whose_headers_cannot_be_read_is_delivered_by_what_it_says(
    site: Site, hook: Hook, study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = [tell("hook", 'answer == "present" && station == ""')]
    with post_at(site.with_rules({"hook": hook_of(hook)}, rules), tmp_path) as post:
        with monkeypatch.context() as patched:
            patched.setattr(post.bench.desk.orthanc, "header", lambda _: json.loads("no JSON"))
            post.answer(*head_series(study, StationName="CT9"))
        assert post.states() == ["waiting"]
        assert 'hemorrhage_rule_errors_total{rule="(headers)"} 1.0' in exposition(post.bench.metrics)


def fail_for(orthanc: Orthanc, study: str, error: Exception) -> Callable[[str], dict[str, Any]]:
    """Return what reads headers, and fails for the images of a study (its UID)."""
    read = orthanc.header

    def header(instance: str) -> dict[str, Any]:
        found = read(instance)
        if found["StudyInstanceUID"] == study:
            raise error
        return found

    return header


def test_an_answer_whose_headers_orthanc_cannot_give_keeps_no_other_back_and_is_judged_without_them_in_the_end(
    site: Site, hook: Hook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, whole = (str(generate_uid()) for _ in range(2))
    rules = [tell("hook", 'answer == "present"')]
    with post_at(site.with_rules({"hook": hook_of(hook)}, rules), tmp_path) as post:
        orthanc = post.bench.desk.orthanc
        monkeypatch.setattr(orthanc, "header", fail_for(orthanc, broken, UnavailableError("HTTP 500")))
        post.answer(*head_series(broken))
        post.answer(*head_series(whole))
        assert (post.states(broken), post.states(whole)) == ([], ["waiting"])
        assert post.dispatch.route() == 0  # its next look has its time
        monkeypatch.setattr("appliance.delivery.dispatch._LOOKED_AGAIN_S", 0.0)
        post.dispatch = post.another("me/2")
        assert sum(post.dispatch.route() for _ in range(10)) == 1
        assert post.states(broken) == ["waiting"]
        assert 'hemorrhage_rule_errors_total{rule="(headers)"} 1.0' in exposition(post.bench.metrics)


def test_an_answer_to_which_no_rules_were_applied_grows_old_in_the_metrics(
    site: Site, hook: Hook, study: str, tmp_path: Path
) -> None:
    with post_at(site.with_rules({"hook": hook_of(hook)}, [tell("hook")]), tmp_path) as post:
        assert "hemorrhage_rules_oldest_seconds 0.0" in exposition(post.bench.metrics)
        post.bench.send(*head_series(study))
        post.bench.worker.work()
        post.bench.desk.clock.now += 400
        told = exposition(post.bench.metrics)
        assert float(told.split("\nhemorrhage_rules_oldest_seconds ")[1].split()[0]) >= 400
        post.dispatch.route()
        assert "hemorrhage_rules_oldest_seconds 0.0" in exposition(post.bench.metrics)


def test_no_answer_is_judged_without_headers_while_orthanc_as_a_whole_is_away(
    site: Site, hook: Hook, study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with post_at(site.with_rules({"hook": hook_of(hook)}, [tell("hook", 'station == "CT9"')]), tmp_path) as post:
        monkeypatch.setattr("appliance.delivery.dispatch._LOOKED_AGAIN_S", 0.0)
        orthanc = post.bench.desk.orthanc

        def be_away(*_: object) -> dict[str, Any]:
            raise UnavailableError("connection refused")

        post.bench.send(*head_series(study, StationName="CT9"))
        post.bench.worker.work()  # the report about a study that was not read needs a header too
        with monkeypatch.context() as patched:
            patched.setattr(orthanc, "header", be_away)
            patched.setattr(orthanc, "system", be_away)
            for _ in range(20):
                with pytest.raises(UnavailableError):
                    post.dispatch.route()
        assert post.dispatch.route() == 1
        assert post.states() == ["waiting"]


def test_an_old_study_that_orthanc_cannot_read_counts_as_no_prior_and_keeps_nothing_back(
    site: Site, hook: Hook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    then, now = (str(generate_uid()) for _ in range(2))
    patient = then[-12:]
    with post_at(site.with_rules({"hook": hook_of(hook)}, [tell("hook", 'prior == ""')]), tmp_path) as post:
        post.answer(*head_series(then, StudyDate="20260102", StudyTime="080000", PatientID=patient))
        orthanc = post.bench.desk.orthanc
        monkeypatch.setattr(orthanc, "header", fail_for(orthanc, then, UnavailableError("HTTP 500")))
        post.answer(*head_series(now, StudyDate="20260103", StudyTime="080000", PatientID=patient))
        assert post.states(now) == ["waiting"]


def test_a_404_that_passes_costs_no_answer_its_rules(
    site: Site, hook: Hook, study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with post_at(site.with_rules({"hook": hook_of(hook)}, [tell("hook", 'station == "CT9"')]), tmp_path) as post:
        monkeypatch.setattr("appliance.delivery.dispatch._LOOKED_AGAIN_S", 0.0)
        orthanc = post.bench.desk.orthanc
        with monkeypatch.context() as patched:
            patched.setattr(orthanc, "header", fail_for(orthanc, study, NotThereError("404", 404)))
            post.answer(*head_series(study, StationName="CT9"))
        assert post.dispatch.route() == 1
        assert post.states() == ["waiting"]


def test_a_hemorrhage_whose_study_has_left_before_its_rules_were_applied_is_counted(
    site: Site, hook: Hook, study: str, tmp_path: Path
) -> None:
    with post_at(site.with_rules({"hook": hook_of(hook)}, [tell("hook")]), tmp_path) as post:
        post.bench.send(*head_series(study))
        post.bench.worker.work()
        post.bench.desk.delete_study(post.bench.job(study).orthanc_study)
        assert post.dispatch.route() == 1
        assert post.states() == []
        assert 'hemorrhage_rule_errors_total{rule="(study gone)"} 1.0' in exposition(post.bench.metrics)


def test_deliveries_that_were_left_in_the_middle_are_taken_up_though_no_rules_can_be_applied(
    site: Site, hook: Hook, study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with post_at(site.with_rules({"hook": hook_of(hook)}, [tell("hook")]), tmp_path) as post:
        post.answer(*head_series(study))
        assert post.bench.desk.ledger.outbox.claim("hook", "me/1", 60, 5) is not None
        later = post.another("me/2")
        monkeypatch.setattr(later, "route", lambda: 1 / 0)
        stopping = threading.Event()
        rules = threading.Thread(target=later.threads(stopping)["rules"])
        rules.start()
        try:
            until(lambda: post.states() == ["waiting"], "taken up")
        finally:
            stopping.set()
            rules.join()


@pytest.mark.parametrize("error", [UnavailableError("HTTP 500"), NotThereError("404", 404)], ids=["500", "404"])
def test_a_study_that_orthanc_cannot_give_steps_aside_for_the_others_at_its_destination(
    site: Site, hook: Hook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    broken, whole = (str(generate_uid()) for _ in range(2))
    with post_at(site.with_rules({"hook": hook_of(hook)}, [tell("hook")], step_aside_tries=2), tmp_path) as post:
        post.answer(*head_series(broken))
        post.answer(*head_series(whole))
        orthanc, clock = post.bench.desk.orthanc, post.bench.desk.clock
        with monkeypatch.context() as patched:
            patched.setattr(orthanc, "header", fail_for(orthanc, broken, error))
            for _ in range(3):
                assert post.dispatch.send("hook")
                clock.now += 0.011  # the pauses are 0.01 s
            assert (post.states(broken), post.states(whole)) == (["waiting"], ["delivered"])
        clock.now += 1
        assert post.dispatch.send("hook")
        assert post.states() == ["delivered", "delivered"]


def test_a_report_reaches_the_archive_though_the_header_of_its_source_cannot_be_read(
    site: Site, study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with post_at(site.with_rules({"pacs": PACS}, [to_pacs("sr")]), tmp_path) as post:
        post.answer(*head_series(study))
        orthanc = post.bench.desk.orthanc
        monkeypatch.setattr(orthanc, "header", fail_for(orthanc, study, UnavailableError("HTTP 500")))
        post.send_all("pacs")
        assert post.states() == ["delivered"]
        assert site.at_the_pacs(study) == ["9001"]


def test_what_fails_while_orthanc_as_a_whole_is_away_counts_against_no_delivery(
    site: Site, hook: Hook, study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with post_at(site.with_rules({"hook": hook_of(hook)}, [tell("hook")]), tmp_path) as post:
        post.answer(*head_series(study))

        def be_away(*_: object) -> dict[str, Any]:
            raise UnavailableError("connection refused")

        monkeypatch.setattr(post.bench.desk.orthanc, "header", be_away)
        monkeypatch.setattr(post.bench.desk.orthanc, "system", be_away)
        assert post.dispatch.send("hook")
        (waiting,) = post.deliveries()
        assert (waiting.state.value, waiting.rejections) == ("waiting", 0)


def test_what_a_listener_cannot_take_is_tried_again_and_what_it_rejects_is_given_up(
    site: Site, listener: Listener, tmp_path: Path
) -> None:
    studies = [str(generate_uid()) for _ in range(2)]
    with post_at(site.with_rules({"ris": listener_of(listener)}, [tell("ris")]), tmp_path) as post:
        listener.answer = lambda message: acknowledge(message, "AE", "busy")
        post.answer(*head_series(studies[0]))
        assert post.dispatch.send("ris")
        (waiting,) = post.deliveries()
        assert (waiting.state.value, waiting.rejections) == ("waiting", 1)
        assert "AE busy" in waiting.error
        post.bench.desk.clock.now += 1
        listener.answer = lambda message: acknowledge(message, "AR", "wrong|||101^Required field missing")
        post.send_all("ris")
        assert post.states() == ["rejected"]
        assert len({message.split("\r")[0].split("|")[9] for message in listener.came}) == 1
        listener.answer = acknowledge
        post.answer(*head_series(studies[1]))
        assert post.send_all("ris") == 1
        assert post.states(studies[1]) == ["delivered"]
        assert 'outcome="rejected"} 1.0' in exposition(post.bench.metrics)


def test_a_mail_that_waits_for_one_recipient_lets_others_pass_and_a_lost_recipient_is_counted(
    site: Site, mail_server: MailServer, tmp_path: Path
) -> None:
    to = ["stroke@hospital.example", "radiology@hospital.example", "nobody@hospital.example"]
    mail = {"kind": "mail", "host": "127.0.0.1", "port": mail_server.port, "security": "none"}
    mail |= {"sender": "box@hospital.example", "recipients": to}
    studies = [str(generate_uid()) for _ in range(2)]
    settings = site.with_rules({"mail": mail}, [tell("mail")], retry_first_s=100, retry_longest_s=100)
    with post_at(settings, tmp_path) as post:
        for study in studies:
            post.answer(*head_series(study))
        mail_server.replies = {to[0]: "451 greylisted", to[2]: "550 no such user"}
        assert post.send_all("mail") == 2
        assert post.states() == ["waiting", "waiting"]
        assert [one.rcpt_tos for one in mail_server.envelopes] == [[to[1]], [to[1]]]
        # Somebody has it tried now: who has it does not get it twice.
        post.bench.desk.ledger.outbox.retry(post.deliveries()[0].id)
        assert post.send_all("mail") == 1
        assert len(mail_server.envelopes) == 2
        del mail_server.replies[to[0]]
        post.bench.desk.clock.now += 200
        post.send_all("mail")
        assert post.states() == ["delivered", "delivered"]
        assert [one.rcpt_tos for one in mail_server.envelopes[2:]] == [[to[0]], [to[0]]]
        assert "never for nobody@hospital.example: 550" in post.deliveries()[0].receipt
        counted = exposition(post.bench.metrics)
        assert 'hemorrhage_deliveries_total{destination="mail",outcome="rejected"} 2.0' in counted


def test_an_answer_and_a_retry_wake_the_threads_that_wait_for_them(
    site: Site, hook: Hook, study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "_LOOKED_EVERY_S", 3600.0)
    settings = site.with_rules({"hook": hook_of(hook)}, [tell("hook")], retry_first_s=3000, retry_longest_s=3000)
    with post_at(settings, tmp_path) as post:
        stopping = threading.Event()
        threads = [threading.Thread(target=body) for body in post.dispatch.threads(stopping).values()]
        for thread in threads:
            thread.start()
        try:
            hook.status = 503
            post.bench.send(*head_series(study))
            post.bench.worker.work()
            until(lambda: bool(hook.came) and post.states() == ["waiting"], "a delivery that waits")
            hook.status = 204
            post.bench.desk.ledger.outbox.retry(post.deliveries()[0].id)
            until(lambda: post.states() == ["delivered"], "the delivery after a retry")
        finally:
            stopping.set()
            post.dispatch.wake()
            for thread in threads:
                thread.join(60)
        assert not any(thread.is_alive() for thread in threads)


def test_what_nobody_took_for_days_is_given_up(site: Site, hook: Hook, study: str, tmp_path: Path) -> None:
    settings = site.with_rules({"hook": hook_of(hook)}, [tell("hook")], give_up_days=2, retry_longest_s=600)
    with post_at(settings, tmp_path) as post:
        hook.close()
        post.answer(*head_series(study))
        pauses, clock = [], post.bench.desk.clock
        for _ in range(20):
            assert post.dispatch.send("hook")
            (one,) = post.deliveries()
            pauses.append(round(one.next_try - clock(), 2))
            clock.now = one.next_try
        assert pauses[:4] == [0.01, 0.02, 0.04, 0.08]
        assert pauses[-1] == 600
        clock.now += 2 * DAY_S
        assert post.dispatch.send("hook")
        assert post.states() == ["expired"]
        assert 'outcome="expired"} 1.0' in exposition(post.bench.metrics)


def test_a_rule_that_sends_what_a_negative_answer_does_not_have_ends_quietly_and_sends_the_rest_elsewhere(
    site: Site, study: str, tmp_path: Path
) -> None:
    rules = [to_pacs("seg"), to_pacs("seg", "sr")]
    settings = site.with_rules({"pacs": PACS}, rules).model_copy(update={"finding": FindingSettings(threshold=0.95)})
    with post_at(settings, tmp_path) as post:
        with structlog.testing.capture_logs() as logged:
            post.answer(*head_series(study))
        assert [one["content"] for one in logged if one["event"].startswith("nothing to send")] == [["seg"]]
        post.send_all("pacs")
        assert [(one.content, one.state.value) for one in post.deliveries()] == [(("seg", "sr"), "delivered")]
        assert 'outcome="rejected"} 0.0' in exposition(post.bench.metrics)


def test_a_study_that_left_orthanc_waits_for_nothing(site: Site, study: str, tmp_path: Path) -> None:
    with post_at(site.with_rules({"pacs": PACS}, [to_pacs()]), tmp_path) as post:
        post.answer(*head_series(study))
        post.bench.desk.delete_study(post.bench.job(study).orthanc_study)
        post.send_all("pacs")
        assert post.states() == ["rejected"]
        assert "no longer in Orthanc" in post.deliveries()[0].error


def test_answers_from_before_a_rule_are_not_delivered_by_it(site: Site, hook: Hook, study: str, tmp_path: Path) -> None:
    with post_at(site.with_rules({}, []), tmp_path) as post:
        post.answer(*head_series(study))
        assert post.deliveries() == []
        post.settings = site.with_rules({"hook": hook_of(hook)}, [tell("hook")])
        post.dispatch = post.another("me/2")
        assert post.dispatch.route() == 0


def test_a_service_that_stops_leaves_the_transfer_to_orthanc_and_the_next_life_asks_for_it(
    site: Site, study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = site.with_rules({"pacs": PACS}, [to_pacs("sr", "source")])
    with post_at(settings, tmp_path) as post:
        post.answer(*head_series(study))
        stopping = threading.Event()
        orthanc = post.bench.desk.orthanc
        asked = orthanc.ask

        def ask(method: str, path: str, body: Any = None) -> Any:
            told = asked(method, path, body)
            if path.endswith("/store"):
                stopping.set()
            return told | {"State": "Running"} if path.startswith("/jobs/") and stopping.is_set() else told

        with monkeypatch.context() as patched:
            patched.setattr(orthanc, "ask", ask)
            post.dispatch.send("pacs", stopping)
        (left,) = post.deliveries()
        assert (left.state.value, bool(left.handle)) == ("waiting", True)
        sent: list[str] = []

        def watch(method: str, path: str, body: Any = None) -> Any:
            """Note what is sent: Orthanc remembers only so many jobs, so they cannot be counted there."""
            sent.extend([path] if path.endswith("/store") else [])
            return asked(method, path, body)

        monkeypatch.setattr(orthanc, "ask", watch)
        assert post.send_all("pacs") == 1
        assert sent == []
        assert post.states() == ["delivered"]
