"""What every section of the config is made of: strict, frozen, documented members."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict

EXPONENT = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]{1,3}")


class Section(BaseModel):
    """A section of the config: unknown keys and wrong types are refused, nothing changes later."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    def to_yaml(self) -> str:
        """Return all of it, defaults written out, as YAML that loads to an equal one."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def number_of(value: Any) -> Any:
    """Return `2e-4`, which YAML 1.1 takes for text, as the number it is; all else as it came."""
    if isinstance(value, str) and EXPONENT.fullmatch(value):
        return float(value)
    return value


def whole_number_of(value: Any) -> Any:
    """Return `1e5` and 100000.0 as the whole number they are; all else as it came."""
    value = number_of(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def section_of_kind(default: str) -> Callable[[Any], Any]:
    """Return a validator that takes a section without `kind` for one of the default kind."""

    def with_kind(value: Any) -> Any:
        return {"kind": default, **value} if isinstance(value, dict) else value

    return with_kind


Number = Annotated[float, BeforeValidator(number_of)]
WholeNumber = Annotated[int, BeforeValidator(whole_number_of)]
