"""Splits of interactions into train, valid and test.

Every random choice comes from `trimetric.counter`, keyed by the seed and the kind of split and
numbered by the position of the pair in the sorted data. So a split is the same for every version
of NumPy, every machine, and every order of the rows in the file. Each function takes Interactions,
or what `Interactions.of` reads: a frame, a path, a data set's name.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Unpack

import numpy as np
import polars as pl

from trimetric import counter, notebook
from trimetric.data.build import WEIGHTS_MARK
from trimetric.data.combine import LEAST_RATING
from trimetric.data.ids import Vocabulary
from trimetric.data.interactions import Interactions, ReadOptions
from trimetric.data.labels import LABELS, TEST, TRAIN, VALID, codes, unknown
from trimetric.data.repeats import within
from trimetric.errors import DataError, OutputError, ParameterError
from trimetric.keywords import check_seed, check_switch, is_one_of, plain
from trimetric.storage import places
from trimetric.storage.atomic import output_errors, replacing, replacing_folder

RANDOM, PER_USER, LEAVE_ONE_OUT = 101, 102, 103
LEAST_HELD = 100  # fewer held-out pairs are too few to select by
PARTS = ("train", "valid", "test")
FILES = (*PARTS, "history")
_NOT_HOW = ("name", "out", "fingerprint")  # of split.json


@dataclass(frozen=True, eq=False)
class Split:
    """The parts of a split; all share the vocabularies of the whole data.

    Parts that were split elsewhere become one by `of`.

    Attributes
    ----------
    train, test : Interactions
    valid : Interactions or None
        None if its share is 0, or nothing could be held out.
    how : dict
        Method, settings, seed, the number of pairs of each part and their shares of the whole.
        Plain values, fit for JSON. Empty unless given.
    history : Interactions or None
        Of a split by users alone: what the users of the test part are folded in by.
    """

    train: Interactions
    valid: Interactions | None
    test: Interactions
    how: dict[str, Any] = field(default_factory=dict)
    history: Interactions | None = None

    @classmethod
    def of(cls, train: Any, valid: Any, test: Any, **options: Unpack[ReadOptions]) -> Split:
        """Take parts that were split elsewhere, as published ones are.

        Parameters
        ----------
        train, test : path, frame, Interactions, or what else `Interactions.of` reads
        valid : the same, or None
        **options
            How they are read, as for `Interactions.read`: the names of columns, for instance.

        Raises
        ------
        DataError
            A part cannot be read, or its ids are of another type than those of train.
        """
        given = {"train": train, "valid": valid, "test": test}
        parts = {
            part: Interactions.of(data, **options)
            for part, data in given.items()
            if data is not None or part != "valid"
        }
        for part, data in parts.items():
            for side in ("user", "item"):
                kinds = [getattr(p, f"{side}_ids").kind for p in (parts["train"], data)]
                if kinds[0] != kinds[1]:
                    raise DataError(
                        f"{part}: the {side} ids are {kinds[1]}, those of train are {kinds[0]};"
                        " give ids of the same type"
                    )
        pairs = {part: len(parts[part]) if part in parts else 0 for part in given}
        return cls._of({"method": "given", "pairs": pairs}, parts)

    @classmethod
    def _of(cls, how: dict[str, Any], parts: dict[str, Interactions]) -> Split:
        """Make a split of parts by name, which are brought to the ids of all of them."""
        user_ids, item_ids = (
            Vocabulary.from_values(pl.concat([getattr(p, side).values for p in parts.values()]))
            for side in ("user_ids", "item_ids")
        )
        parts = {part: data.align(user_ids, item_ids)[0] for part, data in parts.items()}
        valid, history = parts.get("valid"), parts.get("history")
        return cls(parts["train"], valid, parts["test"], how, history)

    def _sizes(self) -> dict[str, int]:
        """Return the number of pairs of each part: those of `how`, or if it has none, counted."""
        if "pairs" in self.how:
            return self.how["pairs"]
        names = PARTS if self.history is None else FILES
        parts = {name: getattr(self, name) for name in names}
        return {name: 0 if part is None else len(part) for name, part in parts.items()}

    def __iter__(self) -> Iterator[Interactions | None]:
        """Give the parts: `train, valid, test = split`."""
        return iter((self.train, self.valid, self.test))

    def __repr__(self) -> str:
        sizes = ", ".join(f"{part} {n:,}" for part, n in self._sizes().items())
        return f"Split({self.how.get('method', 'given')}: {sizes})"

    def _repr_html_(self) -> str:
        """Show the parts and how they were made."""
        pairs = self._sizes()
        rows = [(part, n, n / sum(pairs.values())) for part, n in pairs.items()]
        settings = ", ".join(f"{k}={v}" for k, v in self.how.items() if not isinstance(v, dict))
        table = notebook.table(("part", "pairs", "share"), rows)
        return notebook.card("Split", {}, table, notebook.note(settings))

    def save(self, folder: str | Path, about: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Write train.parquet, valid.parquet, test.parquet and split.json; `load` reads them.

        A split by users has history.parquet too.

        All files appear at once; an earlier split in the folder is replaced.

        Parameters
        ----------
        folder : path
            Made if absent, with its parents.
        about : mapping, optional
            More JSON values for split.json, which holds `how` and the name of the data.

        Returns
        -------
        dict
            The content of split.json.

        Raises
        ------
        OutputError
            The folder cannot be written, or holds other files; what was there is intact.
        """
        folder = places.output(folder, "folder")
        _refuse_other_files(folder)
        document = {**(about or {}), "name": self.train.name, **self.how, "pairs": self._sizes()}
        with output_errors(folder), replacing_folder(folder) as fresh:
            for name in FILES:
                part = getattr(self, name)
                if part is not None:
                    frame = part.to_frame().drop("split", strict=False)
                    marks = {WEIGHTS_MARK: "weight"} if part.weights is not None else None
                    with replacing(fresh / f"{name}.parquet") as out:
                        frame.write_parquet(out, metadata=marks)
            with replacing(fresh / "split.json") as out:
                out.write(json.dumps(document, indent=2).encode())
        return document

    @classmethod
    def load(cls, folder: str | Path) -> Split:
        """Read what `save` wrote.

        Raises
        ------
        DataError
            A file is missing or damaged.
        """
        folder = places.source(folder, "folder")
        try:
            document = json.loads((folder / "split.json").read_bytes())
            name, sizes = document["name"], document["pairs"]
            how = {key: value for key, value in document.items() if key not in _NOT_HOW}
            files = [part for part in FILES if sizes.get(part)]
            if not {"train", "test"} <= set(files):
                raise ValueError
        except OSError as error:
            raise DataError(
                f"{folder / 'split.json'} cannot be read: {error.strerror}; give a folder that"
                " Split.save or `trimetric data split` wrote"
            ) from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise DataError(f"{folder / 'split.json'} is not that of a split") from None
        return cls._of(how, {part: _read_part(folder / f"{part}.parquet", name) for part in files})


def _read_part(path: Path, name: str) -> Interactions:
    """Read a part that `Split.save` wrote: times are seconds, and ratings were accepted before."""
    options: ReadOptions = {"time_format": "s"}
    with suppress(pl.exceptions.PolarsError, OSError):  # which is told of below
        if "rating" in pl.read_parquet_schema(path):
            options["min_rating"] = LEAST_RATING
    return Interactions.read(path, **options).changed(name=name)


def split_random(
    data: Interactions, *, test: float = 0.1, valid: float = 0.1, seed: int = 0
) -> Split:
    """Hold out random pairs, leaving each user and each item at least one in train.

    A random order of all pairs is drawn; the first `test` share is the test part, the next `valid`
    share the validation part. Then each user without a pair in train gets back the last of its
    pairs in that order, and after that each item likewise, so the parts can fall short of their
    shares: `how["shares"]` tells what was achieved.

    Parameters
    ----------
    data : Interactions
    test, valid : float
        Shares of all pairs, rounded down; test > 0, valid >= 0, test + valid < 1. The SML paper's
        protocol (9:1, then a tenth of train) is test=.1, valid=.09.
    seed : int

    Raises
    ------
    ParameterError
        If a share is out of range.
    DataError
        If no pair can be held out.
    """
    test, valid = _shares(test, valid)
    data = Interactions.of(data)
    n = len(data)
    seed = check_seed(seed)
    order = counter.permutation(counter.key(seed, RANDOM), n)
    rank = np.empty(n, dtype=np.int64)
    rank[order] = np.arange(n)
    n_test, n_valid = _floor(test, n), _floor(valid, n)
    part = np.where(rank < n_test, TEST, np.where(rank < n_test + n_valid, VALID, TRAIN))
    put_back = 0
    for rows, count in ((data.users, data.n_users), (data.items, data.n_items)):
        in_train = np.zeros(count, dtype=bool)
        in_train[rows[part == TRAIN]] = True
        last = np.full(count, -1)
        last[rows[order]] = order  # of the pairs of a row, the one latest in the order stays
        needed = last[~in_train & (last >= 0)]
        part[needed] = TRAIN
        put_back += len(needed)
    settings = {"test": test, "valid": valid, "seed": seed, "put_back": put_back}
    return parts_of(data, part, "random", settings)


def hold_out(data: Interactions, share: float) -> Split | None:
    """Hold out random pairs as the test part, for early stopping or to select settings.

    Returns
    -------
    Split or None
        None if fewer than `LEAST_HELD` pairs can be held out.

    Raises
    ------
    ParameterError
        `share` is not above 0 and below 1.
    """
    try:
        split = split_random(data, test=share, valid=0)
    except DataError:
        return None
    return split if len(split.test) >= LEAST_HELD else None


def split_per_user(
    data: Interactions, *, test: float = 0.2, valid: float = 0.2, seed: int = 0
) -> Split:
    """Hold out a share of each user's pairs.

    The n pairs of a user are put in a random order and cut at floor((1 - test - valid) * n), but
    not before the first, and at floor((1 - test) * n): train, validation, test. So what rounding
    leaves over is tested, as in the 60/20/20 protocol of DPCML (Bao et al., NeurIPS 2022). A user
    with one pair has nothing held out, and an item may occur in a held-out part alone.

    Parameters
    ----------
    data : Interactions
    test, valid : float
        Shares of each user's pairs; test > 0, valid >= 0, test + valid < 1.
    seed : int

    Raises
    ------
    ParameterError
        If a share is out of range.
    DataError
        If no user has enough pairs to hold one out.
    """
    test, valid = _shares(test, valid)
    data = Interactions.of(data)
    seed = check_seed(seed)
    drawn = counter.bits(counter.key(seed, PER_USER), np.arange(len(data)))
    place, count = _places(data, np.lexsort((drawn, data.users)))
    first = np.maximum(_floor(1 - test - valid, count), 1)
    second = np.maximum(_floor(1 - test, count), first)
    part = np.where(place < first, TRAIN, np.where(place < second, VALID, TEST))
    return parts_of(data, part, "per-user", {"test": test, "valid": valid, "seed": seed})


def split_leave_one_out(data: Interactions, *, valid: bool = True, seed: int = 0) -> Split:
    """Hold out the last pair of each user for test, and the one before for validation.

    "Last" is by timestamp if there are timestamps, pairs of one time being put in a random order;
    without timestamps the whole order is random. Train keeps at least one pair of each user: a
    user with one pair has nothing held out, a user with two has no validation pair.

    Raises
    ------
    ParameterError
        If `valid` is neither True nor False, or `seed` no whole number.
    DataError
        If no user has two pairs.
    """
    check_switch("valid", valid)
    data = Interactions.of(data)
    valid, seed = bool(valid), check_seed(seed)
    drawn = counter.bits(counter.key(seed, LEAVE_ONE_OUT), np.arange(len(data)))
    timed = data.timestamps is not None
    by = (drawn, data.timestamps, data.users) if timed else (drawn, data.users)
    place, count = _places(data, np.lexsort(by))  # type: ignore[arg-type]
    from_last = count - 1 - place
    part = np.full(len(data), TRAIN)
    part[(from_last == 0) & (count >= 2)] = TEST
    if valid:
        part[(from_last == 1) & (count >= 3)] = VALID
    settings = {"last_by": "timestamp" if timed else "chance", "valid": valid, "seed": seed}
    return parts_of(data, part, "leave-one-out", settings)


def split_temporal(
    data: Interactions,
    *,
    test: float = 0.1,
    valid: float = 0.1,
    repeats: Literal["leave-out", "keep"] = "leave-out",
) -> Split:
    """Hold out the latest rows of all, by two cuts in time.

    The test part begins at the time of the first of the latest floor(test * n) rows, the
    validation part at that of the first of the latest floor((test + valid) * n). Rows of one
    time are never parted: they all go to the later side, so a part can exceed its share.

    Where the log repeats pairs, it is cut first and then merged inside each part: a pair belongs
    to the part of its first row, with the weight, rating and time of its rows in that part. Its
    later rows are left out and counted in `how["repeats_left_out"]`. With `repeats="keep"` a pair
    is in each part that it has rows in, to ask what users take again: see `exclude_seen` of
    `evaluate`. `how["repeats_kept"]` then counts the pairs of valid and test that an earlier part
    has too.

    Raises
    ------
    ParameterError
        If a share is out of range, or `repeats` is none of its values.
    DataError
        If there are no timestamps, too few pairs to hold one out, or nothing before the cut.
    """
    test, valid = _shares(test, valid)
    if not is_one_of(repeats, ("leave-out", "keep")):
        raise ParameterError(f"repeats must be leave-out or keep, got {repeats!r}")
    data = Interactions.of(data)
    if data.timestamps is None:
        raise DataError(
            f"{data.name} has no timestamps, which a temporal split needs;"
            " name their column with timestamp=, or split at random"
        )
    rows = data.repeated
    times = first = data.timestamps
    if rows is not None:
        once = np.ones(len(data), dtype=bool)
        once[rows.pairs] = False
        times = np.concatenate([times[once], rows.timestamps])
        first = first.copy()
        np.minimum.at(first, rows.pairs, rows.timestamps)
    ordered, n = np.sort(times), len(times)
    held, both = _floor(test, n), _floor(test + valid, n)
    part = np.full(len(data), TRAIN)
    starts = {}
    for code, name, size in ((VALID, "valid", both if valid else 0), (TEST, "test", held)):
        if size:
            starts[f"{name}_from"] = int(ordered[n - size])
            part[first >= ordered[n - size]] = code
    settings: dict[str, Any] = {"test": test, "valid": valid, **starts}
    if repeats == "keep":
        stops = [starts.get("valid_from", starts.get("test_from", np.inf))]
        stops += [starts.get("test_from", np.inf), np.inf]
        parts, kept = _in_windows(data, stops)
        settings |= {"repeats": "keep", "repeats_kept": kept}
        return _assembled(data, parts, "temporal", settings)
    if rows is not None:
        cuts = sorted(starts.values())
        ends = np.array([cuts[0] if cuts else np.inf, cuts[-1] if cuts else np.inf, np.inf])
        keep = rows.timestamps < ends[part[rows.pairs]]
        settings["repeats_left_out"] = int((~keep).sum())
        timestamps, ratings, weights, repeated = within(
            data.timestamps, data.ratings, data.weights, rows, keep
        )
        data = data.changed(
            timestamps=timestamps, ratings=ratings, weights=weights, repeated=repeated
        )
    return parts_of(data, part, "temporal", settings)


def _in_windows(data: Interactions, ends: list[float]) -> tuple[list[Interactions], int]:
    """Return the pairs with rows in each stretch of time, merged from these rows alone.

    Parameters
    ----------
    data : Interactions
        With timestamps.
    ends : list of float
        Where each stretch ends, ascending.

    Returns
    -------
    parts : list of Interactions
    int
        How many pairs are in an earlier part too.
    """
    times, rows = data.timestamps, data.repeated
    assert times is not None
    once, had = np.ones(len(data), dtype=bool), np.zeros(len(data), dtype=bool)
    if rows is not None:
        once[rows.pairs] = False
    parts, again, begin = [], 0, -np.inf
    for end in ends:
        there, part = once & (times >= begin) & (times < end), data
        if rows is not None:
            inside = (rows.timestamps >= begin) & (rows.timestamps < end)
            there[rows.pairs[inside]] = True
            stamps, ratings, weights, several = within(
                times, data.ratings, data.weights, rows, inside
            )
            part = data.changed(
                timestamps=stamps, ratings=ratings, weights=weights, repeated=several
            )
        parts.append(part.take(there))
        again += int((had & there).sum())
        had |= there
        begin = end
    return parts, again


def split_column(data: Interactions) -> Split:
    """Use the split that the data ships in its `split` column.

    The labels are train, valid (or val, validation, dev) and test, in any case of letters; there
    need be no valid.

    Raises
    ------
    DataError
        If there is no such column, a label is unknown, or train or test is empty.
    """
    data = Interactions.of(data)
    if data.labels is None:
        raise DataError(f"{data.name} ships no split; name its column with split=, or split anew")
    return parts_of(data, _shipped_codes(data), "column", {})


def shipped_part(
    data: Interactions, part: Literal["train", "valid", "test"]
) -> Interactions | None:
    """Return a part of the split that the data ships, None if that part is empty.

    Data without a split column is all train. Users and items without a pair in the part are
    dropped from its vocabularies.

    Raises
    ------
    DataError
        If a label is unknown.
    """
    if data.labels is None:
        return data if part == "train" else None
    mask = _shipped_codes(data) == PARTS.index(part)
    return data.take(mask).compact() if mask.any() else None


def _shipped_codes(data: Interactions) -> np.ndarray:
    """Return TRAIN, VALID or TEST for each pair, by its label."""
    labels = np.asarray(data.labels)
    found = codes(labels)
    if found is None:
        first = unknown(np.unique(labels).tolist())[0]
        raise DataError(
            f"{data.name}: column 'split' holds {first!r}; it may hold {', '.join(LABELS)};"
            " if the column tells something else, split=False ignores it"
        )
    return found


def _refuse_other_files(folder: Path) -> None:
    ours = {*(f"{part}.parquet" for part in FILES), "split.json"}
    if folder.is_dir():
        other = sorted(path.name for path in folder.iterdir() if path.name not in ours)
        if other:
            raise OutputError(
                f"{folder} holds {other[0]}, which is not part of a split; choose another folder"
            )
    elif folder.exists():
        raise OutputError(f"{folder} is a file; choose a folder")


def parts_of(data: Interactions, part: np.ndarray, method: str, settings: dict[str, Any]) -> Split:
    """Make a split of a code, TRAIN, VALID or TEST, for each pair; others are left out."""
    parts = [data.take(part == code) for code in (TRAIN, VALID, TEST)]
    return _assembled(data, parts, method, settings)


def _assembled(
    data: Interactions, parts: list[Interactions], method: str, settings: dict[str, Any]
) -> Split:
    """Make a split of the parts train, valid and test of the data."""
    train, valid, test = parts
    if not len(test):
        raise DataError(
            f"{data.name}: the {method} split of {len(data):,} pairs leaves none for test;"
            " give more data or a larger share"
        )
    if not len(train):
        raise DataError(f"{data.name}: the {method} split leaves no pair for train")
    pairs = {"train": len(train), "valid": len(valid), "test": len(test)}
    shares = {name: round(n / len(data), 6) for name, n in pairs.items()}
    how = {"method": method, **settings, "pairs": pairs, "shares": shares}
    return Split(train, valid if len(valid) else None, test, how)


def _places(data: Interactions, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for each pair its place within its user under `order`, and its user's pairs."""
    place = np.empty(len(data), dtype=np.int64)
    place[order] = np.arange(len(data)) - data.indptr[data.users[order]]
    return place, np.diff(data.indptr)[data.users]


def _floor(share: float, count: Any) -> Any:
    """Round share * count down, but not below a whole number missed by rounding error."""
    floored = np.floor(share * np.asarray(count) + 1e-9).astype(np.int64)
    return int(floored) if np.ndim(floored) == 0 else floored


def _shares(test: float, valid: float) -> tuple[float, float]:
    """Return shares as plain numbers; raise ParameterError where they are none."""
    numbers = all(isinstance(share, int | float | np.number) for share in (test, valid))
    if not numbers or not (0 < test < 1 and 0 <= valid < 1 and test + valid < 1):
        raise ParameterError(
            "the shares must be test in (0, 1), valid in [0, 1), together below 1;"
            f" got test={test!r}, valid={valid!r}"
        )
    return plain(test), plain(valid)
