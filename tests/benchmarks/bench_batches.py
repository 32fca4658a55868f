"""Time the drawing of unpaired batches: slices a second.

    python tests/benchmarks/bench_batches.py [--size 128] [--batch-size 8] [--rounds 20]

One thread, CPU seconds, median and range over rounds of one batch each. Training must not wait
for its data: hold the figure against the training step's time of bench_training_step.py.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import torch

from medcyclegan.body import body_box
from medcyclegan.data.store import SliceFacts, StoredVolume
from medcyclegan.data.unpaired import UnpairedSlices
from medcyclegan.domains import Pair
from medcyclegan.intensity import Window

VOLUMES, SLICES, PIXELS = 4, 20, 160


def make_volume(patient: str) -> StoredVolume:
    slices = np.random.default_rng(0).integers(-150, 500, (SLICES, PIXELS, PIXELS), np.int16)
    boxes = tuple(body_box(plane > -200) for plane in slices)
    facts = SliceFacts(patient, "axial", (3.0, 1.0, 1.0), boxes, tuple(range(SLICES)), ())
    return StoredVolume(slices, facts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    torch.set_num_threads(1)
    volumes = [make_volume(f"p{number}") for number in range(VOLUMES)]
    sampler = UnpairedSlices(
        Pair(volumes, volumes),
        window=Window(-200, 600),
        size=options.size,
        neighbors=1,
        batch_size=options.batch_size,
        seed=0,
    )
    rates = []
    for step in range(options.rounds + 1):
        begin = time.process_time()
        sampler.batch(step)
        if step:  # the first round warms up
            rates.append(2 * options.batch_size / (time.process_time() - begin))
    print(
        f"unpaired batches of {options.batch_size} slices {options.size}x{options.size} of each "
        f"domain, one thread, slices a CPU second, {options.rounds} rounds"
    )
    print(f"  {statistics.median(rates):7.0f}  [{min(rates):.0f} - {max(rates):.0f}]")


if __name__ == "__main__":
    main()
