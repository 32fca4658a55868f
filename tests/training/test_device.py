from __future__ import annotations

import pytest
import torch

from medcyclegan.errors import InputError
from medcyclegan.training.device import choose_device, describe_device


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


@pytest.mark.parametrize("name", ["gpu", "meta", "cuda:x", ""])
def test_a_device_of_no_known_kind_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="unknown; use auto, cpu, mps, cuda or cuda:1"):
        choose_device(name)


def test_a_cpu_is_described_with_its_threads() -> None:
    assert describe_device(torch.device("cpu")) == f"cpu, {torch.get_num_threads()} threads"
