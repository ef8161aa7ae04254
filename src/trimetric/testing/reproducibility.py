"""Checks of reproducibility: the same bits on any number of threads, and after any interruption."""

import signal
import threading
from typing import Any
from unittest.mock import patch

from trimetric.data import split_per_user
from trimetric.errors import Interrupted, ParameterError
from trimetric.progress import Silent
from trimetric.testing.cases import Case, folder, learned, planted, raises


def check_bits(case: Case) -> None:
    """Training gives the same bits on any number of threads, and others under another seed."""
    for threads in (1, 2, 3, None):
        assert learned(case.new().fit(case.data, threads=threads)) == case.weights, threads
    if "seed" in case.params:
        other = case.params["seed"] + 1
        assert learned(case.new(seed=other).fit(case.data)) != case.weights


def check_fitting_again_starts_afresh(case: Case) -> None:
    """What a model was trained on before leaves no trace."""
    model = case.new().fit(planted("numeral"))
    assert learned(model.fit(case.data)) == case.weights


def check_resume_needs_a_folder(case: Case) -> None:
    """Resuming without a folder is refused."""
    with raises(ParameterError, "resume needs out"):
        case.new().fit(case.data, resume=True)


def check_resumed_after_ctrl_c(case: Case) -> None:
    """Interrupted and resumed, a model is the same to the bit as one that was not interrupted.

    What has no epochs has nothing to resume: asked to, it trains anew, to the same bits.
    """
    if not case.in_epochs:
        with folder() as out:
            whole = case.new().fit(case.data, out=out)
            again = case.new().fit(case.data, out=out, resume=True)
            assert learned(again) == learned(whole) == learned(case.load(out)) == case.weights
        return
    if threading.current_thread() is not threading.main_thread():
        return  # only the main thread hears of Ctrl-C
    split = split_per_user(case.data, test=0.2, valid=0.2)
    whole = case.new().fit(split.train, valid=split.valid)
    interrupted: list[tuple[int, int]] = []

    def interrupt(self: Silent, epoch: int, batch: int) -> None:
        if not interrupted and (epoch, batch) >= (1, 2):
            interrupted.append((epoch, batch))
            signal.raise_signal(signal.SIGINT)

    model: Any = case.new()
    with folder() as out, patch("trimetric.engine.threads.WORK_PER_STEP", 1):
        with (
            patch.object(Silent, "batch", interrupt),
            raises(Interrupted, r"saved in .*--resume") as message,
        ):
            model.fit(split.train, valid=split.valid, out=out, progress=False)
        assert interrupted != [(1, 2)] or "in epoch 2" in message[0]
        assert "not trained" in repr(model)
        model.fit(split.train, valid=split.valid, out=out, resume=True)
        assert learned(model) == learned(whole) == learned(case.load(out))
        assert [path.suffix for path in sorted(out.iterdir())] == [".json", ".safetensors"]
