# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Traces of studies that a real collector gets from the service and from Triton."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pydicom
import pytest

from simulator.series import SeriesKind
from simulator.study import WrittenStudy
from tests.collector import Collected, Collector
from tests.end_to_end.patient import Patient
from tests.end_to_end.running import Running

STEPS = {"quiet", "queue", "select", "read", "check", "infer", "find", "report", "deliver", "deliver_rest"}
OURS, TRITONS = "hemorrhage-appliance", "hemorrhage-triton"


def has_both_services(trace: list[Collected]) -> bool:
    return {span.service for span in trace} == {OURS, TRITONS}


def has_tritons_span_of_each_chunk(trace: list[Collected]) -> bool:
    """Triton sends its spans by itself, those of the last chunk perhaps seconds after the service's."""
    chunks = {span.identifier for span in trace if span.name == "chunk"}
    return bool(chunks) and chunks <= {span.parent for span in trace if span.service == TRITONS}


def trace_of(
    collector: Collector, running: Running, uid: str, is_whole: Callable[[list[Collected]], bool]
) -> list[Collected]:
    """Return the trace of a study's only answer, once it is whole."""
    (job,) = running.study(uid)["jobs"]

    def trace(spans: list[Collected]) -> list[Collected]:
        roots = [
            span for span in spans if span.name == "study" and span.attributes["hemorrhage.job"] == str(job["job"])
        ]
        return [span for span in spans if span.trace in {root.trace for root in roots}]

    return trace(collector.wait_for(lambda spans: is_whole(trace(spans)), longest_s=30))


@pytest.fixture(scope="module")
def sent(
    running: Running, collector: Collector, bleeding: Patient, tmp_path_factory: pytest.TempPathFactory
) -> WrittenStudy:
    """A study whose trace came whole: on a busy machine Triton was seen to lose the spans of a chunk."""
    for _ in range(4):
        written = bleeding.study(tmp_path_factory.mktemp("traced"))
        running.send(written.files[SeriesKind.AXIAL])
        running.answered(written.truth.study_uid)
        with contextlib.suppress(TimeoutError):
            trace_of(collector, running, written.truth.study_uid, has_tritons_span_of_each_chunk)
            return written
    raise AssertionError("Triton's spans of each chunk came of none of four studies")


@pytest.fixture
def trace(running: Running, collector: Collector, sent: WrittenStudy) -> list[Collected]:
    return trace_of(collector, running, sent.truth.study_uid, has_tritons_span_of_each_chunk)


def test_one_trace_has_every_step_of_the_answer_in_its_time(trace: list[Collected]) -> None:
    ours = [span for span in trace if span.service == OURS]
    (root,) = (span for span in ours if not span.parent)
    steps = [span for span in ours if span.parent == root.identifier]
    assert {span.name for span in steps} == STEPS
    assert len({span.identifier for span in ours}) == len(ours)
    for span in ours:
        assert root.start_ns <= span.start_ns <= span.end_ns
    first = {name: min(span.start_ns for span in steps if span.name == name) for name in STEPS}
    assert first["select"] <= first["read"] <= first["infer"] <= first["find"] <= first["report"] <= first["deliver"]
    assert root.attributes["hemorrhage.answer"] == "present"
    assert not any(span.failed for span in ours)


def test_each_chunk_is_a_span_of_the_inference_and_tritons_own_span_is_within_it(trace: list[Collected]) -> None:
    (infer,) = (span for span in trace if span.name == "infer")
    chunks = [span for span in trace if span.name == "chunk"]
    assert {span.parent for span in chunks} == {infer.identifier}
    assert sorted(span.attributes["hemorrhage.chunk"] for span in chunks) == ["0", "1"]
    of_triton = [span for span in trace if span.service == TRITONS]
    by_identifier = {span.identifier: span for span in trace}
    outermost = [span for span in of_triton if by_identifier[span.parent].service == OURS]
    assert sorted(span.parent for span in outermost) == sorted(span.identifier for span in chunks)


def test_no_span_says_who_the_patient_is_or_names_anything_of_the_study(
    trace: list[Collected], sent: WrittenStudy
) -> None:
    header = pydicom.dcmread(sent.files[SeriesKind.AXIAL][0], stop_before_pixels=True)
    text = repr(trace)
    for element in header:
        if element.VR in ("PN", "UI", "DA", "TM", "DT", "SH", "LO") and len(str(element.value)) > 5:
            if element.tag in (0x00080016, 0x0008103E, 0x00081030):  # words that are no one's own
                continue
            assert str(element.value) not in text, element.keyword


def test_answers_do_not_wait_for_a_collector_that_is_away_and_later_traces_come_again(
    running: Running, collector: Collector, bleeding: Patient, away: None, tmp_path: Path
) -> None:
    written = bleeding.study(tmp_path / "unseen")
    running.send(written.files[SeriesKind.AXIAL])
    record = running.answered(written.truth.study_uid)
    assert record["present"] is True
    assert "error" not in record or not record["error"]
    collector.start()
    later = bleeding.study(tmp_path / "seen")
    running.send(later.files[SeriesKind.AXIAL])
    running.answered(later.truth.study_uid)
    # Triton loses what it sends to a collector that is away.
    assert trace_of(collector, running, later.truth.study_uid, has_both_services)


@pytest.fixture
def away(collector: Collector) -> Iterator[None]:
    collector.stop()
    yield
    if not collector.is_running:
        collector.start()
