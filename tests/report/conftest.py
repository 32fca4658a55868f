"""A run folder such as training leaves, without training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medcyclegan import files
from medcyclegan.config import parse_config
from medcyclegan.report.panels import png
from medcyclegan.training.logs import RunLog


@pytest.fixture(scope="session")
def picture() -> bytes:
    """A small PNG."""
    return png(np.zeros((4, 6, 3), np.uint8))


@pytest.fixture
def run_folder(tmp_path: Path, picture: bytes) -> Path:
    """A finished run of 40 steps, its third validation of four the best, the second rejected."""
    folder = tmp_path / "hospital"
    config = parse_config(
        {
            "domains": {
                "a": {"name": "contrast", "volumes": "one"},
                "b": {"name": "noncontrast", "volumes": "two"},
            },
            "output": "runs/hospital",
            "training": {"steps": 40},
        }
    )
    files.write_bytes(folder / "config.yaml", config.to_yaml().encode())
    files.write_json(folder / "environment.json", {"versions": {"torch": "2.13.0"}, "cores": 2})
    files.write_json(folder / "finished.json", {"steps": 40})
    with RunLog(folder, 1) as log:
        for step in range(1, 41):
            log.write(step, {"cycle_a": 1 / step, "cycle_b": 2 / step, "learning_rate": 2e-4})
            if step % 10 == 0:
                log.picture(step, picture)
                figures = {"score": {10: 50.0, 20: 8000.5, 30: 20.0, 40: 30.0}[step]}
                figures |= {"identity_score": 1040.0, "histogram_matching_score": 25.0}
                figures |= {"edges_invented": 0.01 * step, "target_patients_distance": 9.0}
                log.write(step, {f"validation/{name}": x for name, x in figures.items()})
        log.warn(20, "bone moved by 9.0 HU")
    return folder
