from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from medcyclegan import __version__, cli
from medcyclegan.errors import Interrupted

COMMANDS = ["demo", "scan", "train", "augment", "config"]


def refusal(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Return the one line that a refused command says."""
    assert cli.main(words) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "Traceback" not in said.err
    return said.err.strip()


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_help_lists_the_commands_and_loads_nothing_heavy(tmp_path: Path) -> None:
    heavy = ["torch", "monai", "numpy", "nibabel", "pydicom", "SimpleITK", "scipy", "pydantic"]
    code = (
        "import sys; from medcyclegan.cli import main; code = main(['--help']);"
        f"sys.exit(code or str([name for name in {heavy} if name in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stderr == "[]\n"
    assert all(command in done.stdout for command in COMMANDS)


def test_the_console_script_answers(tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("medcyclegan")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"{__version__}\n")


def test_no_command_is_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 0
    assert "Usage: medcyclegan" in capsys.readouterr().out


@pytest.mark.parametrize("command", [*COMMANDS, "config show", "config schema"])
def test_each_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*command.split(), "--help"]) == 0
    assert f"Usage: medcyclegan {command}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("frobnicate", "No such command 'frobnicate' (see medcyclegan --help)"),
        ("train", "Missing option '--config' (see medcyclegan train --help)"),
        ("augment in", "Missing argument 'OUT' (see medcyclegan augment --help)"),
        ("augment in out --nope", "No such option: --nope"),
        ("augment in out --batch-size 0", "Invalid value for '--batch-size'"),
        ("augment in out --strength x", "Invalid value for '--strength'"),
        ("scan folder --json --csv", "--json and --csv: choose one"),
        ("train --config nope.yaml", "nope.yaml: no such config"),
        ("config show --config nope.yaml", "nope.yaml: no such config"),
        (
            "train --config ct_contrast.yaml --set training.stpes=3",
            "--set training.stpes: unknown key (did you mean 'steps'?)",
        ),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(
    words: str, expected: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert expected in refusal(capsys, *words.split())
    assert not list(tmp_path.iterdir())


def test_bad_input_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert "missing-folder" in refusal(capsys, "scan", "missing-folder")
    Path("volumes").mkdir()
    assert "runs: holds no finished run; train first" in refusal(
        capsys, "augment", "volumes", "out"
    )
    assert "missing-folder" in refusal(capsys, "augment", "missing-folder", "out")
    assert os.listdir(tmp_path) == ["volumes"]


def test_a_bad_config_is_refused_before_torch_is_loaded(tmp_path: Path) -> None:
    Path("bad.yaml").write_text("output: x\nouput: y\n")
    code = (
        "import sys; from medcyclegan.cli import main; code = main(); "
        "sys.exit(99 if 'torch' in sys.modules else code)"
    )
    command = [sys.executable, "-c", code, "train", "--config", "bad.yaml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "bad.yaml:2: ouput: unknown key (did you mean 'output'?)\n"


@pytest.mark.parametrize(
    "words", ["--debug train --config x.yaml", "train --config x.yaml --debug"]
)
def test_debug_shows_the_traceback_wherever_it_stands(
    words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words.split()) == 2
    error = capsys.readouterr().err
    assert "Traceback" in error
    assert error.splitlines()[-1].startswith("x.yaml: no such config")


def test_debug_after_a_bare_dash_dash_is_a_file_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert "Traceback" not in refusal(capsys, "scan", "--", "--debug")


@pytest.mark.parametrize(
    ("error", "code", "expected"),
    [
        (RuntimeError("a\nb"), 1, "medcyclegan failed: RuntimeError: a b; run with --debug for"),
        (Interrupted("stopped; go on with --resume"), 75, "stopped; go on with --resume"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_what_goes_wrong_inside_a_command(
    error: BaseException,
    code: int,
    expected: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("medcyclegan.config.load_config", fail)
    assert cli.main(["config", "show", "--config", "ct_contrast.yaml"]) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(expected)
    assert said.err.count("\n") == (1 if expected else 0)


def test_config_show_prints_what_loads_again(capsys: pytest.CaptureFixture[str]) -> None:
    show = ["config", "show", "--set", "training.steps=7", "--config"]
    assert cli.main([*show, "ct_contrast_small.yaml"]) == 0
    first = capsys.readouterr().out
    assert "steps: 7" in first
    Path("resolved.yaml").write_text(first)
    assert cli.main([*show, "resolved.yaml"]) == 0
    assert capsys.readouterr().out == first


def test_config_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["config", "schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert set(schema["required"]) == {"domains", "output"}
    assert "HU" in schema["$defs"]["WindowConfig"]["properties"]["low_hu"]["description"]
