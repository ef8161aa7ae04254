"""The passes over a log in order, with what an earlier run has finished left out."""

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from trimetric.data.ids import Vocabulary
from trimetric.data.repeats import BY_TIME
from trimetric.data.rules import Rules
from trimetric.engine.threads import thread_count
from trimetric.errors import (
    CheckpointMismatch,
    DataError,
    Interrupted,
    MissingExtra,
    OutputError,
    ParameterError,
    TrimetricError,
)
from trimetric.progress import EVERY
from trimetric.scale.division import check_sizes
from trimetric.scale.log_facts import LogFacts
from trimetric.scale.numbering import Holdout, PartTask, counted, number_part, remove_rows
from trimetric.scale.pair_files import PairsTask, digest, number_items, write_pairs
from trimetric.scale.prepared import FORMAT, INDEX, PLAN, VERSION, Prepared
from trimetric.scale.spilling import SpillTask, read_json, spill, write_json
from trimetric.storage.atomic import output_errors
from trimetric.storage.published import publish
from trimetric.storage.store import Store

Run = Callable[[Callable[[Any], dict], list[Any]], Iterable[dict]]
OURS = ("users", "pairs", "valid", "test", "work", "items.parquet", INDEX)


def locally(function: Callable[[Any], dict], tasks: list[Any]) -> Iterator[dict]:
    """Run tasks in this process: two files at a time, and one user part."""
    workers = min(2, thread_count(), len(tasks)) if function is spill else 1
    if workers < 2:
        yield from map(function, tasks)
        return
    with ThreadPoolExecutor(workers) as pool:
        try:
            yield from pool.map(function, tasks)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


@dataclass
class Job:
    """One call of `prepare`: the passes over a log, and what an earlier call left of them.

    Parameters
    ----------
    folder : Path
        Where the result goes, or is made where it goes to a store.
    plan : dict
        What the result depends on, as JSON values.
    tasks : list of SpillTask
        Of the first pass.
    rules : Rules
    holdout : Holdout
    source : str
        What errors call the log.
    run : callable
        See `prepare`.
    log : callable
        Takes lines that tell how far it is.
    store : Store, optional
        Where the result is published.
    """

    folder: Path
    plan: dict[str, Any]
    tasks: list[SpillTask]
    rules: Rules
    holdout: Holdout
    source: str
    run: Run
    log: Callable[[str], None]
    store: Store | None = None

    @property
    def work(self) -> Path:
        """The folder of what is not finished."""
        return self.folder / "work"

    @property
    def n_parts(self) -> int:
        """The number of user parts."""
        return self.plan["partitions"]

    def run_all(self, resume: bool) -> Prepared:
        """Run what is left, and return what was prepared."""
        if self._is_finished(resume):
            return self._published()
        try:
            with self._kept_on_failure():
                results = self._read()
            facts = LogFacts(results, self.rules, self.source)
            facts.check_values()
            left = sum(sum(result["rows"]) for result in results)
            if self.n_parts > left:  # so that there are fewer users, too
                raise ParameterError(
                    f"partitions must be at most the number of users and of items, got"
                    f" {self.n_parts:,} for {left:,} interactions"
                )
            self._write(facts, results)
        except (DataError, ParameterError) as error:
            if not isinstance(error, _Kept):
                self._remove()
            raise
        except OutputError as error:
            raise OutputError(f"{error}; then go on with resume=True") from error
        except KeyboardInterrupt:
            raise _interrupted(self.folder) from None
        shutil.rmtree(self.work, ignore_errors=True)
        return self._published()

    def _published(self) -> Prepared:
        """Return what was prepared; where it goes to a store, it is published there first."""
        if self.store is None:
            return Prepared(self.folder)
        if (self.folder / INDEX).exists():
            self.log(f"copying {self.folder} to {self.store}")
            try:
                self.store.put(PLAN, json.dumps(self.plan).encode())
                publish(self.folder, self.store, INDEX)
            except OutputError as error:
                raise OutputError(f"{error}; then go on with resume=True") from error
            except KeyboardInterrupt:
                raise _interrupted(self.folder) from None
            shutil.rmtree(self.folder, ignore_errors=True)
        self.store.remove(PLAN)
        return Prepared(self.store.uri)

    def _is_finished(self, resume: bool) -> bool:
        """Make the folder, or see what an earlier run left in it or published."""
        finished, place = read_json(self.folder / INDEX), str(self.folder)
        if finished is None and self.store is not None:
            finished, place = json.loads(self.store.read(INDEX) or b"null"), str(self.store)
        if finished is not None:
            sizes = [piece.stamp[0] for task in self.tasks for piece in task.pieces if piece.stamp]
            _refuse_other_run(place, finished.get("plan", {}), self.plan)
            if finished.get("sizes") != sizes:
                raise CheckpointMismatch(
                    f"{place} was prepared from these files when they had other sizes;"
                    " choose another folder, or remove it"
                )
            shutil.rmtree(self.work, ignore_errors=True)
            self.log(f"{place} holds this log, prepared; nothing to do")
            return True
        before = read_json(self.folder / PLAN)
        if before is not None:
            _refuse_other_run(place, before, self.plan)
            if not resume:
                raise OutputError(
                    f"{self.folder} holds the same log, prepared in part; go on with resume=True,"
                    " or remove it"
                )
            return False
        with output_errors(self.folder):
            self.work.mkdir(parents=True, exist_ok=True)
            write_json(self.folder / PLAN, self.plan)
        return False

    @contextmanager
    def _kept_on_failure(self) -> Iterator[None]:
        """Keep what was read where a file fails after others were done."""
        try:
            yield
        except MissingExtra:
            self._remove()
            raise
        except DataError as error:
            if any(task.done() for task in self.tasks):
                raise _Kept(
                    f"{error}. The files read so far are kept in {self.folder}: once this one is"
                    " mended go on with resume=True, or else remove the folder"
                ) from None
            raise

    def _remove(self) -> None:
        for name in OURS:
            path = self.folder / name
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(True)
        if not any(self.folder.iterdir()):
            self.folder.rmdir()

    def _read(self) -> list[dict[str, Any]]:
        """Run the first pass, and again for files of whole-number ids that are text elsewhere."""
        numbered = any(self.work.glob("part-*.json"))
        left = [task for task in self.tasks if not task.done()]
        if left and numbered:
            raise _Kept(
                f"{left[0].pieces[0].name} has changed since it was read for {self.folder}; remove"
                " that folder to begin anew"
            )
        self._each(spill, left, "read", "file")
        results = [_result(task) for task in self.tasks]
        facts = LogFacts(results, self.rules, self.source)
        facts.check_forms()
        texts = facts.as_text
        again = [
            replace(task, kinds=texts)
            for task, result in zip(self.tasks, results, strict=True)
            if any(result["seen"]["ids"].get(role, "text") != "text" for role in texts)
        ]
        if again:
            self.log(f"ids are text in some files; {len(again):,} others are read again as text")
            self._each(spill, again, "read", "file")
            results = [_result(task) for task in self.tasks]
        return results

    def _write(self, facts: LogFacts, results: list[dict[str, Any]]) -> None:
        """Run the other passes, and write the index."""
        rule = self.rules.merging(facts.weighted)
        timed = "timestamp" in facts.columns and rule in BY_TIME
        runs = [(number, run) for number, r in enumerate(results) for run in range(r["runs"])]
        parts = [
            PartTask(
                part, tuple(runs), facts.kinds, facts.weighted, timed, rule, self.holdout,
                self.work, self.folder, self.source,
            )
            for part in range(self.n_parts)
        ]  # fmt: skip
        for part in parts:
            if part.done():
                remove_rows(self.work, part.part)
        self._each(number_part, [part for part in parts if not part.done()], "numbered", "part")
        numbered = [_result(part) for part in parts]
        duplicates = sum(one["duplicates"] for one in numbered)
        if duplicates and self.rules.duplicates == "error":
            raise DataError(
                f"{self.source} repeats {duplicates:,} (user, item) pairs;"
                " duplicates='last' keeps the latest of each, or merges them as repeats= says"
            )
        if not sum(one["pairs"] for one in numbered):
            raise DataError(f"{self.source}: all interactions are held out; ask for smaller shares")
        items = number_items(parts, self.work, self.folder)
        n_users, n_items = sum(one["users"] for one in numbered), sum(items["counts"])
        check_sizes(self.n_parts, n_users, n_items)
        pairs = [PairsTask(part, self.n_parts) for part in parts]
        self._each(write_pairs, [one for one in pairs if not one.done()], "written", "part")
        digests = [_result(one)["digest"] for one in pairs]
        ids = pl.read_parquet(self.folder / "items.parquet", columns=["id"])["id"]
        digests.append(digest(Vocabulary(ids).to_arrays()))
        index = {
            "format": FORMAT,
            "version": VERSION,
            "partitions": self.n_parts,
            "ids": facts.kinds,
            "weighted": counted(rule, facts.weighted),
            "user_counts": [one["users"] for one in numbered],
            "item_counts": items["counts"],
            "pair_counts": [one["pairs"] for one in numbered],
            "fingerprint": hashlib.sha256("\n".join(digests).encode()).hexdigest(),
            "held_out": {
                "valid": sum(one["valid"] for one in numbered),
                "test": sum(one["test"] for one in numbered),
                "users_without_other_pairs": sum(one["cold_users"] for one in numbered),
                "items_without_other_pairs": items["cold_items"],
            },
            "report": asdict(facts.report(duplicates)),
            "sizes": [
                piece.stamp[0] for task in self.tasks for piece in task.pieces if piece.stamp
            ],
            "plan": self.plan,
        }
        with output_errors(self.folder):
            write_json(self.folder / INDEX, index)

    def _each(self, function: Callable, tasks: list[Any], done: str, noun: str) -> None:
        """Run tasks, and tell every few seconds how far they are."""
        began = told = time.monotonic()
        rows = 0
        for n, result in enumerate(self.run(function, tasks), 1):
            rows += result["counts"]["rows"] if "counts" in result else result.get("rows", 0)
            now = time.monotonic()
            if now - told >= EVERY or n == len(tasks):
                speed = f"  {rows / max(now - began, 1e-9):,.0f} rows/s" if rows else ""
                self.log(f"{noun} {n:,} of {len(tasks):,} {done}{speed}")
                told = now


class _Kept(DataError):
    """A file failed, and what was read of others is kept."""


def _interrupted(folder: Path) -> Interrupted:
    return Interrupted(
        f"interrupted; saved in {folder}: run the same command with --resume to go on"
    )


def _result(task: Any) -> dict[str, Any]:
    """Return the result of a task that was run."""
    found = task.done()
    if found is None:
        raise TrimetricError(f"{task.record} is missing, though its task was run; begin anew")
    return found


def _refuse_other_run(place: str, before: dict[str, Any], plan: dict[str, Any]) -> None:
    differing = [name for name in plan if before.get(name) != plan[name]]
    if differing:
        name = differing[0]
        raise CheckpointMismatch(
            f"{place} holds what a run with other {', '.join(differing)} made ({name}:"
            f" {_short(before.get(name))} there, {_short(plan[name])} now); run with the same,"
            " choose another folder, or remove it"
        )


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:60]}..."
