"""What people type finds what they mean."""

import sys

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimetric.data.ids import Vocabulary
from trimetric.serve.items import ItemsTable
from trimetric.serve.search import Search, folded

TITLES = [
    "The Matrix (1999)",
    "Matrix Reloaded, The",
    "Das Boot (1981)",
    "Amélie: Le Fabuleux Destin d'Amélie Poulain",
    "Star Wars: Episode IV - A New Hope",
    "Star Trek",
    "Rosemary's Baby",
    "Spider-Man",
    "La La Land",
    "Gone with the Wind",
    "Ødeland",
    "Straße nach Westen",
    "天空の城ラピュタ",
    "Crème brûlée, 20 cm",
    "Crème brûlée, 30 cm",
    "A",
    "!!!",
    "It",
    "Italian Job, The",
    "Шинель",
    "ΆΝΘΡΩΠΟΣ",
]
USERS = ["Bob 7", "anna", "anne", "u003", "u017"]
SKUS = [f"SKU-00{n:02d}" for n in range(len(TITLES))]


def vocabulary(ids: list[str]) -> Vocabulary:
    """Return ids, ascending, by row."""
    return Vocabulary.from_values(pl.Series(ids))


@pytest.fixture(scope="module")
def search() -> Search:
    """Return a search over the titles, each less popular than the one before, and five users."""
    table = ItemsTable(pl.DataFrame({"item": SKUS, "title": TITLES}))
    ids = vocabulary(USERS), vocabulary(SKUS)
    return Search(ids, (np.arange(5) + 1, 100 - np.arange(len(SKUS))), table)


def titles(search: Search, text: str) -> list[str]:
    total, rows = search.items(text, 0, 50)
    assert total == len(rows)
    return [TITLES[int(row)] for row in rows]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("matrix", "The Matrix (1999)"),
        ("the matrix", "The Matrix (1999)"),
        ("reloaded matrix", "Matrix Reloaded, The"),
        ("the matrix reloaded", "Matrix Reloaded, The"),
        ("MATRIX   the", "The Matrix (1999)"),
        ("boot", "Das Boot (1981)"),
        ("the boot", "Das Boot (1981)"),
        ("1981 boot", "Das Boot (1981)"),
        ("amelie", TITLES[3]),
        ("poulain Amelie", TITLES[3]),
        ("fabuleux destin d’amelie", TITLES[3]),
        ("hope new", TITLES[4]),
        ("rosemarys baby", "Rosemary's Baby"),
        ("rosemary's", "Rosemary's Baby"),
        ("spiderman", "Spider-Man"),
        ("spider man", "Spider-Man"),
        ("man spider", "Spider-Man"),
        ("la la land", "La La Land"),
        ("odeland", "Ødeland"),
        ("strasse westen", "Straße nach Westen"),
        ("ラピュタ", "天空の城ラピュタ"),
        ("creme brulee 30", "Crème brûlée, 30 cm"),
        ("!!!", "!!!"),
        ("a", "A"),
        ("it", "It"),
        ("ШИНЕЛЬ", "Шинель"),
        ("ανθρωπος", "ΆΝΘΡΩΠΟΣ"),
        ("sku-0005", "Star Trek"),
        ("0005", "Star Trek"),
        # one or two wrong letters
        ("matirx", "The Matrix (1999)"),
        ("relaoded", "Matrix Reloaded, The"),
        ("matrx reloded", "Matrix Reloaded, The"),
        ("amelei", TITLES[3]),
        ("star terk", "Star Trek"),
        ("star wras", TITLES[4]),
        ("rosmary bbay", "Rosemary's Baby"),
        ("italain job", "Italian Job, The"),
        ("gone wiht wind", "Gone with the Wind"),
        ("matrx 1999", "The Matrix (1999)"),
        ("crme brulee 30", "Crème brûlée, 30 cm"),
        ("relaod", "Matrix Reloaded, The"),
        ("шинедь", "Шинель"),
    ],
)
def test_what_is_meant_comes_first(search: Search, text: str, first: str) -> None:
    assert titles(search, text)[0] == first


@pytest.mark.parametrize(
    "text", ["creme 40", "matrix 1998", "xyzzy", "mxxxix", "sku-0099", "star boot"]
)
def test_what_is_not_there_is_not_found(search: Search, text: str) -> None:
    assert titles(search, text) == []


def test_order_and_pages(search: Search) -> None:
    assert titles(search, "star") == TITLES[4:6]
    assert titles(search, "brulee") == TITLES[13:15]
    assert titles(search, "") == TITLES
    assert search.items("star", 1, 1)[0] == 2
    assert [TITLES[int(row)] for row in search.items("star", 1, 1)[1]] == ["Star Trek"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("anna", ["anna"]),
        ("ann", ["anne", "anna"]),
        ("U0", ["u017", "u003"]),
        ("7 bob", ["Bob 7"]),
        ("u013", []),
        ("anen", ["anne"]),
    ],
)
def test_users(search: Search, text: str, found: list[str]) -> None:
    assert [USERS[int(row)] for row in search.users(text, 0, 9)[1]] == found


def test_a_long_text_takes_no_longer(search: Search) -> None:
    assert titles(search, "matrix " * 500 + "reloaded") == titles(search, "reloaded matrix")
    words = " ".join(f"word{chr(97 + n % 26)}{n}" for n in range(200))
    assert titles(search, f"star trek {words}") == []


def test_ids_near_an_unknown_one(search: Search) -> None:
    items = vocabulary(SKUS)
    assert search.near("item", "SKU-0O05", items)[0] == "SKU-0005"
    assert search.near("item", "sku0005", items)[0] == "SKU-0005"
    assert search.near("item", "sku-00055", items)[0] == "SKU-0005"
    assert search.near("item", "star trek", items) == ["SKU-0005"]
    assert search.near("item", "", items) == []


def test_what_is_folded_stays_as_it_is() -> None:
    signs = pl.Series([chr(n) for n in range(sys.maxunicode + 1) if not 0xD800 <= n < 0xE000])
    once = folded(signs)
    twice = folded(once)
    assert signs.filter(once != twice).to_list() == []


@pytest.mark.slow
@given(st.text(max_size=12))
def test_any_text_finds_itself(search: Search, text: str) -> None:
    search.items(text, 0, 5)
    search.near("item", text, vocabulary(SKUS))
    words = folded(pl.Series([text]))[0].split()
    table = ItemsTable(pl.DataFrame({"item": ["x1", "x2"], "title": [text, "other"]}))
    ids = vocabulary(["x1", "x2"])
    one = Search((ids, ids), (np.array([2, 1]), np.array([1, 2])), table)
    if words:
        assert 0 in one.items(" ".join(reversed(words)), 0, 5)[1]
