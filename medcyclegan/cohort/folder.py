"""Folders of cohorts in the making: whole in the end, or not there."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from medcyclegan import __version__
from medcyclegan.cohort.layout import INDEX, LABEL_MAPS, PARTS, VERSION, image_path
from medcyclegan.errors import InputError, MedCycleGANError
from medcyclegan.files import (
    LOCK,
    TEMPORARY_PREFIX,
    check_can_hold,
    locked,
    remove_temporaries,
    write_json,
)
from medcyclegan.io import file_name, write_labels, write_volume
from medcyclegan.metrics.reference import TissueTable
from medcyclegan.volume import Labels, Volume


@contextlib.contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Yield a folder to fill; what it holds is in `out` when the block ends, else nothing is.

    Raises:
        InputError: `out` holds something, is a file, or another run is at work there.
        MedCycleGANError: it cannot be written.
    """
    check_can_hold(out)
    absent = [path for path in (out, *out.parents) if not path.exists()]
    if not absent and any(_is_someones(path) for path in out.iterdir()):
        raise InputError(f"{out}: is not empty; give a new folder")
    try:
        with locked(out):
            remove_temporaries(out)
            folder = Path(tempfile.mkdtemp(prefix=TEMPORARY_PREFIX, dir=out))
            try:
                yield folder
                _move(folder, out)
            except MedCycleGANError as error:
                raise type(error)(str(error).replace(str(folder), str(out))) from error
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    except BaseException:
        for path in absent:
            with contextlib.suppress(OSError):
                path.rmdir()
        raise


def _move(folder: Path, out: Path) -> None:
    """Move the parts of a cohort to `out`, all or, when stopped, none."""
    moved = []
    try:
        for part in (*PARTS, INDEX):
            if (folder / part).exists():
                os.replace(folder / part, out / part)
                moved.append(part)
    except BaseException:
        for part in moved:
            os.replace(out / part, folder / part)
        raise


def _is_someones(path: Path) -> bool:
    return not path.name.startswith(TEMPORARY_PREFIX) and path.name != LOCK


def write_volumes(
    folder: Path,
    name: str,
    file_format: str,
    *,
    image: Volume,
    labels: Labels,
    twins: Mapping[str, Volume],
) -> None:
    """Write what there is of one case.

    Args:
        folder: of the cohort.
        name: of its files.
        file_format: of the image, a key of `io.WRITERS`.
        image: the acquisition.
        labels: on its grid.
        twins: part of the layout -> volume on its grid.

    Raises:
        GeometryError: a grid that the format cannot say.
        MedCycleGANError: the disk is full or not ours.
    """
    write_volume(image, image_path(folder, name, file_format), file_format=file_format)
    beside = file_name(name, "nifti")
    write_labels(labels, folder / LABEL_MAPS / beside, like=image)
    for part, twin in twins.items():
        write_volume(twin, folder / part / beside)


def write_index(
    folder: Path,
    cases: Sequence[Mapping[str, Any]],
    *,
    command: Mapping[str, Any],
    domain: str,
    setting: str,
    file_format: str,
    tissues: TissueTable,
    labels: Mapping[str, int],
) -> None:
    """Write what is known of all cases.

    Args:
        folder: of the cohort.
        cases: what `read_cohort` takes a case from.
        command: what else it takes to make the same again.
        domain: of the images.
        setting: of the phantom, or "semi-real".
        file_format: of the images, a key of `io.WRITERS`.
        tissues: what is measured, by the values of its labels.
        labels: the value of each tissue's label.

    Raises:
        MedCycleGANError: the disk is full or not ours.
    """
    write_json(
        folder / INDEX,
        {
            "version": VERSION,
            "made_by": f"medcyclegan {__version__} phantom",
            "domain": domain,
            "setting": setting,
            "format": file_format,
            "command": command,
            "tissues": {
                "organs": tissues.organs,
                "null_tissues": tissues.null_tissues,
                "lesions": tissues.lesions,
                "aside": sorted(tissues.aside),
            },
            "labels": labels,
            "cases": cases,
        },
    )
