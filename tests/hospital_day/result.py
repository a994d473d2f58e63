# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The figures of a day, and how they are shown: a table for people, Markdown for the docs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from rich.table import Table

from tests.hospital_day.audit import Seen, alert_faults, faults, order_faults
from tests.hospital_day.day import Day
from tests.hospital_day.hospital import LATE_ALERTS, Hospital
from tests.hospital_day.reading import Waiting, compare, drawn_days, spread, stretch

OBJECTIVE_S: Final = 60.0
DRAWN_DAYS: Final = 1000
_CONFIRMING_S: Final = 3.0
"""How long a transfer to the PACS may be under way; Orthanc's times have whole seconds."""


def figures(hospital: Hospital, day: Day, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return everything that was seen of a day and what it means for the reading list; `faults` are to be none."""
    arrivals = hospital.pacs.arrivals()
    stopped = day.pacs_down[0] if day.pacs_down else float("inf")
    seen = Seen(
        day.records,
        [one[:3] for one in arrivals],
        hospital.ris.messages(),
        hospital.mails(),
        hospital.outbox(),
        frozenset(sop for sop, *_, at in arrivals if stopped - _CONFIRMING_S < at <= stopped + _CONFIRMING_S),
    )
    alerts = hospital.prometheus.alerts()
    of_day = {uid: one for uid, one in day.written.items() if one.planned.number >= 0}
    turnaround = [
        float(day.records[uid]["turnaround_s"]) for uid in of_day if day.records.get(uid, {}).get("turnaround_s")
    ]
    late = sum(one > OBJECTIVE_S for one in turnaround)
    told_at = {one.get("study", ""): at for one, at in zip(seen.at_ris, list(hospital.ris.came_at), strict=True)}
    wrong = faults([*day.written], seen)
    wrong += order_faults(seen, _waited_for_pacs(day, told_at))
    wrong += alert_faults(alerts, late, LATE_ALERTS)
    if not day.settled:
        wrong.append("not everything was delivered in the end")
    list_ = [
        Waiting(
            (day.arrived[uid] - day.begun) / 60,
            (told_at.get(uid, float("inf")) - day.begun) / 60,
            bool(day.records.get(uid, {}).get("present")),
            one.planned.bleeds,
        )
        for uid, one in sorted(of_day.items(), key=lambda item: day.arrived[item[0]])
    ]
    said = [(bool(day.records.get(uid, {}).get("present")), one.planned.bleeds) for uid, one in of_day.items()]
    day_min = 60.0 * asked["day_hours"]
    stretched = stretch(list_, day_min / asked["minutes"])
    read_min = float(asked["read_minutes"])
    return {
        "scans": "simulated",
        "asked": dict(asked),
        "machine": {"cores": os.cpu_count(), "load_average": [round(one, 1) for one in os.getloadavg()]},
        "studies": len(of_day),
        "priors": len(day.written) - len(of_day),
        "answers": {
            "hemorrhage found in": sum(flagged and bleeds for flagged, bleeds in said),
            "of simulated hemorrhages": sum(bleeds for _, bleeds in said),
            "flagged without one": sum(flagged and not bleeds for flagged, bleeds in said),
        },
        "turnaround_s": spread(turnaround),
        "late": late,
        "told_s": spread([60 * (one.told - one.arrived) for one in list_ if one.told < float("inf")]),
        "told_hemorrhage_s": spread([60 * (one.told - one.arrived) for one in list_ if one.flagged]),
        "pacs_down_s": round(day.pacs_down[1] - day.pacs_down[0], 1) if day.pacs_down else 0.0,
        "arrived": {
            "PACS objects": len(seen.at_pacs),
            "RIS messages": len(seen.at_ris),
            "mails": sum(seen.mails.values()),
        },
        "outbox": _count(str(one["state"]) for one in seen.outbox),
        "sent_again": len(seen.at_pacs) - len({one[0] for one in seen.at_pacs}),
        "retried": sum(one["tries"] > 1 for one in seen.outbox),
        "alerts": {name: list(states) for name, states in alerts.items()},
        "worst_late_share": hospital.prometheus.worst_late(),
        "reading": {
            "model": f"one radiologist, {read_min:g} min a study, over a day of {asked['day_hours']:g} h",
            "waits_min": compare(stretched, read_min),
            "drawn_days": DRAWN_DAYS,
            "mean_wait_of_hemorrhages_min": drawn_days(stretched, day_min, read_min, DRAWN_DAYS, asked["seed"]),
        },
        "list": [{**asdict(one), "told": None if one.told == float("inf") else one.told} for one in list_],
        "faults": wrong,
    }


def _waited_for_pacs(day: Day, told_at: Mapping[str, float]) -> list[str]:
    """Return the studies whose rules were applied while the PACS was away: the RIS was told of them then."""
    if day.pacs_down is None:
        return []
    stopped, back = day.pacs_down
    return [uid for uid, at in told_at.items() if uid in day.written and stopped + _CONFIRMING_S < at < back]


def _count(words: Any) -> dict[str, int]:
    found: dict[str, int] = {}
    for word in words:
        found[word] = found.get(word, 0) + 1
    return found


def rows(seen: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the table's rows."""
    answers, reading = seen["answers"], seen["reading"]
    found = [
        ("studies", f"{seen['studies']}, and {seen['priors']} priors of the day before"),
        (
            "hemorrhages found",
            f"{answers['hemorrhage found in']} of {answers['of simulated hemorrhages']}; "
            f"{answers['flagged without one']} flagged without one",
        ),
        ("last image to report", _seconds(seen["turnaround_s"])),
        ("last image to the message in the RIS", _seconds(seen["told_s"])),
        ("the same, hemorrhages", _seconds(seen["told_hemorrhage_s"])),
        (
            "PACS away",
            f"{seen['pacs_down_s']:.0f} s; {seen['retried']} deliveries were tried again, "
            f"{seen['sent_again']} objects that it had not confirmed were sent again",
        ),
        ("arrived", ", ".join(f"{number} {what}" for what, number in seen["arrived"].items())),
        ("deliveries", ", ".join(f"{number} {state}" for state, number in seen["outbox"].items())),
        ("studies that took over a minute", f"{seen['late']} of {seen['studies']}"),
        ("alerts", ", ".join(f"{name} ({' and '.join(states)})" for name, states in seen["alerts"].items()) or "none"),
        ("lost, doubled or out of order", str(len(seen["faults"])) if seen["faults"] else "nothing"),
    ]
    for name, told in reading["waits_min"].items():
        found += [(f"wait {name}, {who}", _minutes(told[who])) for who in ("hemorrhage", "others")]
    found += [
        (f"mean wait {name}, hemorrhages, {reading['drawn_days']} drawn days", _minutes(told))
        for name, told in reading["mean_wait_of_hemorrhages_min"].items()
    ]
    found.append(("hemorrhages are read earlier by", _earlier(reading)))
    return found


def _earlier(reading: Mapping[str, Any]) -> str:
    """Return by how many minutes hemorrhages are read earlier, in the mean of the day and of the drawn days."""
    today = [reading["waits_min"][name]["hemorrhage"] for name in ("by arrival", "by answer")]
    drawn = [reading["mean_wait_of_hemorrhages_min"][name] for name in ("by arrival", "by answer")]
    if None in today or None in drawn:
        return "–"
    gains = [before["mean"] - after["mean"] for before, after in (today, drawn)]
    return f"{gains[0]:.1f} min in the mean; {gains[1]:.1f} min in the mean of the drawn days"


def _seconds(told: Mapping[str, float] | None) -> str:
    return "–" if told is None else f"mean {told['mean']:.1f}, median {told['median']:.1f}, worst {told['worst']:.1f} s"


def _minutes(told: Mapping[str, float] | None) -> str:
    return (
        "–" if told is None else f"mean {told['mean']:.1f}, median {told['median']:.1f}, worst {told['worst']:.1f} min"
    )


def table(seen: Mapping[str, Any]) -> Table:
    """Return the figures as people read them."""
    shown = Table("what", "seen", title=f"a day in the hospital, simulated studies; {seen['reading']['model']}")
    for what, value in rows(seen):
        shown.add_row(what, value)
    return shown


def markdown(seen: Mapping[str, Any]) -> str:
    """Return the same table for the docs, with the command that made it."""
    asked = seen["asked"]
    options = " ".join(f"--{name.replace('_', '-')} {value:g}" for name, value in asked.items())
    lines = [
        f"`python -m tests.hospital_day {options}`, {seen['machine']['cores']} cores; {seen['reading']['model']}.",
        "",
    ]
    lines += ["| what | seen |", "|---|---|", *(f"| {what} | {value} |" for what, value in rows(seen))]
    return "\n".join(lines) + "\n"
