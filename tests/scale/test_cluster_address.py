"""Ray: this machine, addresses that do not answer, and other versions."""

import http.server
import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import raylets
import remote_work as work

import trimetric
from trimetric.errors import ClusterError, ParameterError
from trimetric.scale import cluster
from trimetric.scale.cluster import Versions, _compare, connect

pytestmark = pytest.mark.slow

ray = pytest.importorskip("ray")
SOURCE = Path(trimetric.__file__).parent


def test_this_machine_with_as_many_processors_as_threads(monkeypatch):
    monkeypatch.setenv("TRIMETRIC_THREADS", "2")
    monkeypatch.setenv("PYTHONPATH", f"{Path(work.__file__).parent}:{SOURCE.parent}")
    with connect("local") as found:
        assert found.processors == 2
        assert list(found.ordered_map(work.square, [[n] for n in range(4)])) == [0, 1, 4, 9]
        assert ray.is_initialized()
    assert not ray.is_initialized()


@contextmanager
def listener():
    """Yield the port of a server that speaks something else."""
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "ray://127.0.0.1:{}", "localhost:{}"])
def test_an_address_where_nothing_listens(form):
    address = form.format(raylets.free_port())
    began = time.monotonic()
    with pytest.raises(ClusterError, match="ray status") as caught, connect(address):
        pass
    assert time.monotonic() - began < 30
    assert address in str(caught.value)
    assert not ray.is_initialized()


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "ray://127.0.0.1:{}"])
def test_an_address_where_something_else_listens(form, monkeypatch):
    assert cluster.PATIENCE < 30
    monkeypatch.setattr(cluster, "PATIENCE", 5.0)
    with listener() as port:
        began = time.monotonic()
        with pytest.raises(ClusterError, match=r"no answer within (5|2\.5) seconds") as caught:
            connect(form.format(port)).__enter__()
    assert time.monotonic() - began < 15
    assert form.format(port) in str(caught.value)


@pytest.mark.parametrize("address", ["nonsense", "host:port:more", "http://head:6379", ""])
def test_a_malformed_address(address):
    with pytest.raises((ParameterError, ClusterError), match="local"), connect(address):
        pass


def test_the_cluster_that_ray_names_does_not_answer(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{raylets.free_port()}")
    with pytest.raises(ClusterError, match="--ray local starts"), connect("auto"):
        pass


@pytest.mark.parametrize("version", ["0.0.1", None])
def test_nodes_with_another_trimetric_are_refused(tmp_path, version):
    """Give one of two nodes a trimetric of another version, or none that can be imported."""
    package = tmp_path / "trimetric"
    package.mkdir()
    for path in SOURCE.iterdir() if version else ():
        if path.name not in ("_version.py", "__pycache__"):
            (package / path.name).symlink_to(path)
    text = f'__version__ = "{version}"\n' if version else "raise ImportError\n"
    (package / ("_version.py" if version else "__init__.py")).write_text(text)
    with raylets.cluster(nodes=1) as made:
        made.add_node(
            num_cpus=1, object_store_memory=raylets.STORE, env_vars={"PYTHONPATH": str(tmp_path)}
        )
        with pytest.raises(ClusterError) as caught, connect(made.address):
            pass
    assert f"trimetric {version or 'none'} and this machine {trimetric.__version__}" in str(
        caught.value
    )
    assert "install the same version" in str(caught.value)


_ASK = """
import sys
import ray
from trimetric.errors import ClusterError
from trimetric.scale.cluster import connect
try:
    with connect(sys.argv[1]):
        print("connected")
except ClusterError as error:
    print(error)
"""


def test_nodes_that_cannot_hand_over_results_are_refused():
    """Give the driver alone a token: what nodes ask it is refused, as behind a firewall."""
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789abcdef" * 2}
    with raylets.cluster(nodes=2) as made:
        told = subprocess.run(
            [sys.executable, "-c", _ASK, made.address],
            capture_output=True, text=True, env={**os.environ, **token}, timeout=120,
        )  # fmt: skip
    assert "cannot hand over results" in told.stdout, told.stdout + told.stderr
    assert "RAY_AUTH_MODE" in told.stdout


@pytest.mark.parametrize(
    ("theirs", "text"),
    [
        (Versions("1", "3.12.1", "2.60"), "python 3.12 and this machine 3.11"),
        (Versions("1", "3.1.7", "2.60"), "python 3.1 and this machine 3.11"),
        (Versions("1", "3.11.7", "2.50"), "ray 2.50 and this machine 2.60"),
        (Versions("1.1", "3.11.7", "2.60"), "trimetric 1.1 and this machine 1"),
    ],
)
def test_the_first_other_version_is_named(theirs, text):
    ours = Versions("1", "3.11.7", "2.60")
    _compare(ours, {"node a": ours, "node b": ours._replace(python="3.11.9")})
    with pytest.raises(ClusterError, match=f"node c of the Ray cluster has {text}"):
        _compare(ours, {"node a": ours, "node c": theirs})
