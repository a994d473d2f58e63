# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.traced`: one simulated study through a real appliance, and its trace as a table (docs/traces.md)."""

from __future__ import annotations

import tempfile
from pathlib import Path

from appliance.settings import Settings
from deploy.local.appliance import LocalAppliance
from deploy.local.ports import with_free_ports
from simulator.diagnosis import Diagnosis
from simulator.population import CLEAR
from simulator.study import StudySpec
from tests.collector import Collected, Collector
from tests.end_to_end.patient import Patient
from tests.end_to_end.running import Running

_MS = 1e6
_BAR = 40


def main() -> None:
    """Send a study to warm up and one to trace, and print the second one's trace."""
    collector = Collector()
    collector.start()
    patient = Patient(StudySpec(7001, Diagnosis.IPH, volume_ml=50, slices=35, spacing_mm=4.0, population=CLEAR.name))
    with tempfile.TemporaryDirectory() as folder:
        settings = with_free_ports(Settings(), Path(folder) / "stack")
        changed = {
            "traces": settings.traces.model_copy(update={"url": collector.url}),
            "triton": settings.triton.model_copy(update={"traces_url": collector.http_url}),
        }
        with LocalAppliance(settings.model_copy(update=changed)) as local:
            running = Running(local)
            for number in range(2):
                written = patient.study(Path(folder) / str(number))
                running.send(written.all_files)
                running.answered(written.truth.study_uid)
            spans = collector.wait_for(lambda found: sum(span.name == "study" for span in found) == 2)
            root = [span for span in spans if span.name == "study"][-1]
            wanted = sum(span.name == "chunk" and span.trace == root.trace for span in spans)

            def is_whole(found: list[Collected]) -> bool:
                of_triton = [span for span in found if span.trace == root.trace and "triton" in span.service]
                return sum(span.name == "InferRequest" for span in of_triton) >= wanted

            spans = [span for span in collector.wait_for(is_whole) if span.trace == root.trace]
    collector.stop()
    _show(root, spans)


def _show(root: Collected, spans: list[Collected]) -> None:
    whole_ns = root.end_ns - root.start_ns
    children: dict[str, list[Collected]] = {}
    for span in sorted(spans, key=lambda span: span.start_ns):
        children.setdefault(span.parent, []).append(span)
    print("| span | from | begins, ms | takes, ms | |\n|---|---|---|---|---|")

    def show(span: Collected, depth: int) -> None:
        begins, takes = span.start_ns - root.start_ns, span.end_ns - span.start_ns
        before, long = round(_BAR * begins / whole_ns), max(1, round(_BAR * takes / whole_ns))
        name = "· " * depth + span.name
        number = span.attributes.get("hemorrhage.chunk")
        name += f" {number}" if number is not None else ""
        bar = "\u00a0" * before + "█" * long
        print(f"| {name} | {span.service} | {begins / _MS:.0f} | {takes / _MS:.1f} | `{bar}` |")
        for child in children.get(span.identifier, ()):
            show(child, depth + 1)

    show(root, 0)
    print(f"\nattributes of the study: {root.attributes}")
    print(f"events of Triton's spans: {sorted({event for span in spans for event in span.events})}")


if __name__ == "__main__":
    main()
