"""An S3 server on this machine, for tests."""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from raylets import free_port

BUCKET = "trimetric-tests"


@contextmanager
def s3_server(*, strict: bool = False) -> Iterator[dict[str, str]]:
    """Start moto's server with one empty bucket; yield the variables by which it is reached.

    A `strict` one asks for credentials, which nobody has.
    """
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
        env={**os.environ, **({"INITIAL_NO_AUTH_ACTION_COUNT": "0"} if strict else {})},
    )
    try:
        _asked(f"{address}/{BUCKET}", server)
        yield given
    finally:
        server.kill()
        server.wait()


@contextmanager
def refusing_server() -> Iterator[str]:
    """Start a server that refuses everything, as S3 does what is not signed; yield its address."""

    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
            self.send_response(403)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else body)

        do_HEAD = do_PUT = do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


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
        except urllib.error.HTTPError:
            return  # a strict one
        except OSError:
            assert server.poll() is None
            time.sleep(0.1)
    raise TimeoutError(address)
