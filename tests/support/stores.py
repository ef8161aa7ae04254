"""An S3 server on this machine, for tests."""

import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from raylets import free_port

BUCKET = "trimetric-tests"


@contextmanager
def s3_server() -> Iterator[dict[str, str]]:
    """Start moto's server with one empty bucket; yield the variables by which it is reached."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    given = {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _asked(f"{address}/{BUCKET}", server)
        yield given
    finally:
        server.kill()
        server.wait()


def _asked(address: str, server: subprocess.Popen) -> None:
    """Make the bucket, as soon as the server answers."""
    body = (
        b"<CreateBucketConfiguration><LocationConstraint>eu-central-1</LocationConstraint>"
        b"</CreateBucketConfiguration>"
    )
    for _ in range(200):
        try:
            request = urllib.request.Request(address, data=body, method="PUT")
            urllib.request.urlopen(request, timeout=10).close()
            return
        except OSError:
            assert server.poll() is None
            time.sleep(0.1)
    raise TimeoutError(address)
