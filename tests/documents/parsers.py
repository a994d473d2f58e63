# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Whether a command line of the documents is one: each program's own parser reads it, and stops before it acts.

A module (`python -m simulator ...`, `appliance ...`) is started as Python starts it, in this process, and ended as soon
as its parser (Typer's or argparse's) has accepted the whole line; `make` and `install.sh` are asked likewise.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import re
import runpy
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from unittest import mock

from typer.core import TyperCommand, TyperGroup

from tests.documents.pages import ROOT
from tests.documents.shell_lines import Command

INSTALLER: Final = ROOT / "deploy" / "install.sh"
PYTHONS: Final = ("python", "python3.11", "bin/python")
_HAS_A_PARSER: Final = r"import typer|import argparse|import (app|main)\b"


class _Accepted(BaseException):
    """A parser has taken the whole line: what it is for is not done."""


def fault(command: Command) -> str | None:
    """Return what is wrong with a command line, "" if its own parser takes it, None if no parser here knows it."""
    program, arguments = command.program, list(command.arguments)
    if program == "appliance" or program.endswith("/bin/appliance"):
        return _module_fault("appliance", arguments)
    if program.endswith(PYTHONS):
        return _python_fault([word for word in arguments if word != "-P"], command.fed)
    if program == "podman-compose" and arguments[:1] == ["exec"]:
        return fault(Command(arguments[2], tuple(arguments[3:]), command.fed))
    if program == "kubectl" and "--" in arguments:
        inside = arguments[arguments.index("--") + 1 :]
        return fault(Command(inside[0], tuple(inside[1:])))
    if program == "make":
        return _make_fault(arguments)
    if program == "promtool":
        return _promtool_fault(arguments)
    if program == "sh" and arguments[0].endswith("deploy/install.sh"):
        return _installer_fault(arguments[1:])
    return None


def _python_fault(arguments: list[str], fed: str) -> str | None:
    if arguments[:1] in (["-"], ["-c"]):
        try:
            compile(fed if arguments[0] == "-" else arguments[1], "<documents>", "exec")
        except SyntaxError as error:
            return str(error)
        return ""
    if arguments[:2] == ["-m", "pytest"]:
        return _pytest_fault(arguments[2:])
    if arguments[:2] == ["-m", "venv"]:
        return ""
    if arguments[:1] == ["-m"]:
        return _module_fault(arguments[1], arguments[2:])
    return _file_fault(arguments[0], arguments[1:])


def _pytest_fault(arguments: list[str]) -> str:
    missing = [word for word in arguments if word.startswith("tests/") and not (ROOT / word).exists()]
    return f"not there: {missing}" if missing else ""


def _module_fault(module: str, arguments: list[str]) -> str:
    try:
        found = importlib.util.find_spec(module)
        if found is not None and found.submodule_search_locations is not None:
            found = importlib.util.find_spec(f"{module}.__main__")
    except ImportError as error:
        return f"{module}: {error}"
    if found is None or found.origin is None:
        return f"{module} cannot be started"
    if not re.search(_HAS_A_PARSER, Path(found.origin).read_text()):
        # There is nothing to parse, and it would begin its work at once.
        return f"{module} takes no arguments" if arguments else ""
    return _started(lambda: runpy.run_module(module, run_name="__main__", alter_sys=False), module, arguments)


def _file_fault(file: str, arguments: list[str]) -> str:
    if not (ROOT / file).is_file():
        return f"{file} is not there"
    return _started(lambda: runpy.run_path(str(ROOT / file), run_name="__main__"), file, arguments)


def _started(start: Any, name: str, arguments: list[str]) -> str:
    said = io.StringIO()
    with (
        warnings.catch_warnings(action="ignore"),
        _ending_once_parsed(),
        mock.patch.object(sys, "argv", [name, *arguments]),
    ):
        try:
            with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
                start()
        except _Accepted:
            return ""
        except SystemExit as ended:
            return f"ended with {ended.code}: {said.getvalue()[-600:]}"
        except ImportError as error:
            return f"{name}: {error}"
    return f"{name} has no parser that this test knows"


@contextlib.contextmanager
def _ending_once_parsed() -> Iterator[None]:
    """Let parsers parse to the end, and let nothing come after."""
    of_a_group, of_argparse = TyperGroup.invoke, argparse.ArgumentParser.parse_args

    def stop(self: TyperCommand, context: Any) -> Any:
        raise _Accepted

    def parse_only(self: argparse.ArgumentParser, *arguments: Any, **named: Any) -> Any:
        of_argparse(self, *arguments, **named)
        raise _Accepted

    def into_the_group(self: TyperGroup, context: Any) -> Any:
        if self.invoke_without_command and not context._protected_args:
            raise _Accepted
        return of_a_group(self, context)

    with (
        mock.patch.object(TyperCommand, "invoke", stop),
        mock.patch.object(TyperGroup, "invoke", into_the_group),
        mock.patch.object(argparse.ArgumentParser, "parse_args", parse_only),
    ):
        yield


def _make_fault(arguments: list[str]) -> str:
    """Look for each target and each variable in the Makefile; `make -n` would begin to install."""
    makefile = (ROOT / "Makefile").read_text()
    targets = [word for word in arguments if "=" not in word]
    unknown = [target for target in targets if f"\n{target}:" not in makefile]
    names = [word.partition("=")[0] for word in arguments if "=" in word]
    unused = [name for name in names if f"$({name})" not in makefile and f"{name}," not in makefile]
    return f"no such target: {unknown}" if unknown else f"no such variable: {unused}" if unused else ""


def _promtool_fault(arguments: list[str]) -> str:
    """Run it, for it only reads; tests/deploy/test_prometheus.py runs its tests of rules, which take long."""
    if arguments[:2] == ["test", "rules"]:
        return "" if (ROOT / arguments[2]).is_file() else f"{arguments[2]} is not there"
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, cwd=ROOT, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def _installer_fault(arguments: list[str]) -> str:
    """Let `install.sh` read its options; it ends where it would look at the machine."""
    script = INSTALLER.read_text()
    ending = script.replace("\n    check_machine\n", "\n    exit 0\n")
    assert ending != script
    done = subprocess.run(
        ["sh", "-s", "--", *arguments], input=ending, capture_output=True, text=True, cwd=ROOT, check=False
    )
    return "" if done.returncode == 0 else f"ended with {done.returncode}: {done.stderr}"


def block_fault(text: str) -> str:
    """Return what bash says of the grammar of a block, "" if nothing."""
    done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
    return done.stderr
