"""In which library's frames answers come: Polars, or pandas for those who work with it."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Literal

from trimetric.errors import MissingExtra, ParameterError

if TYPE_CHECKING:
    import polars as pl

Library = Literal["default", "polars", "pandas"]
LIBRARIES = ("default", "polars", "pandas")
_chosen: ContextVar[Library] = ContextVar("library", default="default")


def set_output(library: Library) -> None:
    """Choose the library of the frames that answers and results are, from now on.

    It holds for this thread, and for asynchronous tasks started from here on; another thread
    chooses for itself.

    Parameters
    ----------
    library : "default", "polars" or "pandas"
        By default a question asked with a pandas object is answered in pandas, and any other in
        Polars.

    Raises
    ------
    ParameterError
        It is none of these.
    MissingExtra
        pandas is not installed.

    Examples
    --------
    >>> tm.set_output("pandas")
    >>> model.recommend(["u0007"], k=5)  # a pandas.DataFrame
    """
    if not isinstance(library, str) or library not in LIBRARIES:
        raise ParameterError(f"library must be one of {', '.join(LIBRARIES)}, got {library!r}")
    if library == "pandas":
        _pandas()
    _chosen.set(library)


@contextmanager
def in_polars() -> Iterator[None]:
    """Let answers be Polars frames in the body, whatever was chosen."""
    token = _chosen.set("polars")
    try:
        yield
    finally:
        _chosen.reset(token)


def given_back(frame: "pl.DataFrame", *asked: Any) -> Any:
    """Return a frame in the library that was chosen, or that the question was `asked` in."""
    library = _chosen.get()
    if library == "default":
        ours = any(type(one).__module__.partition(".")[0] == "pandas" for one in asked)
        library = "pandas" if ours else "polars"
    return in_pandas(frame) if library == "pandas" else frame


def in_pandas(frame: "pl.DataFrame") -> Any:
    """Return a Polars frame as a pandas one."""
    columns = {name: frame[name].to_numpy() for name in frame.columns}
    return _pandas().DataFrame(columns)


def _pandas() -> Any:
    try:
        import pandas
    except ImportError:
        raise MissingExtra("frames of pandas need pandas; install it: pip install pandas") from None
    return pandas
