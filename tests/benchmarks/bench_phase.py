"""How often the contrast phase is judged right: `python tests/benchmarks/bench_phase.py DATA`.

DATA holds DICOM files whose names say the truth, `..._CONTRAST_1_...` or `..._CONTRAST_0_...`, as
the chest CT of TCGA-LUAD that are in common use do. Printed are the confusion tables by the image
alone, by the header alone and by both, and each file that is not judged as it is named. The
thresholds of the image evidence were chosen with these very slices in view, the weights were not
fitted: of other scanners and phases the figures are no promise.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path

from medcyclegan.io import read_volume
from medcyclegan.phase import image_evidence, tag_evidence, weigh

TRUTH = {"1": "contrast", "0": "noncontrast"}
VERDICTS = ("contrast", "noncontrast", "unknown")


def main(data: Path) -> None:
    """Judge every file below `data` whose name says the truth, and print tables."""
    counts: dict[str, Counter[tuple[str, str]]] = {}
    wrong: list[str] = []
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
    for by, table in counts.items():
        print(f"\nby {by}: {'named':>18} " + " ".join(f"{verdict:>12}" for verdict in VERDICTS))
        for truth in TRUTH.values():
            row = " ".join(f"{table[truth, verdict]:12d}" for verdict in VERDICTS)
            print(f"{truth:>{len(by) + 22}} {row}")
    print("\n" + "\n".join(sorted(wrong)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
