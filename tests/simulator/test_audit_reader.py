# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What a reader of CT would measure: on drawn collections whose figures are known, and the bars that hold it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="the audit runs in the development environment")

from simulator.anatomy import Anatomy
from simulator.audit.bars import Bar
from simulator.audit.cases import Case, Seen
from simulator.audit.physics import ScannerFigures
from simulator.audit.reader import ReaderFigures, beside_bone, bright_shares, cisterns, deepest_mm, dura_hu, fluid_share
from simulator.audit.reader_bars import reader_bars, usual_depth_mm
from simulator.geometry import ScanGeometry
from simulator.head import SimulatedHead
from simulator.population import REALISTIC
from simulator.recipes import pairs

GEOMETRY = ScanGeometry(
    rows=160,
    columns=160,
    pixel_spacing_mm=(1.25, 1.25),
    positions_mm=tuple(5.0 * i for i in range(6)),
    thickness_mm=(5.0,) * 6,
)


def crescent(depth_mm: float, blood_hu: float) -> tuple[np.ndarray, np.ndarray]:
    """Return a round skull with a crescent of blood under half of it: HU and where the blood is, [Z, Y, X]."""
    y, x = (np.mgrid[:160, :160] - 79.5) * 1.25
    radius = np.hypot(y, x)
    blood = (radius < 70) & (radius > 70 - depth_mm) & (x > 20)
    plane = np.where(radius < 78, np.where(radius < 70, 32, 1000), -1000)
    plane = np.where(blood, blood_hu, plane)
    whole = np.repeat(plane[None], 6, 0)
    noise = np.random.default_rng(0).normal(0, 2, whole.shape)
    return np.rint(whole + noise).astype(np.int16), np.repeat(blood[None], 6, 0)


def test_contrast_is_that_of_blood_to_brain_where_bone_brightens_neither():
    hu, blood = crescent(12, 60)

    contrast, clear = beside_bone(hu, blood, blood, GEOMETRY)

    assert contrast == pytest.approx(28, abs=1)
    assert 0.6 < clear < 0.95


def test_a_thin_collection_lies_in_the_blur_of_bone():
    hu, blood = crescent(2.5, 60)

    contrast, clear = beside_bone(hu, blood, blood, GEOMETRY)

    assert contrast is None
    assert clear < 0.1


def test_depth_is_the_widest_circle_that_fits():
    for depth in (6.0, 14.0):
        assert deepest_mm(crescent(depth, 60)[1], GEOMETRY) == pytest.approx(depth, abs=2)


def test_labelled_voxels_that_a_scan_shows_as_bone_are_counted_by_type():
    labels = np.zeros((1, 4, 10), np.uint8)
    labels[0, 1], labels[0, 2] = 1, 2
    hu = np.full(labels.shape, 60, np.int16)
    hu[0, 2, :4] = 101

    assert bright_shares(hu, labels) == {"iph": 0.0, "edh_sdh": 0.4}


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ((-16, 0, 0), True),  # suprasellar
        ((-12, -28, 16), True),  # ambient
        ((4, 4, 40), True),  # Sylvian
        ((20, 40, 0), True),  # between the frontal lobes
        ((40, 0, 50), False),  # convexity
        ((30, -60, 30), False),
    ],
)
def test_cisterns_and_fissures_are_told_from_the_convexity(place, expected):
    z, y, x = (np.float32(v).reshape(1, 1, 1) for v in place)

    assert bool(cisterns(z, y, x).item()) is expected


def test_dura_and_fluid_are_measured_in_a_head():
    anatomy = Anatomy.draw(6, REALISTIC)
    head = SimulatedHead(anatomy, anatomy.hu())
    bright = SimulatedHead(anatomy, head.hu + 20 * (head.hu > 38))

    hu, rise = dura_hu(head)

    assert set(hu) == {"sinus", "falx behind", "falx in front", "tentorium"}
    assert set(rise) == set(hu) - {"sinus"}
    assert dura_hu(bright)[0]["sinus"] > hu["sinus"] + 15
    assert 0 < fluid_share(head) < 0.3
    assert fluid_share(SimulatedHead(anatomy, head.hu + 40)) == 0


USUAL = ReaderFigures(
    bright={"iph": 0.0, "edh_sdh": 0.01, "sah": 0.0},
    contrast_hu=28.0,
    clear=0.7,
    depth_mm=usual_depth_mm(20.0),
    cisternal=0.8,
    dura_hu={"sinus": 53.0, "falx behind": 45.0, "falx in front": 34.0, "tentorium": 42.0},
    dura_rise_hu={"falx behind": 9.0, "falx in front": 3.0, "tentorium": 9.0},
    brain_hu=28.0,
    fluid=0.11,
)


def cases(change: Callable[[int], dict[str, object]] = lambda _: {}, count: int = 200) -> list[Case]:
    """Return made-up pairs of a whole audit with the figures of life, of each one `change` is different."""
    seen = Seen({}, {}, 1.0)
    scanner = ScannerFigures(4.0, (0.1,), (1.0,), 0.3, 0.8)
    found = []
    for i, entry in enumerate(pairs(count)):
        rise = {"falx behind": 9.0 if i % 10 else 2.0, "falx in front": 9.0 if i % 5 < 2 else 2.0}
        usual: dict[str, object] = {"dura_rise_hu": rise, "brain_hu": 24.0 + i % 9}
        reader = replace(USUAL, **(usual | change(i)))
        volumes = {"iph": 20.0, "edh_sdh": 20.0, "sah": 20.0}
        found.append(Case(entry, seen, seen, 20.0, volumes, 0.1, 0.0, {}, 64.0, scanner, (), reader))
    return found


def broken_bars(bars: list[Bar]) -> list[str]:
    return [bar.subject for bar in bars if not bar.holds]


def test_figures_of_life_break_no_bar():
    assert broken_bars(reader_bars(cases())) == []


@pytest.mark.parametrize(
    ("change", "subject"),
    [
        ({"bright": {"edh_sdh": 0.2}}, "edh_sdh voxels above 100 HU, share"),
        ({"contrast_hu": 8.0}, "extra-axial blood less brain, off bone's blur, HU"),
        ({"clear": 0.3}, "extra-axial blood off bone's blur, share"),
        ({"depth_mm": 4.0}, "depth of extra-axial blood to the usual one for its volume"),
        ({"dura_hu": {"sinus": 72.0, "tentorium": 42.0}}, "dural sinus, HU"),
        ({"dura_hu": {"sinus": 53.0, "tentorium": 62.0}}, "tentorium in 5 mm slices, HU"),
        ({"dura_rise_hu": {"falx behind": 3.0, "falx in front": 3.0}}, "falx behind seen, share of heads"),
        ({"brain_hu": 35.0}, "brain above the base in realistic scans, HU"),
        ({"fluid": 0.03}, "fluid of the deep brain, share"),
        ({"cisternal": 0.1}, "much subarachnoid blood mostly in cisterns and fissures, share of heads"),
    ],
)
def test_what_no_scan_shows_breaks_its_bar(change, subject):
    assert subject in broken_bars(reader_bars(cases(lambda _: change)))


def test_a_whole_audit_without_extraaxial_blood_is_broken_and_a_small_one_is_not():
    def without(count: int) -> list[str]:
        heads = [replace(case, volumes_ml={"sah": 20.0}) for case in cases(count=count)]
        return broken_bars(reader_bars(heads))

    assert "extra-axial blood off bone's blur, share" in without(200)
    assert without(20) == []
