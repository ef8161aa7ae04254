"""A naive twin of `engine.gradients`: SGD in float64, its gradients by finite differences."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import reference

import trimetric as tm
from trimetric import counter
from trimetric.data.csr import Csr
from trimetric.engine import rng
from trimetric.engine.compile import kernel
from trimetric.engine.session import Session
from trimetric.engine.threads import ThreadTeam

SGD = {"dim": 5, "batch_size": 16, "optimizer": "sgd", "schedule": "constant", "lr": 0.1, "seed": 3}
"""Settings that the twin follows."""

Loss = Callable[[range, np.ndarray, np.ndarray], float]
"""(samples, table, weights) -> the loss of a mini-batch."""


def interactions(n_users: int = 9, n_items: int = 12) -> tm.Interactions:
    """Return random pairs; the last user has every item, and the one before lacks one."""
    has = np.random.default_rng(0).random((n_users, n_items)) < 0.4
    has |= np.eye(n_users, n_items, dtype=bool)
    has[-1] = True
    has[-2] = np.arange(n_items) != 4
    return tm.Interactions.from_arrays(*np.nonzero(has))


def some_pool(data: tm.Interactions) -> Csr:
    """Return a pool of a few items for each user, of all for user 0 and of none for user 1."""
    offered = np.random.default_rng(1).random((data.n_users, data.n_items)) < 0.4
    offered[0], offered[1] = True, False
    return Csr.from_pairs(*np.nonzero(offered), data.n_users)


@cache
def _planted() -> tm.Split:
    made = tm.synthetic.planted(400, 200, dim=4, clusters=8, per_user=12, spread=0.15, seed=3)
    return tm.split_per_user(made.interactions, test=0.2, valid=0.1)


def fitted(kind: type, epochs: int, **given: Any) -> Any:
    """Return a model trained on a planted set that is easily learned."""
    return kind(dim=16, epochs=epochs, **given).fit(_planted().train)


def quality(model: Any) -> float:
    """Return NDCG@10 of a `fitted` model on the test part."""
    return tm.evaluate(model, _planted()).metrics["ndcg@10"]


def lengths(kind: type, **given: Any) -> np.ndarray:
    """Return how long the vectors are after a few large steps from a wide start."""
    data = tm.synthetic.planted(60, 40, dim=4, per_user=6, seed=1).interactions
    model = kind(dim=8, epochs=3, lr=2, init_std=1, **given).fit(data)
    return np.linalg.norm(np.concatenate([model.user_vectors, model.item_vectors]), axis=1)


@kernel
def _fill_order(out, order):
    for i in range(len(out)):
        out[i] = rng.shuffled(i, order)


def places(session: Session, epoch: int) -> list[int]:
    """Return where each sample of an epoch goes in its random order."""
    out = np.empty(session.samples, dtype=np.int64)
    key = counter.key(session.settings.seed, reference.ORDER, epoch)
    _fill_order(out, rng.order(key, len(out)))
    return out.tolist()


def draws(session: Session, epoch: int) -> np.uint64:
    """Return the key of an epoch's negatives."""
    return counter.key(session.settings.seed, reference.DRAWS, epoch)


def negative(
    key: np.uint64, sample: int, user: int, data: tm.Interactions, pool: Csr | None
) -> int | None:
    """Return the negative item of a sample."""
    owned = set(data.items[data.indptr[user] : data.indptr[user + 1]].tolist())
    offered = None
    if pool is not None:
        offered = pool.items[pool.indptr[user] : pool.indptr[user + 1]].tolist()
    return reference.uniform_negative(key, sample, owned, data.n_items, offered)


def triplets(
    session: Session, data: tm.Interactions, pool: Csr | None, epoch: int
) -> list[tuple[int, int, int] | None]:
    """Return the rows (u, v, v⁻) of each sample that is a positive with one negative."""
    key, made = draws(session, epoch), list[Any]()
    for sample, place in enumerate(places(session, epoch)):
        user, item = int(data.users[place]), int(data.items[place])
        drawn = negative(key, sample, user, data, pool)
        rows = (user, data.n_users + item, data.n_users + (drawn or 0))
        made.append(None if drawn is None else rows)
    return made


def run_epoch(session: Session, epoch: int = 0) -> None:
    with ThreadTeam(1) as team:
        assert session.run(epoch, 0, team, lambda batch: False) == session.n_batches


def follow(model: Any, session: Session, loss: Loss, radius: float = 1.0) -> tuple[np.ndarray, ...]:
    """Return table, weights and loss after an epoch of SGD from where the session stands.

    What the session was given is not looked at: all settings are the model's own.
    """
    config, total = model.config, 0.0
    clip = getattr(config, "clip", np.inf)
    table = session.state.table[:, : config.dim].astype(np.float64)
    weights = session.state.weights.astype(np.float64)
    for start in range(0, session.samples, config.batch_size):
        samples = range(start, min(start + config.batch_size, session.samples))
        total += loss(samples, table, weights)
        slopes = [numeric(lambda: loss(samples, table, weights), of) for of in (table, weights)]  # noqa: B023
        for row, slope in zip(table, slopes[0], strict=True):
            slope *= min(1, clip / max(np.linalg.norm(slope), 1e-30))
            row[:] = reference.projected(row - config.lr * slope, radius, False)
        weights -= config.lr * slopes[1]
    return table, weights, np.float64(total)


def started(seed: int, n_rows: int, columns: int, std: float, radius: float = np.inf) -> np.ndarray:
    """Return the embeddings that training starts from, users first: N(0, std²), in the ball."""
    drawn = std * counter.normal(counter.key(seed, reference.START), (n_rows, columns))
    return np.stack([reference.projected(row, radius, False) for row in drawn])


def numeric(function: Callable[[], float], at: np.ndarray, step: float = 1e-6) -> np.ndarray:
    """Return ∂function/∂at by central differences; `at` is what the function reads."""
    slope, flat = np.zeros_like(at), at.reshape(-1)
    for i in range(len(flat)):
        value, sides = flat[i], []
        for moved in (value + step, value - step):
            flat[i] = moved
            sides.append(function())
        flat[i] = value
        slope.reshape(-1)[i] = (sides[0] - sides[1]) / (2 * step)
    return slope
