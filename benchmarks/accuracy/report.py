# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The report as Markdown and JSON: what was read with what, every figure with its interval, the paper's beside ours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from appliance.reading.contract import TYPES, HemorrhageType, SizeClass
from benchmarks.accuracy import figures, paper
from benchmarks.accuracy.figures import Call, Measures
from benchmarks.accuracy.intervals import Estimate
from benchmarks.accuracy.plots import SIZES_SAID
from simulator.diagnosis import Diagnosis

MEASURE_NAMES = {
    "accuracy": "accuracy",
    "auc": "AUC",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "ppv": "PPV",
    "npv": "NPV",
}


@dataclass(frozen=True)
class Report:
    """What a report is made of.

    Attributes
    ----------
    cohort: name or path of the manifest.
    command: that makes the report again.
    model: name, version and sha256 of the ONNX file.
    simulator: revision of simulator and judging code.
    threshold: in words; folds may have one each.
    calls: of the studies as drawn.
    conditions: of those scanned differently, by condition.
    failed: what went wrong, by study.
    """

    cohort: str
    command: str
    model: Mapping[str, str]
    simulator: str
    threshold: str
    calls: Sequence[Call]
    conditions: Mapping[str, Sequence[Call]]
    failed: Mapping[str, str]

    def as_json(self) -> dict[str, Any]:
        """Return every figure as plain values."""
        calls = self.calls
        use = figures.in_use(calls)
        quantities = figures.quantification(calls)
        return {
            "scans": "simulated",
            "cohort": self.cohort,
            "command": self.command,
            "model": dict(self.model),
            "simulator": self.simulator,
            "threshold": self.threshold,
            "studies": len(calls),
            "failed": dict(self.failed),
            "table_1": figures.table_1(calls),
            "full_set": figures.full_set(calls).as_json(),
            "balanced_set": {
                paper.stratum_name(stratum): one.as_json() for stratum, one in figures.table_2(calls).items()
            },
            "populations": {name: one.as_json() for name, one in figures.by_population(calls).items()},
            "false_alarms_per_100": use["false_alarms_per_100"].as_json(),
            "ppv_at_prevalence": {f"{p:g}": one.as_json() for p, one in use["ppv"].items()},
            "npv_at_prevalence": {f"{p:g}": one.as_json() for p, one in use["npv"].items()},
            "missed_over_5_ml": use["missed_over_5_ml"].as_json(),
            "dice": {
                kind: {name: one.as_json() for name, one in both.items()}
                for kind, both in figures.overlap(calls).items()
            },
            "pearson_r": {kind: one.as_json() for kind, one in quantities["r"].items()},
            "abc2_r": {kind: one.as_json() for kind, one in quantities["abc2_r"].items()},
            "over": {kind: one.as_json() for kind, one in quantities["over"].items()},
            "lesions": _lesions_json(figures.lesions(calls)),
            "free_response": _free_response_json(figures.free_response(calls)),
            "calibration": _calibration_json(figures.calibration(calls)),
            "errors": figures.errors(calls),
            "robustness": [{name: _make_plain(value) for name, value in row.items()} for row in self.rows],
        }

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The robustness part."""
        return figures.robustness(self.calls, self.conditions)

    def markdown(self, plots: Sequence[tuple[str, str]], folder: str = "plots") -> str:
        """Return the report; `plots` are file names in `folder` with a sentence on each."""
        calls = self.calls
        bleeding = len(figures.with_blood(calls))
        lines = [
            f"# Accuracy on simulated scans: {self.cohort}",
            "",
            f"**{len(calls)} simulated studies, {bleeding} with blood. No scan of a person is among them**, and the "
            "paper's figures beside them are of patients: they are the aim, not a comparison of like with like.",
            "",
            "| | |",
            "|---|---|",
            f"| command | `{self.command}` |",
            f"| model | {self.model['name']} {self.model['version']}, ONNX sha256 `{self.model['sha256'][:16]}…` |",
            f"| simulator and judging code | revision `{self.simulator}` |",
            f"| threshold | {self.threshold} |",
            "",
            "In brackets: 95 % intervals. Shares have Wilson's; AUC, Dice, r and means are resampled "
            "(studies, 2,000 times); predictive values at a prevalence have Mercaldo's adjusted logit interval.",
            "",
        ]
        if self.failed:
            lines += [f"**{len(self.failed)} studies could not be made or read**, and are in no figure:", ""]
            lines += [f"- {name}: {error}" for name, error in self.failed.items()] + [""]
        lines += self._detection() + self._balanced_table() + self._groups() + self._blood() + self._lesions()
        lines += self._errors() + self._robustness()
        lines += ["## Plots", ""]
        for name, caption in plots:
            lines += [f"{caption}:", "", f"![{caption}]({folder}/{name})", ""]
        return "\n".join(lines).rstrip() + "\n"

    def _detection(self) -> list[str]:
        """Return the full set and what a site would notice."""
        whole, use = figures.full_set(self.calls), figures.in_use(self.calls)
        counts = figures.table_1(self.calls)
        lines = [
            "## Studies (Table 1)",
            "",
            f"| size | {' | '.join(kind.display for kind in TYPES)} |",
            "|---|---|---|---|",
        ]
        for size in SizeClass:
            row = " | ".join(
                f"{counts[kind][size]} ({paper.TABLE_1['test'][Diagnosis(kind)].get(size, 0)})" for kind in TYPES
            )
            lines.append(f"| {size}, {SIZES_SAID[size]} | {row} |")
        lines += ["", "In brackets: the paper's test cohort.", "", "## Detection by study, full set", ""]
        lines += ["| measure | simulated scans | paper, test | paper, cross-validation |", "|---|---|---|---|"]
        lines += [
            f"| {label} | {getattr(whole, name)} | {paper.FULL['test'][name]:.3f} | {paper.FULL['valid'][name]:.3f} |"
            for name, label in MEASURE_NAMES.items()
        ]
        lines += ["", "PPV and NPV follow the share of bleeding studies; at a site's:", ""]
        lines += ["| share that bleeds | PPV | NPV |", "|---|---|---|"]
        lines += [f"| {p:.0%} | {use['ppv'][p]} | {use['npv'][p]} |" for p in figures.PREVALENCES]
        alarms = use["false_alarms_per_100"]
        lines += [
            "",
            f"False alarms: {alarms.value:.1f} per 100 studies without blood ({alarms.low:.1f} to {alarms.high:.1f}). "
            f"Missed of those with 5 mL and more: {use['missed_over_5_ml']}. "
            f"Brier score of the study score: {figures.calibration(self.calls)['brier']:.3f}.",
            "",
        ]
        return lines

    def _balanced_table(self) -> list[str]:
        """Return Table 2."""
        lines = [
            "## Balanced set by type and size (Table 2)",
            "",
            "Studies of a type and size against all without blood, weighted to one half each. The paper's test column "
            "is in square brackets. Its accuracies are the mean of sensitivity and 0.993, not of sensitivity and the "
            "specificity beside them (0.973); ours are the latter.",
            "",
            f"| | n | {' | '.join(MEASURE_NAMES.values())} |",
            "|---|---|" + "---|" * len(MEASURE_NAMES),
        ]
        for stratum, one in figures.table_2(self.calls).items():
            cells = []
            for name in MEASURE_NAMES:
                beside = paper.TABLE_2[stratum]["test"][name]
                cells.append(f"{_short(getattr(one, name))} [{'NA' if beside is None else f'{beside:.3f}'}]")
            lines.append(f"| {paper.stratum_name(stratum)} | {one.positives} | {' | '.join(cells)} |")
        return [*lines, ""]

    def _groups(self) -> list[str]:
        """Return each population apart."""
        lines = [
            "## By population",
            "",
            "Held back are mechanisms that training never draws: another anatomy, kernel, mimic, shape of bleeds.",
            "",
            "| population | with blood | without | AUC | sensitivity | specificity |",
            "|---|---|---|---|---|---|",
        ]
        for name, one in figures.by_population(self.calls).items():
            cells = " | ".join(str(getattr(one, measure)) for measure in ("auc", "sensitivity", "specificity"))
            lines.append(f"| {name} | {one.positives} | {one.negatives} | {cells} |")
        return [*lines, ""]

    def _blood(self) -> list[str]:
        """Return Dice, volumes and ABC/2."""
        overlap, quantities = figures.overlap(self.calls), figures.quantification(self.calls)
        lines = [
            "## Quantification",
            "",
            "Missed blood counts: Dice 0, volume 0. The paper does not say if its Dice is pooled, or of which cohort.",
            "",
            "| type | Dice, all voxels | Dice, mean of studies | paper | Pearson's r of volumes | paper |",
            "|---|---|---|---|---|---|",
        ]
        for kind in TYPES:
            both, diagnosis = overlap[kind], Diagnosis(kind)
            lines.append(
                f"| {kind.display} | {both['pooled']} | {both['mean']} | {paper.DICE[diagnosis]:.3f} | "
                f"{quantities['r'][kind]} | {paper.PEARSON[diagnosis]:.3f} |"
            )
        both = overlap["all"]
        lines += [f"| all blood | {both['pooled']} | {both['mean']} | – | – | – |", ""]
        lines += [
            "| IPH volume by | r with the truth | paper | mean over- or underestimate | paper |",
            "|---|---|---|---|---|",
        ]
        for name, label, r, r_paper, over_paper in (
            ("network", "the network", quantities["r"]["iph"], paper.PEARSON[Diagnosis.IPH], paper.NETWORK_OVER),
            (
                "ABC/2, true outline",
                "ABC/2 of the true outline",
                quantities["abc2_r"]["true outline"],
                paper.ABC2_PEARSON,
                paper.ABC2_OVER,
            ),
            (
                "ABC/2, network's outline",
                "ABC/2 of the network's outline",
                quantities["abc2_r"]["network's outline"],
                None,
                None,
            ),
        ):
            beside = "–" if r_paper is None else f"{r_paper:.3f}"
            over = "–" if over_paper is None else f"{over_paper:+.1%}"
            lines.append(f"| {label} | {r} | {beside} | {_percent(quantities['over'][name])} | {over} |")
        return [*lines, ""]

    def _lesions(self) -> list[str]:
        """Return figures by lesion."""
        found = figures.lesions(self.calls)
        lines = ["## By lesion", "", "| lesions | found by a detection at the threshold |", "|---|---|"]
        lines += [f"| {name} | {one} |" for name, one in found["found"].items()]
        lines += [
            "",
            f"False lesions a study: {found['false_per_study']}. "
            f"Right type of the largest lesion, in called studies of one type: {found['right_type']}.",
            "",
        ]
        return lines

    def _errors(self) -> list[str]:
        """Return the misread studies by cause."""
        wrong = figures.errors(self.calls)
        lines = ["## Misread studies by cause", ""]
        if not wrong:
            return [*lines, "None.", ""]
        count = Counter((one["kind"], one["cause"]) for one in wrong)
        lines += ["| | cause | studies |", "|---|---|---|"]
        lines += [
            f"| {kind} | {cause} | {n} |" for (kind, cause), n in sorted(count.items(), key=lambda c: (c[0][0], -c[1]))
        ]
        lines += ["", "| study | | called or missed | mL | score | cause |", "|---|---|---|---|---|---|"]
        lines += [
            f"| {one['study']} | {one['kind']} | {HemorrhageType(one['type']).display} | {one['volume_ml']:.2g} | "
            f"{one['score']:.3f} | {one['cause']} |"
            for one in wrong
        ]
        return [
            *lines,
            "",
            "A false alarm's cause is the mimic that changes the place most, else the place itself; a miss's is its "
            "size or its contrast. It says where to look first, and proves nothing.",
            "",
        ]

    def _robustness(self) -> list[str]:
        """Return the same studies scanned differently."""
        lines = ["## Robustness", ""]
        if not self.rows:
            return [*lines, "Not read in this report (`--conditions all` reads it).", ""]
        lines += [
            "The same heads with the same blood, scanned again; in square brackets the same studies as drawn.",
            "",
            "| condition | n | AUC | sensitivity | specificity | Dice, all blood | calls lost, gained |",
            "|---|---|---|---|---|---|---|",
        ]
        for row in self.rows:
            here, drawn = row["here"], row["drawn"]
            cells = [
                f"{_short(getattr(here, m))} [{_short(getattr(drawn, m))}]"
                for m in ("auc", "sensitivity", "specificity")
            ]
            cells.append(f"{_short(row['dice'])} [{_short(row['dice_drawn'])}]")
            total = here.positives + here.negatives
            lines.append(f"| {row['condition']} | {total} | {' | '.join(cells)} | {row['lost']}, {row['gained']} |")
        return [
            *lines,
            "",
            "Not varied, since the simulator does not: other patients' positions in the scanner, contrast agent on "
            "demand.",
            "",
        ]


def _short(one: Estimate) -> str:
    """Return a figure without its interval."""
    return str(Estimate(one.value))


def _percent(one: Estimate) -> str:
    """Return a share as a signed percentage with its interval."""
    return "–" if str(one) == "–" else f"{one.value:+.1%} ({one.low:+.1%} to {one.high:+.1%})"


def _make_plain(value: Any) -> Any:
    return value.as_json() if isinstance(value, Estimate | Measures) else value


def _lesions_json(found: dict[str, Any]) -> dict[str, Any]:
    return {
        "found": {name: one.as_json() for name, one in found["found"].items()},
        "false_per_study": found["false_per_study"].as_json(),
        "right_type": found["right_type"].as_json(),
    }


def _free_response_json(found: figures.FreeResponse | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {name: value if isinstance(value, int) else value.tolist() for name, value in vars(found).items()}


def _calibration_json(found: dict[str, Any]) -> dict[str, Any]:
    return {"brier": found["brier"], "bins": [one | {"bleeding": one["bleeding"].as_json()} for one in found["bins"]]}
