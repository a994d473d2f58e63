# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What has changed since the prior head CT, in words for people: SR, key images, messages, commands and page.

They are made from the facts that the ledger keeps (`Job.change`), so that all say the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from appliance.findings.change import TOTAL, Caveat, Criterion, Doubt, Obstacle
from appliance.reading.contract import HemorrhageType
from appliance.results.wording import OUTCOME_WORDS, millilitres

_NAMES: Final = {kind.value: kind.display for kind in HemorrhageType} | {TOTAL: "total"}
_BY: Final = {Criterion.MILLILITRES.value: "more than 6 mL", Criterion.SHARE.value: "more than a third"}
_OBSTACLES: Final = {
    Obstacle.PRIOR_PART.value: "the answer about the prior CT is about a part of the head",
    Obstacle.NEW_PART.value: "this answer is about a part of the head",
    Obstacle.BOTH_PARTS.value: "both answers are about a part of the head",
}
_CAVEATS: Final = {
    Caveat.OTHER_MODEL.value: "Another version of the network read the prior CT, which changes volumes too.",
    Caveat.OTHER_CRITERIA.value: "The prior CT was read with another threshold, which changes volumes too.",
    Caveat.MAYBE_RENAMED.value: "One type fell while another rose: it may be the same blood, called otherwise.",
    Caveat.FLAWED.value: "One of the two has motion, metal or a cut edge, which change volumes too.",
    Caveat.DISPUTED.value: "A reader disagreed with the answer about the prior CT.",
    Caveat.PASSED_OVER_PART.value: "A later CT was passed over, because its answer is about a part of the head.",
    Caveat.PASSED_OVER_SAME.value: "A CT less than half an hour before was passed over: it is of this examination.",
}
_DOUBTS: Final = {
    Doubt.PLACEHOLDER_ID.value: "the Patient ID is a placeholder that several patients may share",
    Doubt.OTHER_ISSUER.value: "the issuers of the Patient ID differ",
    Doubt.OTHER_BIRTH_DATE.value: "the birth dates differ, under one Patient ID",
    Doubt.OTHER_SEX.value: "the sexes differ, under one Patient ID",
    Doubt.OTHER_NAME.value: "the names differ, under one Patient ID",
    Doubt.ID_ALONE.value: "nothing but the Patient ID agrees, neither birth date nor family name",
    Doubt.SAME_EXAMINATION.value: "the other CT is less than half an hour older, and so of this examination",
    Doubt.UNDATED.value: "the other CT has no usable date",
    Doubt.NOT_IN_TIME.value: "it could not be looked for in time",
    Doubt.NO_TIME.value: "the header does not say when this CT was scanned",
    Doubt.SAME_DAY_NO_TIME.value: "two scans of one day, of which one has no time, have no order",
    Doubt.UNREADABLE.value: "the prior CT cannot be read",
}
_DAYS_FROM_H: Final = 72.0


def change_sentences(change: Mapping[str, Any], dated: bool = True) -> list[str]:
    """Return what a comparison says, sentence by sentence; nothing where there is no prior.

    `change` are the facts in the ledger. With `dated`, the time of the prior scan is named.
    """
    if "withheld" in change:
        return [f"No comparison with a prior CT, because {_DOUBTS.get(change['withheld'], change['withheld'])}."]
    if "prior" not in change:
        return []
    prior = change["prior"]
    when = f" ({prior['scanned'].replace('T', ' ')})" if dated and prior["scanned"] else ""
    said = [f"Prior head CT {apart(change)} before{when}: {OUTCOME_WORDS.get(prior['answer'], prior['answer'])}."]
    if not change["comparable"]:
        why = _OBSTACLES.get(change["obstacle"], change["obstacle"])
        return [*said, f"Volumes are not compared, because {why}.", *_caveats(change)]
    kinds = [kind for kind in change["now_ml"] if kind != TOTAL and (change["then_ml"][kind] or change["now_ml"][kind])]
    shown = [*kinds, TOTAL] if len(kinds) > 1 else kinds
    said += [f"{difference(change, shown)}."] if shown else []
    if change["grown"]:
        by = [f"{_name(one['what'])} by {_BY.get(one['criterion'], one['criterion'])}" for one in change["grown_by"]]
        only_kind = len(kinds) == 1 and len(by) > 1
        said.append(f"The hemorrhage has GROWN: {', '.join(by[:1] if only_kind else by)}.")
    elif kinds and change["then_ml"][TOTAL]:
        said.append("What was there has not grown by more than 6 mL or a third.")
    if change.get("new"):
        said.append(f"New, not there before: {', '.join(map(_name, change['new']))}.")
    return [*said, *_caveats(change)]


def change_headline(change: Mapping[str, Any]) -> str:
    """Return a comparison in a few words, as "grown: IPH +6.1 mL in 6.5 h"; empty where there is nothing to tell."""
    if not change.get("comparable") or not (change["then_ml"][TOTAL] or change["now_ml"][TOTAL]):
        return ""
    if not change["then_ml"][TOTAL]:
        return f"new since {apart(change)}"
    more = change["difference_ml"]
    grown = [one["what"] for one in change["grown_by"]]
    shown = [what for what in grown if what != TOTAL] or grown
    new = [f"new {_name(kind)}" for kind in change.get("new", ())] if TOTAL not in shown else []
    if shown:
        told = [", ".join(f"{_name(what)} {more[what]:+.1f} mL" for what in shown), *new]
        return f"grown: {', '.join(told)} in {apart(change)}"
    return f"{', '.join([*new, f'total {more[TOTAL]:+.1f} mL'])} in {apart(change)}"


def difference(change: Mapping[str, Any], shown: list[str]) -> str:
    """Return the volumes then and now: "IPH 30.0 mL then, 36.1 mL now (+6.1 mL, +20 %)"."""
    return "; ".join(_difference(change, what) for what in shown)


def apart(change: Mapping[str, Any]) -> str:
    """Return how far the two scans lie apart: "6.5 h", from three days on, and without times, "12 days"."""
    hours = float(change["hours"])
    if change["to_the_day"] or hours >= _DAYS_FROM_H:
        days = round(hours / 24)
        return f"{days} day{'' if days == 1 else 's'}"
    return f"{hours:.1f} h"


def _name(what: str) -> str:
    return _NAMES.get(what, what)


def _difference(change: Mapping[str, Any], what: str) -> str:
    then, now = change["then_ml"][what], change["now_ml"][what]
    name = _NAMES.get(what, what)
    if not then:
        return f"{name} none then, {millilitres(now)} now"
    percent = change["percent"][what]
    share = "" if percent is None else f", {percent:+.0f} %"
    after = millilitres(now) if now else "none"
    return f"{name} {millilitres(then)} then, {after} now ({change['difference_ml'][what]:+.1f} mL{share})"


def _caveats(change: Mapping[str, Any]) -> list[str]:
    return [_CAVEATS.get(one, one) for one in change["caveats"]]
