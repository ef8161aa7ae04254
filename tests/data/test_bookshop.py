"""The generated bookshop: the same everywhere, plausible to a person, and learnable."""

import hashlib

import numpy as np
import polars as pl
import pytest
from command import done, environment, refused

import trimetric as tm
from trimetric.data import item_tables
from trimetric.errors import DataError


@pytest.fixture(scope="module")
def shop():
    return tm.synthetic.bookshop()


def test_the_same_bits_on_every_machine(shop):
    assert (
        shop.interactions.fingerprint
        == "08694556b3ed117faba1e2c7e509bd0ef92c1ec01cc0001259a42e4fe57702fb"
    )
    told = hashlib.sha256(shop.items.write_csv().encode()).hexdigest()
    assert told == "a599fbacadf5a9813d7997d835299fcaba2f852de7fab79fdb8f8ee131484230"
    other = tm.synthetic.bookshop(seed=1)
    assert other.interactions.fingerprint != shop.interactions.fingerprint
    assert other.items.equals(shop.items)


def test_sizes_ids_and_times(shop):
    loans = shop.interactions
    assert (loans.n_users, loans.n_items) == (1500, 800)
    assert 58_000 < len(loans) < 62_000
    counts = np.diff(loans.indptr)
    assert (counts.min(), counts.max()) == (12, 96)
    assert np.bincount(loans.items).min() >= 10
    assert loans.user_ids.decode([0, 1499]).to_list() == ["reader-0001", "reader-1500"]
    assert loans.item_ids.values.to_list() == shop.items["item"].to_list()
    assert loans.item_ids.decode([0, 799]).to_list() == ["B0001", "B0800"]
    first, after = 1_672_531_200, 1_735_689_600  # 2023 and 2024
    assert loans.timestamps.min() >= first
    assert loans.timestamps.max() < after
    assert len(np.unique(loans.timestamps)) > 0.99 * len(loans)


def test_books_are_told_apart_and_look_like_books(shop):
    books = shop.items
    assert books.columns == ["item", "title", "genre", "shelf", "author", "year", "price"]
    assert books.schema["year"] == pl.Int64
    assert books.schema["price"] == pl.Float64
    assert books["title"].n_unique() == 800
    assert books["genre"].n_unique() == 10
    assert (books["shelf"].n_unique(), books["author"].n_unique()) == (40, 200)
    assert set(books["shelf"].value_counts()["count"]) == {20}
    assert set(books["author"].value_counts()["count"]) == {4}
    assert books["year"].is_between(1950, 2022).all()
    assert books["price"].is_between(4.99, 29.49).all()
    titles = books["title"]
    assert not titles.str.contains(r"[{}|]|  |\bThe The\b|\bA [AEIOU]").any()
    assert (titles.str.strip_chars() == titles).all()
    # An author keeps to one shelf, and ids tell nothing of genres.
    assert books.group_by("author").agg(pl.col("shelf").n_unique())["shelf"].max() == 1
    assert (books["genre"][1:] == books["genre"][:-1]).sum() < 160


def test_readers_keep_to_their_shelves_and_popularity_is_skewed(shop):
    loans, shelf = shop.interactions, shop.items["shelf"].to_numpy()
    of_loan = np.array(shop.shelves)[shop.tastes[loans.users]]
    share = (of_loan == shelf[loans.items][:, None]).mean(axis=0)
    assert share[0] > 0.2
    assert ((share[1:] > 0.15) & (share[1:] < share[0])).all()
    assert share.sum() < 0.7  # the rest follows no taste, or a wider one
    counts = np.sort(np.bincount(loans.items))[::-1]
    assert counts[:80].sum() > 0.15 * counts.sum()


def test_a_model_finds_the_shelves(shop):
    split = tm.split_per_user(shop.interactions, test=0.2, seed=0)
    ease = tm.EASE().fit(split.train)
    popular = tm.Popularity().fit(split.train)
    found = tm.evaluate(ease, split)["ndcg@10"]
    assert found > 4 * tm.evaluate(popular, split)["ndcg@10"]
    model = tm.CentroidML(dim=32, epochs=5, temperature=0.2).fit(split.train)
    shelf = dict(shop.items.select("item", "shelf").iter_rows())
    near = model.similar_items(model.item_ids.values, k=5)
    same = [shelf[a] == shelf[b] for a, b in near.select("item", "similar").iter_rows()]
    assert np.mean(same) > 0.6


def test_by_name_in_python(shop, tmp_path, monkeypatch):
    monkeypatch.setenv("TRIMETRIC_CACHE", str(tmp_path))
    monkeypatch.delenv("TRIMETRIC_DATA", raising=False)
    loaded = tm.datasets.load("bookshop")
    assert loaded.fingerprint == shop.interactions.fingerprint
    assert loaded.name == "bookshop"
    assert tm.Interactions.of("bookshop", timestamp=False).timestamps is None
    assert tm.datasets.load("planted").fingerprint == (
        tm.synthetic.planted().interactions.fingerprint
    )
    assert tm.datasets.items("bookshop").equals(shop.items)
    assert tm.datasets.titles("bookshop").columns == ["item", "title"]
    assert tm.datasets.items("planted") is None
    for name in ("bookshop", "planted"):
        with pytest.raises(DataError, match=f"{name} has no ratings"):
            tm.datasets.load(name, min_rating=4)
    with pytest.raises(DataError, match="did you mean 'bookshop'"):
        tm.datasets.load("bookshp")
    # What a person puts there under that name is theirs.
    pl.DataFrame({"user": ["a"], "item": ["x"]}).write_parquet(tmp_path / "bookshop.parquet")
    assert len(tm.datasets.load("bookshop")) == 1
    assert tm.datasets.items("bookshop") is None


def test_its_items_as_a_table(shop, tmp_path, monkeypatch):
    monkeypatch.setenv("TRIMETRIC_CACHE", str(tmp_path))
    monkeypatch.delenv("TRIMETRIC_DATA", raising=False)
    assert item_tables.read("bookshop").equals(shop.items)
    with pytest.raises(DataError, match="items of data set 'ml_1m' are not on this machine"):
        item_tables.read("ml_1m")
    with pytest.raises(DataError, match="'bookshp'; did you mean 'bookshop'"):
        item_tables.read("bookshp")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bookshop").mkdir()  # a model, perhaps
    assert item_tables.read("bookshop").equals(shop.items)
    (tmp_path / "bookshop").rmdir()
    pl.DataFrame({"item": ["x"], "title": ["mine"]}).write_csv(tmp_path / "bookshop")
    assert item_tables.read("bookshop")["title"].to_list() == ["mine"]


def test_on_the_command_line(tmp_path):
    told = done("data", "inspect", "bookshop", cwd=tmp_path)
    assert "1,500" in told
    assert "2023-01-0" in told
    listed = done("data", "list", cwd=tmp_path)
    assert listed.index("bookshop") < listed.index("ml_1m")
    assert "grouplens.org" in listed
    said = refused("fit", "bookshop", "--min-rating", 4, "--out", "m", cwd=tmp_path)
    assert "bookshop has no ratings; leave --min-rating out" in said
    said = refused("data", "inspect", "ml_100k", cwd=tmp_path)
    assert "https://grouplens.org/datasets/movielens/100k/" in said
    assert environment()["TRIMETRIC_CACHE"] == "/nowhere"
