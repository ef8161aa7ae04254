"""What every benchmark shares: rounds in turn, the machine, the JSON record."""

import hashlib
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

TRIAL = 200  # mini-batches by which the ways of training are compared
RESULTS = Path(__file__).parent / "results"
PACKAGES = ("trimetric", "numpy", "numba", "implicit")


def in_turn(runs: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Call each run once a round, in turn, so that a drifting machine hits all alike."""
    figures: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            figures[name].append(run())
    return figures


def timed(run: Callable) -> Callable[[], float]:
    """Return what calls `run` and returns the seconds it took."""

    def seconds() -> float:
        began = time.perf_counter()
        run()
        return time.perf_counter() - began

    return seconds


def forget_peak() -> None:
    """Let the peak of this process's memory count from now."""
    with open("/proc/self/clear_refs", "w") as reset:
        reset.write("5")


def memory(name: str) -> int:
    """Return a figure of this process's memory in bytes: VmRSS, now, or VmHWM, the peak."""
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith(name))
    return int(line.split()[1]) * 1024


def ratio(ours: list[float], theirs: list[float]) -> float:
    """Return the median over rounds of ours / theirs."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def mean_and_spread(values: list[float], digits: int) -> list[float]:
    """Return the mean and the standard deviation over seeds, rounded."""
    return [round(statistics.mean(values), digits), round(statistics.pstdev(values), digits)]


def liked(name: str) -> Any:
    """Return a data set; of MovieLens' ratings those of 4 and 5."""
    import trimetric as tm

    return tm.datasets.load(name, min_rating=4 if name.startswith("ml_") else None)


def digest(pieces: Iterable[Any]) -> str:
    """Return a digest of texts and arrays, one after the other."""
    found = hashlib.sha256()
    for piece in pieces:
        found.update(piece.encode() if isinstance(piece, str) else piece.tobytes())
    return found.hexdigest()[:16]


def child(script: str, *arguments: str, env: dict[str, str] | None = None) -> dict:
    """Run a benchmark script in a fresh process; its last line of output is JSON."""
    done = subprocess.run(
        [sys.executable, script, *arguments],
        env={**os.environ, **(env or {})},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


class Peer:
    """A script in a process of its own, under another Python, that trains an epoch when asked.

    The script calls `serve`. `about` says what it is, and how long each way of training took in a
    short trial.
    """

    def __init__(self, python: str, script: str, spec: dict) -> None:
        self.process = subprocess.Popen(
            [python, "-W", "ignore", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.name, self.about = Path(script).name, self.ask(spec)

    def ask(self, request: object) -> dict:
        """Send one line of JSON and return the line that comes back."""
        print(json.dumps(request), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended with status {self.process.wait()}")
        return json.loads(line)

    def seconds(self, way: str) -> float:
        """Train an epoch in one of its ways."""
        return self.ask(way)["seconds"]

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def serve(ways: Callable[[dict], dict[str, Callable]], *packages: str) -> None:
    """Be a `Peer`: `ways` makes, of its specification, what trains `n` batches (None: an epoch)."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not mix with the answers

    runs, trial = ways(json.loads(sys.stdin.readline())), {}
    for way, run in runs.items():
        run(TRIAL)  # warms up
        trial[way] = round(min(timed(partial(run, TRIAL))() for _ in range(2)), 4)
    about = {"trial": trial, "versions": {name: version(name) for name in packages}}
    print(json.dumps(about), file=answers, flush=True)
    for line in sys.stdin:
        seconds = timed(partial(runs[json.loads(line)], None))()
        print(json.dumps({"seconds": seconds}), file=answers, flush=True)


def machine() -> dict:
    """Describe what the figures were taken on."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = names[0].split(":", 1)[1].strip() if names else model
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES if find_spec(name)},
    }


def now() -> str:
    """Return date and time."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")


def read(name: str) -> dict:
    """Return a record, or nothing where there is none."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else {}


def write(name: str, figures: dict, models: Iterable[str] = ()) -> None:
    """Keep the figures under benchmarks/results, with date, machine, command and origin.

    `models` are those whose default settings the figures depend on.
    """
    from trimetric.experiments import report
    from trimetric.experiments.origin import origin

    RESULTS.mkdir(exist_ok=True)
    record = {
        "date": now(),
        "command": shlex.join(["python", *sys.argv]),
        "machine": machine(),
        "origin": origin(models),
        **figures,
    }
    path = RESULTS / f"{name}.json"
    path.write_text(report.readable(record))
    print(f"recorded in {path.relative_to(Path(__file__).parents[1])}")


def on_threads(count: int | None, ask: Callable[[], Any]) -> Any:
    """Return what `ask` returns on `count` threads."""
    import trimetric as tm

    with tm.threads(count):
        return ask()
