"""The arms' training sets as nnU-Net's raw data sets, for those who train there.

Layout of nnU-Net v2 (Isensee et al. 2021, Nat Methods 18:203-211): `Dataset701_standard` with
`imagesTr`, `labelsTr`, `dataset.json`, and `splits_final.json`, which goes into the preprocessed
folder. A variant of a patient trains in the folds in which he trains, and never validates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from medcyclegan import files
from medcyclegan.cases import Case
from medcyclegan.config.segmentation_networks import NnunetConfig
from medcyclegan.io import write_labels, write_volume
from medcyclegan.proof.arms import ARMS
from medcyclegan.proof.jobs import TEST, Check, Work
from medcyclegan.proof.patients import read_labelled
from medcyclegan.proof.training_sets import Change, make_change
from medcyclegan.proof.workers import Job
from medcyclegan.translator import Translator
from medcyclegan.volume import Labels, Volume

SAME_FILES = {  # arms whose files are another's: what sets them apart is done in training
    "nothing": "the files of standard, with nnUNetTrainerNoDA",
    "strong": "the files of standard, with nnUNetTrainerDA5",
    "cyclegan_strong": "the files of cyclegan_offline, with nnUNetTrainerDA5",
    "cyclegan_on_the_fly": "translates in training: not to be written as files",
}


class DataSet(NamedTuple):
    """One data set to write.

    Args:
        name: of its folder.
        arm: a key of `ARMS`.
        translation_seed: of its translating network; None in arms without one.
    """

    name: str
    arm: str
    translation_seed: int | None


def export_jobs(work: Work) -> list[Job]:
    """Return the jobs that write all data sets of a protocol, and its test patients."""
    jobs = [Job(f"write {one.name}", write_data_set, (work, one)) for one in data_sets(work)]
    return [*jobs, Job("write test patients", write_test_patients, (work,))]


def export_lines(work: Work) -> list[str]:
    """Return what to tell people of each arm, one line each."""
    lines = [f"{one.arm}: {work.out / 'nnunet' / one.name}" for one in data_sets(work)]
    left = [f"{arm}: {SAME_FILES[arm]}" for arm in work.config.arms if arm in SAME_FILES]
    return lines + left


def data_sets(work: Work) -> list[DataSet]:
    """Return the data sets of a protocol, numbered from the config's first."""
    assert isinstance(work.config.network, NnunetConfig)
    wanted: list[tuple[str, int | None]] = []
    for arm in work.config.arms:
        if ARMS[arm].second == "translated":
            if arm not in SAME_FILES:
                wanted += [(arm, seed) for seed in work.config.translation.seeds]
        elif arm not in SAME_FILES:
            wanted.append((arm, None))
    first = work.config.network.first_dataset
    return [
        DataSet(f"Dataset{first + place:03d}_{_suffix(arm, seed)}", arm, seed)
        for place, (arm, seed) in enumerate(wanted)
    ]


def write_data_set(work: Work, one: DataSet, check: Check) -> None:
    """Write an arm's training scans, and the variant of each beside it.

    Raises:
        VolumeError: a scan cannot be read or translated.
        MedCycleGANError: the disk is full.
    """
    assert isinstance(work.config.network, NnunetConfig)
    folder = work.out / "nnunet" / one.name
    if (folder / "dataset.json").is_file():
        return
    change = _change(work, one)
    names = []
    for number, case in enumerate(work.patients.sets["labelled"]):
        check()
        volume, labels = read_labelled(case)
        made = [("", volume)]
        if change is not None:
            made.append((f"_{one.arm}", change(case, volume, labels)))
        organs = Labels(work.patients.organ_map(labels), labels.affine)
        for suffix, image in made:
            name = f"case_{number:04d}{suffix}"
            write_volume(image, folder / "imagesTr" / f"{name}_0000.nii.gz")
            write_labels(organs, folder / "labelsTr" / f"{name}.nii.gz", like=volume)
        names.append([f"case_{number:04d}{suffix}" for suffix, _ in made])
    files.write_json(folder / "splits_final.json", splits(names, work.config.network.folds))
    files.write_json(folder / "dataset.json", _facts(work, sum(map(len, names))))


def write_test_patients(work: Work, check: Check) -> None:
    """Write the test patients of both domains, labels in the numbers of the data sets.

    Raises:
        VolumeError: a scan cannot be read right.
        MedCycleGANError: the disk is full.
    """
    for domain, name in TEST.items():
        folder = work.out / "nnunet" / f"test_{domain}"
        for number, case in enumerate(work.patients.sets[name]):
            check()
            volume, labels = read_labelled(case)
            organs = Labels(work.patients.organ_map(labels), labels.affine)
            write_volume(volume, folder / "images" / f"case_{number:04d}_0000.nii.gz")
            write_labels(organs, folder / "labels" / f"case_{number:04d}.nii.gz", like=volume)


def splits(names: Sequence[Sequence[str]], folds: int) -> list[dict[str, list[str]]]:
    """Return the folds of a cross-validation by patient, as in splits_final.json.

    Args:
        names: of each patient's cases, the true one first; the others never validate.
        folds: how many, at most one for each patient.

    >>> splits([["a", "a_made"], ["b", "b_made"]], 2)[0]
    {'train': ['b', 'b_made'], 'val': ['a']}
    """
    folds = min(folds, len(names))
    return [
        {
            "train": [
                name
                for place, own in enumerate(names)
                if place % folds != fold or folds == 1
                for name in own
            ],
            "val": [own[0] for place, own in enumerate(names) if place % folds == fold],
        }
        for fold in range(folds)
    ]


def _suffix(arm: str, seed: int | None) -> str:
    return arm if seed is None else f"{arm}_t{seed}"


def _change(work: Work, one: DataSet) -> Change | None:
    second = ARMS[one.arm].second
    if second is None or second == "on_the_fly":
        return None
    if second != "translated":
        return make_change(second, work.patients)
    assert one.translation_seed is not None
    translator = Translator.load(work.run_of(one.translation_seed))

    def translate(case: Case, volume: Volume, labels: Labels) -> Volume:
        del case, labels  # a translation knows the scan alone
        return translator.translate(volume, "a_to_b")

    return translate


def _facts(work: Work, count: int) -> dict[str, Any]:
    organs = {name: number for number, name in enumerate(work.patients.organs, start=1)}
    return {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, **organs},
        "numTraining": count,
        "file_ending": ".nii.gz",
    }
