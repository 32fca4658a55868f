"""Headers of many DICOM files: the work of several processes.

A child is told paths and tells headers, one line of JSON each way; it has read nothing but
headers, imports no torch, and ends when its parent does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from medcyclegan.errors import MedCycleGANError, VolumeError
from medcyclegan.files import NOT_OURS
from medcyclegan.io.dicom.header import Header, Plane, looks_like_dicom, not_ct, read_header
from medcyclegan.io.stored import reading

Progress = Callable[[int, int], None]

HEAD_BYTES = 140
DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")
FEW_FILES = 1000  # are read sooner than children have started
FILES_A_REQUEST = 100
MOST_CHILDREN = 16
CHILD = "from medcyclegan.io.dicom.survey import answer_requests; answer_requests()"


@dataclass(frozen=True)
class ReadHeader:
    """What came of reading one file's header.

    Args:
        path: the file.
        header: of a CT image; None for anything else.
        skipped: why it does not claim to be a CT image; empty if it does.
        refused: why it claims to be one and cannot be; empty if it can.
    """

    path: Path
    header: Header | None = None
    skipped: str = ""
    refused: str = ""


def read_headers(paths: Sequence[Path], progress: Progress | None = None) -> list[ReadHeader]:
    """Return what came of each file, in order.

    Args:
        paths: files that may be DICOM, known to be regular.
        progress: is told now and then how many files are done, and of how many.
    """
    results: list[ReadHeader] = []
    for some in _in_children(paths) if len(paths) > FEW_FILES else _here(paths):
        results += some
        if progress is not None:
            progress(len(results), len(paths))
    return results


def _read(path: Path) -> ReadHeader:
    try:
        with reading(path):
            with path.open("rb") as stream:
                head = stream.read(HEAD_BYTES)
            if not head:
                return ReadHeader(path, skipped="an empty file")
            if looks_like_dicom(head):
                header = read_header(path)
                reason = not_ct(header)
                return ReadHeader(path, None if reason else header, skipped=reason)
            if path.name.lower().endswith(DICOM_SUFFIXES):
                raise VolumeError("is no DICOM file though its name says so; copy it anew")
            return ReadHeader(path, skipped="no volume by name or content")
    except MedCycleGANError as error:
        return ReadHeader(path, refused=str(error).removeprefix(f"{path}: "))


def _requests(paths: Sequence[Path]) -> list[Sequence[Path]]:
    return [paths[at : at + FILES_A_REQUEST] for at in range(0, len(paths), FILES_A_REQUEST)]


def _here(paths: Sequence[Path]) -> Iterator[list[ReadHeader]]:
    for request in _requests(paths):
        yield [_read(path) for path in request]


def _in_children(paths: Sequence[Path]) -> Iterator[list[ReadHeader]]:
    """Yield what came of each request, in order; what a child cannot tell is read here."""
    requests = _requests(paths)
    count = min(len(os.sched_getaffinity(0)), len(requests), MOST_CHILDREN)
    children = [_start() for _ in range(count)]
    idle: SimpleQueue[subprocess.Popen[str]] = SimpleQueue()
    for child in children:
        idle.put(child)

    def answer(request: Sequence[Path]) -> list[ReadHeader] | None:
        child = idle.get()
        try:
            return _asked(child, request)
        finally:
            idle.put(child)

    pool = ThreadPoolExecutor(count)
    try:
        for request, told in zip(requests, pool.map(answer, requests), strict=True):
            yield [_read(path) for path in request] if told is None else told
    finally:
        for child in children:
            child.kill()
        pool.shutdown(cancel_futures=True)
        for child in children:
            child.communicate()


def _start() -> subprocess.Popen[str]:
    return subprocess.Popen(  # noqa: S603 - our own program, by its path
        [sys.executable, "-P", "-c", CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="ascii",
        start_new_session=True,  # Ctrl-C is ours to handle
    )


def _asked(child: subprocess.Popen[str], request: Sequence[Path]) -> list[ReadHeader] | None:
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        child.stdin.write(json.dumps([str(path) for path in request]) + "\n")
        child.stdin.flush()
        told = json.loads(child.stdout.readline())
        return [_from_plain(path, one) for path, one in zip(request, told, strict=True)]
    except NOT_OURS:
        return None


def _to_plain(result: ReadHeader) -> dict[str, Any]:
    header = None if result.header is None else asdict(result.header)
    return {"header": header, "skipped": result.skipped, "refused": result.refused}


def _from_plain(path: Path, plain: dict[str, Any]) -> ReadHeader:
    fields = plain.pop("header")
    if fields is None:
        return ReadHeader(path, **plain)
    planes = tuple(_plane(plane) for plane in fields.pop("planes"))
    return ReadHeader(path, Header(planes=planes, **fields), **plain)


def _plane(plain: dict[str, Any]) -> Plane:
    values = {name: tuple(value) for name, value in plain.items() if isinstance(value, list)}
    return Plane(**{**plain, **values})


def answer_requests() -> None:
    """Be a child: read lists of paths from standard input, say what came of each, until its end."""
    for line in sys.stdin:
        results = [_to_plain(_read(Path(name))) for name in json.loads(line)]
        sys.stdout.write(json.dumps(results) + "\n")
        sys.stdout.flush()
