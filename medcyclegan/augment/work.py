"""One volume after the other: read, translated, written with its labels, and noted."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import torch
from rich.console import Console
from rich.progress import Progress, TaskID

from medcyclegan import __version__
from medcyclegan.cases import Case, hashes, read_case
from medcyclegan.domains import Direction, target_domain
from medcyclegan.errors import VolumeError
from medcyclegan.files import remove_temporaries
from medcyclegan.io import Derivation, check_writable, file_name, write_labels, write_volume
from medcyclegan.io.dicom.identifiers import direct_identifiers, identifying_words, names_someone
from medcyclegan.io.formats import WRITERS
from medcyclegan.manifest import Entry, Manifest, Origin, labels_beside, output_sha256
from medcyclegan.translator import Translator
from medcyclegan.volume import Labels, Volume

MOST_NAME_BYTES = 255  # of a file or folder, on all usual file systems


class Job(NamedTuple):
    """A case and what it becomes.

    Args:
        case: a volume and its label map.
        output: the translated volume, relative to OUT.
        labels_output: its label map, likewise; None without one.
    """

    case: Case
    output: str
    labels_output: str | None


@dataclass(frozen=True)
class Work:
    """How volumes are translated in this run.

    Args:
        translator: the model.
        direction: out of which domain into which.
        strength: share of the change that is applied.
        batch_size: slices that pass the networks at once.
        file_format: of the outputs, a key of `io.WRITERS`.
        keep_identifiers: whether DICOM outputs say of the patient what their sources do.
        manifest: of the folder they go to.
        dry_run: read and check all, and translate nothing.
        warn: told what was odd about a volume.
        identifying: filled with fields that name a patient -> in how many volumes.
    """

    translator: Translator
    direction: Direction
    strength: float
    batch_size: int
    file_format: str
    keep_identifiers: bool
    manifest: Manifest
    dry_run: bool
    warn: Callable[[str], None]
    identifying: dict[str, int] = field(default_factory=dict)

    @property
    def domain(self) -> str:
        """The user's name of the domain that volumes are translated into."""
        name: str = getattr(self.translator.domains, target_domain(self.direction))
        return name

    def origin(self, source: str, sha256: str, labels_sha256: str | None) -> Origin:
        """Return what an output made by this run from a source notes of its making."""
        return Origin(
            source,
            sha256,
            labels_sha256,
            self.direction,
            self.translator.identity,
            self.strength,
            self.file_format,
            self.keep_identifiers,
        )

    def plan(self, cases: Sequence[Case], refuse: Callable[[Path, str], None]) -> list[Job]:
        """Return what each case becomes; `refuse` is told those whose output cannot be written."""
        jobs: list[Job] = []
        taken: set[Path] = set()
        above: set[Path] = set()
        for case in cases:
            stem = f"{case.source.stem}_{self.domain}"
            output = str(case.folder / file_name(stem, self.file_format))
            labels_output = labels_beside(output) if case.label else None
            outputs = {Path(name) for name in (output, labels_output) if name}
            parents = {parent for path in outputs for parent in path.parents}
            fault = ""
            if len(os.fsencode(Path(output).name)) > MOST_NAME_BYTES:
                fault = "its output's name would be too long; shorten its own"
            elif taken & (outputs | parents) or above & outputs:
                fault = f"{output} would be another volume's, too; rename one"
            if fault:
                refuse(case.source.path, f"{case.source.path}: {fault}")
                continue
            taken |= outputs
            above |= parents
            jobs.append(Job(case, output, labels_output))
        return jobs

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, bool | VolumeError]]:
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

    def _do(self, job: Job, progress: Progress, slices: TaskID) -> bool:
        origin = self.origin(str(job.case.name), *hashes(job.case))
        if self.manifest.is_finished(job.output, origin):
            return False
        path = job.case.source.path
        volume, labels = read_case(job.case)
        for line in volume.provenance.warnings:
            self.warn(f"{path}: {line}")
        for line in labels.warnings if labels else ():
            self.warn(f"{path}: its label map: {line}")
        for name in direct_identifiers(volume.provenance.headers):
            self.identifying[name] = self.identifying.get(name, 0) + 1
        try:
            self.translator.check(volume)
            check_writable(volume, self.file_format, self._derivation())
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
        self._write(job, origin, _named_alike(translated, origin), labels)
        return True

    def _write(self, job: Job, origin: Origin, volume: Volume, labels: Labels | None) -> None:
        folder = self.manifest.folder
        if not self.manifest.path.exists():
            self.manifest.write()  # before all else: a run that is killed now can be continued
        labels_sha256 = None
        if labels is not None and job.labels_output is not None:
            write_labels(labels, folder / job.labels_output, like=volume)
            labels_sha256 = output_sha256(folder / job.labels_output)
        if not WRITERS[self.file_format].suffixes:
            self.manifest.make_room(job.output)
        target = folder / job.output
        write_volume(volume, target, file_format=self.file_format, derivation=self._derivation())
        self.manifest.add(
            Entry(
                origin=origin,
                output=job.output,
                output_sha256=output_sha256(target),
                labels=job.labels_output,
                labels_sha256=labels_sha256,
                versions={"medcyclegan": __version__, "torch": str(torch.__version__)},
                label_names=self._label_names(volume, labels),
                notes=list(volume.provenance.warnings),
            )
        )

    def _derivation(self) -> Derivation:
        domains = self.translator.domains
        source = domains.b if target_domain(self.direction) == "a" else domains.a
        return Derivation(
            series=f"Synthetic {self.domain} (medcyclegan)",
            description=(
                f"Synthetic CT: {source} translated into {self.domain} by medcyclegan "
                f"{__version__}, model {self.translator.identity[:16]}, strength {self.strength:g}"
            ),
            keep_identifiers=self.keep_identifiers,
        )

    def _label_names(self, volume: Volume, labels: Labels | None) -> dict[str, str]:
        names: Mapping[int, str] = {} if labels is None else labels.names
        words = identifying_words(volume.provenance.headers)
        if self.keep_identifiers:
            words = frozenset()
        return {
            str(value): f"label_{value}" if names_someone(name, words) else name
            for value, name in sorted(names.items())
        }


def _named_alike(volume: Volume, origin: Origin) -> Volume:
    """Return a volume whose patient has the same pseudonym wherever the source tree lies."""
    if volume.provenance.patient_known:
        return volume
    name = hashlib.sha256(origin.source.encode(errors="surrogateescape")).hexdigest()[:16]
    return replace(volume, provenance=replace(volume.provenance, patient=name))
