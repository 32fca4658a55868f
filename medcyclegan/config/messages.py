"""What is wrong with a config, as one line that names file, line and dotted key."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from medcyclegan.config.sources import Sources
from medcyclegan.config.strict_yaml import KeyPath, dotted
from medcyclegan.config.volumes import LIST, PATH, TABLE, TableConfig
from medcyclegan.errors import ConfigError

Checked = TypeVar("Checked", bound=BaseModel)
Sections = tuple[type[BaseModel], ...]  # the one class of a section, or one for each kind

VOLUME_TAGS: dict[str | int, Sections] = {PATH: (), LIST: (), TABLE: (TableConfig,)}

EXPECTED: dict[str, Callable[[dict[str, Any]], str]] = {
    "bool_type": lambda _: "true or false",
    "dict_type": lambda _: "a section (keys and values)",
    "finite_number": lambda _: "a finite number",
    "float_type": lambda _: "a number",
    "greater_than": lambda context: f"above {context['gt']:g}",
    "greater_than_equal": lambda context: f"at least {context['ge']:g}",
    "int_type": lambda _: "a whole number",
    "less_than": lambda context: f"below {context['lt']:g}",
    "less_than_equal": lambda context: f"at most {context['le']:g}",
    "literal_error": lambda context: context["expected"],
    "model_attributes_type": lambda _: "a section (keys and values)",
    "model_type": lambda _: "a section (keys and values)",
    "string_pattern_mismatch": lambda context: f"text like {context['pattern'].strip('^$')}",
    "string_too_short": lambda _: "text that is not empty",
    "string_too_long": lambda context: f"at most {context['max_length']} characters",
    "string_type": lambda _: "text",
    "too_long": lambda context: f"at most {context['max_length']} of them",
    "tuple_type": lambda _: "a list",
    "union_tag_invalid": lambda context: context["expected_tags"].replace(", ", " or "),
}


def validated(kind: type[Checked], sources: Sources) -> Checked:
    """Return the checked config that raw values stand for.

    Raises:
        ConfigError: an unknown key, a wrong type or an impossible value.
    """
    try:
        return kind.model_validate(sources.data)
    except ValidationError as error:
        raise refusal(kind, error, sources) from error


def refusal(root: type[BaseModel], error: ValidationError, sources: Sources) -> ConfigError:
    """Return the error that tells what to mend first: an unknown key explains a missing one."""
    details = sorted(
        error.errors(include_url=False), key=lambda found: found["type"] != "extra_forbidden"
    )
    first = details[0]
    path, owner = _locate(root, first)
    problem = _problem(root, first, path, owner)
    where = sources.where(path)
    key = "" if where == f"--set {dotted(path)}" or not path else f"{dotted(path)}: "
    return ConfigError(f"{where}: {key}{problem}")


def _locate(root: type[BaseModel], found: ErrorDetails) -> tuple[KeyPath, type[BaseModel]]:
    """Return the key's path as written in YAML, and the class of the section it stands in.

    Pydantic's own location also names the kind wherever a value comes in several.
    """
    path: list[str | int] = []
    owner = root
    inside: Sections = (root,)
    for part in found["loc"]:
        if part in VOLUME_TAGS:
            inside = VOLUME_TAGS[part]
            continue
        if len(inside) > 1:
            inside = tuple(section for section in inside if _kind(section) == part)
            continue
        if inside:
            owner = inside[0]
            inside = _sections_in(owner, part)
        path.append(part)
    if found["type"] == "union_tag_invalid":
        path.append("kind")
    at = found.get("ctx", {}).get("key")
    return tuple(at.split(".")) if at else tuple(path), owner


def _problem(
    root: type[BaseModel], found: ErrorDetails, path: KeyPath, owner: type[BaseModel]
) -> str:
    kind, context, value = found["type"], found.get("ctx", {}), found["input"]
    if kind == "extra_forbidden":
        return _unknown(root, path, owner)
    if kind == "missing":
        return "is missing"
    if kind in EXPECTED:
        meant = _nearest(str(_chosen(value)), _choices(kind, context))
        return f"must be {EXPECTED[kind](context)}, got {_shown(_chosen(value))}{meant}"
    return found["msg"].removeprefix("Value error, ")


def _unknown(root: type[BaseModel], path: KeyPath, owner: type[BaseModel]) -> str:
    key = str(path[-1])
    if "kind" in owner.model_fields and _belongs_elsewhere(root, path):
        known = ", ".join(name for name in owner.model_fields if name != "kind")
        return (
            f"does not belong to kind {_kind(owner)!r} (its keys: {known}); take it out, or set "
            f"{dotted(path[:-1])}={{kind: {_kind(owner)}}} as a whole"
        )
    meant = _nearest(key, list(owner.model_fields))
    if not meant:
        same = [known for known in _dotted_keys(root) if known.split(".")[-1] == key]
        meant = f" (did you mean {same[0]!r}?)" if same else ""
    known = ", ".join(owner.model_fields)
    return f"unknown key{meant or f'; known here: {known}'}"


def _belongs_elsewhere(root: type[BaseModel], path: KeyPath) -> bool:
    return dotted(path) in set(_dotted_keys(root))


def _dotted_keys(section: type[BaseModel], above: str = "") -> Iterator[str]:
    for name in section.model_fields:
        yield above + name
        for inner in _sections_in(section, name):
            yield from _dotted_keys(inner, f"{above}{name}.")


def _sections_in(section: type[BaseModel], part: str | int) -> Sections:
    field = section.model_fields.get(str(part))
    if field is None:
        return ()
    members = (field.annotation, *get_args(field.annotation))
    return tuple(one for one in members if isinstance(one, type) and issubclass(one, BaseModel))


def _kind(section: type[BaseModel]) -> str:
    field = section.model_fields.get("kind")
    return str(field.default) if field else ""


def _chosen(value: Any) -> Any:
    return value["kind"] if isinstance(value, dict) and "kind" in value else value


def _choices(kind: str, context: dict[str, Any]) -> list[str]:
    listed = {"literal_error": "expected", "union_tag_invalid": "expected_tags"}
    if kind not in listed:
        return []
    return context[listed[kind]].replace(" or ", ", ").replace("'", "").split(", ")


def _nearest(typed: str, known: list[str]) -> str:
    nearest = difflib.get_close_matches(typed, known, 1)
    return f" (did you mean {nearest[0]!r}?)" if nearest else ""


def _shown(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return str({None: "nothing", True: "true", False: "false"}[value])
    if isinstance(value, dict):
        return "a section"
    if isinstance(value, list):
        return "a list"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
