"""What a loop shows, keeps and validates on its way."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping
from pathlib import Path

from medcyclegan.config import Config
from medcyclegan.data.store import StoredVolume
from medcyclegan.domains import Pair
from medcyclegan.errors import InputError, MedCycleGANError, VolumeError
from medcyclegan.intensity import Window
from medcyclegan.models import TranslationModel
from medcyclegan.models.artefact import ModelCard, save_model
from medcyclegan.report.panels import sample_panel
from medcyclegan.train.opening import Data
from medcyclegan.training.engine import Engine
from medcyclegan.training.loop import Observers, Validated
from medcyclegan.translator import Output, Translator
from medcyclegan.validation import Acquisition, DiscriminatorWatch, Validation

ARMED_AFTER = 0.1  # of the steps: until then networks may still change nothing


def make_observers(
    config: Config,
    data: Data,
    model: TranslationModel,
    engine: Engine,
    *,
    own: bool,
    say: Callable[[str], None],
    progress: Callable[[int, Mapping[str, float], float], None],
) -> Observers:
    """Return what the loop calls on its way.

    Args:
        config: of the run.
        data: slices for pictures, patients for validation.
        model: what is trained.
        engine: where.
        own: whether the model is a method of one's own and not the one the config names.
        say: takes lines for people.
        progress: takes each step.
    """
    folder, card = Path(config.output), _card(config, type(model).__name__ if own else "")
    shown = Pair(*(images.to(engine.device) for images in data.shown.batch(0)))
    output: Output = "direct" if not own and config.model.output == "direct" else "residual"

    def draw(step: int, model: TranslationModel) -> bytes:
        return sample_panel(model, shown, card.window, names=card.domains, step=step)

    def export(step: int, model: TranslationModel, name: str) -> None:
        save_model(folder / name, model, card)

    def translator(model: TranslationModel) -> Translator:
        return Translator(
            model,
            window=card.window,
            spacing_mm=card.spacing_mm,
            neighbors=card.neighbors,
            domains=card.domains,
            output=output,
            size=card.size,
            identity="in training",
        )

    validation = _make_validation(data, translator(model), say) if engine.first else None
    if validation is None and config.training.early_stop:
        say("warning: training.early_stop: nothing is validated, so training goes on to the end")

    def validate(step: int, model: TranslationModel) -> Validated:
        assert validation is not None
        armed = step > ARMED_AFTER * config.training.steps
        try:
            scored = validation.score(translator(model), armed=armed)
        except VolumeError as error:  # the volumes were read before: it is the networks
            raise MedCycleGANError(f"validation at step {step}: a volume {error}") from error
        return Validated(scored.figures, scored.warnings)

    return Observers(
        say=say,
        progress=progress,
        draw=draw,
        export=export,
        watch=DiscriminatorWatch().watch,
        validate=validate if validation else None,
    )


def _make_validation(
    data: Data, translator: Translator, say: Callable[[str], None]
) -> Validation | None:
    """Return what judges checkpoints; None, and a word, where patients do not allow it."""
    if not all(data.held_out):
        return None
    sources = _acquisitions(data.held_out.a)
    targets = [*_acquisitions(data.held_out.b), *_acquisitions(data.trained.b)]
    try:
        return Validation(sources, targets, translator=translator)
    except InputError as error:
        say(f"warning: no checkpoint is called the best: {error}")
        return None


def _acquisitions(volumes: list[StoredVolume]) -> list[Acquisition]:
    return [Acquisition(x.facts.patient, x.source) for x in volumes if x.source is not None]


def _card(config: Config, own: str) -> ModelCard:
    """Return the card of what is trained; a method of one's own is named, not described."""
    return ModelCard(
        model={"kind": own} if own else config.model.model_dump(mode="json"),
        window=Window(config.window.low_hu, config.window.high_hu),
        spacing_mm=config.slices.spacing_mm,
        size=config.slices.size,
        neighbors=config.slices.neighbors,
        domains=Pair(config.domains.a.name, config.domains.b.name),
        versions={
            name: importlib.metadata.version(name) for name in ("medcyclegan", "torch", "monai")
        },
    )
