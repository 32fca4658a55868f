"""Unpaired translation of CT volumes between domains: nouns here, verbs in their modules.

The names below are loaded when first asked for, so that `import medcyclegan` stays light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medcyclegan.config import load_config
    from medcyclegan.intensity import Window
    from medcyclegan.io import read_volume, write_volume
    from medcyclegan.translator import Translator
    from medcyclegan.volume import Volume

__version__ = "0.1.0"

__all__ = [
    "Translator",
    "Volume",
    "Window",
    "__version__",
    "load_config",
    "read_volume",
    "write_volume",
]

_HOMES = {
    "Translator": "medcyclegan.translator",
    "Volume": "medcyclegan.volume",
    "Window": "medcyclegan.intensity",
    "load_config": "medcyclegan.config",
    "read_volume": "medcyclegan.io",
    "write_volume": "medcyclegan.io",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
