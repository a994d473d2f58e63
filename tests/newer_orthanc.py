# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.newer_orthanc TREE`: the labels of answers and rules, in a newer Orthanc than that of Debian 12.

TREE is a Debian 13 whose Orthanc (1.12.7) is run without installing it:

    debootstrap --variant=minbase --include=orthanc trixie TREE
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer
from pydicom.uid import generate_uid
from rich.console import Console

from deploy.local import orthanc
from tests.appliance.delivery.site import Site, post_at
from tests.appliance.stand_in import head_series

app = typer.Typer(add_completion=False)


def write_launcher(tree: Path, folder: Path) -> Path:
    """Write a program that runs the tree's Orthanc with the tree's libraries; return it."""
    launcher = folder / "Orthanc"
    loader, libraries = tree / "lib64/ld-linux-x86-64.so.2", tree / "usr/lib/x86_64-linux-gnu"
    program, dictionary = tree / "usr/sbin/Orthanc", tree / "usr/share/dcmtk/dicom.dic"
    launcher.write_text(
        f'#!/bin/sh\nexport DCMDICTPATH="{dictionary}"\nexec "{loader}" --library-path "{libraries}" "{program}" "$@"\n'
    )
    launcher.chmod(0o755)
    return launcher


@app.command()
def main(tree: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="Folder of the Debian 13")]) -> None:
    """Answer a study twice, and say which labels study and report have each time. Exit 1 if they are wrong."""
    console, study = Console(highlight=False), str(generate_uid())
    rules = [{"name": "first", "when": 'earlier == ""', "actions": [{"mark": "first-look"}]}]
    files = head_series(study, 20)
    with tempfile.TemporaryDirectory(prefix="newer-orthanc-") as work:
        folder = Path(work)
        orthanc.PROGRAM = write_launcher(tree.resolve(), folder)
        with Site(folder / "site").running() as site, post_at(site.with_rules({}, rules), folder / "post") as post:
            held = post.bench.desk.orthanc
            console.print(f"Orthanc {held.system()['Version']}; it has labels: {held.has_labels()}")
            post.answer(*files[:14])
            job = post.bench.job(study)
            report = next(
                f"series/{one.orthanc_series}"
                for one in post.bench.desk.ledger.jobs.results(job.id)
                if one.sop_instance_uid == job.sr_uid
            )
            seen = []
            for more in ([], files[14:]):
                if more:
                    held.set_label(f"studies/{job.orthanc_study}", "teaching")  # of somebody else
                    post.answer(*more)
                seen.append((held.labels(f"studies/{job.orthanc_study}"), held.labels(report)))
                console.print(f"study: {sorted(seen[-1][0])}, report of the first answer: {sorted(seen[-1][1])}")
    answer = "hemorrhage-present"
    if seen != [({answer, "first-look"}, {answer, "first-look"}), ({answer, "teaching"}, {answer})]:
        console.print("these are not the labels that they should have", style="red")
        raise typer.Exit(1)


if __name__ == "__main__":
    app(prog_name="python -m tests.newer_orthanc")
