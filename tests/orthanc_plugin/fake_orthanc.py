# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: N802 - the names are Orthanc's
"""The module `orthanc` as the Python plugin's versions 4.0 to 7 show it to a script, as far as ours may look at it.

Anything else that the script asked for would raise AttributeError here: that is how the tests see that it registers no
callback of the DICOM threads and calls no `RestApi*`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

VERSIONS: dict[str, set[str]] = {
    "4.0": {"status_with_length"},
    "4.1": {"status_with_length"},
    "4.2": set(),
    "4.3": set(),
    "5.0": set(),
    "7.1": set(),
}
"""What each version does differently from the one call that all would share."""


class FakeOutput:
    """The answer of a REST route."""

    def __init__(self, status_with_length: bool) -> None:
        self.status: int | None = None
        self.body = ""
        self.headers: dict[str, str] = {}
        self._status_with_length = status_with_length

    def AnswerBuffer(self, body: str, mime: str) -> None:
        self.status, self.body, self.headers["Content-Type"] = 200, body, mime

    def SendMethodNotAllowed(self, allowed: str) -> None:
        self.status, self.headers["Allow"] = 405, allowed

    def SendHttpStatus(self, status: int, body: str, *length: int) -> None:
        if len(length) != self._status_with_length:
            raise TypeError("Bad types for the arguments")
        self.status, self.body = status, body[: length[0]] if length else body

    def json(self) -> Any:
        return json.loads(self.body)


class FakeOrthanc:
    """One version of the plugin's module, with a configuration."""

    ChangeType = SimpleNamespace(
        COMPLETED_SERIES=0, DELETED=1, NEW_CHILD_INSTANCE=2, NEW_INSTANCE=3, NEW_PATIENT=4, NEW_SERIES=5, NEW_STUDY=6,
        STABLE_PATIENT=7, STABLE_SERIES=8, STABLE_STUDY=9, ORTHANC_STARTED=10, ORTHANC_STOPPED=11,
    )  # fmt: skip
    ResourceType = SimpleNamespace(PATIENT=0, STUDY=1, SERIES=2, INSTANCE=3, NONE=4)

    def __init__(self, version: str, configuration: dict[str, Any]) -> None:
        self._features = VERSIONS[version]
        self._configuration = configuration
        self.on_change: Callable[[int, int, str], None] | None = None
        self.routes: dict[str, Callable[..., None]] = {}
        self.scripts: list[str] = []
        self.log: list[tuple[str, str]] = []
        if "no_explorer" not in self._features:
            self.ExtendOrthancExplorer = self.scripts.append

    def GetConfiguration(self) -> str:
        return json.dumps(self._configuration)

    def RegisterOnChangeCallback(self, callback: Callable[[int, int, str], None]) -> None:
        self.on_change = callback

    def RegisterRestCallback(self, pattern: str, callback: Callable[..., None]) -> None:
        self.routes[pattern] = callback

    def LogInfo(self, line: str) -> None:
        self.log.append(("info", line))

    def LogWarning(self, line: str) -> None:
        self.log.append(("warning", line))

    def LogError(self, line: str) -> None:
        self.log.append(("error", line))

    def change(self, kind: str, level: str = "NONE", identifier: str = "") -> None:
        """Deliver a change, as Orthanc's own thread does."""
        assert self.on_change is not None
        self.on_change(getattr(self.ChangeType, kind), getattr(self.ResourceType, level), identifier)

    def call(self, method: str, uri: str, *groups: str, **get: str) -> FakeOutput:
        """Call the route whose pattern ends as `uri` does."""
        output = FakeOutput("status_with_length" in self._features)
        (route,) = [self.routes[pattern] for pattern in self.routes if pattern.endswith(uri.rpartition("/")[2])]
        route(output, uri, method=method, groups=groups, get=get, headers={})
        return output
