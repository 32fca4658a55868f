"""Fuzz the readers: `python -m tests.fuzz [TARGET ...] [--seconds N] [--findings DIR]`.

Every target runs in a process of its own for so many seconds, from seeds made by code. A finding
is written to DIR as its input and, beside it, the traceback; the exit code is 1 if there is any.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

MOST_MEMORY_MB = 2048
MOST_ADDRESSES = 16 << 30  # bytes; libraries reserve far more than they use
HANG_SECONDS = 10
MOST_INPUT = 1 << 15
LEAST_SECONDS = 3
INSTRUMENTED = ["medcyclegan", "pydicom", "nibabel"]


def main() -> int:
    """Fuzz all targets or those named, one after the other."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*")
    parser.add_argument("--seconds", type=int, default=100, help="for each target")
    parser.add_argument(
        "--findings", type=Path, default=Path(tempfile.gettempdir(), "medcyclegan-fuzz")
    )
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    findings = arguments.findings.resolve()
    if arguments.worker:
        _fuzz(arguments.targets[0], arguments.seconds, findings)
    from tests.fuzz.targets import TARGETS

    unknown = set(arguments.targets) - set(TARGETS)
    if unknown:
        parser.error(
            f"no such target: {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}"
        )
    total = 0
    for name in arguments.targets or TARGETS:
        corpus = findings / "corpus" / name
        corpus.mkdir(parents=True, exist_ok=True)
        for seed in TARGETS[name].seeds():
            (corpus / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
        attempts, seconds = _in_workers(name, arguments.seconds, findings)
        found = sorted(findings.glob(f"{name}-*.txt"))
        total += len(found)
        print(
            f"{name:20} {attempts:9} attempts {seconds:5.0f} s  {len(found)} findings", flush=True
        )
        for path in found:
            print(f"    {path}: {path.read_text().strip().splitlines()[-1][:160]}", flush=True)
    return 1 if total else 0


def _in_workers(name: str, seconds: int, findings: Path) -> tuple[int, float]:
    """Run workers for so long; after one that dies (hang, crash, no memory) comes another."""
    begin, attempts = time.monotonic(), 0
    while (left := seconds - (time.monotonic() - begin)) >= LEAST_SECONDS:
        words = [name, "--worker", "--seconds", str(int(left)), "--findings", str(findings)]
        done = subprocess.run(
            [sys.executable, "-m", "tests.fuzz", *words],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        counts = [int(n) for n in re.findall(r"^#(\d+)\s", done.stderr, re.MULTILINE)]
        attempts += max(counts, default=0)
        if done.returncode:
            digest = hashlib.sha256(done.stderr[-2000:].encode()).hexdigest()[:12]
            last = _last_words(done.stderr)
            (findings / f"{name}-died-{digest}.txt").write_text(f"{done.stderr[-8000:]}\n{last}\n")
    return attempts, time.monotonic() - begin


def _last_words(said: str) -> str:
    lines = [line for line in said.splitlines() if "ERROR" in line or "Error" in line]
    return lines[0] if lines else "died without a word"


def _fuzz(name: str, seconds: int, findings: Path) -> None:
    """Fuzz one target in this process, which then ends."""
    import atheris

    with atheris.instrument_imports(include=INSTRUMENTED):
        from tests.fuzz.targets import TARGETS, attempt
    warnings.simplefilter("error")
    resource.setrlimit(resource.RLIMIT_AS, (MOST_ADDRESSES, MOST_ADDRESSES))
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    (folder / "tmp").mkdir()
    (folder / "in").mkdir()
    tempfile.tempdir = str(folder / "tmp")

    def once(data: bytes) -> None:
        try:
            attempt(TARGETS[name], data, folder / "in")
        except Exception as error:  # noqa: BLE001  # whatever it is, it is a finding
            _note(findings, name, data, error)

    corpus = findings / "corpus" / name
    atheris.Setup(
        [
            "fuzz",
            f"-max_total_time={seconds}",
            f"-timeout={HANG_SECONDS}",
            f"-rss_limit_mb={MOST_MEMORY_MB}",
            f"-max_len={MOST_INPUT}",
            f"-artifact_prefix={findings}/{name}-",
            "-print_final_stats=0",
            "-verbosity=1",
            str(corpus),
        ],
        once,
    )
    atheris.Fuzz()


def _note(findings: Path, name: str, data: bytes, error: BaseException) -> None:
    """Write a finding once for each place in the code."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "/fuzz/" not in frame.filename
    ]
    place = "|".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames[-2:])
    words = re.sub(r"[\d.]+|'[^']*'|/\S+", "", str(error))[:60] if not frames else ""
    key = hashlib.sha256(f"{type(error).__name__}|{place}|{words}".encode()).hexdigest()[:12]
    target = findings / f"{name}-{key}.txt"
    if not target.exists():
        (findings / f"{name}-{key}.bin").write_bytes(data)
        target.write_text("".join(traceback.format_exception(error)))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
