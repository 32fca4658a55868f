"""DICOM files opened: with or without preamble, named transfer syntax, or deflation.

Standard: DICOM PS3.10, chapter 7 (file format), and PS3.5, A.5 (deflated explicit VR).
"""

from __future__ import annotations

import contextlib
import zlib
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medcyclegan.errors import VolumeError
from medcyclegan.io.stored import one_line, printable

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import UID

DEFLATED_SYNTAX = "1.2.840.10008.1.2.1.99"
MOST_HEADER_BYTES = 2**24  # of a deflated file, before its pixels
MOST_INFLATED_BYTES = 2**31
CUT_OFF = "is cut off inside its header; copy it anew"
PIXEL_GROUP = 0x7FE0
UNDEFINED_LENGTH = 0xFFFFFFFF
HEAD_BYTES = 1 << 15  # hold the header of most files
META_LENGTH = b"\x02\x00\x00\x00UL\x04\x00"  # the first element after the preamble


def open_dataset(path: Path, **options: Any) -> Dataset:
    """Return a file's data set, with a transfer syntax even where the file names none.

    Args:
        path: with or without preamble and file meta information.
        options: of `pydicom.dcmread`.

    Raises:
        VolumeError: a file that is cut off inside its header, or a deflated one that inflates to
            more than its header accounts for.
        Exception: whatever pydicom makes of a damaged file; call it inside `stored.reading`.
    """
    import pydicom
    from pydicom.filereader import read_file_meta_info

    with path.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
    end = _end_of_meta(head) if head[132:140] == META_LENGTH else len(head)
    if path.stat().st_size < end:
        raise VolumeError(CUT_OFF)
    bare = head[128:132] != b"DICM"
    if not bare and (end > HEAD_BYTES or DEFLATED_SYNTAX.encode() in head[:end]):
        meta = read_file_meta_info(path)
        if text(meta, "TransferSyntaxUID") == DEFLATED_SYNTAX:
            return _inflated(path, meta, **options)
    dataset = _from_head(head, force=bare, **options)
    if dataset is None:
        dataset = pydicom.dcmread(path, force=bare, **options)
    _check_whole(dataset)
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit, little = dataset.original_encoding
        dataset.file_meta.TransferSyntaxUID = _plain_syntax(bool(implicit), little is not False)
    return dataset


def _from_head(head: bytes, **options: Any) -> Dataset | None:
    """Return a header from a file's first bytes; None if it does not end there."""
    import pydicom

    if not options.get("stop_before_pixels"):
        return None
    stream = BytesIO(head)
    with contextlib.suppress(Exception):  # whatever is wrong, the file itself will show it
        dataset = pydicom.dcmread(stream, **options)
        if stream.tell() < len(head):
            return dataset
    return None


def text(dataset: Dataset, name: str) -> str:
    """Return a field as one line of printable text, several values joined by a backslash.

    Empty where it is missing or no value of its type.
    """
    try:
        value = dataset.get(name)
    except Exception:  # noqa: BLE001 - pydicom's converters raise nearly anything
        return ""
    if isinstance(value, (list, tuple)) or type(value).__name__ == "MultiValue":
        return "\\".join(printable(str(one)) for one in value)
    return "" if value is None else printable(str(value))


def numbers(dataset: Dataset, name: str) -> list[float]:
    """Return the numbers of a field, none where it is missing or empty.

    Raises:
        VolumeError: it holds something else.
    """
    try:
        value = dataset.get(name)
    except Exception as error:  # pydicom's converters raise nearly anything
        raise VolumeError(f"has a {name} that is no number ({one_line(error)})") from error
    if value is None or value == "":
        return []
    one = isinstance(value, (str, bytes)) or not np.iterable(value)
    try:
        return [float(number) for number in ([value] if one else value)]
    except (TypeError, ValueError) as error:
        raise VolumeError(f"has {name} {one_line(ValueError(value))}, no number") from error


def _plain_syntax(implicit: bool, little: bool) -> UID:
    from pydicom import uid

    if implicit:
        return uid.ImplicitVRLittleEndian
    return uid.ExplicitVRLittleEndian if little else uid.ExplicitVRBigEndian


def _inflated(path: Path, meta: FileMetaDataset, **options: Any) -> Dataset:
    """Return a deflated data set, never inflating past the pixels that its header declares."""
    import pydicom

    raw = path.read_bytes()
    if raw[132:140] != META_LENGTH:
        raise VolumeError("has file meta information without its length; copy it anew")
    packed = raw[_end_of_meta(raw) :]
    head = _inflate(packed, MOST_HEADER_BYTES)
    header = pydicom.dcmread(BytesIO(head), force=True, stop_before_pixels=True)
    if options.get("stop_before_pixels"):
        dataset = pydicom.dcmread(BytesIO(head), force=True, **options)
    else:
        limit = min(MOST_HEADER_BYTES + declared_bytes(header), MOST_INFLATED_BYTES)
        whole = _inflate(packed, limit + 1)
        if len(whole) > limit:
            raise VolumeError("inflates to more than its header declares; copy it anew")
        dataset = pydicom.dcmread(BytesIO(whole), force=True, **options)
    _check_whole(dataset)
    dataset.file_meta = meta
    return dataset


def _end_of_meta(head: bytes) -> int:
    return 144 + int.from_bytes(head[140:144], "little")


def _check_whole(dataset: Dataset) -> None:
    """Refuse a data set that ends within a field: pydicom hands over the part without a word."""
    from pydicom.dataelem import RawDataElement

    for field in dataset.values():
        if not isinstance(field, RawDataElement) or field.value is None:
            continue
        if len(field.value) < field.length < UNDEFINED_LENGTH:
            if field.tag.group != PIXEL_GROUP:
                raise VolumeError(CUT_OFF)
            raise VolumeError(
                f"its pixel data is truncated: {len(field.value)} bytes of {field.length}; "
                "copy it anew"
            )


def _inflate(packed: bytes, most: int) -> bytes:
    return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, most)


def declared_bytes(dataset: Dataset) -> int:
    """Return how many bytes the pixels take without compression, by the header's word alone."""
    one = {"NumberOfFrames": 1.0, "SamplesPerPixel": 1.0}
    sizes = [
        (numbers(dataset, name) or [one.get(name, 0.0)])[0]
        for name in ("Rows", "Columns", "BitsAllocated", *one)
    ]
    return int(np.prod(sizes)) // 8
