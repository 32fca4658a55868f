from __future__ import annotations

import json
from pathlib import Path

from medcyclegan.training.logs import MetricsLog


def test_each_line_is_an_object_with_its_step(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "metrics.jsonl", 1)
    log.write(1, {"cycle_a": 0.5})
    log.write(2, {"cycle_a": 0.25, "learning_rate": 2e-4})
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"step": 1, "cycle_a": 0.5},
        {"step": 2, "cycle_a": 0.25, "learning_rate": 2e-4},
    ]


def test_a_resumed_run_drops_what_it_will_write_again_and_half_a_line(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    first = MetricsLog(path, 1)
    for step in (1, 2, 3, 4):
        first.write(step, {"cycle_a": float(step)})
    with path.open("a") as stream:
        stream.write('{"step": 1, "cyc')  # killed while writing
    MetricsLog(path, 3).write(3, {"cycle_a": 7.0})
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"step": 1, "cycle_a": 1.0},
        {"step": 2, "cycle_a": 2.0},
        {"step": 3, "cycle_a": 7.0},
    ]
