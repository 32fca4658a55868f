from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import pytest

from medcyclegan import __version__, cli
from medcyclegan.cli import evaluate, options, phantom
from medcyclegan.errors import Interrupted
from medcyclegan.intensity import Window
from medcyclegan.io import WRITERS, write_labels, write_volume
from medcyclegan.phantom import SETTINGS, Domain, Phase
from medcyclegan.phantom.cohort import Role
from medcyclegan.proof.cheats import LEAST_PATIENTS, PATIENTS
from medcyclegan.volume import Labels, Volume

COMMANDS = ["demo", "phantom", "scan", "train", "augment", "report", "evaluate", "cache", "config"]
GROUPED = ["config show", "config schema", "evaluate cheats", "evaluate segmentation"]


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


@pytest.mark.parametrize("command", [*COMMANDS, *GROUPED])
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
        ("phantom out", "give --patients, or a real scan by --from"),
        ("phantom out --patients 0", "Invalid value for '--patients'"),
        ("phantom out --patients 1 --domain mr", "Invalid value for '--domain'"),
        ("phantom out --from in.nii", "--from needs --labels"),
        ("phantom out --from a --labels b --size 64", "--size goes without --from"),
        ("phantom out --patients 1 --phase venous", "--phase goes with --from alone"),
        ("phantom out --from no.nii --labels b", "no.nii: no such file"),
        ("evaluate", "give --translated and --out"),
        ("evaluate --translated a", "give --translated and --out"),
        ("evaluate --translated a --out b --window 3", "'3': give LOW:HIGH in HU"),
        ("evaluate --translated a --out b --window 3:nan", "'3:nan': give LOW:HIGH in HU"),
        ("evaluate --translated a --out b --window 3:2", "'3:2': give LOW:HIGH in HU"),
        ("evaluate --seed 3 cheats out", "--seed stands before cheats"),
        ("evaluate cheats out --patients 3", "Invalid value for '--patients'"),
        ("evaluate segmentation --config nope.yaml", "nope.yaml: no such config"),
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


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["scan", ""], "FOLDER"),
        (["demo", ""], "OUT"),
        (["augment", "", "out"], "VOLUMES"),
        (["augment", "in", ""], "OUT"),
        (["augment", "in", "out", "--labels", ""], "--labels"),
        (["augment", "in", "out", "--checkpoint", ""], "--checkpoint"),
        (["phantom", ""], "OUT"),
        (["phantom", "out", "--from", ""], "--from"),
        (["evaluate", "--translated", ""], "--translated"),
        (["evaluate", "--translated", "a", "--out", ""], "--out"),
    ],
)
def test_an_empty_path_is_not_this_folder(
    words: list[str], name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert f"Invalid value for '{name}': is empty: give a path" in refusal(capsys, *words)
    assert not list(tmp_path.iterdir())


def test_a_config_that_resembles_none_is_not_guessed(capsys: pytest.CaptureFixture[str]) -> None:
    show = ["config", "show", "--config"]
    assert "did you mean" not in refusal(capsys, *show, "nope.yaml")
    assert "did you mean 'ct_contrast.yaml'" in refusal(capsys, *show, "ct_contast.yaml")


def a_volume(path: Path) -> None:
    array = np.full((6, 5, 4), -1000, np.int16)
    array[2:4, 2:4] = 50
    write_volume(Volume(array, np.diag([-1.5, -1.5, 2.5, 1.0])), path)


@pytest.mark.parametrize("option", ["--json", "--csv", "--"])
def test_scan_says_what_it_skips_beside_its_table(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    a_volume(Path("in/ct.nii"))
    Path("in/a.txt").write_text("text")
    assert cli.main(["scan", option, "in"]) == 0
    said = capsys.readouterr()
    assert said.err.splitlines() == ["in/a.txt: skipped, no volume by name or content"]
    assert "skipped" not in said.out
    if option == "--json":
        assert [row["path"] for row in json.loads(said.out)] == ["ct.nii"]


DRY_RUN = """
import sys
from pathlib import Path
from medcyclegan import cli
from medcyclegan.augment import augment
from medcyclegan.config import parse_model
from medcyclegan.domains import Pair
from medcyclegan.intensity import Window
from medcyclegan.models import make_model
from medcyclegan.models.artefact import ModelCard, save_model

method = parse_model({"kind": "cyclegan", "generator": {"kind": "unet", "filters": 2, "depth": 1}})
card = ModelCard(method.model_dump(), Window(-200, 600), 1.5, 16, 1, Pair("a", "b"), {})
save_model(Path("model"), make_model(method), card)
assert cli.main(["augment", "in", "out", "--checkpoint", "model", "--dry-run"]) == 0
augment(Path("in"), Path("out"), checkpoint=Path("model"), dry_run=True, say=lambda line: None)
"""


def test_a_dry_runs_list_is_on_stdout_though_a_bar_moves_on_the_terminal(tmp_path: Path) -> None:
    a_volume(Path("in/ct.nii"))
    Path("in/a.txt").write_text("text")
    terminal, stderr = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-c", DRY_RUN],
        cwd=tmp_path,
        env=os.environ | {"TERM": "xterm"},
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        check=False,
    )
    os.close(stderr)
    said = os.read(terminal, 1 << 16).decode()
    os.close(terminal)
    assert done.returncode == 0, said
    assert done.stdout.splitlines() == [
        "in/ct.nii -> out/ct_b.nii.gz",
        "out: 1 would be written, 0 finished before, 0 failed",
        "in/ct.nii -> out/ct_b.nii.gz",
    ]
    assert "volumes" in said, "the bar was shown"
    assert "in/a.txt: skipped" in said
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("number", "words", "code", "said"),
    [
        (signal.SIGTERM, [], 75, "out: stopped; the same command goes on"),
        (signal.SIGUSR1, [], 75, "out: stopped; the same command goes on"),
        (signal.SIGINT, [], 130, "out: stopped; the same command goes on"),
        (
            signal.SIGTERM,
            ["--overwrite"],
            75,
            "out: stopped; without --overwrite the same command goes on",
        ),
    ],
)
def test_augment_that_is_stopped_says_how_to_go_on(
    number: signal.Signals,
    words: list[str],
    code: int,
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stopped(*_: object, **__: object) -> None:
        try:
            os.kill(os.getpid(), number)
            time.sleep(10)
        except Exception as error:
            raise AssertionError("taken for a damaged file") from error

    monkeypatch.setattr("medcyclegan.augment.augment", stopped)
    before = signal.getsignal(number)
    assert cli.main(["augment", "in", "out", *words]) == code
    assert capsys.readouterr() == ("", said + "\n")
    assert signal.getsignal(number) == before


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


@pytest.mark.parametrize("command", ["train", "evaluate segmentation"])
def test_a_bad_config_is_refused_before_torch_is_loaded(command: str, tmp_path: Path) -> None:
    Path("bad.yaml").write_text("output: x\nouput: y\n")
    code = (
        "import sys; from medcyclegan.cli import main; code = main(); "
        "sys.exit(99 if 'torch' in sys.modules else code)"
    )
    words = [*command.split(), "--config", "bad.yaml"]
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
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


def test_phantom_makes_patients_or_a_semi_real_scan(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--patients", "1", "--size", "16", "--slices", "2", "--seed", "4"]
    assert cli.main(["phantom", "out", *words]) == 0
    assert capsys.readouterr() == ("out: 1 patient\n", "")
    index = json.loads(Path("out/cohort.json").read_text())
    assert index["command"]["seed"] == 4
    assert "out: is not empty" in refusal(capsys, "phantom", "out", *words)
    array = np.full((12, 12, 8), 50, np.int16)
    array[0] = -1000
    scan = Volume(array, np.eye(4))
    write_volume(scan, Path("ct.nii"))
    write_labels(Labels((array > 0).astype(np.uint8) * 7, scan.affine), Path("l.nii"), like=scan)
    Path("t.yaml").write_text("organs: {liver: 7}")
    semi_real = ["--from", "ct.nii", "--labels", "l.nii", "--tissues", "t.yaml"]
    assert cli.main(["phantom", "real", *semi_real, "--dose", "1", "--format", "dicom"]) == 0
    assert capsys.readouterr() == ("real: a semi-real scan with its twin\n", "")
    assert len(list(Path("real/images/ct").iterdir())) == 8
    assert "goes with --from" in refusal(capsys, "phantom", "x", *words, "--dose", "2")


def test_phantom_offers_what_there_is() -> None:
    assert set(get_args(phantom.Setting)) == set(SETTINGS)
    assert set(get_args(options.FileFormat)) == set(WRITERS)
    assert set(get_args(phantom.Domain)) == set(get_args(Domain))
    assert set(get_args(phantom.Role)) == set(get_args(Role))
    assert {*get_args(phantom.Phase), "noncontrast"} == set(get_args(Phase))


def test_cheats_offers_what_there_is() -> None:
    patients = get_type_hints(evaluate.cheats, include_extras=True)["patients"].__metadata__[0]
    assert patients.min == LEAST_PATIENTS
    assert signature(evaluate.cheats).parameters["patients"].default == PATIENTS


def test_evaluate_hands_over_what_was_typed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[object, ...]] = []

    def spy(*paths: Path, say: Callable[[str], None], **options: object) -> None:
        told.append((*paths, {name: value for name, value in options.items() if value is not None}))
        say("a table")

    monkeypatch.setattr("medcyclegan.evaluate.evaluate", spy)
    assert (
        cli.main(
            ["evaluate", "--translated", "t", "--out", "o", "--cohort", "c", "--window", "-100:300"]
        )
        == 0
    )
    assert capsys.readouterr() == ("a table\n", "")
    words = "--sources s --twins w --labels l --tissues f --targets g --target-labels h --seed 2"
    assert cli.main(["evaluate", "--translated", "t", "--out", "o", *words.split()]) == 0
    window = Window(-100.0, 300.0)
    others = {
        name: Path(letter)
        for name, letter in zip(
            ("sources", "twins", "labels", "tissues", "targets", "target_labels"),
            "swlfgh",
            strict=True,
        )
    }
    assert told == [
        (Path("t"), Path("o"), {"cohort": Path("c"), "window": window, "seed": 0}),
        (Path("t"), Path("o"), {**others, "seed": 2}),
    ]


@pytest.mark.parametrize("good", [True, False])
def test_cheats_that_are_not_caught_are_a_failure(
    good: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spy(out: Path, *, patients: int, seed: int, say: object) -> bool:
        assert (out, patients, seed) == (Path("out"), 4, 7)
        return good

    monkeypatch.setattr("medcyclegan.proof.cheats.cheats", spy)
    words = ["evaluate", "cheats", "out", "--patients", "4", "--seed", "7"]
    assert cli.main(words) == (0 if good else 1)


def test_segmentation_hands_over_what_was_typed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def spy(config: str, overrides: list[str], *, resume: bool, say: object) -> Path:
        assert (config, list(overrides), resume) == ("phantom.yaml", ["output=here"], True)
        return Path("here")

    monkeypatch.setattr("medcyclegan.proof.protocol.run_protocol", spy)
    words = ["--config", "phantom.yaml", "--set", "output=here"]
    assert cli.main(["evaluate", "segmentation", *words, "--resume"]) == 0
    assert capsys.readouterr().out == "done: here\n"


@pytest.mark.parametrize(
    ("words", "function", "said"),
    [
        (
            "phantom out --patients 1",
            "medcyclegan.cohort.write_cohort",
            "out: stopped; nothing was written, the same command begins anew",
        ),
        (
            "evaluate segmentation --config phantom.yaml --set output=out",
            "medcyclegan.proof.protocol.run_protocol",
            "out: stopped; the same command with --resume goes on",
        ),
    ],
)
def test_other_long_commands_say_how_to_go_on_too(
    words: str,
    function: str,
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stopped(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)

    monkeypatch.setattr(function, stopped)
    assert cli.main(words.split()) == 75
    assert capsys.readouterr() == ("", said + "\n")


def test_names_of_files_cannot_break_a_line_or_command_a_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a\nb\x1b[31m.nii").write_bytes(b"no NIfTI")
    assert cli.main(["augment", str(tmp_path), "out", "--checkpoint", str(tmp_path)]) == 2
    options.tell("a\nb\x1b[31m.nii: é")
    assert capfd.readouterr().err.endswith("a\\nb\\x1b[31m.nii: é\n")


@pytest.mark.parametrize("closed", ["<&- >&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_as_dev_null(tmp_path: Path, closed: str) -> None:
    array = np.linspace(-1000, 900, 8 * 8 * 4).reshape(8, 8, 4).astype(np.int16)
    write_volume(Volume(array, np.eye(4)), tmp_path / "ct.nii.gz")
    command = f'"$0" -c "from medcyclegan.cli import main; raise SystemExit(main())" "$@" {closed}'
    words = ["scan", "--write-config", "c.yaml", "--workers", "1", "ct.nii.gz"]
    done = subprocess.run(
        ["/bin/sh", "-c", command, sys.executable, *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr  # nothing in it is surely either
    assert "Error" not in done.stderr
