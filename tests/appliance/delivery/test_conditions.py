# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Conditions of rules: what is right, what is wrong, and what is said of it."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from appliance.delivery.conditions import Condition, ConditionError, EvaluationError
from appliance.delivery.variables import VARIABLES, Situation, values_of
from appliance.ledger.states import JobState
from tests.appliance.delivery.jobs import job

VALUES = values_of(Situation(job(), {"StationName": "CT9", "AccessionNumber": "ER-12"}, {"RemoteAET": "CT1"}))


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ('answer == "present"', True),
        ('answer == "present" && volume_ml.iph > 30.0', True),
        ("volume_ml.edh_sdh > 0.0", False),
        ('volume_ml["sah"] >= 1.5 && total_ml == 33.5', True),
        ('"iph" in types && !("edh_sdh" in types)', True),
        ('types.exists(t, t == "sah")', True),
        ("lesions == 3 && probability >= 0.9", True),
        ('accession.startsWith("ER-") && accession.matches("^ER-[0-9]+$")', True),
        ('station in ["CT1", "CT9"] && calling_aet == "CT1"', True),
        ('weekday in ["sat", "sun"] || hour < 7 || hour >= 18 || true', True),
        ('urgency == "urgent" && !requested && !partial', True),
        ('answer == "absent" // none found\n|| answer == "undetermined"', False),
        ('station == "absent words are another variable\'s"', False),
        ('earlier == ""', True),
        ('answer == r"present" && answer.startsWith("pre") && answer.matches("^(present|unread)$")', True),
        ('types == ["iph", "sah"] && types[0] == "iph"', True),
        ('["a", "b"].exists(answer, answer == "b")', True),
        ('["present", "absent"].exists(x, x == answer) && ["CT9"].exists(x, x == station)', True),
        ('(hour > 30 ? station : answer) == "present" && (hour > 30 ? "any" : answer) != "any"', True),
        ('answer == (hour > 30 ? "absent" : "present") && (hour > 30 ? "CT2" : "CT9") == station', True),
        ('volume_ml.exists(kind, kind == "sah" && volume_ml[kind] > 1.0)', True),
    ],
)
def test_a_condition_holds_or_does_not(text: str, holds: bool) -> None:
    assert Condition(text).holds(VALUES) is holds


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "Syntax error"),
        ("answer ==", "Syntax error"),
        ('anser == "present"', "no variable 'anser'; did you mean answer"),
        ("answer == 1", "no matching overload"),
        ("total_ml > 30", "write 30.0, not 30"),
        ("hour", "it says int, and a condition has to say true or false"),
        ('answer == "presnt"', "answer is never 'presnt'; did you mean 'present'?"),
        ('"present" != answer && "positive" == answer', "answer is never 'positive'"),
        ('answer in ["present", "refused"]', "answer is never 'refused'"),
        ('"ich" in types', "types is never 'ich'; did you mean 'iph'?"),
        ("volume_ml.sdh > 3.0", "volume_ml is never 'sdh'"),
        ('volume_ml["ivh"] > 3.0', "volume_ml is never 'ivh'"),
        ('weekday == "saturday"', "weekday is never 'saturday'"),
        ('"gap" in refusals', "refusals is never 'gap'"),
        ('station.matches("CT(")', "invalid regular expression"),
        ('station.matches(r"CT(")', "invalid regular expression"),
        ('station.matches("CT[0-9]") || (station + "x").matches("x)")', "unexpected )"),
        ('answer == r"presnt"', "answer is never 'presnt'; did you mean 'present'?"),
        ('answer == """presnt"""', "answer is never 'presnt'"),
        ("r'ihp' in types", "types is never 'ihp'; did you mean 'iph'?"),
        ('types == ["ihp"]', "types is never 'ihp'"),
        ('["iph", r"sha"] != types', "types is never 'sha'"),
        ('types.exists(t, t == "ihp")', "types is never 'ihp'"),
        ('types.all(one, one in ["iph", "shd"])', "types is never 'shd'"),
        ('size(types.filter(t, t.startsWith("subdural"))) > 0', "types never starts with 'subdural'"),
        ('types[0] == "ihp"', "types is never 'ihp'"),
        ('answer.matches("^(presnt|positive)$")', "answer never matches"),
        ('weekday.startsWith("mit")', "weekday never starts with 'mit'"),
        ('urgency.endsWith("gnet")', "urgency never ends with 'gnet'"),
        ('prior.contains("positive")', "prior never contains 'positive'"),
        ('volume_ml.exists(kind, kind == "sdh")', "volume_ml is never 'sdh'"),
        ("has(change_ml.sdh)", "change_ml is never 'sdh'"),
        ('(answer == "absent") || !(answer in ["present", "unraed"])', "answer is never 'unraed'"),
        ('(hour > 5 ? answer : earlier) == "presnt"', "answer or earlier is never 'presnt'; did you mean 'present'?"),
        ('answer == (hour > 5 ? "presnt" : "present")', "answer is never 'presnt'"),
        ('(hour > 5 ? answer : "unread") == "presnt"', "answer is never 'presnt'"),
        ('answer in (hour > 5 ? ["presnt"] : ["absent"])', "answer is never 'presnt'"),
        ('(hour > 5 ? types : refusals)[0] == "ihp"', "types or refusals is never 'ihp'"),
        ('(hour > 5 ? answer : earlier).startsWith("pos")', "answer or earlier never starts with 'pos'"),
        ('["presnt"].exists(x, x == answer)', "answer is never 'presnt'"),
        ('["iph", "shd"].all(x, x in types)', "types is never 'shd'"),
        ('["pos"].exists(x, answer.startsWith(x))', "answer never starts with 'pos'"),
        ('earlier == "none"', "earlier is never 'none'; it is one of present, undetermined, unread, absent, or \"\""),
        ("(" * 300 + "true" + ")" * 300, "recursion limit"),
    ],
)
def test_a_wrong_condition_is_told_in_a_sentence(text: str, said: str) -> None:
    with pytest.raises(ConditionError, match=r"(?s).*") as raised:
        Condition(text)
    assert said in str(raised.value)


def test_a_fault_in_a_condition_of_several_lines_is_told_with_its_line() -> None:
    with pytest.raises(ConditionError) as raised:
        Condition('answer == "present" &&\n  total_ml > 3.0 &&\n  sation == "CT1"')
    assert raised.value.line == 2
    assert "did you mean station or" in str(raised.value)
    with pytest.raises(ConditionError) as raised:
        Condition('answer == "present" ||\n  // a word\n  answer == "presnt"')
    assert raised.value.line == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 / (lesions - 3) > 0", "divide by zero"),
        ('types[7] == "iph"', "index"),
        ("int(accession) > 5", "cannot convert string to int"),
    ],
)
def test_what_cannot_be_evaluated_for_an_answer_is_an_error_of_its_own(text: str, said: str) -> None:
    with pytest.raises(EvaluationError, match=said):
        Condition(text).holds(VALUES)


def test_an_error_quotes_no_value_of_a_header() -> None:
    with pytest.raises(EvaluationError, match="Key not found") as raised:
        Condition("volume_ml[accession] > 1.0").holds(VALUES)
    assert "ER-12" not in str(raised.value)


def test_every_variable_has_a_value_of_its_type_for_an_answer_a_refusal_and_an_answer_of_an_older_version() -> None:
    types = {"STRING": str, "BOOL": bool, "INT": int, "DOUBLE": float, "STRINGS": list, "DOUBLES": dict}
    refused = job(state=JobState.REFUSED, answer={}, refusals=[{"code": "missing_slice", "reason": "a gap"}])
    older = job(answer={"present": False, "probability": 0.1, "lesions": []})
    for one in (job(), refused, older):
        values = values_of(Situation(one))
        for variable in VARIABLES:
            assert type(values[variable.name]) is types[variable.kind.name], variable.name
            if variable.words and isinstance(values[variable.name], str):
                assert values[variable.name] in variable.words
    values = values_of(Situation(refused))
    assert (values["answer"], values["refusals"], values["probability"]) == ("unread", ["missing_slice"], 0.0)
    assert values_of(Situation(older))["answer"] == "absent"


def test_a_part_without_hemorrhage_is_undetermined_and_the_answer_before_is_known() -> None:
    part = job(answer={"present": False, "probability": 0.1, "lesions": [], "coverage": {"partial": True}})
    values = values_of(Situation(part, earlier=job(state=JobState.SUPERSEDED)))
    assert (values["answer"], values["partial"], values["earlier"]) == ("undetermined", True, "present")
    first = job(state=JobState.SUPERSEDED, answer={}, sr_uid="1.2.3")
    assert values_of(Situation(part, earlier=first))["earlier"] == "unread"


def test_hour_and_weekday_are_those_of_the_sites_time_zone() -> None:
    # 2027-01-15 08:00 UTC, a Friday; in Auckland it is 21:00, in Honolulu Thursday 22:00.
    for zone, hour, day in (("UTC", 8, "fri"), ("Pacific/Auckland", 21, "fri"), ("Pacific/Honolulu", 22, "thu")):
        values = values_of(Situation(job(created=1_800_000_000.0), zone=ZoneInfo(zone)))
        assert (values["hour"], values["weekday"]) == (hour, day)
