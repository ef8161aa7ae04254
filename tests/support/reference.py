"""Naive twins of the engine: loops over definitions, in float64 unless bits matter.

Nothing here is shared with the kernels but `trimetric.counter`, which is tested by itself.
"""

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from trimetric import counter

ATTEMPTS = 2**16  # positions of the random stream that belong to one triplet
ORDER, DRAWS, START = 1, 2, 3  # the streams of a training run

# --- rows in sixteen lanes, float32 and to the last bit ----------------------------------------


def lane_sum(values):
    """Sum a float32 row (or each row of an array): 16 partial sums, then halves upon halves."""
    values = np.asarray(values, dtype=np.float32)
    partial = np.zeros((*values.shape[:-1], 16), dtype=np.float32)
    for start in range(0, values.shape[-1], 16):
        partial = partial + values[..., start : start + 16]
    for half in (8, 4, 2, 1):
        partial = partial[..., :half] + partial[..., half : 2 * half]
    return partial[..., 0]


def nearest_float32(x):
    """Round a Fraction to float32 once: to nearest, ties to even, subnormals included."""
    if x == 0:
        return np.float32(0)
    exponent = abs(x.numerator).bit_length() - x.denominator.bit_length()
    exponent -= abs(x) < Fraction(2) ** exponent
    unit = Fraction(2) ** (max(exponent, -126) - 23)
    return np.float32(math.copysign(float(abs(round(x / unit) * unit)), x))


def fused(a, b, c):
    """a·b + c of three finite float32 numbers, in exact arithmetic, rounded once."""
    a, b, c = (Fraction(float(number)) for number in (a, b, c))
    return nearest_float32(a * b + c)


def widened(rows):
    """Pad rows with zeros to a multiple of 16 columns."""
    rows = np.asarray(rows, dtype=np.float32)
    return np.pad(rows, ((0, 0), (0, -rows.shape[1] % 16)))


def distances(queries, points):
    """d² of every query to every point, float32 (m, n)."""
    difference = widened(queries)[:, None, :] - widened(points)[None, :, :]
    return lane_sum(difference * difference)


# --- ranking -----------------------------------------------------------------------------------


def ranking(distances, excluded):
    """Order the items of one user by (distance, number), without the excluded ones."""
    hidden = set(excluded)
    return sorted(
        (item for item in range(len(distances)) if item not in hidden),
        key=lambda item: (distances[item], item),
    )


def top_k(queries, points, k, excluded):
    """Rows of items and distances, filled with -1 and NaN; `excluded` is a list a query."""
    d = distances(queries, points)
    k = min(k, len(points))
    items = np.full((len(queries), k), -1, dtype=np.int32)
    found = np.full((len(queries), k), np.nan, dtype=np.float32)
    for query in range(len(queries)):
        best = ranking(d[query], excluded[query])[:k]
        items[query, : len(best)], found[query, : len(best)] = best, d[query, best]
    return items, found


def held_out_ranks(queries, points, held, excluded):
    """Rank of each held-out item, from 1, query after query."""
    d = distances(queries, points)
    ranks = []
    for query in range(len(queries)):
        order = ranking(d[query], excluded[query])
        ranks += [order.index(item) + 1 for item in held[query]]
    return np.array(ranks, dtype=np.int32)


# --- random draws ------------------------------------------------------------------------------


def below(key, position, n):
    """An integer in [0, n): the upper half of the random bits, scaled."""
    bits = int(counter.bits(key, np.array([position]))[0])
    return (bits >> 32) * n >> 32


GUMBEL = -np.log(-np.log((np.arange(4096) + 0.5) / 4096))
OWN = ATTEMPTS - 2  # the position whose word holds the noise of the positive


def noise(key, position, which=0):
    """A standard Gumbel draw, from the lowest 12 bits of the word or (`which` 1) the next 12."""
    word = int(counter.bits(key, np.array([position]))[0])
    return GUMBEL[(word >> 12 * which) % 4096]


def uniform_negative(key, triplet, owned, n_items, pool=None):
    """The first of 8 uniform draws not in `owned`; else one of the missing items; or None.

    With a pool, a sorted list: its first draw.
    """
    if pool is not None:
        free = [item for item in pool if item not in owned]
        return free[below(key, triplet * ATTEMPTS, len(free))] if free else None
    for attempt in range(8):
        item = below(key, triplet * ATTEMPTS + attempt, n_items)
        if item not in owned:
            return item
    missing = [item for item in range(n_items) if item not in owned]
    if not missing:
        return None
    return missing[below(key, triplet * ATTEMPTS + ATTEMPTS - 1, len(missing))]


def popular_negative(key, triplet, owned, all_items, n_items, pool=None):
    """The item of one of 32 random interactions, the first not in `owned`; else uniform.

    With a pool: the item of one of the interactions that its items have.
    """
    if pool is not None:
        theirs = sorted(item for item in all_items if item in pool and item not in owned)
        if not theirs:
            return uniform_negative(key, triplet, owned, n_items, pool)
        return int(theirs[below(key, triplet * ATTEMPTS, len(theirs))])
    for attempt in range(32):
        item = int(all_items[below(key, triplet * ATTEMPTS + attempt, len(all_items))])
        if item not in owned:
            return item
    return uniform_negative(key, triplet, owned, n_items)


def hardest_negative(key, triplet, owned, d_to_items, reach, candidates, temperature, pool=None):
    """Of S draws not in `owned`: the nearest as seen, its d² as seen, how many within reach.

    The number counts repeats. Without a draw left, one uniform negative, seen as it is.
    """
    n_items = len(d_to_items)
    among = range(n_items) if pool is None else [item for item in pool if item not in owned]
    positions = [triplet * ATTEMPTS + attempt for attempt in range(candidates if among else 0)]
    drawn = [(among[below(key, at, len(among))], temperature * noise(key, at)) for at in positions]
    drawn = [(item, luck) for item, luck in drawn if item not in owned]
    if not drawn:
        item = uniform_negative(key, triplet, owned, n_items, pool)
        drawn = [] if item is None else [(item, 0.0)]
    if not drawn:
        return None, 0.0, 0
    seen = [(d_to_items[item] - luck, item) for item, luck in drawn]
    d, nearest = min(seen, key=lambda pair: pair[0])
    return nearest, d, sum(d < reach for d, _ in seen)


# --- the objective and its optimisers ------------------------------------------------------------


def squared(x, y):
    """d²(x, y)."""
    return ((x - y) ** 2).sum()


def triplet_loss(u, v, n, margins, w, lam, gamma):
    """Equations (5)-(6) for one triplet; `margins` = (m_u, n_v)."""
    user = max(squared(u, v) - squared(u, n) + margins[0], 0.0)
    item = max(squared(u, v) - squared(v, n) + margins[1], 0.0)
    return w * user + lam * item - gamma / 512 * (margins[0] + margins[1])


def triplet_gradients(u, v, n, pulls):
    """∂/∂u, ∂/∂v, ∂/∂v⁻ of w·[user hinge] + λ·[item hinge]; `pulls` has 0 where one rests."""
    w, lam = pulls
    near, far, across = 2 * (u - v), 2 * (u - n), 2 * (v - n)
    return (
        w * (near - far) + lam * near,
        -w * near + lam * (-near - across),
        w * far + lam * across,
    )


def covariance_penalty(rows, weight):
    """λ_c/N·(‖C‖_F − ‖diag C‖) of points (N, d): Hsieh et al. 2017."""
    centred = rows - rows.mean(axis=0)
    c = centred.T @ centred / len(rows)
    return weight / len(rows) * (np.sqrt((c**2).sum()) - np.sqrt((np.diag(c) ** 2).sum()))


def covariance_gradients(rows, weight):
    """∂/∂rows of `covariance_penalty`, (N, d)."""
    n, centred = len(rows), rows - rows.mean(axis=0)
    c = centred.T @ centred / n
    whole, diagonal = np.sqrt((c**2).sum()), np.sqrt((np.diag(c) ** 2).sum())
    pull = c / whole - np.diag(np.diag(c)) / diagonal if whole > 0 else np.zeros_like(c)
    return 2 * weight / n**2 * centred @ pull


def rowwise_adagrad(x, g, second, lr):
    """One accumulator a row: the sum of mean squares. Returns the new x; changes `second`."""
    second[0] += (g**2).mean()
    return x - lr * g / np.sqrt(second[0])


def adagrad(x, g, second, lr):
    """Duchi, Hazan and Singer 2011, diagonal. Returns the new x; changes `second`."""
    second += g**2
    return x - lr * g / np.sqrt(second)


def adam(x, g, first, second, lr, step):
    """Kingma and Ba 2015, algorithm 1. Returns the new x; changes `first` and `second`."""
    first[...] = 0.9 * first + 0.1 * g
    second[...] = 0.999 * second + 0.001 * g**2
    mean, square = first / (1 - 0.9**step), second / (1 - 0.999**step)
    return x - lr * mean / (np.sqrt(square) + 1e-8)


def projected(x, radius, sphere):
    """Bring x into the ball, or onto its sphere."""
    length = math.sqrt((x**2).sum())
    if length > radius or (sphere and length > 0):
        return x * (radius / length)
    return x


# --- training ------------------------------------------------------------------------------------


@dataclass
class Twin:
    """A training run in float64; the users' rows come first, then the items'."""

    settings: object
    users: np.ndarray
    items: np.ndarray
    n_users: int
    n_items: int
    points: np.ndarray
    first: np.ndarray
    second: np.ndarray
    margins: np.ndarray
    memory: np.ndarray
    pools: list | None = None  # a sorted list of items a user

    def __post_init__(self):
        self.owned = [set() for _ in range(self.n_users)]
        for user, item in zip(self.users, self.items, strict=True):
            self.owned[user].add(int(item))
        self.step, self.lr = 0, 0.0
        self.totals = [0.0, 0, 0, 0]

    def epoch(self, number, order):
        """Train on all pairs, in `order`."""
        s, self.totals = self.settings, [0.0, 0, 0, 0]
        self.lr = s.lr * (1 - number / s.epochs) if s.schedule == "linear" else s.lr
        key = counter.key(s.seed, DRAWS, number)
        for start in range(0, len(order), s.batch_size):
            self.step += 1
            places = enumerate(order[start : start + s.batch_size], start)
            triplets = [self.triplet(key, t, place) for t, place in places]
            self.move([triplet for triplet in triplets if triplet is not None])

    def triplet(self, key, t, place):
        """(u, v, v⁻) and the pulls (w, λ) of its hinges, 0 where they rest."""
        s, u, item = self.settings, int(self.users[place]), int(self.items[place])
        v = self.n_users + item
        d_to_items = ((self.points[self.n_users :] - self.points[u]) ** 2).sum(axis=1)
        d_uv, weight, other = d_to_items[item], 1.0, 0.0
        pool = None if self.pools is None else self.pools[u]
        if s.negatives == "hardest":
            negative, d_un, impostors = hardest_negative(
                key,
                t,
                self.owned[u],
                d_to_items,
                d_uv + self.margins[u],
                s.candidates,
                s.temperature,
                pool,
            )
            d_uv -= s.temperature * noise(key, t * ATTEMPTS + OWN)
            other = s.temperature * noise(key, t * ATTEMPTS + OWN, 1)
            if s.rank_weight:
                weight = math.log(1 + self.n_items * impostors / s.candidates)
        elif s.negatives == "popularity":
            negative = popular_negative(key, t, self.owned[u], self.items, self.n_items, pool)
        else:
            negative = uniform_negative(key, t, self.owned[u], self.n_items, pool)
        if negative is None:
            return None
        if s.negatives != "hardest":
            d_un = d_to_items[negative]
        n = self.n_users + negative
        user_hinge = d_uv - d_un + self.margins[u]
        item_hinge = d_uv - (squared(self.points[v], self.points[n]) - other) + self.margins[v]
        pulls = (weight if user_hinge > 0 else 0.0, s.lam if item_hinge > 0 else 0.0)
        self.totals[0] += pulls[0] * user_hinge + pulls[1] * item_hinge
        self.totals[1] += pulls[0] > 0
        self.totals[2] += pulls[1] > 0
        self.totals[3] += 1
        return (u, v, n), pulls

    def move(self, triplets):
        """Sum the gradients of a mini-batch, then step every point and margin it touches."""
        s, gradients, margin_gradients = self.settings, {}, {}
        weight = getattr(s, "covariance", 0.0)
        if weight and triplets:
            slots = [point for points, _ in triplets for point in points]
            terms = covariance_gradients(self.points[slots], weight)
            for point, term in zip(slots, terms, strict=True):
                gradients[point] = gradients.get(point, 0.0) + term
            self.totals[0] += covariance_penalty(self.points[slots], weight)
        for (u, v, n), (w, lam) in triplets:
            if s.adaptive_users:
                margin_gradients[u] = margin_gradients.get(u, 0.0) + w - s.gamma / 512
            if s.adaptive_items:
                margin_gradients[v] = margin_gradients.get(v, 0.0) + lam - s.gamma / 512
            if w == lam == 0:
                continue
            terms = triplet_gradients(self.points[u], self.points[v], self.points[n], (w, lam))
            for point, term in zip((u, v, n), terms, strict=True):
                gradients[point] = gradients.get(point, 0.0) + term
        for point, gradient in gradients.items():
            moved = self.stepped(point, gradient)
            self.points[point] = projected(moved, s.radius, s.sphere)
        for point, gradient in margin_gradients.items():
            limit = s.margin if point < self.n_users else s.item_margin
            if self.margins[point] >= limit and gradient <= 0:
                continue  # it cannot follow, and does not remember
            moved = self.stepped_margin(point, gradient)
            self.margins[point] = min(max(moved, 1e-6), limit)

    def stepped(self, point, gradient):
        s, x = self.settings, self.points[point]
        if s.optimizer == "rowwise-adagrad":
            return rowwise_adagrad(x, gradient, self.second[point], self.lr)
        if s.optimizer == "adagrad":
            return adagrad(x, gradient, self.second[point], self.lr)
        return adam(x, gradient, self.first[point], self.second[point], self.lr, self.step)

    def stepped_margin(self, point, gradient):
        s, x, memory = self.settings, self.margins[point], self.memory[point]
        if s.optimizer == "adam":
            return adam(x, gradient, memory[:1], memory[1:], self.lr, self.step)[0]
        return adagrad(np.array([x]), np.array([gradient]), memory[1:], self.lr)[0]


# --- maps ----------------------------------------------------------------------------------------


def affinity(nearest):
    """p of t-SNE (n, n), neighbours all alike."""
    n, k = nearest.shape
    a = np.zeros((n, n))
    for i in range(n):
        a[i, nearest[i]] = 1
    return (a + a.T) / (2 * n * k)


def divergence(place, p, exaggeration=1.0):
    """Equation (2) of t-SNE less what does not depend on the places (n, 2)."""
    closeness = 1 / (1 + ((place[:, None] - place[None]) ** 2).sum(axis=2))
    np.fill_diagonal(closeness, 0)
    pairs = p > 0
    return -exaggeration * (p[pairs] * np.log(closeness[pairs])).sum() + np.log(closeness.sum())


def divergence_slope(place, p, exaggeration=1.0):
    """Equation (5) of t-SNE, with p exaggerated."""
    away = place[:, None] - place[None]
    closeness = 1 / (1 + (away**2).sum(axis=2))
    np.fill_diagonal(closeness, 0)
    weights = exaggeration * p * closeness - closeness**2 / closeness.sum()
    return 4 * (weights[:, :, None] * away).sum(axis=1)


def laid_out(nearest, start, phases):
    """Descend from `start`; `phases` are (steps, exaggeration, rate)."""
    place, p = start * (1e-2 / start.std()), affinity(nearest)
    for steps, exaggeration, rate in phases:
        speed, gain = np.zeros_like(place), np.ones_like(place)
        for _ in range(steps):
            slope = divergence_slope(place, p, exaggeration)
            same = (slope > 0) == (speed > 0)
            gain = np.where(same, np.maximum(gain * 0.8, 0.01), gain + 0.2)
            speed = 0.8 * speed - rate * gain * slope
            place = place + speed
            place -= place.mean(axis=0)
    return place


def trustworthiness(space, plane, k):
    """Venna and Kaski's, from ranks of all pairs."""
    n, total = len(space), 0
    for i in range(n):
        ranked = ranking(distances(space[i : i + 1], space)[0], [i])
        for j in ranking(distances(plane[i : i + 1], plane)[0], [i])[:k]:
            total += max(0, ranked.index(j) + 1 - k)
    return 1 - 2 * total / (n * k * (2 * n - 3 * k - 1))
