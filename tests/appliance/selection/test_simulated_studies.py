# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Of everything that the simulated vendors send, the axial soft-tissue series before contrast agent is chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from pydicom import Dataset

from appliance.imaging.stacks import stacks
from appliance.sections.answers import SelectionSettings
from appliance.selection.select import select
from simulator.dicom import Uids, set_ct_pixels
from simulator.headers import Descriptions, Examination, ct_header
from simulator.series import EVERY_SERIES, SCOUTS, PatientPosition, Planes, SeriesKind, series_geometry, slabs
from simulator.vendors import VENDORS, VendorName
from tests.appliance.imaging.scans import headers_only
from tests.simulator.tiny_study import tiny_geometry

UIDS = Uids("selection")
MOST_SLICES = 24  # of thin series, to be quick


@pytest.fixture(scope="module")
def series() -> Mapping[SeriesKind, Planes]:
    """The planes of every series of a head; what is on them is not looked at."""
    axial = tiny_geometry(steps_mm=(6.0,) * 24)
    found = {}
    for kind in (kind for kind in EVERY_SERIES if kind is not SeriesKind.DOSE):
        geometry = series_geometry(kind, axial)
        stack = Planes.on(geometry, np.zeros(geometry.shape, np.int16))
        if kind in SCOUTS:
            stack = replace(stack, hu=stack.hu[:1], origins=stack.origins[:1])
        if kind is SeriesKind.MIP:
            stack = slabs(stack)
        found[kind] = replace(stack, hu=stack.hu[:MOST_SLICES], origins=stack.origins[:MOST_SLICES])
    return found


@pytest.mark.parametrize("descriptions", [Descriptions.VENDOR, Descriptions.SWAPPED, Descriptions.MISLEADING])
@pytest.mark.parametrize("vendor", VendorName)
def test_the_native_axial_soft_tissue_series_is_chosen_whatever_the_descriptions_say(
    vendor: VendorName, descriptions: Descriptions, series: Mapping[SeriesKind, Planes]
) -> None:
    examination = replace(Examination.draw(5), descriptions=descriptions)
    images: list[Dataset] = []
    for kind, stack in series.items():
        for index in range(len(stack.origins)):
            header = ct_header(VENDORS[vendor], examination, UIDS, kind, stack, index, position=PatientPosition.HFS)
            set_ct_pixels(header, stack.hu[index], None, VENDORS[vendor].storage, index)
            images.append(header)
    chosen = select(stacks(headers_only(images)), SelectionSettings()).chosen
    assert chosen is not None, "nothing was chosen"
    assert chosen.series_uid == UIDS.of("series", SeriesKind.AXIAL)
