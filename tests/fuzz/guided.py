# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.fuzz.guided`: spoiled input that atheris (libFuzzer) leads by the code it reaches, one target a run.

It begins with inputs of `tests.fuzz` and goes on from those that reach something new, which it keeps. What it finds is
written into the folder as `TARGET-…`, as `tests.fuzz` writes it, and can be put among the seeds. atheris is in none of
the locks: CONTRIBUTING.md says how this is run.
"""

from __future__ import annotations

import json
import random
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import structlog
import typer

if TYPE_CHECKING:
    from tests.fuzz.targets import Target

_FIRST_INPUTS = 300
_LONGEST_S = 20
_MOST_MIB = 3000


def main(
    name: Annotated[str, typer.Option("--target", help="files or http")] = "files",
    minutes: Annotated[float, typer.Option(help="End after this time")] = 5,
    seed: Annotated[int, typer.Option(help="The same seed begins with the same inputs")] = 1,
    folder: Annotated[Path, typer.Option(help="Folder for inputs and findings")] = Path("var/guided"),
) -> None:
    """Feed a target until the time is over or something is found; exit 0 when nothing was."""
    try:
        import atheris
    except ModuleNotFoundError:
        print("atheris is not installed here; CONTRIBUTING.md says how this is run", file=sys.stderr)
        raise SystemExit(2) from None
    warnings.simplefilter("ignore")  # pydicom tells of what was spoiled
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    with atheris.instrument_imports(include=["appliance", "pydicom"]):
        from tests.fuzz.targets import TARGETS
    target = TARGETS[name]()
    inputs = folder / name
    inputs.mkdir(parents=True, exist_ok=True)
    for number in range(_FIRST_INPUTS):
        (inputs / f"first-{seed}-{number}").write_bytes(target.make(random.Random(f"{seed}-{number}")))

    options = [f"-max_total_time={int(60 * minutes)}", f"-timeout={_LONGEST_S}", f"-rss_limit_mb={_MOST_MIB}"]
    options += [f"-artifact_prefix={folder}/{name}-", str(inputs)]
    atheris.Setup([sys.argv[0], *options], lambda data: feed(target, data))
    atheris.Fuzz()


def feed(target: Target, data: bytes) -> None:
    """Feed an input that a mutation of bytes may have made; one that is no input of this target proves nothing."""
    if (target.name == "http" and not _is_request(data)) or len(data) < 2:
        return
    target.feed(data)


def _is_request(data: bytes) -> bool:
    try:
        request = json.loads(data)
        texts = [request[name] for name in ("method", "path", "query", "body")]
        texts += [text for header in request["headers"] for text in header]
        for text in (*texts[2:], *texts[:2]):
            text.encode("latin1")
        return request["app"] in (0, 1) and all(len(header) == 2 for header in request["headers"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False


if __name__ == "__main__":
    typer.run(main)
