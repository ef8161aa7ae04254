"""Run pure functions on Ray: on this machine, or on a cluster that is running already.

Ray schedules, moves objects and runs a task again where its worker or node was lost. Here is what
trimetric adds: a clear error for an address that does not answer and for other versions, errors of
tasks as they were raised, results in order, and a given number of threads for each task.
"""

import json
import os
import platform
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import trimetric
from trimetric.engine.threads import thread_count, threads
from trimetric.errors import (
    ClusterError,
    MissingExtra,
    ParameterError,
    ResourceError,
    WorkerLost,
)

LOCAL = "local"
"""The address that starts Ray on this machine, for as long as it is used."""

PATIENCE = 25.0  # seconds until an address that does not answer is given up
RETRIES = 10  # of a task whose worker or node was lost
JOINS = 4  # tries to connect to a cluster that answers
BULK = 2**18  # bytes, more than Ray sends with the reply of a task: nodes are asked where they are
_INSTALL = "pip install 'trimetric[ray]'"

Reference = Any
"""An object in Ray's store (ray.ObjectRef); as an argument of a task it stands for its value."""


class Versions(NamedTuple):
    """What the driver and all workers must have in common."""

    trimetric: str
    python: str
    ray: str


class Cluster:
    """Runs functions as tasks of Ray; made by `connect`.

    Functions are pure and importable: a task whose worker was lost is run again. Arrays that a task
    receives are read-only, since all tasks on a machine share them.
    """

    def __init__(self, ray: Any) -> None:
        self._ray, self._versions = ray, _versions()
        self._task = ray.remote(_call)

    @property
    def processors(self) -> int:
        """The number of processors of all nodes that are alive, at least 1."""
        return max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    def share(self, value: Any) -> Reference:
        """Put a value into the store, once for all tasks that take the reference."""
        return self._ray.put(value)

    def submit(self, function: Callable, *arguments: Any, cores: int = 1, results: int = 1) -> Any:
        """Start a task, and return at once.

        Parameters
        ----------
        function : callable
            Pure and importable on the workers.
        *arguments
            Where one is a reference, also that of a task that is not done, the function receives
            its value.
        cores : int
            Processors that the task occupies, which is the number of its threads too. What it
            returns must not depend on it.
        results : int
            How many the function returns; a tuple where it is not 1.

        Returns
        -------
        Reference or list of Reference
            One for each result.
        """
        task = self._task.options(num_cpus=cores, num_returns=results, max_retries=RETRIES)
        return task.remote(self._versions, cores, function, *arguments)

    def ready(self, references: Sequence[Reference]) -> list[Reference]:
        """Wait until at least one task is done; return the references of those that are."""
        done, _ = self._ray.wait(list(references), num_returns=1, fetch_local=False)
        if len(references) > 1:
            done, _ = self._ray.wait(
                list(references), num_returns=len(references), timeout=0, fetch_local=False
            )
        return done

    def result(self, reference: Reference) -> Any:
        """Wait for a task and return what it returned.

        Raises
        ------
        TrimetricError, or whatever else the function raised
        WorkerLost
            Workers were lost again and again, or a shared value with its machine.
        ResourceError
            Memory or disk of a machine ran out.
        """
        failed = self._ray.exceptions
        try:
            return self._ray.get(reference)
        except failed.RayTaskError as error:
            cause = error.cause
            if isinstance(cause, failed.RayError):  # what the task needed was lost
                raise _lost(cause) from None
            if isinstance(cause, BaseException):
                raise cause from None
            raise
        except (failed.OutOfMemoryError, failed.OutOfDiskError) as error:
            raise ResourceError(
                f"memory or disk of a machine of the cluster ran out: {_first_line(error)};"
                " use fewer tasks at a time, or larger machines"
            ) from None
        except failed.RayError as error:
            raise _lost(error) from None

    def ordered_map(
        self,
        function: Callable,
        arguments: Iterable[Sequence[Any]],
        *,
        cores: int = 1,
        in_flight: int | None = None,
    ) -> Generator[Any, None, None]:
        """Run a function as one task for each of `arguments`, and yield the results in that order.

        Parameters
        ----------
        function : callable
            See `submit`.
        arguments : iterable of sequences
            Positional arguments of each task, read only as far as tasks are started.
        cores : int
            See `submit`.
        in_flight : int, optional
            Tasks started at a time whose results were not yet taken, at least 1; twice as many as
            run at a time unless given.

        Yields
        ------
        What the function returned. Where the loop is left early, started tasks end with the
        connection: see `connect`.
        """
        if in_flight is None:
            in_flight = 2 * max(1, self.processors // cores)
        waiting: deque[Reference] = deque()
        for one in arguments:
            if len(waiting) >= in_flight:
                yield self.result(waiting.popleft())
            waiting.append(self.submit(function, *one, cores=cores))
        while waiting:
            yield self.result(waiting.popleft())


@contextmanager
def connect(address: str | None = None) -> Iterator[Cluster]:
    """Connect to Ray; afterwards what was started here is shut down.

    Tasks whose results nobody waits for, as after an error or Ctrl-C, end with the connection. None
    is cancelled before: in Ray 2.60 the driver dies of "Tried to complete task that was not
    pending" where it cancels a task that is about to end.

    Parameters
    ----------
    address : str, optional
        None or "local" starts Ray on this machine, with `thread_count()` processors. "auto" is the
        cluster that this machine is part of, "host:port" one of this network, "ray://host:port"
        one that is reached through Ray's client server. Where the process is connected to Ray
        already, None and that cluster's address use it, and leave it running; tasks that nobody
        waits for then run to their end, unless `ray.shutdown()` is called.

    Yields
    ------
    Cluster

    Raises
    ------
    ClusterError
        The address does not answer within 30 s, or workers have other versions of trimetric,
        Python or Ray.
    MissingExtra
        Ray is not installed.
    ParameterError
        The address is malformed, or this process is connected to another cluster.
    """
    ray = _ray()
    if ray.is_initialized():
        _check_same(ray, address)
        cluster = Cluster(ray)
        _check_nodes(ray)
        yield cluster
        return
    options = {"log_to_driver": False, "logging_level": "ERROR"}
    if address in (None, LOCAL):
        ray.init(LOCAL, num_cpus=thread_count(), include_dashboard=False, **options)
    else:
        _check_address(str(address))
        _join(ray, str(address), options)
    try:
        if address not in (None, LOCAL):
            _check_nodes(ray)
        yield Cluster(ray)
    finally:
        ray.shutdown()


def check_installed() -> None:
    """Raise MissingExtra if Ray is not installed; call it before long work."""
    _ray()


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else a warning of the future
    try:
        import ray
        import ray.exceptions
    except ImportError:
        raise MissingExtra(f"--ray needs Ray, which is not installed: {_INSTALL}") from None
    return ray


def _versions() -> Versions:
    import ray

    return Versions(trimetric.__version__, platform.python_version(), ray.__version__)


def _call(versions: Versions, cores: int, function: Callable, *arguments: Any) -> Any:
    """Run a function on a worker, which may have joined the cluster after the driver looked."""
    _compare(versions, {"a worker": _versions()})
    with threads(cores):
        return function(*arguments)


_CONNECT = """
import json, sys, ray
try:
    ray.init(sys.argv[1], log_to_driver=False, logging_level="CRITICAL")
except BaseException as error:
    print(json.dumps([type(error).__name__, str(error)]))
else:
    print(json.dumps(["", ""]))
    ray.shutdown()
"""


def _check_address(address: str) -> None:
    """Connect in a process of its own, which can be ended: Ray itself tries for many minutes.

    Raises
    ------
    ClusterError, ParameterError
    """
    began = time.monotonic()
    _check_port(address)
    if address.startswith("ray://"):
        _check_client_server(address)
        return
    try:
        tried = subprocess.run(
            [sys.executable, "-c", _CONNECT, address],
            capture_output=True, text=True,
            timeout=PATIENCE - (time.monotonic() - began),
        )  # fmt: skip
        kind, message = json.loads(tried.stdout.strip().splitlines()[-1])
    except subprocess.TimeoutExpired:
        kind, message = "ConnectionError", f"no answer within {PATIENCE:.0f} seconds"
    except (ValueError, IndexError):
        kind, message = "ConnectionError", f"Ray ended with exit status {tried.returncode}"
    if not kind:
        return
    if kind == "ValueError":
        raise ParameterError(
            f"--ray takes local, auto, host:port or ray://host:port, got {address!r}: {message}"
        )
    if "mismatch" in message.lower():
        raise ClusterError(
            f"the Ray cluster at {address} has other versions: {' '.join(message.split())};"
            " install the same on this machine and on all nodes"
        )
    raise _no_answer(address, message)


def _join(ray: Any, address: str, options: dict[str, Any]) -> None:
    """Connect to a cluster that was found to answer.

    Raises
    ------
    ClusterError
    """
    for _ in range(JOINS):
        try:
            ray.init(address, **options)
            return
        except ConnectionAbortedError as error:  # Ray's client server took long to start a process
            said = str(error).strip().splitlines()[-1]
        except ConnectionError as error:
            raise _no_answer(address, str(error)) from None
    raise _no_answer(address, said)


def _check_port(address: str) -> None:
    """Find out soon whether anything listens.

    Raises
    ------
    ClusterError
    """
    known = os.environ.get("RAY_ADDRESS", "") if address == "auto" else address
    host, _, port = known.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal() or int(port) >= 2**16:
        return  # auto, or malformed, which Ray tells
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE / 2).close()
    except OSError as error:
        raise _no_answer(address, error.strerror or str(error)) from None


def _check_client_server(address: str) -> None:
    """Find out whether what listens speaks as Ray's client server does; Ray then starts a process.

    Raises
    ------
    ClusterError
    """
    import grpc

    with grpc.insecure_channel(address.removeprefix("ray://")) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=PATIENCE / 2)
        except grpc.FutureTimeoutError:
            raise _no_answer(address, f"no answer within {PATIENCE / 2:.3g} seconds") from None


def _no_answer(address: str, message: str) -> ClusterError:
    return ClusterError(
        f"no Ray cluster answers at {address}: {message.strip().splitlines()[0]}; look whether it"
        " runs there (ray status) and whether the port is open, and if it asks for a token, set"
        " RAY_AUTH_MODE=token here; --ray local starts Ray on this machine"
    )


def _check_same(ray: Any, address: str | None) -> None:
    here = ray.get_runtime_context().gcs_address
    if address not in (None, "auto", here):
        raise ParameterError(
            f"this process is connected to the Ray cluster at {here}, and cannot use {address}"
            " too; call ray.shutdown() first, or leave the address out"
        )


def _check_nodes(ray: Any) -> None:
    """Ask a worker on each node for its versions.

    Raises
    ------
    ClusterError
    """
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    def versions(size: int) -> tuple[tuple[str, str, str], bytes]:
        import platform

        import ray

        try:
            from trimetric import __version__
        except ImportError:
            __version__ = "none"
        return (__version__, platform.python_version(), ray.__version__), bytes(size)

    nodes = [node for node in ray.nodes() if node["Alive"]]
    asked = {}
    for node in nodes:
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        options = {"num_cpus": 0, "num_returns": 2, "max_retries": RETRIES}
        task = ray.remote(scheduling_strategy=there, **options)(versions)
        found, bulk = task.remote(BULK)
        asked[found] = f"node {node['NodeManagerAddress']}", bulk  # several may share an address
    _, waiting = ray.wait(list(asked), num_returns=len(asked), timeout=PATIENCE, fetch_local=False)
    if waiting:
        raise ClusterError(
            f"{', '.join(sorted({asked[one][0] for one in waiting}))} of the Ray cluster started no"
            f" worker within {PATIENCE:.0f} s; look at its logs (/tmp/ray/session_latest/logs) or"
            " stop it"
        )
    for reference, (name, bulk) in asked.items():
        try:
            theirs = Versions(*ray.get(reference))
            _compare(_versions(), {name: theirs})
            ray.get(bulk, timeout=PATIENCE)
        except (ray.exceptions.OwnerDiedError, ray.exceptions.GetTimeoutError):
            raise ClusterError(
                f"{name} of the Ray cluster answers, but cannot hand over results: it cannot reach"
                " this machine, or only one of the two uses tokens, which Ray does where"
                " ~/.ray/auth_token exists; open the ports of this machine, or set RAY_AUTH_MODE"
                " to token or disabled alike on all nodes and here, before Python starts"
            ) from None
        except ray.exceptions.RayError:  # the node left in between; its tasks go elsewhere
            continue


def _compare(ours: Versions, theirs: dict[str, Versions]) -> None:
    """Raise ClusterError where a worker has another version than the driver.

    Of Python the first two numbers count, since only these change what can be read.
    """
    for name, versions in theirs.items():
        for what, our, their in zip(Versions._fields, ours, versions, strict=True):
            if what == "python":
                our, their = _minor(our), _minor(their)
            if our != their:
                raise ClusterError(
                    f"{name} of the Ray cluster has {what} {their} and this machine {our}; install"
                    " the same version on all nodes and here"
                )


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _lost(error: BaseException) -> WorkerLost:
    return WorkerLost(
        f"a task was lost with its worker or machine, {RETRIES} times or with what it needed:"
        f" {type(error).__name__}: {_first_line(error)}; run the same command again"
    )


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [""])[0]
