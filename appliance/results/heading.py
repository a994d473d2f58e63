# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What all result objects carry: patient and study exactly as in the source, the appliance as the equipment, the
series, the times, and the file meta information that a DICOM file needs."""

from __future__ import annotations

import unicodedata
from collections.abc import MutableSequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

from pydicom import DataElement, Dataset
from pydicom.charset import convert_encodings
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileMetaDataset
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID, ExplicitVRLittleEndian
from pydicom.valuerep import STR_VR

from appliance import __version__
from appliance.imaging.volume import Volume
from appliance.inference.detections import ModelIdentity
from appliance.results.identity import AnswerIdentity, name_uid
from appliance.results.kinds import ResultKind

MANUFACTURER: Final = "The hemorrhage appliance authors"
MODEL_NAME: Final = "Hemorrhage appliance"
IMPLEMENTATION_UID: Final = name_uid("implementation class")

_PATIENT_GROUP: Final = 0x0010
_TRIAL_GROUP: Final = 0x0012
_TRIAL_SERIES: Final = frozenset((0x00120060, 0x00120061, 0x00120071, 0x00120072))
_STUDY_KEYWORDS: Final = (
    "SpecificCharacterSet",
    "TimezoneOffsetFromUTC",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "StudyDescription",
    "AccessionNumber",
    "IssuerOfAccessionNumberSequence",
    "ReferringPhysicianName",
    "ReferringPhysicianIdentificationSequence",
    "ConsultingPhysicianName",
    "ConsultingPhysicianIdentificationSequence",
    "PhysiciansOfRecord",
    "PhysiciansOfRecordIdentificationSequence",
    "NameOfPhysiciansReadingStudy",
    "PhysiciansReadingStudyIdentificationSequence",
    "RequestingService",
    "RequestingServiceCodeSequence",
    "ReferencedStudySequence",
    "ProcedureCodeSequence",
    "ReasonForPerformedProcedureCodeSequence",
    "AdmittingDiagnosesDescription",
    "AdmittingDiagnosesCodeSequence",
    "AdmissionID",
    "IssuerOfAdmissionIDSequence",
    "ServiceEpisodeID",
    "ServiceEpisodeDescription",
    "IssuerOfServiceEpisodeIDSequence",
    "ReasonForVisit",
    "ReasonForVisitCodeSequence",
)
# Type 2 in the Patient and General Study modules: present, and empty if necessary.
_REQUIRED: Final = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)
# Typographic signs that few character sets have, and their ASCII form.
_SIGNS: Final = str.maketrans(
    {
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
        **dict.fromkeys("\u2018\u2019\u201a\u2032", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u2033", '"'),
        **dict.fromkeys("\u00a0\u2002\u2003\u2009\u202f", " "),
        **dict.fromkeys("\u00b7\u2022", "-"),
        "\u2026": "...",
        "\u2264": "<=",
        "\u2265": ">=",
        "\u00b1": "+/-",
        "\u00d7": "x",
        "\u2192": "->",
        "\u00b0": " degrees",
    }
)
_WORDS: Final = frozenset(("LO", "LT", "SH", "ST", "UC", "UT"))


@dataclass(frozen=True)
class Heading:
    """Writes the common part of each result object of one answer.

    Attributes
    ----------
    source: the patient and study attributes of the source, unchanged: text as the bytes that were read.
    charset: the source's Specific Character Set, None when it has none.
    identity: where the UIDs come from.
    created: when the answer was made, in the time zone of the source's times.
    institution: as set by the site, empty for none.
    model: the model that answered.
    """

    source: tuple[DataElement | RawDataElement, ...]
    charset: str | MutableSequence[str] | None
    identity: AnswerIdentity
    created: datetime
    institution: str
    model: ModelIdentity

    @property
    def device_uid(self) -> UID:
        """The UID of the observing device: this software with this model."""
        return name_uid(f"device {__version__} {self.model.sha256}")

    def write(
        self, dataset: Dataset, kind: ResultKind, sop_class: str, instance: int | None = None, content_time: bool = True
    ) -> None:
        """Write the heading into `dataset`, replacing its patient, study, series and equipment.

        `instance` is the instance number in a series of several, None in a series of one.
        """
        for element in self.source:
            # An element with a sequence may belong to only one dataset.
            dataset[element.tag] = deepcopy(element) if element.VR == "SQ" else element
        name = kind.name if instance is None else f"{kind.name} {instance}"
        dataset.SOPClassUID = UID(sop_class)
        dataset.SOPInstanceUID = self.identity.sop_uid(name)
        dataset.SeriesInstanceUID = self.identity.series_uid(kind.name)
        dataset.SeriesNumber = kind.series_number
        dataset.SeriesDescription = kind.description
        dataset.Modality = kind.modality
        dataset.InstanceNumber = instance or 1
        date, time = self.created.strftime("%Y%m%d"), self.created.strftime("%H%M%S.%f")
        dataset.InstanceCreationDate = dataset.SeriesDate = date
        dataset.InstanceCreationTime = dataset.SeriesTime = time
        if content_time:
            dataset.ContentDate, dataset.ContentTime = date, time
        dataset.Manufacturer = MANUFACTURER
        dataset.ManufacturerModelName = MODEL_NAME
        dataset.DeviceSerialNumber = self.model.sha256[:16]
        dataset.SoftwareVersions = [__version__, f"{self.model.name} {self.model.version}"]
        if self.institution:
            dataset.InstitutionName = self.institution
        dataset.file_meta = self._file_meta(dataset)
        # Tells pydicom that the copied bytes are in this encoding already, to be written as they are.
        encodings = convert_encodings(self.charset) if self.charset else ["iso8859"]
        dataset.set_original_encoding(is_implicit_vr=False, is_little_endian=True, character_encoding=encodings)

    def fit_words(self, dataset: Dataset) -> None:
        """Write every text of a finished result object as the source's character set can hold it.

        Our own words are ASCII, and typographic signs become ASCII here, so that an answer reads the same in every
        character set. Other text (a series description, the institution's name) keeps the letters that the set has; of
        the other letters those with a mark lose it, and the rest are left out. Patient and study are the source's bytes
        and are not touched.
        """
        self._fit(dataset, frozenset(element.tag for element in self.source))

    def _fit(self, dataset: Dataset, carried: frozenset[int]) -> None:
        for tag in dataset.keys() - carried:
            element = dataset[tag]
            if element.VR == "SQ":
                for item in element.value:
                    self._fit(item, frozenset())
            elif element.VR in _WORDS and element.value and not str(element.value).isascii():
                several = isinstance(element.value, MutableSequence)
                element.value = [self.text(one) for one in element.value] if several else self.text(element.value)

    def text(self, text: str) -> str:
        """Return `text` as the source's character set can write it (see `fit_words`)."""
        encodings = convert_encodings(self.charset) if self.charset else ["ascii"]
        # The default repertoire is ASCII, although pydicom reads it as Latin-1.
        sets = ["ascii" if encoding == "iso8859" else encoding for encoding in encodings]
        signs = unicodedata.normalize("NFC", text.translate(_SIGNS))
        fitted = "".join(
            sign
            if any(_encodes(encoding, sign) for encoding in sets)
            else unicodedata.normalize("NFKD", sign).encode("ascii", "ignore").decode()
            for sign in signs
        )
        return fitted if fitted == signs else fitted.strip() or "?"

    @staticmethod
    def _file_meta(dataset: Dataset) -> FileMetaDataset:
        meta = FileMetaDataset()
        meta.FileMetaInformationVersion = b"\x00\x01"
        meta.MediaStorageSOPClassUID = dataset.SOPClassUID
        meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.ImplementationClassUID = IMPLEMENTATION_UID
        meta.ImplementationVersionName = f"HEMORRHAGE_{__version__}"[:16]
        return meta


def heading(
    volume: Volume, identity: AnswerIdentity, created: datetime, institution: str, model: ModelIdentity
) -> Heading:
    """Return the heading of the results about `volume`; `created` has a time zone."""
    return heading_of(volume.headers[0], identity, created, institution, model)


def heading_of(
    header: Dataset, identity: AnswerIdentity, created: datetime, institution: str, model: ModelIdentity
) -> Heading:
    """Return the heading of the results about the image with this header; `created` has a time zone."""
    elements = [
        _as_stored(header, tag)
        for tag in header.keys()  # noqa: SIM118 - a Dataset iterates over its elements, decoding each
        if tag.group == _PATIENT_GROUP or (tag.group == _TRIAL_GROUP and tag not in _TRIAL_SERIES)
    ]
    elements += [_as_stored(header, Tag(keyword)) for keyword in _STUDY_KEYWORDS if keyword in header]
    empty = Dataset()
    for keyword in _REQUIRED:
        if keyword not in header:
            setattr(empty, keyword, "")
    local = created.astimezone(_time_zone(header))
    return Heading((*elements, *empty), header.get("SpecificCharacterSet"), identity, local, institution, model)


def _as_stored(header: Dataset, tag: BaseTag) -> DataElement | RawDataElement:
    """Return an element; undecoded text stays as bytes.

    Names are often not in the character set that the header claims; decoding and encoding would destroy them.
    """
    element = header.get_item(tag)
    if isinstance(element, RawDataElement):
        vr = element.VR or dictionary_VR(tag)
        if vr in STR_VR:
            return element._replace(VR=vr)
    return header[tag]


def _encodes(encoding: str, text: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _time_zone(header: Dataset) -> timezone | None:
    """Return the time zone of the source's times; None, which means this machine's, if the source does not say."""
    offset = str(header.get("TimezoneOffsetFromUTC", "")).strip()
    try:
        parsed = datetime.strptime(offset, "%z").utcoffset()
    except ValueError:
        return None
    return timezone(parsed) if parsed else UTC if parsed == timedelta(0) else None
