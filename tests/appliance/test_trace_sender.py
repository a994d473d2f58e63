# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Traces on their way to a real collector, and with none."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
import structlog.testing

from appliance.errors import SettingsError, UnavailableError
from appliance.inference.server import trace_options
from appliance.sections.traces import TracesSettings
from appliance.sections.triton import TritonSettings
from appliance.settings_sources import load_settings
from appliance.steps import Step, StepClock
from appliance.trace_sender import TraceSender
from appliance.traces import CHUNK, OFF, ROOT, OpenSpan
from deploy.local.ports import free_ports
from tests.collector import Collector


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    collecting = Collector()
    collecting.start()
    yield collecting
    collecting.stop()


def test_nothing_of_opentelemetry_is_imported_and_nothing_noted_without_a_collector() -> None:
    code = "import sys, appliance.service; print([name for name in sys.modules if name.startswith('opentelemetry')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    sender = TraceSender(TracesSettings())
    trace = sender.begin()
    assert trace is OFF
    with trace.whole(), trace.span("read"):
        assert OpenSpan(CHUNK).headers == {}
    trace.add("quiet", 1.0, 2.0)
    assert OFF.spans == []
    sender.close()


def test_the_collector_gets_each_step_with_the_identifiers_that_triton_was_told(collector: Collector) -> None:
    sender = TraceSender(TracesSettings(url=collector.url))
    trace = sender.begin()
    clock = StepClock(trace=trace)
    with trace.whole() as about:
        clock.add(Step.QUIET, 2.0, 1_000_000_000.5)
        with clock(Step.INFER):
            chunk = OpenSpan(CHUNK, chunk=3)
            chunk.end()
        about["job"] = 7
    sender.close()
    mine = [span for span in collector.spans() if span.trace == f"{trace.identifier:032x}"]
    named = {span.name: span for span in mine}
    assert set(named) == {ROOT, "quiet", "infer", CHUNK}
    assert named[ROOT].attributes == {"hemorrhage.job": "7"}
    assert named[ROOT].start_ns == named["quiet"].start_ns == 1_000_000_000_500_000_000
    assert named["quiet"].end_ns - named["quiet"].start_ns == 2_000_000_000
    assert named["infer"].parent == named["quiet"].parent == named[ROOT].identifier
    assert named[CHUNK].parent == named["infer"].identifier
    assert named[CHUNK].attributes == {"hemorrhage.chunk": "3"}
    assert chunk.headers["traceparent"] == f"00-{named[CHUNK].trace}-{named[CHUNK].identifier}-01"
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", chunk.headers["traceparent"])
    assert clock.timing_ms.keys() == {"quiet", "infer"}


def test_a_try_that_failed_says_the_type_of_its_error_and_not_its_text(collector: Collector) -> None:
    sender = TraceSender(TracesSettings(url=collector.url))
    trace = sender.begin()

    def fail() -> None:
        with trace.whole(), trace.span("infer"):
            OpenSpan(CHUNK)  # never answered
            raise UnavailableError("about 1.2.840.99")

    with pytest.raises(UnavailableError):
        fail()
    sender.close()
    mine = [span for span in collector.spans() if span.trace == f"{trace.identifier:032x}"]
    assert {span.name for span in mine if span.failed} == {ROOT, "infer"}
    assert all(span.end_ns >= span.start_ns for span in mine)
    assert {span.attributes["error.type"] for span in mine if span.failed} == {"UnavailableError"}
    assert "1.2.840.99" not in repr(mine)


def test_a_reading_that_nobody_uses_is_not_sent(collector: Collector) -> None:
    sender = TraceSender(TracesSettings(url=collector.url))
    trace = sender.begin()
    with trace.span("read"):
        pass
    sender.close()
    assert not [span for span in collector.spans() if span.trace == f"{trace.identifier:032x}"]


def test_a_collector_that_is_away_is_said_once_and_fails_nothing() -> None:
    (port,) = free_ports(1)
    with structlog.testing.capture_logs() as log:
        sender = TraceSender(TracesSettings(url=f"http://127.0.0.1:{port}"))
        for _ in range(3):
            trace = sender.begin()
            with trace.whole(), trace.span("read"):
                pass
            sender._provider.force_flush(10_000)  # type: ignore[union-attr]
        sender.close()
    assert [line["event"] for line in log] == ["the collector takes no traces; they are dropped"]


def test_a_fault_of_the_sender_itself_fails_no_study(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    sender = TraceSender(TracesSettings(url=collector.url))

    def fail(*_: object) -> None:
        raise ValueError

    monkeypatch.setattr(sender, "_emit", fail)
    with structlog.testing.capture_logs() as log, sender.begin().whole():
        pass
    assert [line["event"] for line in log] == ["a trace was not sent"]
    sender.close()


def test_missing_packages_stop_the_start_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(SettingsError, match=r"traces\.url.*install opentelemetry-sdk"):
        TraceSender(TracesSettings(url="http://127.0.0.1:4317"))


@pytest.mark.parametrize("url", ["127.0.0.1:4317", "grpc://127.0.0.1:4317", "http://user@host:4317", "http://"])
def test_what_is_no_address_of_a_collector_is_refused_by_the_settings_name(url: str) -> None:
    with pytest.raises(SettingsError, match=r"traces\.url"):
        load_settings(traces={"url": url})
    with pytest.raises(SettingsError, match=r"triton\.traces_url"):
        load_settings(triton={"traces_url": url})


def test_triton_is_told_of_the_collector_and_of_nothing_without_one() -> None:
    assert trace_options(TritonSettings()) == []
    told = trace_options(TritonSettings(traces_url="http://127.0.0.1:4318/v1/traces"))
    assert "--trace-config=mode=opentelemetry" in told
    assert "--trace-config=opentelemetry,url=http://127.0.0.1:4318/v1/traces" in told


def test_environment_variables_of_opentelemetry_send_traces_nowhere_else(collector: Collector) -> None:
    code = (
        "import json, sys\n"
        "from appliance.sections.traces import TracesSettings\n"
        "from appliance.trace_sender import TraceSender\n"
        "sender = TraceSender(TracesSettings(url=sys.argv[1]))\n"
        "trace = sender.begin()\n"
        "with trace.whole():\n    pass\n"
        "sender.close()\n"
        "print(json.dumps(f'{trace.identifier:032x}'))\n"
    )
    (elsewhere,) = free_ports(1)
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{elsewhere}",
        "OTEL_TRACES_SAMPLER": "always_off",
        "OTEL_RESOURCE_ATTRIBUTES": "host.name=secret-name",
    }
    done = subprocess.run(
        [sys.executable, "-c", code, collector.url], env=environment, capture_output=True, text=True, check=True
    )
    mine = [span for span in collector.spans() if span.trace == json.loads(done.stdout)]
    assert [span.name for span in mine] == [ROOT]
