"""What becomes of every case of the corpus: `python -m tests.hostile.table [--all]`.

Each case is read in a process of its own, so that one that kills it is counted, not the end. Prints
how many invalid inputs were refused, read in silence, or crashed, and how many odd but valid ones
were read exactly; then the cases that went wrong, or with --all every case and what was said.
"""

from __future__ import annotations

import multiprocessing
import re
import resource
import sys
import tempfile
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path

from tests.hostile.corpus import INVALID, VALID
from tests.hostile.grids import check_same_voxels

MOST_SECONDS = 30
MOST_BYTES = 8 << 30
GOOD = ("refused", "exact")


def judge(name: str, folder: Path) -> tuple[str, str]:
    """Return what became of a case, in a word, and what was said."""
    from medcyclegan.errors import MedCycleGANError
    from medcyclegan.io import read_volume

    path = (INVALID[name] if name in INVALID else VALID[name])[0](folder)
    try:
        volume = read_volume(path)
    except MedCycleGANError as error:
        said = str(error).replace(f"{folder}/", "")
        if name in VALID:
            return "refused though valid", said
        clear = re.search(INVALID[name][1], said) and "\n" not in said
        return "refused" if clear else "refused, unclear", said
    except Exception as error:  # noqa: BLE001  # what is counted here
        return "crashed", f"{type(error).__name__}: {error}"
    if name in INVALID:
        return "read in silence", "; ".join(volume.provenance.warnings)
    try:
        check_same_voxels(volume, *VALID[name][1:])
    except AssertionError as error:
        return "read wrong", str(error)
    return "exact", "; ".join(volume.provenance.warnings)


def _child(name: str, answer: Connection) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    with tempfile.TemporaryDirectory() as folder:
        answer.send(judge(name, Path(folder)))


def judge_apart(name: str) -> tuple[str, str]:
    """Return what `judge` does, in a process of its own."""
    context = multiprocessing.get_context("fork")
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(name, send))
    process.start()
    send.close()
    try:
        if not receive.poll(MOST_SECONDS):
            process.kill()
            return "hung", f"longer than {MOST_SECONDS} s"
        verdict: tuple[str, str] = receive.recv()
    except EOFError:
        process.join()
        return "crashed", f"exit code {process.exitcode}"
    process.join()
    return verdict


def main() -> int:
    """Print the table; the exit code is 1 if anything went wrong."""
    import medcyclegan.io  # noqa: F401  # once, before the processes part

    verdicts = {name: judge_apart(name) for name in (*INVALID, *VALID)}
    kinds: dict[str, Counter[str]] = {}
    for name, (verdict, _) in verdicts.items():
        kind = f"{'invalid' if name in INVALID else 'valid'} {name.split(':')[0]}"
        kinds.setdefault(kind, Counter())[verdict] += 1
    for kind, counts in kinds.items():
        print(f"{kind:24}", ", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
    for title, names in (("invalid", INVALID), ("valid", VALID)):
        counts = Counter(verdicts[name][0] for name in names)
        print(
            f"{len(names)} {title}:", ", ".join(f"{n} {verdict}" for verdict, n in counts.items())
        )
    for name, (verdict, said) in verdicts.items():
        if verdict not in GOOD or "--all" in sys.argv[1:]:
            print(f"{verdict:16} {name}: {said}")
    return int(any(verdict not in GOOD for verdict, _ in verdicts.values()))


if __name__ == "__main__":
    sys.exit(main())
