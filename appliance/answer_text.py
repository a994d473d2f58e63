# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What `appliance analyze` and `appliance status` print of an answer and of a study, for people to read."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from appliance.console import out
from appliance.results.wording import IMAGE_FLAW, PART_ONLY, covered_words, of_part


def print_result(document: dict[str, Any]) -> None:
    """Print the document that `analyze` writes as result.json."""
    if document["present"] is None:
        out.print("[yellow]not read[/yellow]")
    else:
        covered = document["coverage"]
        colour = "yellow" if covered["partial"] else "green"
        none_found = f"[{colour}]no hemorrhage found[/{colour}]"
        answer = "[red]hemorrhage[/red]" if document["present"] else none_found
        for flaw in document["flaws"]:
            said = f"{IMAGE_FLAW} {flaw['code']}: {flaw['reason']}"
            out.print(said, style="yellow", markup=False, highlight=False, soft_wrap=True)
        series = document["series"]
        out.print(f"{answer}{of_part(covered)}  probability {document['probability']:.3f}")
        for missing in covered["missing"]:
            out.print(f"{PART_ONLY} {missing}", style="yellow", markup=False, highlight=False, soft_wrap=True)
        described = f"series {series['uid']}  '{series['description']}', {covered_words(covered)}"
        out.print(described, markup=False, highlight=False, soft_wrap=True)
    if document["lesions"]:
        from appliance.results.facts import LESION_FACTS, lesion_row

        table = Table(*(fact.heading for fact in LESION_FACTS))
        for lesion in document["lesions"]:
            table.add_row(*lesion_row({**lesion, "slices": len(lesion["slices"])}))
        out.print(table)
    for refusal in document["refusals"]:
        out.print(f"refused: {refusal['code']}: {refusal['reason']}", markup=False, highlight=False, soft_wrap=True)
    out.print("research use only: the network was trained on simulated scans", style="dim")


def status_lines(study: dict[str, Any]) -> list[str]:
    """Return what the service's status document says of one study: its whole UID on one line, then the rest.

    The lines are not cut to the width of the terminal: a UID has up to 64 characters, and half of one helps nobody.
    """
    from appliance.results.change_words import change_headline
    from appliance.results.facts import lesion_headline

    present = study.get("present")
    probability = study.get("probability")
    turnaround = study.get("turnaround_s")
    covered = study.get("coverage")
    answer = "" if present is None else ("hemorrhage" if present else "none found") + of_part(covered)
    facts = (
        study["state"],
        answer,
        "" if covered is None else covered_words(covered),
        "" if probability is None else f"probability {probability:.3f}",
        "" if turnaround is None else f"turnaround {turnaround:.2f} s",
        *(lesion_headline(lesion) for lesion in study.get("lesions") or ()),
        change_headline(study.get("change") or {}),
        *(f"flaw {flaw['code']}" for flaw in study.get("flaws") or ()),
    )
    reasons = _explain_no_answer(study).splitlines() if present is None else covered["missing"] if covered else ()
    return [study["study_uid"], "  " + ", ".join(filter(None, facts)), *(f"    {reason}" for reason in reasons)]


def _explain_no_answer(study: dict[str, Any]) -> str:
    """Return why a study has no answer (yet): refusals with code and sentence, what it waits for, what went wrong."""
    refusals = [f"{refusal['code']}: {refusal['reason']}" for refusal in study.get("refusals") or ()]
    return "\n".join(filter(None, (study.get("waiting_for"), study.get("error"), *refusals)))
