# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Requests to Orthanc: how they are made, repeated once, and judged by their status.

Questions go through pyorthanc. Whole DICOM files do not: they go over the standard library's keep-alive connections,
one a thread, because reading 40 slices of 512 x 512 takes 8 ms that way and 145 ms through httpx, pyorthanc's
transport.
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote, urlsplit

import httpx
import pyorthanc

from appliance.errors import UnavailableError
from appliance.orthanc_errors import AnswerTooLongError, NoOrthancError, NotThereError, OrthancError, TurnedDownError
from appliance.sections.orthanc import OrthancSettings
from appliance.transport import BoundedTransport, TooLongError

_LONGEST_DESCRIPTION: Final = 1 << 16
"""Of an error, bytes: those of Orthanc take some hundred."""

_FAULTS_OF_THE_WAY: Final = (
    http.HTTPStatus.METHOD_NOT_ALLOWED,
    http.HTTPStatus.REQUEST_TIMEOUT,
    http.HTTPStatus.LENGTH_REQUIRED,
    http.HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    http.HTTPStatus.TOO_MANY_REQUESTS,
)
"""With these a proxy, or a limit on requests, turns a request down whatever it asks for or brings."""


class OrthancConnection:
    """The connection to one Orthanc; may be used from several threads at once.

    Every request raises what `Orthanc` says. `client` is pyorthanc's, for the requests that
    `ask` makes.
    """

    def __init__(self, settings: OrthancSettings) -> None:
        self.url = settings.url.rstrip("/")
        self._settings = settings
        self.client = pyorthanc.Orthanc(
            self.url,
            settings.username,
            settings.password,
            return_raw_response=True,
            timeout=settings.timeout_s,
            transport=BoundedTransport(self.url, settings.largest_answer_mib * 2**20),
            trust_env=False,
        )
        self._largest = settings.largest_answer_mib * 2**20
        parts = urlsplit(self.url)
        self._host, self._port, self._prefix = parts.hostname or "", parts.port, parts.path
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        credentials = base64.b64encode(f"{settings.username}:{settings.password}".encode()).decode()
        self._headers = {"Authorization": f"Basic {credentials}"} if settings.username else {}
        self._local = threading.local()

    def close(self) -> None:
        """Close the connections of pyorthanc and of the calling thread."""
        self.client.close()
        self._forget_connection()

    def ask(self, ask: Callable[[], Any]) -> Any:
        """Return the JSON answer to a request, repeated once if Orthanc had just closed the connection."""
        for last in (False, True):
            try:
                response: httpx.Response = ask()
                break
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError) as error:
                if last:
                    raise self._unavailable_error(type(error).__name__) from error
            except TooLongError as error:
                raise self._too_long_error(str(error)) from error
            except httpx.HTTPError as error:
                raise self._unavailable_error(type(error).__name__) from error
        path = response.request.url.path
        self._judge(response.status_code, path, response.content)
        try:
            return response.json()
        except ValueError as error:
            raise self._no_orthanc_error(path) from error
        except RecursionError as error:
            raise OrthancError(f"Orthanc's answer to {path} at {self.url} is nested too deeply") from error

    def ask_for_object(self, ask: Callable[[], Any]) -> dict[str, Any]:
        """Return the JSON answer to a request, which must be an object."""
        answer = self.ask(ask)
        if not isinstance(answer, dict):
            raise NoOrthancError(f"what answers at {self.url} is no Orthanc")
        return answer

    def transfer(self, method: str, path: str, body: bytes | None = None, limit: int | None = None) -> bytes:
        """Make a request over this thread's connection; a stale connection is replaced once.

        Repeating is safe: a GET changes nothing, and storing the same instance twice is one instance.
        """
        return self._transfer(method, path, body, limit)[1]

    def text(self, path: str) -> str:
        """Return plain text that Orthanc keeps; an answer in JSON or of any other type is not Orthanc's."""
        content_type, content = self._transfer("GET", path)
        if content and content_type != "text/plain":
            raise self._no_orthanc_error(path)
        return content.decode("utf-8", "replace")

    def change(self, method: str, path: str, body: bytes | None = None) -> None:
        """Make a request that Orthanc answers with nothing when it has done it; an answer with content is not its."""
        if self.transfer(method, path, body):
            raise self._no_orthanc_error(path)

    def _transfer(
        self, method: str, path: str, body: bytes | None = None, limit: int | None = None
    ) -> tuple[str, bytes]:
        """Return the media type and the content of Orthanc's answer."""
        status, content_type, content = self._exchange(method, path, body, limit)
        self._judge(status, path, content)
        if content and content_type == "text/html":  # Orthanc's REST interface has none
            raise self._no_orthanc_error(path)
        if limit is None and len(content) > self._largest:
            raise self._too_long_error(f"the answer to {path} is longer than {self._largest} bytes")
        return content_type, content

    def _exchange(
        self, method: str, path: str, body: bytes | None = None, limit: int | None = None
    ) -> tuple[int, str, bytes]:
        """Return the status, the media type and the content of an answer, whatever they are."""
        headers = {**self._headers, **({"Content-Type": "application/dicom"} if body is not None else {})}
        for fresh in (False, True):
            connection = self._connection(fresh)
            try:
                connection.request(method, self._prefix + path, body, headers)
                response = connection.getresponse()
                wanted = self._largest + 1 if limit is None else limit
                if response.status >= http.HTTPStatus.BAD_REQUEST:  # the description of an error is wanted whole
                    wanted = _LONGEST_DESCRIPTION
                content = response.read(wanted)
                if len(content) < wanted and response.length:  # the connection ended in the middle
                    raise http.client.IncompleteRead(content, response.length)
            except (http.client.HTTPException, OSError) as error:
                self._forget_connection()
                if fresh or isinstance(error, TimeoutError):
                    raise self._unavailable_error(type(error).__name__) from error
            else:
                if not response.isclosed():  # nobody wants the rest of a large file
                    self._forget_connection()
                return response.status, response.headers.get_content_type(), content
        raise AssertionError("both tries returned or raised")

    def _connection(self, fresh: bool) -> http.client.HTTPConnection:
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is None or fresh:
            timeout = self._settings.timeout_s
            if self._tls is not None:
                connection = http.client.HTTPSConnection(self._host, self._port, timeout=timeout, context=self._tls)
            else:
                connection = http.client.HTTPConnection(self._host, self._port, timeout=timeout)
            self._local.connection = connection
        return connection

    def _forget_connection(self) -> None:
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._local.connection = None

    def _judge(self, status: int, path: str, content: bytes) -> None:
        """Raise the error that an answer is, as `Orthanc` says; only Orthanc's own 404 says that something is gone."""
        if 200 <= status < 300:
            return
        is_forbidden = status == http.HTTPStatus.FORBIDDEN and _describes_error(content)
        if status == http.HTTPStatus.UNAUTHORIZED or is_forbidden:
            raise TurnedDownError(
                f"Orthanc at {self.url} turns us down (HTTP {status}); "
                "set orthanc.username and orthanc.password to a registered user",
                status,
            )
        if status >= 500:
            raise UnavailableError(
                f"Orthanc at {self.url} answered HTTP {status} to {path}; look at its log and its disk"
            )
        if status < 400 or not _describes_error(content):
            raise NoOrthancError(
                f"what answers {path} at {self.url} with HTTP {status} is no Orthanc; look for a proxy before it",
                status,
            )
        if status in _FAULTS_OF_THE_WAY:
            raise NoOrthancError(
                f"{path} at {self.url} is turned down with HTTP {status}; look for a proxy before Orthanc, and for a "
                "limit on the number and the length of requests there and in Orthanc",
                status,
            )
        if status == http.HTTPStatus.NOT_FOUND:
            if not content and not self._is_orthanc():
                raise self._no_orthanc_error(path)
            raise NotThereError(f"Orthanc does not hold {path}", status)
        raise OrthancError(f"Orthanc at {self.url} answered HTTP {status} to {path}", status)

    def _is_orthanc(self) -> bool:
        """Return whether Orthanc answers at its address; a proxy that has lost it may send an empty 404 too."""
        status, _, content = self._exchange("GET", "/system", limit=_LONGEST_DESCRIPTION)
        return status == http.HTTPStatus.OK and is_system(_object(content))

    def _no_orthanc_error(self, path: str) -> NoOrthancError:
        return NoOrthancError(f"what answers {path} at {self.url} is no Orthanc; look for a proxy before it")

    def _too_long_error(self, what: str) -> AnswerTooLongError:
        return AnswerTooLongError(f"{what}: more than orthanc.largest_answer_mib = {self._largest >> 20} is not taken")

    def _unavailable_error(self, what: str) -> UnavailableError:
        return UnavailableError(f"Orthanc at {self.url} does not answer ({what}); is it running, and on this address?")


def is_system(answer: Mapping[str, Any]) -> bool:
    """Return whether this is how an Orthanc describes itself."""
    return "ApiVersion" in answer


def quoted(name: str) -> str:
    """Return a name for the path of a request. Raises `NoOrthancError` for half a surrogate pair: Orthanc has none."""
    try:
        return quote(name)
    except UnicodeEncodeError:
        raise NoOrthancError("what answers is no Orthanc: it names something that is no text") from None


def _describes_error(content: bytes) -> bool:
    """Return whether this can be the body of an error of Orthanc's own.

    Orthanc 1.10.1 sends either nothing (for a resource that it does not hold, and for everything with
    `HttpDescribeErrors` off) or a JSON object with its `OrthancStatus`. Proxies send a page.
    """
    return not content or "OrthancStatus" in _object(content)


def _object(content: bytes) -> dict[str, Any]:
    """Return the JSON object that the content is; empty when it is none."""
    try:
        told = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}
