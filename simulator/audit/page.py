# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The audit as one page of plots: each distribution with the range or the figure that is cited for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from appliance.reading.contract import TYPES, HemorrhageType, SizeClass
from simulator.audit.bars import EDGE_MM, NOISE_HU, PAPER_AUC, TISSUE_HU, Bar
from simulator.audit.cases import Case
from simulator.audit.reader import SEEN_HU
from simulator.audit.reader_bars import (
    CONTRAST_HU,
    DEPTH_FOR_VOLUME,
    REAL_BRAINS_HU,
    REAL_FLUID,
    SINUS_HU,
    THICK_ML,
    usual_depth_mm,
)
from simulator.diagnosis import Diagnosis
from simulator.manifest import Entry
from simulator.population import REALISTIC
from simulator.sizes import TEST_COHORT, TEST_QUARTILES_ML

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CITED: dict[str, Any] = {"color": "tab:green", "alpha": 0.18}
_COLOURS = {True: "tab:blue", False: "tab:red"}


def draw(path: Path, cases: Sequence[Case], bars: Sequence[Bar], independent: Sequence[Entry]) -> None:
    """Draw the page; the file's ending says whether it is PNG or SVG."""
    from matplotlib.figure import Figure  # half a second that only a page needs

    figure = Figure(figsize=(15, 21), layout="constrained")
    plots = figure.subplots(5, 3)
    figure.suptitle(
        f"Audit of the simulator on {len(cases)} pairs, each with and without blood (green: cited, or allowed)"
    )
    _areas(plots[0][0], bars)
    _detector(plots[0][1], cases)
    _tissue(plots[0][2], cases)
    _power(plots[1][0], cases)
    _noise(plots[1][1], cases)
    _edges(plots[1][2], cases)
    _volumes(plots[2][0], cases, independent)
    _types(plots[2][1], independent)
    _plot_dense_pieces(plots[2][2], cases)
    _depths(plots[3][0], cases)
    _contrast(plots[3][1], cases)
    _plot_bright(plots[3][2], cases)
    _dura(plots[4][0], cases)
    _brains(plots[4][1], cases)
    _cisterns(plots[4][2], cases)
    figure.savefig(path, dpi=80)


_Corner = Literal["upper left", "upper right", "lower right"]


def _frame(
    plot: Axes, title: str, *, x: str = "", y: str = "", legend: _Corner | None = None, legend_size: int = 8
) -> None:
    """Give a plot its title, the names of its axes and, where `legend` says, a legend."""
    plot.set_title(title)
    plot.set_xlabel(x)
    plot.set_ylabel(y)
    if legend is not None:
        plot.legend(fontsize=legend_size, loc=legend)


def _areas(plot: Axes, bars: Sequence[Bar]) -> None:
    """Each classifier's area, with what is allowed."""
    shown = [bar for bar in bars if bar.subject.endswith("AUC") and "detector" not in bar.subject][::-1]
    for row, bar in enumerate(shown):
        plot.barh(row, bar.high - bar.low, left=bar.low, height=0.7, **_CITED)
        plot.plot(bar.value, row, "o", color=_COLOURS[bar.holds])
    plot.set_yticks(
        range(len(shown)), [bar.subject.removesuffix(", AUC").replace(", ", "\n") for bar in shown], fontsize=7
    )
    plot.axvline(0.5, color="grey", lw=0.8)
    plot.set_xlim(0.3, 1.0)
    _frame(plot, "told without seeing the blood (AUC)")


def _detector(plot: Axes, cases: Sequence[Case]) -> None:
    """ROC of the threshold detector."""
    blood = np.array([case.bleeding.dense_ml for case in cases])
    none = np.array([case.healthy.dense_ml for case in cases])
    cuts = np.concatenate([[np.inf], np.unique(np.concatenate([blood, none]))[::-1], [-1.0]])
    plot.plot([(none >= cut).mean() for cut in cuts], [(blood >= cut).mean() for cut in cuts], color="tab:blue")
    plot.plot([0, 1], [0, 1], color="grey", lw=0.8)
    area = (np.sign(blood[:, None] - none).mean() + 1) / 2
    _frame(plot, f"60 HU detector: AUC {area:.3f} (paper {PAPER_AUC})", x="1 - specificity", y="sensitivity")


def _tissue(plot: Axes, cases: Sequence[Case]) -> None:
    """Medians of pure tissue by head."""
    for (name, (low, high)), colour in zip(
        TISSUE_HU.items(), ("0.4", "tab:orange", "tab:cyan", "tab:red"), strict=True
    ):
        values = [case.blood_hu if name == "blood" else case.tissue_hu.get(name) for case in cases]
        plot.hist(
            [v for v in values if v is not None],
            bins=np.arange(-2, 92, 1.0).tolist(),
            color=colour,
            label=name,
            alpha=0.7,
        )
        plot.axvspan(low, high, **_CITED)
    _frame(plot, "tissue", x="median HU of pure tissue in a head, before the scanner", legend="upper left")


def _power(plot: Axes, cases: Sequence[Case]) -> None:
    """Noise power of every scanner."""
    for case in cases:
        figures, colour = case.scanner, _colour(case.entry.population)
        plot.plot(figures.frequency_per_mm, figures.power, color=colour, alpha=0.25, lw=0.7)
    _frame(
        plot,
        "noise power (blue: realistic scanners, orange: others)",
        x="spatial frequency, 1/mm",
        y="noise power, peak 1",
    )


def _noise(plot: Axes, cases: Sequence[Case]) -> None:
    """Noise by scanner."""
    plot.axvspan(*NOISE_HU, **_CITED)
    _by_population(plot, cases, [case.scanner.noise_hu for case in cases], np.arange(0, 16, 0.5).tolist())
    _frame(plot, "noise", x="standard deviation in the middle of a phantom at 5 mm, HU")


def _edges(plot: Axes, cases: Sequence[Case]) -> None:
    """Edge spread by scanner."""
    plot.axvspan(*EDGE_MM, **_CITED)
    _by_population(plot, cases, [case.scanner.edge_mm for case in cases], np.arange(0.2, 2.0, 0.05).tolist())
    _frame(plot, "edges", x="full width at half maximum of a rod's edge, mm")


def _by_population(plot: Axes, cases: Sequence[Case], values: Sequence[float], bins: Sequence[float]) -> None:
    """Draw a histogram with a colour for each population."""
    names = sorted({case.entry.population for case in cases})
    each = [
        [value for case, value in zip(cases, values, strict=True) if case.entry.population == name] for name in names
    ]
    plot.hist(each, bins=bins, stacked=True, label=names, color=[_colour(name) for name in names])
    plot.legend(fontsize=8, loc="upper right")


def _colour(population: str) -> str:
    """Return a population's colour."""
    return "tab:blue" if population == REALISTIC.name else "tab:orange"


def _volumes(plot: Axes, cases: Sequence[Case], independent: Sequence[Entry]) -> None:
    """Cumulative volumes of the independent cohort and of the audit's realistic heads."""
    asked = np.sort([entry.volume_ml for entry in independent if entry.volume_ml is not None])
    plot.step(asked, np.arange(1, len(asked) + 1) / len(asked), where="post", label="independent cohort")
    drawn = np.sort([case.volume_ml for case in cases if case.entry.population == REALISTIC.name])
    if len(drawn):
        plot.step(drawn, np.arange(1, len(drawn) + 1) / len(drawn), where="post", label="audit, realistic heads")
    plot.plot(TEST_QUARTILES_ML, (0.25, 0.5, 0.75), "o", color="tab:green", label="the paper's quartiles")
    plot.set_xscale("log")
    _frame(plot, "volumes", x="labelled volume, mL", legend="upper left")


def _types(plot: Axes, independent: Sequence[Entry]) -> None:
    """Types and sizes of the independent cohort beside Table 1."""
    counts = Counter(
        (entry.diagnosis, SizeClass.of(entry.volume_ml)) for entry in independent if entry.volume_ml is not None
    )
    places = [(diagnosis, size) for diagnosis in TEST_COHORT for size in SizeClass]
    at = np.arange(len(places))
    plot.bar(at - 0.2, [counts[place] for place in places], 0.4, label="independent cohort")
    plot.bar(at + 0.2, [TEST_COHORT[f][s] for f, s in places], 0.4, label="Table 1", color="tab:green", alpha=0.5)
    plot.set_xticks(at, [f"{diagnosis} {size}" for diagnosis, size in places], rotation=60, ha="right", fontsize=8)
    _frame(plot, "types and sizes", legend="upper right")


def _plot_dense_pieces(plot: Axes, cases: Sequence[Case]) -> None:
    """Largest dense piece against the labelled volume: what the detector sees of the blood."""
    for diagnosis in (Diagnosis.IPH, Diagnosis.EDH_SDH, Diagnosis.SAH):
        ours = [case for case in cases if case.entry.diagnosis is diagnosis]
        plot.scatter(
            [c.volume_ml for c in ours], [max(c.bleeding.dense_ml, 1e-3) for c in ours], s=9, label=str(diagnosis)
        )
    healthy = [max(case.healthy.dense_ml, 1e-3) for case in cases]
    if healthy:
        plot.axhspan(*np.percentile(healthy, [5, 95]), color="grey", alpha=0.2, label="without blood, 5-95 %")
    plot.set_xscale("log")
    plot.set_yscale("log")
    _frame(
        plot,
        "what a threshold sees of the blood",
        x="labelled volume, mL",
        y="largest piece above 60 HU, mL",
        legend="lower right",
    )


def _depths(plot: Axes, cases: Sequence[Case]) -> None:
    """Depth of extra-axial blood against its volume, with the usual one and the guidelines' bounds for surgery."""
    extraaxial = str(HemorrhageType.EDH_SDH)
    ours = [case for case in cases if case.reader.depth_mm and case.volumes_ml.get(extraaxial)]
    plot.plot([case.volumes_ml[extraaxial] for case in ours], [case.reader.depth_mm or 0 for case in ours], "o", ms=4)
    volume = np.geomspace(0.5, 150, 60)
    usual = np.array([usual_depth_mm(float(one)) for one in volume])
    plot.plot(volume, usual, color="tab:green", label="usual: 5, 9, 13, 17 mm at 3, 15, 40, 90 mL")
    plot.fill_between(volume, DEPTH_FOR_VOLUME[0] * usual, DEPTH_FOR_VOLUME[1] * usual, **_CITED)
    plot.plot([30], [15], "s", color="tab:green", label="epidural, surgery from 30 mL or 15 mm (Bullock 2006)")
    plot.axhline(10, color="tab:green", ls=":", label="subdural, surgery from 10 mm (Bullock 2006)")
    plot.set_xscale("log")
    _frame(
        plot,
        "depth for volume",
        x="labelled extra-axial volume, mL",
        y="deepest in a slice, mm",
        legend="upper left",
        legend_size=7,
    )


def _contrast(plot: Axes, cases: Sequence[Case]) -> None:
    """Contrast of extra-axial blood to the brain beside it against the share of it that lies off bone's blur."""
    for thick, colour, label in ((True, "tab:blue", f"{THICK_ML:g} mL and more"), (False, "0.7", "less")):
        ours = [
            case
            for case in cases
            if case.reader.contrast_hu is not None
            and (case.volumes_ml.get(str(HemorrhageType.EDH_SDH), 0.0) >= THICK_ML) is thick
        ]
        plot.plot(
            [case.reader.clear or 0 for case in ours],
            [case.reader.contrast_hu or 0 for case in ours],
            "o",
            ms=4,
            color=colour,
            label=label,
        )
    plot.axhspan(*CONTRAST_HU, **_CITED)
    plot.set_xlim(0, 1)
    _frame(
        plot,
        "extra-axial blood beside bone",
        x="share of extra-axial blood more than 2.5 mm from bone",
        y="HU above the brain beside it",
        legend="lower right",
    )


def _plot_bright(plot: Axes, cases: Sequence[Case]) -> None:
    """Share of labelled voxels brighter than a clot can be, by type."""
    shares = [[case.reader.bright[str(kind)] for case in cases if str(kind) in case.reader.bright] for kind in TYPES]
    plot.boxplot([share or [0.0] for share in shares], tick_labels=[str(kind) for kind in TYPES], whis=(5, 95))
    _frame(plot, "labels on bone", y="share of labelled voxels above 100 HU")


def _dura(plot: Axes, cases: Sequence[Case]) -> None:
    """HU of sinus, falx and tentorium by head, as slices of 5 mm show them."""
    for name, colour in (
        ("sinus", "tab:red"),
        ("falx behind", "tab:blue"),
        ("falx in front", "tab:cyan"),
        ("tentorium", "tab:purple"),
    ):
        values = [case.reader.dura_hu[name] for case in cases if name in case.reader.dura_hu]
        plot.hist(values, bins=np.arange(15, 100, 2.0).tolist(), color=colour, alpha=0.5, label=name)
    plot.axvspan(*SINUS_HU, **_CITED)
    rises = {
        name: [case.reader.dura_rise_hu[name] for case in cases if name in case.reader.dura_rise_hu]
        for name in ("falx behind", "falx in front")
    }
    seen = [float(np.mean(np.array(rise) >= SEEN_HU)) if rise else 0.0 for rise in rises.values()]
    _frame(
        plot,
        f"dura; falx seen behind {seen[0]:.0%} (88 %), in front {seen[1]:.0%} (38 %)",
        x="HU in slices of 5 mm, before the scanner",
        legend="upper right",
    )


def _brains(plot: Axes, cases: Sequence[Case]) -> None:
    """Median HU of the brain in the scan against the fluid of its deep part, with two real heads."""
    for population in sorted({case.entry.population for case in cases}):
        ours = [c for c in cases if c.entry.population == population and c.reader.brain_hu is not None]
        plot.plot(
            [c.reader.fluid or 0 for c in ours],
            [c.reader.brain_hu or 0 for c in ours],
            "o",
            ms=4,
            color=_colour(population),
            label=population,
        )
    for hu in REAL_BRAINS_HU:
        plot.axhline(hu, color="tab:green", lw=0.8)
    for share in REAL_FLUID:
        plot.axvline(share, color="tab:green", lw=0.8)
    _frame(
        plot,
        "brain and fluid",
        x="fluid of the deep brain, share (lines: two real heads)",
        y="median HU of the brain above the base",
        legend="upper right",
    )


def _cisterns(plot: Axes, cases: Sequence[Case]) -> None:
    """Share of subarachnoid blood in cisterns and fissures against its volume."""
    kind = str(HemorrhageType.SAH)
    ours = [case for case in cases if case.reader.cisternal is not None and case.volumes_ml.get(kind)]
    plot.plot([case.volumes_ml[kind] for case in ours], [case.reader.cisternal or 0 for case in ours], "o", ms=4)
    plot.set_xscale("log")
    _frame(
        plot,
        "where subarachnoid blood lies",
        x="labelled subarachnoid volume, mL",
        y="share in basal cisterns and fissures",
    )
