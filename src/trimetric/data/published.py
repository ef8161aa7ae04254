"""The official files of the public data sets, in the formats in which they are published."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from trimetric.data import readers
from trimetric.data.json_rows import json_lines
from trimetric.errors import DataError


@dataclass(frozen=True)
class Published:
    """A data set as published: its title, its files, how to read them, and where it is."""

    title: str
    files: str
    read: Callable[[Path], pl.DataFrame]
    url: str = ""


def load_published(name: str, folder: Path) -> pl.DataFrame:
    """Read the official files of a data set: columns user, item (, rating, timestamp, split)."""
    return PUBLISHED[name].read(folder)


def movielens_100k(folder: Path) -> pl.DataFrame:
    """Read u.data: user, item, rating and Unix seconds, separated by tabs."""
    return _fields(_file(folder, "u.data"), "\t", ("user", "item", "rating", "timestamp"))


def movielens_1m(folder: Path) -> pl.DataFrame:
    """Read ratings.dat: user::item::rating::seconds."""
    return _fields(_file(folder, "ratings.dat"), "::", ("user", "item", "rating", "timestamp"))


def yelp_core40(folder: Path) -> pl.DataFrame:
    """Read ratings.txt: user, item and rating, separated by tabs."""
    return _fields(_file(folder, "rating*.txt"), "\t", ("user", "item", "rating"))


def amazon_5core(folder: Path) -> pl.DataFrame:
    """Read reviews_*_5.json.gz: one review per line."""
    path = _file(folder, "*.json.gz", "*.json")
    names = {
        "user": "reviewerID",
        "item": "asin",
        "rating": "overall",
        "timestamp": "unixReviewTime",
    }

    def pick(columns: list[str]) -> dict[str, str]:
        absent = sorted(set(names.values()) - set(columns))
        if absent:
            raise DataError(f"{path}: the reviews have no field {absent[0]!r}")
        return names

    return json_lines(_bytes(path), str(path), pick)


def citeulike(folder: Path) -> pl.DataFrame:
    """Read users.dat: line u (from 0) is the number of user u's articles, then the articles."""
    path = _file(folder, "users.dat")
    lines = _numbers(path)
    for number, line in enumerate(lines, 1):
        if len(line) and line[0] != len(line) - 1:
            raise DataError(
                f"{path}: line {number} says {line[0]} articles and holds {len(line) - 1}"
            )
    return _adjacency([line[1:] for line in lines])


def lightgcn(folder: Path) -> pl.DataFrame:
    """Read train.txt, test.txt and, if there, valid.txt: a user, then its items, in each line."""
    parts = []
    for part in ("train", "valid", "test"):
        if part != "valid" or (folder / "valid.txt").is_file():
            lines = [line for line in _numbers(_file(folder, f"{part}.txt")) if len(line)]
            users = np.array([line[0] for line in lines], dtype=np.int64)
            frame = _adjacency([line[1:] for line in lines], users)
            parts.append(frame.with_columns(split=pl.lit(part)))
    return pl.concat(parts)


def imdb_tang2015(folder: Path) -> pl.DataFrame:
    """Read imdb.train.txt.ss, imdb.dev.txt.ss and imdb.test.txt.ss: see `tang_2015`."""
    return tang_2015(folder, "imdb")


def yelp2013_tang2015(folder: Path) -> pl.DataFrame:
    """Read yelp-2013-seg-20-20.train.ss, .dev.ss and .test.ss: see `tang_2015`."""
    return tang_2015(folder, "yelp-2013")


def tang_2015(folder: Path, name: str) -> pl.DataFrame:
    r"""Read the files of a set whose names hold train, dev and test.

    A line is user\t\tproduct\t\trating\t\ttext. The archive has three sets in one folder:
    where several would do, those are taken whose names begin with `name`.
    """
    parts = []
    for part, word in (("train", "train"), ("valid", "dev"), ("test", "test")):
        path = _of_set(folder, word, name)
        frame = _fields(path, "\t\t", ("user", "item", "rating"), rest=True)
        ids = pl.col("user", "item").cast(pl.String)  # also where those of one part are numbers
        parts.append(frame.with_columns(ids, split=pl.lit(part)))
    return pl.concat(parts)


def _of_set(folder: Path, word: str, name: str) -> Path:
    found = sorted(p for p in folder.glob(f"*{word}*") if p.is_file())
    named = [path for path in found if path.name.lower().startswith(name)]
    if len(named or found) == 1:
        return (named or found)[0]
    if found:
        listed = ", ".join(path.name for path in (named or found))
        raise DataError(
            f"{folder} holds several files that could be the {word} part of {name}: {listed};"
            " leave one of them there"
        )
    return _file(folder, f"*{word}*")


def published_titles(name: str, folder: Path) -> pl.DataFrame | None:
    """Read columns item and title from the official files of MovieLens, None where there are none.

    They are in ISO 8859-1, one film per line: id, title and more, between bars or double colons.
    """
    kind = {"ml_100k": ("u.item", "|"), "ml_1m": ("movies.dat", "::")}.get(name)
    if kind is None or not (folder / kind[0]).is_file():
        return None
    path, separator = folder / kind[0], kind[1]
    lines = [line for line in _bytes(path).decode("latin-1").split("\n") if line.strip()]
    cells = [line.split(separator)[:2] for line in lines]
    for number, fields in enumerate(cells, 1):
        if len(fields) < 2 or not fields[0].isdecimal():
            raise DataError(f"{path}: line {number} must be an id, {separator!r}, a title")
    return pl.DataFrame(
        {"item": [int(item) for item, _ in cells], "title": [title.strip() for _, title in cells]},
        schema={"item": pl.Int64, "title": pl.String},
    )


def _file(folder: Path, *patterns: str) -> Path:
    for pattern in patterns:
        paths = sorted(p for p in folder.glob(pattern) if p.is_file())
        if paths:
            return paths[0]
    raise DataError(f"{folder} holds no {' or '.join(patterns)}; put the official files there")


def _bytes(path: Path) -> bytes:
    data = readers.contents(path)
    if not data.strip():
        raise DataError(f"{path} is empty; fetch it again")
    return data


def _fields(path: Path, separator: str, names: tuple[str, ...], rest: bool = False) -> pl.DataFrame:
    """Split each line at the separator; with `rest`, what follows the named fields is left out.

    Ids and times become Int64 where all are whole numbers; ratings are Float64.
    """
    try:
        lines = _bytes(path).decode().split("\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text ({error}); fetch it again") from None
    cells = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            fields = line.rstrip("\r").split(separator)
            if len(fields) < len(names) or (len(fields) > len(names) and not rest):
                raise DataError(
                    f"{path}: line {number} has {len(fields)} fields, expected {len(names)}"
                    f" separated by {separator!r}"
                )
            cells.append([field.strip() for field in fields[: len(names)]])
    columns = {}
    for name, values in zip(names, zip(*cells, strict=True), strict=True):
        text = pl.Series(values, dtype=pl.String)
        numbers = text.cast(pl.Float64 if name == "rating" else pl.Int64, strict=False)
        whole = numbers.null_count() == 0
        if name == "rating" and not whole:
            at = int(numbers.is_null().arg_max() or 0)
            raise DataError(
                f"{path}: line {at + 1} without counting blank lines: the rating must be a number,"
                f" got {values[at]!r}"
            )
        exact = name == "rating" or (whole and (numbers.cast(pl.String) == text).all())
        columns[name] = numbers if whole and exact else text
    return pl.DataFrame(columns)


def _numbers(path: Path) -> list[np.ndarray]:
    lines = []
    for number, line in enumerate(_bytes(path).splitlines(), 1):
        try:
            lines.append(np.array(line.split(), dtype=np.int64))
        except ValueError:
            raise DataError(f"{path}: line {number} must hold whole numbers") from None
    return lines


def _adjacency(lists: list[np.ndarray], users: np.ndarray | None = None) -> pl.DataFrame:
    lengths = [len(items) for items in lists]
    owners = np.arange(len(lists), dtype=np.int64) if users is None else users
    return pl.DataFrame({"user": np.repeat(owners, lengths), "item": np.concatenate(lists)})


PUBLISHED = {
    "amazon_instant_video_5core": Published(
        "Amazon product data 2014, Amazon Instant Video, 5-core (J. McAuley, UCSD)",
        "reviews_Amazon_Instant_Video_5.json.gz",
        amazon_5core,
        "https://jmcauley.ucsd.edu/data/amazon/",
    ),
    "ml_100k": Published(
        "GroupLens MovieLens 100K",
        "u.data",
        movielens_100k,
        "https://grouplens.org/datasets/movielens/100k/",
    ),
    "ml_1m": Published(
        "GroupLens MovieLens 1M",
        "ratings.dat",
        movielens_1m,
        "https://grouplens.org/datasets/movielens/1m/",
    ),
    "citeulike_a": Published(
        "CiteULike-a (Wang, Chen, Li; IJCAI 2013)",
        "users.dat",
        citeulike,
        "https://github.com/js05212/citeulike-a",
    ),
    "citeulike_t": Published(
        "CiteULike-t (Wang, Chen, Li; IJCAI 2013)",
        "users.dat",
        citeulike,
        "https://github.com/js05212/citeulike-t",
    ),
    "gowalla_lightgcn": Published(
        "LightGCN's Gowalla data (He et al., SIGIR 2020)",
        "train.txt and test.txt",
        lightgcn,
        "https://github.com/gusye1234/LightGCN-PyTorch",
    ),
    "yelp_core40": Published(
        "Yelp 40-core sample (Mansoury et al., 2019)",
        "ratings.txt",
        yelp_core40,
        "https://github.com/masoudmansoury/yelp_core40",
    ),
    "imdb_tang2015": Published(
        "IMDB reviews of Tang, Qin and Liu (ACL 2015)",
        "imdb.train.txt.ss, imdb.dev.txt.ss and imdb.test.txt.ss",
        imdb_tang2015,
    ),
    "yelp2013_tang2015": Published(
        "Yelp 2013 reviews of Tang, Qin and Liu (ACL 2015)",
        "yelp-2013-seg-20-20.train.ss, .dev.ss and .test.ss",
        yelp2013_tang2015,
    ),
}
