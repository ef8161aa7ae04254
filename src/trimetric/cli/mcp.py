"""`trimetric mcp`: a model as tools of agents."""

from pathlib import Path
from typing import Annotated

from typer import Option

from trimetric.cli.options import IdColumn, Model, Quiet
from trimetric.cli.output import logger
from trimetric.errors import MissingExtra
from trimetric.storage import places


def mcp(
    model: Model,
    items: Annotated[
        str | None, Option(help="Table of items: item, title, and other columns to tell.")
    ] = None,
    id_column: IdColumn = None,
    http: Annotated[
        bool, Option("--http", help="Answer over HTTP, not on standard streams.")
    ] = False,
    host: Annotated[
        str, Option(help="Address to listen on; one that other machines reach needs a key.")
    ] = "127.0.0.1",
    port: Annotated[int, Option(help="Port; 0 takes any free one.")] = 8001,
    api_key: Annotated[
        str | None,
        Option(envvar="TRIMETRIC_API_KEY", help="Key that requests must carry.", show_envvar=True),
    ] = None,
    open_: Annotated[bool, Option("--open", help="Serve other machines without a key.")] = False,
    quiet: Quiet = False,
) -> None:
    """Offer a model to agents as tools. They speak the Model Context Protocol.

    Tools are search, recommend, recommend_for, similar_items, similar_users, explain and
    explain_for, those that the model can answer. A newer artifact in the folder replaces the older
    one.
    """
    try:
        from trimetric.serve import agents, logs
        from trimetric.serve import items as tables
        from trimetric.serve.settings import Settings
    except ImportError as error:
        raise MissingExtra(
            f"mcp needs {error.name}, which is not installed: pip install 'trimetric[mcp]'"
        ) from None
    from trimetric.engine.threads import threads

    log, api_key = logger(quiet), api_key or None
    logs.to_standard_error(quiet=True)
    if http:  # the same rule on who may reach it
        Settings(models=(Path(model),), host=host, port=port, api_key=api_key, open=open_)
    table = tables.NO_ITEMS
    if items is not None:
        table = tables.read(places.source(items, "--items"), id_column)
    with threads(1):
        current = agents.CurrentModel(Path(model), table)
        if not http:
            log(f"trimetric offers {model} on standard input and output")
            agents.serve_streams(current)
            return
        agents.serve_http(
            current, host, port, api_key, lambda url: log(f"trimetric offers {model} at {url}")
        )
