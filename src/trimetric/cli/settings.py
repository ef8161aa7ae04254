"""Settings of a model: a TOML file, overridden by `--preset`, then by `--set` and `--epochs`."""

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from typer import Option

from trimetric.errors import ParameterError
from trimetric.keywords import is_one_of
from trimetric.storage import places

DEFAULT = "centroid"
_CONSTANTS = {"true": True, "false": False, "none": None}


@dataclass(frozen=True)
class Common:
    """The settings that are changed most often, in place of --set NAME=VALUE."""

    epochs: Annotated[int | None, Option(help="Most epochs: passes over the interactions.")] = None
    dim: Annotated[int | None, Option(help="Numbers in the point of a user or an item.")] = None
    lr: Annotated[float | None, Option(help="Learning rate.")] = None
    seed: Annotated[int | None, Option(help="Seed of all that is drawn at random.")] = None

    def given(self) -> dict[str, Any]:
        """Return those that were given, by name."""
        return {name: value for name, value in vars(self).items() if value is not None}


def collect(
    model: str | None,
    config: str | None,
    preset: str | None,
    sets: list[str],
    common: Common | None = None,
) -> tuple[str, dict[str, Any]]:
    """Return the name of the model and its settings.

    Presets are of the paper's models: with one and no model, the model is sml.

    Raises
    ------
    ParameterError
        The file cannot be read, a name is unknown, or a setting is given in two ways.
    """
    from trimetric.models import REGISTRY, create, model_class

    settings = _toml(places.source(config, "--config")) if config else {}
    named = settings.pop("model", None)
    model = model or named or ("sml" if preset is not None else DEFAULT)
    if not is_one_of(model, REGISTRY):
        raise ParameterError(_unknown("model", str(model), list(REGISTRY)))
    if preset is not None:
        settings["preset"] = preset
    by_name, by_option = dict(pair(text) for text in sets), common.given() if common else {}
    for name in by_name.keys() & by_option.keys():
        raise ParameterError(f"{name} is given twice, by --set and by --{name}; give it once")
    settings |= by_name | by_option
    known = [*create(model).get_params(), "preset", "variant"]
    for name in by_option:
        if name not in known:
            listed = ", ".join(known[:-2]) or "none"
            raise ParameterError(f"--{name}: {model} has no such setting; it has {listed}")
    for name in settings:
        if name not in known:
            raise ParameterError(_unknown("setting", name, known))
        if name in model_class(model)[1]:
            raise ParameterError(f"model {model!r} is already a {name}; give --model sml with it")
    return model, settings


def parse(text: str) -> Any:
    """Read a value as true, false, none, a whole number, a number, or else a word."""
    text = text.strip()
    if text.lower() in _CONSTANTS:
        return _CONSTANTS[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def pair(text: str) -> tuple[str, Any]:
    """Read NAME=VALUE."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise ParameterError(f"--set takes name=value, got {text!r}; for instance --set lr=.05")
    return name.strip(), parse(value)


def _toml(path: Path) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        raise ParameterError(f"--config {path} cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ParameterError(f"--config {path} is not TOML: {error}") from None


def _unknown(kind: str, name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known)}"
    return f"unknown {kind} {name!r}; {hint}"
