from __future__ import annotations

import numpy as np
import pytest

from medcyclegan.cohort import (
    check_phantom_names,
    phantom_reference,
    phantom_tissues,
    tissue_table,
)
from medcyclegan.cohort.references import found_tissues
from medcyclegan.config.tissues import TissuesConfig
from medcyclegan.errors import ConfigError
from medcyclegan.intensity import Window
from medcyclegan.metrics.reference import Hu, TissueTable, make_scan
from medcyclegan.phantom import LABELS, PhantomCase
from medcyclegan.slices import slice_frame, to_slices
from medcyclegan.volume import Volume

WINDOW = Window(-200.0, 600.0)


def hu_of(volume: Volume) -> Hu:
    frame = slice_frame(volume.array.shape, volume.affine)
    return to_slices(volume.array, frame).astype(np.float32)


def test_a_patient_is_held_against_his_own_twin(patients: tuple[PhantomCase, ...]) -> None:
    case, other = patients
    targets = [make_scan(other.target_twin)]
    reference = phantom_reference(case, WINDOW, targets=targets)
    assert np.array_equal(reference.source.hu, hu_of(case.image))
    assert reference.truth is not None
    assert np.array_equal(reference.truth, hu_of(case.clean_twin))
    assert reference.second is not None
    assert np.array_equal(reference.second, hu_of(case.second_twin))
    assert (reference.patient, reference.dose) == (case.patient, case.dose)
    assert reference.window is WINDOW
    assert reference.targets is targets
    assert reference.tissues == phantom_tissues()
    assert reference.source.labels is not None
    assert set(np.unique(reference.source.labels)) <= set(LABELS.values())


def test_every_finding_has_a_row_and_none_counts_in_a_summary() -> None:
    table = phantom_tissues()
    assert table.organs["kidneys"] == (LABELS["kidney_cortex"], LABELS["kidney_medulla"])
    assert table.organs["fatty_liver"] == (LABELS["fatty_liver"],)
    assert table.null_tissues["clip"] == (LABELS["clip"],)
    assert table.lesions["hyper_lesion"] == (LABELS["hyper_lesion"],)
    rows = table.organs.keys() | table.null_tissues.keys() | table.lesions.keys()
    findings = list(LABELS)[list(LABELS).index("calcified_plaque") :]
    assert set(findings) <= rows
    assert set(findings) - table.lesions.keys() == table.aside - {"air", "muscle"}
    assert not table.aside & {"liver", "kidneys", "fat"}
    assert table.aside < rows
    changing = [value for values in table.organs.values() for value in values]
    still = [value for values in table.null_tissues.values() for value in values]
    assert not set(changing) & set(still)


def test_a_users_file_is_taken_as_it_stands() -> None:
    config = TissuesConfig.model_validate(
        {"organs": {"liver": 5, "kidneys": [2, 3]}, "null_tissues": {"fat": 9}, "aside": ["fat"]}
    )
    assert tissue_table(config) == TissueTable(
        organs={"liver": (5,), "kidneys": (2, 3)},
        null_tissues={"fat": (9,)},
        lesions={},
        aside=frozenset(["fat"]),
    )


def test_found_tissues_are_measured_where_the_phantom_measures_them() -> None:
    found = {
        "kidney_cortex": (2,),
        "kidney_medulla": (3,),
        "aorta": (7, 8),
        "muscle": (9,),
        "gallbladder": (4,),
        "hypo_lesion": (11,),
    }
    assert found_tissues(found) == TissueTable(
        organs={"kidneys": (2, 3), "aorta": (7, 8), "muscle": (9,)},
        null_tissues={"gallbladder": (4,)},
        lesions={"hypo_lesion": (11,)},
        aside=frozenset(["muscle"]),
    )
    assert found_tissues({"kidneys": (2, 3)}).organs == {"kidneys": (2, 3)}


def test_a_value_given_twice_to_a_tissue_counts_once() -> None:
    assert tissue_table(TissuesConfig(organs={"liver": [5, 5, 6]})).organs == {"liver": (5, 6)}


@pytest.mark.parametrize(
    ("organs", "says"),
    [
        ({"lever": [5]}, r"^t\.yaml: organs\.lever: is no tissue .*did you mean 'liver'"),
        ({"xyz": [5]}, r"organs\.xyz: is no tissue of the phantom; docs"),
        ({"liver": [5], "spleen": [5]}, r"organs\.spleen: value 5 is 'liver', too"),
    ],
)
def test_contrast_medium_takes_the_phantoms_names_alone(
    organs: dict[str, list[int]], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        check_phantom_names(TissuesConfig(organs=organs), "t.yaml")
    check_phantom_names(TissuesConfig(organs={"kidneys": [2, 2], "liver": [5]}), "t.yaml")
