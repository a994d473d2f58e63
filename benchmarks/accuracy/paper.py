# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The paper's figures (Chang et al., AJNR 2018; 39:1609): its text, Table 1 and Table 2, columns "Valid" and "Test".

Table 2's balanced accuracies do not follow from the sensitivities and specificities beside them: they are the mean of
the sensitivity and 0.993 (test) or 0.997 (cross-validation), the negative predictive values of the full sets, where
specificity is 0.973 and 0.975. Ours is the mean of sensitivity and specificity; both stand in the report.
"""

from __future__ import annotations

from typing import Final

from appliance.reading.contract import SizeClass
from simulator.diagnosis import Diagnosis
from simulator.sizes import CROSS_VALIDATION_COHORT, TEST_COHORT

MEASURES: Final = ("accuracy", "auc", "sensitivity", "specificity", "ppv", "npv")
COHORTS: Final = ("valid", "test")
Row = dict[str, float | None]

FULL: Final[dict[str, Row]] = {
    "valid": dict(zip(MEASURES, (0.975, 0.983, 0.971, 0.975, 0.793, 0.997), strict=True)),
    "test": dict(zip(MEASURES, (0.970, 0.981, 0.951, 0.973, 0.829, 0.993), strict=True)),
}
"""The whole cohorts, by measure."""
TABLE_1: Final = {"valid": CROSS_VALIDATION_COHORT, "test": TEST_COHORT}
"""Studies with blood, by type and size."""
DICE: Final = {Diagnosis.IPH: 0.931, Diagnosis.EDH_SDH: 0.863, Diagnosis.SAH: 0.772}
PEARSON: Final = {Diagnosis.IPH: 0.999, Diagnosis.EDH_SDH: 0.987, Diagnosis.SAH: 0.953}
ABC2_PEARSON: Final = 0.954
ABC2_OVER: Final = 0.202
"""By how much ABC/2 overestimated IPH."""
NETWORK_OVER: Final = -0.021
"""By how much the paper's network did: less than the truth."""

_ALL: Final = "all"
_TABLE_2: Final = """
all all 0.984 0.972 0.991 0.989 0.971 0.951 0.975 0.973 0.975 0.972 0.971 0.952
all large 0.999 0.997 0.999 0.999 1.000 1.000 0.975 0.973 0.975 0.973 1.000 1.000
all medium 0.992 0.977 0.995 0.982 0.986 0.962 0.975 0.973 0.975 0.972 0.986 0.962
all small 0.965 0.906 0.972 0.987 0.933 0.818 0.975 0.973 0.974 0.968 0.936 0.843
all punctate 0.883 0.872 0.895 0.903 0.769 0.750 0.975 0.973 0.968 0.965 0.809 0.796
iph all 0.992 0.997 0.996 0.999 0.986 1.000 0.975 0.973 0.975 0.973 0.986 1.000
iph large 0.999 0.997 0.999 0.999 1.000 1.000 0.975 0.973 0.975 0.973 1.000 1.000
iph medium 0.999 0.997 0.999 0.999 1.000 1.000 0.975 0.973 0.975 0.973 1.000 1.000
iph small 0.983 0.997 0.999 0.999 0.968 1.000 0.975 0.973 0.974 0.973 0.968 1.000
iph punctate 0.899 0.997 0.921 0.999 0.800 1.000 0.975 0.973 0.969 0.973 0.830 1.000
edh_sdh all 0.986 0.970 0.989 0.974 0.975 0.947 0.975 0.973 0.975 0.972 0.975 0.949
edh_sdh large 0.999 0.997 0.999 0.999 1.000 1.000 0.975 0.973 0.975 0.973 1.000 1.000
edh_sdh medium 0.980 0.963 0.983 0.971 0.962 0.933 0.975 0.973 0.974 0.971 0.963 0.936
edh_sdh small 0.958 0.872 0.968 0.882 0.918 0.750 0.975 0.973 0.973 0.965 0.923 0.796
edh_sdh punctate 0.832 NA 0.857 NA 0.667 NA 0.975 0.973 0.963 NA 0.745 NA
sah all 0.970 0.949 0.972 0.953 0.942 0.905 0.975 0.973 0.974 0.971 0.944 0.911
sah large 0.999 0.997 0.999 0.999 1.000 1.000 0.975 0.973 0.975 0.973 1.000 1.000
sah medium 0.999 0.997 0.999 0.999 1.000 1.000 0.975 0.973 0.975 0.973 1.000 1.000
sah small 0.950 0.913 0.960 0.928 0.904 0.833 0.975 0.973 0.973 0.968 0.910 0.854
sah punctate 0.881 0.830 0.891 0.833 0.765 0.667 0.975 0.973 0.968 0.961 0.806 0.745
"""

Stratum = tuple[Diagnosis | None, SizeClass | None]
"""A type and a size, None for all of them."""


def _rows() -> dict[Stratum, dict[str, Row]]:
    """Return Table 2 by stratum and cohort."""
    rows: dict[Stratum, dict[str, Row]] = {}
    for line in _TABLE_2.split("\n"):
        if not line:
            continue
        kind, size, *values = line.split()
        found = [None if value == "NA" else float(value) for value in values]
        rows[None if kind == _ALL else Diagnosis(kind), None if size == _ALL else SizeClass(size)] = {
            cohort: dict(zip(MEASURES, found[start::2], strict=True)) for start, cohort in enumerate(COHORTS)
        }
    return rows


TABLE_2: Final = _rows()
"""The balanced sets: by stratum, cohort and measure, in the paper's order."""


def stratum_name(stratum: Stratum) -> str:
    """Return what a stratum is called in tables."""
    kind, size = stratum
    kind_name = "all hemorrhages" if kind is None or kind.type is None else kind.type.display
    return kind_name if size is None else f"{kind_name}, {size}"
