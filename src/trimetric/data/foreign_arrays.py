"""Values of other libraries: arrays, such as tensors of PyTorch, by NumPy's protocol, and NA."""

from typing import Any

import numpy as np

from trimetric.errors import ParameterError

_OWN_WAY = ("pandas", "polars", "pyarrow", "numpy", "scipy")


def is_from(value: Any, *libraries: str) -> bool:
    """Whether the object is of one of the libraries, without importing them."""
    return any(base.__module__.split(".")[0] in libraries for base in type(value).__mro__)


def is_missing(value: Any) -> bool:
    """Whether a value stands for none: None, not a number, or NA or NaT of pandas."""
    nan = isinstance(value, float | np.floating) and bool(value != value)
    return value is None or nan or type(value).__name__ in ("NAType", "NaTType")


def as_numpy(values: Any) -> Any:
    """Return an array of another library as NumPy's, and anything else as it is.

    Series and tables of pandas, Polars and PyArrow are left alone: they know missing values.

    Raises
    ------
    ParameterError
        The array cannot be handed over, such as one on a graphics card.
    """
    if isinstance(values, np.ndarray | np.generic) or not hasattr(values, "__array__"):
        return values
    if is_from(values, *_OWN_WAY):
        return values
    try:
        return np.asarray(values)
    except (TypeError, RuntimeError, ValueError) as error:
        raise ParameterError(
            f"a {type(values).__name__} cannot be read as an array: {error}"
        ) from None
