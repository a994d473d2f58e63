# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What became of the day, judged by what arrived: nothing lost or twice, hemorrhages first, alerts with a cause.

It asks the receivers and the service's records, not the outbox: what that says is compared with them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

ALL: Final = ("9001", "9002", "9003", "9004")
"""The series of an answer about a hemorrhage: report, segmentation, key images, key objects."""
REPORT: Final = ("9001",)


@dataclass(frozen=True)
class Seen:
    """What each receiver got, and what the service says of each study.

    Attributes
    ----------
    records: the service's record of each study by its UID.
    at_pacs: SOP instance, study and series number of each object, in the order in which it came.
    at_ris: control identifier, study, answer and priority of each message, in order.
    mails: how often each mail came, by its Message-ID.
    outbox: all deliveries as `appliance outbox list --json` prints them.
    unconfirmed: objects that came as the PACS went away, which may not have confirmed them: they are sent once more.
    """

    records: Mapping[str, Mapping[str, Any]]
    at_pacs: Sequence[tuple[str, str, str]]
    at_ris: Sequence[Mapping[str, str]]
    mails: Mapping[str, int]
    outbox: Sequence[Mapping[str, Any]]
    unconfirmed: frozenset[str] = frozenset()


def faults(studies: Sequence[str], seen: Seen) -> list[str]:
    """Return a sentence for everything that was lost, came twice, or came to somebody whom no rule names."""
    found: list[str] = []
    series: defaultdict[str, set[str]] = defaultdict(set)
    for _, study, number in seen.at_pacs:
        series[study].add(number)
    for sop, times in Counter(one[0] for one in seen.at_pacs).items():
        if times > (2 if sop in seen.unconfirmed else 1):
            found.append(f"object {sop} came to the PACS {times} times")
    told = Counter(one.get("study", "") for one in seen.at_ris)
    for control, times in Counter(one["control"] for one in seen.at_ris).items():
        if times > 1:
            found.append(f"message {control} came to the RIS {times} times")
    found += [f"mail {name} came {times} times" for name, times in seen.mails.items() if times > 1]
    for uid in studies:
        record = seen.records.get(uid)
        if record is None or record["state"] != "done":
            found.append(f"study {uid} is {'not known' if record is None else record['state']} in the end")
            continue
        wanted = set(ALL if record["present"] else REPORT)
        if series[uid] != wanted:
            found.append(f"of study {uid} the PACS has series {sorted(series[uid])}, not {sorted(wanted)}")
        if told[uid] != 1:
            found.append(f"study {uid} was told to the RIS {told[uid]} times")
    answers = {one.get("study", ""): one.get("answer", "") for one in seen.at_ris}
    for uid in studies:
        record = seen.records.get(uid, {})
        if uid in answers and (answers[uid] == "present") is not bool(record.get("present")):
            found.append(f"the RIS was told {answers[uid]!r} of study {uid}, which the service does not say")
    positives = sum(bool(record.get("present")) for uid, record in seen.records.items() if uid in studies)
    if len(seen.mails) != positives:
        found.append(f"{len(seen.mails)} mails came about {positives} hemorrhages")
    strangers = set(series) - set(studies)
    found += [f"the PACS has study {uid}, which nobody sent" for uid in sorted(strangers)]
    for one in seen.outbox:
        if one["state"] != "delivered":
            found.append(f"delivery {one['id']} to {one['destination']} is {one['state']}: {one['error']}")
    expected = sum(3 if seen.records[uid].get("present") else 2 for uid in studies if uid in seen.records)
    if len(seen.outbox) != expected:
        found.append(f"the outbox holds {len(seen.outbox)} deliveries, not {expected}")
    return found


def order_faults(seen: Seen, waited: Sequence[str]) -> list[str]:
    """Return a sentence for each hemorrhage that came to the PACS after a routine study that waited beside it.

    `waited` are the studies that were answered while the PACS was away: all of them waited when it came back.
    """
    first: dict[str, int] = {}
    for place, (_, study, _) in enumerate(seen.at_pacs):
        first.setdefault(study, place)
    there = [uid for uid in waited if uid in first]
    routine = [first[uid] for uid in there if not seen.records[uid]["present"]]
    return [
        f"the hemorrhage of study {uid} came to the PACS after a routine one that waited too"
        for uid in there
        if seen.records[uid]["present"] and routine and first[uid] > min(routine)
    ]


def alert_faults(alerts: Mapping[str, Sequence[str]], late: int, watched: Sequence[str]) -> list[str]:
    """Return a sentence for each alert of the objective that fired though no study was late."""
    return [
        f"{name} fired, and no study took longer than a minute"
        for name in watched
        if "firing" in alerts.get(name, ()) and late == 0
    ]
