from __future__ import annotations

import getpass
import json
import platform
from pathlib import Path

import pytest

from medcyclegan import __version__
from medcyclegan.training import environment as module
from medcyclegan.training.environment import environment


def test_versions_and_hardware_are_there_and_no_host_or_user() -> None:
    found = environment()
    text = json.dumps(found, allow_nan=False)
    assert found["versions"]["medcyclegan"] == __version__
    assert set(found["versions"]) >= {"torch", "numpy", "monai"}
    assert found["python"] == platform.python_version()
    assert found["threads"] >= 1
    assert found["memory_gb"] > 0.1
    for name in (platform.node(), getpass.getuser(), str(Path.home())):
        assert name in {"", "root", "/root"} or name not in text


def test_the_processor_is_in_its_makers_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text("processor\t: 0\nmodel name\t: A CPU: 3 GHz\nmodel name\t: other\n")
    monkeypatch.setattr(module, "_CPUINFO", info)
    assert environment()["processor"] == "A CPU: 3 GHz"
    info.write_text("nothing of the kind\n")
    assert environment()["processor"] is None or platform.system() == "Darwin"
