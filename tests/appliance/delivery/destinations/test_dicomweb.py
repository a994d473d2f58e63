# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""STOW-RS, to a server of our own that reads the request as PS3.18 describes it and answers as it is told."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.appliance.delivery.destinations.stow import Stow
from tests.appliance.delivery.site import Post, Site, post_at
from tests.appliance.stand_in import head_series


@pytest.fixture
def stow() -> Iterator[Stow]:
    opened = Stow()
    opened.open()
    yield opened
    opened.close()


@pytest.fixture
def post(site: Site, stow: Stow, tmp_path: Path) -> Iterator[Post]:
    password = tmp_path / "password"
    password.write_text("pass word\n")
    web = {"kind": "dicomweb", "url": f"http://127.0.0.1:{stow.port}/dicom-web", "username": "box"}
    rule = {"name": "all", "when": "true", "actions": [{"to": "web", "send": ["source", "seg", "sr"]}]}
    with post_at(site.with_rules({"web": web | {"password_file": password}}, [rule]), tmp_path) as made:
        yield made


def test_every_object_is_stored_as_it_is_the_report_first(post: Post, stow: Stow, study: str) -> None:
    post.answer(*head_series(study))
    post.send_all("web")
    (delivery,) = post.deliveries()
    assert (delivery.state.value, delivery.receipt) == ("delivered", "16 objects stored")
    assert stow.stored[0] == post.bench.job(study).sr_uid
    assert len(set(stow.stored)) == 16
    assert stow.authorization == ["Basic " + base64.b64encode(b"box:pass word").decode()]


def test_what_is_stored_in_part_or_turned_down_is_not_delivered(post: Post, stow: Stow, study: str) -> None:
    post.answer(*head_series(study))
    stow.refused = {"1.2.840.10008.5.1.4.1.1.66.4"}
    assert post.dispatch.send("web")
    (delivery,) = post.deliveries()
    assert (delivery.state.value, delivery.rejections) == ("waiting", 1)
    assert "stored 15 of 16 objects (failure reason 43264)" in delivery.error
    for status, said in ((409, "of 16 objects"), (413, "HTTP 413"), (503, "HTTP 503"), (403, "HTTP 403")):
        stow.status = status
        post.bench.desk.clock.now += 1
        assert post.dispatch.send("web")
        assert post.states() == ["waiting"]
        assert said in post.deliveries()[0].error
        assert "/dicom-web" not in post.deliveries()[0].error
    stow.refused, stow.status = set(), 0
    post.bench.desk.clock.now += 1
    post.send_all("web")
    assert post.states() == ["delivered"]


def test_a_server_is_tested_by_a_query(post: Post, stow: Stow) -> None:
    (web,) = post.dispatch._destinations.values()
    assert web.test() == "answers a query"
    assert stow.stored == []
