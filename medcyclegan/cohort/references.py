"""Phantom patients as references: which of their tissues are measured, and against what."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence

from medcyclegan.config.tissues import TissuesConfig
from medcyclegan.errors import ConfigError
from medcyclegan.intensity import Window
from medcyclegan.metrics.reference import (
    Reference,
    Scan,
    Tissues,
    TissueTable,
    make_scan,
    slices_like,
)
from medcyclegan.phantom import PhantomCase
from medcyclegan.phantom.parameters import (
    LABELS,
    LESIONS,
    LOOKALIKES,
    NULL_TISSUES,
    ORGANS,
    RULE_BREAKERS,
    UNIONS,
    label_values,
)

MUSCLE = "muscle"  # changes a little; its texture is what is looked at
AIR = "air"  # must not move either, but is too trivially still to count in a mean


def phantom_tissues() -> TissueTable:
    """Return what is measured in a phantom: its organs, what must not move, and its lesions.

    Findings have rows of their own, and so does air, but none of them counts in a summary.
    """
    return TissueTable(
        organs=_values([*ORGANS, *RULE_BREAKERS, MUSCLE]),
        null_tissues=_values([*NULL_TISSUES, *LOOKALIKES, AIR]),
        lesions=_values(LESIONS),
        aside=frozenset([*RULE_BREAKERS, *LOOKALIKES, MUSCLE, AIR]),
    )


def phantom_reference(
    case: PhantomCase, window: Window, *, targets: Sequence[Scan] = ()
) -> Reference:
    """Return a phantom patient as what a translation of his image is held against.

    Args:
        case: the patient with his twins of the other phase.
        window: what networks see of the HU scale.
        targets: acquisitions of other patients in the other domain.
    """
    return Reference(
        patient=case.patient,
        source=make_scan(case.image, case.labels),
        window=window,
        tissues=phantom_tissues(),
        truth=slices_like(case.clean_twin, case.image),
        second=slices_like(case.second_twin, case.image),
        dose=case.dose,
        targets=targets,
    )


def found_tissues(found: Tissues) -> TissueTable:
    """Return what is measured in a scan, of the tissues that its labels hold.

    Args:
        found: label values of each, by the phantom's names.
    """

    def rows(names: Iterable[str]) -> dict[str, tuple[int, ...]]:
        values = {name: _found_values(found, name) for name in names}
        return {name: some for name, some in values.items() if some}

    return TissueTable(
        organs=rows([*ORGANS, *RULE_BREAKERS, MUSCLE]),
        null_tissues=rows([*NULL_TISSUES, *LOOKALIKES]),
        lesions=rows(LESIONS),
        aside=frozenset([MUSCLE]),
    )


def check_phantom_names(config: TissuesConfig, typed: str) -> None:
    """Check that a user's file calls tissues as the phantom does, for contrast medium to go in.

    Args:
        config: what the file says.
        typed: its path as typed.

    Raises:
        ConfigError: a tissue is none of the phantom's, or a value stands for two of them.
    """
    owners: dict[int, str] = {}
    known = [*LABELS, "kidneys"]
    for section in ("organs", "null_tissues", "lesions"):
        for name, values in getattr(config, section).items():
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                meant = f" (did you mean {near[0]!r}?)" if near else "; docs/phantom.md has them"
                raise ConfigError(f"{typed}: {section}.{name}: is no tissue of the phantom{meant}")
            for value in values:
                if owners.setdefault(value, name) != name:
                    raise ConfigError(
                        f"{typed}: {section}.{name}: value {value} is {owners[value]!r}, too; give "
                        "it to one of them"
                    )


def tissue_table(config: TissuesConfig) -> TissueTable:
    """Return what is measured as a user's file says it."""

    def rows(named: Mapping[str, Sequence[int]]) -> dict[str, tuple[int, ...]]:
        return {name: tuple(dict.fromkeys(values)) for name, values in named.items()}

    return TissueTable(
        organs=rows(config.organs),
        null_tissues=rows(config.null_tissues),
        lesions=rows(config.lesions),
        aside=frozenset(config.aside),
    )


def _values(names: Iterable[str]) -> dict[str, tuple[int, ...]]:
    return {name: label_values(name) for name in names}


def _found_values(found: Tissues, name: str) -> tuple[int, ...]:
    parts = dict.fromkeys((name, *UNIONS.get(name, ())))
    return tuple(value for part in parts for value in found.get(part, ()))
