"""Who liked what: pairs of users and items with their original ids, read from anywhere."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, Unpack

import numpy as np
import polars as pl

from trimetric import keywords, notebook
from trimetric.data import build, combine
from trimetric.data.forks import check_threads
from trimetric.data.form import Form, FormOptions, ValueOptions
from trimetric.data.ids import Vocabulary
from trimetric.data.repeats import RepeatedRows, Rule
from trimetric.data.report import ReadReport
from trimetric.data.rules import RuleOptions, Rules
from trimetric.errors import DataError, ParameterError


class TableOptions(RuleOptions, ValueOptions):
    """Keyword arguments of `Interactions.from_frame`."""


class ReadOptions(RuleOptions, FormOptions):
    """Keyword arguments of `Interactions.read`."""


_ROLES_OF_ARRAYS = ("user", "item", "rating", "timestamp", "split", "event", "event_weights")
_NOTHING_READ = ReadReport(0)
_OF_FILES = ("format", "separator", "header", "quote", "escape", "encoding", "sheet")


@dataclass(frozen=True)
class AlignReport:
    """What `Interactions.align` left out because another vocabulary does not know it."""

    unknown_users: int
    unknown_items: int
    dropped: int


@dataclass(frozen=True, eq=False, init=False)
class Interactions:
    """Pairs of users and items, each pair once, in order of user and then item.

    `Interactions(data)` reads whatever `of` takes: a file, a frame, a matrix, arrays, the name of a
    data set. `read`, `from_frame`, `from_arrays` and `from_scipy` read one kind each.

    Parameters
    ----------
    data : path, data set's name, frame, scipy sparse matrix, arrays, rows, or Interactions
        See `of`.
    **options
        The fields of `Rules`, such as user="customer_id" and min_rating=4, and of `Form`.

    Attributes
    ----------
    user_ids, item_ids : Vocabulary
        The original ids; `users` and `items` hold row numbers of these.
    users, items : int32[n]
        Sorted by (user, item), without repeats. These arrays, and those below, are read-only.
    ratings : float32[n] or None
    timestamps : int64[n] or None
        Unix seconds.
    labels : str[n] or None
        The part of a shipped split that each pair belongs to.
    report : ReadReport
        What was read and what was left out.
    name : str
        The file or data set they came from.
    text : bool
        Whether the ids were read from text, where whole numbers may be meant as text: see `align`.
    weights : float32[n] or None
        How much each pair counts, above 0 and finite; None if each counts 1.
    repeated : RepeatedRows or None
        The rows of pairs that a log with times repeats, for `split_temporal`.
    """

    user_ids: Vocabulary
    item_ids: Vocabulary
    users: np.ndarray
    items: np.ndarray
    ratings: np.ndarray | None = None
    timestamps: np.ndarray | None = None
    labels: np.ndarray | None = None
    report: ReadReport = _NOTHING_READ
    name: str = "data"
    text: bool = False
    weights: np.ndarray | None = None
    repeated: RepeatedRows | None = None

    @keywords.takes(Rules, Form, leave=("drop_zeros",))
    def __init__(self, data: Any, **options: Unpack[ReadOptions]) -> None:
        vars(self).update(self.of(data, **options).__getstate__())

    @classmethod
    def from_rows(
        cls,
        user_ids: Vocabulary,
        item_ids: Vocabulary,
        users: np.ndarray,
        items: np.ndarray,
        **others: Any,
    ) -> Interactions:
        """Put pairs together that are in order already; nothing is checked.

        Parameters
        ----------
        user_ids, item_ids : Vocabulary
        users, items : int (n,)
            Rows of the vocabularies, sorted by (user, item), without repeats.
        **others
            The other attributes.
        """
        self = object.__new__(cls)
        given = {"user_ids": user_ids, "item_ids": item_ids, "users": users, "items": items}
        vars(self).update(given | others)  # the rest are defaults of the class
        self._read_only()
        return self

    def changed(self, **attributes: Any) -> Interactions:
        """Return interactions with some attributes replaced; nothing is checked."""
        return Interactions.from_rows(**(self.__getstate__() | attributes))

    def _read_only(self) -> None:
        check_threads()
        kinds = {"users": np.int32, "items": np.int32, "ratings": np.float32, "weights": np.float32}
        for name, values in self._arrays().items():
            # A view, so that the flag is set on it and not on an array of the caller's.
            view = np.ascontiguousarray(values, dtype=kinds.get(name)).view()
            view.flags.writeable = False
            object.__setattr__(self, name, view)

    def _arrays(self) -> dict[str, Any]:
        names = ("users", "items", "ratings", "timestamps", "labels", "weights")
        arrays = {name: getattr(self, name) for name in names}
        return {name: values for name, values in arrays.items() if values is not None}

    def __getstate__(self) -> dict[str, Any]:
        names = self.__dataclass_fields__
        return {name: value for name, value in vars(self).items() if name in names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._read_only()  # unpickled arrays are writeable

    @property
    def n_users(self) -> int:
        """The number of users in the vocabulary."""
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        """The number of items in the vocabulary."""
        return len(self.item_ids)

    def __len__(self) -> int:
        return len(self.users)

    def __repr__(self) -> str:
        extras = "".join(f", {name}" for name in self._arrays() if name not in ("users", "items"))
        notes = "".join(f"; {note}" for note in self.report.notes)
        return (
            f"Interactions({self.name}: {self.n_users:,} users x {self.n_items:,} items,"
            f" {len(self):,} pairs{extras}{notes})"
        )

    def _repr_html_(self) -> str:
        """Show counts, and the first pairs."""
        density = len(self) / max(1, self.n_users * self.n_items)
        facts = {"users": self.n_users, "items": self.n_items, "pairs": len(self)}
        first = self.take(np.arange(min(5, len(self)))).to_frame()
        shown = first.with_columns(pl.exclude("rating").cast(pl.String))  # ids are no quantities
        head = notebook.table(shown.columns, shown.rows()) if len(self) else ""
        return notebook.card(self.name, {**facts, "density": density}, head)

    @cached_property
    def indptr(self) -> np.ndarray:
        """int64[n_users + 1]: the pairs of user u are at indptr[u]..indptr[u + 1]."""
        counts = np.bincount(self.users, minlength=self.n_users)
        indptr = np.zeros(self.n_users + 1, dtype=np.int64)
        np.cumsum(counts, out=indptr[1:])
        indptr.flags.writeable = False
        return indptr

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over ids, pairs, ratings, timestamps and weights, whatever order they came in."""
        digest = hashlib.sha256()
        stored = {"users": self.users, "items": self.items}
        stored |= {f"user_{name}": a for name, a in self.user_ids.to_arrays().items()}
        stored |= {f"item_{name}": a for name, a in self.item_ids.to_arrays().items()}
        stored |= {"ratings": self.ratings, "timestamps": self.timestamps}  # type: ignore[dict-item]
        stored |= {"weights": self.weights}  # type: ignore[dict-item]
        for name, array in stored.items():
            if array is not None:
                little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
                digest.update(f"{name} {little.dtype.str} {little.size}\n".encode())
                digest.update(little.view(np.uint8).data)
        return digest.hexdigest()

    def take(self, keep: np.ndarray) -> Interactions:
        """Return some of the pairs, under the same vocabularies.

        Parameters
        ----------
        keep : bool[n] or int[...]
            A mask, or the positions to keep, 0..n-1, in any order.

        Raises
        ------
        ParameterError
            It is neither, or a position is out of range.
        """
        keep = np.asarray(keep)
        if keep.dtype != bool:
            if keep.size and (keep.dtype.kind not in "iu" or np.ndim(keep) != 1):
                raise ParameterError(f"keep must be a mask, or positions, got {keep!r:.80}")
            keep = np.unique(keep.astype(np.int64))
            if len(keep) and not 0 <= keep[0] <= keep[-1] < len(self):
                out = keep[0] if keep[0] < 0 else keep[-1]
                raise ParameterError(f"positions must lie in 0..{len(self) - 1:,}, got {out:,}")
        elif keep.shape != self.users.shape:
            raise ParameterError(f"a mask must have {len(self):,} values, got {keep.shape}")
        return self._at(keep)

    def _at(self, rows: np.ndarray) -> Interactions:
        """Return the pairs at `rows` (mask or positions) in that order, which must be sorted."""
        repeated = self.repeated
        if repeated is not None:
            rows = np.flatnonzero(rows) if rows.dtype == bool else rows
            positions = np.full(len(self), -1, dtype=np.int64)
            positions[rows] = np.arange(len(rows))
            repeated = repeated.moved(positions)
        arrays = {name: values[rows] for name, values in self._arrays().items()}
        return self.changed(**arrays, repeated=repeated)

    def compact(self) -> Interactions:
        """Drop the users and items without interactions from the vocabularies."""
        check_threads()
        user_ids, users = _used(self.user_ids, self.users)
        item_ids, items = _used(self.item_ids, self.items)
        return self.changed(user_ids=user_ids, item_ids=item_ids, users=users, items=items)

    def k_core(self, users: int = 1, items: int = 1) -> Interactions:
        """Keep users with at least `users` pairs and items with at least `items`, repeatedly.

        What is dropped lowers other counts, so this goes on until all that is left has enough;
        `k_core(users=5)` is the plain filter of users with five or more. Vocabularies are
        compacted.

        Raises
        ------
        ParameterError
            `users` or `items` is no whole number of at least 1.
        DataError
            If nothing is left.
        """
        keywords.check_count("users", users)
        keywords.check_count("items", items)
        keep, left = np.ones(len(self), dtype=bool), -1
        while keep.sum() != left:
            left = int(keep.sum())
            by_user = np.bincount(self.users[keep], minlength=self.n_users)
            by_item = np.bincount(self.items[keep], minlength=self.n_items)
            keep &= (by_user[self.users] >= users) & (by_item[self.items] >= items)
        if not left:
            raise DataError(
                f"{self.name}: no user has {users} interactions with items that have {items};"
                " ask for a smaller core"
            )
        below = self.report.below_core + len(self) - left
        return self.take(keep).compact().changed(report=replace(self.report, below_core=below))

    def align(self, user_ids: Vocabulary, item_ids: Vocabulary) -> tuple[Interactions, AlignReport]:
        """Express the pairs in other vocabularies, leaving out those with an unknown id.

        Whole numbers that were read from text are text where the other ids are: a part of a file
        may happen to hold nothing else.
        """
        self = self.in_kinds_of(user_ids, item_ids)
        to_user = user_ids.encode(self.user_ids.values)
        to_item = item_ids.encode(self.item_ids.values)
        keep = (to_user[self.users] >= 0) & (to_item[self.items] >= 0)
        used_users, used_items = np.unique(self.users), np.unique(self.items)
        report = AlignReport(
            unknown_users=int((to_user[used_users] < 0).sum()),
            unknown_items=int((to_item[used_items] < 0).sum()),
            dropped=int((~keep).sum()),
        )
        # Ids of one kind keep their order in every vocabulary, so the pairs stay sorted.
        part = self.take(keep)
        users, items = to_user[part.users], to_item[part.items]
        part = part.changed(user_ids=user_ids, item_ids=item_ids, users=users, items=items)
        return part, report

    def in_kinds_of(self, user_ids: Vocabulary, item_ids: Vocabulary) -> Interactions:
        """Return the pairs with whole-number ids as text where others are, if read from text."""
        if not self.text:
            return self
        changed: dict[str, Any] = {}
        for side, current, rows, other in (
            ("user", self.user_ids, self.users, user_ids),
            ("item", self.item_ids, self.items, item_ids),
        ):
            if current.kind == "int" and other.kind == "str":
                texts = current.values.cast(pl.String)
                ids = changed[f"{side}_ids"] = Vocabulary.from_values(texts)
                changed[f"{side}s"] = ids.encode(texts)[rows]
        if not changed:
            return self
        moved = self.changed(**changed)
        return moved._at(np.lexsort((moved.items, moved.users)))

    def to_frame(self) -> pl.DataFrame:
        """Return the pairs with their original ids.

        Columns user and item, and those the data has of rating, timestamp, split and weight.
        """
        check_threads()
        columns = {
            "user": self.user_ids.decode(self.users),
            "item": self.item_ids.decode(self.items),
            "rating": self.ratings,
            "timestamp": self.timestamps,
            "split": None if self.labels is None else self.labels.tolist(),
            "weight": self.weights,
        }
        return pl.DataFrame({name: c for name, c in columns.items() if c is not None})

    def to_pandas(self) -> Any:
        """Return the pairs as a pandas frame, with the columns of `to_frame`.

        Raises
        ------
        MissingExtra
            pandas is not installed.
        """
        return combine.to_pandas(self)

    def to_scipy(self, values: Literal["weights", "ratings", "timestamps"] | None = None) -> Any:
        """Return a scipy.sparse.csr_array of users by items, in the order of the vocabularies.

        Parameters
        ----------
        values : str, optional
            What its entries are; by default the weights, or ones without weights.

        Raises
        ------
        DataError
            The data has no such values.
        MissingExtra
            scipy is not installed.
        """
        return combine.to_scipy(self, values)

    def concat(self, *others: Interactions, repeats: Rule | None = None) -> Interactions:
        """Put this log and others together, over the union of their users and items.

        Parameters
        ----------
        *others : Interactions
            With the same of ratings, timestamps and labels. If any has weights, pairs of those
            without count 1.
        repeats : "latest", "first", "sum", "max" or "count", optional
            How pairs that are in several logs merge; by default as this log did with weights, and
            the latest without. Rows that a log with times had repeated are merged anew.

        Raises
        ------
        DataError
            The logs differ in what they have, or in the kind of their ids.
        ParameterError
            One of them is no Interactions, or `repeats` is none of these.
        """
        return combine.concat([self, *others], repeats)

    def filter(
        self,
        users: Iterable[Any] | None = None,
        items: Iterable[Any] | None = None,
        since: Any = None,
        until: Any = None,
        min_rating: float | None = None,
    ) -> Interactions:
        """Keep the pairs that fulfil all conditions; vocabularies are compacted.

        Parameters
        ----------
        users, items : sequence of ids, optional
        since, until : Unix seconds, datetime, or ISO date, optional
            From `since` on, and before `until`; without a zone in UTC. Repeated pairs are merged
            from their rows in that time.
        min_rating : float, optional

        Raises
        ------
        UnknownIds
            An id is not in the data.
        ParameterError
            `users` or `items` is a single id, a time is none, or `min_rating` is no number.
        DataError
            The data lacks times or ratings, or nothing is left.
        """
        return combine.select(self, users, items, since, until, min_rating)

    @classmethod
    def of(cls, data: Any, **options: Unpack[ReadOptions]) -> Interactions:
        """Make interactions of whatever is given.

        Parameters
        ----------
        data : path, data set's name, frame, scipy sparse matrix, arrays, rows, or Interactions
            A tuple of arrays is (users, items), (users, items, ratings) or with timestamps too; a
            list of tuples has them by rows, and a list of mappings has rows with names. Lists of
            paths, URIs and open files are read as `read` does. Interactions are returned as they
            are.
        **options
            As `read`, `datasets.load`, `from_frame`, `from_scipy` or `from_arrays` take them.
        """
        given: dict[str, Any] = dict(options)
        if isinstance(data, cls):
            if given:
                raise ParameterError(f"Interactions are already read; {sorted(given)} came late")
            return data
        if isinstance(data, str | os.PathLike):
            from trimetric.data import datasets

            text = os.fspath(data)
            if datasets.is_meant(text):
                return datasets.load(text, **given)
            return cls.read(data, **given)
        if isinstance(data, tuple) and not all(isinstance(one, str | os.PathLike) for one in data):
            return cls.from_arrays(*data, **given)
        first = data[0] if isinstance(data, list) and data else None
        if isinstance(first, tuple):
            return cls.from_arrays(*build.turned(data, "rows"), **given)
        if isinstance(first, Collection) and not isinstance(first, str | bytes):
            return cls.from_frame(data, **given)  # of mappings, or it refuses them
        if isinstance(data, tuple | list) or hasattr(data, "read"):
            return cls.read(data, **given)
        if hasattr(data, "tocoo"):
            return cls.from_scipy(data, **given)
        return cls.from_frame(data, **given)

    @classmethod
    @keywords.takes(Rules, Form, leave=("drop_zeros",))
    def read(cls, path: Any, **rules: Unpack[ReadOptions]) -> Interactions:
        """Read a file in one of the formats of `Form`, also packed: gzip, bzip2, zstd, xz or zip.

        What is not said of a file's form is found out and told in the report; what could be read
        in two ways is an error that names the option. Ids are kept exactly. In a text file an id
        column is int64 if every id comes back the same from it, else text, so "007" stays "007".
        Rows are counted from 1, without the header and blank lines.

        Parameters
        ----------
        path : str, path, open file, or list of these
            A file; a folder or a pattern such as "logs/*.csv", whose files are read one below the
            other (folders called name=value give a column); "-" for standard input; a URI such as
            s3://bucket/log.parquet.
        **rules
            The fields of `Rules`: user, item, rating, timestamp, split, weight, event,
            event_weights, min_rating, nulls, duplicates, repeats. For instance
            `read("likes.csv", user="userId", min_rating=4)`. A column of weights is only taken
            when it is named, or when `Split.save` wrote it. Also the fields of `Form`: format,
            separator, header, quote, escape, encoding, decimal, null, time_format, sheet.

        Raises
        ------
        DataError
            If the file is missing, empty, damaged or of an unknown kind; a column is missing; ids
            are of mixed types; a value is missing or a rating is not a finite number (unless
            nulls="drop"); ratings are negative without `min_rating`; or no row is left.
        """
        return cls.from_rows(**build.of_files(path, dict(rules))).compact()

    @classmethod
    @keywords.takes(Rules, Form, leave=("drop_zeros", *_OF_FILES))
    def from_frame(
        cls, frame: Any, *, name: str = "frame", **rules: Unpack[TableOptions]
    ) -> Interactions:
        """Read a polars, pandas or pyarrow table, a mapping of columns, or a list of mappings.

        `rules` are as for `read`. The ids keep the type they have: text stays text. Floats are
        accepted as ids only if all are whole and below 2^53, the form in which pandas holds ints
        beside missing values.
        """
        keywords.check_text("name", name)
        return cls.from_rows(**build.of_table(frame, name, dict(rules))).compact()

    @classmethod
    @keywords.takes(Rules, leave=("drop_zeros", *_ROLES_OF_ARRAYS))
    def from_arrays(
        cls,
        users: Any,
        items: Any,
        ratings: Any = None,
        timestamps: Any = None,
        *,
        weights: Any = None,
        name: str = "arrays",
        **rules: Unpack[RuleOptions],
    ) -> Interactions:
        """Read arrays or lists of one length: user ids, item ids, ratings, Unix seconds, weights.

        `rules` are min_rating, nulls, duplicates and repeats, as for `read`; weight="rating" takes
        the ratings as weights.
        """
        keywords.check_text("name", name)
        given = {"user": users, "item": items, "rating": ratings, "timestamp": timestamps}
        made = build.of_arrays({**given, "weight": weights}, name, dict(rules))
        return cls.from_rows(**made).compact()

    @classmethod
    @keywords.takes(Rules, leave=("drop_zeros", "duplicates", "repeats", *_ROLES_OF_ARRAYS))
    def from_scipy(
        cls, matrix: Any, user_ids: Any = None, item_ids: Any = None, **rules: Unpack[RuleOptions]
    ) -> Interactions:
        """Read a scipy sparse matrix of users by items, whose values are the ratings.

        Explicit zeros are dropped and counted, repeated entries are summed as scipy does. Users
        and items without any entry are left out.

        Parameters
        ----------
        matrix : scipy sparse matrix or array, shape (n_users, n_items)
        user_ids, item_ids : sequence, optional
            The ids of rows and columns; without them their numbers, from 0.
        **rules
            min_rating and nulls, as for `read`; weight="rating" takes the values as weights too.
        """
        return cls.from_rows(**build.of_matrix(matrix, user_ids, item_ids, dict(rules))).compact()


def _used(vocabulary: Vocabulary, rows: np.ndarray) -> tuple[Vocabulary, np.ndarray]:
    used = np.zeros(len(vocabulary), dtype=bool)
    used[rows] = True
    if used.all():
        return vocabulary, rows
    return Vocabulary(vocabulary.values.filter(used)), (np.cumsum(used) - 1)[rows]
