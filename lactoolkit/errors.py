"""Errors and warnings raised by lactoolkit.

Every error a user can cause derives from :class:`LacToolkitError`; its message names the
offending argument or file, the value found and the remedy. The command line turns these into
one line on stderr and exit status 1.
"""


class LacToolkitError(Exception):
    """Base class of all errors that lactoolkit raises on purpose."""


class ParameterError(LacToolkitError, ValueError):
    """An argument has a wrong type, shape or value."""


class BackendError(LacToolkitError, RuntimeError):
    """A requested kernel backend cannot run here."""


class MissingDependencyError(LacToolkitError, ImportError):
    """An optional package or a system library is not installed or does not load."""


class VideoError(LacToolkitError):
    """A video file is missing, unreadable or has nothing to decode."""


class ManifestError(LacToolkitError):
    """A list of videos, a data set's index or a label file is missing, damaged or does not fit its videos."""


class EncoderError(LacToolkitError):
    """A frame encoder is unknown or its weights are missing, damaged or of another model."""


class CheckpointError(LacToolkitError):
    """A checkpoint file is missing, damaged, of another program or of a newer version."""


class TrainingError(LacToolkitError):
    """A training run cannot start or go on: too few videos, a loss that is not a number, another run's folder."""


class IndexFileError(LacToolkitError):
    """An index of frames is missing, damaged, or was made in another way than it is searched."""


class OutputError(LacToolkitError):
    """A result cannot be written: it exists already, the folder is read-only, the disk is full."""


class LacToolkitWarning(UserWarning):
    """Base class of all warnings that lactoolkit emits."""


class VideoWarning(LacToolkitWarning):
    """A video is damaged or odd, and lactoolkit goes on with what it could read."""
