"""Plain YAML and nothing else: text in, values and the line each stands on out.

Refused, each with file and line: duplicate keys, aliases and anchors, tags, several documents,
more than 1 MB, more than 20 levels. Nothing is ever constructed but mappings with text as keys,
lists, text, whole numbers, numbers, true/false and null.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from medcyclegan.errors import ConfigError

MAX_BYTES = 1_000_000
MAX_LEVELS = 20
TAG = "tag:yaml.org,2002:"
DECIMAL = re.compile(r"[-+]?(0|[1-9](_?[0-9])*)")  # `010`, `1_` and `1:30` stay text
DIGITS = r"[0-9](_?[0-9])*"
NUMBER = re.compile(rf"[-+]?({DIGITS}\.?({DIGITS})?|\.{DIGITS})([eE][-+]?[0-9]+)?")
KeyPath = tuple[str | int, ...]


@dataclass
class Document:
    """A parsed document.

    Args:
        name: the file as the user typed it, or `--set KEY`.
        data: what it holds.
        lines: the line, from 1, of every key and list item, by its path from the top.
        numbered: whether messages name lines.
    """

    name: str
    data: Any = None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    numbered: bool = True

    def refusal(self, line: int, wrong: str) -> ConfigError:
        """Return the error that something is wrong on a line, counted from 1."""
        return ConfigError(
            f"{self.name}:{line}: {wrong}" if self.numbered else f"{self.name}: {wrong}"
        )


def parse(data: bytes, name: str, *, numbered: bool = True) -> Document:
    """Return what plain YAML holds; an empty file holds None.

    Args:
        data: UTF-8 text.
        name: the file as the user typed it, for messages.
        numbered: whether messages name lines: not for the few words of a `--set`.

    Raises:
        ConfigError: it is no YAML, or more than plain YAML.
    """
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{name}: is larger than 1 MB; a config is a page of text")
    document = Document(name, numbered=numbered)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise document.refusal(line, "is not UTF-8 text") from error
    try:
        _Builder(yaml.SafeLoader(text), document).run()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise document.refusal(line, "holds a character that YAML does not allow") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise document.refusal(line, f"is no YAML: {error.problem}") from error
    return document


class _Builder:
    """Builds a document from PyYAML's events, so that nothing is made before it was checked."""

    def __init__(self, loader: yaml.SafeLoader, document: Document) -> None:
        self.loader = loader
        self.document = document

    def run(self) -> None:
        self.loader.get_event()  # start of the stream
        if self.loader.check_event(yaml.StreamEndEvent):
            return
        self.loader.get_event()  # start of the document
        self.document.data = self._value(self.loader.get_event(), ())
        self.loader.get_event()  # end of the document
        if not self.loader.check_event(yaml.StreamEndEvent):
            raise self._refusal(self.loader.get_event(), "holds a second document; keep one")

    def _value(self, event: Any, path: KeyPath) -> Any:
        self._check_plain(event, path)
        self.document.lines[path] = event.start_mark.line + 1
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(path)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._list(path)
        return self._scalar(event)

    def _check_plain(self, event: Any, path: KeyPath) -> None:
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise self._refusal(event, "has an anchor or alias (& or *); write the value out", path)
        if event.tag is not None:
            raise self._refusal(event, f"has a tag ({event.tag}); write a plain value", path)
        if isinstance(event, yaml.CollectionStartEvent) and len(path) >= MAX_LEVELS:
            raise self._refusal(event, f"is nested deeper than {MAX_LEVELS} levels")

    def _mapping(self, path: KeyPath) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        while not self.loader.check_event(yaml.MappingEndEvent):
            event: Any = self.loader.get_event()
            line = event.start_mark.line + 1
            self._check_plain(event, path)
            if not isinstance(event, yaml.ScalarEvent):
                raise self._refusal(event, "has a key that is no plain text", path)
            key = event.value
            inner = (*path, key)
            if key in mapping:
                first = self.document.lines[inner]
                raise self._refusal(event, f"stands twice, first on line {first}", inner)
            mapping[key] = self._value(self.loader.get_event(), inner)
            self.document.lines[inner] = line
        self.loader.get_event()
        return mapping

    def _list(self, path: KeyPath) -> list[Any]:
        items: list[Any] = []
        while not self.loader.check_event(yaml.SequenceEndEvent):
            items.append(self._value(self.loader.get_event(), (*path, len(items))))
        self.loader.get_event()
        return items

    def _scalar(self, event: yaml.ScalarEvent) -> Any:
        text = event.value
        tag = self.loader.resolve(yaml.ScalarNode, text, event.implicit)
        if tag == TAG + "null":
            return None
        if tag == TAG + "bool":
            return text.lower() in {"true", "yes", "on"}
        if tag == TAG + "int" and DECIMAL.fullmatch(text) and len(text) < 40:
            return int(text)
        if tag == TAG + "float" and NUMBER.fullmatch(text):
            return float(text)
        return text

    def _refusal(self, event: Any, wrong: str, path: KeyPath = ()) -> ConfigError:
        key = f"{dotted(path)}: " if path else ""
        return self.document.refusal(event.start_mark.line + 1, key + wrong)


def dotted(path: KeyPath) -> str:
    """Return a key's path as people write it.

    >>> dotted(("domains", "a", "volumes", 0))
    'domains.a.volumes.0'
    """
    return ".".join(str(part) for part in path)
