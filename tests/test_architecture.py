from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import medcyclegan
from medcyclegan import cli

FORBIDDEN_NAMES = {"utils.py", "helpers.py", "base.py", "common.py"}
MOST_LINES = 300
FENCE = re.compile(r"^```(?:sh|bash|console)?\n(.*?)^```", re.MULTILINE | re.DOTALL)


def modules(repository: Path) -> list[Path]:
    return sorted((repository / "medcyclegan").rglob("*.py"))


def test_imports_run_downward(repository: Path) -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_rooms_have_names_and_measure(repository: Path) -> None:
    found = modules(repository)
    assert not [path for path in found if path.name in FORBIDDEN_NAMES]
    long = {path.name: path.read_text().count("\n") for path in found}
    assert not {name: lines for name, lines in long.items() if lines > MOST_LINES}


def test_no_room_is_empty(repository: Path) -> None:
    empty = [path for path in modules(repository) if not path.read_text().strip()]
    assert not empty


def test_file_formats_are_read_in_io_alone(repository: Path) -> None:
    pattern = re.compile(r"^\s*(?:import|from) (nibabel|pydicom|SimpleITK|gdcm)\b", re.MULTILINE)
    package = repository / "medcyclegan"
    outside = [
        str(path.relative_to(package))
        for path in modules(repository)
        if path.relative_to(package).parts[0] != "io" and pattern.search(path.read_text())
    ]
    assert not outside


def test_importing_the_package_or_the_command_line_is_light() -> None:
    code = (
        "import sys, medcyclegan, medcyclegan.cli;"
        "sys.exit(str(sorted({'torch', 'numpy', 'monai', 'pydantic'} & set(sys.modules))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == "[]\n"


def test_exported_names() -> None:
    assert medcyclegan.__all__ == [
        "Translator",
        "Volume",
        "Window",
        "__version__",
        "load_config",
        "read_volume",
        "write_volume",
    ]
    assert set(medcyclegan.__all__) <= set(dir(medcyclegan))
    for name in medcyclegan.__all__:
        value = getattr(medcyclegan, name)
        assert value == "0.1.0" if name == "__version__" else value.__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'train_cyclegan'"):
        _ = medcyclegan.train_cyclegan


def test_the_readme_speaks_of_commands_that_exist(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (repository / "README.md").read_text().replace("\\\n", " ")
    lines = [
        line.strip().removeprefix("$ ")
        for block in FENCE.findall(text)
        for line in block.splitlines()
    ]
    spoken = [
        shlex.split(line, comments=True)[1:] for line in lines if line.startswith("medcyclegan ")
    ]
    assert spoken
    for words in spoken:
        inner = words[0] in {"config", "evaluate"} and not words[1].startswith("-")
        depth = 2 if inner else 1
        assert cli.main([*words[:depth], "--help"]) == 0, words
        shown = capsys.readouterr().out
        options = {word.split("=")[0] for word in words if word.startswith("--")}
        assert options <= set(re.findall(r"--[a-z-]+", shown)), words


def test_make_targets_of_the_readme_exist(repository: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (repository / "Makefile").read_text(), re.MULTILINE))
    assert {"demo", "test", "check", "bench", "fuzz"} <= targets
    readme = (repository / "README.md").read_text()
    assert set(re.findall(r"\bmake ([a-z]+)\b(?=`|$)", readme, re.MULTILINE)) <= targets
