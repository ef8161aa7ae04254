"""Answers while the model changes in another thread: each is of the old model or of the new one."""

import contextlib
import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import polars as pl
import pytest
from campaign import note, sizes

import trimetric as tm
from trimetric.data.csr import Csr
from trimetric.data.ids import Vocabulary
from trimetric.errors import Unsupported
from trimetric.models.recommender import Recommender
from trimetric.space.known import Known

PLANTED = tm.synthetic.planted(80, 60, dim=4, clusters=4, per_user=8, seed=1).interactions
ROWS = tm.Interactions.from_arrays(PLANTED.users, PLANTED.items)
USERS = ROWS.user_ids.values.to_list()
ITEMS = ROWS.item_ids.values.to_list()
USER, ITEM = USERS[-1], ITEMS[-1]  # in last rows, which move when earlier ones are forgotten
DAY = ([-7, USERS[3]], [ITEMS[5], -9])  # ids before all others: every row moves


def made(kind: str) -> Recommender:
    settings = {"dim": 8, "epochs": 2, "seed": 0, "temperature": 0.2}
    known = tm.create(kind).get_params()
    model = tm.create(kind, **{n: v for n, v in settings.items() if n in known})
    return model.fit(ROWS, progress=False)


def answers(model: Recommender) -> dict[str, Callable[[], Any]]:
    """Return what is asked, each by a call whose answers can be compared."""
    asked: dict[str, Callable[[], Any]] = {
        "recommend": lambda: model.recommend([USER], 5).rows(),
        "score": lambda: model.score([(USER, ITEM)]).tolist(),
        "known": lambda: _history(model.known),
        "repr": lambda: repr(model),
        "unavailable": lambda: model.unavailable.to_list(),
    }
    if "similar items" in model.capabilities:
        asked["similar_items"] = lambda: model.similar_items([ITEM], 5).rows()
    if "similar users" in model.capabilities:
        asked["similar_users"] = lambda: model.similar_users([USER], 5).rows()
    if "fold-in" in model.capabilities:
        asked["recommend_for"] = lambda: model.recommend_for([ITEM], 5).rows()
    if "metric space" in model.capabilities:
        asked["users"] = lambda: model.user_embeddings.tobytes()
        asked["items"] = lambda: model.item_embeddings.tobytes()
        asked["explain"] = lambda: model.explain(USER, ITEM).sentence()
        asked["fold_in"] = lambda: model.fold_in([ITEM]).tobytes()
    for name in properties(model):
        asked[name] = lambda name=name: plain(getattr(model, name))
    return asked


def _history(known: Known) -> list[int]:
    row = int(known.user_ids.encode([USER])[0])
    return known.item_ids.decode(known.items_of(row)).to_list()


def properties(model: Recommender) -> list[str]:
    """Return the names of all public properties that the model has."""
    kind = type(model)
    names = [n for n in dir(kind) if n[0] != "_" and isinstance(getattr(kind, n), property)]
    return [name for name in names if _has(model, name)]


def _has(model: Recommender, name: str) -> bool:
    try:
        getattr(model, name)
    except Unsupported:
        return False
    return True


def plain(value: Any) -> Any:
    """Return what can be compared."""
    if isinstance(value, np.ndarray):
        return value.shape, value.tobytes()
    if isinstance(value, Vocabulary):
        return value.values.to_list()
    if isinstance(value, pl.Series):
        return value.to_list()
    if isinstance(value, dict | list | float | int | str | None):
        return repr(value)
    if isinstance(value, Csr):
        return value.indptr.tobytes(), value.items.tobytes()
    if isinstance(value, Known):
        return plain(value.seen), plain(value.user_ids), plain(value.item_ids)
    return type(value)


def tensors(model: Recommender) -> dict[str, bytes]:
    return {name: one.tobytes() for name, one in model.tensors().items()}


def allowed_of(
    model: Recommender, states: list[Any], asked: dict[str, Callable[[], Any]]
) -> dict[str, list[Any]]:
    """Return the answers of each state; the model is left in the first."""
    allowed: dict[str, list[Any]] = {name: [] for name in asked}
    for state in states:
        model._fitted = state
        for name, ask in asked.items():
            allowed[name].append(ask())
    model._fitted = states[0]
    return allowed


@contextlib.contextmanager
def asking(
    asked: dict[str, Callable[[], Any]], allowed: dict[str, list[Any]], n_threads: int
) -> Iterator[Counter[str]]:
    """Ask from threads, which share the questions, while the block runs; all answers are allowed.

    Yields the number of answers by question.
    """
    done, wrong, counts = threading.Event(), [], Counter[str]()
    names, lock = list(asked), threading.Lock()

    def ask_on(number: int) -> None:
        first = number % len(names)
        for name in itertools.cycle(names[first:] + names[:first]):
            if done.is_set():
                return
            try:
                found = asked[name]()
            except Exception as error:
                found = error
            if found not in allowed[name]:
                wrong.append((name, found))
                return
            with lock:
                counts[name] += 1

    threads = [threading.Thread(target=ask_on, args=(n,)) for n in range(n_threads)]
    for one in threads:
        one.start()
    try:
        yield counts
        ends = time.monotonic() + 120
        while len(counts) < len(names) and not wrong and time.monotonic() < ends:
            time.sleep(0.01)
    finally:
        done.set()
        for one in threads:
            one.join(60)
    assert wrong == []
    assert len(counts) == len(names)


def race(model: Recommender, states: list[Any], asked: dict[str, Callable[[], Any]]) -> None:
    """Ask from threads while the model goes through states; each answer is that of one."""
    with asking(asked, allowed_of(model, states, asked), len(asked)) as counts:
        ends = time.monotonic() + 120
        for turn in itertools.count():
            model._fitted = states[turn % len(states)]
            enough = len(counts) == len(asked) and min(counts.values()) >= 5
            if (turn >= 100 and enough) or time.monotonic() > ends:
                break


def changed(model: Recommender) -> list[Any]:
    """Return the states of a model before and after the changes that it can take."""
    states = [model._fitted]
    before = model.snapshot()
    before.forget(users=[USERS[0], USERS[4]], items=[ITEMS[0]])
    states.append(before._fitted)
    with contextlib.suppress(Unsupported):
        states.append(model.snapshot().partial_fit(DAY, epochs=1, progress=False)._fitted)
    marked = model.snapshot().set_unavailable([ITEMS[7]])
    return [*states, marked._fitted]


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", ["centroid", "sml", "bpr", "ials", "ease", "popularity", "lrml", "transcf"]
)
def test_an_answer_is_of_one_state(kind: str) -> None:
    model = made(kind)
    race(model, changed(model), {**answers(model), "tensors": lambda: tensors(model)})


@pytest.mark.parametrize("rounds", sizes(3, 100))
@pytest.mark.parametrize("kind", ["centroid", "sml", "ease", "bpr"])
def test_sixteen_threads_ask_while_it_changes(kind: str, rounds: int) -> None:
    """As above, with the changes themselves running rather than their results put in place."""
    model = made(kind)
    asked = {**answers(model), "tensors": lambda: tensors(model)}
    first = model._fitted

    def changes(model: Recommender) -> Iterator[Any]:
        with contextlib.suppress(Unsupported):
            model.partial_fit(DAY, epochs=1, progress=False)
            yield model._fitted
        model.forget(users=[USERS[0]], items=[ITEMS[0]])
        yield model._fitted
        model.set_unavailable([ITEMS[7]])
        yield model._fitted

    states = [first, *changes(model.snapshot())]
    with asking(asked, allowed_of(model, states, asked), 16) as counts:
        for _ in range(rounds):
            for _ in changes(model):
                pass
            model._fitted = first
    note(
        f"16 threads ask {kind} while it changes",
        changes=rounds * len(states), answers=counts.total(),
    )  # fmt: skip
