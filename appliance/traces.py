# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What one try of an answer did, step by step, as the spans of a trace (OpenTelemetry's terms).

A trace only notes names and times while a study is answered; `trace_sender` hands it to a collector when the try has
ended, so a study never waits for a collector. A reading that nobody used is not sent. Triton gets the identifiers of a
chunk's span with the request, so that its own spans belong to the same trace.

A span carries no name, no patient ID and no UID: the job's number leads whoever may see it to the study.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final

Attributes = Mapping[str, str | int | float | bool]
ROOT: Final = "study"
"""The span of the whole try, which all steps are in."""
CHUNK: Final = "chunk"
"""The span of one chunk on its way to Triton and back."""
_NS: Final = 1_000_000_000


@dataclass
class Span:
    """One span: times are Unix times in ns; `end_ns` is 0 until it has ended, `error` the type of what ended it."""

    name: str
    identifier: int
    parent: int
    start_ns: int
    end_ns: int = 0
    error: str = ""
    attributes: dict[str, str | int | float | bool] = field(default_factory=dict)


class Trace:
    """The spans of one try. `send` gets it once, when the try has ended; without `send` nothing is noted."""

    def __init__(self, send: Callable[[Trace], None] | None = None) -> None:
        self._send = send
        self.identifier = secrets.randbits(128) or 1 if send is not None else 0
        self.root = secrets.randbits(64) or 1 if send is not None else 0
        self.spans: list[Span] = []

    @contextmanager
    def span(self, name: str) -> Iterator[None]:
        """Note the block as a step, which the chunks that it sends are in."""
        if self._send is None:
            yield
            return
        noted = self._open(name, self.root)
        before = _CURRENT.set((self, noted))
        try:
            yield
        except BaseException as error:
            noted.error = type(error).__name__
            raise
        finally:
            noted.end_ns = time.time_ns()
            _CURRENT.reset(before)

    def add(self, name: str, began: float, seconds: float) -> None:
        """Note a step that was timed elsewhere: its Unix time, and how long it took, s."""
        if self._send is not None:
            start = round(began * _NS)
            self._note(Span(name, _number(), self.root, start, start + round(max(0.0, seconds) * _NS)))

    def _open(self, name: str, parent: int) -> Span:
        return self._note(Span(name, _number(), parent, time.time_ns()))

    def _note(self, span: Span) -> Span:
        self.spans.append(span)
        return span

    @contextmanager
    def whole(self) -> Iterator[dict[str, str | int | float | bool]]:
        """Send the trace at the end of the block, with the attributes that the block puts into what is yielded."""
        began = time.time_ns()
        attributes: dict[str, str | int | float | bool] = {}
        error = ""
        try:
            yield attributes
        except BaseException as raised:
            error = type(raised).__name__
            raise
        finally:
            if self._send is not None:
                start = min((span.start_ns for span in self.spans), default=began)
                root = Span(ROOT, self.root, 0, min(start, began), time.time_ns(), error, attributes)
                self.spans.insert(0, root)
                self._send(self)


OFF: Final = Trace()
"""Notes nothing and sends nothing."""
_CURRENT: ContextVar[tuple[Trace, Span] | None] = ContextVar("step", default=None)


class OpenSpan:
    """A chunk's span that has begun within the current step, empty without a trace; `headers` tell Triton of it."""

    def __init__(self, name: str, **attributes: str | int | float | bool) -> None:
        current = _CURRENT.get()
        self._span: Span | None = None
        self.headers: dict[str, str] = {}
        if current is not None:
            trace, step = current
            self._span = trace._open(name, step.identifier)
            self._span.attributes.update(attributes)
            # W3C Trace Context: version, trace, parent, sampled.
            self.headers["traceparent"] = f"00-{trace.identifier:032x}-{self._span.identifier:016x}-01"

    def end(self, error: str = "") -> None:
        """Note its end."""
        if self._span is not None:
            self._span.end_ns, self._span.error = time.time_ns(), error


def _number() -> int:
    return secrets.randbits(64) or 1
