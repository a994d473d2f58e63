# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The errors of requests to Orthanc."""

from __future__ import annotations

import http

from appliance.errors import ApplianceError, UnavailableError


class OrthancError(ApplianceError):
    """Orthanc answered and refused the request; `status` is its HTTP status."""

    def __init__(self, message: str, status: int = http.HTTPStatus.OK) -> None:
        super().__init__(message)
        self.status = int(status)


class TurnedDownError(UnavailableError):
    """Orthanc does not accept our user and password; `status` is its HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = int(status)


class NotThereError(OrthancError):
    """Orthanc does not hold, or no longer holds, what was asked for."""


class NoOrthancError(OrthancError, UnavailableError):
    """What answers is no Orthanc, but perhaps a proxy with a page about maintenance: no study is to blame for it."""


class FilteredOutError(UnavailableError):
    """A filter in Orthanc's scripts or plugins rejects the object: whether there is room for it, it does not say."""


class AnswerTooLongError(OrthancError):
    """Orthanc's answer was longer than the settings allow, and was not taken."""
