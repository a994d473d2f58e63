# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Hands traces to an OpenTelemetry collector, over OTLP's gRPC, in a thread of its own.

Nothing waits for the collector: what it does not take in time is dropped, and the log says once that it is away.
Without `traces.url` this module imports nothing of OpenTelemetry and every trace is `OFF`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import structlog

from appliance import __version__
from appliance.errors import SettingsError
from appliance.log import describe
from appliance.sections.traces import TracesSettings
from appliance.traces import OFF, Span, Trace

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

_EXPORT_S: Final = 5
_ENDING_S: Final = 5.0
_WAITING: Final = 4096
_EVERY_MS: Final = 1000
Sender = Callable[[Trace], None]


class TraceSender:
    """Where finished traces go; `begin` makes one for a try. Close it at the end.

    Raises `SettingsError` when a collector is set and the packages for it are missing.
    """

    def __init__(self, settings: TracesSettings) -> None:
        self._log = structlog.get_logger("traces")
        self._lock = threading.Lock()
        self._provider: TracerProvider | None = None
        if settings.url:
            self._provider, self._ids = _provider(settings, self._log)
            self._tracer = self._provider.get_tracer("hemorrhage-appliance", __version__)

    def begin(self) -> Trace:
        """Return a trace for one try of an answer."""
        return OFF if self._provider is None else Trace(self._send)

    def _send(self, trace: Trace) -> None:
        """Put a finished trace in the box of the thread that exports. No study fails for what goes wrong here."""
        try:
            with self._lock:
                self._emit(trace)
        except Exception as error:
            self._log.warning("a trace was not sent", error=describe(error))

    def _emit(self, trace: Trace) -> None:
        from opentelemetry.context import Context
        from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context
        from opentelemetry.trace.status import Status, StatusCode

        last = max(span.end_ns for span in trace.spans)
        for span in trace.spans:
            parent = SpanContext(trace.identifier, span.parent, is_remote=False, trace_flags=TraceFlags(1))
            within = set_span_in_context(NonRecordingSpan(parent), Context()) if span.parent else Context()
            self._ids.trace, self._ids.span = trace.identifier, span.identifier
            made = self._tracer.start_span(
                span.name, context=within, attributes=_attributes(span), start_time=span.start_ns
            )
            if span.error:
                made.set_status(Status(StatusCode.ERROR))
            made.end(max(span.start_ns, span.end_ns or last))

    def close(self) -> None:
        """Send what waits, but not for longer than a few seconds."""
        if self._provider is not None:
            ending = threading.Thread(target=self._provider.shutdown, name="traces-end", daemon=True)
            ending.start()
            ending.join(_ENDING_S)


def _attributes(span: Span) -> dict[str, str | int | float | bool]:
    named = {f"hemorrhage.{name}": value for name, value in span.attributes.items()}
    return named | ({"error.type": span.error} if span.error else {})


def _provider(settings: TracesSettings, log: Any) -> tuple[TracerProvider, Any]:
    try:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
        from opentelemetry.sdk.trace.id_generator import IdGenerator
        from opentelemetry.sdk.trace.sampling import ALWAYS_ON
    except ImportError as error:
        raise SettingsError(
            f"traces.url = {settings.url!r}: {error.name} is not installed; install opentelemetry-sdk and "
            "opentelemetry-exporter-otlp-proto-grpc, or leave traces.url empty"
        ) from error

    class Ids(IdGenerator):
        """Gives each span the identifiers that were chosen while the study was answered."""

        trace = 0
        span = 0

        def generate_trace_id(self) -> int:
            return self.trace

        def generate_span_id(self) -> int:
            return self.span

    class Exporter(SpanExporter):
        """The exporter of OpenTelemetry, with its failures said once instead of each time."""

        def __init__(self) -> None:
            # Each argument is given, so that no OTEL_* of the environment changes where traces go.
            secure = settings.url.startswith("https://")
            self._inner = OTLPSpanExporter(endpoint=settings.url, insecure=not secure, headers=(), timeout=_EXPORT_S)
            self._away = False

        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            done = self._inner.export(spans)
            away = done is not SpanExportResult.SUCCESS
            if away and not self._away:
                log.warning("the collector takes no traces; they are dropped", spans=len(spans))
            elif self._away and not away:
                log.info("the collector takes traces again")
            self._away = away
            return done

        def shutdown(self) -> None:
            self._inner.shutdown()

    ids = Ids()
    resource = Resource({"service.name": "hemorrhage-appliance", "service.version": __version__})
    provider = TracerProvider(ALWAYS_ON, resource, shutdown_on_exit=False, id_generator=ids)
    provider.add_span_processor(
        BatchSpanProcessor(
            Exporter(),
            max_queue_size=_WAITING,
            schedule_delay_millis=_EVERY_MS,
            max_export_batch_size=512,
            export_timeout_millis=1000 * _EXPORT_S,
        )
    )
    return provider, ids
