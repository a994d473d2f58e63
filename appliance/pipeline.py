# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The path of one study from its instances to its answer: select, read, check, infer, find, report.

Each step is a function of the result of the step before it. `intake` comes before them (it notices a study and judges
whether it is complete), `delivery` after them; `steps` names, orders and clocks them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from pydicom import Dataset

from appliance.coverage.coverage import Coverage, coverage
from appliance.coverage.neighbours import reaches_beyond
from appliance.drift.measure import Measured, measure
from appliance.errors import Refusal, RefusalCode, RefusedError
from appliance.findings.change import Compared, HeadScan
from appliance.findings.find import find
from appliance.findings.finding import Finding
from appliance.imaging.check import check
from appliance.imaging.flaws import Flaw, flaws
from appliance.imaging.instances import Instance
from appliance.imaging.read import read_volume
from appliance.imaging.resize import to_square_field
from appliance.imaging.stacks import Stack, stacks
from appliance.imaging.volume import Volume
from appliance.inference.detections import ModelIdentity, Reading
from appliance.inference.detector import TritonDetector
from appliance.reading.lesions import Criteria
from appliance.results.report import Results, report
from appliance.selection.look import Classifier, look_at
from appliance.selection.select import Judgement, Selection, select
from appliance.settings import Settings
from appliance.steps import Step, StepClock
from appliance.traces import OFF, Trace


@dataclass(frozen=True)
class Study:
    """A study for the pipeline: the headers of its instances, and `fetch`, which returns an instance's file."""

    uid: str
    instances: tuple[Instance, ...]
    fetch: Callable[[str], bytes]
    supersedes: tuple[str, str] | None = None
    """SOP Class UID and SOP Instance UID of the older SR that this answer replaces."""
    unread: int = 0
    """How many images of the study cannot be read as DICOM at all."""
    trace: Trace = OFF
    compare: Callable[[Dataset, HeadScan], Compared] | None = None
    """Returns the comparison with the patient's prior head CT, for the header of an image that was read and what was
    found; it does not raise. None where there is no archive to look in."""


@dataclass(frozen=True)
class _Answer:
    study_uid: str
    selection: Selection
    model: ModelIdentity
    refusals: tuple[Refusal, ...]
    timing_ms: dict[str, float]


@dataclass(frozen=True)
class UnreadAnswer(_Answer):
    """The answer about a study of which nothing could be read; `refusals` say why."""


@dataclass(frozen=True)
class ReadAnswer(_Answer):
    """The answer about a study that was read: what was found in which stack, and the objects that say so."""

    stack: Stack
    selection_reasons: tuple[str, ...]
    finding: Finding
    covered: Coverage
    flaws: tuple[Flaw, ...]
    measured: Measured
    results: Results
    compared: Compared = None


Answer = ReadAnswer | UnreadAnswer


@dataclass(frozen=True, eq=False)
class ReadStudy:
    """A study that was read and not yet reported: everything that its answer is made from."""

    study_uid: str
    selection: Selection
    refusals: tuple[Refusal, ...]
    clock: StepClock
    stack: Stack
    selection_reasons: tuple[str, ...]
    volume: Volume
    reading: Reading
    finding: Finding
    covered: Coverage
    flaws: tuple[Flaw, ...]
    measured: Measured


class Pipeline:
    """Answers studies with one detector and one set of settings; without a classifier, headers choose the series."""

    def __init__(self, settings: Settings, detector: TritonDetector, classifier: Classifier | None = None) -> None:
        self.settings = settings
        self.detector = detector
        self.classifier = classifier

    @property
    def criteria(self) -> Criteria:
        """Which detections count with the model that is served now."""
        return Criteria.of(self.settings.finding, self.detector.suggested_threshold)

    def answer(self, study: Study, read: ReadStudy | UnreadAnswer | None = None) -> Answer:
        """Return the answer about one study; an unreadable series is refused with a code, and the next best tried.

        `read` is an earlier reading of exactly this study.

        Raises
        ------
        UnavailableError
            when Orthanc or Triton does not answer: nothing was decided, try again.
        """
        read = read or self.read(study)
        return read if isinstance(read, UnreadAnswer) else self.report(read, study.supersedes, study.compare)

    def read(self, study: Study, go_on: Callable[[], bool] | None = None) -> ReadStudy | UnreadAnswer:
        """Return a study that was read, to be reported, or the answer that nothing of it can be read.

        If this study must not hold up another, `go_on` is called before each chunk goes to the network.

        Raises
        ------
        UnavailableError
            when Orthanc or Triton does not answer: nothing was decided, try again.
        GaveWayError
            when `go_on` said no.
        """
        clock = StepClock(trace=study.trace)
        with clock(Step.SELECT):
            found = stacks(study.instances)
            selection = select(found, self.settings.selection)
            if self.classifier is not None:
                looks = look_at(selection.candidates, study.fetch, self.classifier)
                selection = select(found, self.settings.selection, looks=looks)
        refusals = list(selection.refusals)

        candidates = deque(selection.readable)
        put_off: set[Stack] = set()
        while candidates:
            judgement = candidates.popleft()
            stack = judgement.stack
            try:
                volume, seen, measured = _accept(stack, study.fetch, clock)
            except RefusedError as error:
                refusals += error.refusals
                continue
            with clock(Step.CHECK):
                covered = coverage(volume, stack, found, study.fetch, study.unread)
            if covered.partial and stack not in put_off and _show_more(candidates, put_off, stack):
                del volume
                put_off.add(stack)
                candidates.append(judgement)
                continue
            with clock(Step.INFER):
                reading = self.detector.read(to_square_field(volume.hu, volume.pixel_spacing_mm), go_on)
            with clock(Step.FIND):
                # The reading's own suggestion, because another model may be served by now.
                finding = find(reading, volume, Criteria.of(self.settings.finding, reading.suggested_threshold))
            return ReadStudy(
                study.uid,
                selection,
                tuple(refusals),
                clock,
                stack,
                judgement.reasons_for,
                volume,
                reading,
                finding,
                covered,
                seen,
                measured,
            )

        if not any(refusal.code is RefusalCode.SOURCE_DELETED for refusal in refusals):  # deleted is not unsuitable
            nothing = "no series of the study is a readable axial soft-tissue head CT"
            refusals.append(Refusal(RefusalCode.NO_SUITABLE_SERIES, nothing))
        return UnreadAnswer(study.uid, selection, self.detector.identity, tuple(refusals), clock.timing_ms)

    def report(
        self,
        read: ReadStudy,
        supersedes: tuple[str, str] | None = None,
        compare: Callable[[Dataset, HeadScan], Compared] | None = None,
    ) -> ReadAnswer:
        """Return the answer about a study that was read, with its result objects.

        See `Study` for `supersedes` and `compare`. Even a study that was read ahead is compared only now, when the
        prior may have its answer.
        """
        with read.clock(Step.REPORT):
            compared = None
            if compare is not None:
                scan = HeadScan.of_finding(
                    read.finding,
                    read.covered.partial,
                    read.reading.model.sha256,
                    (one.code.value for one in read.flaws),
                )
                compared = compare(read.stack.instances[0].header, scan)
            results = report(
                read.volume,
                read.reading,
                read.finding,
                covered=read.covered,
                flaws=read.flaws,
                settings=self.settings,
                created=datetime.now(UTC),
                supersedes=supersedes,
                selection_reasons=read.selection_reasons,
                compared=compared,
            )
        return ReadAnswer(
            read.study_uid,
            read.selection,
            read.reading.model,
            read.refusals,
            read.clock.timing_ms,
            read.stack,
            read.selection_reasons,
            read.finding,
            read.covered,
            read.flaws,
            read.measured,
            results,
            compared,
        )


def _show_more(candidates: Iterable[Judgement], put_off: set[Stack], part: Stack) -> bool:
    """Return whether a candidate that was not put off reaches beyond a part: a whole head goes first."""
    return any(reaches_beyond(other.stack, part) for other in candidates if other.stack not in put_off)


def _accept(stack: Stack, fetch: Callable[[str], bytes], clock: StepClock) -> tuple[Volume, tuple[Flaw, ...], Measured]:
    """Return the stack's volume, its flaws and what is measured of it, or raise `RefusedError`.

    After a refusal the volume is freed before the next best stack is read.
    """
    with clock(Step.READ):
        volume = read_volume(stack, fetch)
    with clock(Step.CHECK):
        inside = check(volume)
        seen = flaws(volume, stack.geometry, inside.slices) if stack.geometry is not None else ()
        measured = measure(volume, inside)
    return volume, seen, measured
