"""What tests share: the real data, the judges from outside, and one thread for torch."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("medcyclegan", deadline=None)  # machines are slow at times
settings.load_profile("medcyclegan")

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: equal runs, equal sums

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a shell's background jobs

REPOSITORY = Path(__file__).resolve().parents[1]


def required(what: str) -> bool:
    """Return whether the absence of `what` ("data", "judges", "gpu") fails a test, not skips it."""
    return what in os.environ.get("MEDCYCLEGAN_REQUIRE", "").split(",")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the source tree."""
    return REPOSITORY


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real CT and odd input, which is not part of the project; never written to."""
    typed = os.environ.get("MEDCYCLEGAN_TEST_DATA", "../shared/data")
    folder = (REPOSITORY / typed).resolve()
    if not folder.is_dir():
        reason = f"no folder of real data at {typed}: set MEDCYCLEGAN_TEST_DATA"
        if required("data"):
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@pytest.fixture(scope="session")
def judge() -> Callable[[str], str]:
    """Where a program is that judges what we write; its absence skips the test, or fails it."""

    def find(program: str) -> str:
        place = shutil.which(program)
        if place is None:
            reason = f"no {program}: install the Debian packages dicom3tools and dcm2niix"
            if required("judges"):
                pytest.fail(reason)
            pytest.skip(reason)
        return place

    return find


@pytest.fixture
def cuda() -> None:
    """A CUDA device; its absence skips the test, or fails it."""
    import torch

    if not torch.cuda.is_available():
        if required("gpu"):
            pytest.fail("no CUDA device")
        pytest.skip("no CUDA device")


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the user's slice store out of the tests, and the tests out of it."""
    monkeypatch.setenv("MEDCYCLEGAN_CACHE", str(tmp_path_factory.mktemp("cache")))
