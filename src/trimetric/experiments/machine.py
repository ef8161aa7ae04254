"""Memory of the machine and of this process."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_CGROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


def available_memory() -> int:
    """Return how many bytes this process may still take: of the machine, and of its container."""
    found = [_of_machine()]
    for limit, usage in _CGROUPS:
        with suppress(OSError, ValueError):
            found.append(int(Path(limit).read_text()) - int(Path(usage).read_text()))
    return max(min(found), 0)


def _of_machine() -> int:
    with suppress(OSError, StopIteration), open("/proc/meminfo") as lines:
        line = next(line for line in lines if line.startswith("MemAvailable"))
        return int(line.split()[1]) * 1024
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return sys.maxsize


def reset_peak_memory() -> None:
    """Measure the peak memory of this process from now on, where the system can (Linux)."""
    with suppress(OSError), open("/proc/self/clear_refs", "w") as reset:
        reset.write("5")


def peak_memory() -> int | None:
    """Return the peak memory of this process in bytes, None where the system does not tell."""
    found = _status("VmHWM")
    if found is not None:
        return found
    try:
        import resource
    except ImportError:
        return None
    unit = 1 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def resident_memory() -> int:
    """Return the bytes of memory that this process holds now, 0 where the system does not tell."""
    return _status("VmRSS") or 0


def _status(name: str) -> int | None:
    with suppress(OSError, StopIteration), open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith(name))
        return int(line.split()[1]) * 1024
    return None


@dataclass
class Reading:
    """What reading data took: see `watched`.

    Attributes
    ----------
    seconds : float
    peak : int
        Most memory of the process, in bytes.
    kept : int
        Bytes that the process holds more than before.
    """

    seconds: float = 0.0
    peak: int = 0
    kept: int = 0


@contextmanager
def watched() -> Iterator[Reading]:
    """Measure what the body takes."""
    reset_peak_memory()
    found, before, began = Reading(), resident_memory(), time.monotonic()
    yield found
    found.seconds = time.monotonic() - began
    found.peak, found.kept = peak_memory() or 0, resident_memory() - before
