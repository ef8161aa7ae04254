"""A Ray cluster of several nodes on this machine, for tests."""

import fcntl
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

STORE = 80 * 2**20  # bytes of the object store of each node, about the least that Ray takes


@contextmanager
def cluster(nodes: int = 2, cpus: int = 1, **of_head: Any) -> Iterator[Any]:
    """Start a cluster, yield its `ray.cluster_utils.Cluster`, and stop it."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray
    from ray.cluster_utils import Cluster

    with open(Path(tempfile.gettempdir()) / f"trimetric-raylets-{os.getuid()}", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # nodes of two clusters at once disturb each other here
        ray.shutdown()
        made = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": cpus, "object_store_memory": STORE, **of_head},
        )
        try:
            for _ in range(nodes - 1):
                made.add_node(num_cpus=cpus, object_store_memory=STORE)
            yield made
        finally:
            ray.shutdown()
            made.shutdown()


def free_port() -> int:
    """Return a port on which nothing listens."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]
