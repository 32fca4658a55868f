"""The fuzz targets run, without a fuzzer, on their seeds and on a few spoiled ones."""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from medcyclegan.errors import InputError
from tests.fuzz.targets import TARGETS, Finding, Target, attempt

SPOILED = 12  # attempts for each target beside its seeds
MOST_SEEDS = 12


def spoil(data: bytes, generator: random.Random) -> bytes:
    """Return bytes with a few changed, cut or doubled."""
    changed = bytearray(data)
    for _ in range(generator.randint(1, 6)):
        if changed:
            changed[generator.randrange(len(changed))] = generator.randrange(256)
    if generator.random() < 0.2:
        del changed[generator.randrange(len(changed) + 1) :]
    return bytes(changed)


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_ends_in_a_volume_or_a_clean_refusal(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = TARGETS[name]
    seeds = target.seeds()
    generator = random.Random(name)
    assert seeds
    tries = generator.sample(seeds, min(MOST_SEEDS, len(seeds)))
    tries += [spoil(generator.choice(seeds), generator) for _ in range(SPOILED)]
    for folder in ("in", "tmp"):
        (tmp_path / folder).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    for data in tries:
        attempt(target, data, tmp_path / "in")


def test_an_attempt_notices_what_must_not_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("in", "tmp"):
        (tmp_path / folder).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))

    def refuse(line: str) -> Target:
        def attempt_(data: bytes, folder: Path) -> None:
            raise InputError(line.format(folder=folder))

        return Target(list, attempt_)

    def leave(data: bytes, folder: Path) -> None:
        (tmp_path / "tmp" / "left").touch()

    attempt(refuse("{folder}/ct.nii: is empty"), b"", tmp_path / "in")
    for line in (
        "ct.nii: is empty",
        "{folder}/ct: two\nlines",
        "{folder}: does not fit into memory",
    ):
        with pytest.raises(Finding):
            attempt(refuse(line), b"", tmp_path / "in")
    with pytest.raises(Finding, match="left behind"):
        attempt(Target(list, leave), b"", tmp_path / "in")


def test_the_command_names_its_targets(repository: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "nonsense"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "no such target: nonsense; there are nifti" in done.stderr
