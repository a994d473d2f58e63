# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A UPS-RS worklist of our own: search and update of workitems as PS3.18, 11 has them, with their states."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.appliance.delivery.destinations.dicom_json import answer
from tests.appliance.delivery.receivers import Receiver


@dataclass
class Workitem:
    """One workitem. `transaction` is the Transaction UID of whoever claimed it."""

    uid: str
    study: str
    accession: str = ""
    state: str = "SCHEDULED"
    priority: str = "LOW"
    transaction: str = ""

    def as_json(self) -> dict[str, Any]:
        request = {"0020000D": {"vr": "UI", "Value": [self.study]}, "00080050": {"vr": "SH", "Value": [self.accession]}}
        return {
            "00080018": {"vr": "UI", "Value": [self.uid]},
            "00741000": {"vr": "CS", "Value": [self.state]},
            "00741200": {"vr": "CS", "Value": [self.priority]},
            "0040A370": {"vr": "SQ", "Value": [request]},
        }


class Worklist(Receiver):
    """The worklist. `takes_arrays` is which form of an update it takes; `status` overrides its answer to one."""

    def __init__(self) -> None:
        super().__init__()
        self.workitems: list[Workitem] = []
        self.updates: list[tuple[str, str]] = []
        self.authorization: list[str] = []
        self.takes_arrays = True
        self.status = 0
        self.search_status = 0
        self.before_update: Callable[[], object] = lambda: None
        self.ignores_keys = False
        self.names_requests = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/rs"

    def make(self) -> ThreadingHTTPServer:
        worklist = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                if parts.path != "/rs/workitems":
                    there = [one for one in worklist.workitems if one.uid == parts.path.rpartition("/")[2]]
                    return answer(self, 200 if there else 404, [one.as_json() for one in there])
                assert parts.path == "/rs/workitems"
                worklist.authorization.append(self.headers.get("Authorization", ""))
                query = parse_qs(parts.query)
                studies, accessions = query.get("0040A370.0020000D"), query.get("0040A370.00080050")
                assert studies or accessions, "a search for everything"
                found = [
                    one.as_json()
                    for one in worklist.workitems
                    if worklist.ignores_keys
                    or ((not studies or one.study in studies) and (not accessions or one.accession in accessions))
                ]
                if not worklist.names_requests:
                    found = [{tag: one[tag] for tag in one if tag != "0040A370"} for one in found]
                return answer(self, worklist.search_status or (200 if found else 204), found)

            def do_POST(self) -> None:
                worklist.before_update()
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                assert self.headers["Content-Type"] == "application/dicom+json"
                answer(self, worklist.status or self._update(urlsplit(self.path).path.rpartition("/")[2], body))

            def _update(self, uid: str, body: Any) -> int:
                if isinstance(body, list) is not worklist.takes_arrays:
                    return 400
                item = next((one for one in worklist.workitems if one.uid == uid), None)
                if item is None:
                    return 404
                if item.state != "SCHEDULED":  # in progress: without its Transaction UID; else: it has ended
                    return 400 if item.state == "IN PROGRESS" else 409
                change = body[0] if isinstance(body, list) else body
                assert list(change) == ["00741200"]
                (item.priority,) = change["00741200"]["Value"]
                worklist.updates.append((uid, item.priority))
                return 200

            def log_message(self, *_: Any) -> None:
                pass

        ThreadingHTTPServer.allow_reuse_address = True
        return ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
