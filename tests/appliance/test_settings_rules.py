# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Rules and destinations in the settings file: what is wrong is told with its line, and stops the start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from appliance.cli import app
from appliance.errors import SettingsError
from appliance.settings_sources import load_settings
from deploy.local.settings_file import write_settings

DESTINATIONS = """
[destinations.pacs]
kind = "orthanc-modality"
modality = "PACS"

[destinations.ris]
kind = "hl7"
host = "10.0.0.7"
port = 2575
"""
RULE = """
[[rules]]  # the first
name = "bleeds go first"
when = 'answer == "present"'
first = true
actions = [{ to = "pacs", send = ["sr", "seg"] }, { to = "ris" }]
"""
LONG = '''
[[rules]]  # the second
name = "a long one"
when = """
answer == "present" &&
  # [[rules]] is no heading here
  total_ml > 30.0
"""
actions = [{ to = "ris" }]
'''.replace("  # [[rules]] is no heading here\n", "  // [[rules]] is no heading here\n")


def fault(tmp_path: Path, text: str) -> str:
    file = tmp_path / "appliance.toml"
    file.write_text(text)
    with pytest.raises(SettingsError) as raised:
        load_settings(file)
    return str(raised.value)


def line_of(text: str, words: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), start=1) if words in line)


def test_rules_and_destinations_are_read_and_written_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "appliance.toml"
    file.write_text(DESTINATIONS + RULE)
    loaded = load_settings(file)
    (rule,) = loaded.rules
    assert (rule.name, rule.first, rule.last, rule.actions[0].send) == ("bleeds go first", True, False, ("sr", "seg"))
    assert loaded.destinations["ris"].kind == "hl7"
    again = load_settings(write_settings(loaded, tmp_path / "again.toml"))
    assert (again.rules, again.destinations) == (loaded.rules, loaded.destinations)


@pytest.mark.parametrize(
    ("right", "wrong", "where", "said"),
    [
        ('answer == "present"\'', 'answer == "presnt"\'', "when =", "answer is never 'presnt'"),
        ("total_ml > 30.0", "total > 30.0", "total > 30", "no variable 'total'"),
        ("total_ml > 30.0", "total_ml > 30", "total_ml > 30", "write 30.0, not 30"),
        ('to = "pacs"', 'to = "pax"', "# the first", "there is no destination 'pax' (there are: pacs, ris)"),
        (', send = ["sr", "seg"]', "", "# the first", "'pacs' takes objects: say which"),
        ('{ to = "ris" }]\n\n', '{ to = "ris", send = ["sr"] }]\n\n', "# the first", "takes a message, no objects"),
        ('send = ["sr", "seg"]', 'send = ["sr", "sgg"]', "actions =", "'key-images'"),
        ("first = true", "firts = true", "firts", "did you mean"),
        ('name = "a long one"\n', "", "# the second", "Field required"),
    ],
)
def test_a_wrong_rule_is_told_with_its_line(tmp_path: Path, right: str, wrong: str, where: str, said: str) -> None:
    text = DESTINATIONS + RULE + LONG
    assert right in text
    text = text.replace(right, wrong, 1)
    told = fault(tmp_path, text)
    assert said in told
    assert f"(line {line_of(text, where)})" in told


def test_two_rules_of_one_name_and_a_rule_that_does_nothing_are_wrong(tmp_path: Path) -> None:
    text = DESTINATIONS + RULE + RULE
    told = fault(tmp_path, text)
    assert "'bleeds go first' is there twice" in told
    assert f"(line {len((DESTINATIONS + RULE).splitlines()) + 2})" in told
    assert "a rule needs actions" in fault(tmp_path, '[[rules]]\nname = "idle"\nwhen = "true"\n')


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ('[destinations.fax]\nkind = "fax"', "destinations.fax: there is no such kind; kind = one of orthanc-modality"),
        ("[destinations.fax]\nport = 1", "destinations.fax: kind is missing"),
        ('[destinations.hook]\nkind = "webhook"', "destinations.hook.url"),
        (
            '[destinations.hook]\nkind = "webhook"\nurl = "http://me:hunter2@there"',
            "destinations.hook.url: http://HOST",
        ),
        (
            '[destinations.hook]\nkind = "webhook"\nurl = "http://there"\nport = 7',
            "destinations.hook.port: no such setting",
        ),
        ('[destinations.m]\nkind = "mail"\nhost = "m"\nsender = "box"\nrecipients = []', "an address is allowed"),
        ('[destinations."a b"]\nkind = "hl7"\nhost = "ris"\nport = 1', "destinations.a b"),
        ('[delivery]\ntime_zone = "Europe/Vienne"', "IANA name"),
        ('destinations = "pacs"', "destinations"),
    ],
)
def test_a_wrong_destination_is_told_by_its_name_and_without_a_secret(tmp_path: Path, toml: str, said: str) -> None:
    told = fault(tmp_path, toml)
    assert said in told
    assert "hunter2" not in told


def test_the_service_does_not_start_with_a_wrong_rule_and_says_where_it_is(tmp_path: Path) -> None:
    file = tmp_path / "appliance.toml"
    file.write_text(DESTINATIONS + RULE.replace("present", "presnt"))
    for command in (["serve"], ["rules", "check"]):
        call = [sys.executable, "-m", "appliance", *command, "--settings", str(file)]
        done = subprocess.run(call, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 2
        assert f"rules.0.when (line {line_of(file.read_text(), 'when =')})" in done.stderr


def test_the_settings_are_shown_with_the_tables_that_they_are() -> None:
    shown = CliRunner().invoke(app, ["settings"], env={"COLUMNS": "400"}).stdout
    assert "each a table [[rules]], read from the top" in shown
    assert "each a table [destinations.NAME]" in shown


def test_without_a_rule_the_library_of_conditions_is_not_loaded() -> None:
    code = (
        "import sys, appliance.settings, appliance.service; "
        "sys.exit(any(name.startswith(('cel_', 'hl7apy')) for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=300).returncode == 0
