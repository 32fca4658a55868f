from __future__ import annotations

import copy
import functools
import os
import subprocess
import sys
from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from medcyclegan.config import parse_model
from medcyclegan.domains import Pair
from medcyclegan.errors import ConfigError, InputError
from medcyclegan.losses import total
from medcyclegan.models.cyclegan import CycleGAN
from medcyclegan.models.evaluating import evaluating
from medcyclegan.networks.convolution import Convolution
from medcyclegan.networks.recomputing import Segment
from medcyclegan.training.device import out_of_memory
from medcyclegan.training.engine import Engine, EngineOptions
from medcyclegan.training.launch import PARENT, find_places

CPU = EngineOptions(device="cpu")


def tiny(norm: str = "instance", filters: int = 2) -> CycleGAN:
    torch.manual_seed(0)
    generator = {"kind": "resnet", "filters": filters, "blocks": 1, "norm": norm}
    return CycleGAN(
        parse_model(
            {
                "kind": "cyclegan",
                "generator": generator,
                "discriminator": {"kind": "patchgan", "filters": 2, "layers": 1},
            }
        )
    )


def batch(device: torch.device | None = None, dtype: torch.dtype | None = None) -> Pair[Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = [torch.rand(1, 1, 16, 16, generator=generator) * 2 - 1 for _ in range(2)]
    return Pair(*(x.to(device, dtype) for x in images))


def gradients(model: CycleGAN, engine: Engine, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Return the gradients of both kinds of networks."""
    real = batch(engine.device, dtype)
    with engine.autocast():
        losses, fake = model.generator_losses(real)
        judged = model.discriminator_losses(real, fake)
    total(losses).backward()
    total(judged).backward()
    return [
        parameter.grad.double() for parameter in model.parameters() if parameter.grad is not None
    ]


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.fixture
def no_launcher(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in os.environ:
        if name.startswith(("SLURM_", "TORCHELASTIC_", "MASTER_")):
            monkeypatch.delenv(name)
    return monkeypatch


@pytest.fixture
def slurm(no_launcher: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Four tasks on two machines, as srun says it; this is the third task."""
    said = {"STEP_ID": 0, "NTASKS": 4, "NTASKS_PER_NODE": 2, "NNODES": 2, "JOB_NAME": "train"}
    for name, value in said.items():
        no_launcher.setenv(f"SLURM_{name}", str(value))
    return no_launcher


def test_importing_it_loads_no_fabric() -> None:
    code = "import sys, medcyclegan.training.engine; print('lightning_fabric' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_plain_run_is_one_process_without_a_group(capfd: pytest.CaptureFixture[str]) -> None:
    with Engine(CPU) as engine:
        assert (engine.rank, engine.processes, engine.first) == (0, 1, True)
        assert not torch.distributed.is_initialized()
        assert engine.describe().startswith("cpu, ")
        assert engine.describe().endswith(", fp32, winograd convolutions")
        engine.wait()
    assert not {"RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_PORT", PARENT} & os.environ.keys()
    assert capfd.readouterr() == ("", "")


def test_in_one_process_nothing_is_shared() -> None:
    engine = Engine(CPU)
    values = torch.tensor([1.0, 2.0])
    engine.average([values])
    assert values.tolist() == [1.0, 2.0]
    assert [engine.any(flag) for flag in (True, False)] == [True, False]
    assert engine.of_first(7) == 7
    assert list(range(3))[engine.part(3)] == [0, 1, 2]


def test_parts_are_the_batch_in_turn_and_one_that_does_not_divide_is_refused() -> None:
    engine = Engine(CPU)
    engine.processes = 3
    parts = []
    for engine.rank in range(3):
        parts.append(list(range(6))[engine.part(6)])
    assert parts == [[0, 3], [1, 4], [2, 5]]
    with pytest.raises(ConfigError, match=r"batch_size 4 is for all 3 processes .* multiple of 3"):
        engine.part(4)


def test_threads_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    Engine(EngineOptions(device="cpu", threads=3))
    Engine(CPU)
    assert asked == [3]


def test_networks_are_prepared_as_asked() -> None:
    model = tiny(filters=16)
    for algorithm in ("plain", "winograd"):
        engine = Engine(EngineOptions(device="cpu", convolution=algorithm))
        assert engine.prepare(model) == ()
        found = {m.algorithm for m in model.modules() if isinstance(m, Convolution)}
        assert algorithm in found
    assert not any(m.recompute for m in model.modules() if isinstance(m, Segment))
    model.eval()
    Engine(EngineOptions(device="cpu", activation_checkpointing=True)).prepare(model)
    assert any(m.recompute for m in model.modules() if isinstance(m, Segment))
    assert all(m.training for m in model.modules())


def test_a_cpu_computes_in_fp32_unless_asked_otherwise() -> None:
    seen: list[torch.dtype] = []
    convolution, images = nn.Conv2d(1, 1, 1), torch.zeros(1, 1, 2, 2)
    for precision in ("auto", "fp32", "bf16"):
        engine = Engine(EngineOptions(device="cpu", precision=precision))
        with engine.autocast():
            seen.append(convolution(images).dtype)
    assert seen == [torch.float32, torch.float32, torch.bfloat16]
    assert engine.convolution == "plain"
    assert ["bf16 on a CPU: far slower" in line for line in engine.prepare(tiny())] == [True]


def test_channels_last_is_refused_on_a_cpu() -> None:
    assert not Engine(CPU).channels_last
    with pytest.raises(ConfigError, match="channels_last: torch's gradients are wrong"):
        Engine(EngineOptions(device="cpu", channels_last=True))


def test_a_batch_norm_in_many_processes_on_a_cpu_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.distributed, "broadcast", lambda tensor, source: None)
    engine = Engine(CPU)
    engine.processes = 2
    assert engine.prepare(tiny("instance")) == ()
    (line,) = engine.prepare(tiny("batch"))
    assert line.startswith("batch norm: each of the 2 processes normalises by its own slices")


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")  # torch's own
def test_compiled_networks_have_the_same_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what torch.compile does before a compiler is called, which alone takes a minute."""
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))
    expected: list[Tensor] = []
    for compiled in (False, True):
        model = tiny()
        engine = Engine(EngineOptions(device="cpu", compile=compiled))
        engine.prepare(model)
        found = gradients(model, engine)
        expected = expected or found
    assert engine.convolution == "plain"
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    counters = torch._dynamo.utils.counters
    graphs = counters["stats"]["unique_graphs"]
    assert graphs > 0
    assert not counters["graph_break"]
    with evaluating(model):
        model.translate(torch.zeros(1, 1, 24, 24), "a_to_b")
    assert counters["stats"]["unique_graphs"] == graphs
    assert list(model.state_dict()) == list(tiny().state_dict())
    copied, images = copy.deepcopy(model), batch().a
    for parameter in model.parameters():
        parameter.data.zero_()
    assert not torch.equal(copied.translate(images, "a_to_b"), model.translate(images, "a_to_b"))


def test_compiling_without_a_compiler_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(ConfigError, match=r"training\.compile: .* install g\+\+"):
        Engine(EngineOptions(device="cpu", compile=True))


@pytest.mark.usefixtures("no_launcher")
@pytest.mark.parametrize(
    ("device", "devices", "nodes", "message"),
    [
        ("cuda:63", 1, 1, "'cuda:63': not on this machine"),
        ("mps", 2, 1, "'mps' is one device; 2 processes take cuda or cpu"),
        ("cuda:0", 2, 1, "'cuda:0' is one device"),
        ("cpu", 1, 2, "nodes 2: .* torchrun or Slurm, or with MASTER_ADDR"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    device: str, devices: int, nodes: int, message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        find_places(device, devices, nodes)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("two_gpus", "no_launcher")
def test_each_process_has_its_gpu() -> None:
    for device in ("auto", "cuda"):
        places = find_places(device, 2, 1)
        assert places.devices == [torch.device("cuda", 0), torch.device("cuda", 1)]
    with pytest.raises(InputError, match=r"devices 3: this machine has 2 GPUs; use fewer"):
        find_places("cuda", 3, 1)


@pytest.mark.usefixtures("two_gpus")
def test_torchrun_decides_how_many_there_are(no_launcher: pytest.MonkeyPatch) -> None:
    said = {"TORCHELASTIC_RUN_ID": "x", "LOCAL_WORLD_SIZE": "2", "WORLD_SIZE": "6", "RANK": "3"}
    for name, value in said.items():
        no_launcher.setenv(name, value)
    places = find_places("cuda", 1, 1)
    assert (len(places.devices), places.nodes) == (2, 3)
    assert places.environment.global_rank() == 3
    no_launcher.setenv("WORLD_SIZE", "5")
    with pytest.raises(ConfigError, match="2 of 5 processes are on this machine; start equally"):
        find_places("cuda", 1, 1)


@pytest.mark.usefixtures("two_gpus")
def test_slurm_decides_how_many_there_are(slurm: pytest.MonkeyPatch) -> None:
    places = find_places("auto", 1, 1)
    assert places.devices == [torch.device("cuda", 0), torch.device("cuda", 1)]
    assert places.nodes == 2
    slurm.setattr(torch.cuda, "device_count", lambda: 1)  # --gpus-per-task=1
    assert find_places("auto", 1, 1).devices == [torch.device("cuda", 0)] * 2


def test_slurm_tasks_that_are_not_equally_many_on_each_machine_are_refused(
    slurm: pytest.MonkeyPatch,
) -> None:
    slurm.delenv("SLURM_NTASKS_PER_NODE")
    with pytest.raises(ConfigError, match="4 tasks on 2 machines; give --ntasks-per-node"):
        find_places("cpu", 1, 1)


@pytest.mark.parametrize("changed", [("SLURM_NTASKS", "1"), ("SLURM_STEP_ID", None)])
def test_a_single_task_or_a_batch_script_without_srun_is_one_process(
    slurm: pytest.MonkeyPatch, changed: tuple[str, str | None]
) -> None:
    name, value = changed
    if value is None:
        slurm.delenv(name)
    else:
        slurm.setenv(name, value)
    assert find_places("cpu", 1, 1).devices == [torch.device("cpu")]
    assert len(find_places("cpu", 3, 1).devices) == 3


@pytest.mark.gpu
@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("precision", ["fp32", "auto"])
def test_gradients_on_a_gpu_are_those_of_fp64_on_a_cpu(
    monkeypatch: pytest.MonkeyPatch, precision: Literal["fp32", "auto"]
) -> None:
    """With channels_last and batches of one, of which a CPU makes wrong gradients."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    expected = gradients(tiny().double(), Engine(EngineOptions(device="cpu")), torch.float64)
    engine = Engine(EngineOptions(device="cuda", precision=precision))
    assert engine.channels_last
    model = tiny()
    engine.prepare(model)
    bound = 1e-3 if engine.precision == "fp32" else 0.2
    for found, right in zip(gradients(model, engine), expected, strict=True):
        assert (found.cpu() - right).norm() < bound * (right.norm() + 1e-6)


@pytest.mark.gpu
@pytest.mark.usefixtures("cuda")
def test_memory_of_a_gpu_that_runs_out_is_told() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**45, device="cuda")
    assert out_of_memory(caught.value)
