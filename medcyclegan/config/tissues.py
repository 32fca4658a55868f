"""The tissues of a label map that are measured: YAML in, checked values out."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from medcyclegan.config.messages import refusal
from medcyclegan.config.section import Section, WholeNumber
from medcyclegan.config.sources import Sources
from medcyclegan.config.strict_yaml import MAX_BYTES, parse
from medcyclegan.errors import ConfigError


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else value


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_ -]*$", max_length=64)]
LabelValue = Annotated[WholeNumber, Field(ge=1, le=2**31)]
Values = Annotated[list[LabelValue], Field(min_length=1), BeforeValidator(_listed)]


class TissuesConfig(Section):
    """Which label values make up what is measured; a value is a whole number from 1, or a list."""

    organs: dict[Name, Values] = Field(default_factory=dict)
    """What is to change between the domains, for example `liver: 5` or `kidneys: [2, 3]`."""
    null_tissues: dict[Name, Values] = Field(default_factory=dict)
    """What must not change, such as fat and bone."""
    lesions: dict[Name, Values] = Field(default_factory=dict)
    """Kinds of lesions; every connected one counts for itself."""
    aside: list[str] = Field(default_factory=list)
    """Organs and null tissues with rows of their own that summaries leave out."""

    @model_validator(mode="after")
    def _make_sense(self) -> TissuesConfig:
        if not (self.organs or self.null_tissues or self.lesions):
            raise ValueError("names no tissue; give organs, null_tissues or lesions")
        changing = {value: name for name, values in self.organs.items() for value in values}
        for name, values in self.null_tissues.items():
            if name in self.organs:
                raise _wrong("null_tissues", f"{name!r} is among the organs, too; keep one")
            for value in changing.keys() & values:
                both = f"value {value} of {name!r} is {changing[value]!r} among the organs"
                raise _wrong("null_tissues", f"{both}: it cannot change and stay; keep one")
        return self

    @model_validator(mode="after")
    def _known_aside(self) -> TissuesConfig:
        known = [*self.organs, *self.null_tissues]
        for name in self.aside:
            if name not in known:
                nearest = difflib.get_close_matches(name, known, 1)
                meant = f" (did you mean {nearest[0]!r}?)" if nearest else ""
                raise _wrong("aside", f"{name!r} is no organ or null tissue{meant}")
        return self


def load_tissues(path: Path) -> TissuesConfig:
    """Return the tissues that a YAML file names.

    Raises:
        ConfigError: no such file, no plain YAML, an unknown key, a wrong type, or tissues that
            contradict each other; one line with file, line and dotted key.
    """
    typed = str(path)
    if not path.is_file():
        raise ConfigError(f"{typed}: no such file; give a YAML file of tissues")
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{typed}: cannot be read ({error.strerror})") from error
    document = parse(data, typed)
    if not isinstance(document.data, dict):
        raise ConfigError(f"{typed}:1: names no tissues: expected keys such as organs:")
    sources = Sources(typed, document.data, lines=document.lines)
    try:
        return TissuesConfig.model_validate(sources.data)
    except ValidationError as error:
        raise refusal(TissuesConfig, error, sources) from error


def _wrong(key: str, problem: str) -> PydanticCustomError:
    return PydanticCustomError("tissues", "{problem}", {"problem": problem, "key": key})
