# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Studies as drawn and perturbed, read plainly and by each mitigation: scores, and calls of the network."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from appliance.inference.detections import Reading
from appliance.reading.contract import chunks
from benchmarks.accuracy.mitigations import denoised, mean_reading, mirrored_reading
from benchmarks.accuracy.network import Network
from benchmarks.accuracy.perturbation import perturb
from simulator.cohort import spec_of
from simulator.fields import stream
from simulator.manifest import Entry
from simulator.revision import simulator_revision
from simulator.study import simulate

PLAIN: Final = "plain"
MIRRORED: Final = "mirrored too"
SECOND: Final = "two checkpoints"
DENOISED: Final = "median filter"
CALLS: Final = {PLAIN: 1, MIRRORED: 2, SECOND: 2, DENOISED: 1}
"""Calls of a network for each chunk, by way of reading."""


@dataclass(frozen=True)
class Attack:
    """What a search may do: change voxels by `bound_hu`, and call the network `calls` times for a study."""

    bound_hu: int
    calls: int


@dataclass(frozen=True)
class Withstood:
    """A study's scores by way of reading, as drawn and perturbed.

    Attributes
    ----------
    calls: of the network, by the search.
    first: the plain score after the search's first try.
    """

    name: str
    bleeds: bool
    slices: int
    calls: int
    first: float
    drawn: dict[str, float]
    perturbed: dict[str, float]


def score(reading: Reading) -> float:
    """Return a study's score: the highest of any detection."""
    return max((one.score for one in reading.detections), default=0.0)


def withstand(entry: Entry, network: Network, second: Network | None, threshold: float, attack: Attack) -> Withstood:
    """Return what a simulated study's readings are, as drawn and perturbed."""
    scan = simulate(spec_of(entry))
    rng = stream(entry.seed, "perturbation")
    made = perturb(network.read_chunk, scan.hu, threshold, attack.bound_hu, attack.calls, rng)
    return Withstood(
        entry.name,
        bool(scan.labels.any()),
        len(scan.hu),
        made.calls,
        made.first,
        _scores(scan.hu, network, second),
        _scores(made.hu, network, second),
    )


def _scores(hu: NDArray[np.int16], network: Network, second: Network | None) -> dict[str, float]:
    """Return a study's score by way of reading."""
    plain = network.read(hu)
    found = {
        PLAIN: score(plain),
        MIRRORED: score(mean_reading(plain, mirrored_reading(network.read, hu))),
        DENOISED: score(network.read(denoised(hu))),
    }
    return found | ({} if second is None else {SECOND: score(mean_reading(plain, second.read(hu)))})


def kept(
    folder: Path,
    entries: Sequence[Entry],
    network: Network,
    second: Network | None,
    threshold: float,
    attack: Attack,
    done: Callable[[Withstood], None],
) -> list[Withstood]:
    """Return what each study withstood; what lies in `folder` from a run with the same settings is not made again."""
    own = [Path(__file__).with_name(f"{name}.py") for name in ("mitigations", "network", "perturbation")]
    settings = {
        "models": [one.model.identity.sha256 for one in (network, second) if one is not None],
        "simulator": simulator_revision([*own, Path(__file__)]),
        "threshold": threshold,
        **asdict(attack),
    }
    place = folder / hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:16]
    place.mkdir(parents=True, exist_ok=True)
    (place / "made_with.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    found = []
    for entry in entries:
        path = place / f"{entry.name}-{entry.population.replace(' ', '_')}.json"
        if not path.exists():
            made = withstand(entry, network, second, threshold, attack)
            partial = path.with_suffix(".partial")
            partial.write_text(json.dumps(asdict(made), indent=2) + "\n", encoding="utf-8")
            partial.replace(path)
        found.append(Withstood(**json.loads(path.read_text(encoding="utf-8"))))
        done(found[-1])
    return found


def summary(studies: Sequence[Withstood], threshold: float) -> list[dict[str, Any]]:
    """Return a row for each way of reading: how many answers are right as drawn, and how many perturbed."""
    rows = []
    for way in (PLAIN, MIRRORED, SECOND, DENOISED):
        read = [one for one in studies if way in one.drawn]
        row: dict[str, Any] = {"reading": way, "calls_a_chunk": CALLS[way], "studies": len(read)}
        for state in ("drawn", "perturbed"):
            scores = [(one.bleeds, getattr(one, state)[way]) for one in read]
            with_blood, without = ([value for bleeds, value in scores if bleeds is kind] for kind in (True, False))
            row[state] = {
                "found": sum(value >= threshold for value in with_blood),
                "with_blood": len(with_blood),
                "lowest_with_blood": min(with_blood, default=None),
                "false_alarms": sum(value >= threshold for value in without),
                "without_blood": len(without),
                "highest_without": max(without, default=None),
            }
        if read:
            rows.append(row)
    return rows


def markdown(studies: Sequence[Withstood], threshold: float) -> str:
    """Return the rows as a Markdown table."""
    lines = [
        "| reading | calls a chunk | found, as drawn | found, perturbed | lowest score, perturbed | "
        "false alarms, as drawn | false alarms, perturbed | highest score, perturbed |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in summary(studies, threshold):
        drawn, perturbed = row["drawn"], row["perturbed"]
        cells = [
            row["reading"],
            row["calls_a_chunk"],
            *(f"{one['found']} of {one['with_blood']}" for one in (drawn, perturbed)),
            _figure(perturbed["lowest_with_blood"]),
            *(f"{one['false_alarms']} of {one['without_blood']}" for one in (drawn, perturbed)),
            _figure(perturbed["highest_without"]),
        ]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    calls = sum(one.calls for one in studies)
    most = max((one.calls / len(chunks(one.slices)) for one in studies), default=0.0)
    lines.append(f"\n{calls} calls by the searches, at most {most:.0f} times those of one reading.")
    return "\n".join(lines)


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
