"""Run folders: which one may be trained into, and what a resumed run must share with its past."""

from __future__ import annotations

from pathlib import Path

from medcyclegan import files
from medcyclegan.config import Config, load_config
from medcyclegan.errors import ConfigError, InputError

MAY_CHANGE = {  # of the training section, in a run that is resumed: how long, how watched, where
    "steps",
    "learning_rate",
    "discriminator_learning_rate",
    "log_every",
    "sample_every",
    "checkpoint_minutes",
    "keep_every",
    "validate_every",
    "early_stop",
    "init_from",
    "workers",
    "accumulate",
    "activation_checkpointing",
    "convolution",
    "precision",
    "channels_last",
    "compile",
    "device",
    "devices",
    "nodes",
    "threads",
}


def check_folder(folder: Path, config: Config, *, resume: bool) -> None:
    """Check that `config` may be trained into `folder`, before anything is read.

    Raises:
        InputError: it holds other things, or a run that is not to be resumed.
        ConfigError: it holds a run of another config.
    """
    files.check_can_hold(folder)
    names = [path.name for path in folder.iterdir()] if folder.exists() else []
    if all(name.startswith((files.TEMPORARY_PREFIX, files.LOCK)) for name in names):
        return
    if not resume:
        raise InputError(f"{folder}: exists already; go on with --resume, or set another output")
    kept = folder / "config.yaml"
    if not kept.exists():
        raise InputError(f"{folder}: holds other things than a run; set another output")
    old, new = (_decisive(c) for c in (load_config(kept), config))
    for section, value in new.items():
        if value != old[section]:
            raise ConfigError(
                f"{kept}: --resume with another {section!r} section; use the run's own config, or "
                "set another output"
            )


def _decisive(config: Config) -> dict[str, object]:
    """Return what a resumed run must share with what it resumes."""
    sections = config.model_dump(mode="json", exclude={"output"})
    kept = sections["training"].items()
    sections["training"] = {key: value for key, value in kept if key not in MAY_CHANGE}
    return sections
