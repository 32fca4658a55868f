"""metrics.jsonl: one JSON object a line, each with its step."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from medcyclegan import files


class MetricsLog:
    """Appends to `metrics.jsonl`; a resumed run drops what it will write again.

    Args:
        path: the file.
        step: lines of this step and later are dropped.
    """

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        if path.exists():
            kept = [line for line in _whole_lines(path) if json.loads(line)["step"] < step]
            files.write_bytes(path, "".join(kept).encode())

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Append one line."""
        line = json.dumps({"step": step} | dict(values))
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")


def _whole_lines(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [line for line in lines if line.endswith("}\n")]
