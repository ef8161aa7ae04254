"""Lists made elsewhere: read from a frame or a file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Self, Unpack

import numpy as np
import polars as pl

from trimetric import keywords
from trimetric.data import in_memory, names, readers
from trimetric.data.baskets import by_item, is_list
from trimetric.data.build import parted
from trimetric.data.clean import typed
from trimetric.data.form import NAMES, Form, FormOptions
from trimetric.errors import DataError, ParameterError
from trimetric.storage import places

if TYPE_CHECKING:
    from trimetric.data.ids import Vocabulary

Column = str | Literal[False] | None


@dataclass(frozen=True, eq=False)
class RankedLists:
    """A list of items for each user, best first, with original ids.

    Made with `of` from a frame or a file, with `from_dict` from {user: items} or {user: {item:
    score}}.

    Attributes
    ----------
    users, items : polars.Series
        Int64 or String, one entry for each place of a list; the entries of a user stand in the
        order of the list.
    ordered_by : str
        "rank", "score" or "order given".
    name : str
        The file, or what the lists are called in results.
    text : bool
        Whether the ids were read from text, where whole numbers may be meant as text.
    notes : tuple of str
        What a reader of figures must know of how the lists were read.
    """

    users: pl.Series
    items: pl.Series
    ordered_by: str
    name: str
    text: bool = False
    notes: tuple[str, ...] = ()

    @classmethod
    @keywords.takes(Form)
    def of(
        cls,
        source: Any,
        *,
        user: str = "user",
        item: str = "item",
        rank: Column = None,
        score: Column = None,
        name: str | None = None,
        **form: Unpack[FormOptions],
    ) -> Self:
        """Read lists from a frame or a file.

        Parameters
        ----------
        source : path, polars, pandas or pyarrow frame, mapping of columns, or RankedLists
            A file is one that `Interactions.read` takes. One row for each place of a list, or a row
            for each user whose `item` is a list, best first.
        user, item : str
            The columns of the ids. Where there is no column of the default's name, the one whose
            name usually means it is taken, such as user_id, and said in `notes`.
        rank, score : str, False or None
            The column that orders each list: the least rank first, or the highest score first,
            ties by the order of rows. Only the order of ranks matters: they may begin at 0, and
            have gaps. Unless given, a column `rank` is taken if there is one, else `score`.
            False ignores such a column; with both False the order of rows is that of the lists.
        name : str, optional
            What to call the lists in results; the name of the file unless given.
        **form
            Of files: the fields of `Form`, as for `Interactions.read`; lists have no times. A run
            of TREC is read by `format="csv", separator=" ", header=False, user="1", item="3",
            score="5"`.

        Raises
        ------
        DataError
            The file cannot be read, a column is missing, an id, rank or score is missing or no
            number, or there are no rows.
        """
        if name is not None:
            keywords.check_text("name", name)
        if isinstance(source, cls):
            return source if name is None else replace(source, name=name)
        wanted = {"user": user, "item": item, "rank": rank, "score": score}
        path = places.given(source, "lists")
        where = str(path) if path else name or "lists"
        if path is not None and os.path.exists(path / "model.json"):
            raise ParameterError(f"{path} is a saved model: give trimetric.load({str(path)!r})")

        existing, usual = list[str](), dict[str, str]()

        def pick(columns: list[str]) -> dict[str, str]:
            existing[:] = columns
            usual.clear()
            usual.update(_usual(wanted, columns, where))
            return _columns({**wanted, **usual}, columns, where, isinstance(source, Mapping))

        _, written = parted(dict(form), NAMES)
        if path is not None:
            table = readers.read(path, pick, written)
            raw, text = table.frame, table.text
        elif written != Form():
            option = next(n for n, value in vars(written).items() if value != getattr(Form, n))
            raise ParameterError(f"{option} is for files, and {where} is none")
        else:
            raw, text = in_memory.load(source, pick, where), False
        by = next((role for role in ("rank", "score") if role in raw.columns), None)
        if by is None and not (rank is False and score is False) and not is_list(raw["item"].dtype):
            raise DataError(
                f"{where} has no column rank or score to order the lists by; columns:"
                f" {_shown(existing)}; name one with rank= or score=, or give rank=False and"
                " score=False if the rows of each user are in order"
            )
        raw, where, _, _ = by_item(raw, where, {"item": item})
        if not raw.height:
            raise DataError(f"{where} has no rows; give one for each place of a list")
        frame, _ = typed(raw.select("user", "item"), where, text)
        for role in ("user", "item"):
            _refuse_missing(frame[role].is_null(), where, str(wanted[role]), "no value")
        if by is not None:
            numbers = _numbers(raw[by], where, wanted[by] or by, written.decimal)
            frame = _sorted(frame, numbers, by == "score")
        label = name or (path.name if path else "lists")
        notes = tuple(f"{role}s from column {c!r}" for role, c in usual.items())
        return cls(frame["user"], frame["item"], by or "order given", label, text, notes)

    @classmethod
    def from_dict(cls, lists: Mapping[Any, Any], *, name: str | None = None) -> Self:
        """Take the lists of a mapping.

        Parameters
        ----------
        lists : mapping
            {user: item ids, best first} or {user: {item id: score}}, the highest score first, ties
            by the order of the mapping, as pytrec_eval and ranx take runs.
        name : str, optional
            What to call the lists in results.

        Raises
        ------
        ParameterError
            `lists` is no mapping.
        DataError
            A list is none, such as a set, which has no order, only some users have scores, a score
            is no number, or ids are of mixed or unusable types.
        """
        if not isinstance(lists, Mapping):
            raise ParameterError(f"expected {{user: items}}, got a {type(lists).__name__}")
        if name is not None:
            keywords.check_text("name", name)
        where = name or "lists"
        users, items, scores = list[Any](), list[Any](), list[Any]()
        for user, ids in lists.items():
            if isinstance(ids, str | bytes | Set) or not isinstance(ids, Iterable):
                raise DataError(f"{where}: the list of {user!r} is none but {ids!r:.60}")
            one = list(ids)
            pair = next((item for item in one if isinstance(item, tuple | list)), None)
            if pair is not None:
                raise DataError(
                    f"{where}: the list of {user!r} holds {pair!r:.60}, which is no id; give"
                    " {item: score}, such as dict(pairs), or the items alone, best first"
                )
            users += [user] * len(one)
            items += one
            scores += ids.values() if isinstance(ids, Mapping) else ()
        if scores and len(scores) < len(items):
            raise DataError(f"{where}: some users have scores, others have none; give all or none")
        columns = {"user": users, "item": items, **({"score": scores} if scores else {})}
        return cls.of(columns, rank=False, score=None if scores else False, name=name)

    def rows(self, user_ids: Vocabulary, item_ids: Vocabulary) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows of users and of items in these vocabularies, int32, -1 where unknown.

        Raises
        ------
        DataError
            Ids are of another type, and were not read from text.
        """
        return (
            _encode("user", self.users, user_ids, self.name, self.text),
            _encode("item", self.items, item_ids, self.name, self.text),
        )


def _usual(wanted: Mapping[str, Any], existing: list[str], where: str) -> dict[str, str]:
    """Return {role: column} of ids whose column was not named, by the names it usually has."""
    found = {}
    for role in ("user", "item"):
        if wanted[role] in (None, role) and role not in existing:
            near = names.candidates(role, existing)
            if len(near) > 1:
                shown = " or ".join(map(repr, near))
                raise DataError(
                    f"{where} has no column {role!r}; it may be {shown}: say which with {role}="
                )
            if near:
                found[role] = near[0]
    return found


def _columns(
    wanted: Mapping[str, Any], existing: list[str], where: str, mapping: bool
) -> dict[str, str]:
    columns: dict[str, str] = {}
    for role, column in wanted.items():
        if column is False and role in ("user", "item"):
            raise ParameterError(f"{role} must be the name of a column, got False")
        order = role in ("rank", "score")
        absent = column is None and order and (role not in existing or "rank" in columns)
        if column is False or absent:
            continue
        if role == "score" and "rank" in columns and wanted["rank"] is None:
            del columns["rank"]  # the one that was asked for decides
        name = role if column is None else column
        if not isinstance(name, str):
            raise ParameterError(f"{role} must be the name of a column, got {name!r}")
        if name not in existing:
            hint = f"name the column with {role}="
            if mapping and role == "user":
                hint += ", or give RankedLists.from_dict({user: items, best first})"
            raise DataError(f"{where} has no column {name!r}; columns: {_shown(existing)}; {hint}")
        if name in columns.values() and role not in ("rank", "score"):
            raise ParameterError(f"{where}: column {name!r} is given two roles; name another one")
        columns[role] = name
    if "rank" in columns and "score" in columns:
        raise ParameterError(f"{where}: give rank or score to order the lists by, not both")
    return columns


def _shown(columns: list[str]) -> str:
    return ", ".join(repr(column) for column in columns[:20]) + (", ..." if columns[20:] else "")


def _numbers(series: pl.Series, where: str, column: str, decimal: str) -> pl.Series:
    if not (series.dtype.is_numeric() or series.dtype in (pl.String, pl.Null)):
        raise DataError(
            f"{where}: column {column!r} holds {series.dtype}; a list is ordered by numbers"
        )
    pointed = series
    if decimal == "," and series.dtype == pl.String:
        pointed = series.str.replace(".", "?", literal=True).str.replace(",", ".", literal=True)
    numbers = pointed.cast(pl.Float64, strict=False)
    bad = numbers.is_null() | numbers.is_nan()
    if bad.any():
        row = int(bad.arg_max() or 0)
        value = "no value" if series[row] is None else f"{series[row]!r}, not a number,"
        comma = decimal == "." and "," in str(series[row])
        hint = "; if the comma is a decimal sign, give decimal=','" if comma else ""
        _refuse_missing(bad, where, column, value, hint)
    return numbers


def _refuse_missing(bad: pl.Series, where: str, column: str, what: str, hint: str = "") -> None:
    if bad.any():
        row = int(bad.arg_max() or 0)
        raise DataError(
            f"{where}: column {column!r} holds {what} in row {row + 1} ({bad.sum():,} such rows);"
            f" mend or remove them{hint}"
        )


def _sorted(frame: pl.DataFrame, by: pl.Series, descending: bool) -> pl.DataFrame:
    """Order rows by a number; ties stay in the order given."""
    values = by.to_numpy()
    return frame[np.argsort(-values if descending else values, kind="stable")]


def _encode(
    side: str, ids: pl.Series, vocabulary: Vocabulary, name: str, exchangeable: bool
) -> np.ndarray:
    kind = "str" if ids.dtype == pl.String else "int"
    if kind != vocabulary.kind:
        if not exchangeable:
            raise DataError(
                f"{name}: the {side} ids are {kind}, those of the data are {vocabulary.kind}; give"
                " ids of the same type"
            )
        if kind == "int":
            ids = ids.cast(pl.String)
        else:
            numbers = ids.cast(pl.Int64, strict=False)
            exact = numbers.cast(pl.String).eq_missing(ids)
            ids = numbers.set(~exact, None)
    return vocabulary.encode(ids)
