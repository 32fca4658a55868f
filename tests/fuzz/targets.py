"""What is fuzzed: for each reader, bytes to start from and what is done with bytes.

An attempt may end in a `MedCycleGANError` of one line that names what was given. Any other error,
a message of another form and a file left behind are findings.
"""

from __future__ import annotations

import functools
import gzip
import random
import tempfile
import warnings
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from medcyclegan.errors import MedCycleGANError
from tests.fuzz.choices import Choices
from tests.fuzz.edits import spoiled
from tests.hostile.corpus import INVALID, VALID
from tests.hostile.good_dicom import enhanced_dataset
from tests.hostile.label_objects import segmentation, structure_set
from tests.hostile.made import CT, GRID, ct, ct_slice, dicom_bytes, grid

MOST_SEED_BYTES = 1 << 14
SMALL = ct((14, 12, 3))
MASK = np.where(SMALL > 0, 1, 0).astype(np.uint8)
CORNERS = np.array([[2.0, 3.0], [9.0, 3.0], [9.0, 8.0], [2.0, 8.0]])


class Target(NamedTuple):
    """What is fuzzed.

    Args:
        seeds: bytes to begin with.
        attempt: does with bytes what a reader does, in an empty folder.
    """

    seeds: Callable[[], list[bytes]]
    attempt: Callable[[bytes, Path], None]


class Finding(AssertionError):
    """A reader did what it must not."""


def attempt(target: Target, data: bytes, folder: Path) -> None:
    """Let a target try bytes in an empty folder, which is emptied afterwards.

    Raises:
        Finding: the refusal is no single line, does not name the path, comes from running out of
            memory, or something was left in the folder of temporary files.
    """
    temporary = Path(tempfile.gettempdir())
    before = set(temporary.iterdir())
    try:
        target.attempt(data, folder)
    except MedCycleGANError as error:
        said = str(error)
        if "\n" in said or not said.startswith(str(folder)):
            raise Finding(f"no line that begins with the path: {said!r}") from error
        if "fit into memory" in said:
            raise Finding(f"ran out of memory: {said}") from error
    finally:
        left = set(temporary.iterdir()) - before
        _empty(folder)
    if left:
        raise Finding(f"left behind: {sorted(left)}")


def _empty(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink()


# -------------------------------------------------------------------------------- volumes


def read_all(root: Path) -> None:
    """Find and read all volumes below a path, with and without options."""
    from medcyclegan.io import find_volumes, read_source
    from medcyclegan.io.stored import ReadOptions

    for options in (ReadOptions(), ReadOptions(resample_tilt=True, split_4d=True)):
        try:
            sources = find_volumes(root, options).sources
        except MedCycleGANError as error:
            _check_line(error, root)
            continue
        for source in sources:
            try:
                volume = read_source(source)
            except MedCycleGANError as error:
                _check_line(error, root)
                continue
            if not np.isfinite(volume.affine).all() or not np.isfinite(volume.array).all():
                raise Finding("a volume that is not finite was read")


def _check_line(error: MedCycleGANError, root: Path) -> None:
    said = str(error)
    if "\n" in said or not said.startswith(str(root)):
        raise Finding(f"no line that begins with the path: {said!r}") from error
    if "fit into memory" in said:
        raise Finding(f"ran out of memory: {said}") from error


def one_file(*names: str, pack: bool = False) -> Callable[[bytes, Path], None]:
    """Return what writes bytes as a file, whose name the first byte picks, and reads it."""

    def try_it(data: bytes, folder: Path) -> None:
        path = folder / names[data[0] % len(names) if data else 0]
        path.write_bytes(gzip.compress(data[1:], 1, mtime=0) if pack else data[1:])
        if path.suffix in (".hdr", ".mhd", ".nhdr"):
            image = "ct.img" if path.suffix == ".hdr" else "ct.raw"
            (folder / image).write_bytes(CT.tobytes(order="F"))
        read_all(path)

    return try_it


@functools.cache
def _corpus() -> list[tuple[str, bytes]]:
    """Return name and content of the corpus' small files, each content once."""
    found: dict[bytes, str] = {}
    valid, invalid = [case[0] for case in VALID.values()], [case[0] for case in INVALID.values()]
    for make in valid + invalid:
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            make(Path(folder))
            for path in sorted(Path(folder).rglob("*")):
                if path.is_file() and path.stat().st_size < MOST_SEED_BYTES:
                    found.setdefault(path.read_bytes(), path.name)
    return [(name, data) for data, name in found.items()]


def _made(names: tuple[str, ...]) -> list[tuple[str, bytes]]:
    """Return the files of the corpus that end in one of `names`."""
    return [(name, data) for name, data in _corpus() if name.lower().endswith(names)]


def seeds_of(*names: str, unpack: bool = False) -> Callable[[], list[bytes]]:
    """Return what gives the corpus' files of some suffixes, a byte for the suffix before each."""

    def seeds() -> list[bytes]:
        found = []
        for name, data in _made(names):
            index = next(i for i, suffix in enumerate(names) if name.lower().endswith(suffix))
            content = _unpacked(data) if unpack else data
            found.append(bytes([index]) + content)
        return found

    return seeds


def _unpacked(data: bytes) -> bytes:
    try:
        return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    except (OSError, EOFError, ValueError, zlib.error):
        return data


# ---------------------------------------------------------------------------------- DICOM


def dicom_file(data: bytes, folder: Path) -> None:
    """Read bytes as a DICOM file."""
    (folder / "ct.dcm").write_bytes(data)
    read_all(folder / "ct.dcm")


def dicom_files() -> list[bytes]:
    """Return the DICOM files of the corpus."""
    return [data for _, data in _made((".dcm",))]


def dicom_series(data: bytes, folder: Path) -> None:
    """Read a series of three slices after edits of their fields."""
    choices = Choices(data)
    for k in range(SMALL.shape[2]):
        make = functools.partial(ct_slice, SMALL, GRID, k)
        spoil = choices.number(2)
        whole = spoiled(make, choices) if spoil else dicom_bytes(make())
        (folder / f"{k}.dcm").write_bytes(whole)
    read_all(folder)


def dicom_frames(data: bytes, folder: Path) -> None:
    """Read an enhanced CT after edits of its fields."""
    whole = spoiled(lambda: enhanced_dataset(SMALL, GRID), Choices(data))
    (folder / "ct.dcm").write_bytes(whole)
    read_all(folder / "ct.dcm")


def dicom_compressed(data: bytes, folder: Path) -> None:
    """Read a slice whose pixels are compressed bytes: the syntax, then one fragment."""
    from pydicom.encaps import encapsulate

    choices = Choices(data)
    dataset = ct_slice(SMALL, GRID, 0)
    dataset.file_meta.TransferSyntaxUID = choices.pick(
        [f"1.2.840.10008.1.2.{end}" for end in ("5", "4.50", "4.57", "4.70", "4.80", "4.90")]
    )
    dataset.PixelData = encapsulate([choices.rest() or b"\0\0"])
    dataset["PixelData"].is_undefined_length = True
    (folder / "ct.dcm").write_bytes(dicom_bytes(dataset))
    read_all(folder / "ct.dcm")


def compressed_frames() -> list[bytes]:
    """Return compressed pixels, each after the byte of its syntax."""
    large = ct((96, 80, 1))
    found = [b"\0" + b"\xff\xd8\xff\xe0" + bytes(40), b"\3" + b"\xff\xd8\xff\xc3" + bytes(40)]
    for index, uid, array in ((0, "5", SMALL), (5, "4.90", large)):
        dataset = ct_slice(array, GRID, 0)
        dataset.compress(f"1.2.840.10008.1.2.{uid}", generate_instance_uid=False)
        found.append(bytes([index]) + dataset.PixelData[16:][:8000])
    return found


# ------------------------------------------------------------------------------- the rest


def zip_file(data: bytes, folder: Path) -> None:
    """Read bytes as a zip."""
    (folder / "ct.zip").write_bytes(data)
    read_all(folder / "ct.zip")


@functools.cache
def _image() -> Any:
    from medcyclegan.volume import Provenance, Volume

    return Volume(SMALL, grid(), Provenance(headers=()))


def label_object(make: Callable[[], Any], *, edit: bool) -> Callable[[bytes, Path], None]:
    """Return what reads a DICOM label object, edited field by field or made of bytes."""

    def try_it(data: bytes, folder: Path) -> None:
        from medcyclegan.io import read_labels

        path = folder / "labels.dcm"
        path.write_bytes(spoiled(make, Choices(data)) if edit else data)
        labels = read_labels(path, _image())
        if labels.array.shape != SMALL.shape:
            raise Finding(f"labels of shape {labels.array.shape}")

    return try_it


def make_segmentation(kind: str = "BINARY") -> Any:
    """Return a segmentation of the small CT."""
    return segmentation(MASK, GRID, kind)


def make_structures() -> Any:
    """Return a structure set of the small CT."""
    return structure_set(GRID, CORNERS, range(2))


def data_set(data: bytes, folder: Path) -> None:
    """Read bytes as the dataset.json of a data set."""
    from medcyclegan.io import find_volumes

    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir()
    (folder / "imagesTr" / "case_0000.nii").write_bytes(b"")
    (folder / "dataset.json").write_bytes(data)
    find_volumes(folder)


def descriptions() -> list[bytes]:
    """Return descriptions of data sets."""
    return [
        b'{"channel_names": {"0": "CT"}, "labels": {"background": 0, "liver": 1, "all": [1, 2]},'
        b' "numTraining": 1, "file_ending": ".nii"}',
        b'{"modality": {"0": "CT", "1": "PET"}, "labels": {"0": "background", "1": "liver"}}',
        b'{"channel_names": {}, "labels": []}',
        b"[" * 500,
    ]


def config(data: bytes, folder: Path) -> None:
    """Read bytes as a config."""
    from medcyclegan.config import load_config

    path = folder / "config.yaml"
    path.write_bytes(data)
    load_config(path)


def configs() -> list[bytes]:
    """Return the shipped configs, and a small one with every kind of volumes."""
    shipped = Path(__file__).parents[2].joinpath("configs").glob("*.yaml")
    small = (
        b"domains:\n  a: {name: x, volumes: [a, 'b/*.nii', {csv: c.csv, column: p, "
        b"where: {q: [r, 1]}, patient: s}]}\n  b: {name: y, volumes: b}\n"
    )
    return [small, *(path.read_bytes() for path in shipped)]


def table(data: bytes, folder: Path) -> None:
    """Read bytes as a table of volumes."""
    from medcyclegan.config.volumes import TableConfig
    from medcyclegan.data.table import read_table

    path = folder / "cases.csv"
    path.write_bytes(data)
    read_table(TableConfig(csv=str(path), where={"phase": "contrast"}, patient="patient"))


def tables() -> list[bytes]:
    """Return tables."""
    return [
        b"path,phase,patient\n.,contrast,p1\n.,noncontrast,p2\n",
        b'\xef\xbb\xbfpath,phase,patient\r\n".",CONTRAST,"a ""b"""\r\n',
        b"path;phase;patient\n.;contrast;1\n",
    ]


def model_card(data: bytes, folder: Path) -> None:
    """Read bytes as the card of a model."""
    from medcyclegan.models.artefact import load_model

    (folder / "model.safetensors").write_bytes(_model()["model.safetensors"])
    (folder / "model.json").write_bytes(data)
    load_model(folder)


def model_weights(data: bytes, folder: Path) -> None:
    """Read bytes as the weights of a model."""
    from medcyclegan.models.artefact import load_model

    (folder / "model.safetensors").write_bytes(data)
    (folder / "model.json").write_bytes(_model()["model.json"])
    load_model(folder)


@functools.cache
def _model() -> dict[str, bytes]:
    import torch

    from medcyclegan.config import parse_model
    from medcyclegan.domains import Pair
    from medcyclegan.intensity import Window
    from medcyclegan.models import make_model
    from medcyclegan.models.artefact import ModelCard, save_model

    torch.manual_seed(0)
    method = parse_model(
        {
            "kind": "cyclegan",
            "generator": {"kind": "unet", "filters": 1, "depth": 1},
            "discriminator": {"kind": "patchgan", "filters": 1},
        }
    )
    card = ModelCard(method.model_dump(), Window(-200, 600), None, 16, 1, Pair("a", "b"), {})
    with tempfile.TemporaryDirectory() as folder:
        save_model(Path(folder), make_model(method), card)
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def manifest(data: bytes, folder: Path) -> None:
    """Read bytes as the manifest of an augmented data set."""
    from medcyclegan.manifest import Manifest

    (folder / "manifest.jsonl").write_bytes(data)
    Manifest(folder)


def manifests() -> list[bytes]:
    """Return manifests."""
    line = (
        b'{"source": "ct.nii", "source_sha256": "00", "labels_source_sha256": null, '
        b'"direction": "a_to_b", "model": "00", "strength": 1.0, "output": "ct_b.nii.gz", '
        b'"output_sha256": "00", "labels": null, "labels_sha256": null, "versions": {}}\n'
    )
    return [line, line * 2, b"{}\n", b"[" * 500]


def random_choices() -> list[bytes]:
    """Return bytes to take decisions from."""
    generator = random.Random(0)
    return [generator.randbytes(size) for size in (4, 8, 16, 32, 48, 64) for _ in range(4)]


def _files_of(*objects: Callable[[], Any]) -> Callable[[], list[bytes]]:
    return lambda: [dicom_bytes(make()) for make in objects]


def _kinds() -> Iterator[Callable[[], Any]]:
    for kind in ("BINARY", "FRACTIONAL", "LABELMAP"):
        yield functools.partial(make_segmentation, kind)


TARGETS: dict[str, Target] = {
    "nifti": Target(seeds_of(".nii", ".hdr", ".nii.gz", unpack=True), one_file("ct.nii", "ct.hdr")),
    "gzip": Target(seeds_of(".nii.gz"), one_file("ct.nii.gz")),
    "metaimage": Target(seeds_of(".mha", ".mhd"), one_file("ct.mha", "ct.mhd")),
    "nrrd": Target(seeds_of(".nrrd", ".nhdr"), one_file("ct.nrrd", "ct.nhdr")),
    "dicom": Target(dicom_files, dicom_file),
    "dicom_series": Target(random_choices, dicom_series),
    "dicom_frames": Target(random_choices, dicom_frames),
    "dicom_compressed": Target(compressed_frames, dicom_compressed),
    "zip": Target(lambda: [data for _, data in _made((".zip",))], zip_file),
    "segmentation": Target(_files_of(*_kinds()), label_object(make_segmentation, edit=False)),
    "segmentation_fields": Target(random_choices, label_object(make_segmentation, edit=True)),
    "structures": Target(_files_of(make_structures), label_object(make_structures, edit=False)),
    "structures_fields": Target(random_choices, label_object(make_structures, edit=True)),
    "data_set": Target(descriptions, data_set),
    "config": Target(configs, config),
    "table": Target(tables, table),
    "model_card": Target(lambda: [_model()["model.json"]], model_card),
    "model_weights": Target(lambda: [_model()["model.safetensors"]], model_weights),
    "manifest": Target(manifests, manifest),
}
