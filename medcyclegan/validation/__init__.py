"""Validation: how good a checkpoint is, told from held-out patients without any pair."""

from medcyclegan.validation.patients import Acquisition
from medcyclegan.validation.score import Scored
from medcyclegan.validation.scoring import Validation
from medcyclegan.validation.watching import DiscriminatorWatch

__all__ = ["Acquisition", "DiscriminatorWatch", "Scored", "Validation"]
