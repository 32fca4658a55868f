from __future__ import annotations

import hashlib
import os
import pickle  # noqa: TID251  # to write what must be refused
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from medcyclegan.errors import MedCycleGANError
from medcyclegan.training.checkpoint import load_newest, save_checkpoint


def state(value: float) -> dict[str, Any]:
    return {"model": {"weight": torch.full((3,), value), "pool": {"images": [torch.ones(2)]}}}


def steps(folder: Path) -> list[int]:
    return sorted(int(path.name.split("-")[1]) for path in folder.iterdir())


def newest(folder: Path) -> Path:
    return max(folder.iterdir())


def test_the_newest_state_comes_back(tmp_path: Path) -> None:
    said: list[str] = []
    for step in (7, 30):
        save_checkpoint(tmp_path, step, state(step))
    found = load_newest(tmp_path, said.append)
    assert found is not None
    assert found[0] == 30
    assert torch.equal(found[1]["model"]["weight"], torch.full((3,), 30.0))
    assert torch.equal(found[1]["model"]["pool"]["images"][0], torch.ones(2))
    assert said == []


def test_there_may_be_none(tmp_path: Path) -> None:
    (tmp_path / "step-00000003.pt.tmp").write_bytes(b"half")
    (tmp_path / "step-3-abc.pt").write_bytes(b"not ours")
    assert load_newest(tmp_path, pytest.fail) is None
    assert load_newest(tmp_path / "absent", pytest.fail) is None


def test_only_the_last_two_are_kept(tmp_path: Path) -> None:
    for step in (1, 2, 10, 100_000_000, 100_000_001):
        save_checkpoint(tmp_path, step, state(step))
    assert steps(tmp_path) == [100_000_000, 100_000_001]
    save_checkpoint(tmp_path / "x", 99_999_999, state(1))
    save_checkpoint(tmp_path / "x", 100_000_000, state(2))
    found = load_newest(tmp_path / "x", pytest.fail)
    assert found is not None
    assert found[0] == 100_000_000  # by number, not by name


@pytest.mark.parametrize("place", [0, 100, -1])
def test_a_flipped_bit_is_noticed_and_the_one_before_is_taken(tmp_path: Path, place: int) -> None:
    save_checkpoint(tmp_path, 5, state(5))
    save_checkpoint(tmp_path, 9, state(9))
    damaged = newest(tmp_path)
    data = bytearray(damaged.read_bytes())
    data[place] ^= 1
    damaged.write_bytes(data)
    said: list[str] = []
    found = load_newest(tmp_path, said.append)
    assert found is not None
    assert found[0] == 5
    assert torch.equal(found[1]["model"]["weight"], torch.full((3,), 5.0))
    assert said == [f"{damaged.name}: damaged; trying the one before"]


def test_damaged_checkpoints_do_not_push_out_those_that_a_resumed_run_writes(
    tmp_path: Path,
) -> None:
    for step in (80, 90):
        save_checkpoint(tmp_path, step, state(step))
        newest(tmp_path).write_bytes(b"damaged")
    assert load_newest(tmp_path, lambda line: None) is None
    save_checkpoint(tmp_path, 10, state(10))  # begun again at step 0
    found = load_newest(tmp_path, pytest.fail)
    assert found is not None
    assert found[0] == 10


class Evil:
    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


@pytest.mark.parametrize("form", ["torch", "plain pickle", "nothing", "text"])
def test_a_checkpoint_cannot_run_code(tmp_path: Path, form: str) -> None:
    save_checkpoint(tmp_path, 5, state(5))
    mark = tmp_path / "was-run"
    evil = tmp_path / "evil"
    if form == "torch":
        torch.save({"model": Evil(f"touch {mark}")}, evil)
    else:
        pickled = pickle.dumps(Evil(f"touch {mark}"))
        evil.write_bytes({"plain pickle": pickled, "nothing": b"", "text": b"hello"}[form])
    digest = hashlib.sha256(evil.read_bytes()).hexdigest()
    evil.rename(tmp_path / f"step-00000009-{digest}.pt")
    said: list[str] = []
    found = load_newest(tmp_path, said.append)
    assert not mark.exists()
    assert found is not None
    assert found[0] == 5
    assert len(said) == 1
    assert "not a checkpoint of ours" in said[0]


def test_a_disk_that_takes_no_more_leaves_the_last_checkpoint(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 5, state(5))
    done = subprocess.run(  # a limit on file size, in a process of its own
        [
            "bash",
            "-c",
            'trap \'\' XFSZ; ulimit -f 1; exec "$0" -c "$1" "$2"',
            sys.executable,
            "import sys, torch; from pathlib import Path;"
            "from medcyclegan.errors import MedCycleGANError;"
            "from medcyclegan.training.checkpoint import save_checkpoint\n"
            "try: save_checkpoint(Path(sys.argv[1]), 9, {'x': torch.zeros(10000)})\n"
            "except MedCycleGANError as error: print(error); sys.exit(error.exit_code)",
            str(tmp_path),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == MedCycleGANError.exit_code, done.stderr
    assert "cannot write (File too large)" in done.stdout
    assert steps(tmp_path) == [5]


def test_what_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 5, state(5))
    blocked = tmp_path / f"step-00000009-{'0' * 64}.pt"
    blocked.mkdir()  # whoever tests as root can read every file
    said: list[str] = []
    found = load_newest(tmp_path, said.append)
    assert found is not None
    assert found[0] == 5
    assert said == [f"{blocked.name}: cannot be read (Is a directory); trying the one before"]


def test_the_best_and_every_so_many_are_kept(tmp_path: Path) -> None:
    for step in range(1, 11):
        save_checkpoint(tmp_path, step, state(step), best=2 if step < 9 else 9, every=4)
        kept = {2 if step < 9 else 9, step - 1, step, *range(4, step + 1, 4)} - {0}
        assert steps(tmp_path) == sorted(of for of in kept if of <= step)
