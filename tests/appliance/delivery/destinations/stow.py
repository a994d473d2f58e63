# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A STOW-RS server of our own, which reads the request as PS3.18 describes it and answers as it is told."""

from __future__ import annotations

import io
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pydicom import dcmread

from tests.appliance.delivery.destinations.dicom_json import answer
from tests.appliance.delivery.receivers import Receiver


class Stow(Receiver):
    """A STOW-RS server; `refused` are SOP classes that it does not store, `status` overrides its answer."""

    def __init__(self) -> None:
        super().__init__()
        self.stored: list[str] = []
        self.authorization: list[str] = []
        self.refused: set[str] = set()
        self.status = 0

    def make(self) -> ThreadingHTTPServer:
        stow = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answer(self, 200 if self.path.startswith("/dicom-web/studies?") else 404, [])

            def do_POST(self) -> None:
                assert self.path == "/dicom-web/studies"
                stow.authorization.append(self.headers.get("Authorization", ""))
                body = self.rfile.read(int(self.headers["Content-Length"]))
                head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
                parts = message_from_bytes(head + body).get_payload()
                stored, failed = [], []
                for part in parts:
                    assert part.get_content_type() == "application/dicom"  # type: ignore[union-attr]
                    file = dcmread(io.BytesIO(part.get_payload(decode=True)))  # type: ignore[union-attr,arg-type]
                    uids = {"00081150": {"vr": "UI", "Value": [file.SOPClassUID]}}
                    uids["00081155"] = {"vr": "UI", "Value": [file.SOPInstanceUID]}
                    if file.SOPClassUID in stow.refused:
                        failed.append(uids | {"00081197": {"vr": "US", "Value": [0xA900]}})
                    else:
                        stow.stored.append(str(file.SOPInstanceUID))
                        stored.append(uids)
                told: dict[str, Any] = {"00081199": {"vr": "SQ", "Value": stored}} if stored else {}
                if failed:
                    told["00081198"] = {"vr": "SQ", "Value": failed}
                answer(self, stow.status or (202 if failed else 200), told)

            def log_message(self, *_: Any) -> None:
                pass

        ThreadingHTTPServer.allow_reuse_address = True
        return ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
