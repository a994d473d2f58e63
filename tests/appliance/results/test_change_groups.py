# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The comparison with the prior in the SR, read back by highdicom, dciodvfy, DCMTK and dcmqi."""

from __future__ import annotations

from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from pydicom import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import Comprehensive3DSRStorage

from appliance.findings.change import Compared, Doubt, Withheld
from appliance.results.identity import series_uid_of
from appliance.sections.answers import ResultsSettings
from appliance.settings import Settings
from tests.appliance.results.answers import answer_of, negative
from tests.appliance.results.compared import compared, scan
from tests.appliance.results.validators import dciodvfy_errors, dsrdump_text, tid1500, write_dicom

GROWN = compared(scan(iph=30.0), scan(iph=36.1, sah=1.5))
PART = compared(scan(partial=True, iph=30.0), scan(iph=36.1))
DIFFERENCE = Code("442714003", "SCT", "Difference in size")
VOLUME = Code("118565006", "SCT", "Volume")
CASES: dict[str, Compared] = {
    "grown": GROWN,
    "new": compared(scan(), scan(edh_sdh=3.0)),
    "nothing": compared(scan(), scan()),
    "part": PART,
    "withheld": Withheld(Doubt.OTHER_NAME),
}


def groups(sr: Dataset) -> dict[str, Dataset]:
    """Return the measurement groups by their tracking identifier."""
    (measurements,) = (one for one in sr.ContentSequence if one.ConceptNameCodeSequence[0].CodeValue == "126010")
    return {children(one, "112039")[0].TextValue: one for one in measurements.ContentSequence}


def children(item: Dataset, code: str) -> list[Dataset]:
    return [child for child in item.ContentSequence if child.ConceptNameCodeSequence[0].CodeValue == code]


def coded(item: Dataset, code: str) -> str:
    """Return the code value of the only item with a concept name."""
    (found,) = children(item, code)
    return str(found.ConceptCodeSequence[0].CodeValue)


def numbers(group: Dataset, code: str) -> dict[tuple[str, str], float]:
    """Return the numbers with a concept name by what modifies them, and their unit."""
    found = {}
    for one in children(group, code):
        measured = one.MeasuredValueSequence[0]
        what = one.ContentSequence[0].ConceptCodeSequence[0].CodeMeaning
        found[what, measured.MeasurementUnitsCodeSequence[0].CodeValue] = float(measured.NumericValue)
    return found


@pytest.mark.parametrize("sr_class", ["comprehensive-3d", "comprehensive"])
@pytest.mark.parametrize("case", CASES)
def test_other_programs_read_a_report_with_a_comparison_without_complaint(
    case: str, sr_class: str, tmp_path: Path
) -> None:
    settings = Settings(results=ResultsSettings.model_validate({"sr_sop_class": sr_class}))
    sr = answer_of(settings=settings, compared=CASES[case]).results.sr
    path = write_dicom(sr, tmp_path)
    assert dciodvfy_errors(path) == []
    printed = dsrdump_text(path)
    assert not [line for line in printed.splitlines() if line.startswith(("E:", "F:"))]
    read = tid1500(path, tmp_path)
    tracked = {one["TrackingIdentifier"] for one in read["Measurements"]}
    made = {"Prior head CT", "Change since the prior head CT"}
    assert made & tracked == (made if case != "withheld" else set())
    assert isinstance(hd.sr.srread(path).content, hd.sr.MeasurementReport)


def test_the_prior_group_holds_its_volumes_as_the_baseline_and_names_its_report() -> None:
    sr = answer_of(compared=GROWN).results.sr
    prior = groups(sr)["Prior head CT"]
    assert numbers(prior, "118565006") == {("Brain", "mL"): 30.0, ("Subarachnoid space", "mL"): 0, ("Total", "mL"): 30}
    assert coded(prior, "121052") == "52101004"
    assert coded(prior, "126072") == "C1442488"
    (report,) = children(prior, "122075")
    assert report.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "2.25.42"
    (study,) = sr.PertinentOtherEvidenceSequence
    (series,) = study.ReferencedSeriesSequence
    assert study.StudyInstanceUID == "2.25.41"
    assert series.SeriesInstanceUID == series_uid_of("2.25.42")
    assert series.ReferencedSOPSequence[0].ReferencedSOPClassUID == Comprehensive3DSRStorage


def test_the_change_group_says_how_much_and_whether_blood_has_grown() -> None:
    change = groups(answer_of(compared=GROWN).results.sr)["Change since the prior head CT"]
    assert numbers(change, "442714003") == {
        ("Brain", "mL"): 6.1,
        ("Brain", "%"): pytest.approx(20.3333),
        ("Subarachnoid space", "mL"): 1.5,
        ("Total", "mL"): 7.6,
        ("Total", "%"): pytest.approx(25.3333),
    }
    (hours,) = children(change, "128740")
    assert float(hours.MeasuredValueSequence[0].NumericValue) == 6.5
    assert (coded(change, "121071"), coded(change, "121052")) == ("15454001", "52101004")
    assert "GROWN" in children(change, "121106")[0].TextValue


@pytest.mark.parametrize(
    ("case", "presence", "compared_with"),
    [("new", "272519000", "373066001"), ("nothing", "272519000", "373066001"), ("part", "373068000", "373067005")],
)
def test_what_did_not_grow_is_absent_and_what_cannot_be_compared_undetermined(
    case: str, presence: str, compared_with: str
) -> None:
    found = groups(answer_of(compared=CASES[case]).results.sr)
    assert coded(found["Change since the prior head CT"], "121052") == presence
    assert coded(found["Study"], "122140") == compared_with


def test_highdicom_reads_the_differences() -> None:
    content = hd.sr.MeasurementReport.from_sequence([answer_of(compared=GROWN).results.sr])
    read = {str(one.tracking_identifier): one for one in content.get_image_measurement_groups()}
    measured = read["Change since the prior head CT"].get_measurements(name=DIFFERENCE)
    assert [one.value for one in measured][:2] == pytest.approx([6.1, 20.3333])
    assert len(read["Prior head CT"].get_measurements(name=VOLUME)) == 3


def test_a_withheld_comparison_is_said_in_words_and_without_groups() -> None:
    sr = negative(compared=Withheld(Doubt.OTHER_BIRTH_DATE)).results.sr
    found = groups(sr)
    assert not {"Prior head CT", "Change since the prior head CT"} & found.keys()
    assert coded(found["Study"], "122140") == "373067005"
    assert (
        "No comparison with a prior CT, because the birth dates differ"
        in children(found["Study"], "121106")[0].TextValue
    )
    assert "PertinentOtherEvidenceSequence" not in sr


def test_without_a_prior_the_report_is_as_it_was() -> None:
    alone, withheld = negative().results.sr, negative(compared=Withheld(Doubt.NO_TIME)).results.sr
    assert not children(groups(alone)["Study"], "122140")
    assert alone.SOPInstanceUID == negative(compared=None).results.sr.SOPInstanceUID
    assert alone.SOPInstanceUID != withheld.SOPInstanceUID


def test_the_same_prior_gives_the_same_report_and_another_answer_about_it_another() -> None:
    def uid(comparison: Compared) -> str:
        return str(answer_of(compared=comparison).results.sr.SOPInstanceUID)

    again = compared(scan(iph=30.0), scan(iph=36.1, sah=1.5))
    newer = compared(scan(iph=30.0), scan(iph=36.1, sah=1.5), report_uid="2.25.43")
    assert uid(again) == uid(GROWN)
    assert uid(newer) != uid(GROWN)
    assert uid(None) != uid(GROWN)


def test_key_images_say_what_has_changed_in_the_whole_head() -> None:
    plain = answer_of().results.key_images[0].picture
    changed = answer_of(compared=GROWN).results.key_images[0].picture
    differs = np.argwhere((plain != changed).any(axis=2))
    assert len(differs)
    assert differs[:, 0].max() < 30  # in the strip above the image alone
    same = answer_of(compared=compared(scan(), scan())).results.key_images[0].picture
    assert np.array_equal(plain, same)
