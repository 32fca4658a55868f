"""Time reading and writing of one gzipped NIfTI volume, ours against nibabel's default.

    python tests/benchmarks/bench_nifti.py [FILE] [--rounds 7]

The volume is FILE, or a made one of 512x512x100 voxels, int16. One thread, CPU seconds, median and
range, both sides in turn in one process. Ours reads and writes with all its checks: bytes counted,
checksum, grid, HU. nibabel's side is `load`, values as stored (int16, no float), and `save`.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from medcyclegan.io import read_volume, write_volume
from medcyclegan.volume import Volume

SHAPE = (512, 512, 100)
TARGET = 0.5


def make_volume() -> Volume:
    """Return a body of fat, muscle, bone and lung in air, with the grain of a scanner."""
    i, j, _ = np.ogrid[-1:1:512j, -1:1:512j, -1:1:100j]
    body, inner = (i / 0.9) ** 2 + (j / 0.65) ** 2, (i / 0.7) ** 2 + (j / 0.5) ** 2
    lungs = ((np.abs(i) - 0.35) / 0.25) ** 2 + (j / 0.35) ** 2
    spine = (i / 0.12) ** 2 + ((j - 0.4) / 0.1) ** 2
    hu = np.broadcast_to(np.where(body < 1, -100.0, -1000.0), SHAPE).astype(np.float32)
    for region, value in ((inner, 45), (lungs, -850), (spine, 400)):
        hu[np.broadcast_to(region < 1, SHAPE)] = value
    grain = np.random.default_rng(0).normal(0, 20, SHAPE).astype(np.float32)
    grain += np.roll(grain, 1, 0) + np.roll(grain, 1, 1)  # neighbours are alike
    array = np.rint(hu + grain / np.sqrt(3)).clip(-1024, 3071).astype(np.int16)
    return Volume(np.asfortranarray(array), np.diag([-0.8, -0.8, 3.0, 1.0]))


def ours(source: Path, target: Path) -> tuple[float, float]:
    begin = time.process_time()
    volume = read_volume(source)
    middle = time.process_time()
    write_volume(volume, target)
    return middle - begin, time.process_time() - middle


def nibabels(source: Path, target: Path) -> tuple[float, float]:
    begin = time.process_time()
    image: Any = nibabel.load(source)
    array = np.asanyarray(image.dataobj)
    middle = time.process_time()
    nibabel.save(nibabel.Nifti1Image(array, image.affine, image.header), target)
    return middle - begin, time.process_time() - middle


def line(times: list[float]) -> str:
    return f"{statistics.median(times):6.2f}  [{min(times):.2f} - {max(times):.2f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    sides: dict[str, Callable[[Path, Path], tuple[float, float]]]
    sides = {"medcyclegan": ours, "nibabel": nibabels}
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    with tempfile.TemporaryDirectory() as name:
        source = options.file or Path(name, "source.nii.gz")
        if not options.file:  # packed by nibabel: neither side reads what it wrote itself
            made = make_volume()
            nibabel.save(nibabel.Nifti1Image(made.array, made.affine), source)
        targets = {side: Path(name, f"{side}.nii.gz") for side in sides}
        for number in range(options.rounds + 1):
            for side, run in sides.items():
                taken = run(source, targets[side])
                if number:  # the first round warms up
                    times[side].append(taken)
        shape = read_volume(source).array.shape
        sizes = {side: target.stat().st_size for side, target in targets.items()}
    print(f"one .nii.gz, {shape} voxels, CPU seconds, one thread, {options.rounds} rounds in turn")
    for side, pairs in times.items():
        print(f"  {side:12} read  {line([read for read, _ in pairs])}")
        print(f"  {side:12} write {line([write for _, write in pairs])}")
        print(f"  {side:12} both  {line([sum(pair) for pair in pairs])}  {sizes[side]:,} bytes")
    mine, theirs = (statistics.median(map(sum, times[side])) for side in sides)
    print(f"ratio {mine / theirs:.2f} (target: at most {TARGET})")


if __name__ == "__main__":
    main()
