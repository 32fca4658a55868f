"""How often the contrast phase is judged right: `python tests/benchmarks/bench_phase.py DATA`.

Three confusion tables:

- over DICOM files in DATA whose names say the truth, `..._CONTRAST_1_...` or `..._CONTRAST_0_...`,
  as the chest CT of TCGA-LUAD that are in common use do: by the image alone, by the header alone
  and by both, with each file that is not judged as it is named. The thresholds of the image
  evidence were chosen with these very slices in view, the weights were not fitted;
- over phantom patients, by the image alone. Which bright areas count was not tuned on them; that
  discs of the spine weigh little was learnt from other patients of the kind;
- over TotalSegmentator's example in DATA, abdomen without contrast medium, with some put in.

Of other scanners and phases the figures are no promise.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from medcyclegan.io import read_labels, read_volume
from medcyclegan.phantom import DIFFERING, SETTINGS, Phase, make_case
from medcyclegan.phantom.semireal import enhance
from medcyclegan.phase import image_evidence, tag_evidence, weigh
from medcyclegan.volume import Volume

TRUTH = {"1": "contrast", "0": "noncontrast"}
VERDICTS = ("contrast", "noncontrast", "unknown")
PATIENTS = 10  # of each setting and phase
FIRST_SEED = 40_000  # of patients nobody has looked at
Table = Counter[tuple[str, str]]


def main(data: Path) -> None:
    """Judge files below `data` whose name says the truth, phantoms and twins; print tables."""
    wrong: list[str] = []
    for by, table in _named(data, wrong).items():
        _print(f"by {by}", table)
    print("\n" + "\n".join(sorted(wrong)))
    for setting in SETTINGS:
        table = Counter((phase, _verdict(image)) for phase, image in _phantoms(setting))
        _print(f"phantom, {setting}", table)
    _print("semi-real", Counter((phase, _verdict(image)) for phase, image in _twins(data)))


def _named(data: Path, wrong: list[str]) -> dict[str, Table]:
    counts: dict[str, Table] = {}
    for path in sorted(data.rglob("*CONTRAST_*")):
        named = re.search(r"CONTRAST_([01])", path.name)
        if named is None:
            continue
        truth, volume = TRUTH[named[1]], read_volume(path)
        image, tags = image_evidence(volume), tag_evidence(volume.provenance.tags)
        for by, evidence in (("image", image), ("header", tags), ("both", [*image, *tags])):
            phase = weigh(evidence)
            counts.setdefault(by, Counter())[truth, phase.verdict] += 1
            if phase.verdict != truth and by != "header":
                said = "; ".join(phase.evidence)
                wrong.append(f"{by}: {path.name}: {phase.verdict} ({said})")
    return counts


def _phantoms(setting: str) -> Iterator[tuple[Phase, Volume]]:
    for phase in get_args(Phase):
        for seed in range(FIRST_SEED, FIRST_SEED + PATIENTS):
            case = make_case(
                seed, phase, populations=DIFFERING, setting=setting, size=192, slices=16
            )
            yield phase, case.image


def _twins(data: Path) -> Iterator[tuple[Phase, Volume]]:
    folder = data / "totalsegmentator"
    volume = read_volume(folder / "example_ct_sm.nii.gz")
    labels = read_labels(folder / "example_seg.nii.gz")
    yield "noncontrast", volume
    for phase in get_args(Phase):
        for seed in range(PATIENTS if phase != "noncontrast" else 0):
            yield phase, enhance(volume, labels, phase=phase, seed=seed).image


def _verdict(volume: Volume) -> str:
    return weigh(image_evidence(volume)).verdict


def _print(title: str, table: Table) -> None:
    print(f"\n{title:>24} " + " ".join(f"{verdict:>12}" for verdict in VERDICTS))
    for truth in dict.fromkeys(truth for truth, _ in sorted(table)):
        row = " ".join(f"{table[truth, verdict]:12d}" for verdict in VERDICTS)
        print(f"{truth:>24} {row}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
