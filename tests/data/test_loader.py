"""Batches from workers: the same bits, and an end to everything whatever dies."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import closing
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import numpy as np
import pytest
import torch

from medcyclegan.body import Box
from medcyclegan.data.augmentation import SliceAugmentation
from medcyclegan.data.facts import SliceFacts
from medcyclegan.data.loader import BatchLoader
from medcyclegan.data.store import SliceStore, StoredVolume
from medcyclegan.data.unpaired import UnpairedSlices
from medcyclegan.domains import Pair
from medcyclegan.errors import MedCycleGANError
from medcyclegan.intensity import Window
from medcyclegan.volume import Provenance, Volume

WINDOW = Window(-200, 600)


def noise(name: str) -> StoredVolume:
    array = np.random.default_rng(len(name)).integers(-150, 500, (6, 40, 48)).astype(np.int16)
    everything = tuple(range(6))
    facts = SliceFacts(
        name, "axial", (3.0, 1.0, 1.0), (Box(0, 40, 0, 48),) * 6, everything, (), ((1.0,) * 5,) * 6
    )
    return StoredVolume(array, facts, f"data/{name}.nii.gz")


def sampler(
    volumes: Pair[list[StoredVolume]] | None = None,
    augmentation: SliceAugmentation | None = None,
    batch_size: int = 4,
    size: int = 32,
) -> UnpairedSlices:
    return UnpairedSlices(
        volumes or Pair([noise("a"), noise("aa")], [noise("bbb")]),
        window=WINDOW,
        size=size,
        neighbors=3,
        batch_size=batch_size,
        seed=5,
        augmentation=augmentation,
    )


def equal(one: Pair[torch.Tensor], other: Pair[torch.Tensor]) -> bool:
    return torch.equal(one.a, other.a) and torch.equal(one.b, other.b)


def workers_of(batches: Generator[Pair[torch.Tensor]]) -> list[int]:
    before = {child.pid for child in multiprocessing.active_children()}
    next(batches)
    pids = [child.pid for child in multiprocessing.active_children() if child.pid not in before]
    return [pid for pid in pids if pid is not None]


@pytest.mark.parametrize("augmentation", [None, SliceAugmentation(10, 0.1, True)])
@pytest.mark.parametrize("workers", [0, 1, 2])
def test_any_number_of_workers_gives_the_same_bits(
    workers: int, augmentation: SliceAugmentation | None
) -> None:
    slices = sampler(augmentation=augmentation)
    loader = BatchLoader(slices, steps=12, workers=workers)
    for first in (0, 7, 11):
        drawn = list(loader.batches(first))
        assert len(drawn) == 12 - first
        assert all(equal(batch, slices.batch(first + n)) for n, batch in enumerate(drawn))
    assert not list(loader.batches(12))
    assert not multiprocessing.active_children()


def test_a_batch_stays_what_it_is_when_later_ones_come() -> None:
    slices = sampler()
    with closing(BatchLoader(slices, steps=20, workers=1).batches(0)) as batches:
        first = next(batches)
        for _ in range(10):
            next(batches)
        assert equal(first, slices.batch(0))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_part_of_the_batch_is_that_of_the_whole(workers: int) -> None:
    slices = sampler(augmentation=SliceAugmentation(5))
    loader = BatchLoader(slices, steps=3, workers=workers, part=slice(1, 3))
    for step, batch in enumerate(loader.batches(0)):
        whole = slices.batch(step)
        assert equal(batch, Pair(whole.a[1:3], whole.b[1:3]))


def test_no_random_state_is_touched() -> None:
    before = torch.get_rng_state()
    list(BatchLoader(sampler(augmentation=SliceAugmentation(5)), steps=3, workers=1).batches(0))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_killed_worker_ends_the_run_and_says_what_it_drew_from() -> None:
    slices = sampler(batch_size=1)
    batches = BatchLoader(slices, steps=1000, workers=2).batches(10)
    victim = workers_of(batches)[1]
    time.sleep(0.3)  # it has drawn ahead
    os.kill(victim, signal.SIGKILL)
    with pytest.raises(MedCycleGANError, match="was killed by SIGKILL") as caught:
        list(batches)
    assert caught.value.exit_code == 1
    assert "\n" not in str(caught.value)
    said = str(caught.value)
    step = int(said.partition(":")[0].removeprefix("step "))
    assert step in {15, 16}, "what it drew ahead is whole; there is no more"
    assert ", ".join(slices.names(step)) in said
    assert not multiprocessing.active_children()


def test_a_hung_worker_ends_the_run_in_time() -> None:
    batches = BatchLoader(sampler(), steps=1000, workers=2, timeout_seconds=2).batches(0)
    victim = workers_of(batches)[0]
    os.kill(victim, signal.SIGSTOP)
    start = time.monotonic()
    named = r"data/aa?.nii.gz.* gave nothing for 2 s"
    with pytest.raises(MedCycleGANError, match=named):
        list(batches)
    assert 2 <= time.monotonic() - start < 15
    assert not multiprocessing.active_children(), "hung ones, too, are gone"


def test_of_many_volumes_some_are_named() -> None:
    volumes = [noise("x" * n) for n in range(1, 40)]
    slices = sampler(Pair(volumes, volumes), batch_size=16)
    batches = BatchLoader(slices, steps=100, workers=1).batches(0)
    os.kill(workers_of(batches)[0], signal.SIGKILL)
    with pytest.raises(MedCycleGANError, match=r"x\.nii\.gz and \d+ more was killed") as caught:
        list(batches)
    assert str(caught.value).count(".nii.gz") == 4


def test_signals_to_the_whole_group_are_the_parents_to_act_on() -> None:
    slices = sampler()
    with closing(BatchLoader(slices, steps=50, workers=2).batches(0)) as batches:
        for pid in workers_of(batches):
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
                os.kill(pid, number)
        for step, batch in enumerate(batches, start=1):
            assert equal(batch, slices.batch(step))


def test_a_closed_generator_leaves_no_worker() -> None:
    batches = BatchLoader(sampler(), steps=1000, workers=2).batches(0)
    pids = workers_of(batches)
    os.kill(pids[0], signal.SIGSTOP)
    batches.close()
    assert not multiprocessing.active_children()


def test_a_spawned_worker_maps_the_slices_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SliceStore(None, WINDOW, tmp_path / "slices")
    array = np.random.default_rng(0).integers(-150, 500, (64, 64, 20)).astype(np.int16)
    affine = np.diag([-1.0, -1.0, 3.0, 1.0])
    volumes = [
        store.load(Volume(array + n, affine, Provenance(path=Path(f"{n}.nii")))) for n in range(3)
    ]
    slices = sampler(Pair(volumes[:2], volumes[2:]))
    assert len(ForkingPickler.dumps(slices)) < array.nbytes / 4
    monkeypatch.setattr("medcyclegan.data.loader.START", "spawn")
    drawn = list(BatchLoader(slices, steps=3, workers=1).batches(0))
    assert all(equal(batch, slices.batch(step)) for step, batch in enumerate(drawn))


PROGRAM = """
import faulthandler, multiprocessing, sys, time
from pathlib import Path

import torch

sys.path.insert(0, sys.argv[1])
from test_loader import SliceAugmentation, BatchLoader, sampler

torch.set_num_threads(2)
image = torch.randn(8, 16, 64, 64, requires_grad=True)
torch.nn.functional.conv2d(image, torch.randn(16, 16, 3, 3)).sum().backward()
batches = BatchLoader(
    sampler(augmentation=SliceAugmentation(10), size=128), steps=100, workers=2
).batches(0)
for _ in range(10):
    next(batches)
print("drawn", *(child.pid for child in multiprocessing.active_children()), flush=True)
if sys.argv[2] == "wait":
    time.sleep(60)
"""


def started(how: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(Path(__file__).parent), how],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "2"},
    )


def test_workers_draw_beside_the_threads_of_their_parent_and_let_it_end() -> None:
    """Neither its OpenMP threads nor a generator that is open at the end hold anything up."""
    with started("end") as parent:
        said, complaints = parent.communicate(timeout=60)
    assert parent.returncode == 0
    assert complaints == ""
    assert said.startswith("drawn ")


def test_workers_end_with_a_parent_that_is_killed() -> None:
    with started("wait") as parent:
        assert parent.stdout is not None
        word, *pids = parent.stdout.readline().split()
        assert word == "drawn"
        assert len(pids) == 2
        parent.kill()
        _, complaints = parent.communicate(timeout=20)  # the workers, too, have let go of it
    assert complaints == ""
