"""Training a model on a config: data, model and loop are built here, and nothing else happens."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from medcyclegan import files
from medcyclegan.config import Config, load_config
from medcyclegan.data.index import Content, content_of, open_domain
from medcyclegan.data.position import match_positions, one_group
from medcyclegan.data.split import balance, split_volumes
from medcyclegan.data.store import SliceStore, StoredVolume
from medcyclegan.data.unpaired import UnpairedSlices
from medcyclegan.domains import Pair
from medcyclegan.errors import ConfigError, InputError
from medcyclegan.intensity import Window
from medcyclegan.models import TranslationModel, make_model
from medcyclegan.models.artefact import ModelCard, save_model
from medcyclegan.report.panels import sample_panel
from medcyclegan.training.device import choose_device
from medcyclegan.training.loop import Loop, Schedule

SHOWN = 4  # slices of each domain in a picture of samples
MAY_CHANGE = {  # in a run that is resumed
    "steps",
    "learning_rate",
    "discriminator_learning_rate",
    "log_every",
    "sample_every",
    "checkpoint_minutes",
    "device",
    "threads",
}

Say = Callable[[str], None]


def train(
    config: Config,
    *,
    model: TranslationModel | None = None,
    resume: bool = False,
    say: Say = print,
) -> Path:
    """Train on the two domains of `config` and return the run folder.

    Args:
        config: what to train on, what and how.
        model: a method of one's own instead of the one the config names.
        resume: go on from the newest checkpoint of the run folder.
        say: takes lines for people.

    Raises:
        InputError: no volumes, an unknown device, or a run folder that is already in use.
        MedCycleGANError: a loss is not finite, or the disk is full.
        Interrupted: a signal asked to stop; a checkpoint was written.
    """
    folder = Path(config.output)
    _check_folder(folder, config, resume=resume)
    device = choose_device(config.training.device)
    if config.training.threads:
        torch.set_num_threads(config.training.threads)
    data = _open_data(config, say)
    with files.locked(folder):
        _check_folder(folder, config, resume=resume)
        _train(config, data, device, model=model, resume=resume, say=say)
    return folder


def _train(
    config: Config,
    data: _Data,
    device: torch.device,
    *,
    model: TranslationModel | None,
    resume: bool,
    say: Say,
) -> None:
    folder = Path(config.output)
    files.remove_temporaries(folder)
    card = _card(config, model)
    if model is None:
        torch.manual_seed(config.training.seed)
        model = make_model(config.model, config.slices.neighbors)

    files.write_bytes(folder / "config.yaml", config.to_yaml().encode())
    shown = data.shown.batch(0)

    def draw(step: int, current: TranslationModel) -> None:
        panel = sample_panel(current, Pair(*(x.to(device) for x in shown)), card.window)
        files.write_bytes(folder / "samples" / f"step-{step:08d}.png", panel)

    def export(step: int, current: TranslationModel) -> None:
        for name in ("model", "model-last"):
            save_model(folder / name, current, card)

    with _progress(config.training.steps) as progress:
        loop = Loop(
            model,
            data.train.batch,
            _schedule(config),
            folder,
            device=device,
            draw=draw,
            export=export,
            say=say,
            progress=progress,
        )
        if resume:
            loop.resume()
        if loop.step < config.training.steps:
            (folder / "finished.json").unlink(missing_ok=True)
        loop.run()
    draw(loop.step, loop.average)
    files.write_json(folder / "finished.json", {"steps": loop.step})
    say(f"{folder}: trained {loop.step} steps; the model is {folder / 'model'}")


class _Data(NamedTuple):
    train: UnpairedSlices
    shown: UnpairedSlices


def _open_data(config: Config, say: Say) -> _Data:
    window = Window(config.window.low_hu, config.window.high_hu)
    split = split_volumes(_load_volumes(config, window, say), config.training.validation_fraction)
    say(split.message)
    names = Pair(config.domains.a.name, config.domains.b.name)

    def slices(of: Pair[list[StoredVolume]], batch_size: int, tell: Say) -> UnpairedSlices:
        groups = match_positions(of, names) if config.slices.match_position else one_group(of)
        if groups.message:
            tell(groups.message)
        return UnpairedSlices(
            of,
            window=window,
            size=config.slices.size,
            neighbors=config.slices.neighbors,
            batch_size=batch_size,
            seed=config.training.seed,
            groups=groups,
        )

    train = slices(split.train, config.training.batch_size, say)
    if uneven := balance(split.train, names):
        say(uneven)
    for name, count, cut in zip(names, map(len, split.train), train.cut, strict=True):
        say(f"domain {name}: {count} volumes; {cut:.0%} of their slices are larger than the crop")
    if any(train.cut) and not config.model.crop_safe:
        say(
            "warning: instance norm and crops smaller than the body: whole slices will be "
            "translated otherwise than crops were; use norm: batch, or a larger slices.size"
        )
    unseen = split.validation if all(split.validation) else split.train
    return _Data(train, slices(unseen, SHOWN, lambda line: None))


def _load_volumes(config: Config, window: Window, say: Say) -> Pair[list[StoredVolume]]:
    """Return the volumes of both domains from the slice store, and say what is odd about them."""
    store = SliceStore(config.slices.spacing_mm, window, warn=lambda line: say(f"warning: {line}"))
    volumes: list[list[StoredVolume]] = []
    contents: list[set[Content]] = []
    for key, domain in (("a", config.domains.a), ("b", config.domains.b)):
        found = open_domain(domain.volumes, f"domains.{key}.volumes", config.reading)
        stored = store.load_domain(domain.name, found.sources, found.patients)
        for message in (*found.messages, *stored.messages):
            say(f"warning: {message}")
        volumes.append(stored.volumes)
        contents.append({content_of(source) for source in found.sources})
    if both := len(contents[0] & contents[1]):
        say(f"warning: {both} volumes are in both domains; a volume belongs to one")
    store.trim()
    return Pair(*volumes)


def _check_folder(folder: Path, config: Config, *, resume: bool) -> None:
    """Refuse to train into a folder that holds something else, before anything is read."""
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


def _schedule(config: Config) -> Schedule:
    training = config.training
    return Schedule(
        steps=training.steps,
        learning_rate=training.learning_rate,
        discriminator_learning_rate=training.discriminator_learning_rate or training.learning_rate,
        constant_fraction=training.constant_fraction,
        seed=training.seed,
        ema=training.ema,
        log_every=training.log_every,
        sample_every=training.sample_every,
        checkpoint_minutes=training.checkpoint_minutes,
    )


def _card(config: Config, own: TranslationModel | None) -> ModelCard:
    """Return the card of what is trained; a method of one's own is named, not described."""
    named = {"kind": type(own).__name__}
    return ModelCard(
        model=named if own is not None else config.model.model_dump(mode="json"),
        window=Window(config.window.low_hu, config.window.high_hu),
        spacing_mm=config.slices.spacing_mm,
        size=config.slices.size,
        neighbors=config.slices.neighbors,
        domains=Pair(config.domains.a.name, config.domains.b.name),
        versions={
            name: importlib.metadata.version(name) for name in ("medcyclegan", "torch", "monai")
        },
    )


@contextmanager
def _progress(steps: int) -> Iterator[Callable[[int, dict[str, float]], None]]:
    """Yield what the loop reports to: a bar with losses on a terminal, nothing elsewhere."""
    console = Console(stderr=True)
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("training", total=steps)

        def progress(step: int, losses: dict[str, float]) -> None:
            shown = " ".join(
                f"{name} {value:.2f}" for name, value in losses.items() if name != "learning_rate"
            )
            bar.update(task, completed=step, description=shown)

        yield progress
