"""The explorer page: a fixed list of files, read once at the start.

No path of a request is ever opened: the path is looked up in the list.
"""

from importlib.resources import files
from typing import NamedTuple

MEDIA = {
    "html": "text/html",
    "css": "text/css",
    "js": "text/javascript",
    "json": "application/json",
    "svg": "image/svg+xml",
    "png": "image/png",
    "woff2": "font/woff2",
}


class File(NamedTuple):
    """One file of the page."""

    body: bytes
    media: str


Files = dict[str, File]
"""By the path they are served under."""


def read(root_path: str = "") -> Files:
    """Return the page's files: index.html as /, the others as /page/NAME.

    Parameters
    ----------
    root_path : str
        What goes before these paths in the addresses that a browser is given.
    """
    entries: Files = {}
    for entry in files(__name__).iterdir():
        kind = entry.name.rpartition(".")[2]
        if kind in MEDIA:
            path = "/" if entry.name == "index.html" else f"/page/{entry.name}"
            body = entry.read_bytes()
            if path == "/":
                body = body.replace(b'href="/', f'href="{root_path}/'.encode())
                body = body.replace(b'src="/', f'src="{root_path}/'.encode())
            entries[path] = File(body, MEDIA[kind])
    return entries
