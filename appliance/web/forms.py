# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Reads a form that a page of ours posts, and answers it.

`Gate` has turned away what a page of another site made a browser send. A form goes further: it must prove that it comes
from a page of ours, as every browser does that knows either header.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response

_LARGEST: Final = 16 * 1024
_MOST_FIELDS: Final = 20
_KIND: Final = "application/x-www-form-urlencoded"


async def read_form(request: Request) -> dict[str, str]:
    """Return the fields of a form. Raises `HTTPException`: 403 from elsewhere, 413 too long, 415 and 400 no form."""
    if request.headers.get("sec-fetch-site") != "same-origin" and "origin" not in request.headers:
        raise HTTPException(403, "a form is taken from a page of this service; this request does not say that it is")
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _KIND:
        raise HTTPException(415, f"a form is sent as {_KIND}")
    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            if len(body) > _LARGEST:
                raise HTTPException(413, f"a form has at most {_LARGEST} bytes")
    except ClientDisconnect:
        raise HTTPException(400, "half a form") from None
    try:
        fields = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, strict_parsing=bool(body), max_num_fields=_MOST_FIELDS
        )
        fields = [(name, value.encode("utf-8").decode()) for name, value in fields]
    except ValueError:
        raise HTTPException(400, "not a form: each field once, as name=value in UTF-8") from None
    if len({name for name, _ in fields}) < len(fields):
        raise HTTPException(400, "not a form: each field once, as name=value in UTF-8")
    return dict(fields)


def number_of(fields: dict[str, str], name: str) -> int:
    """Return a field that holds a number, 0 if it is absent or empty. Raises `HTTPException` 400."""
    found = whole_number(fields.get(name, "") or "0")
    if found is None:
        raise HTTPException(400, f"{name} is no number")
    return found


def whole_number(text: str) -> int | None:
    """Return the number that a text is, as the ledger counts; None if it is something else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None


def done(request: Request, back: str) -> Response:
    """Answer a form that was acted on: the live page fetches itself again, another is led `back` to its page."""
    if request.headers.get("hx-request"):
        return Response(status_code=204, headers={"HX-Trigger": "changed"})
    here = back.startswith("/") and not back.startswith(("//", "/\\")) and back.isprintable()
    return RedirectResponse(back if here else "/", 303)
