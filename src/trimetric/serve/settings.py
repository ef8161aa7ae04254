"""Settings of a server, and the limits that keep one client from using all of it."""

import re
from dataclasses import dataclass, field, fields
from pathlib import Path

from trimetric.errors import ParameterError
from trimetric.serve.cors import origin_of

LOCAL = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class Limits:
    """How much of the server one client may use.

    Parameters
    ----------
    connections : int
        Most connections at a time; requests on further ones get 503.
    head_bytes, body_bytes : int
        Largest head and body of a request: 431 and 413 above them, and the connection is closed.
    head_seconds, body_seconds : float
        Longest time from the first byte of a head or body to its last: 408, and the connection is
        closed. For a connection's first request, the head's time starts when it is opened.
    send_seconds : float
        How long a response may wait for a client that does not read it.
    idle_seconds : int
        How long a connection stays open between requests.
    grace_seconds : float
        After a signal to stop, how long open connections may still send a request.
    drain_seconds : float
        After a signal to stop, how long responses may take; what is still open then is cut off.
    """

    connections: int = 1024
    head_bytes: int = 32 * 1024
    body_bytes: int = 1024 * 1024
    head_seconds: float = 10.0
    body_seconds: float = 30.0
    send_seconds: float = 30.0
    idle_seconds: int = 15
    grace_seconds: float = 1.0
    drain_seconds: float = 30.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 < value < float("inf"):
                raise ParameterError(f"{name} must be above 0 and finite, got {value}")


def limits_of(texts: list[str]) -> Limits:
    """Read limits typed as NAME=VALUE.

    Raises
    ------
    ParameterError
        A name is unknown, or a value is not a number of its kind.
    """
    kinds: dict[str, type] = {limit.name: type(limit.default) for limit in fields(Limits)}
    values = {}
    for text in texts:
        name, _, value = text.partition("=")
        if name not in kinds:
            raise ParameterError(f"unknown limit {name!r}; there are {', '.join(kinds)}")
        try:
            values[name] = kinds[name](value)
        except ValueError:
            word = "a whole number" if kinds[name] is int else "a number"
            raise ParameterError(f"limit {name} must be {word}, got {value!r}") from None
    return Limits(**values)


def allowed_name(text: str) -> str:
    """Return a host name as requests give it, without the dot that may end it; * as it is.

    Raises
    ------
    ParameterError
        It is an address of a page, has a port or a wildcard, or is no name: no request has such.
    """
    name = text.removesuffix(".")
    if text != "*" and not re.fullmatch(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*", name):
        raise ParameterError(
            f"{text!r} is no host name; give one such as shop.example, without scheme, port and"
            " path (other alphabets as xn--...), or * for any"
        )
    return name


def sub_path(text: str) -> str:
    """Return a path without its last slash, "" for the root.

    Raises
    ------
    ParameterError
        It is no plain path.
    """
    path = text.rstrip("/")
    parts = path.split("/")[1:]
    plain = re.fullmatch(r"(/[A-Za-z0-9._~-]+)*", path, re.ASCII)
    if not plain or "." in parts or ".." in parts:
        raise ParameterError(
            f"{text!r} is no path to serve under; give one such as /recommender: letters, digits"
            " and . _ ~ - between slashes, beginning with one"
        )
    return path


@dataclass(frozen=True)
class Settings:
    """What to serve, and where.

    Parameters
    ----------
    models : tuple of Path
        Folders of saved models; each is served under its folder's name, the first by default.
    items : Path, optional
        A table of titles, pictures and more: see `items.read`.
    id_column : str, optional
        The column of that table with the ids, if it is called otherwise.
    host, port : str, int
        Where to listen; port 0 takes any free one.
    allowed_hosts : tuple of str
        Names that requests may give as their host, besides IP addresses, `host` and those of this
        machine; "*" allows any.
    api_key : str, optional
        Key that requests must carry.
    open : bool
        Serve other machines without a key.
    watch : bool
        Check for newer artifacts every second.
    access_log, quiet : bool
        Log each request; log nothing but warnings and errors.
    limits : Limits
    cors_origins : tuple of str
        Origins of web pages that may ask from a browser; "*" for any, which no key may go with.
    root_path : str
        The path, such as /sub, under which a proxy offers this server; requests may come with it
        or without.
    test, valid : Path, optional
        Interactions held out from training, to measure the models on, and those that they were
        validated on: see `held_out.read`.
    """

    models: tuple[Path, ...]
    items: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    allowed_hosts: tuple[str, ...] = ()
    api_key: str | None = field(default=None, repr=False)
    open: bool = False
    watch: bool = True
    access_log: bool = False
    quiet: bool = False
    limits: Limits = field(default_factory=Limits)
    id_column: str | None = None
    cors_origins: tuple[str, ...] = ()
    root_path: str = ""
    test: Path | None = None
    valid: Path | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "cors_origins", tuple(map(origin_of, self.cors_origins)))
        object.__setattr__(self, "root_path", sub_path(self.root_path))
        object.__setattr__(self, "allowed_hosts", tuple(map(allowed_name, self.allowed_hosts)))
        if "*" in self.cors_origins and self.api_key:
            raise ParameterError(
                "a server with a key is not for pages of any origin (*); name those that have the"
                " key, such as --cors-origin https://shop.example"
            )
        if not self.models:
            raise ParameterError("give at least one folder of a saved model")
        if self.valid is not None and self.test is None:
            raise ParameterError("valid goes with test: interactions to measure the models on")
        if not 0 <= self.port <= 65535:
            raise ParameterError(f"port must be in 0..65535, got {self.port}; 8000 is usual")
        if self.api_key is not None and (not self.api_key or not self.api_key.isascii()):
            raise ParameterError("the API key must be ASCII text of at least one character")
        if self.host not in LOCAL and not self.api_key and not self.open:
            raise ParameterError(
                f"host {self.host!r} lets other machines in; set an API key (--api-key, or"
                " TRIMETRIC_API_KEY), or give --open to serve anyone"
            )
