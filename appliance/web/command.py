# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`appliance accounts`: who may use the service from other machines."""

from __future__ import annotations

import json

import typer
from rich.markup import escape

from appliance.console import (
    JsonOption,
    SettingsOption,
    faults_end_the_command,
    folding_table,
    load_settings_or_exit,
    out,
    say,
)
from appliance.errors import SettingsError
from appliance.web.accounts import Role, new_account, read_accounts, write_accounts

accounts_app = typer.Typer(
    no_args_is_help=True, help="Who may use the service from other machines (access.host): names, roles and secrets."
)


@accounts_app.command("add")
def add_account(name: str, role: Role, settings: SettingsOption = None) -> None:
    """Create an account and print its secret once. Only a sha256 of it is stored; an older secret becomes invalid."""
    file = load_settings_or_exit(settings).accounts_file
    with faults_end_the_command():
        account, secret = new_account(name, role)
        write_accounts(file, [*(one for one in read_accounts(file) if one.name != name), account])
    say(f"{name} may {role}; its secret, shown this once:")
    typer.echo(secret)


@accounts_app.command("remove")
def remove_account(name: str, settings: SettingsOption = None) -> None:
    """Delete an account. A running service rejects it from then on."""
    file = load_settings_or_exit(settings).accounts_file
    with faults_end_the_command():
        accounts = read_accounts(file)
        if name not in {one.name for one in accounts}:
            raise SettingsError(f"{file}: no account {name!r} is there; see `appliance accounts list`")
        write_accounts(file, [one for one in accounts if one.name != name])


@accounts_app.command("list")
def list_accounts(settings: SettingsOption = None, as_json: JsonOption = False) -> None:
    """Show the accounts and their roles. Secrets cannot be shown."""
    with faults_end_the_command():
        accounts = read_accounts(load_settings_or_exit(settings).accounts_file)
    if as_json:
        typer.echo(json.dumps([{"name": one.name, "role": one.role} for one in accounts], indent=2))
        return
    table = folding_table("account", "role")
    for one in accounts:
        table.add_row(escape(one.name), one.role)
    out.print(table)
