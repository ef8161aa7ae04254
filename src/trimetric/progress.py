"""What a person sees while training runs: a live bar on a terminal, plain lines elsewhere."""

import sys
import time
from typing import Any, Self


class Silent:
    """Shows nothing; the others are the same with a voice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def start(self, plan: Any, run: Any, learner: Any) -> None:
        """Training begins, or goes on, at `run`."""

    def batch(self, epoch: int, batch: int) -> None:
        """Mini-batches before `batch` of `epoch` (from 0) are done."""

    def epoch(self, row: dict[str, Any], run: Any) -> None:
        """An epoch is done; `row` describes it."""

    def say(self, text: str) -> None:
        """Tell of something else."""


class Lines(Silent):
    """One line for each validated epoch, for logs."""

    def start(self, plan: Any, run: Any, learner: Any) -> None:
        """Remember the plan."""
        self._plan = plan
        if run.epoch or run.batch:
            self.say(f"resuming at epoch {run.epoch + 1}, batch {run.batch}")

    def epoch(self, row: dict[str, Any], run: Any) -> None:
        """Write the line of an epoch that was validated, of the first and of the last."""
        due = self._plan.metric in row or row["epoch"] in (1, self._plan.epochs)
        if due:
            self.say(describe(row, self._plan))
        if run.stopped:
            self.say(f"stopped: {run.stopped}")

    def say(self, text: str) -> None:
        """Write a line."""
        print(text, file=sys.stderr, flush=True)


class Bar(Lines):
    """A Rich progress bar over all epochs, with a line above it for each validation."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True)

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
        self._batches = learner.n_batches
        self._began, self._first = time.monotonic(), run.epoch * self._batches + run.batch
        self._per_batch = learner.samples / self._batches
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

    def say(self, text: str) -> None:
        """Write a line, above the bar where there is one."""
        self._console.print(text, highlight=False)


def describe(row: dict[str, Any], plan: Any) -> str:
    """Say an epoch's row in one line."""
    speed = row["triplets"] / max(row["seconds"], 1e-9) / 1e6
    text = (
        f"epoch {row['epoch']:>3}/{plan.epochs}  loss {row['loss']:.4f}"
        f"  active {row['active']:.0%}  {speed:.2f} M triplets/s"
    )
    return text + (f"  {plan.metric} {row[plan.metric]:.4f}" if plan.metric in row else "")


def chosen(progress: bool | None) -> Silent:
    """Return the form that suits: None decides by whether standard error is a terminal."""
    if progress is False:
        return Silent()
    if progress is None and not sys.stderr.isatty():
        return Silent()
    return Bar() if sys.stderr.isatty() else Lines()


class Counter:
    """How many of `total` things are done; shows nothing, `CountingBar` is the same with a bar."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def done(self, count: int) -> None:
        """So many are done in all."""

    def say(self, text: str) -> None:
        """Tell of something else."""
        print(text, file=sys.stderr, flush=True)


class CountingBar(Counter):
    """A Rich progress bar with count, things a second and the time that is left."""

    def __init__(self, what: str, total: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._bar = Progress(
            BarColumn(bar_width=None),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn(f"{{task.completed:,.0f}} of {{task.total:,.0f}} {what}"),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._task = self._bar.add_task("", total=total, speed="")
        self._first: tuple[float, int] | None = None

    def __enter__(self) -> Self:
        self._bar.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._bar.__exit__(*error)

    def done(self, count: int) -> None:
        """Move the bar; speed counts from the first call, before which others may have worked."""
        now = time.monotonic()
        began, first = self._first = self._first or (now, count)
        speed = f"{(count - first) / (now - began):,.0f}/s" if count > first else ""
        self._bar.update(self._task, completed=count, speed=speed)

    def say(self, text: str) -> None:
        """Write a line above the bar."""
        self._bar.console.print(text, highlight=False, markup=False)


def counted(what: str, total: int, quiet: bool = False) -> Counter:
    """Count on a bar where standard error is a terminal, and silently elsewhere."""
    return CountingBar(what, total) if sys.stderr.isatty() and not quiet else Counter()
