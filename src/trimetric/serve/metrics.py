"""Counts and times in the text format of Prometheus (exposition format 0.0.4)."""

import os
from bisect import bisect_left
from collections import Counter
from pathlib import Path
from time import time
from typing import Any

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
SIZES = (1, 2, 4, 8, 16, 32, 64)
MEDIA = b"text/plain; version=0.0.4; charset=utf-8"


class Histogram:
    """How often values fell into buckets, whose upper bounds are included."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds, self.total = bounds, 0.0
        self.counts = [0] * (len(bounds) + 1)

    def add(self, value: float) -> None:
        """Take note of one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def lines(self, name: str, labels: str = "") -> list[str]:
        """Return the sample lines."""
        found, below = [], 0
        comma = "," if labels else ""
        for bound, count in zip((*self.bounds, "+Inf"), self.counts, strict=True):
            below += count
            found.append(f'{name}_bucket{{{labels}{comma}le="{bound}"}} {below}')
        braces = f"{{{labels}}}" if labels else ""
        return [*found, f"{name}_sum{braces} {self.total:.9g}", f"{name}_count{braces} {below}"]


class Metrics:
    """What the server counts. All but swaps are counted on the event loop alone."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        self.seconds: dict[str, Histogram] = {}
        self.batches = Histogram(SIZES)
        self.swaps: Counter[str] = Counter(ok=0, refused=0)
        self.cut_off: Counter[str] = Counter()
        self.connections = 0
        self.started = time()

    def add(self, route: str, status: int, seconds: float) -> None:
        """Take note of one answered request."""
        self.requests[route, status] += 1
        found = self.seconds.get(route)
        if found is None:
            found = self.seconds[route] = Histogram(SECONDS)
        found.add(seconds)

    def text(self, models: list[dict[str, Any]]) -> bytes:
        """Return all of it, with a line about each model served."""
        groups: list[tuple[str, str, str, list[str]]] = [
            (
                "trimetric_requests_total", "counter", "Requests answered.",
                [
                    f'trimetric_requests_total{{route="{route}",status="{status}"}} {n}'
                    for (route, status), n in sorted(self.requests.items())
                ],
            ),
            (
                "trimetric_request_seconds", "histogram", "From a request's head to its answer.",
                [
                    line
                    for route, found in sorted(self.seconds.items())
                    for line in found.lines("trimetric_request_seconds", f'route="{route}"')
                ],
            ),
            (
                "trimetric_batch_size", "histogram", "Users ranked together by GET /v1/recommend.",
                self.batches.lines("trimetric_batch_size"),
            ),
            (
                "trimetric_swaps_total", "counter", "Newer artifacts taken, and refused.",
                [f'trimetric_swaps_total{{outcome="{o}"}} {n}' for o, n in self.swaps.items()],
            ),
            (
                "trimetric_cut_off_total", "counter", "Connections closed for what they did.",
                [f'trimetric_cut_off_total{{why="{w}"}} {n}' for w, n in self.cut_off.items()],
            ),
            (
                "trimetric_connections", "gauge", "Connections open.",
                [f"trimetric_connections {self.connections}"],
            ),
            (
                "trimetric_model_info", "gauge", "What is served.",
                [f"trimetric_model_info{{{_labels(one)}}} 1" for one in models],
            ),
            (
                "process_resident_memory_bytes", "gauge", "Memory in use.",
                [f"process_resident_memory_bytes {n}" for n in _resident()],
            ),
            (
                "process_start_time_seconds", "gauge", "When the server started.",
                [f"process_start_time_seconds {self.started:.3f}"],
            ),
        ]  # fmt: skip
        lines: list[str] = []
        for name, kind, words, samples in groups:
            lines += [f"# HELP {name} {words}", f"# TYPE {name} {kind}", *samples]
        return ("\n".join(lines) + "\n").encode()


def _labels(values: dict[str, Any]) -> str:
    """Write labels, escaped as the format wants it."""
    escapes = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
    return ",".join(f'{name}="{str(v).translate(escapes)}"' for name, v in values.items())


def _resident() -> list[int]:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):  # no /proc on this system
        return []
    return [pages * os.sysconf("SC_PAGE_SIZE")]
