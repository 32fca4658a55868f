"""Augment: every volume of a data set, translated, with its labels and a manifest."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from medcyclegan.augment.summary import Report, Summary
from medcyclegan.augment.work import Work
from medcyclegan.cases import Cases, find_cases
from medcyclegan.domains import direction_into
from medcyclegan.errors import CheckpointError, InputError, VolumeError
from medcyclegan.files import alone_in
from medcyclegan.intensity import check_strength
from medcyclegan.io.formats import WRITERS
from medcyclegan.io.stored import ReadOptions
from medcyclegan.manifest import Manifest, check_apart, check_paths
from medcyclegan.translator import Translator

__all__ = ["Summary", "augment", "newest_run"]

RUNS = Path("runs")
READ_AS_IS = ReadOptions()


def augment(
    volumes: Path,
    out: Path,
    *,
    checkpoint: Path | None = None,
    translator: Translator | None = None,
    to: str | None = None,
    labels: Path | None = None,
    strength: float = 1.0,
    file_format: str = "nifti",
    keep_identifiers: bool = False,
    options: ReadOptions = READ_AS_IS,
    device: str = "auto",
    batch_size: int = 8,
    overwrite: bool = False,
    dry_run: bool = False,
    say: Callable[[str], None] = print,
    show: Callable[[str], None] = print,
) -> Summary:
    """Translate every volume found, and write it on its own grid with its labels and a manifest.

    Whatever has a final name is whole. What an interrupted run finished is not made again, and in
    the end the folder is the same, byte for byte, as without the interruption.

    Args:
        volumes: a file, a folder tree, a DICOM series; a folder that holds `imagesTr` is read as
            an nnU-Net or Medical Segmentation Decathlon data set, labels included.
        out: folder to write to: new, empty, or begun by an earlier run.
        checkpoint: run or model, see `Translator.load`; by default the run below `runs` that
            finished last.
        translator: instead of a checkpoint.
        to: the domain to translate into, by its name; by default domain b.
        labels: folder of label maps named like the volumes, or for one volume a file.
        strength: share of the change that is applied, 0 to 2.
        file_format: of the outputs: a key of `io.WRITERS`; labels are NIfTI with all of them.
        keep_identifiers: a DICOM output says of the patient, the place and the time what its DICOM
            source says; otherwise it names nobody.
        options: what is resampled or split on reading, and not refused.
        device: for a checkpoint: "auto", "cpu", "cuda:0", ...
        batch_size: slices that pass the networks at once.
        overwrite: write to `out` whatever it holds, and make everything anew.
        dry_run: read and check all, but translate and write nothing, and show what would be.
        say: told, one line each, which run is taken, the warnings, and what is refused.
        show: told, one line each, what a dry run would write.

    Returns:
        What was written, skipped and refused. Some may be refused; if nothing else was there, this
        raises.

    Raises:
        InputError: nothing was written: no volume that can be translated, no model, no such
            domain, an `out` that holds other things, another model's volumes or the input. Of
            several volumes that are refused it names the last; `say` was told the others.
        MedCycleGANError: a file cannot be written; what is finished stays.
    """
    check_strength(strength)
    _check_format(file_format, keep_identifiers)
    check_paths([volumes] if labels is None else [volumes, labels], out)
    with nullcontext() if dry_run else alone_in(out):
        manifest = Manifest(out, overwrite=overwrite)
        translator = _translator(translator, checkpoint, device, say)
        report = Report(say)
        work = Work(
            translator,
            direction_into(translator.domains.b if to is None else to, translator.domains),
            strength=strength,
            batch_size=batch_size,
            file_format=file_format,
            keep_identifiers=keep_identifiers,
            manifest=manifest,
            dry_run=dry_run,
            warn=report.warn,
        )
        manifest.check_same_making(work.origin("", "", None))
        found = find_cases(volumes, labels, options)
        check_apart([file for case in found.cases for file in case.source.files], out)
        _translate(found, work, report, show)
        if work.identifying:
            report.warn(f"{volumes}: {_who_is_named(work)}")
    return report.summary


def _check_format(file_format: str, keep_identifiers: bool) -> None:
    if file_format not in WRITERS:
        raise InputError(f"--format {file_format}: no such format; choose {', '.join(WRITERS)}")
    if keep_identifiers and file_format != "dicom":
        raise InputError(
            f"--keep-identifiers: {file_format} output holds no identifiers; leave it out, or add "
            "--format dicom"
        )


def _translate(found: Cases, work: Work, report: Report, show: Callable[[str], None]) -> None:
    for line in found.warnings:
        report.warn(line)
    out = work.manifest.folder
    with report:
        for path, reason in found.refused:
            report.refuse(path, reason)
        for job, outcome in work.run(work.plan(found.cases, report.refuse)):
            if isinstance(outcome, VolumeError):
                report.refuse(job.case.source.path, str(outcome))
                continue
            report.finish(out / job.output, made=outcome)
            if work.dry_run and outcome:
                show(f"{job.case.source.path} -> {out / job.output}")


def _who_is_named(work: Work) -> str:
    count = max(work.identifying.values())
    headers = "a header names" if count == 1 else f"headers of {count} volumes name"
    fields = ", ".join(work.identifying)
    kept = "kept, as asked" if work.keep_identifiers else "none of it is written"
    return f"{headers} the patient or a physician ({fields}); {kept}"


def _translator(
    translator: Translator | None, checkpoint: Path | None, device: str, say: Callable[[str], None]
) -> Translator:
    if translator is not None:
        if checkpoint is not None:
            raise ValueError("give a translator or a checkpoint, not both")
        return translator
    if checkpoint is None:
        checkpoint = newest_run(RUNS)
        say(f"using {checkpoint}, the run that finished last")
    return Translator.load(checkpoint, device)


def newest_run(folder: Path) -> Path:
    """Return the run below `folder`, at any depth, that finished last.

    Raises:
        CheckpointError: there is none.
    """
    finished = [mark for mark in folder.rglob("finished.json") if (mark.parent / "model").is_dir()]
    if not finished:
        raise CheckpointError(
            f"{folder}: holds no finished run; train first (medcyclegan train --config "
            "ct_contrast.yaml), or give --checkpoint"
        )
    return max(finished, key=lambda mark: (mark.stat().st_mtime_ns, str(mark))).parent
