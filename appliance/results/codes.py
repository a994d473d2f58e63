# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The coded concepts of the result objects.

There is deliberately no code for extradural or subdural hemorrhage: public sources contradict one another, so every
lesion is Hemorrhage with a finding site.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pydicom.sr.coding import Code

from appliance.findings.outcome import Outcome
from appliance.imaging.flaws import FlawCode
from appliance.reading.contract import HemorrhageType

# Documents and their frame
IMAGING_MEASUREMENT_REPORT: Final = Code("126000", "DCM", "Imaging Measurement Report")
LANGUAGE: Final = Code("121049", "DCM", "Language of Content Item and Descendants")
ENGLISH: Final = Code("en", "RFC5646", "English")
OBSERVER_TYPE: Final = Code("121005", "DCM", "Observer Type")
DEVICE: Final = Code("121007", "DCM", "Device")
DEVICE_UID: Final = Code("121012", "DCM", "Device Observer UID")
DEVICE_NAME: Final = Code("121013", "DCM", "Device Observer Name")
DEVICE_MANUFACTURER: Final = Code("121014", "DCM", "Device Observer Manufacturer")
DEVICE_MODEL: Final = Code("121015", "DCM", "Device Observer Model Name")
DEVICE_SERIAL: Final = Code("121016", "DCM", "Device Observer Serial Number")
PROCEDURE_REPORTED: Final = Code("121058", "DCM", "Procedure reported")
CT_HEAD_WITHOUT_CONTRAST: Final = Code("30799-1", "LN", "CT Head WO contrast")
CT_OF_ANYTHING: Final = Code("77477000", "SCT", "Computed tomography")
IMAGE_LIBRARY: Final = Code("111028", "DCM", "Image Library")
IMAGE_LIBRARY_GROUP: Final = Code("126200", "DCM", "Image Library Group")
MODALITY: Final = Code("121139", "DCM", "Modality")
COMPUTED_TOMOGRAPHY: Final = Code("CT", "DCM", "Computed Tomography")
FRAME_OF_REFERENCE_UID: Final = Code("112227", "DCM", "Frame of Reference UID")
SOURCE: Final = Code("260753009", "SCT", "Source")
COMMENT: Final = Code("121106", "DCM", "Comment")

# Measurements
IMAGING_MEASUREMENTS: Final = Code("126010", "DCM", "Imaging Measurements")
MEASUREMENT_GROUP: Final = Code("125007", "DCM", "Measurement Group")
TRACKING_IDENTIFIER: Final = Code("112039", "DCM", "Tracking Identifier")
TRACKING_UID: Final = Code("112040", "DCM", "Tracking Unique Identifier")
FINDING: Final = Code("121071", "DCM", "Finding")
FINDING_SITE: Final = Code("363698007", "SCT", "Finding Site")
REFERENCED_SEGMENT: Final = Code("121191", "DCM", "Referenced Segment")
SOURCE_IMAGE_FOR_SEGMENTATION: Final = Code("121233", "DCM", "Source image for segmentation")
PROBABILITY: Final = Code("122157", "DCM", "Probability")
VOLUME: Final = Code("118565006", "SCT", "Volume")
PRESENCE: Final = Code("121052", "DCM", "Presence of property")
PRESENT: Final = Code("52101004", "SCT", "Present")
ABSENT: Final = Code("272519000", "SCT", "Absent")
UNDETERMINED: Final = Code("373068000", "SCT", "Undetermined")
PRESENCES: Final[Mapping[str, Code]] = {
    Outcome.PRESENT: PRESENT,
    Outcome.UNDETERMINED: UNDETERMINED,
    Outcome.UNREAD: UNDETERMINED,
    Outcome.ABSENT: ABSENT,
}
"""The presence of hemorrhage in the study, by what its answer says."""
IMAGE_REGION: Final = Code("111030", "DCM", "Image Region")
SOURCE_OF_MEASUREMENT: Final = Code("121112", "DCM", "Source of Measurement")
AREA: Final = Code("42798000", "SCT", "Area")
LONG_AXIS: Final = Code("103339001", "SCT", "Long axis")
SHORT_AXIS: Final = Code("103340004", "SCT", "Short axis")
SQUARE_MILLIMETER: Final = Code("mm2", "UCUM", "square millimeter")
MILLIMETER: Final = Code("mm", "UCUM", "millimeter")
MILLILITER: Final = Code("mL", "UCUM", "milliliter")
NO_UNITS: Final = Code("1", "UCUM", "no units")

# Change since an earlier scan (TID 1502; CID 6133, 6134)
TIME_POINT: Final = Code("C2348792", "UMLS", "Time Point")
TIME_POINT_TYPE: Final = Code("126072", "DCM", "Time Point Type")
BASELINE_TIME_POINT: Final = Code("C1442488", "UMLS", "Baseline")
TEMPORAL_OFFSET: Final = Code("128740", "DCM", "Longitudinal Temporal Offset from Event")
TEMPORAL_EVENT_TYPE: Final = Code("128741", "DCM", "Longitudinal Temporal Event Type")
BASELINE: Final = Code("121079", "DCM", "Baseline")
PRIOR_REPORT: Final = Code("122075", "DCM", "Prior report for current patient")
COMPARED_WITH_PRIOR: Final = Code("122140", "DCM", "Comparison with Prior Study Done")
YES: Final = Code("373066001", "SCT", "Yes")
NO: Final = Code("373067005", "SCT", "No")
DIFFERENCE_IN_SIZE: Final = Code("442714003", "SCT", "Difference in size")
INCREASE_IN_SIZE: Final = Code("15454001", "SCT", "Increase in size")
DERIVATION: Final = Code("121401", "DCM", "Derivation")
TOTAL: Final = Code("255619001", "SCT", "Total")
HOUR: Final = Code("h", "UCUM", "hour")
PERCENT: Final = Code("%", "UCUM", "percent")

# Algorithm and status
ALGORITHM_NAME: Final = Code("111001", "DCM", "Algorithm Name")
ALGORITHM_PARAMETERS: Final = Code("111002", "DCM", "Algorithm Parameters")
ALGORITHM_VERSION: Final = Code("111003", "DCM", "Algorithm Version")
ARTIFICIAL_INTELLIGENCE: Final = Code("123110", "DCM", "Artificial Intelligence")
SUMMARY_OF_PROCESSING: Final = Code("111017", "DCM", "CAD Processing and Findings Summary")
SUCCEEDED_WITHOUT_FINDINGS: Final = Code("111241", "DCM", "All algorithms succeeded; without findings")
SUCCEEDED_WITH_FINDINGS: Final = Code("111242", "DCM", "All algorithms succeeded; with findings")
PARTLY_WITHOUT_FINDINGS: Final = Code("111243", "DCM", "Not all algorithms succeeded; without findings")
PARTLY_WITH_FINDINGS: Final = Code("111244", "DCM", "Not all algorithms succeeded; with findings")
NONE_SUCCEEDED: Final = Code("111245", "DCM", "No algorithms succeeded; without findings")
QUALITY_FINDING: Final = Code("111052", "DCM", "Quality Finding")
UNUSABLE: Final = Code("111235", "DCM", "Unusable - Quality renders image unusable")
COVERAGE_INCOMPLETE: Final = Code("130576", "DCM", "Anatomy coverage incomplete")
MOTION_BLUR: Final = Code("111210", "DCM", "Motion blur")
OTHER_ARTIFACT: Final = Code("111215", "DCM", "Artifact(s) other than grid or detector artifact")
IMAGE_ARTIFACT: Final = Code("111207", "DCM", "Image artifact(s)")
FLAWS: Final = {
    FlawCode.MOTION: MOTION_BLUR,
    FlawCode.METAL: OTHER_ARTIFACT,
    FlawCode.CUT_OFF: COVERAGE_INCOMPLETE,
    FlawCode.BURNED_IN: IMAGE_ARTIFACT,
}
"""The quality findings of flaws; the other flaws have no fitting code and appear only in words."""

# Key object selection
OF_INTEREST: Final = Code("113000", "DCM", "Of Interest")
BEST_IN_SET: Final = Code("113013", "DCM", "Best In Set")
DOCUMENT_TITLE_MODIFIER: Final = Code("113011", "DCM", "Document Title Modifier")
SERIES: Final = Code("113015", "DCM", "Series")
KEY_OBJECT_DESCRIPTION: Final = Code("113012", "DCM", "Key Object Description")

# What is found, and where
INTRACRANIAL_HEMORRHAGE: Final = Code("1386000", "SCT", "Intracranial hemorrhage")
HEMORRHAGE: Final = Code("50960005", "SCT", "Hemorrhage")
ABNORMAL_STRUCTURE: Final = Code("49755003", "SCT", "Morphologically Abnormal Structure")
SITES: Final = {
    HemorrhageType.IPH: Code("12738006", "SCT", "Brain"),
    HemorrhageType.EDH_SDH: Code("1231004", "SCT", "Meninges"),
    HemorrhageType.SAH: Code("35951006", "SCT", "Subarachnoid space"),
}
