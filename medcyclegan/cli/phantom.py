"""The command `phantom`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from medcyclegan.cli.options import FileFormat, OutFolder, path_of
from medcyclegan.cli.stopping import stoppable

Domain = Literal["contrast", "noncontrast"]
Setting = Literal["abdomen", "stars"]
Role = Literal["train", "test"]
Phase = Literal["arterial", "venous", "delayed"]

OF_PATIENTS = ("patients", "domain", "setting", "role", "size", "slices", "plain")
OF_SCANS = ("labels", "tissues", "phase", "dose")


def phantom(
    context: typer.Context,
    out: OutFolder,
    *,
    patients: Annotated[int | None, typer.Option(min=1, help="How many to make.")] = None,
    domain: Annotated[Domain, typer.Option(help="Whose images.")] = "contrast",
    file_format: Annotated[FileFormat, typer.Option("--format", help="Of the images.")] = "nifti",
    seed: Annotated[int, typer.Option(min=0, help="Of all random numbers.")] = 0,
    setting: Annotated[
        Setting, typer.Option(help="Anatomy and HU table; stars is for checks, not for tuning.")
    ] = "abdomen",
    role: Annotated[Role, typer.Option(help="No patient of one is among the other.")] = "train",
    size: Annotated[int, typer.Option(min=16, help="Rows and columns.")] = 128,
    slices: Annotated[int, typer.Option(min=2, help="In each volume.")] = 32,
    plain: Annotated[
        bool,
        typer.Option("--plain", help="Domains differ in contrast medium alone, without findings."),
    ] = False,
    scan: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="SCAN",
            parser=path_of,
            help="A real scan without contrast medium to put some in, instead of patients.",
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(metavar="LABELS", parser=path_of, help="Label map of that scan's organs."),
    ] = None,
    tissues: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            parser=path_of,
            help="YAML of what its values mean, as evaluate takes it; default: TotalSegmentator's.",
        ),
    ] = None,
    phase: Annotated[Phase, typer.Option(help="Of the contrast medium in that scan.")] = "venous",
    dose: Annotated[
        float | None, typer.Option(help="Of it, 1 is usual; default: drawn from the seed.")
    ] = None,
) -> None:
    """Make CT with exact twins: phantom patients, or a real scan with contrast medium put in.

    OUT gets images, labels, twins (the truth in the other phase), second (another acquisition of
    it), target (on another scanner) and cohort.json. It appears whole or not at all.
    """
    _check_mode(context, from_scan=scan is not None)
    with stoppable(f"{out}: stopped; nothing was written, the same command begins anew"):
        if scan is not None and labels is not None:
            _from_scan(
                out,
                scan,
                labels,
                tissues=tissues,
                phase=phase,
                dose=dose,
                seed=seed,
                file_format=file_format,
            )
        elif patients is not None:
            from medcyclegan.cohort import write_cohort

            write_cohort(
                out,
                patients,
                domain=domain,
                file_format=file_format,
                seed=seed,
                setting=setting,
                role=role,
                plain=plain,
                size=size,
                slices=slices,
            )
    made = f"{patients} patient{'s' * (patients != 1)}"
    typer.echo(f"{out}: {'a semi-real scan with its twin' if scan else made}")


def _check_mode(context: typer.Context, *, from_scan: bool) -> None:
    """Refuse options of the one way to make images where the other was asked for."""
    params = context.params
    if from_scan and params["labels"] is None:
        raise typer.BadParameter("--from needs --labels: where its organs are")
    if not from_scan and params["patients"] is None:
        raise typer.BadParameter("give --patients, or a real scan by --from")
    for name in OF_PATIENTS if from_scan else OF_SCANS:
        source = context.get_parameter_source(name)
        if source is not None and source.name != "DEFAULT":
            word = "without" if from_scan else "with"
            raise typer.BadParameter(f"--{name} goes {word} --from alone")


def _from_scan(
    out: Path,
    scan: Path,
    labels: Path,
    *,
    tissues: Path | None,
    phase: Phase,
    dose: float | None,
    seed: int,
    file_format: FileFormat,
) -> None:
    from medcyclegan.cases import read_labels_of
    from medcyclegan.cohort import check_phantom_names, write_semireal
    from medcyclegan.config.tissues import load_tissues
    from medcyclegan.io import own_name, read_volume
    from medcyclegan.io.formats import split_suffix

    known = None if tissues is None else load_tissues(tissues)
    if known is not None:
        check_phantom_names(known, f"{tissues}")
    volume = read_volume(scan)
    write_semireal(
        out,
        volume,
        read_labels_of(volume, labels),
        name=split_suffix(own_name(scan))[0],
        tissues=known,
        phase=phase,
        dose=dose,
        seed=seed,
        file_format=file_format,
    )
