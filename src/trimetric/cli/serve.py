"""`trimetric serve`: answer over HTTP, with the explorer page."""

import logging
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from trimetric.cli.options import IdColumn, Quiet
from trimetric.cli.output import in_options, note
from trimetric.errors import MissingExtra
from trimetric.storage import places


def serve(
    models: Annotated[list[str], Argument(metavar="MODEL", help="Folders of saved models.")],
    items: Annotated[
        str | None,
        Option(
            help="Table of items: item, title, picture (https), and other columns to show; or a"
            " data set that has one, such as bookshop."
        ),
    ] = None,
    id_column: IdColumn = None,
    test: Annotated[
        str | None,
        Option(
            help="Interactions held out from training, or the folder of a split: the page shows how"
            " well the models rank them."
        ),
    ] = None,
    valid: Annotated[
        str | None, Option(help="The --valid of fit, beside --test: see `trimetric evaluate`.")
    ] = None,
    host: Annotated[
        str, Option(help="Address to listen on; one that other machines reach needs a key.")
    ] = "127.0.0.1",
    port: Annotated[int, Option(help="Port; 0 takes any free one.")] = 8000,
    allowed_host: Annotated[
        list[str] | None,
        Option(help="Host name, repeatable, that requests may be addressed to; * allows any."),
    ] = None,
    cors_origin: Annotated[
        list[str] | None,
        Option(
            metavar="URL",
            help="Origin of web pages, repeatable, that may ask from a browser, such as"
            " https://shop.example; * for any.",
        ),
    ] = None,
    root_path: Annotated[
        str, Option(metavar="PATH", help="Path that a proxy offers this server under: /sub.")
    ] = "",
    api_key: Annotated[
        str | None,
        Option(envvar="TRIMETRIC_API_KEY", help="Key that requests must carry.", show_envvar=True),
    ] = None,
    open_: Annotated[bool, Option("--open", help="Serve other machines without a key.")] = False,
    no_watch: Annotated[
        bool, Option("--no-watch", help="Check for newer artifacts at SIGHUP only.")
    ] = False,
    limit: Annotated[
        list[str] | None,
        Option(help="NAME=VALUE, repeatable, such as body_bytes=2000000: see docs/serving.md."),
    ] = None,
    access_log: Annotated[bool, Option("--access-log", help="Log each request.")] = False,
    quiet: Quiet = False,
) -> None:
    """Serve models over HTTP, with a page to explore them.

    SIGTERM or Ctrl-C stops the server. A newer artifact saved to a folder replaces the older one.
    """
    try:
        from trimetric.serve import logs
        from trimetric.serve.run import serve as run
        from trimetric.serve.settings import Settings, limits_of
    except ImportError as error:
        raise MissingExtra(
            f"serve needs {error.name}, which is not installed: pip install 'trimetric[serve]'"
        ) from None
    settings = Settings(
        models=tuple(map(Path, models)),
        items=None if items is None else places.source(items, "--items"),
        id_column=id_column,
        host=host,
        port=port,
        allowed_hosts=tuple(allowed_host or ()),
        api_key=api_key or None,
        open=open_,
        watch=not no_watch,
        access_log=access_log,
        quiet=quiet,
        limits=limits_of(limit or []),
        cors_origins=tuple(cors_origin or ()),
        root_path=root_path,
        test=None if test is None else places.source(test, "--test"),
        valid=None if valid is None else places.source(valid, "--valid"),
    )
    logs.to_standard_error(quiet)
    warnings.showwarning = _warn

    def announce(url: str) -> None:
        if not quiet and sys.stderr.isatty():  # elsewhere each line is JSON
            note(f"trimetric serves {', '.join(models)} at {url} (Ctrl-C stops)")

    run(settings, announce)


def _warn(message: Any, *_: Any, **__: Any) -> None:
    logging.getLogger("trimetric.serve").warning(in_options(str(message)))
