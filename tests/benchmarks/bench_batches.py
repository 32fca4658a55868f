"""Time batches of slices from our slice store and from MONAI's caches of slices.

    python tests/benchmarks/bench_batches.py [--volumes 2] [--slices 100] [--rounds 15]

The same volumes, 512 x 512 with `--slices` slices each, become batches (B, 1, 256, 256), float32,
windowed to [-1, 1] and cut at random about the body. One item of MONAI's caches is one slice, read
and windowed when the cache is filled, so that only the random crop and the batch are left to do;
its `CacheDataset` holds them in memory, its `PersistentDataset` on disk. Each is timed as MONAI
comes, and tuned: without the meta data that its transforms track. The store keeps int16 on disk,
memory-mapped, and windows as it draws. One thread, no workers, CPU seconds; all take turns in each
round, so that whatever else the machine does falls on all of them. Median and range over rounds.

Then the same with every slice turned by up to 10 degrees, scaled by up to a tenth and half of them
mirrored: by the store's augmentation, and by MONAI's RandAffined and RandFlipd after the tuned
`CacheDataset`. Last, how long one waits for a batch with 0, 1 and 2 workers that draw ahead, wall
time, where each batch is followed by 50 ms in which a GPU would compute.
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data.dataloader import DataLoader
from monai.data.dataset import CacheDataset, PersistentDataset
from monai.data.meta_obj import set_track_meta
from monai.data.meta_tensor import MetaTensor
from monai.transforms.compose import Compose
from monai.transforms.croppad.dictionary import RandSpatialCropd
from monai.transforms.intensity.dictionary import ScaleIntensityRanged
from monai.transforms.spatial.dictionary import RandAffined, RandFlipd
from monai.transforms.transform import MapTransform

from medcyclegan.data.augmentation import SliceAugmentation
from medcyclegan.data.loader import BatchLoader
from medcyclegan.data.position import match_positions
from medcyclegan.data.store import SliceStore, StoredVolume
from medcyclegan.data.unpaired import UnpairedSlices
from medcyclegan.domains import Pair
from medcyclegan.intensity import Window
from medcyclegan.volume import Provenance, Volume

PIXELS, SIZE = 512, 256
WINDOW = Window(-200.0, 600.0)
DEGREES, SCALING = 10.0, 0.1
BATCHES, STEP_SECONDS = 20, 0.05  # of a round of waiting


def make_volume(patient: int, slices: int) -> Volume:
    """Return a trunk of noise in air, its width changing from slice to slice."""
    rng = np.random.default_rng(patient)
    rows, columns = np.mgrid[-1 : 1 : PIXELS * 1j, -1 : 1 : PIXELS * 1j]
    array = np.full((PIXELS, PIXELS, slices), -1000, np.int16)
    for index in range(slices):
        width = 0.6 + 0.3 * index / slices
        body = (columns / width) ** 2 + (rows / 0.6) ** 2 < 1
        array[:, :, index][body] = rng.integers(-100, 300, int(body.sum()))
    affine = np.diag([-0.8, -0.8, 3.0, 1.0])
    return Volume(array, affine, Provenance(patient=f"p{patient}"))


class SliceOfFiled(MapTransform):
    """One slice of a .npy file: (1, H, W), float32."""

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, torch.Tensor]:
        """Return `data` with the slices read."""
        read: dict[Any, torch.Tensor] = {}
        for key in self.key_iterator(dict(data)):
            path, index = data[key]
            plane = np.load(path, mmap_mode="r")[index]
            read[key] = MetaTensor(torch.from_numpy(np.array(plane[None], np.float32)))
        return read


def monai_slices(margin: int = 0) -> Compose:
    side = SIZE + 2 * margin
    plain: list[Any] = [
        SliceOfFiled("ct"),
        ScaleIntensityRanged("ct", WINDOW.low_hu, WINDOW.high_hu, -1.0, 1.0, clip=True),
        RandSpatialCropd("ct", (side, side), random_size=False),
    ]
    changes = [
        RandAffined(
            "ct",
            (SIZE, SIZE),
            prob=1.0,
            rotate_range=math.radians(DEGREES),
            scale_range=SCALING,
            mode="bilinear",
            padding_mode="border",
            cache_grid=True,
        ),
        RandFlipd("ct", prob=0.5, spatial_axis=1),
    ]
    return Compose(plain + changes if margin else plain)


Batches = Callable[[], Sequence[torch.Tensor]]  # (B, 1, H, W) each


def sampler(
    volumes: list[StoredVolume], batch_size: int, augmentation: SliceAugmentation | None = None
) -> UnpairedSlices:
    domains = Pair(volumes, volumes)
    return UnpairedSlices(
        domains,
        window=WINDOW,
        size=SIZE,
        neighbors=1,
        batch_size=batch_size // 2,
        seed=0,
        groups=match_positions(domains, Pair("a", "b")),
        augmentation=augmentation,
    )


def from_store(slices: UnpairedSlices) -> Batches:
    steps = iter(range(10**9))
    return lambda: slices.batch(next(steps))


def from_monai(dataset: CacheDataset | PersistentDataset, batch_size: int) -> Batches:
    loader = DataLoader(dataset, batch_size=batch_size, shuffle=True, drop_last=True)
    batches = (batch["ct"] for _ in range(10**9) for batch in loader)
    return lambda: [next(batches)]


def from_monai_caches(
    items: list[dict[str, tuple[str, int]]], batch_size: int, folder: Path
) -> dict[str, tuple[Batches, bool]]:
    """Return what draws from each of MONAI's caches, filled, and whether it tracks meta data."""
    drawn = {}
    for tracks, how in ((True, "as it comes"), (False, "tuned")):
        set_track_meta(tracks)
        cached = CacheDataset(items, monai_slices(), progress=False)
        kept = PersistentDataset(items, monai_slices(), folder / f"monai-{tracks}")
        for index in range(len(kept)):  # fill it
            kept[index]
        for dataset in (cached, kept):
            name = f"MONAI {type(dataset).__name__}, {how}"
            drawn[name] = (from_monai(dataset, batch_size), tracks)
    return drawn


def rate(batches: Batches, at_least: float = 0.3) -> float:
    """Return slices a CPU second, over so many CPU seconds or more."""
    count, begin = 0, time.process_time()
    while time.process_time() - begin < at_least:
        drawn = batches()
        count += sum(len(batch) for batch in drawn)
    taken = time.process_time() - begin
    for batch in drawn:
        assert batch.shape[1:] == (1, SIZE, SIZE)
        assert batch.dtype == torch.float32
        assert -1 <= float(batch.min()) < float(batch.max()) <= 1
    return count / taken


def milliseconds(slices: UnpairedSlices, workers: int) -> float:
    """Return how long one waits for a batch when workers are at work, wall time, the median."""
    loader = BatchLoader(slices, steps=BATCHES + 5, workers=workers)
    waited = []
    with closing(loader.batches(0)) as batches:
        for _ in range(BATCHES + 5):
            begin = time.perf_counter()
            next(batches)
            waited.append(time.perf_counter() - begin)
            time.sleep(STEP_SECONDS)
    return statistics.median(waited[5:]) * 1000


def race(contenders: dict[str, tuple[Batches, bool]], rounds: int, what: str) -> None:
    rates: dict[str, list[float]] = {contender: [] for contender in contenders}
    for turn in range(rounds + 1):
        for contender, (batches, tracks) in contenders.items():
            set_track_meta(tracks)
            measured = rate(batches)
            if turn:  # the first warms up
                rates[contender].append(measured)
    print(f"{what}; one thread, slices a CPU second, {rounds} rounds")
    medians = {contender: statistics.median(found) for contender, found in rates.items()}
    for contender, found in rates.items():
        print(
            f"  {medians[contender]:7.0f}  [{min(found):6.0f} - {max(found):6.0f}]  {contender:39}"
            f"the store draws {medians['slice store'] / medians[contender]:.1f} times as fast"
        )


def waiting(plain: UnpairedSlices, changed: UnpairedSlices, rounds: int) -> None:
    found: dict[tuple[str, int], list[float]] = {}
    for _ in range(rounds):
        for what, slices in (("plain", plain), ("augmented", changed)):
            for workers in (0, 1, 2):
                found.setdefault((what, workers), []).append(milliseconds(slices, workers))
    print(
        f"waited for a batch, ms of wall time, {rounds} rounds of {BATCHES} batches, "
        f"{STEP_SECONDS * 1000:.0f} ms between"
    )
    for (what, workers), times in found.items():
        print(
            f"  {statistics.median(times):7.2f}  [{min(times):6.2f} - {max(times):6.2f}]  "
            f"{what}, {workers} workers"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--volumes", type=int, default=2)
    parser.add_argument("--slices", type=int, default=100)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = SliceStore(None, WINDOW, folder / "slices")
        volumes, items = [], []
        for number in range(options.volumes):
            volume = make_volume(number, options.slices)
            volumes.append(store.load(volume))
            path = folder / f"{number}.npy"
            np.save(path, volume.array.transpose(2, 1, 0))
            items += [{"ct": (str(path), index)} for index in range(options.slices)]
        augmentation = SliceAugmentation(DEGREES, SCALING, flip_left_right=True)
        plain = sampler(volumes, options.batch_size)
        changed = sampler(volumes, options.batch_size, augmentation)
        contenders = {"slice store": (from_store(plain), True)}
        contenders |= from_monai_caches(items, options.batch_size, folder)
        what = (
            f"{options.volumes} volumes {PIXELS}x{PIXELS}x{options.slices} to batches of "
            f"({options.batch_size}, 1, {SIZE}, {SIZE}), window and crop included"
        )
        race(contenders, options.rounds, what)
        set_track_meta(False)
        cached = CacheDataset(items, monai_slices(augmentation.margin(SIZE)), progress=False)
        contenders = {
            "slice store": (from_store(changed), True),
            "MONAI CacheDataset, tuned, RandAffined": (
                from_monai(cached, options.batch_size),
                False,
            ),
        }
        race(contenders, options.rounds, f"turned by {DEGREES:g} degrees, scaled by {SCALING:g}")
        waiting(plain, changed, min(options.rounds, 5))


if __name__ == "__main__":
    main()
