"""The app that holds all commands."""

import sys
import warnings
from typing import Annotated, Any

import typer
from typer.main import get_command

from trimetric.cli import (
    compare,
    data,
    demo,
    estimate,
    evaluate,
    explain,
    export,
    fit,
    forget,
    mcp,
    recommend,
    reproduce,
    serve,
    similar,
    update,
)
from trimetric.cli.options import grouped
from trimetric.cli.output import in_options, note

app = typer.Typer(
    name="trimetric", no_args_is_help=True, add_completion=True, rich_markup_mode=None
)
app.command()(grouped(demo.demo, threaded=True))
app.command()(grouped(fit.fit, threaded=True))
app.command()(grouped(estimate.estimate, threaded=True))
app.command()(grouped(evaluate.evaluate, threaded=True))
app.command()(grouped(recommend.recommend, threaded=True))
app.command()(grouped(similar.similar_items, threaded=True))
app.command()(grouped(similar.similar_users, threaded=True))
app.command()(grouped(explain.explain, threaded=True))
app.command()(grouped(update.update, threaded=True))
app.command()(grouped(forget.forget, threaded=True))
app.command()(grouped(forget.unavailable))
app.command()(grouped(export.export, threaded=True))
app.command()(grouped(serve.serve))
app.command()(grouped(mcp.mcp))
app.command()(grouped(compare.compare))
app.command()(grouped(reproduce.reproduce))
app.add_typer(data.app, name="data")


def run(args: list[str]) -> None:
    """Run one command; raises SystemExit, or the error of the command."""
    warnings.showwarning = _warn
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    get_command(app)(args, prog_name="trimetric")


def _version(show: bool) -> None:
    if show:
        from trimetric import __version__
        from trimetric.cli.output import emit

        emit(f"trimetric {__version__}")
        raise typer.Exit


def _warn(message: Any, *_: Any, **__: Any) -> None:
    note(f"warning: {in_options(str(message))}")


@app.callback()
def _trimetric(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; may stand anywhere.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Recommend with users and items in one Euclidean space: train, evaluate, serve.

    DATA is a file (csv, jsonl, parquet, a workbook and others), or the name of a data set
    (`trimetric data list`); `bookshop`, which has titles, and `planted` are generated, so they are
    always there.
    """
