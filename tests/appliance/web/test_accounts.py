# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from appliance.cli import app
from appliance.errors import SettingsError
from appliance.web.accounts import Account, Accounts, Role, new_account, read_accounts, write_accounts


def basic(name: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "accounts.toml"


def make_accounts(file: Path, *named: tuple[str, Role]) -> list[str]:
    """Write accounts of these names and roles, and return their secrets."""
    pairs = [new_account(name, role) for name, role in named]
    write_accounts(file, [account for account, _ in pairs])
    return [secret for _, secret in pairs]


def test_an_account_is_known_by_its_secret_with_its_own_name_or_alone(file: Path) -> None:
    anna, carl = make_accounts(file, ("anna", Role.ACT), ("carl.k_1", Role.LOOK))
    accounts = Accounts(file)

    def name(header: str) -> str | None:
        found = accounts.identify(header)
        return found and found.name

    assert name(basic("anna", anna)) == name(f"Bearer {anna}") == name(f"bearer  {anna}") == "anna"
    assert name(basic("carl.k_1", carl)) == "carl.k_1"
    assert name(basic("carl.k_1", anna)) is None
    assert name(basic("anna", "")) is None
    assert name(basic("", anna)) is None
    assert name(f"Digest {anna}") is None
    assert name(anna) is None
    assert name("") is None


@given(st.text(max_size=600))
def test_no_header_is_a_fault_and_none_that_is_made_up_is_an_account(header: str) -> None:
    accounts = Accounts.__new__(Accounts)
    Accounts.__init__(accounts, Path("/nonexistent/accounts.toml"))
    assert accounts.identify(header) is None
    assert accounts.identify(f"Basic {header}") is None


def test_the_file_holds_no_secret_and_nobody_else_may_read_it(file: Path) -> None:
    (secret,) = make_accounts(file, ("anna", Role.ACT))
    assert secret not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0
    file.chmod(0o640)
    with pytest.raises(SettingsError, match="chmod 600"):
        read_accounts(file)


def test_a_change_of_the_file_counts_at_once(file: Path) -> None:
    accounts = Accounts(file)
    (anna,) = make_accounts(file, ("anna", Role.ACT))
    assert accounts.identify(f"Bearer {anna}") is not None
    make_accounts(file, ("carl", Role.LOOK))
    assert accounts.identify(f"Bearer {anna}") is None


@pytest.mark.parametrize(
    "text",
    [
        "[anna]\nrole = 'act'\n",
        "[anna]\nrole = 'king'\nsha256 = '" + "0" * 64 + "'\n",
        "[anna]\nrole = 'act'\nsha256 = 'plain'\n",
        "[anna]\nrole = 'act'\nsha256 = 7\n",
        "['an:na']\nrole = 'act'\nsha256 = '" + "0" * 64 + "'\n",
        "anna = 'hunter2'\n",
        "hunter2",
    ],
)
def test_a_file_that_is_none_is_told_of_without_what_stands_in_it_and_lets_nobody_in(file: Path, text: str) -> None:
    (anna,) = make_accounts(file, ("anna", Role.ACT))
    accounts = Accounts(file)
    file.write_text(text)
    with pytest.raises(SettingsError, match="no file of accounts") as raised:
        read_accounts(file)
    assert "hunter2" not in str(raised.value)
    assert accounts.identify(f"Bearer {anna}") is None


@pytest.mark.parametrize("name", ["", "a b", "a:b", "ä", ".", "a" * 41, "a\n", "-a"])
def test_an_odd_name_is_no_accounts(name: str) -> None:
    with pytest.raises(SettingsError, match="letters, digits"):
        new_account(name, Role.LOOK)


def test_accounts_are_made_listed_and_ended_by_command(tmp_path: Path) -> None:
    settings = tmp_path / "appliance.toml"
    settings.write_text(f"state_dir = '{tmp_path / 'state'}'\n")
    run = CliRunner()

    def command(*words: str) -> str:
        done = run.invoke(app, ["accounts", *words, "--settings", str(settings)])
        assert done.exit_code == 0, done.output
        return done.stdout

    file = tmp_path / "state" / "accounts.toml"
    first = command("add", "anna", "look").strip()
    second = command("add", "anna", "act").strip()
    accounts = Accounts(file)
    assert accounts.identify(f"Bearer {first}") is None
    known = accounts.identify(f"Bearer {second}")
    assert isinstance(known, Account)
    assert known.role is Role.ACT
    assert '"anna"' in command("list", "--json")
    assert second not in command("list")
    command("remove", "anna")
    assert read_accounts(file) == ()
    assert run.invoke(app, ["accounts", "remove", "anna", "--settings", str(settings)]).exit_code == 1
