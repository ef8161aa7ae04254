"""What a person sees while training runs: a live bar on a terminal, plain lines elsewhere.

A message that cannot be written, to a closed pipe or a full disk, is dropped: the work goes on.
"""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Self

from trimetric.keywords import check_progress

EVERY = 10.0  # seconds without a line, after which one is told where there is no terminal

_told = time.monotonic()


def tell(text: str) -> None:
    """Write a line to standard error."""
    global _told
    _told = time.monotonic()
    if sys.stderr is None:  # closed before Python began
        return
    try:
        print(text, file=sys.stderr, flush=True)
    except (OSError, ValueError):
        # What is still buffered would be written again, and fail, when Python exits.
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def quiet_for() -> float:
    """Return for how many seconds nothing was told; since the start of the process, at first."""
    return time.monotonic() - _told


def duration(seconds: float) -> str:
    """Format a span of time roughly, as "40 s", "12 min" or "3.5 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def elapsed(seconds: float) -> str:
    """Say how long something has taken, so that lines ten seconds apart differ: 2 min 10 s."""
    minutes, rest = divmod(int(seconds), 60)
    return duration(seconds) if minutes < 1 else f"{minutes} min {rest} s"


def ended_at_best(epochs: int, best: int, most: int) -> bool:
    """Tell whether training ended because its epochs did, and the last of them was the best."""
    return 0 < best == epochs == most


@contextmanager
def heartbeat(doing: str, progress: bool | None = True, bar: bool = False) -> Iterator[None]:
    """Tell every ten seconds that something is still being done, unless other lines are told.

    Nothing is told if `progress` is False, nor on a terminal where it has a `bar`.
    """
    if progress is False or (bar and on_terminal()):
        yield
        return
    began, over = time.monotonic(), threading.Event()

    def beat() -> None:
        while not over.wait(max(0.05, EVERY - min(quiet_for(), time.monotonic() - began))):
            if min(quiet_for(), time.monotonic() - began) >= EVERY:
                tell(f"{doing}: {elapsed(time.monotonic() - began)} so far")

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def on_terminal() -> bool:
    """Return whether standard error is a terminal."""
    with suppress(OSError, ValueError):
        return sys.stderr is not None and sys.stderr.isatty()
    return False


class Silent:
    """Shows nothing; base class of the reporters that do."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def start(self, plan: Any, run: Any, learner: Any) -> None:
        """Training starts, or resumes, at `run`."""

    def batch(self, epoch: int, batch: int) -> None:
        """All batches before `batch` of `epoch` (both from 0) are done."""

    def epoch(self, row: dict[str, Any], run: Any) -> None:
        """An epoch is done; `row` is its row of the history."""

    def log(self, text: str) -> None:
        """Show a message."""


class Lines(Silent):
    """For logs: a line for each validated epoch, and one where ten seconds passed without."""

    def start(self, plan: Any, run: Any, learner: Any) -> None:
        """Remember the plan."""
        self._plan = plan
        self._batches, self._began = learner.n_batches, time.monotonic()
        self._first = run.epoch * self._batches + run.batch
        self._per_batch = learner.samples / self._batches
        if run.epoch or run.batch:
            self.log(f"resuming at epoch {run.epoch + 1}, batch {run.batch}")

    def batch(self, epoch: int, batch: int) -> None:
        """Write how far training is, if nothing was written for ten seconds."""
        elapsed = max(time.monotonic() - self._began, 1e-9)
        if min(quiet_for(), elapsed) < 0.9 * EVERY:  # before a heartbeat, which knows less
            return
        done = epoch * self._batches + batch
        text = f"epoch {epoch + 1:>3}/{self._plan.epochs}  {batch / self._batches:>4.0%}"
        if done > self._first:
            speed = (done - self._first) / elapsed
            left = (self._plan.epochs * self._batches - done) / speed
            text += f"  {speed * self._per_batch / 1e6:.2f} M triplets/s  {duration(left)} left"
            text += " at most" if self._plan.patience else ""
        self.log(text)

    def epoch(self, row: dict[str, Any], run: Any) -> None:
        """Write a line for the first epoch, the last, and each that was validated."""
        if self._plan.metric in row or row["epoch"] in (1, self._plan.epochs):
            self.log(describe(row, self._plan))
        if run.stopped:
            self.log(f"stopped: {run.stopped}")
        elif ended_at_best(row["epoch"], run.best_epoch, self._plan.epochs):
            self.log(
                f"the best epoch is the last, {run.best_epoch}: more may be better"
                f" (epochs={2 * run.best_epoch})"
            )

    def log(self, text: str) -> None:
        """Write a line."""
        tell(text)


class Bar(Lines):
    """A Rich progress bar over all epochs, with a line above it for each validation."""

    def __init__(self) -> None:
        self._console = _console()

    def __enter__(self) -> Self:
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(bar_width=None),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[state]}"),
            TimeRemainingColumn(),
            console=self._console,
        )
        self._bar.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._bar.__exit__(*error)

    def start(self, plan: Any, run: Any, learner: Any) -> None:
        """Set the bar up for the batches of all epochs."""
        super().start(plan, run, learner)
        self._task = self._bar.add_task(
            "", total=plan.epochs * self._batches, epoch=run.epoch + 1, state=""
        )

    def batch(self, epoch: int, batch: int) -> None:
        """Move the bar and show the speed so far."""
        done = epoch * self._batches + batch
        elapsed = max(time.monotonic() - self._began, 1e-9)
        speed = (done - self._first) * self._per_batch / elapsed
        self._bar.update(
            self._task, completed=done, epoch=epoch + 1, state=f"{speed / 1e6:.2f} M triplets/s"
        )

    def log(self, text: str) -> None:
        """Write a line, above the bar where there is one."""
        with suppress(OSError):
            self._console.print(text)


def _console() -> Any:
    """Return standard error as Rich writes to it, texts as they are."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, markup=False, emoji=False)


def describe(row: dict[str, Any], plan: Any) -> str:
    """Format a row of the history as a line."""
    speed = row["triplets"] / max(row["seconds"], 1e-9) / 1e6
    text = (
        f"epoch {row['epoch']:>3}/{plan.epochs}  loss {row['loss']:.4f}"
        f"  active {row['active']:.0%}  {speed:.2f} M triplets/s"
    )
    return text + (f"  {plan.metric} {row[plan.metric]:.4f}" if plan.metric in row else "")


def make_reporter(progress: bool | None) -> Silent:
    """Return a bar on a terminal, lines elsewhere; None is silent unless on a terminal."""
    check_progress(progress)
    terminal = on_terminal()
    if progress is False or (progress is None and not terminal):
        return Silent()
    return Bar() if terminal else Lines()


class Counter:
    """Counts what is done and shows nothing; base class of `CountingBar`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def done(self, count: int) -> None:
        """Set how many are done in all."""

    def log(self, text: str) -> None:
        """Write a line."""
        tell(text)


class CountingLines(Counter):
    """A line every ten seconds with what is done and the remaining time, for logs."""

    def __init__(self, noun: str, total: int) -> None:
        self._noun, self._total = noun, total
        self._first: tuple[float, int] | None = None

    def done(self, count: int) -> None:
        """Write a line, if nothing was written for ten seconds."""
        now = time.monotonic()
        began, first = self._first = self._first or (now, count)
        if min(quiet_for(), now - began) < 0.9 * EVERY or count <= first:
            return
        speed = (count - first) / (now - began)
        left = duration((self._total - count) / speed)
        self.log(f"{count:,} of {self._total:,} {self._noun}  {speed:,.0f}/s  {left} left")


class CountingBar(Counter):
    """A Rich progress bar with count, speed and remaining time."""

    def __init__(self, noun: str, total: int) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._bar = Progress(
            BarColumn(bar_width=None),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn(f"{{task.completed:,.0f}} of {{task.total:,.0f}} {noun}"),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
            console=_console(),
        )
        self._task = self._bar.add_task("", total=total, speed="")
        self._first: tuple[float, int] | None = None

    def __enter__(self) -> Self:
        self._bar.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._bar.__exit__(*error)

    def done(self, count: int) -> None:
        """Move the bar; the speed is measured from the first call, which may start above 0."""
        now = time.monotonic()
        began, first = self._first = self._first or (now, count)
        speed = f"{(count - first) / (now - began):,.0f}/s" if count > first else ""
        self._bar.update(self._task, completed=count, speed=speed)

    def log(self, text: str) -> None:
        """Write a line above the bar."""
        with suppress(OSError):
            self._bar.console.print(text)


def counting(noun: str, total: int, progress: bool | None = None) -> Counter:
    """Return a counter: a bar where standard error is a terminal, else lines if `progress`."""
    check_progress(progress)
    if progress is not False and on_terminal():
        return CountingBar(noun, total)
    return CountingLines(noun, total) if progress else Counter()
