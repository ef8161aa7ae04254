"""A process that was forked off one whose Polars had threads: noticed, instead of a hang.

A fork copies one thread only. What the other threads held locked stays locked in the child, and
Polars, whose threads are started by its first parallel work, then waits for ever.
"""

import os
import threading

from trimetric.errors import Unsupported

SECONDS = 0.7  # a healthy pool of threads answers in far less
_untried = False
_without_threads = False


def check_threads() -> None:
    """Raise Unsupported in a forked process whose Polars does not answer; elsewhere do nothing."""
    global _untried, _without_threads
    if not _untried:
        return
    answered = threading.Event()

    def work() -> None:
        import polars as pl

        frame = pl.DataFrame({"a": [2, 1], "b": [1, 2]})
        frame.select(pl.col("a").sort(), pl.col("b").sort())  # two columns: work for the pool
        answered.set()

    if not _without_threads:
        threading.Thread(target=work, daemon=True).start()
        _without_threads = not answered.wait(SECONDS)
    if _without_threads:
        raise Unsupported(
            "this process was forked off one in which Polars had threads, and they are missing"
            " here; start processes by spawn: multiprocessing.get_context('spawn'), or joblib's"
            " default backend loky"
        )
    _untried = False


def _forked() -> None:
    global _untried
    _untried = True  # what the parent found to be lost stays lost


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
