"""`trimetric estimate`: memory, disk and time of runs before they are started."""

from typing import Annotated, Any

from typer import Option

from trimetric.cli.columns import Columns
from trimetric.cli.core import Core
from trimetric.cli.fit_prepared import prepared, refuse_given
from trimetric.cli.options import Data, Json, K, Quiet
from trimetric.cli.output import emit, emit_json, logger
from trimetric.cli.reading import print_summary, read
from trimetric.cli.settings import Common
from trimetric.errors import ParameterError


def estimate(
    data: Data,
    columns: Columns,
    core: Core,
    common: Common,
    model: Annotated[
        str | None, Option("--model", help="A model trained in epochs; centroid by default.")
    ] = None,
    config: Annotated[
        str | None, Option("--config", help="TOML file of settings, model and preset.")
    ] = None,
    preset: Annotated[
        str | None, Option("--preset", help="paper or released; of cml also authors.")
    ] = None,
    sets: Annotated[
        list[str] | None,
        Option("--set", metavar="NAME=VALUE", help="Any setting, repeatable: docs/settings.md."),
    ] = None,
    partitions: Annotated[int, Option(help="Parts to train in.")] = 1,
    memory: Annotated[
        float | None,
        Option("--memory", metavar="GB", help="Memory to count on, in place of what is free."),
    ] = None,
    k: K = 10,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Estimate memory, disk and time of runs on DATA. Runs are fit, compare and recommend --all.

    Trains on samples for some seconds. The time is that of all epochs: early stopping, which nobody
    can foresee, makes it shorter.
    """
    from trimetric.cli.settings import collect
    from trimetric.experiments.estimate import estimate as run
    from trimetric.experiments.machine import watched

    name, settings = collect(model, config, preset, sets or [], common)
    if memory is not None and not memory > 0:
        raise ParameterError(f"--memory must be above 0, got {memory:g}")
    log = logger(quiet)
    whole: Any
    with watched() as reading:
        if (divided := prepared(data)) is not None:
            refuse_given((columns, core), divided)
            whole = divided
        else:
            whole = read(data, columns, quiet)
            print_summary(whole, log)
            whole = core.of(whole, log)
    found = run(
        whole,
        name,
        partitions=partitions,
        k=k,
        memory=None if memory is None else int(memory * 1e9),
        reading=reading,
        log=log,
        **settings,
    )
    if json:
        emit_json(found.to_dict())
        return
    emit(str(found))
