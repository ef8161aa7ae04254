"""What a result was computed by: version, commit, and fingerprints of code and settings."""

import hashlib
import json
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path

from trimetric._version import __version__
from trimetric.experiments.fingerprint import fingerprint
from trimetric.models import create

PACKAGE = Path(__file__).parents[1]


@cache
def code() -> str:
    """Return the fingerprint of the package's own code."""
    return fingerprint(PACKAGE)


def recipe(models: Iterable[str]) -> dict[str, str]:
    """Return a fingerprint of the default settings of each model."""
    prints = {}
    for name in sorted(set(models)):
        settings = json.dumps(create(name).get_params(), sort_keys=True, default=str)
        prints[name] = hashlib.sha256(settings.encode()).hexdigest()[:12]
    return prints


@cache
def commit() -> str | None:
    """Return the commit of the checkout that the package is in; None where it is in none.

    Where sources differ from the commit, "+changes" follows.
    """
    folder = str(PACKAGE)
    with suppress(OSError, subprocess.SubprocessError):
        told = _git(folder, "rev-parse", "--show-toplevel", "HEAD").split("\n")
        if len(told) >= 2 and Path(told[0]) / "src" / "trimetric" == PACKAGE:
            changed = _git(folder, "status", "--porcelain", "--", ".").strip()
            return told[1][:12] + ("+changes" if changed else "")
    return None


def origin(models: Iterable[str] = ()) -> dict[str, object]:
    """Return version, commit, code and recipe as JSON values."""
    return {
        "version": __version__,
        "commit": commit(),
        "code": code(),
        "recipe": recipe(models),
    }


def _git(folder: str, *words: str) -> str:
    told = subprocess.run(
        ["git", "-C", folder, *words], capture_output=True, text=True, timeout=10, check=True
    )
    return told.stdout
