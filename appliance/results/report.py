# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The step `report`: an answer as DICOM objects, ready to be stored beside the source.

A new type of result is a `ResultKind` and a line in `RESULT_TYPES`; what stores, announces and writes results goes
through `Results.objects`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from pydicom import Dataset

from appliance.coverage.coverage import Coverage
from appliance.findings.change import Compared, Comparison
from appliance.findings.finding import Finding
from appliance.imaging.flaws import Flaw, FlawCode
from appliance.imaging.volume import Volume
from appliance.inference.detections import Reading
from appliance.log import describe
from appliance.results import kinds
from appliance.results.change_words import change_headline
from appliance.results.heading import Heading, heading
from appliance.results.identity import answer_identity
from appliance.results.key_images import KeyImage, key_images, key_object_selection
from appliance.results.key_slices import closest_slice, key_slices
from appliance.results.kinds import ResultKind
from appliance.results.segmentation import segmentation
from appliance.results.structured_report import structured_report
from appliance.settings import Settings

LIBRARY_SLICES = 6
"""Slices in the SR's image library when the site wants no key images."""


@dataclass(frozen=True)
class ResultObject:
    """One result object of an answer: a dataset, or a key image that is drawn on request."""

    kind: ResultKind
    content: Dataset | KeyImage

    @property
    def announced(self) -> Dataset:
        """The dataset with all its identifiers; a key image has no pixels here."""
        return self.content.undrawn if isinstance(self.content, KeyImage) else self.content

    def dataset(self) -> Dataset:
        """Return the whole dataset. Raises `DrawingError` for a key image that cannot be drawn."""
        return self.content.capture if isinstance(self.content, KeyImage) else self.content


@dataclass(frozen=True)
class Results:
    """The result objects of one answer, in the order to store them: what is referenced first, and the SR early."""

    objects: dict[str, ResultObject]
    """By file name (no extension)."""
    unmade: Mapping[str, str] = field(default_factory=dict)
    """What could not be made, by the name of its kind, and why; the answer is given without it."""

    @property
    def sr(self) -> Dataset:
        """The structured report, which every answer has."""
        return self.objects[kinds.SR.name].announced

    @property
    def seg(self) -> Dataset | None:
        """The segmentation, None when nothing was found."""
        return self._announcement(kinds.SEG)

    @property
    def key_images(self) -> tuple[KeyImage, ...]:
        """The key images, none when the site wants none."""
        return tuple(one.content for one in self.objects.values() if isinstance(one.content, KeyImage))

    @property
    def key_object_selection(self) -> Dataset | None:
        """The selection that names the key images, None without them."""
        return self._announcement(kinds.KEY_OBJECTS)

    def _announcement(self, kind: ResultKind) -> Dataset | None:
        return self.objects[kind.name].announced if kind.name in self.objects else None

    def list_announced(self) -> list[tuple[str, Dataset]]:
        """Return every object with its file name (no extension); nothing is drawn, so key images have no pixels."""
        return [(name, one.announced) for name, one in self.objects.items()]

    def make_datasets(self) -> Iterator[tuple[str, Dataset]]:
        """Yield the complete objects in the same order; each key image is drawn when its turn comes.

        Raises `DrawingError` when one cannot be drawn; SEG and SR have been yielded by then.
        """
        for name, one in self.objects.items():
            yield name, one.dataset()

    def key_image_pngs(self) -> list[tuple[str, bytes]]:
        """Return each key image as a PNG file, with its file name (no extension)."""
        return [(name, one.content.png()) for name, one in self.objects.items() if isinstance(one.content, KeyImage)]


@dataclass
class Draft:
    """What result objects are made from. `made` holds the objects of the earlier types in `RESULT_TYPES`, `unmade` says
    which of these failed and why."""

    volume: Volume
    reading: Reading
    finding: Finding
    head: Heading
    covered: Coverage
    flaws: Sequence[Flaw]
    settings: Settings
    slices: Sequence[int]
    """Z indices of the slices to show, foot to head."""
    supersedes: tuple[str, str] | None
    selection_reasons: Sequence[str]
    compared: Compared = None
    made: dict[str, tuple[Dataset | KeyImage, ...]] = field(default_factory=dict)
    unmade: dict[str, str] = field(default_factory=dict)

    def go_without(self, kind: ResultKind, error: Exception) -> None:
        """Note that no object of a kind can be made; later objects say so, and therefore get other UIDs."""
        self.unmade[kind.name] = describe(error)
        self.head = replace(self.head, identity=self.head.identity.without(kind.name))


@dataclass(frozen=True)
class ResultType:
    """A kind of result object and how it is made: none, one or, if the kind allows it, several."""

    kind: ResultKind
    build: Callable[[Draft], Iterable[Dataset | KeyImage]]


def _segmentation(draft: Draft) -> Iterator[Dataset]:
    if draft.finding.lesions:
        yield segmentation(draft.volume, draft.finding, draft.head)


def _structured_report(draft: Draft) -> Iterator[Dataset]:
    seg = next(iter(draft.made[kinds.SEG.name]), None)
    yield structured_report(
        draft.volume,
        draft.finding,
        draft.head,
        covered=draft.covered,
        flaws=draft.flaws,
        sop_class=draft.settings.results.sr_sop_class,
        segmentation=seg if isinstance(seg, Dataset) else None,
        key_slices=draft.slices,
        closest_slice=closest_slice(draft.volume, draft.reading),
        selection_reasons=draft.selection_reasons,
        supersedes=draft.supersedes,
        compared=draft.compared,
    )


def _key_images(draft: Draft) -> Iterable[KeyImage]:
    if not draft.settings.results.key_images:
        return ()
    return key_images(
        draft.volume,
        draft.reading,
        draft.finding,
        draft.head,
        draft.slices,
        draft.covered,
        compressed=draft.settings.results.compress_key_images,
        burned_in=any(flaw.code is FlawCode.BURNED_IN for flaw in draft.flaws),
        change=change_headline(draft.compared.facts) if isinstance(draft.compared, Comparison) else "",
    )


def _key_objects(draft: Draft) -> Iterator[Dataset]:
    images = [one for one in draft.made[kinds.KEY_IMAGES.name] if isinstance(one, KeyImage)]
    if images:
        yield key_object_selection(images, draft.finding, draft.head, draft.covered)


RESULT_TYPES: tuple[ResultType, ...] = (
    ResultType(kinds.SEG, _segmentation),
    ResultType(kinds.SR, _structured_report),
    ResultType(kinds.KEY_IMAGES, _key_images),
    ResultType(kinds.KEY_OBJECTS, _key_objects),
)
"""In the order in which objects are made and stored: referenced objects first, and the SR as early as possible, because
a reader waits for it."""


def report(
    volume: Volume,
    reading: Reading,
    finding: Finding,
    *,
    covered: Coverage,
    flaws: Sequence[Flaw] = (),
    settings: Settings,
    created: datetime,
    supersedes: tuple[str, str] | None = None,
    selection_reasons: Sequence[str] = (),
    compared: Compared = None,
) -> Results:
    """Return the result objects of an answer.

    A reader waits for the SR, so it is always made: anything else that cannot be made is left out (`Results.unmade`),
    and the SR says that there is no segmentation.

    Parameters
    ----------
    covered: how much of the head was read; every object says so.
    flaws: what is wrong with the images; the SR says so.
    created: when the answer was made, with its time zone. A repeat differs only in this, not in its UIDs.
    supersedes: SOP Class UID and SOP Instance UID of the older SR of this study that this answer replaces.
    selection_reasons: why this series was read, sentences for people.
    compared: the comparison with the patient's prior head CT; the SR and the key images say what has changed.
    """
    identity = answer_identity(volume, reading.model, finding.criteria, settings, covered, compared)
    head = heading(volume, identity, created, settings.results.institution, reading.model)
    slices = key_slices(volume, reading, finding, settings.results.key_images or LIBRARY_SLICES)
    draft = Draft(
        volume, reading, finding, head, covered, flaws, settings, slices, supersedes, selection_reasons, compared
    )
    objects: dict[str, ResultObject] = {}
    for type_ in RESULT_TYPES:
        made: tuple[Dataset | KeyImage, ...] = ()
        try:
            made = tuple(type_.build(draft))
        except Exception as error:  # highdicom and pydicom may raise nearly anything on an odd header
            if type_.kind is kinds.SR:
                raise
            draft.go_without(type_.kind, error)
        draft.made[type_.kind.name] = made
        for number, content in enumerate(made, 1):
            made_object = objects[type_.kind.named(number)] = ResultObject(type_.kind, content)
            head.fit_words(made_object.announced)
    return Results(objects, draft.unmade)
