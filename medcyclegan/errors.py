"""What can go wrong, as one line for people.

Every message names the file or key as the user typed it, says what is wrong and what to do.
"""

from __future__ import annotations


class MedCycleGANError(Exception):
    """A failed run: the command line prints the message as one line and exits with `exit_code`."""

    exit_code = 1


class InputError(MedCycleGANError):
    """Bad usage or a bad input file: nothing was written."""

    exit_code = 2


class ConfigError(InputError):
    """A config that names an unknown key, an impossible value or is no plain YAML."""


class VolumeError(InputError):
    """A file that claims to be a volume and cannot be read right."""


class GeometryError(VolumeError):
    """A grid that is no volume: shear, uneven slices, no axis along the patient, wrong spacing."""


class IntensityError(VolumeError):
    """Voxels that are not CT in Hounsfield units."""


class CheckpointError(InputError):
    """A run, model folder or checkpoint that is missing, damaged or not ours."""


class Interrupted(MedCycleGANError):
    """Stopped by a signal, with a checkpoint from which `--resume` goes on."""

    exit_code = 75
