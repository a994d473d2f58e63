# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest

from benchmarks.reference import MANIFEST, chosen
from simulator.diagnosis import Diagnosis
from simulator.manifest import read


@pytest.mark.parametrize(("positive", "bleeds"), [(0.15, 15), (0.35, 35), (0.02, 2)])
def test_so_many_of_the_chosen_studies_have_a_bleed_and_none_is_chosen_twice(positive: float, bleeds: int) -> None:
    entries = list(read(MANIFEST))
    taken = list(chosen(entries, 100, positive))
    assert sum(entry.diagnosis is not Diagnosis.NONE for entry in taken) == bleeds
    assert len({entry.seed for entry in taken}) == 100
    assert taken[:60] == list(chosen(entries, 60, positive))  # more studies add to those that are there


def test_more_studies_than_the_cohort_has_are_refused() -> None:
    with pytest.raises(ValueError, match="180 studies with and 300 without a bleed"):
        list(chosen(list(read(MANIFEST)), 400, 0.15))
