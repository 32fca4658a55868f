"""What a run does to real scans: `python tests/benchmarks/bench_real.py RUN DATA`.

DATA holds `totalsegmentator/` and `tcga_luad_contrast/`. Printed are

- organs of a labelled portal-venous scan, median HU before and after, beside what is usual without
  contrast medium (the phantom's table, plus and minus three of its spreads);
- semi-real twins: contrast medium put into a scan without, in each phase and for five seeds, and
  taken out by the run: how far each organ's mean is off before and after;
- tissue that the source's HU alone call air, lung, fat and bone, in every contrast scan of both
  sources: how far its mean has moved.

Nothing is held against a true twin of a real patient: none of the sources has one.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

import numpy as np

from medcyclegan.cases import read_labels_of
from medcyclegan.io import read_labels, read_volume
from medcyclegan.metrics.by_hu import tissues_by_hu
from medcyclegan.metrics.reference import Hu, make_scan, slices_like
from medcyclegan.phantom.parameters import TISSUES, Phase
from medcyclegan.phantom.semireal import enhance
from medcyclegan.phantom.totalsegmentator import KIDNEYS, TOTALSEGMENTATOR
from medcyclegan.translator import Translator
from medcyclegan.volume import Volume

STILL = ("gallbladder", "spongy_bone", "lung")
SEEDS = 5
SPREADS = 3.0
ORGANS = ("aorta", "vena_cava", "portal_vein", "liver", "spleen", KIDNEYS, "pancreas", "muscle")

Translate = Callable[[Volume], Hu]


def main() -> None:
    """Print the three tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("data", type=Path)
    options = parser.parse_args()
    translator = Translator.load(options.run, "cpu")

    def translate(volume: Volume) -> Hu:
        return slices_like(translator.translate(volume, "a_to_b"), volume)

    _print_labelled(options.data / "totalsegmentator", translate)
    _print_twins(options.data / "totalsegmentator", translate)
    _print_still(options.data, translate)


def _print_labelled(folder: Path, translate: Translate) -> None:
    scan = read_volume(folder / "example_ct_dicom")
    labels = read_labels_of(scan, folder / "example_seg_dicom.nii.gz")
    before, after = make_scan(scan, labels), translate(scan)
    assert before.labels is not None
    print(f"{'organ':14}{'before':>8}{'after':>8}   usual without contrast medium, HU")
    for name in (*ORGANS, *STILL):
        there = np.isin(before.labels, TOTALSEGMENTATOR[name])
        if there.any():
            usual = TISSUES["kidney_cortex" if name == KIDNEYS else name]
            low, high = (usual.base_hu + sign * SPREADS * usual.base_sd for sign in (-1, 1))
            medians = (float(np.median(hu[there])) for hu in (before.hu, after))
            print(f"{name:14}" + "".join(f"{hu:8.1f}" for hu in medians), f"  {low:g} to {high:g}")


def _print_twins(folder: Path, translate: Translate) -> None:
    scan = read_volume(folder / "example_ct_sm.nii.gz")
    labels = read_labels(folder / "example_seg.nii.gz")
    truth = make_scan(scan, labels)
    assert truth.labels is not None
    for phase in get_args(Phase):
        if phase == "noncontrast":
            continue
        off: dict[str, list[tuple[float, float]]] = {name: [] for name in (*ORGANS, "elsewhere")}
        for seed in range(SEEDS):
            image = enhance(scan, labels, phase=phase, seed=seed).image
            before, after = make_scan(image).hu, translate(image)
            for name in ORGANS:
                there = np.isin(truth.labels, TOTALSEGMENTATOR[name])
                off[name].append((_off(before, truth.hu, there), _off(after, truth.hu, there)))
            still = before == truth.hu
            off["elsewhere"].append((0.0, float(np.abs(after - truth.hu)[still].mean())))
        print(f"\nsemi-real twins, {phase}, {SEEDS} seeds: mean HU off, before and after")
        for name, values in off.items():
            print(f"{name:14}" + "".join(f"{value:8.1f}" for value in np.mean(values, axis=0)))


def _off(hu: Hu, truth: Hu, there: np.ndarray) -> float:
    """Return how far the mean of some voxels is off, HU."""
    return abs(float((hu - truth)[there].mean(dtype=np.float64)))


def _print_still(data: Path, translate: Translate) -> None:
    moved: dict[str, dict[str, float]] = {}
    for volume in _contrast_scans(data):
        scan, after = make_scan(volume), translate(volume)
        for name, places in tissues_by_hu(scan).items():
            change = (after.ravel() - scan.hu.ravel())[places]
            where = str(volume.provenance.path)
            moved.setdefault(name, {})[where] = abs(float(change.mean(dtype=np.float64)))
    print(
        f"\n{'tissue':14}{'scans':>8}{'median':>8}{'mean':>8}{'worst':>8}   moved by, HU, and where"
    )
    for name, of_scan in moved.items():
        sizes = list(of_scan.values())
        worst = max(of_scan, key=of_scan.__getitem__)
        figures = "".join(
            f"{value:8.2f}" for value in (np.median(sizes), np.mean(sizes), max(sizes))
        )
        print(f"{name:14}{len(sizes):8d}{figures}   {Path(worst).name}")


def _contrast_scans(data: Path) -> Iterator[Volume]:
    yield read_volume(data / "totalsegmentator" / "example_ct_dicom")
    for path in sorted((data / "tcga_luad_contrast" / "dicom_dir").glob("*CONTRAST_1*.dcm")):
        yield read_volume(path)


if __name__ == "__main__":
    main()
