# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The service's log: JSON lines on standard error, each with its time (UTC), job id and step where there is one.

No line carries a patient's name, ID or pixels. Our own errors name only UIDs. Of other exceptions only the type and the
places they came through are logged, not the text: a DICOM library quotes the value that it stumbled over.
"""

from __future__ import annotations

import logging
import re
import sys
import traceback
from pathlib import Path
from typing import Final, TextIO

import structlog
from structlog.typing import Processor

from appliance.errors import ApplianceError

_SHARED: Final[tuple[Processor, ...]] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)
# They quote values of datasets, or log every request or every failed one.
_TALKATIVE: Final = ("pydicom", "highdicom", "py.warnings", "httpx", "httpcore", "pylibjpeg", "PIL", "opentelemetry")


def log_to(stream: TextIO = sys.stderr, level: int = logging.INFO) -> None:
    """Send the service's log, and what its libraries log, to `stream` as JSON lines."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED,
            processors=[
                _without_exception_text,
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.captureWarnings(True)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _without_exception_text(
    _logger: object, _name: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    raised = event.pop("exc_info", None)
    record = event.get("_record")
    if isinstance(record, logging.LogRecord):
        raised, record.exc_info, record.exc_text = raised or record.exc_info, None, None
    if isinstance(raised, tuple) and raised[1] is not None:
        event["error"] = describe(raised[1])
    return event


_CREDENTIALS: Final = (
    (re.compile(r"(?<=://)\S*@"), "***@"),  # user and password of a URL; either may hold a slash, an @ or a quote
    (re.compile(r"(?i)((?<![a-z])(?:password|passwd|pwd|secret|token|api_?key)=)[^\s&;]+"), r"\1***"),
    (re.compile(r"(?i)(authorization\W+(?:b['\"])?(?:(?:basic|bearer|digest|token)\s+))[^\s'\",]+"), r"\1***"),
)


def without_credentials(text: str) -> str:
    """Return a text without the user and password of URLs and HTTP headers, which are found by their place.

    A password is not masked as a word: masking every chance occurrence would reveal it.
    """
    for place, mask in _CREDENTIALS:
        text = place.sub(mask, text)
    return text


def describe(error: BaseException) -> str:
    """Return what may be logged and shown of an error: the text of our own errors, type and place of any other."""
    if isinstance(error, ApplianceError):
        return without_credentials(str(error))
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{Path(frame.filename).stem}.{frame.name}:{frame.lineno}" for frame in frames[-4:]]
    return f"{type(error).__name__} in {' > '.join(places)}" if places else type(error).__name__
