# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The simulator's command line: `study` writes one study; `cohort`, `audit` and `gallery` have modules of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simulator.audit.command import audit
from simulator.bleeding import UnlabelledBleedError
from simulator.cohort_command import cohort
from simulator.diagnosis import Diagnosis
from simulator.dicom import TransferSyntax
from simulator.gallery.command import gallery
from simulator.headers import Descriptions
from simulator.population import POPULATIONS, REALISTIC
from simulator.series import EVERY_SERIES, NATIVE_STUDY, PatientPosition, SeriesKind
from simulator.study import StudySpec, write_study
from simulator.vendors import VendorName

app = typer.Typer(
    help="Simulated head CTs with known blood, for tests, demonstrations and training. No patient is behind them.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_show_locals=False,
)

_SETS = {"full": NATIVE_STUDY, "every": EVERY_SERIES}
_SERIES_HELP = (
    f"Series beside the axial soft-tissue one, comma-separated: {', '.join(SeriesKind)}; or `full` for what a "
    "head CT without contrast agent leaves behind, `every` for all. If not given, the scouts of those vendors that "
    "send them with every study."
)


app.command()(cohort)
app.command()(audit)
app.command()(gallery)


@app.command()
def study(
    seed: Annotated[int, typer.Option(min=0, help="The patient, the bleed and the scanner follow it.")],
    diagnosis: Annotated[Diagnosis, typer.Option(help="The type of blood in the head, or none.")],
    out: Annotated[Path, typer.Option(help="Folder to write into; an earlier simulated study in it is replaced.")],
    volume_ml: Annotated[
        float | None, typer.Option("--volume-ml", min=0.001, help="How much blood, mL. Drawn if not given.")
    ] = None,
    series: Annotated[str | None, typer.Option(help=_SERIES_HELP)] = None,
    vendor: Annotated[VendorName | None, typer.Option(help="Whose header habits. Drawn if not given.")] = None,
    slices: Annotated[int | None, typer.Option(min=2, help="Axial slices. What covers the head if not given.")] = None,
    spacing_mm: Annotated[
        float | None,
        typer.Option("--spacing-mm", min=0.3, max=10.0, help="Distance of axial slices. Drawn if not given."),
    ] = None,
    matrix: Annotated[int, typer.Option(min=64, max=1024, help="Rows and columns of axial images.")] = 512,
    tilt: Annotated[
        float | None,
        typer.Option(min=-35.0, max=35.0, help="Gantry tilt, degrees. Drawn if not given."),
    ] = None,
    mixed_spacing: Annotated[
        bool, typer.Option("--mixed-spacing", help="2.5 mm slices through the skull base, 5 mm above.")
    ] = False,
    orientation: Annotated[
        PatientPosition,
        typer.Option(
            help="How the patient lies: head or feet first (H, F), supine, prone, or on the left or right side "
            "(S, P, DL, DR). The same scan, its planes stored in eight ways."
        ),
    ] = PatientPosition.HFS,
    transfer_syntax: Annotated[TransferSyntax, typer.Option(help="All of them lossless.")] = TransferSyntax.EXPLICIT,
    signed: Annotated[
        bool | None, typer.Option("--signed/--unsigned", help="Number format of pixels. The vendor's if not given.")
    ] = None,
    descriptions: Annotated[
        Descriptions | None, typer.Option(help="How truthful series descriptions are. Drawn if not given.")
    ] = None,
    population: Annotated[
        str, typer.Option(help=f"What head, bleed and scanner are drawn from: {', '.join(POPULATIONS)}.")
    ] = REALISTIC.name,
    new_uids: Annotated[
        bool, typer.Option("--new-uids", help="UIDs that no study had before, instead of ones that follow the options.")
    ] = False,
) -> None:
    """Write one head CT as DICOM files, with truth.json and truth.npy beside them.

    truth.npy is uint8 [Z, Y, X] of the axial soft-tissue series: Z by rising position along the slice normal, foot
    first; Y and X as stored in the files; 0 none, 1 iph, 2 edh_sdh, 3 sah. truth.json has the type, the mL wanted and
    labelled, the slices that hold blood and every series with its UIDs and files.

    Example: python -m simulator study --seed 7 --diagnosis iph --series full --out var/study
    """
    try:
        spec = StudySpec(
            seed=seed,
            diagnosis=diagnosis,
            volume_ml=volume_ml,
            series=_kinds(series),
            vendor=vendor,
            slices=slices,
            spacing_mm=spacing_mm,
            matrix=matrix,
            tilt_deg=tilt,
            mixed_spacing=mixed_spacing,
            orientation=orientation,
            transfer_syntax=transfer_syntax,
            signed=signed,
            descriptions=descriptions,
            new_uids=new_uids,
            population=population,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    try:
        written = write_study(spec, out)
    except UnlabelledBleedError as error:
        typer.echo(f"no study in {out}: {error}", err=True)
        raise typer.Exit(1) from error
    truth = written.truth
    typer.echo(f"{len(written.all_files)} files in {out}: {spec.vendor_name}, {', '.join(written.files)}")
    typer.echo(f"{truth.type}, {truth.volume_ml:.2f} mL on {len(truth.slices)} of {len(truth.positions_mm)} slices")
    if truth.wanted_ml is not None:
        got = f"{truth.volumes_ml[truth.type]:.4g} mL of {truth.type} labelled, {truth.wanted_ml:.4g} mL wanted"
        if written.volume_fits:
            typer.echo(got)
        else:
            little = truth.volumes_ml[truth.type] < truth.wanted_ml
            typer.echo(f"warning: {got}{': the site has no room for it' if little else ''}", err=True)


def _kinds(text: str | None) -> tuple[SeriesKind, ...] | None:
    """Return the kinds of series that `--series` names."""
    if text is None:
        return None
    if text in _SETS:
        return _SETS[text]
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in list(SeriesKind):
            raise ValueError(f"--series names {', '.join((*SeriesKind, *_SETS))}, not {name!r}")
    return tuple(SeriesKind(name) for name in names)


def main() -> None:
    """Run the command line under the name that starts it."""
    app(prog_name="python -m simulator")
