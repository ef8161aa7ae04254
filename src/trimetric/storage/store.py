"""Folders in object stores, as URIs such as s3://bucket/log name them.

Amazon S3 and what speaks its language, Google's store and HDFS are reached through Arrow's file
systems, all others through fsspec. The rest of trimetric sees files of this machine.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cache, cached_property
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO
from urllib.parse import parse_qsl, unquote

from trimetric.errors import DataError, MissingExtra, OutputError, TrimetricError
from trimetric.storage import places
from trimetric.storage.atomic import replacing

_URI = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+):/{1,2}(?P<path>.*?)"
    r"(?:\?(?P<query>(?:region|scheme|endpoint_override|request_timeout)=.*))?",
    re.DOTALL,
)
_S3, _GS, _HDFS = ("s3", "s3a"), ("gs", "gcs"), ("hdfs", "viewfs")
_PATIENCE = 8  # seconds for an answer, of three times that a store is asked
_BLOCK = 1 << 22
_AWS = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or run where a role gives"
    " access"
)
_GOOGLE = (
    "set GOOGLE_APPLICATION_CREDENTIALS to a key file, or run"
    " `gcloud auth application-default login`"
)
_CAUSES = (
    (r"NO_SUCH_BUCKET|NoSuchBucket", "there is no such bucket; check its name"),
    (
        r"ACCESS_DENIED|AccessDenied|Forbidden|\b40[13]\b|INVALID_ACCESS_KEY|InvalidAccessKey|"
        r"SIGNATURE|SignatureDoesNotMatch|AUTHENTICATION|EXPIRED|INVALID_CLIENT_TOKEN|"
        r"PERMISSION_DENIED|UNAUTHENTICATED|[Uu]nable to locate credentials",
        "access is refused; {credentials}",
    ),
    (r"OAuth2 access token|default credentials", "there are no credentials; {credentials}"),
    (
        r"NETWORK_CONNECTION|REQUEST_TIMEOUT|[Tt]imed? ?out|resolve host|[Cc]onnect|UNAVAILABLE",
        "the store does not answer; check the network{endpoint}",
    ),
)


@dataclass(frozen=True)
class Stored:
    """A file in a store.

    Parameters
    ----------
    name : str
        Below the folder that was listed, with / between folders; "" for the place itself.
    size : int
        Bytes.
    changed : int
        When it was last written, in ns, 0 if the store does not say.
    """

    name: str
    size: int
    changed: int


class Store:
    """A place in a store: a folder, or a file. It can be pickled; connects when it is first used.

    Parameters
    ----------
    uri : str or path
        For S3, what follows the key may be ?endpoint_override=host:port&scheme=http&region=...;
        the environment's AWS_ENDPOINT_URL and AWS_DEFAULT_REGION count otherwise.
    writing : bool
        Whether it is for output: then errors are `OutputError`, else `DataError`.
    """

    def __init__(self, uri: str | os.PathLike, *, writing: bool = False) -> None:
        found = _URI.fullmatch(os.fspath(uri))
        if found is None:
            raise DataError(f"{places.shown(uri)} is no URI; give one such as s3://bucket/folder")
        self.scheme, self.query = found["scheme"].lower(), found["query"] or ""
        self._path, self._writing = found["path"].rstrip("/"), writing

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_connected"}

    def __str__(self) -> str:
        return places.shown(f"{self.scheme}://{self._path}")

    @property
    def uri(self) -> str:
        """The URI, with what is secret in it."""
        return f"{self.scheme}://{self._path}{'?' * bool(self.query)}{self.query}"

    @property
    def path(self) -> str:
        """Bucket and key, or what other stores have for them."""
        return self._path

    def at(self, path: str) -> Store:
        """Return another place of this store."""
        query = f"?{self.query}" if self.query else ""
        return Store(f"{self.scheme}://{path}{query}", writing=self._writing)

    def below(self, name: str) -> Store:
        """Return the place of a file or folder inside this folder."""
        return self.at(f"{self._path}/{name}" if name else self._path)

    def kind(self, name: str = "") -> str:
        """Return "file", "folder" or "" for what is not there."""
        with self._told(name):
            system, root = self._connected
            kind = system.get_file_info(_joined(root, name)).type.name
        return {"File": "file", "Directory": "folder"}.get(kind, "")

    def files(self, *, deep: bool = True) -> list[Stored]:
        """Return the files below this folder, by name; none where there is no such folder.

        Raises
        ------
        DataError, OutputError
            There is no such bucket, or it cannot be listed.
        """
        with self._told():
            system, root = self._connected
            from pyarrow import fs

            try:
                infos = system.get_file_info(fs.FileSelector(root, recursive=deep))
            except (FileNotFoundError, NotADirectoryError):
                return []
        cut = len(root.strip("/")) + 1
        found = [
            Stored(info.path.strip("/")[cut:], info.size or 0, int(info.mtime_ns or 0))
            for info in infos
            if info.is_file and not info.path.endswith("/")
        ]
        return sorted(found, key=lambda file: PurePosixPath(file.name).parts)

    def stat(self) -> Stored | None:
        """Return the file that stands here, None if none does."""
        with self._told():
            system, root = self._connected
            info = system.get_file_info(root)
        return Stored("", info.size or 0, int(info.mtime_ns or 0)) if info.is_file else None

    def read(self, name: str = "") -> bytes | None:
        """Return what a file holds, None if there is none."""
        with self._told(name):
            system, root = self._connected
            try:
                with system.open_input_stream(_joined(root, name), compression=None) as stream:
                    return stream.read()
            except FileNotFoundError:
                return None

    def fetch(self, name: str, to: Path) -> bool:
        """Copy a file to this machine, whole or not at all; False if there is none."""
        with self._told(name):
            system, root = self._connected
            try:
                stream = system.open_input_stream(_joined(root, name), compression=None)
            except FileNotFoundError:
                return False
            with stream, replacing(to) as out:
                _copy(stream, out, self._told, name)
        return True

    def put(self, name: str, source: Path | bytes) -> None:
        """Write a file, from one of this machine or from bytes."""
        with self._told(name):
            system, root = self._connected
            path = _joined(root, name)
            if self.scheme not in (*_S3, *_GS):
                system.create_dir(path.rsplit("/", 1)[0], recursive=True)
            with system.open_output_stream(path, compression=None) as out:
                if isinstance(source, bytes):
                    out.write(source)
                    return
                with source.open("rb") as file:
                    while block := file.read(_BLOCK):
                        out.write(block)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        with self._told(name):
            system, root = self._connected
            try:
                system.delete_file(_joined(root, name))
            except FileNotFoundError:
                return

    @cached_property
    def _connected(self) -> tuple[Any, str]:
        try:
            import pyarrow.fs  # noqa: F401
        except ImportError:
            raise MissingExtra(
                f"{self} cannot be reached without pyarrow; install it with pip install"
                " 'trimetric[files]'"
            ) from None
        if self.scheme in _S3:
            bucket, slash, key = self._path.partition("/")
            secret, _, bucket = bucket.rpartition("@")
            return _s3(bucket, secret, self.query, _environment()), f"{bucket}{slash}{key}"
        if self.scheme in _GS:
            return _gs(), self._path
        return self._other()

    def _other(self) -> tuple[Any, str]:
        from pyarrow import fs

        if self.scheme in _HDFS:
            return fs.FileSystem.from_uri(self.uri)
        try:
            import fsspec

            system, path = fsspec.core.url_to_fs(self.uri)
        except ImportError as error:
            raise MissingExtra(
                f"{self} cannot be reached without more packages ({error}); install them, and"
                " fsspec with pip install 'trimetric[files]'"
            ) from None
        except ValueError as error:
            if "Protocol not known" not in str(error):
                raise
            raise self._error(
                f"{self}: {self.scheme}:// is no kind of URI that is known here; use a folder of"
                " this machine"
            ) from None
        return fs.PyFileSystem(fs.FSSpecHandler(system)), path

    @property
    def _error(self) -> type[TrimetricError]:
        return OutputError if self._writing else DataError

    @contextmanager
    def _told(self, name: str = "") -> Iterator[None]:
        """Say of any error which place it is about, and what to do."""
        try:
            yield
        except TrimetricError:
            raise
        except Exception as error:  # each file system has errors of its own
            place = f"{self}/{name}" if name else str(self)
            verb = "written" if self._writing else "read"
            raise self._error(f"{place} cannot be {verb}: {self._why(error)}") from None

    def _why(self, error: Exception) -> str:
        text = places.shown(" ".join(str(error).split())) or type(error).__name__
        credentials = _GOOGLE if self.scheme in _GS else _AWS
        endpoint = ", AWS_ENDPOINT_URL and AWS_DEFAULT_REGION" if self.scheme in _S3 else ""
        for pattern, told in _CAUSES:
            if re.search(pattern, text):
                return f"{told.format(credentials=credentials, endpoint=endpoint)} ({text[:200]})"
        return text[:300]


def _copy(stream: Any, out: BinaryIO, told: Any, name: str) -> None:
    while True:
        with told(name):
            block = stream.read(_BLOCK)
        if not block:
            return
        out.write(block)


def _joined(root: str, name: str) -> str:
    return f"{root}/{name}" if name else root


def _environment() -> tuple[tuple[str, str], ...]:
    """Return the variables by which S3 is found and entered."""
    return tuple(sorted(one for one in os.environ.items() if one[0].startswith("AWS_")))


@cache
def _s3(bucket: str, secret: str, query: str, environment: tuple[tuple[str, str], ...]) -> Any:
    from pyarrow import fs

    given: dict[str, Any] = dict(parse_qsl(query))
    told = dict(environment)
    address = told.get("AWS_ENDPOINT_URL_S3") or told.get("AWS_ENDPOINT_URL")
    if address and "endpoint_override" not in given:
        scheme, _, host = address.rpartition("://")
        given["endpoint_override"] = host.rstrip("/")
        given.setdefault("scheme", scheme or "https")
    region = told.get("AWS_REGION") or told.get("AWS_DEFAULT_REGION")
    if "region" not in given and region:
        given["region"] = region
    if "region" not in given and "endpoint_override" not in given:
        given["region"] = fs.resolve_s3_region(bucket)
    if secret:
        key, _, value = secret.partition(":")
        given |= {"access_key": unquote(key), "secret_key": unquote(value)}
    return fs.S3FileSystem(
        **{"request_timeout": _PATIENCE, **given},
        connect_timeout=_PATIENCE,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=3),
    )


@cache
def _gs() -> Any:
    from pyarrow import fs

    return fs.GcsFileSystem(retry_time_limit=timedelta(seconds=_PATIENCE))
