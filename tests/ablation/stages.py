"""What is tried: stages of variants that differ from the recipe by name."""

from __future__ import annotations

from tests.ablation.rows import Cohort, Stage

DEVELOPMENT = Cohort(seed=101)
RESNET = {"kind": "resnet", "filters": 16, "blocks": 4, "norm": "batch"}
JOINED = {
    "model.output": "enhancement",
    "model.pasted": 0.5,
    "model.balanced": True,
    "model.lambda_cycle": {"a": 2.0, "b": 2.0},
    "model.cycle_noise_hu": 20.0,
    "model.enough": 0.33,
}
UNEVEN = {
    "model.lambda_cycle": {"a": 0.5, "b": 10.0},
    "model.doses": [0.3, 4.0],
}
FREE = {**UNEVEN, "model.lambda_change": {"a": 0.0, "b": 1.0}}

STAGES: tuple[Stage, ...] = (
    Stage(
        name="screen",
        question="What does each thing do by itself?",
        minutes=10,
        seeds=(0,),
        cohort=DEVELOPMENT,
        base={},
        variants={
            "base": {},
            "resnet": {"model.generator": RESNET},
            "pasted": {"model.pasted": 0.5},
            "pasted-balanced": {"model.pasted": 0.5, "model.balanced": True},
            "neighbors-3": {"slices.neighbors": 3},
            "norm-instance": {"model.generator.norm": "instance"},
            "views-none": {"model.views": []},
            "price-3": {"model.lambda_change": 3.0},
        },
    ),
    Stage(
        name="stacked",
        question="What does each thing add to the best of the screen?",
        minutes=10,
        seeds=(0,),
        cohort=DEVELOPMENT,
        base={"model.pasted": 0.5, "model.balanced": True},
        variants={
            "stacked": {},
            "resnet": {"model.generator": RESNET},
            "views-two": {
                "model.views": [{"low_hu": -100, "high_hu": 200}, {"low_hu": 100, "high_hu": 400}]
            },
            "price-3": {"model.lambda_change": 3.0},
            "identity-5": {"model.lambda_identity": 5.0},
            "forgets": {"model.lambda_cycle.b": 2.0, "model.cycle_noise_hu": 20.0},
            "outward": {"candidate.outward": 4.0},
            "remembers": {
                "model.lambda_cycle": {"a": 2.0, "b": 2.0},
                "model.cycle_noise_hu": 20.0,
            },
            "judges-of-34": {"model.discriminator.layers": 2},
            "judges-of-16": {"model.discriminator.layers": 1},
            "enough-third": {"model.enough": 0.33},
            "enough-fifth": {"model.enough": 0.2},
            "enhancement": {"model.output": "enhancement"},
            "enhancement-identity-5": {
                "model.output": "enhancement",
                "model.lambda_identity": 5.0,
            },
            "norm-pixel": {"candidate.pixel_norm": True},
            "two-scales": {"candidate.scales": 2},
            "direct": {"model.output": "direct"},
            "unmatched": {"slices.match_position": False},
            "neighbors-5": {"slices.neighbors": 5},
            "window-soft": {"window": {"low_hu": -160, "high_hu": 400}},
            "mind": {"candidate.mind": 1.0},
            "variation": {"candidate.variation": 0.5},
            "r1": {"candidate.r1": 1.0},
            "spectral": {"candidate.spectral": True},
            "judged-noise": {"candidate.judged_noise_hu": 30.0},
            "no-average": {"training.ema": 0.0},
            "wide-shallow": {"model.generator.filters": 96, "model.generator.blocks": 3},
            "narrow-deep": {"model.generator.filters": 48, "model.generator.blocks": 10},
            "unet": {
                "model.generator": {"kind": "unet", "filters": 12, "depth": 3, "norm": "batch"}
            },
            "cycle-equal-10": {"model.lambda_cycle": {"a": 10.0, "b": 10.0}},
        },
    ),
    Stage(
        name="again",
        question="How far apart do seeds lie?",
        minutes=10,
        seeds=(1, 2),
        cohort=DEVELOPMENT,
        base={"model.pasted": 0.5, "model.balanced": True, "model.lambda_identity": 5.0},
        variants={"residual": {}, "enhancement": {"model.output": "enhancement"}},
    ),
    Stage(
        name="joined",
        question="What do the best of them do together?",
        minutes=10,
        seeds=(0, 1),
        cohort=DEVELOPMENT,
        base=JOINED,
        variants={
            "joined": {},
            "views-two": {
                "model.views": [{"low_hu": -100, "high_hu": 200}, {"low_hu": 100, "high_hu": 400}]
            },
            "identity-5": {"model.lambda_identity": 5.0},
            "variation": {"candidate.variation": 0.5},
            "forgets": {"model.lambda_cycle": {"a": 0.5, "b": 2.0}},
            "resnet": {"model.generator": RESNET},
            "uneven-4": {**UNEVEN, "model.lambda_cycle": {"a": 0.5, "b": 4.0}},
            "uneven-10": UNEVEN,
            "uneven-30": {
                **UNEVEN,
                "model.lambda_cycle": {"a": 0.5, "b": 30.0},
                "model.doses": [0.3, 6.0],
            },
            "uneven-10-quiet": {**UNEVEN, "model.cycle_noise_hu": 0.0},
            "uneven-1": {**UNEVEN, "model.lambda_cycle": {"a": 0.5, "b": 1.0}},
            "free": FREE,
        },
    ),
    Stage(
        name="final",
        question="Which of the finalists wins in an hour?",
        minutes=60,
        seeds=(0, 1, 2),
        cohort=DEVELOPMENT,
        base={
            "model.pasted": 0.5,
            "model.balanced": True,
            "model.lambda_identity": 5.0,
        },
        variants={
            "steady": {},
            "free": {"model.lambda_identity": 1.0, **JOINED, **FREE},
        },
    ),
)
