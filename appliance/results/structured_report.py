# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The structured report: TID 1500 Measurement Report as Comprehensive 3D SR (or Comprehensive SR by setting), for
negative studies too.

One TID 1501 group answers for the study. Each lesion has two groups under one tracking UID: TID 1411 describes it in
3-D and references its segment, TID 1410 gives its outline, area and axes on its key slice. At most `MOST_LESIONS`
lesions have groups; one more group sums up the rest. Every tracking UID has coordinates on a source image: OHIF stops
at the first one that has none and shows black.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import Comprehensive3DSRStorage, ComprehensiveSRStorage

from appliance import __version__
from appliance.coverage.coverage import Coverage
from appliance.findings.change import Compared, Comparison
from appliance.findings.finding import Finding, Lesion
from appliance.findings.outcome import Outcome
from appliance.imaging.flaws import Flaw
from appliance.imaging.header import frame_of_reference
from appliance.imaging.volume import Volume
from appliance.inference.detections import ModelIdentity
from appliance.reading.lesions import Criteria
from appliance.results import codes, kinds
from appliance.results import content_items as items
from appliance.results.change_groups import change_groups, prior_evidence
from appliance.results.change_words import change_sentences
from appliance.results.content_items import Relation
from appliance.results.facts import lesion_measures, lesion_sentence
from appliance.results.heading import MANUFACTURER, MODEL_NAME, Heading
from appliance.results.identity import series_uid_of
from appliance.results.planar import head_frame, key_slice, planar_region
from appliance.results.wording import IMAGE_FLAW, PART_ONLY, RESEARCH_USE, covered_words, millilitres, of_part

MOST_LESIONS: Final = 20
NO_SEGMENTATION: Final = "The segmentation could not be made: volumes stand here, outlines on the key images alone."
SOP_CLASSES: Final = {"comprehensive-3d": Comprehensive3DSRStorage, "comprehensive": ComprehensiveSRStorage}


def structured_report(
    volume: Volume,
    finding: Finding,
    heading: Heading,
    *,
    covered: Coverage,
    flaws: Sequence[Flaw] = (),
    sop_class: str,
    segmentation: Dataset | None,
    key_slices: Sequence[int],
    closest_slice: int,
    selection_reasons: Sequence[str] = (),
    supersedes: tuple[str, str] | None = None,
    compared: Compared = None,
) -> Dataset:
    """Return the SR.

    Parameters
    ----------
    covered: how much of the head was read. For a part the report is partial (Completion Flag), the presence of a
        hemorrhage that was not found is undetermined, and the text names the part.
    flaws: what is wrong with the images: a quality finding each, and a sentence.
    sop_class: a key of `SOP_CLASSES`.
    segmentation: the SEG whose segment numbers are the lesions' numbers; None when nothing was found, or it could not
        be made: then the report says so, and describes the lesions without their segments.
    key_slices: Z indices of the slices in the image library.
    closest_slice: Z index of the slice with the highest score, which a report without lesions refers to.
    selection_reasons: why this series was read, sentences for people.
    supersedes: SOP Class UID and SOP Instance UID of the older SR of this study that this one replaces.
    """
    tree = _Tree(volume, finding, heading, segmentation, covered, flaws, closest_slice, compared)
    report = Dataset()
    heading.write(report, kinds.SR, SOP_CLASSES[sop_class])
    report.ReferencedPerformedProcedureStepSequence = []
    report.PerformedProcedureCodeSequence = []
    report.CompletionFlag = "PARTIAL" if covered.partial else "COMPLETE"
    if covered.partial:
        report.CompletionFlagDescription = f"Part of the head: {covered_words(covered.facts)}"
    report.VerificationFlag = "UNVERIFIED"
    report.PreliminaryFlag = "FINAL"
    report.CurrentRequestedProcedureEvidenceSequence = [_evidence(volume, segmentation)]
    if isinstance(compared, Comparison):
        report.PertinentOtherEvidenceSequence = [prior_evidence(compared)]
    if supersedes is not None:
        older_class, older = supersedes
        report.PredecessorDocumentsSequence = [
            items.evidence(report.StudyInstanceUID, [(series_uid_of(older), [(older_class, older)])])
        ]
    root = items.container(
        codes.IMAGING_MEASUREMENT_REPORT,
        [
            items.code(codes.LANGUAGE, codes.ENGLISH, Relation.MODIFIES),
            *tree.observer(),
            items.code(codes.PROCEDURE_REPORTED, codes.CT_HEAD_WITHOUT_CONTRAST, Relation.MODIFIES),
            tree.image_library(key_slices),
            items.container(codes.IMAGING_MEASUREMENTS, tree.groups(selection_reasons, supersedes is not None)),
        ],
        relation=None,
        template="1500",
    )
    report.update(root)
    return report


def tracking_identifier(lesion: Lesion) -> str:
    """Return the name of a lesion for people, the same in SR and SEG."""
    return f"Lesion {lesion.number}: {lesion.type.display}"


def lesion_key(lesion: Lesion) -> str:
    """Return the name that a lesion's tracking UID is made from."""
    return f"lesion {lesion.number}"


def algorithm_parameters(model: ModelIdentity, criteria: Criteria) -> dict[str, str]:
    """Return what the algorithm's answer depends on, by name."""
    return {name: f"{value:g}" for name, value in asdict(criteria).items()} | {"model_sha256": model.sha256}


def _evidence(volume: Volume, segmentation: Dataset | None) -> Dataset:
    """Return the evidence: all slices that were read, under the series of each, and the SEG."""
    series: dict[str, list[tuple[str, str]]] = {}
    for header in volume.headers:
        instance = (str(header.SOPClassUID), str(header.SOPInstanceUID))
        series.setdefault(str(header.SeriesInstanceUID), []).append(instance)
    if segmentation is not None:
        series[segmentation.SeriesInstanceUID] = [(segmentation.SOPClassUID, segmentation.SOPInstanceUID)]
    return items.evidence(str(volume.headers[0].StudyInstanceUID), series.items())


class _Tree:
    """The parts of the content tree of one answer."""

    def __init__(
        self,
        volume: Volume,
        finding: Finding,
        heading: Heading,
        segmentation: Dataset | None,
        covered: Coverage,
        flaws: Sequence[Flaw],
        closest_slice: int,
        compared: Compared,
    ) -> None:
        self.volume = volume
        self.finding = finding
        self.heading = heading
        self.parameters = ",".join(
            f"{name}={value}" for name, value in algorithm_parameters(heading.model, finding.criteria).items()
        )
        self.segmentation = segmentation
        self.covered = covered
        self.flaws = flaws
        self.closest_slice = closest_slice
        self.compared = compared

    def observer(self) -> Iterator[Dataset]:
        """TID 1002 and 1004: the device that observed."""
        model = self.heading.model
        yield items.code(codes.OBSERVER_TYPE, codes.DEVICE, Relation.CONTEXT)
        yield items.uid(codes.DEVICE_UID, self.heading.device_uid, Relation.CONTEXT)
        yield items.text(codes.DEVICE_NAME, MODEL_NAME, Relation.CONTEXT)
        yield items.text(codes.DEVICE_MANUFACTURER, MANUFACTURER, Relation.CONTEXT)
        yield items.text(
            codes.DEVICE_MODEL, f"{MODEL_NAME} {__version__}, {model.name} {model.version}", Relation.CONTEXT
        )
        yield items.text(codes.DEVICE_SERIAL, model.sha256[:16], Relation.CONTEXT)

    def algorithm(self) -> list[Dataset]:
        """TID 4019: which algorithm, with which parameters."""
        model = self.heading.model
        return [
            items.text(codes.ALGORITHM_NAME, model.name, Relation.MODIFIES),
            items.text(codes.ALGORITHM_VERSION, model.version, Relation.MODIFIES),
            # One item: readers keep the first and drop the others.
            items.text(codes.ALGORITHM_PARAMETERS, self.parameters, Relation.MODIFIES),
        ]

    def image_library(self, key_slices: Sequence[int]) -> Dataset:
        """TID 1600, only key slices: descriptors of every slice would cost seconds."""
        first = self.volume.headers[0]
        described = [items.code(codes.MODALITY, codes.COMPUTED_TOMOGRAPHY, Relation.ACQUIRED)]
        if frame := frame_of_reference(first):
            described.append(items.uid(codes.FRAME_OF_REFERENCE_UID, frame, Relation.ACQUIRED))
        images = [self._source_image(codes.SOURCE, index) for index in key_slices]
        return items.container(codes.IMAGE_LIBRARY, [items.container(codes.IMAGE_LIBRARY_GROUP, [*described, *images])])

    def groups(self, selection_reasons: Sequence[str], superseding: bool) -> Iterator[Dataset]:
        """Return the measurement groups: the study's, each lesion's, the rest's, and those of the comparison."""
        yield self._study_group(selection_reasons, superseding)
        for lesion in self.finding.lesions[:MOST_LESIONS]:
            yield self._lesion_group(lesion)
            yield self._planar_group(lesion)
        rest = self.finding.lesions[MOST_LESIONS:]
        if rest:
            yield self._rest_group(rest)
        if isinstance(self.compared, Comparison):
            # The volumes then and the change since are of the whole scan: they refer to its two ends, each to one,
            # since viewers write a measurement beside its line.
            ends = (0, self.volume.slices - 1)
            for group, index in zip(change_groups(self.compared, self._tracking, self.algorithm), ends, strict=True):
                group.ContentSequence.append(self._head(index))
                yield group

    def _study_group(self, selection_reasons: Sequence[str], superseding: bool) -> Dataset:
        """TID 1501 about the whole study."""
        present, partial = self.finding.present, self.covered.partial
        presence = codes.PRESENCES[Outcome.of_reading(present, partial)]
        succeeded = codes.SUCCEEDED_WITH_FINDINGS if present else codes.SUCCEEDED_WITHOUT_FINDINGS
        quality = [codes.COVERAGE_INCOMPLETE] if partial else []
        quality += [codes.FLAWS[flaw.code] for flaw in self.flaws if flaw.code in codes.FLAWS]
        partly = codes.PARTLY_WITH_FINDINGS if present else codes.PARTLY_WITHOUT_FINDINGS
        return items.container(
            codes.MEASUREMENT_GROUP,
            [
                *self._tracking("Study", "study"),
                items.code(codes.FINDING, codes.INTRACRANIAL_HEMORRHAGE),
                *self.algorithm(),
                self._number(codes.PROBABILITY, self.finding.probability),
                items.code(codes.PRESENCE, presence),
                *(items.code(codes.QUALITY_FINDING, found) for found in dict.fromkeys(quality)),
                self._source_of_study(),
                *self._says_whether_compared(),
                items.code(codes.SUMMARY_OF_PROCESSING, partly if partial else succeeded),
                items.text(codes.COMMENT, self._summary(selection_reasons, superseding)),
            ],
            template="1501",
        )

    def _says_whether_compared(self) -> list[Dataset]:
        """Return whether the prior CT was compared with; nothing where there is none."""
        if self.compared is None:
            return []
        is_made = isinstance(self.compared, Comparison) and self.compared.change.obstacle is None
        return [items.code(codes.COMPARED_WITH_PRIOR, codes.YES if is_made else codes.NO)]

    def _lesion_group(self, lesion: Lesion) -> Dataset:
        """TID 1411 about one lesion and its segment; without a segmentation TID 1501, which needs none."""
        segmentation = self.segmentation
        where = []
        if segmentation is not None:
            where = [
                items.image(
                    codes.REFERENCED_SEGMENT, segmentation.SOPClassUID, segmentation.SOPInstanceUID, lesion.number
                ),
                *(self._source_image(codes.SOURCE_IMAGE_FOR_SEGMENTATION, index) for index in lesion.slices),
            ]
        return items.container(
            codes.MEASUREMENT_GROUP,
            [
                *self._tracking(tracking_identifier(lesion), lesion_key(lesion)),
                items.code(codes.FINDING, codes.HEMORRHAGE),
                items.code(codes.FINDING_SITE, codes.SITES[lesion.type], Relation.MODIFIES),
                *self.algorithm(),
                *where,
                *(self._number(*measure) for measure in lesion_measures(lesion)),
                items.text(codes.COMMENT, lesion_sentence(lesion, self.volume.slices)),
            ],
            template="1501" if segmentation is None else "1411",
        )

    def _planar_group(self, lesion: Lesion) -> Dataset:
        """TID 1410 about one lesion on its key slice."""
        region = planar_region(self.volume, self.finding, lesion)
        index = region.slice_index
        axes = region.diameters
        where = f"Slice {index + 1} of {self.volume.slices} counted from the foot end, the one with most of the lesion."
        if region.pieces > 1:
            where += f" Outline and measurements are of the largest of its {region.pieces} pieces on this slice."
        return items.container(
            codes.MEASUREMENT_GROUP,
            [
                *self._tracking(tracking_identifier(lesion), lesion_key(lesion)),
                items.code(codes.FINDING, codes.HEMORRHAGE),
                items.code(codes.FINDING_SITE, codes.SITES[lesion.type], Relation.MODIFIES),
                *self.algorithm(),
                self._line(codes.IMAGE_REGION, region.outline, index),
                self._number(codes.AREA, region.area_mm2, codes.SQUARE_MILLIMETER),
                self._axis(codes.LONG_AXIS, axes.long_mm, axes.long_ends, index),
                self._axis(codes.SHORT_AXIS, axes.short_mm, axes.short_ends, index),
                items.text(codes.COMMENT, where),
            ],
            template="1410",
        )

    def _source_of_study(self) -> Dataset:
        """What the study's answer comes from: the head on the key slice of the surest lesion, or on the closest slice.

        It is a frame, and not that lesion's outline: viewers write a measurement beside its line, and this one would be
        written over the lesion's own.
        """
        lesions, index = self.finding.lesions, self.closest_slice
        if lesions:
            index = key_slice(max(lesions, key=lambda lesion: lesion.confidence))
        return self._head(index)

    def _head(self, index: int) -> Dataset:
        """A frame around the head on a slice, as what a measurement of more than one lesion comes from."""
        return self._line(codes.SOURCE_OF_MEASUREMENT, head_frame(self.volume, index), index)

    def _source_of(self, lesion: Lesion) -> Dataset:
        """TID 320: the lesion's outline, as what a measurement of more than this lesion comes from."""
        region = planar_region(self.volume, self.finding, lesion)
        return self._line(codes.SOURCE_OF_MEASUREMENT, region.outline, region.slice_index)

    def _axis(self, name: Code, mm: float, ends: NDArray[np.float64], index: int) -> Dataset:
        """TID 300: a diameter with the line that it was measured along."""
        line = self._line(codes.SOURCE_OF_MEASUREMENT, ends, index, Relation.INFERRED)
        return items.number(name, mm, codes.MILLIMETER, [*self.algorithm(), line])

    def _line(
        self, name: Code, points: NDArray[np.float64], index: int, relation: Relation = Relation.CONTAINS
    ) -> Dataset:
        """A line on the source slice `index`; `points` as in `PlanarRegion.outline`.

        A diameter of blood at the image's edge may end a part of a pixel outside, where a strict reader refuses it: the
        line is drawn to the edge, and the length stays as measured.
        """
        on_image = np.clip(points, 0.0, self.volume.stored_matrix)
        return items.polyline(name, on_image, self._source_image(codes.SOURCE, index, Relation.SELECTED), relation)

    def _rest_group(self, rest: Sequence[Lesion]) -> Dataset:
        """TID 1501 about the lesions without a group."""
        total = sum(lesion.volume_ml for lesion in rest)
        return items.container(
            codes.MEASUREMENT_GROUP,
            [
                *self._tracking(f"Lesions {rest[0].number}-{rest[-1].number}", "rest"),
                items.code(codes.FINDING, codes.HEMORRHAGE),
                *self.algorithm(),
                self._source_of(rest[0]),
                self._number(codes.VOLUME, total, codes.MILLILITER),
                self._number(codes.PROBABILITY, max(lesion.confidence for lesion in rest)),
                items.text(
                    codes.COMMENT,
                    f"{len(rest)} smaller lesions, {millilitres(total)} together"
                    + ("." if self.segmentation is None else "; each has a segment of its own."),
                ),
            ],
            template="1501",
        )

    def _tracking(self, identifier: str, key: str) -> list[Dataset]:
        """TID 4108: the name and UID by which a finding is followed."""
        return [
            items.text(codes.TRACKING_IDENTIFIER, identifier, Relation.CONTEXT),
            items.uid(codes.TRACKING_UID, self.heading.identity.tracking_uid(key), Relation.CONTEXT),
        ]

    def _number(self, name: Code, value: float, unit: Code = codes.NO_UNITS) -> Dataset:
        """TID 300: a measurement with its algorithm, since viewers fail on a number that has no child."""
        return items.number(name, value, unit, self.algorithm())

    def _source_image(self, name: Code, index: int, relation: Relation = Relation.CONTAINS) -> Dataset:
        header = self.volume.headers[index]
        return items.image(name, str(header.SOPClassUID), str(header.SOPInstanceUID), relation=relation)

    def _summary(self, selection_reasons: Sequence[str], superseding: bool) -> str:
        """Return what the report says in words."""
        finding, criteria, header = self.finding, self.finding.criteria, self.volume.headers[0]
        covered = self.covered
        where = of_part(covered.facts)
        if finding.present:
            total = sum(lesion.volume_ml for lesion in finding.lesions)
            count = f"{len(finding.lesions)} lesion{'s' if len(finding.lesions) > 1 else ''}"
            answer = f"Intracranial hemorrhage found{where}: {count}, {millilitres(total)} together."
        else:
            answer = f"No intracranial hemorrhage found{where}."
        lines = [
            RESEARCH_USE,
            answer,
            *([f"{PART_ONLY} {'; '.join(covered.missing)}."] if covered.partial else []),
            *(change_sentences(self.compared.facts) if self.compared is not None else []),
            *(f"{IMAGE_FLAW} {flaw.code}: {flaw.reason}." for flaw in self.flaws),
            f"Highest score {finding.probability:.2f}, threshold {criteria.threshold:.2f}."
            + (
                f" Lesions are extended by what scores {criteria.extend_score:.2f} or more." if criteria.extends else ""
            ),
            f"Read: series {header.get('SeriesNumber', '')} {header.get('SeriesDescription', '')}".rstrip()
            + f", {covered_words(covered.facts)}.",
            *([NO_SEGMENTATION] if finding.lesions and self.segmentation is None else []),
            *(f"Why this series: {reason}" for reason in selection_reasons),
            *(["This report replaces an earlier one of the same study."] if superseding else []),
            f"Model {self.heading.model.name} version {self.heading.model.version}, "
            f"sha256 {self.heading.model.sha256}.",
        ]
        return "\n".join(lines)
