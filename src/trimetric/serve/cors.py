"""Which web pages of other origins may ask, by the CORS protocol of the Fetch standard.

A browser lets a page read answers of another origin only if they say so. A key travels in a header,
never in a cookie, so credentials are not allowed.
"""

import re

from trimetric.errors import ParameterError

_ORIGIN = re.compile(r"(https?)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::(\d{1,5}))?")
_USUAL_PORTS = {"http": "80", "https": "443"}
_VARY = (b"vary", b"origin")
_PREFLIGHT = [
    (b"access-control-allow-methods", b"GET, HEAD, POST"),
    (b"access-control-allow-headers", b"authorization, content-type, x-api-key"),
    (b"access-control-max-age", b"600"),
]
Headers = list[tuple[bytes, bytes]]


def origin_of(text: str) -> str:
    """Return an origin as browsers write it, or "*".

    Raises
    ------
    ParameterError
        It is no origin: a scheme, a host and perhaps a port, and no path.
    """
    if text == "*":
        return text
    found = _ORIGIN.fullmatch(text.lower().removesuffix("/"))
    if found is None or int(found[3] or 0) > 65535:
        raise ParameterError(
            f"{text!r} is no origin; give scheme, host and port, such as https://shop.example or"
            " http://localhost:3000, without a path (other alphabets as xn--...), or * for any page"
        )
    scheme, host, port = found.groups()
    return f"{scheme}://{host}" + ("" if port in (None, _USUAL_PORTS[scheme]) else f":{port}")


class Cors:
    """What responses say to pages of other origins.

    Parameters
    ----------
    origins : tuple of str
        As `origin_of` returns them.
    """

    def __init__(self, origins: tuple[str, ...]) -> None:
        self.any = "*" in origins
        self.allowed = frozenset(origin.encode() for origin in origins)

    def allows(self, origin: bytes | None) -> bool:
        """Whether a page of this origin may ask; None is no page of another origin."""
        return origin is not None and (self.any or origin in self.allowed)

    def headers(self, origin: bytes | None) -> Headers:
        """Return the headers of every response to a request with this Origin."""
        if self.any:
            return [(b"access-control-allow-origin", b"*")]
        if origin is None or origin not in self.allowed:
            return [_VARY]
        return [(b"access-control-allow-origin", origin), _VARY]

    def preflight(self) -> Headers:
        """Return what else the answer to an allowed preflight request says."""
        return _PREFLIGHT
