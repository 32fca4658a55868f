"""Where a config's values come from: a file, then `--set KEY=VALUE`, and which said what."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medcyclegan.config.strict_yaml import MAX_BYTES, KeyPath, parse
from medcyclegan.errors import ConfigError

PACKAGE = Path(__file__).resolve().parents[1]


@dataclass
class Sources:
    """Raw values and where each stands.

    Args:
        name: the file as the user typed it.
        data: mappings, lists and scalars, as parsed.
        lines: the line of each key in the file.
        overrides: keys given by `--set`, by the paths they decide.
    """

    name: str
    data: dict[str, Any]
    lines: dict[KeyPath, int] = field(default_factory=dict)
    overrides: dict[KeyPath, str] = field(default_factory=dict)

    def where(self, path: KeyPath) -> str:
        """Return `file:line` or `--set KEY` for a key, or for what it would stand in.

        A section that is wrong as a whole is put down to a `--set` inside it.
        """
        for inside, key in self.overrides.items():
            if path and inside[: len(path)] == path:
                return f"--set {key}"
        for length in range(len(path), -1, -1):
            if path[:length] in self.overrides:
                return f"--set {self.overrides[path[:length]]}"
            if path[:length] in self.lines:
                return f"{self.name}:{self.lines[path[:length]]}"
        return self.name

    def override(self, typed: str) -> None:
        """Set one KEY=VALUE, making the sections on the way to it.

        Raises:
            ConfigError: no `=`, an empty key, or a value that is no plain YAML.
        """
        key, equals, text = typed.partition("=")
        path = tuple(key.split("."))
        if not equals or not all(path):
            raise ConfigError(f"--set {typed}: write KEY=VALUE, for example training.steps=1000")
        value = parse(text.encode(), f"--set {key}", numbered=False).data
        section = self.data
        for depth, part in enumerate(path[:-1], start=1):
            if not isinstance(section.get(part), dict):
                self._decide(path[:depth], key)
                section[part] = {}
            section = section[part]
        self._decide(path, key)
        section[path[-1]] = value

    def _decide(self, path: KeyPath, key: str) -> None:
        """Note that `--set key` now decides `path` and all below it."""
        depth = len(path)
        self.lines = {at: line for at, line in self.lines.items() if at[:depth] != path}
        self.overrides = {at: by for at, by in self.overrides.items() if at[:depth] != path}
        self.overrides[path] = key


def read_sources(typed: str, overrides: Sequence[str], folder: str = "") -> Sources:
    """Return the values of a config file with overrides applied.

    Args:
        typed: a path; failing that, the name of a shipped config.
        overrides: KEY=VALUE each, applied in order.
        folder: below that of shipped configs, where those of this kind lie.

    Raises:
        ConfigError: no such file, or no plain YAML with a mapping at the top.
    """
    document = parse(_read(typed, shipped_configs(folder)), typed)
    if not isinstance(document.data, dict):
        raise ConfigError(f"{typed}:1: is no config: expected keys such as domains: and output:")
    sources = Sources(typed, document.data, lines=document.lines)
    for override in overrides:
        sources.override(override)
    return sources


def shipped_configs(folder: str = "") -> dict[str, Path]:
    """Return the configs that come with the package, by file name; those below `folder`."""
    installed, source_tree = PACKAGE / "configs", PACKAGE.parent / "configs"
    root = installed if installed.is_dir() else source_tree
    return {path.name: path for path in sorted((root / folder).glob("*.yaml"))}


def _read(typed: str, shipped: Mapping[str, Path]) -> bytes:
    path = Path(typed) if os.path.exists(typed) else shipped.get(typed, Path(typed))
    if not os.path.exists(path):
        nearest = difflib.get_close_matches(
            typed, list(shipped), 1, cutoff=0.8
        )  # .yaml alone is 0.7
        meant = f" (did you mean {nearest[0]!r}?)" if nearest else ""
        raise ConfigError(
            f"{typed}: no such config{meant}; give a YAML file or one of {', '.join(shipped)}"
        )
    if not os.path.isfile(path):
        raise ConfigError(f"{typed}: is no file; give a YAML file")
    try:
        with path.open("rb") as stream:
            return stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{typed}: cannot be read ({error.strerror})") from error
