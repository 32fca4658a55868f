from __future__ import annotations

from pathlib import Path

import pytest
import torch

from medcyclegan.errors import ConfigError, InputError
from medcyclegan.training.device import (
    check_compiler,
    choose_device,
    describe_device,
    out_of_memory,
)


@pytest.mark.parametrize(("there", "chosen"), [(True, "cuda"), (False, "cpu")])
def test_auto_takes_a_gpu_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, there: bool, chosen: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert choose_device("auto").type == chosen


def test_a_device_is_what_it_is_called() -> None:
    assert choose_device("cpu") == torch.device("cpu")


def test_a_device_that_is_not_there_is_refused_in_one_line() -> None:
    with pytest.raises(InputError, match=r"'cuda:63': not on this machine .* use auto") as caught:
        choose_device("cuda:63")
    assert "\n" not in str(caught.value)


def test_of_torchs_reason_the_first_sentence_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("No such backend. If you work at Facebook, see https://x")

    monkeypatch.setattr(torch, "empty", refuse)
    with pytest.raises(InputError, match=r"not on this machine \(No such backend\); use auto"):
        choose_device("mps")


@pytest.mark.parametrize("name", ["gpu", "meta", "cuda:x", ""])
def test_a_device_of_no_known_kind_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="unknown; use auto, cpu, mps, cuda or cuda:1"):
        choose_device(name)


@pytest.mark.parametrize(("count", "words"), [(1, "cpu, 1 thread"), (3, "cpu, 3 threads")])
def test_a_cpu_is_described_with_its_threads(
    monkeypatch: pytest.MonkeyPatch, count: int, words: str
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: count)
    assert describe_device(torch.device("cpu")) == words


def test_memory_that_runs_out_is_told_from_other_errors() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**48)
    assert out_of_memory(caught.value)
    assert out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert out_of_memory(MemoryError())
    with pytest.raises(RuntimeError) as caught:
        torch.zeros(2) + torch.zeros(3)
    assert not out_of_memory(caught.value)


def test_a_compiler_is_looked_for_where_torch_does(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(ConfigError, match="install g"):
        check_compiler()
    for name in ("g++", "mine"):
        (tmp_path / name).write_text("")
        (tmp_path / name).chmod(0o755)
        check_compiler()
        (tmp_path / name).rename(tmp_path / "gone")
        monkeypatch.setenv("CXX", "mine")
