"""Compile what tests need once, before several processes do so at the same time.

    python tests/support/kernels.py

Without this all is the same but slower: Numba's cache of compiled kernels has no locks.
"""

import hashlib
import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def folder() -> Path:
    """Name a folder of compiled kernels by the sources they come from.

    Numba looks only at the file of the function it compiles: after an edit of a function that a
    kernel calls, it would still run the kernel as compiled before.
    """
    digest = hashlib.sha256()
    for source in sorted((ROOT / "src/trimetric").rglob("*.py")):
        text = source.read_bytes()
        if source.parent.name == "engine" or b"trimetric.engine.compile" in text:
            digest.update(source.name.encode() + b"\0" + text)
    return ROOT / ".pytest_cache" / f"numba-{digest.hexdigest()[:16]}"


def compile_for(model: str) -> None:
    """Run every check of the contract on a model, each kernel of which it compiles."""
    import trimetric as tm
    from trimetric.testing import check_recommender

    check_recommender(tm.create(model))


def main() -> None:
    """Compile for all models, as many at a time as there are processors; the slowest come first."""
    os.environ["NUMBA_CACHE_DIR"] = str(folder())
    from trimetric.models import OURS

    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        for _ in pool.map(compile_for, OURS):
            pass


if __name__ == "__main__":
    main()
