"""Augment: every volume of a data set, translated, with its labels and a manifest."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch
from rich.console import Console
from rich.progress import Progress, TaskID

from medcyclegan import __version__
from medcyclegan.cases import Case, find_cases, hashes, read_case
from medcyclegan.domains import Direction, direction_into, target_domain
from medcyclegan.errors import CheckpointError, InputError, VolumeError
from medcyclegan.files import remove_temporaries, sha256
from medcyclegan.intensity import check_strength
from medcyclegan.io import write_labels, write_volume
from medcyclegan.manifest import Entry, Manifest, Origin, check_apart, check_paths, labels_beside
from medcyclegan.translator import Translator
from medcyclegan.volume import Labels, Volume

RUNS = Path("runs")


@dataclass(frozen=True)
class Summary:
    """What became of the volumes.

    Args:
        written: translated volumes, written by this run (by a dry run: that would be).
        skipped: translated volumes that were finished before.
        failed: volumes that were refused, each with the reason.
        warnings: what else a person should know, one line each.
    """

    written: list[Path] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)
    failed: list[tuple[Path, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


class _Job(NamedTuple):
    """A case and what it becomes; outputs are relative to OUT."""

    case: Case
    output: str
    labels_output: str | None


def augment(
    volumes: Path,
    out: Path,
    *,
    checkpoint: Path | None = None,
    translator: Translator | None = None,
    to: str | None = None,
    labels: Path | None = None,
    strength: float = 1.0,
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
    check_paths([volumes] if labels is None else [volumes, labels], out)
    manifest = Manifest(out, overwrite=overwrite)
    translator = _translator(translator, checkpoint, device, say)
    direction = direction_into(translator.domains.b if to is None else to, translator.domains)
    manifest.check_same_making(translator.identity, strength)
    found = find_cases(volumes, labels)
    check_apart([file for case in found.cases for file in case.source.files], out)
    report = _Report(say)
    for line in found.warnings:
        report.warn(line)
    work = _Work(translator, direction, strength, batch_size, manifest, dry_run, report.warn)
    with report:
        for path, reason in found.refused:
            report.refuse(path, reason)
        for job, outcome in work.run(_plan(found.cases, work.domain, report.refuse)):
            if isinstance(outcome, VolumeError):
                report.refuse(job.case.source.path, str(outcome))
                continue
            report.finish(out / job.output, made=outcome)
            if dry_run and outcome:
                show(f"{job.case.source.path} -> {out / job.output}")
    return report.summary


class _Report:
    """Fills a summary, and says refusals as they come.

    While nothing is finished the last one is kept back, since it may become the error: leaving the
    block raises it if nothing ever was.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.summary = Summary()
        self._say = say
        self._kept = ""

    def warn(self, line: str) -> None:
        self.summary.warnings.append(line)
        self._say(line)

    def refuse(self, path: Path, reason: str) -> None:
        self._say_kept()
        self.summary.failed.append((path, reason))
        self._kept = reason
        if self.summary.written or self.summary.skipped:
            self._say_kept()

    def finish(self, output: Path, *, made: bool) -> None:
        (self.summary.written if made else self.summary.skipped).append(output)
        self._say_kept()

    def _say_kept(self) -> None:
        if self._kept:
            self._say(self._kept)
        self._kept = ""

    def __enter__(self) -> None:
        """Begin with the volumes."""

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None and self._kept:
            raise InputError(self._kept)
        self._say_kept()


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


@dataclass(frozen=True)
class _Work:
    """How volumes are translated in this run."""

    translator: Translator
    direction: Direction
    strength: float
    batch_size: int
    manifest: Manifest
    dry_run: bool
    warn: Callable[[str], None]

    @property
    def domain(self) -> str:
        """The user's name of the domain that volumes are translated into."""
        name: str = getattr(self.translator.domains, target_domain(self.direction))
        return name

    def run(self, jobs: Sequence[_Job]) -> Iterator[tuple[_Job, bool | VolumeError]]:
        """Yield each job when it is through: True if it was done now, False if it was before."""
        if not self.dry_run:
            remove_temporaries(self.manifest.folder)
        console = Console(stderr=True)
        with Progress(
            console=console,
            disable=not console.is_terminal,
            transient=True,
            redirect_stdout=sys.stdout.isatty(),  # the bar is on stderr: what goes to a pipe, stays
        ) as progress:
            volumes = progress.add_task("volumes", total=len(jobs))
            slices = progress.add_task("slices")
            for job in jobs:
                outcome: bool | VolumeError
                try:
                    outcome = self._do(job, progress, slices)
                except VolumeError as error:
                    outcome = error
                yield job, outcome
                progress.advance(volumes)

    def _do(self, job: _Job, progress: Progress, slices: TaskID) -> bool:
        name, model = str(job.case.name), self.translator.identity
        origin = Origin(name, *hashes(job.case), self.direction, model, self.strength)
        if self.manifest.is_finished(job.output, origin):
            return False
        path = job.case.source.path
        volume, labels = read_case(job.case)
        for line in volume.provenance.warnings:
            self.warn(f"{path}: {line}")
        try:
            self.translator.check(volume)
            if self.dry_run:
                return True
            translated = self.translator.translate(
                volume,
                self.direction,
                strength=self.strength,
                batch_size=self.batch_size,
                report=lambda done, total: progress.update(slices, completed=done, total=total),
            )
        except VolumeError as error:
            raise type(error)(f"{path}: {error}") from error
        except (MemoryError, torch.OutOfMemoryError) as error:
            raise VolumeError(f"{path}: does not fit into memory; lower --batch-size") from error
        self._write(job, origin, translated, labels)
        return True

    def _write(self, job: _Job, origin: Origin, volume: Volume, labels: Labels | None) -> None:
        folder = self.manifest.folder
        if not self.manifest.path.exists():
            self.manifest.write()  # before all else: a run that is killed now can be continued
        labels_sha256 = None
        if labels is not None and job.labels_output is not None:
            write_labels(labels, folder / job.labels_output, like=volume)
            labels_sha256 = sha256(folder / job.labels_output)
        write_volume(volume, folder / job.output)
        versions = {"medcyclegan": __version__, "torch": str(torch.__version__)}
        self.manifest.add(
            Entry(
                origin=origin,
                output=job.output,
                output_sha256=sha256(folder / job.output),
                labels=job.labels_output,
                labels_sha256=labels_sha256,
                versions=versions,
            )
        )


def _plan(cases: Sequence[Case], domain: str, refuse: Callable[[Path, str], None]) -> list[_Job]:
    """Return what each case becomes; one whose output would be another's is refused."""
    jobs: list[_Job] = []
    taken: set[str] = set()
    for case in cases:
        output = str(case.folder / f"{case.source.stem}_{domain}.nii.gz")
        outputs = [output, labels_beside(output)] if case.label else [output]
        if not taken.isdisjoint(outputs):
            reason = f"{case.source.path}: {output} would be another volume's, too; rename one"
            refuse(case.source.path, reason)
            continue
        taken.update(outputs)
        jobs.append(_Job(case, output, outputs[1] if case.label else None))
    return jobs
