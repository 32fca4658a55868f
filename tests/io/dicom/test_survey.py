from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from medcyclegan.io import find_volumes
from medcyclegan.io.dicom import survey
from medcyclegan.io.dicom.survey import read_headers

Array = npt.NDArray[Any]
MakeCT = Callable[..., Array]
WriteSeries = Callable[..., list[Path]]
AFFINE = np.diag([-0.8, -0.8, 2.5, 1.0])


@pytest.fixture
def mixed(tmp_path: Path, make_ct: MakeCT, write_series: WriteSeries) -> list[Path]:
    """Series and what else lies about."""

    def spoil(dataset: Any, k: int) -> None:
        if k == 1:
            dataset.Modality = "MR"
        if k == 2:
            del dataset.ImagePositionPatient
        if k == 3:
            dataset.PixelSpacing = ["0.8"]

    paths = write_series(tmp_path / "a", make_ct(), AFFINE, change=spoil)
    paths += write_series(tmp_path / "b", make_ct(), AFFINE)
    for name, content in (("note", b"text"), ("bad.dcm", b"text" * 99), ("none", b"")):
        (tmp_path / name).write_bytes(content)
        paths.append(tmp_path / name)
    odd = tmp_path / os.fsdecode(b"M\xfcller.dcm")
    paths[0].rename(odd)
    return [odd, *paths[1:], tmp_path / "gone.dcm"]


@pytest.fixture
def by_children(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "FEW_FILES", 0)
    monkeypatch.setattr(survey, "FILES_A_REQUEST", 4)


def test_children_tell_what_reading_here_tells(
    mixed: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = read_headers(mixed)
    assert [one.path for one in here] == mixed
    assert {bool(one.header) for one in here} == {True, False}
    monkeypatch.setattr(survey, "FEW_FILES", 0)
    monkeypatch.setattr(survey, "FILES_A_REQUEST", 4)
    monkeypatch.setattr(survey, "_read", None)  # not in this process
    steps: list[tuple[int, int]] = []
    told = read_headers(mixed, lambda done, total: steps.append((done, total)))
    assert told == here
    assert steps == [(4, 16), (8, 16), (12, 16), (16, 16)]


@pytest.mark.usefixtures("by_children")
@pytest.mark.parametrize(
    "child",
    [
        "raise SystemExit",
        "import os; os.abort()",
        "input(); print('nonsense')",
        "input(); print('[]')",
        "input(); print('[3, 4, 5, 6]')",
    ],
)
def test_a_child_that_dies_or_talks_nonsense_costs_nothing(
    mixed: list[Path], monkeypatch: pytest.MonkeyPatch, child: str
) -> None:
    here = [survey._read(path) for path in mixed]
    monkeypatch.setattr(survey, "CHILD", child)
    assert read_headers(mixed) == here


@pytest.mark.usefixtures("by_children")
def test_ctrl_c_ends_a_search_at_once_and_leaves_no_child(
    mixed: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[str]] = []
    start = survey._start

    def noted() -> subprocess.Popen[str]:
        started.append(start())
        return started[-1]

    monkeypatch.setattr(survey, "_start", noted)
    monkeypatch.setattr(survey, "CHILD", "import time; time.sleep(60)")
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    began = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            read_headers(mixed)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert time.monotonic() - began < 30
    assert started
    assert all(child.returncode is not None for child in started)


def test_a_child_imports_no_torch_and_ends_with_its_input() -> None:
    code = f"{survey.CHILD}\nimport sys; assert 'torch' not in sys.modules"
    child = subprocess.run([sys.executable, "-P", "-c", code], input="", text=True, check=False)
    assert child.returncode == 0


def test_a_search_says_how_far_it_is(
    tmp_path: Path, make_ct: MakeCT, write_series: WriteSeries
) -> None:
    write_series(tmp_path / "a", make_ct(), AFFINE)
    steps: list[tuple[int, int]] = []
    find_volumes(tmp_path, progress=lambda done, total: steps.append((done, total)))
    assert steps == [(6, 6)]
