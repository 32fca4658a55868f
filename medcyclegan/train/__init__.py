"""Training a model on a config: data, model and loop are built here, and nothing else happens."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import torch

from medcyclegan import files
from medcyclegan.config import Config
from medcyclegan.data.loader import BatchLoader
from medcyclegan.intensity import Window
from medcyclegan.models import TranslationModel, make_model
from medcyclegan.train.folder import check_folder
from medcyclegan.train.observing import make_observers
from medcyclegan.train.opening import Data, open_data
from medcyclegan.train.starting import check_start, start_from
from medcyclegan.training.engine import Engine, EngineOptions
from medcyclegan.training.environment import environment
from medcyclegan.training.loop import Loop
from medcyclegan.training.progress import RunProgress
from medcyclegan.training.schedule import Schedule

WORKERS_FOR_GPU = 2

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
    check_folder(folder, config, resume=resume)
    if config.training.init_from is not None and not resume:
        check_start(Path(config.training.init_from))
    with Engine(_engine_options(config)) as engine:
        said = say if engine.first else _say_nothing
        part = engine.part(config.training.batch_size)
        data = _opened_in_turn(config, engine, said)
        with files.locked(folder) if engine.first else contextlib.nullcontext():
            if engine.first:
                check_folder(folder, config, resume=resume)
                files.remove_temporaries(folder)
            engine.wait()
            loader = BatchLoader(
                data.train,
                steps=config.training.steps,
                workers=_workers(config, engine),
                pin=engine.device.type == "cuda",
                part=part,
            )
            _train(config, data, loader, engine, model=model, resume=resume, say=said)
    return folder


def _train(
    config: Config,
    data: Data,
    loader: BatchLoader,
    engine: Engine,
    *,
    model: TranslationModel | None,
    resume: bool,
    say: Say,
) -> None:
    folder = Path(config.output)
    own = model is not None
    if model is None:
        torch.manual_seed(config.training.seed)
        window = Window(config.window.low_hu, config.window.high_hu)
        model = make_model(config.model, config.slices.neighbors, window)
    for warning in engine.prepare(model):
        say(f"warning: {warning}")
    shown = None if engine.first else False
    with RunProgress(config.training.steps, say, terminal=shown) as progress:
        observers = make_observers(config, data, model, engine, own=own, say=say, progress=progress)
        loop = Loop(
            model, loader.batches, _schedule(config), folder, engine=engine, observers=observers
        )
        resumed = resume and loop.resume()
        if config.training.init_from is not None and not resumed:
            start_from(Path(config.training.init_from), model, config, say=say)
            loop.state.start_average()
        if engine.first:
            files.write_bytes(folder / "config.yaml", config.to_yaml().encode())
            files.write_json(folder / "environment.json", environment())
            if loop.state.step < config.training.steps:
                (folder / "finished.json").unlink(missing_ok=True)
        loop.run()
    if engine.first:
        files.write_json(folder / "finished.json", {"steps": loop.state.step})
    say(f"{folder}: trained {loop.state.step} steps; the model is {folder / 'model'}")


def _opened_in_turn(config: Config, engine: Engine, say: Say) -> Data:
    """Return the data; the first process fills the slice store, the others find it filled."""
    if not engine.first:
        engine.wait()
    data = open_data(config, say)
    if engine.first:
        engine.wait()
    return data


def _say_nothing(line: str) -> None:
    """Stand in for people where another process speaks."""


def _workers(config: Config, engine: Engine) -> int:
    if config.training.workers is not None:
        return config.training.workers
    return WORKERS_FOR_GPU if engine.device.type == "cuda" else 0


def _engine_options(config: Config) -> EngineOptions:
    training = config.training
    return EngineOptions(
        device=training.device,
        devices=training.devices,
        nodes=training.nodes,
        precision=training.precision,
        channels_last=training.channels_last,
        compile=training.compile,
        convolution=training.convolution,
        activation_checkpointing=training.activation_checkpointing,
        threads=training.threads,
    )


def _schedule(config: Config) -> Schedule:
    training = config.training
    return Schedule(
        steps=training.steps,
        learning_rate=training.learning_rate,
        discriminator_learning_rate=training.discriminator_learning_rate or training.learning_rate,
        constant_fraction=training.constant_fraction,
        seed=training.seed,
        ema=training.ema,
        accumulate=training.accumulate,
        log_every=training.log_every,
        sample_every=training.sample_every,
        validate_every=training.validate_every,
        early_stop=training.early_stop,
        keep_every=training.keep_every,
        checkpoint_minutes=training.checkpoint_minutes,
    )
