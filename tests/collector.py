# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""An OpenTelemetry collector on loopback: OTLP over gRPC, as the service sends, and JSON over HTTP, as Triton does."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from deploy.local.ports import free_ports


@dataclass(frozen=True)
class Collected:
    """A span as the collector got it; identifiers in hexadecimal digits, times in ns."""

    service: str
    name: str
    trace: str
    identifier: str
    parent: str
    start_ns: int
    end_ns: int
    failed: bool
    attributes: dict[str, Any]
    events: tuple[str, ...]


class Collector:
    """Collects between `start` and `stop`, on the same two ports each time."""

    def __init__(self) -> None:
        self.grpc_port, self.http_port = free_ports(2)
        self._spans: list[Collected] = []
        self._changed = threading.Condition()
        self._grpc: grpc.Server | None = None
        self._http: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.grpc_port}"

    @property
    def http_url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}/v1/traces"

    @property
    def is_running(self) -> bool:
        return self._grpc is not None

    def start(self) -> None:
        collector = self

        class OverGrpc(trace_service_pb2_grpc.TraceServiceServicer):
            def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's name
                collector.take(MessageToDict(request)["resourceSpans"], are_bytes=True)
                return trace_service_pb2.ExportTraceServiceResponse()

        class OverHttp(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if self.path == "/v1/traces":
                    collector.take(body["resourceSpans"], are_bytes=False)
                self.send_response(200 if self.path == "/v1/traces" else 404)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._grpc = grpc.server(ThreadPoolExecutor(2), options=[("grpc.so_reuseport", 0)])
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(OverGrpc(), self._grpc)
        assert self._grpc.add_insecure_port(f"127.0.0.1:{self.grpc_port}") == self.grpc_port
        self._grpc.start()
        self._http = ThreadingHTTPServer(("127.0.0.1", self.http_port), OverHttp)
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def stop(self) -> None:
        if self._grpc is not None:
            self._grpc.stop(0).wait()
        if self._http is not None:
            self._http.shutdown()
            self._http.server_close()
        self._grpc = self._http = None

    def take(self, resources: Iterable[dict[str, Any]], *, are_bytes: bool) -> None:
        def digits(text: str) -> str:
            return base64.b64decode(text).hex() if are_bytes else text

        found = []
        for resource in resources:
            service = _attributes(resource["resource"].get("attributes", ()))["service.name"]
            for span in (span for scope in resource["scopeSpans"] for span in scope["spans"]):
                found.append(
                    Collected(
                        service,
                        span["name"],
                        digits(span["traceId"]),
                        digits(span["spanId"]),
                        digits(span.get("parentSpanId", "")),
                        int(span["startTimeUnixNano"]),
                        int(span["endTimeUnixNano"]),
                        span.get("status", {}).get("code") in (2, "STATUS_CODE_ERROR"),
                        _attributes(span.get("attributes", ())),
                        tuple(event["name"] for event in span.get("events", ())),
                    )
                )
        with self._changed:
            self._spans += found
            self._changed.notify_all()

    def spans(self) -> list[Collected]:
        with self._changed:
            return list(self._spans)

    def wait_for(self, is_there: Callable[[list[Collected]], bool], longest_s: float = 60) -> list[Collected]:
        """Return all spans once `is_there` says that what is waited for is among them; raise after `longest_s`."""
        end = time.monotonic() + longest_s
        with self._changed:
            while not is_there(self._spans):
                if not self._changed.wait(max(0.0, end - time.monotonic())) and time.monotonic() >= end:
                    raise TimeoutError(f"only {sorted({span.name for span in self._spans})} came")
            return list(self._spans)


def _attributes(listed: Iterable[dict[str, Any]]) -> dict[str, Any]:
    return {one["key"]: next(iter(one["value"].values()), None) for one in listed}
