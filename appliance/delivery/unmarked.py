# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""When an answer goes without its marks, and when it waits for them."""

from __future__ import annotations

import http
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from appliance.errors import UnavailableError
from appliance.log import describe
from appliance.metrics import Metrics
from appliance.orthanc_errors import NotThereError, OrthancError, TurnedDownError

_LASTING: Final = (http.HTTPStatus.FORBIDDEN, http.HTTPStatus.METHOD_NOT_ALLOWED)
"""How Orthanc, or a proxy before it, says that a change is not allowed: waiting would not help."""


@contextmanager
def valid_unmarked(metrics: Metrics, log: Any, event: str, **facts: Any) -> Iterator[None]:
    """Let an answer do without the marks that are written inside where Orthanc does not take them.

    That is logged as `event` with these `facts`, and counted; so it is where a proxy before Orthanc does not let such
    changes through. Nothing is to be marked of a study that has left meanwhile. Raises `UnavailableError` when Orthanc
    is away, also where something else answers in its place, as a proxy with a page about maintenance: the marks are
    then written later.
    """
    try:
        yield
    except NotThereError:
        return
    except (OrthancError, UnavailableError) as error:
        # A 401 is about our user, as whom nothing else can be read either.
        is_lasting = isinstance(error, OrthancError | TurnedDownError) and error.status in _LASTING
        if isinstance(error, UnavailableError) and not is_lasting:
            raise
        metrics.unmarked.inc()
        log.error(event, **facts, error=describe(error))
