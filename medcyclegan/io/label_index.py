"""Which label file belongs to which volume: by the series it refers to, else by name."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from pathlib import Path, PurePosixPath

from medcyclegan.errors import VolumeError
from medcyclegan.files import TEMPORARY_PREFIX
from medcyclegan.io.formats import format_of, split_suffix
from medcyclegan.io.labels import open_label_object
from medcyclegan.io.source import Source

CHANNEL = re.compile(r"_\d{4}$")  # nnU-Net: case_0000 is the first channel of case


class LabelIndex:
    """The label files of a folder tree, or one of them.

    Args:
        labels: a folder, or a DICOM segmentation or structure set.
        objects_only: leave out label maps: the folder holds volumes, too, and by their names
            nobody can tell one from the other.

    Attributes:
        damaged: DICOM files that cannot be read, one line each.
        objects: how many DICOM segmentations and structure sets there are.
    """

    def __init__(self, labels: Path, *, objects_only: bool = False) -> None:
        self.damaged: list[str] = []
        self.objects = 0
        self._by_name: dict[tuple[PurePosixPath, str], list[Path]] = defaultdict(list)
        self._by_series: dict[str, list[Path]] = defaultdict(list)
        if not labels.is_dir():
            self._add_object(labels, PurePosixPath())
        for folder, folders, names in os.walk(labels):
            folders[:] = sorted(name for name in folders if not name.startswith(TEMPORARY_PREFIX))
            relative = PurePosixPath(Path(folder).relative_to(labels).as_posix())
            for name in sorted(names):
                if not format_of(name):
                    self._add_object(Path(folder, name), relative)
                elif not objects_only:
                    self._by_name[relative, split_suffix(name)[0]].append(Path(folder, name))

    def of(self, source: Source, folder: PurePosixPath) -> list[Path]:
        """Return a volume's label files: one if all is well.

        They are the DICOM objects that refer to its series; else those in `folder` that bear its
        stem, its file's or its nnU-Net case's, or DICOM objects in a folder of the series' name.

        Args:
            source: the volume.
            folder: relative to that of the labels.
        """
        if source.uid and source.uid in self._by_series:
            return self._by_series[source.uid]
        stems = [source.stem, split_suffix(source.path.name)[0]]
        stems += [CHANNEL.sub("", stem) for stem in stems]
        for stem in stems:
            if found := self._by_name.get((folder, stem)):
                return found
        return []

    def _add_object(self, path: Path, folder: PurePosixPath) -> None:
        try:
            object_ = open_label_object(path) if path.is_file() else None
        except VolumeError as error:
            self.damaged.append(f"{error}")
            return
        if object_ is None:
            return
        self.objects += 1
        for series in object_.series:
            self._by_series[series].append(path)
        self._by_name[folder, split_suffix(path.name)[0]].append(path)
        if folder.name:
            self._by_name[folder.parent, folder.name].append(path)
