from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import pytest
import torch
from torch import Tensor

from medcyclegan.models.image_pool import ImagePool


def image(value: float) -> Tensor:
    return torch.full((1, 1, 2, 2), float(value))


def test_size_zero_hands_every_image_straight_back() -> None:
    pool = ImagePool(0)
    images = torch.randn(3, 1, 2, 2)
    assert pool.exchange(images) is images
    assert pool.images == []


def test_it_fills_up_with_the_newest_and_keeps_no_more_than_its_size() -> None:
    pool = ImagePool(50)
    for value in range(50):
        assert torch.equal(pool.exchange(image(value)), image(value))
    assert [float(kept.mean()) for kept in pool.images] == list(range(50))
    pool.exchange(torch.randn(30, 1, 2, 2))
    assert len(pool.images) == 50


def test_full_it_hands_back_old_images_half_of_the_time_and_keeps_the_new() -> None:
    torch.manual_seed(0)
    pool = ImagePool(50)
    for value in range(50):
        pool.exchange(image(value))
    seen: set[float] = set(range(50))
    old = 0
    for value in range(50, 1050):
        answer = float(pool.exchange(image(value)).mean())
        assert answer == value or answer in seen
        if answer != value:
            old += 1
            seen.remove(answer)  # each image leaves the pool once
            seen.add(value)
        assert {float(kept.mean()) for kept in pool.images} == seen
    assert 450 < old < 550  # 3 standard deviations about a half


def test_images_of_a_batch_are_exchanged_one_by_one() -> None:
    pool = ImagePool(1)
    torch.manual_seed(3)
    answers = [pool.exchange(torch.stack([image(n)[0], image(n + 0.5)[0]])) for n in range(40)]
    first = {float(a[0].mean()) == n for n, a in enumerate(answers)}
    second = {float(a[1].mean()) == n + 0.5 for n, a in enumerate(answers)}
    assert first == second == {True, False}
    assert all(a.shape == (2, 1, 2, 2) for a in answers)


def test_what_is_kept_does_not_change_with_the_image_it_came_from() -> None:
    pool = ImagePool(1)
    given = image(1)
    pool.exchange(given)
    given.fill_(9)
    assert torch.equal(pool.images[0], image(1)[0])


def test_its_state_survives_a_round_trip() -> None:
    pool, other = ImagePool(4), ImagePool(4)
    for value in range(4):
        pool.exchange(image(value))
    other.load_state_dict(pool.state_dict())
    torch.manual_seed(5)
    expected = [pool.exchange(image(n)) for n in range(10, 20)]
    torch.manual_seed(5)
    assert all(
        torch.equal(other.exchange(image(n)), e)
        for n, e in zip(range(10, 20), expected, strict=True)
    )


def test_images_that_a_checkpoint_left_on_the_cpu_go_where_the_new_ones_are() -> None:
    torch.manual_seed(0)
    pool = ImagePool(1)
    pool.exchange(image(1))
    answers = [pool.exchange(torch.empty(1, 1, 2, 2, device="meta")) for _ in range(10)]
    assert {answer.device.type for answer in answers} == {"meta"}


ROUNDS = 12


def exchange_whole_batches(pool: ImagePool, part: slice) -> list[list[float]]:
    """Return what comes back for a part of batches of 6 images, and at the end what is kept."""
    torch.manual_seed(1)
    batches = [torch.stack([image(6 * n + i)[0] for i in range(6)]) for n in range(ROUNDS)]
    answers = [pool.exchange(batch[part]) for batch in batches]
    kept: list[Tensor] = pool.images
    return [[float(x.mean()) for x in images] for images in (*map(list, answers), kept)]


def take_part(rank: int, folder: Path) -> None:
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=2
    )
    found = exchange_whole_batches(ImagePool(5), slice(rank, None, 2))
    (folder / f"{rank}.json").write_text(json.dumps(found))


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_the_pools_of_several_processes_are_one(tmp_path: Path) -> None:
    expected = exchange_whole_batches(ImagePool(5), slice(None))
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=take_part, args=(rank, tmp_path)) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    found = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    assert found[0][-1] == found[1][-1] == expected[-1]
    for n in range(ROUNDS):
        assert [found[0][n], found[1][n]] == [expected[n][0::2], expected[n][1::2]]
    assert any(expected[n][0] != 6 * n for n in range(ROUNDS))
