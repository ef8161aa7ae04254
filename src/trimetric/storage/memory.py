"""How much memory this process can still have."""

from contextlib import suppress
from pathlib import Path

_GROUP = Path("/sys/fs/cgroup")


def available() -> int | None:
    """Return how many bytes are free for this process; None where the system does not tell.

    It is the least of what the system says, what its control group leaves, and what its limit on
    address space does.
    """
    return min((n for n in (_of_system(), _of_group(), _of_limit()) if n is not None), default=None)


def _of_system() -> int | None:
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def _of_group() -> int | None:
    with suppress(OSError, ValueError):
        most = (_GROUP / "memory.max").read_text().strip()
        if most != "max":
            statistics = (_GROUP / "memory.stat").read_text().split()
            cached = int(statistics[statistics.index("file") + 1])
            used = int((_GROUP / "memory.current").read_text()) - cached
            return max(0, int(most) - used)
    return None


def _of_limit() -> int | None:
    try:
        import resource
    except ImportError:
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return None
    with suppress(OSError, ValueError, IndexError):
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        return max(0, limit - pages * resource.getpagesize())
    return None
