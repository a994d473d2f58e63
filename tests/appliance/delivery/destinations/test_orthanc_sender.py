# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Archives that Orthanc sends to: a second real Orthanc, by C-STORE with and without commitment, and as a peer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydicom.uid import generate_uid

from deploy.local.orthanc import modalities
from tests.appliance.delivery.site import Post, Site, post_at
from tests.appliance.stand_in import head_series

COMMITTING = {"kind": "orthanc-modality", "modality": "PACS", "storage_commitment": True, "commitment_s": 20}


def rule(to: str) -> dict[str, Any]:
    return {"name": f"to {to}", "when": "true", "actions": [{"to": to, "send": ["sr", "seg"]}]}


def test_a_node_that_commits_to_every_object_confirms_it(site: Site, study: str, tmp_path: Path) -> None:
    with post_at(site.with_rules({"committing": COMMITTING}, [rule("committing")]), tmp_path) as post:
        post.answer(*head_series(study))
        post.send_all("committing")
        (delivery,) = post.deliveries()
        assert delivery.state.value == "delivered"
        assert "2 objects stored and committed to (transaction 2.25." in delivery.receipt


def test_a_node_that_commits_to_nothing_has_not_got_it(site: Site, study: str, tmp_path: Path) -> None:
    impatient = COMMITTING | {"commitment_s": 1}
    with post_at(site.with_rules({"committing": impatient}, [rule("committing")]), tmp_path) as post:
        post.answer(*head_series(study))
        asked = post.bench.desk.orthanc.ask

        def ask(method: str, path: str, body: Any = None) -> Any:
            told = asked(method, path, body)
            return told | {"Status": "Pending"} if path.startswith("/storage-commitment/") else told

        post.bench.desk.orthanc.ask = ask  # type: ignore[method-assign]
        assert post.dispatch.send("committing")
        (delivery,) = post.deliveries()
        assert (delivery.state.value, delivery.rejections) == ("waiting", 1)
        assert "has not committed within 1 s" in delivery.error


def test_a_node_that_commits_late_is_asked_again_and_keeps_nobody_waiting(site: Site, tmp_path: Path) -> None:
    studies = [str(generate_uid()) for _ in range(2)]
    settings = site.with_rules({"committing": COMMITTING}, [rule("committing")], retry_first_s=100, retry_longest_s=100)
    with post_at(settings, tmp_path) as post:
        for study in studies:
            post.answer(*head_series(study))
        asked = post.bench.desk.orthanc.ask
        late: list[str] = []
        stores: list[str] = []

        def ask(method: str, path: str, body: Any = None) -> Any:
            """Let the node commit to the first study when it is no longer `late`."""
            if path.endswith("/store"):
                stores.append(path)
            told = asked(method, path, body)
            if path.startswith("/storage-commitment/") and (not late or path in late):
                late[:] = [path]
                return told | {"Status": "Pending"}
            return told

        post.bench.desk.orthanc.ask = ask  # type: ignore[method-assign]
        assert post.send_all("committing") == 2
        assert [post.states(study) for study in studies] == [["waiting"], ["delivered"]]
        (waiting,) = post.deliveries(studies[0])
        assert "has yet to commit" in waiting.error
        late[:] = ["nothing"]
        post.bench.desk.clock.now += 200
        assert post.send_all("committing") == 1
        assert post.states() == ["delivered", "delivered"]
        assert len(stores) == 2  # nothing was sent again


def test_a_transaction_that_orthanc_has_forgotten_is_begun_again(site: Site, study: str, tmp_path: Path) -> None:
    with post_at(site.with_rules({"committing": COMMITTING}, [rule("committing")]), tmp_path) as post:
        post.answer(*head_series(study))
        outbox = post.bench.desk.ledger.outbox
        claimed = outbox.claim("committing", "me/1", 60.0, 5)
        assert claimed is not None
        outbox.postpone(claimed, "no commitment yet", 0.0, handle="commitment 2.25.1 1000000000.0")
        post.send_all("committing")
        assert post.states() == ["delivered"]


def test_what_a_test_of_a_committing_node_leaves_open_is_said(site: Site, tmp_path: Path) -> None:
    with post_at(site.with_rules({"committing": COMMITTING}, []), tmp_path) as post:
        (committing,) = post.dispatch._destinations.values()
        assert "not tried" in committing.test()
        assert "whether it supports storage commitment" in committing.test()


def test_only_a_node_that_is_to_commit_may_report_and_it_may_ask_for_nothing(site: Site) -> None:
    told = modalities(site.with_rules({"committing": COMMITTING}, []))["PACS"]
    assert (told["AllowNEventReport"], told["AllowNAction"], told["AllowStore"]) == (True, False, False)
    assert "AllowStorageCommitment" not in told
    plain = modalities(site.with_rules({"pacs": {"kind": "orthanc-modality", "modality": "PACS"}}, []))["PACS"]
    assert plain["AllowStorageCommitment"] is False
    assert "AllowNEventReport" not in plain


def test_a_peer_gets_the_objects(site: Site, study: str, tmp_path: Path) -> None:
    peer = {"kind": "orthanc-peer", "peer": "PEER"}
    with post_at(site.with_rules({"peer": peer}, [rule("peer")]), tmp_path) as post:
        post.answer(*head_series(study))
        post.send_all("peer")
        assert post.states() == ["delivered"]
        assert site.at_the_pacs(study) == ["9001", "9002"]


def test_a_node_that_orthanc_does_not_know_lets_all_wait_and_is_named(site: Site, study: str, tmp_path: Path) -> None:
    unknown = {"kind": "orthanc-modality", "modality": "NOBODY"}
    with post_at(site.with_rules({"unknown": unknown}, [rule("unknown")]), tmp_path) as post:
        post.answer(*head_series(study))
        assert post.dispatch.send("unknown")
        (delivery,) = post.deliveries()
        assert (delivery.state.value, delivery.rejections) == ("waiting", 0)
        assert "Orthanc does not know NOBODY: name it in orthanc.receivers" in delivery.error


def test_a_node_that_does_not_know_our_title_lets_all_wait(tmp_path: Path) -> None:
    site = Site(tmp_path / "site")
    stranger = site.settings.orthanc.model_copy(update={"aet": "STRANGER"})
    site.settings = site.settings.model_copy(update={"orthanc": stranger})
    site.own.settings = site.settings
    node = {"kind": "orthanc-modality", "modality": "PACS"}
    with site.running(), post_at(site.with_rules({"pacs": node}, [rule("pacs")]), tmp_path) as post:
        post.answer(*head_series(str(generate_uid())))
        assert post.dispatch.send("pacs")
        (delivery,) = post.deliveries()
        assert (delivery.state.value, delivery.rejections) == ("waiting", 0), delivery.error


def test_one_study_that_the_archive_does_not_take_is_passed_by_others(site: Site, tmp_path: Path) -> None:
    node = {"kind": "orthanc-modality", "modality": "PACS"}
    studies = [str(generate_uid()) for _ in range(2)]
    settings = site.with_rules({"pacs": node}, [rule("pacs")], step_aside_tries=2, retry_longest_s=100)
    with post_at(settings, tmp_path) as post:
        for study in studies:
            post.answer(*head_series(study))
        lost = post.deliveries(studies[0])[0]
        asked = post.bench.desk.orthanc.ask

        def ask(method: str, path: str, body: Any = None) -> Any:
            """Let the first study meet what a full archive answers: Orthanc's words for a C-STORE that was refused."""
            if path.endswith("/store") and post.deliveries(studies[0])[0].state.value == "sending":
                return {"ID": "refused"}
            if path == "/jobs/refused":
                refused = 'C-STORE SCU to AET "PACS1" has failed with DIMSE status 0xA700'
                return {"State": "Failure", "ErrorDetails": refused}
            return asked(method, path, body)

        post.bench.desk.orthanc.ask = ask  # type: ignore[method-assign]
        _send_until_idle(post)
        assert post.states(studies[0]) == ["waiting"]
        assert post.deliveries(studies[0])[0].rejections == 2
        assert post.states(studies[1]) == ["delivered"]
        post.bench.desk.orthanc.ask = asked  # type: ignore[method-assign]
        post.bench.desk.clock.now += 200
        post.send_all("pacs")
        assert post.deliveries(studies[0])[0].id == lost.id
        assert post.states() == ["delivered", "delivered"]


def _send_until_idle(post: Post) -> None:
    """Send, with time going by, until the second study is through."""
    for _ in range(10):
        post.send_all("pacs")
        if "delivered" in post.states():
            return
        post.bench.desk.clock.now += 0.05
