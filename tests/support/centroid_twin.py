"""The loss of `engine.centroids` in float64, and runs on its gradients by finite differences."""

from typing import Any

import numpy as np
from descents import draws, numeric, places

from trimetric import counter
from trimetric.engine import rng
from trimetric.engine.centroid_session import CentroidSettings, centroid_session
from trimetric.engine.compile import kernel
from trimetric.engine.negatives import positives
from trimetric.engine.session import Session

BASE = CentroidSettings(
    dim=4,
    batch_size=5,
    optimizer="rowwise-adagrad",
    lr=0.3,
    schedule="linear",
    epochs=4,
    seed=3,
    own=0.5,
    kappa=0.7,
    shrink=0.5,
    temperature=0.3,
    margin=0.2,
    candidates=6,
    own_rate=0.5,
    weight_rate=0.3,
    bias_rate=0.2,
)
NAMES = ("items", "own", "weights", "biases")

Has = np.ndarray
"""bool (n_users, n_items): who has which item."""


def uniform(key: int, shape: tuple[int, ...]) -> np.ndarray:
    """Return uniform numbers, the same to the last bit on every machine."""
    return counter.uniform(counter.key(key), np.arange(np.prod(shape))).reshape(shape)


def owners(n_users: int = 12, n_items: int = 10, share: float = 0.35, seed: int = 0) -> Has:
    """Draw who has what.

    User 0 has nothing, user 1 a single item, the last user every item, and the one before all but
    item 4, which nobody else has. The others have two items or more.
    """
    has = uniform(seed, (n_users, n_items)) < share
    for u in range(n_users):
        has[u, [u % 4, 5 + u % (n_items - 5)]] = True
    has[0] = has[1] = has[:, 4] = False
    has[1, 2] = has[-2, np.arange(n_items) != 4] = has[-1] = True
    return has


def make_session(settings: CentroidSettings, has: Has, pool: Has | None = None) -> Session:
    """Return a session at a start at random, weights and biases too."""
    users, items = (side.astype(np.int32) for side in np.nonzero(has))
    listed = None
    if pool is not None:
        listed = rows_of(pool), np.nonzero(pool)[1].astype(np.int32)
    data = positives(users, items, rows_of(has), listed)
    session = centroid_session(settings, data, has.shape[1])
    session.state.weights[:] = 0.5 + 1.5 * uniform(90, has.shape[1:])
    session.state.items[:, settings.dim] = 1.2 * uniform(91, has.shape[1:]) - 0.6
    return session


def rows_of(has: Has) -> np.ndarray:
    """Return where the items of each user begin."""
    return np.concatenate([[0], np.cumsum(has.sum(axis=1))]).astype(np.int64)


@kernel
def _fill_order(out, order):
    for i in range(len(out)):
        out[i] = rng.shuffled(i, order)


def candidates_of(session: Session, epoch: int, block: int) -> np.ndarray:
    """Return J: the beginning of the block's own random order of the catalogue."""
    n_items, size = len(session.state.items), int(session.params.candidates)
    if size == n_items:
        return np.arange(n_items)
    key = counter.bits(draws(session, epoch), np.array([block]))[0]
    out = np.zeros(n_items, dtype=np.int64)
    _fill_order(out, rng.order(key, n_items))
    return out[:size]


def unit(x: np.ndarray, least: float = 0.0) -> np.ndarray:
    """Divide rows by their lengths, which count as `least` at least."""
    return x / np.maximum(np.sqrt((x**2).sum(axis=-1, keepdims=True)), max(least, 1e-300))


class Twin:
    """A run in float64 that starts where a session is."""

    def __init__(self, session: Session, has: Has, pool: Has | None = None) -> None:
        state, self.session, self.settings = session.state, session, session.settings
        s = self.settings
        self.has, self.pool = has, np.ones_like(has) if pool is None else pool
        wide = {name: array.astype(np.float64) for name, array in state._asdict().items()}
        self.items = wide["items"][:, : s.dim].copy()
        self.biases = wide["items"][:, s.dim].copy()
        self.own = (
            wide["own"][:, : s.dim].copy() if s.own else np.full((len(has), s.dim), s.dim**-0.5)
        )
        self.weights = np.log(wide["weights"])
        self.squares = {
            "items": wide["item_squares"],
            "own": wide["own_squares"] if s.own else np.full(len(has), 0.1),
            "weights": wide["weight_squares"],
            "biases": wide["bias_squares"],
        }
        self.terms = np.zeros((len(has), s.dim))
        self.kappa, self.loss, self.active, self.samples = 0.0, 0.0, 0.0, 0

    # --- the loss, as the module states it

    def users(self) -> np.ndarray:
        """x_u."""
        h, share = np.exp(self.weights), self.settings.own
        return share * self.own + (1 - share) * unit((self.has * h) @ self.items, 1e-3)

    def hold_users(self) -> None:
        """Take the users' terms of Q from where they are now."""
        self.terms = unit(self.users()) / np.sqrt(np.maximum(self.has.sum(axis=1), 1))[:, None]

    def targets(self, sums: np.ndarray) -> np.ndarray:
        """t_v, for Q_v in the last two axes."""
        length = np.sqrt((sums**2).sum(axis=-1, keepdims=True))
        return unit(self.items + self.kappa * sums / (length + self.settings.shrink))

    def losses(self, block: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """ℓ(u, v) of each user of the block and item, 0 where the user lacks it."""
        s, has, h = self.settings, self.has[block], np.exp(self.weights)
        n_items = len(self.items)
        sums = self.has.T @ self.terms
        scores = 2 * self.users()[block] @ self.targets(sums)[candidates].T
        scores += self.biases[candidates]
        allowed = ~has[:, candidates] & self.pool[block][:, candidates]
        z = (has * h) @ self.items
        without = z[:, None] - (h[:, None] * self.items)[None]
        mean = without / np.sqrt(np.maximum((without**2).sum(axis=2), 0.05))[:, :, None]
        x = s.own * self.own[block][:, None] + (1 - s.own) * mean
        t = self.targets(sums[None] - self.terms[block][:, None])
        own_scores = 2 * (x * t).sum(axis=2) + self.biases
        share = min(100, n_items**0.5) / len(candidates)
        gaps = (scores[:, None] - own_scores[:, :, None] + s.margin) / s.temperature
        odds = (share * np.exp(gaps) * allowed[:, None]).sum(axis=2)
        return np.log1p(odds) * has

    def objective(self, block: np.ndarray, candidates: np.ndarray) -> float:
        """τ·Σ ℓ: the number whose gradients the steps follow."""
        return self.settings.temperature * self.losses(block, candidates).sum()

    # --- its gradients, and the steps

    def gradients(
        self, block: np.ndarray, candidates: np.ndarray, rows: dict[str, Any] | None = None
    ) -> dict[str, np.ndarray]:
        """Return ∂objective/∂(y, p, ln h, b), those of points along the sphere; of some rows."""
        made = {}
        for name in NAMES:
            at = getattr(self, name)
            made[name] = np.zeros_like(at)
            for row in range(len(at)) if rows is None else rows[name]:
                part = at[row : row + 1]
                g = numeric(lambda: self.objective(block, candidates), part)[0]
                if part.ndim == 2:
                    g = g - part[0] * (g @ part[0]) / (part[0] @ part[0])
                made[name][row] = g
        return made

    def start_block(self, epoch: int, block: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the users and the candidates of a block."""
        s = self.settings
        if block == 0:
            self.kappa = s.kappa if epoch > 0 else 0.0
            if self.kappa > 0:
                self.hold_users()
            self.loss = self.active = self.samples = 0
        listed = self.session.params.users[places(self.session, epoch)]
        users = listed[block * s.batch_size : (block + 1) * s.batch_size]
        return users, candidates_of(self.session, epoch, block)

    def train_block(self, epoch: int, block: int) -> None:
        """Step by a block's gradients."""
        s = self.settings
        users, candidates = self.start_block(epoch, block)
        losses = self.losses(users, candidates)
        self.loss += losses.sum()
        self.active += (1 - np.exp(-losses)).sum()
        self.samples += self.has[users].sum()
        rates = {"items": 1.0, "own": s.own_rate, "weights": s.weight_rate, "biases": s.bias_rate}
        lr = s.lr * (1 - epoch / s.epochs) if s.schedule == "linear" else s.lr
        for name, g in self.gradients(users, candidates).items():
            at, squares = getattr(self, name), self.squares[name]
            if rates[name] == 0 and name != "own":  # whose sums of squares grow all the same
                continue
            squares += (g**2).mean(axis=1) if g.ndim == 2 else g**2
            change = lr * rates[name] * (g.T / np.sqrt(squares)).T
            at[:] = unit(at - change) if g.ndim == 2 else at - change

    def epoch(self, number: int) -> None:
        """Train an epoch."""
        for block in range(self.session.n_batches):
            self.train_block(number, block)

    def moved_to(self, session: Session) -> "Twin":
        """Return a twin of where the session is now, with the users' terms of this one."""
        other = Twin(session, self.has, self.pool)
        other.terms, other.kappa = self.terms, self.kappa
        return other
