# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""How our own DICOMweb servers answer: in DICOM JSON (PS3.18, annex F)."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler
from typing import Any


def answer(request: BaseHTTPRequestHandler, status: int, told: Any = None) -> None:
    """Answer with a status, and with `told` unless that is None or the status says that there is no content."""
    body = b"" if told is None or status == 204 else json.dumps(told).encode()
    request.send_response(status)
    request.send_header("Content-Type", "application/dicom+json")
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)
