"""A server of several models with titles, and a browser: what the tests of the page share."""

from collections.abc import Iterator
from typing import Any

import polars as pl
import pytest
from browsing import DESKTOP, EVIL, Visit, launched, visit_on
from serving import Server, serving

import trimetric as tm


@pytest.fixture(scope="session")
def models() -> dict[str, Any]:
    """Return models of several kinds, by the names they are served under."""
    data = tm.synthetic.planted(300, 120, dim=4, clusters=6, per_user=20, seed=1).interactions
    settings = {"dim": 8, "epochs": 4, "seed": 0, "temperature": 0.2}
    settings |= {"adaptive_users": True, "adaptive_items": True}
    split = tm.split_per_user(data, test=0.1, valid=0.1, seed=0)
    return {
        "sml": tm.SML(**settings).fit(split.train, split.valid, progress=False),
        "cml": tm.CML(dim=8, epochs=4, seed=1).fit(split.train, progress=False),
        "popular": tm.Popularity().fit(split.train),
    }


@pytest.fixture(scope="session")
def titles(models: dict[str, Any]) -> dict[str, str]:
    ids = models["sml"].item_ids.values.to_list()
    return {one: EVIL if n == 0 else f"Title {one} ({1990 + n % 9})" for n, one in enumerate(ids)}


@pytest.fixture(scope="session")
def server(
    models: dict[str, Any], titles: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("served")
    for name, model in models.items():
        model.save(folder / name)
    genres = [("Drama|War", "Comedy", "Action|Comedy")[n % 3] for n in range(len(titles))]
    table = {"item": list(titles), "title": list(titles.values()), "genres": genres}
    table["price"] = [n + 0.5 for n in range(len(titles))]
    pl.DataFrame(table).write_csv(folder / "items.csv")
    with serving(*(folder / name for name in models), "--items", folder / "items.csv") as running:
        running.folder = folder
        yield running


@pytest.fixture(scope="module")  # Playwright's event loop must not outlive the module
def browser() -> Iterator[Any]:
    yield from launched()


@pytest.fixture
def visit(browser: Any, server: Server) -> Iterator[Visit]:
    yield from visit_on(browser, server, DESKTOP, "light")
