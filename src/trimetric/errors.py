"""One family of errors; each names the value, the limit and the remedy. And warnings."""

import inspect
import warnings


class TrimetricError(Exception):
    """Base of every error a user can cause or mend; the command line exits with `exit_code`."""

    exit_code = 2


class DataError(TrimetricError, ValueError):
    """The interaction data cannot be used as given: names the file, row, column or value."""


class ParameterError(TrimetricError, ValueError):
    """A setting is outside its range or unknown."""


class UnknownIds(TrimetricError, KeyError):
    """Ids that the model has never seen.

    Parameters
    ----------
    kind : str
        "user" or "item".
    ids : list
        The unknown ids, in the order given.
    remedy : str
        What to do about it.
    """

    def __init__(self, kind: str, ids: list, remedy: str) -> None:
        self.kind, self.ids, self.remedy = kind, list(ids), remedy
        shown = ", ".join(repr(i) for i in self.ids[:5]) + (", ..." if len(self.ids) > 5 else "")
        plural = "" if len(self.ids) == 1 else "s"
        self.message = f"{len(self.ids)} unknown {kind}{plural}: {shown}; {remedy}"
        super().__init__(self.message)

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple:
        return type(self), (self.kind, self.ids, self.remedy)


class Unsupported(TrimetricError, TypeError):
    """The model or data cannot do what was asked of it."""


class ArtifactError(TrimetricError):
    """A saved model or checkpoint is missing, damaged, foreign or too new."""


class CheckpointMismatch(ArtifactError):
    """A checkpoint belongs to other data or another configuration."""


class OutputError(TrimetricError, OSError):
    """The output could not be written; whatever stood there before is intact."""


class Superseded(OutputError):
    """Another save came in between, and would have been lost."""


class MissingExtra(TrimetricError, ImportError):
    """An optional dependency is not installed; names the extra that brings it."""


class Diverged(TrimetricError, ArithmeticError):
    """Training met NaN or infinity."""


class ResourceError(TrimetricError):
    """The machine gives this process too little: memory, or files that it may open."""


class ClusterError(TrimetricError):
    """A Ray cluster does not answer, or its nodes have other versions than this machine."""


class Interrupted(TrimetricError):
    """Stopped by the user; what was saved is named in the message."""

    exit_code = 130


class WorkerLost(TrimetricError):
    """The system ended a worker process, or a machine of a cluster was lost, with its work."""


def warn(text: str) -> None:
    """Warn of the line that asked: the first outside this package."""
    level, frame = 1, inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__", "").startswith("trimetric."):
        level, frame = level + 1, frame.f_back
    warnings.warn(text, stacklevel=level)
