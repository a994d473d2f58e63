# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The status page: the status document as HTML, one file without script or anything from elsewhere.

It loads itself again every few seconds. Everything that comes from a study goes through `escape`.
"""

from __future__ import annotations

from html import escape
from typing import Any, Final

from appliance.ledger.states import OPEN, JobState, StudyState
from appliance.results.facts import Place, lesion_words

_RELOADED_EVERY_S: Final = 5

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1b2630; --faint: #5d6b78; --line: #d9dfe5; --ground: #f4f6f8; --card: #fff;
  --red: #b3261e; --red-ground: #fdecea; --green: #1b6e3c; --green-ground: #e6f4ea; --amber: #8a5a00;
  --amber-ground: #fff4dc; --blue: #1f5fa8; --blue-ground: #e7f0fb; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4eaf0; --faint: #9aa8b5; --line: #33404c; --ground: #12181e;
  --card: #1a222a; --red: #ff9d94; --red-ground: #46211e; --green: #8fd8a8; --green-ground: #183524;
  --amber: #f0c674; --amber-ground: #3d3116; --blue: #9cc5f5; --blue-ground: #1b3048; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.45 system-ui, sans-serif; }
header, main { max-width: 1180px; margin: 0 auto; padding: 0 20px; }
header { padding-top: 22px; }
h1 { font-size: 22px; margin: 0 0 4px; }
h2 { font-size: 15px; margin: 26px 0 8px; }
.notice { background: var(--amber-ground); color: var(--amber); padding: 8px 12px; border-radius: 8px;
  margin: 12px 0 16px; }
.faint { color: var(--faint); }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(170px, 1fr)); gap: 12px; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 12px 14px; }
.card b { display: block; margin-bottom: 2px; }
.table { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: 10px 12px; border-bottom: 1px solid var(--line); }
th { font-weight: 600; color: var(--faint); font-size: 13px; white-space: nowrap; }
tr:last-child td { border-bottom: 0; }
code { font: 12px/1.4 ui-monospace, monospace; overflow-wrap: anywhere; }
.tag { display: inline-block; border-radius: 99px; padding: 1px 9px; font-size: 13px; white-space: nowrap;
  background: var(--blue-ground); color: var(--blue); }
.tag.bad { background: var(--red-ground); color: var(--red); }
.tag.good { background: var(--green-ground); color: var(--green); }
.tag.held { background: var(--amber-ground); color: var(--amber); }
.number { font-variant-numeric: tabular-nums; }
td:first-child { min-width: 190px; }
td.state, td.answer { min-width: 150px; }
small { color: var(--faint); display: block; }
footer { max-width: 1180px; margin: 0 auto; padding: 18px 20px 40px; color: var(--faint); font-size: 13px; }
"""

_HELD: Final = {JobState.WAITING, JobState.REFUSED, StudyState.INCOMPLETE}
_UNDER_WAY: Final = {*OPEN, StudyState.RECEIVING}
_STEPS: Final = ("quiet", "queue", "select", "read", "check", "infer", "find", "report", "deliver")


def page(document: dict[str, Any]) -> str:
    """Return the status document as an HTML page."""
    studies = "".join(_study(study) for study in document["studies"])
    table = (
        "<div class='table'><table><thead><tr><th>Study</th><th>State</th><th>Answer</th><th>Lesions</th>"
        f"<th>Series read</th><th>Turnaround</th></tr></thead><tbody>{studies}</tbody></table></div>"
        if studies
        else "<div class='card'>No study has come yet. Send a head CT to the appliance, and it appears here.</div>"
    )
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        f"<meta http-equiv='refresh' content='{_RELOADED_EVERY_S}'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>Hemorrhage appliance</title><style>{_STYLE}</style></head><body>"
        "<header><h1>Hemorrhage appliance</h1>"
        f"<div class='notice'>{escape(document['notice'])}</div></header><main>"
        f"<div class='cards'>{_readiness(document)}{''.join(_neighbours(document))}{_model(document)}</div>"
        f"<h2>Studies, newest first</h2>{table}</main>"
        f"<footer>Version {escape(document['version'])} · times are UTC · <a href='/status'>as JSON</a> · "
        "<a href='/metrics'>metrics</a></footer></body></html>"
    )


def _tag(text: str, kind: str = "") -> str:
    return f"<span class='tag {kind}'>{escape(text)}</span>"


def _readiness(document: dict[str, Any]) -> str:
    jobs = document["jobs"]
    under_way = sum(jobs[state.value] for state in OPEN)
    ready = _tag("ready", "good") if document["ready"] else _tag("not ready", "bad")
    done = jobs[JobState.DONE.value] + jobs[JobState.SUPERSEDED.value]
    return (
        f"<div class='card'><b>Service</b>{ready}<small>{under_way} under way · {done} answered · "
        f"{jobs[JobState.REFUSED.value]} refused · {jobs[JobState.FAILED.value]} failed</small></div>"
    )


def _neighbours(document: dict[str, Any]) -> list[str]:
    return [
        f"<div class='card'><b>{escape(name.capitalize())}</b>"
        f"{_tag('well', 'good') if told['well'] else _tag('away', 'bad')}"
        f"<small>{escape(told['reason']) or 'since ' + _time(told['since'])}</small></div>"
        for name, told in document["neighbours"].items()
    ]


def _model(document: dict[str, Any]) -> str:
    model = document["model"]
    if model is None:
        return "<div class='card'><b>Model</b><small>not known yet</small></div>"
    return (
        f"<div class='card'><b>Model</b>{escape(model['name'])} {escape(model['version'])}"
        f"<small>sha256 <code>{escape(model['sha256'][:16])}…</code></small></div>"
    )


def _study(study: dict[str, Any]) -> str:
    return (
        f"<tr><td><code>{escape(study['study_uid'])}</code>"
        f"<small>last image {_time(study['last_instance'])}</small></td>"
        f"<td class='state'>{_state(study)}</td><td class='answer'>{_answer(study)}</td><td>{_lesions(study)}</td>"
        f"<td>{_series(study)}</td><td class='number'>{_turnaround(study)}</td></tr>"
    )


def _state(study: dict[str, Any]) -> str:
    state = study["state"]
    kind = "bad" if state == JobState.FAILED else "held" if state in _HELD else "" if state in _UNDER_WAY else "good"
    notes = [f"since {_time(study['since'])}"]
    if study["deleted"]:
        notes.append("deleted in Orthanc")
    if study["requested"]:
        notes.append("asked for")
    if study["waiting_for"]:
        notes.append(escape(study["waiting_for"]))
    if study["error"]:
        notes.append(escape(study["error"]))
    if study["next_try"]:
        notes.append(f"next try {_time(study['next_try'])}")
    return _tag(state, kind) + "".join(f"<small>{note}</small>" for note in notes)


def _answer(study: dict[str, Any]) -> str:
    if study["present"] is None:
        return "".join(
            f"<div>{escape(refusal['code'])}<small>{escape(refusal['reason'])}</small></div>"
            for refusal in study["refusals"]
        )
    answer = _tag("hemorrhage", "bad") if study["present"] else _tag("none found", "good")
    return f"{answer}<small class='number'>probability {study['probability']:.3f}</small>"


def _lesions(study: dict[str, Any]) -> str:
    return "".join(
        f"<div class='number'>{escape(' '.join(lesion_words(lesion, Place.HEADLINE)))}"
        f"<small>{escape(', '.join(lesion_words(lesion, Place.DETAIL)))}</small></div>"
        for lesion in study["lesions"]
    )


def _series(study: dict[str, Any]) -> str:
    series = study["series"]
    if series is None:
        return ""
    others = len(study["refusals"])
    passed_over = f"<small>{others} passed over</small>" if others else ""
    return f"{escape(series['description'])}<small>{series['slices']} slices</small>{passed_over}"


def _turnaround(study: dict[str, Any]) -> str:
    timing = study["timing_ms"]
    steps = " · ".join(f"{step} {timing[step] / 1000:.2f}" for step in _STEPS if timing.get(step, 0) >= 5)
    total = "" if study["turnaround_s"] is None else f"{study['turnaround_s']:.2f} s"
    return f"{total}<small>{steps}</small>"


def _time(iso: str) -> str:
    return escape(iso[:19].replace("T", " "))
