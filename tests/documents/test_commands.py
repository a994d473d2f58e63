# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Every command in the documents is one: its own parser takes it, or it runs elsewhere, or here stands why it does not.

What a command does is not tried here: other tests do that, and `python -m tests.install` runs the blocks of
`tests/install/documented.py` as they stand, on a fresh Debian 12.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from tests.documents.pages import PAGES, ROOT, Block, blocks, words_in_code_type
from tests.documents.parsers import block_fault, fault
from tests.documents.shell_lines import Command, commands
from tests.install.documented import RUN_ON_THE_MACHINE

SHELL: Final = [block for page in PAGES for block in blocks(page) if block.language == "sh"]
PROMETHEUS: Final = "fetches packages of Debian; tests/deploy/test_monitored.py runs Prometheus on the same files"
FOLLOWER: Final = "runs until it is stopped; tests/end_to_end/test_routing.py runs the program on an Orthanc"
HISTORY: Final = "counts lines of commits that a shallow checkout does not have"
NOT_RUN: Final = {
    ("CONTRIBUTING.md", "var/atheris/bin/pip"): "fetches atheris",
    ("CONTRIBUTING.md", "git"): HISTORY,
    ("CONTRIBUTING.md", "awk"): HISTORY,
    ("CONTRIBUTING.md", "echo"): HISTORY,
    ("docs/operations.md", "apt-get"): PROMETHEUS,
    ("docs/operations.md", "echo"): PROMETHEUS,
    ("docs/operations.md", "cp"): PROMETHEUS,
    ("docs/operations.md", "install"): PROMETHEUS,
    ("docs/operations.md", "systemctl"): PROMETHEUS,
    (
        "docs/routing.md",
        "curl",
    ): "a study of the site's; tests/end_to_end/test_routing.py asks Orthanc the same",
    ("docs/routing.md", "install"): FOLLOWER,
    ("docs/routing.md", "printf"): FOLLOWER,
    ("docs/routing.md", "cd"): FOLLOWER,
}
"""By page and program, why a command that no parser here knows is not run."""
NOT_RUN_OF_PAGE: Final = {
    "docs/containers.md": "needs podman and the images; tests/deploy/containers/test_compose.py reads its files",
    "docs/kubernetes.md": "needs a cluster; tests/deploy/kubernetes/test_manifests.py renders and checks the manifests",
}
"""By page, why none of the commands that no parser here knows is run."""
UNITS: Final = {path.name for path in (ROOT / "deploy").rglob("*.service")} | {"hemorrhage-appliance.target"}
LIKE_A_COMMAND: Final = re.compile(
    r"(\S*/)?(appliance|python[\d.]*|make|sh|sudo|runuser|promtool|systemctl|journalctl|systemd-analyze) "
)
# What stands in code type for something of the site's.
PLACES: Final = {"NUMBER": "17", "VERSION": "2", "DIR": ".", "TREE": "."}


def unknown_commands(block: Block) -> list[Command]:
    """Return the commands of a block that no parser here knows; those that a parser refuses fail the test."""
    read = [(command, fault(command)) for command in commands(block.text)]
    assert [f"{command}: {wrong}" for command, wrong in read if wrong] == []
    return [command for command, wrong in read if wrong is None]


@pytest.mark.parametrize("block", SHELL, ids=str)
def test_each_command_of_a_block_is_one_and_runs_or_says_why_not(block: Block) -> None:
    assert block_fault(block.text) == ""
    unknown = unknown_commands(block)
    if block not in [documented.block() for documented in RUN_ON_THE_MACHINE] and block.page not in NOT_RUN_OF_PAGE:
        assert [str(command) for command in unknown if (block.page, command.program) not in NOT_RUN] == []


@pytest.mark.parametrize("page", PAGES)
def test_each_command_in_a_sentence_is_one(page: str) -> None:
    found = {}
    for words in filter(LIKE_A_COMMAND.match, words_in_code_type(page)):
        (command, *_) = (*commands(words), None)
        if command is None or not command.arguments or "{" in words:
            continue
        named = Command(command.program, tuple(PLACES.get(word, word) for word in command.arguments))
        wrong = fault(named)
        # A sentence may name a command without its arguments, or a group of commands, which then shows its help.
        unfinished = re.search(r"Missing (argument|option|command)|arguments are required", wrong or "")
        if wrong and not unfinished and "Error" in wrong:
            found[words] = wrong
    assert found == {}


@pytest.mark.parametrize("page", PAGES)
def test_each_unit_that_systemctl_or_journalctl_is_asked_for_is_installed(page: str) -> None:
    texts = [
        *filter(LIKE_A_COMMAND.match, words_in_code_type(page)),
        *(block.text for block in blocks(page) if block.language == "sh"),
    ]
    named = {
        word
        for text in texts
        for command in commands(text)
        if command.program in ("systemctl", "journalctl", "systemd-analyze")
        for word in command.arguments
        if word.startswith("hemorrhage-") and "*" not in word
    }
    assert {unit for unit in named if unit not in UNITS and f"{unit}.service" not in UNITS} == set()


def test_every_reason_is_of_a_command_that_is_there() -> None:
    there = {
        (block.page, command.program)
        for block in SHELL
        for command in commands(block.text)
        if block not in [documented.block() for documented in RUN_ON_THE_MACHINE]
    }
    assert set(NOT_RUN) - there == set()


def test_every_file_that_a_reason_names_is_there() -> None:
    reasons = [*NOT_RUN.values(), *NOT_RUN_OF_PAGE.values()]
    named = [path for reason in reasons for path in re.findall(r"tests/[\w/]+\.py", reason)]
    assert [path for path in named if not (ROOT / path).is_file()] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_fenced_block_says_what_it_is(page: str) -> None:
    known = {"sh", "toml", "json", "python", "ini", "text", "lua", "yaml"}
    assert [str(block) for block in blocks(page) if block.language not in known] == []


@pytest.mark.parametrize(
    "line",
    [
        "appliance outbox retri 17",
        "appliance drift freeze --studdies 3",
        "python -m simulator audit --study 4",
        "python -m conversion engin",
        "python -m benchmarks.gone",
        ".venv/bin/python deploy/routing/follow_answers.py --uri x",
        "make demo SED=7",
        "make demonstration",
        "sh deploy/install.sh upgrade --ofline BUNDLE",
        "promtool check config deploy/prometheus/rules/hemorrhage.rules.yml",
        "python -m pytest tests/gone.py",
        "python -c 'print(('",
    ],
)
def test_a_command_with_a_wrong_word_is_refused(line: str) -> None:
    (command,) = commands(line)
    assert fault(command)


def test_parsing_a_command_does_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (command,) = commands(f"python -m simulator study --seed 1 --diagnosis iph --out {tmp_path / 'study'}")
    assert fault(command) == ""
    assert list(tmp_path.iterdir()) == []
