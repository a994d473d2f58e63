# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The report's plots, each with units, numbers and 95 % intervals, and "simulated scans" in its title."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from appliance.reading.contract import TYPES, HemorrhageType, SizeClass
from benchmarks.accuracy import figures
from benchmarks.accuracy.figures import Call
from benchmarks.accuracy.intervals import RESAMPLES, Estimate, area, correlation
from benchmarks.accuracy.paper import FULL, TABLE_2, stratum_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS: Final = {
    HemorrhageType.IPH: "tab:red",
    HemorrhageType.EDH_SDH: "tab:blue",
    HemorrhageType.SAH: "tab:green",
}
_OURS: Final = "black"
_PAPER: Final = "tab:orange"
_VOLUME_TICKS_ML: Final = (0, 0.5, 1, 2, 5, 10, 25, 50, 100, 200)


def draw(folder: Path, calls: Sequence[Call], rows: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    """Draw every plot that there are studies for into `folder`; return file names with a sentence on each.

    Parameters
    ----------
    rows: of `figures.robustness`; empty where nothing was scanned again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    for name, caption, plot in (
        ("roc", "Receiver operating characteristic, by study", _roc),
        ("free-response", "Free-response characteristic, by lesion", _free_response),
        ("sensitivity", "Sensitivity by type and size beside the paper's", _sensitivity),
        ("volumes", "Volume found against volume in truth", _volumes),
        ("bland-altman", "Bland–Altman plots of volumes, and of ABC/2", _bland_altman),
        ("calibration", "Calibration of the study score", _calibration),
    ):
        if plot(folder / f"{name}.png", calls):
            drawn.append((f"{name}.png", caption))
    if rows and _robustness(folder / "robustness.png", rows):
        drawn.append(("robustness.png", "The same studies scanned differently"))
    return drawn


def _figure(title: str, rows: int, columns: int, size: tuple[float, float]) -> tuple[Any, Any]:
    """Return a figure and its axes [rows, columns]."""
    from matplotlib.figure import Figure  # half a second that only a plot needs

    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(f"{title} (simulated scans)")
    return figure, figure.subplots(rows, columns, squeeze=False)


def _save(figure: Any, path: Path) -> bool:
    figure.savefig(path, dpi=90)
    return True


def _roc(path: Path, calls: Sequence[Call]) -> bool:
    """Draw the ROC of all studies with its band, each type's, and the operating points."""
    positives, negatives = figures.with_blood(calls), figures.without_blood(calls)
    if not positives or not negatives:
        return False
    figure, axes = _figure("Is there a hemorrhage?", 1, 1, (6.6, 6.6))
    plot = axes[0][0]
    told, quiet = figures.scores(positives), figures.scores(negatives)
    at = np.linspace(0, 1, 201)
    rng = np.random.default_rng(1)
    bands = [
        _sensitivity_at(at, rng.choice(told, len(told)), rng.choice(quiet, len(quiet))) for _ in range(RESAMPLES // 4)
    ]
    low, high = np.percentile(bands, [2.5, 97.5], axis=0)
    plot.fill_between(at, low, high, color="0.85", label="95 % band (studies resampled)")
    for kind in TYPES:
        own = [one for one in positives if one.record.diagnosis == kind]
        if own:
            auc = area(figures.scores(own), quiet)
            label = f"{kind.display}: AUC {auc.value:.3f} ({auc.low:.3f} to {auc.high:.3f}), n = {len(own)}"
            plot.plot(*_curve(figures.scores(own), quiet), color=COLOURS[kind], lw=1.2, label=label)
    whole = figures.full_set(calls)
    label = f"all: AUC {whole.auc.value:.3f} ({whole.auc.low:.3f} to {whole.auc.high:.3f}), n = {len(positives)}"
    plot.plot(*_curve(told, quiet), color=_OURS, lw=2, label=label)
    sensitivity, specificity = whole.sensitivity, whole.specificity
    plot.errorbar(
        1 - specificity.value,
        sensitivity.value,
        xerr=[[specificity.high - specificity.value], [specificity.value - specificity.low]],
        yerr=_ends(sensitivity),
        fmt="o",
        color=_OURS,
        capsize=3,
        label="at the threshold in use, 95 % intervals",
    )
    test = FULL["test"]
    plot.plot(
        1 - (test["specificity"] or 0),
        test["sensitivity"],
        "*",
        ms=14,
        color=_PAPER,
        label="the paper's network, on patients",
    )
    plot.plot([0, 1], [0, 1], color="0.7", lw=0.8)
    plot.set_xlabel(f"1 − specificity (share of {len(negatives)} studies without blood)")
    plot.set_ylabel(f"sensitivity (share of {len(positives)} studies with blood)")
    plot.set_xlim(-0.02, 1)
    plot.set_ylim(0, 1.02)
    plot.legend(loc="lower right", fontsize=8)
    return _save(figure, path)


def _curve(told: figures.Values, quiet: figures.Values) -> tuple[figures.Values, figures.Values]:
    """Return 1 - specificity and sensitivity at every score."""
    from sklearn.metrics import roc_curve

    truth = np.concatenate([np.ones(len(told)), np.zeros(len(quiet))])
    false, true, _ = roc_curve(truth, np.concatenate([told, quiet]), drop_intermediate=False)
    return false, true


def _sensitivity_at(at: figures.Values, told: figures.Values, quiet: figures.Values) -> figures.Values:
    """Return the sensitivity where 1 - specificity is `at` [N]."""
    false, true = _curve(told, quiet)
    last = np.searchsorted(false, at, side="right") - 1
    return np.asarray(true[last])


def _free_response(path: Path, calls: Sequence[Call]) -> bool:
    """Draw the free-response ROC with its band."""
    found = figures.free_response(calls)
    if found is None:
        return False
    figure, axes = _figure("Lesions found, and false lesions", 1, 1, (7, 5.4))
    plot = axes[0][0]
    plot.fill_between(found.false, found.low, found.high, color="0.85", label="95 % band (studies resampled)")
    plot.plot(
        found.false, found.hit, "o-", color=_OURS, ms=4, label=f"{found.lesions} lesions in {found.studies} studies"
    )
    for i in range(0, len(found.thresholds), 3):
        plot.annotate(
            f"score ≥ {found.thresholds[i]:g}",
            (found.false[i], found.hit[i]),
            xytext=(4, -12),
            textcoords="offset points",
            fontsize=7,
        )
    plot.set_xlabel("false lesions a study (share no voxel with blood of any type)")
    plot.set_ylabel("share of true lesions that a lesion found touches")
    plot.set_ylim(0, 1.02)
    plot.set_xlim(left=0)
    plot.legend(loc="lower right", fontsize=8)
    return _save(figure, path)


def _sensitivity(path: Path, calls: Sequence[Call]) -> bool:
    """Draw sensitivity by stratum with the paper's beside it."""
    rows = [(stratum, one) for stratum, one in figures.table_2(calls).items() if one.positives]
    if not rows:
        return False
    figure, axes = _figure("Sensitivity by type and size", 1, 1, (8, 0.34 * len(rows) + 1.8))
    plot = axes[0][0]
    for y, (stratum, one) in enumerate(reversed(rows)):
        found = one.sensitivity
        plot.errorbar(found.value, y, xerr=_ends(found), fmt="o", color=_OURS, capsize=2)
        paper = TABLE_2[stratum]["test"]["sensitivity"]
        if paper is not None:
            plot.plot(paper, y, "*", color=_PAPER, ms=10)
        plot.text(1.03, y, f"{found.part}/{found.whole}", fontsize=8, va="center")
    plot.plot([], [], "o", color=_OURS, label="simulated scans, 95 % interval (Wilson)")
    plot.plot([], [], "*", color=_PAPER, ms=10, label="the paper's test cohort (patients)")
    plot.set_yticks(range(len(rows)), [stratum_name(stratum) for stratum, _ in reversed(rows)], fontsize=8)
    plot.set_xlim(0, 1.12)
    plot.set_xlabel("sensitivity; large ≥ 25 mL, medium 5–25 mL, small 0.01–5 mL, punctate < 0.01 mL")
    plot.grid(axis="x", color="0.9")
    figure.legend(loc="outside lower center", ncols=2, fontsize=8)
    return _save(figure, path)


def _volumes(path: Path, calls: Sequence[Call]) -> bool:
    """Draw found against true volume of each type."""
    figure, axes = _figure("Volume of blood", 1, 3, (14, 5.2))
    for plot, kind in zip(axes[0], TYPES, strict=True):
        true, found = figures.volumes(calls, kind)
        r = correlation(true, found)
        most = max([10.0, *true, *found]) * 1.3
        plot.plot([0, most], [0, most], color="0.7", lw=0.8)
        plot.plot(true, found, "o", color=COLOURS[kind], alpha=0.7, ms=4)
        # Linear below 1 mL, so that missed blood (0 mL) is seen.
        plot.set_xscale("symlog", linthresh=1)
        plot.set_yscale("symlog", linthresh=1)
        plot.set_xlim(-0.1, most)
        plot.set_ylim(-0.1, most)
        ticks = [tick for tick in _VOLUME_TICKS_ML if tick < most]
        plot.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        plot.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        plot.minorticks_off()
        plot.set_aspect("equal")
        text = f"r = {r.value:.3f} ({r.low:.3f} to {r.high:.3f})" if not np.isnan(r.value) else "too few for r"
        plot.set_title(f"{kind.display}, n = {len(true)}: {text}", fontsize=10)
        plot.set_xlabel("true volume, mL (linear below 1)")
        plot.set_ylabel("found volume, mL (0: missed)")
    return _save(figure, path)


def _bland_altman(path: Path, calls: Sequence[Call]) -> bool:
    """Draw differences against means: each type's, and ABC/2's on the true outline."""
    figure, axes = _figure("Agreement of volumes, found minus true", 1, 4, (16, 4.4))
    for plot, kind in zip(axes[0], TYPES, strict=False):
        true, found = figures.volumes(calls, kind)
        _differences(plot, true, found, COLOURS[kind])
        plot.set_title(f"{kind.display}, network, n = {len(true)}", fontsize=10)
    iph = figures.quantification(calls)["iph"]
    _differences(axes[0][3], np.array(iph["true"]), np.array(iph["by_hand"]), "0.4")
    axes[0][3].set_title(f"IPH, ABC/2 of the true outline, n = {len(iph['true'])}", fontsize=10)
    return _save(figure, path)


def _differences(plot: Axes, true: figures.Values, found: figures.Values, colour: str) -> None:
    """Draw found minus true against their mean, with the mean difference and the limits of agreement."""
    plot.set_xlabel("mean of found and true volume, mL")
    plot.set_ylabel("found − true volume, mL")
    plot.axhline(0, color="0.7", lw=0.8)
    if not len(true):
        return
    difference = found - true
    plot.plot((found + true) / 2, difference, "o", color=colour, alpha=0.7, ms=4)
    if len(true) < 3:
        return
    middle, spread = float(difference.mean()), float(difference.std(ddof=1))
    half = 1.96 * spread / np.sqrt(len(true))
    plot.axhspan(middle - half, middle + half, color=colour, alpha=0.15)
    plot.axhline(middle, color=colour, lw=1.2, label=f"mean {middle:+.1f} mL (± {half:.1f})")
    for sign, label in ((-1, None), (1, f"limits of agreement ± {1.96 * spread:.1f} mL")):
        plot.axhline(middle + sign * 1.96 * spread, color=colour, lw=1, ls="--", label=label)
    plot.legend(fontsize=8)


def _calibration(path: Path, calls: Sequence[Call]) -> bool:
    """Draw the share of bleeding studies against the score, in groups alike in number."""
    if not figures.with_blood(calls) or not figures.without_blood(calls):
        return False
    found = figures.calibration(calls)
    figure, axes = _figure("Does the score say how likely blood is?", 1, 1, (6.6, 5.6))
    plot = axes[0][0]
    places = np.arange(len(found["bins"]))
    bleeding = [one["bleeding"] for one in found["bins"]]
    plot.errorbar(
        places,
        [one.value for one in bleeding],
        yerr=np.hstack([_ends(one) for one in bleeding]),
        fmt="o",
        color=_OURS,
        capsize=3,
        label="share that bleeds, 95 % interval (Wilson)",
    )
    plot.plot(
        places, [one["score"] for one in found["bins"]], "_", ms=18, color=_PAPER, label="mean score of the group"
    )
    labels = [f"{one['from']:.4f}\nto {one['to']:.4f}\nn = {one['bleeding'].whole}" for one in found["bins"]]
    plot.set_xticks(places, labels, fontsize=7)
    plot.set_ylim(-0.03, 1.03)
    plot.set_xlabel("study score (highest class score of any detection), groups alike in number")
    plot.set_ylabel("share of studies with blood, and score")
    plot.set_title(f"Brier score {found['brier']:.3f}, n = {len(calls)}", fontsize=10)
    figure.legend(loc="outside lower center", ncols=2, fontsize=8)
    return _save(figure, path)


def _robustness(path: Path, rows: Sequence[dict[str, Any]]) -> bool:
    """Draw sensitivity and specificity of each condition beside those of the same studies as drawn."""
    figure, axes = _figure("The same studies scanned differently", 1, 2, (12, 0.42 * len(rows) + 1.8))
    for plot, measure in zip(axes[0], ("sensitivity", "specificity"), strict=True):
        for y, row in enumerate(reversed(rows)):
            here, drawn = getattr(row["here"], measure), getattr(row["drawn"], measure)
            plot.errorbar(here.value, y, xerr=_ends(here), fmt="o", color=_OURS, capsize=2)
            plot.plot(drawn.value, y, "|", ms=14, color=_PAPER)
            plot.text(1.03, y, f"{here.part}/{here.whole}", fontsize=8, va="center")
        plot.plot([], [], "o", color=_OURS, label="under the condition, 95 % interval")
        plot.plot([], [], "|", ms=14, color=_PAPER, label="the same studies as drawn")
        plot.set_yticks(range(len(rows)), [row["condition"] for row in reversed(rows)], fontsize=8)
        plot.set_xlim(0, 1.14)
        plot.set_xlabel(measure)
        plot.grid(axis="x", color="0.9")
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=8)
    return _save(figure, path)


def _ends(one: Estimate) -> list[list[float]]:
    """Return how far the interval reaches below and above, as matplotlib takes it."""
    return [[max(0.0, one.value - one.low)], [max(0.0, one.high - one.value)]]


SIZES_SAID: Final = {
    SizeClass.LARGE: "≥ 25 mL",
    SizeClass.MEDIUM: "5–25 mL",
    SizeClass.SMALL: "0.01–5 mL",
    SizeClass.PUNCTATE: "< 0.01 mL",
}
"""The sizes in words, for tables."""
