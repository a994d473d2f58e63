# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What the dashboard shows: each panel with its queries, in the order of the page.

The alerts' page in the handbook (docs/alerts.md) says what to do about what is seen here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

INTERVAL: Final = "$__rate_interval"
"""Grafana's variable: the time over which a rate can be given, by the width of the page and the pause of Prometheus."""
OBJECTIVE: Final = 0.01
"""The share of answers that may be late (deploy/prometheus/rules)."""
WORSE: Final = ("green", "orange", "red")
"""The colours of a number of which more is worse."""


class Kind(Enum):
    """How a panel shows its figures."""

    NUMBER = "number"
    LINES = "lines"
    STACK = "stack"


class Unit(Enum):
    """A panel's unit, by the name that Grafana gives it."""

    SECONDS = "s"
    SHARE = "percentunit"
    BYTES = "bytes"
    COUNT = "short"
    YES_NO = "bool_yes_no"


@dataclass(frozen=True)
class Query:
    """An expression of PromQL, and the name of each of its lines."""

    expression: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """A panel: `width` is in 24ths of the page; a number changes its colour at each of its `limits`.

    `colours` has one more than `limits`, the first for what is below all of them. `idle` says that
    it may be empty: nothing of the kind has happened yet, or the site has no such part.
    """

    title: str
    description: str
    queries: tuple[Query, ...]
    kind: Kind
    unit: Unit
    width: int
    limits: tuple[float, ...] = ()
    colours: tuple[str, ...] = ("green",)
    idle: bool = False


@dataclass(frozen=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: tuple[Panel, ...]


def _quantile(share: float) -> str:
    return f"histogram_quantile({share}, sum by (le) (rate(hemorrhage_turnaround_seconds_bucket[{INTERVAL}])))"


ROWS: Final = (
    Row(
        "Now",
        (
            Panel(
                "Would a study be answered now?",
                "As /health/ready says: Orthanc, Triton, ledger and disks are well, and the model has proven itself.",
                (Query("min(hemorrhage_ready)"),),
                Kind.NUMBER,
                Unit.YES_NO,
                4,
                limits=(0.5,),
                colours=("red", "green"),
            ),
            Panel(
                "Neighbours that answer",
                "The share of the neighbours (Orthanc, Triton, the ledger) that answered when they were last asked.",
                (Query("avg(hemorrhage_reachable)"),),
                Kind.NUMBER,
                Unit.SHARE,
                4,
                limits=(1.0,),
                colours=("red", "green"),
            ),
            Panel(
                "Studies that wait",
                "Studies decided and not yet answered, with those that the full queue has no room for.",
                (
                    Query(
                        'sum(hemorrhage_jobs{state=~"queued|waiting|running"}) + sum(hemorrhage_studies_without_room)'
                    ),
                ),
                Kind.NUMBER,
                Unit.COUNT,
                4,
                limits=(10, 50),
                colours=WORSE,
            ),
            Panel(
                "95 of 100 answered within",
                "From the last instance received to the SR stored in Orthanc, over the last hour.",
                (Query("hemorrhage:turnaround_seconds:p95_1h"),),
                Kind.NUMBER,
                Unit.SECONDS,
                4,
                limits=(30, 60),
                colours=WORSE,
            ),
            Panel(
                "Late, last hour",
                "Answers that took more than 60 s. The objective allows 1 in 100 over 30 days.",
                (Query("hemorrhage:late:ratio_rate1h"),),
                Kind.NUMBER,
                Unit.SHARE,
                4,
                limits=(OBJECTIVE, 14.4 * OBJECTIVE),
                colours=WORSE,
            ),
            Panel(
                "Oldest answer not yet told",
                "How long the oldest answer waits for the rules, or for a destination that they name.",
                (
                    Query(
                        'max({__name__=~"hemorrhage_rules_oldest_seconds|hemorrhage_delivery_oldest_seconds"}) '
                        "or vector(0)"
                    ),
                ),
                Kind.NUMBER,
                Unit.SECONDS,
                4,
                limits=(60, 600),
                colours=WORSE,
            ),
        ),
    ),
    Row(
        "How fast",
        (
            Panel(
                "Turnaround",
                "From the last instance received to the SR stored in Orthanc. It includes the quiet time.",
                (
                    Query(_quantile(0.5), "median"),
                    Query(_quantile(0.95), "95 of 100"),
                    Query(_quantile(0.99), "99 of 100"),
                ),
                Kind.LINES,
                Unit.SECONDS,
                12,
            ),
            Panel(
                "Where the time goes",
                "The mean of each step of an answer; quiet: waiting for further instances; queue: for a worker.",
                (
                    Query(
                        f"sum by (step) (rate(hemorrhage_step_seconds_sum[{INTERVAL}])) / "
                        f"sum by (step) (rate(hemorrhage_step_seconds_count[{INTERVAL}]))",
                        "{{step}}",
                    ),
                ),
                Kind.STACK,
                Unit.SECONDS,
                12,
            ),
            Panel(
                "Queue",
                "Jobs in the ledger by state, without those that are done.",
                (Query('sum by (state) (hemorrhage_jobs{state!="done"})', "{{state}}"),),
                Kind.STACK,
                Unit.COUNT,
                12,
            ),
            Panel(
                "Time in Triton for each call",
                "What a call of a model waits for its turn, and what it takes.",
                (
                    Query(
                        f"sum by (model) (rate(nv_inference_queue_duration_us[{INTERVAL}])) / 1e6 / "
                        f"sum by (model) (rate(nv_inference_request_success[{INTERVAL}]))",
                        "{{model}}, waiting",
                    ),
                    Query(
                        f"sum by (model) (rate(nv_inference_compute_infer_duration_us[{INTERVAL}])) / 1e6 / "
                        f"sum by (model) (rate(nv_inference_request_success[{INTERVAL}]))",
                        "{{model}}, computing",
                    ),
                ),
                Kind.LINES,
                Unit.SECONDS,
                12,
            ),
        ),
    ),
    Row(
        "What is answered",
        (
            Panel(
                "Answers an hour",
                "By what they say. A line that ends while scanners work is a fault.",
                (Query(f"3600 * sum by (answer) (rate(hemorrhage_answers_total[{INTERVAL}]))", "{{answer}}"),),
                Kind.STACK,
                Unit.COUNT,
                8,
            ),
            Panel(
                "Share of answers that say present",
                "Over a day. A jump means other patients, another scanner, or a network that reads wrongly.",
                (Query("hemorrhage:positive:ratio_rate1d", "present"),),
                Kind.LINES,
                Unit.SHARE,
                8,
            ),
            Panel(
                "Not read: reasons an hour",
                "Codes of docs/quality.md, of studies of which nothing was read.",
                (
                    Query(
                        f'3600 * sum by (code) (rate(hemorrhage_refusals_total{{study="refused"}}[{INTERVAL}])) > 0',
                        "{{code}}",
                    ),
                ),
                Kind.STACK,
                Unit.COUNT,
                8,
                idle=True,
            ),
            Panel(
                "Flaws and parts an hour",
                "What was wrong with images that were read all the same, and answers about a part of the head.",
                (
                    Query(f"3600 * sum by (code) (rate(hemorrhage_image_flaws_total[{INTERVAL}])) > 0", "{{code}}"),
                    Query(f"3600 * sum(rate(hemorrhage_partial_answers_total[{INTERVAL}])) > 0", "a part of the head"),
                ),
                Kind.STACK,
                Unit.COUNT,
                8,
                idle=True,
            ),
            Panel(
                "Read while the quiet time ran",
                "Readings ahead that were used, and those that were thrown away because an instance came.",
                (
                    Query(
                        f"3600 * sum by (outcome) (rate(hemorrhage_studies_read_ahead_total[{INTERVAL}]))",
                        "{{outcome}}",
                    ),
                ),
                Kind.STACK,
                Unit.COUNT,
                8,
            ),
            Panel(
                "Deliveries an hour",
                "Tries to deliver answers to the destinations of the rules, by how they ended.",
                (
                    Query(
                        f"3600 * sum by (destination, outcome) (rate(hemorrhage_deliveries_total[{INTERVAL}]))",
                        "{{destination}}, {{outcome}}",
                    ),
                ),
                Kind.LINES,
                Unit.COUNT,
                8,
                idle=True,
            ),
        ),
    ),
    Row(
        "Compared with the patient's last head CT",
        (
            Panel(
                "Comparisons an hour",
                "Answers about a patient with a prior, by what has changed (docs/prior.md). Withheld: it may be another"
                " patient's, or has no time. Many of those mean Patient IDs that cannot be trusted.",
                (
                    Query(
                        f"3600 * sum by (change) (rate(hemorrhage_compared_answers_total[{INTERVAL}]))",
                        "{{change}}",
                    ),
                ),
                Kind.STACK,
                Unit.COUNT,
                12,
            ),
            Panel(
                "Priors asked of the PACS, an hour",
                "Only where prior.pacs names one. Failed: the PACS did not send it, or did not answer; the answer then "
                "stands without a comparison.",
                (
                    Query(
                        f"3600 * sum by (outcome) (rate(hemorrhage_priors_fetched_total[{INTERVAL}]))",
                        "{{outcome}}",
                    ),
                ),
                Kind.STACK,
                Unit.COUNT,
                12,
            ),
        ),
    ),
    Row(
        "Drift",
        (
            Panel(
                "Studies of the reference",
                "With which the newest studies are compared (docs/drift.md). 0: the model that answers has no "
                "reference, and no change would be noticed; `appliance doctor` says how to make one.",
                (Query("min(hemorrhage_drift_reference_studies)"),),
                Kind.NUMBER,
                Unit.COUNT,
                8,
                limits=(1,),
                colours=("red", "green"),
            ),
            Panel(
                "How far studies and answers are from the reference",
                "As a share of what chance allows: above 1 for an hour, the alert HemorrhageDrift is raised. Empty "
                "until 50 studies have been answered.",
                (Query("max by (what) (hemorrhage_drift_distance / hemorrhage_drift_limit)", "{{what}}"),),
                Kind.LINES,
                Unit.COUNT,
                16,
                idle=True,
            ),
        ),
    ),
    Row(
        "The box",
        (
            Panel(
                "Room on the disks",
                "The state folder's and Orthanc's; below 3 % the alert HemorrhageDiskLow fires.",
                (
                    Query(
                        "min by (place) (hemorrhage_disk_free_bytes / hemorrhage_disk_size_bytes)",
                        "{{place}}",
                    ),
                ),
                Kind.LINES,
                Unit.SHARE,
                8,
            ),
            Panel(
                "What Orthanc stores",
                "By its own account; archive.most_gb limits it.",
                (Query("max(hemorrhage_archive_bytes)", "archive"),),
                Kind.LINES,
                Unit.BYTES,
                8,
            ),
            Panel(
                "Tries that failed, an hour",
                "Postponed: Orthanc, Triton or the ledger did not answer, and the study is tried again. Broken: the "
                "pipeline itself did.",
                (
                    Query(f"3600 * sum(rate(hemorrhage_job_postponements_total[{INTERVAL}]))", "postponed"),
                    Query(f"3600 * sum(rate(hemorrhage_job_crashes_total[{INTERVAL}]))", "broken"),
                ),
                Kind.LINES,
                Unit.COUNT,
                8,
            ),
        ),
    ),
)
