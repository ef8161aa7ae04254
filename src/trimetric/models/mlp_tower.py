"""A tower of dense layers beside a product of factors: NeuMF's score, forward and backward.

The logit of a user and an item with rows [p_GMF | p_MLP] and [q_GMF | q_MLP] is, by equation (12)
of He et al. (WWW 2017),

    b + h·[p_GMF ⊙ q_GMF ; a_L],   a_1 = ReLU(b_1 + W_p p_MLP + W_q q_MLP),
                                   a_k = ReLU(b_k + W_k a_{k−1})

Without GMF columns it is their MLP (10), without MLP columns their GMF (8)-(9). `CHUNK` samples
stand side by side in a room: one row a unit, one column (lane) a sample. Each lane sees the same
operations in the same order wherever it stands, so that a logit has the same bits in training, for
one pair and for all pairs. The first layer's halves, b_1 + W_p p and W_q q, are summed apart, hence
once a user and once an item where all pairs are scored.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from trimetric import counter
from trimetric.engine import rows
from trimetric.engine.compile import inline, kernel
from trimetric.engine.gradients import CHUNK
from trimetric.engine.rows import add_scaled, copy, dot, multiply

_WEIGHTS = 4  # stream of random numbers; those before are of `descent_session`


class Tower(NamedTuple):
    """Where each unit lies in a room, and each weight among the flat weights.

    The room's rows: user (GMF, MLP), item (GMF, MLP), the item's half of layer 1, hidden layers but
    the last, products, last hidden layer, logit; then the gradient of each of these, at `units`
    more; then a row of ones.
    """

    factors: Any  # int64: columns of the GMF part, the first of a table's row
    dim: Any  # int64: columns of the MLP part
    products: Any  # int64: row of the first product
    logit: Any  # int64: row
    units: Any  # int64
    layers: np.ndarray  # int64[n + 2, 6]: first source row, how many, first row out, how many,
    # matrix [in, out], bias (-1: none); first the user's and the item's half of layer 1, last h


def tower(factors: int, dim: int, depth: int) -> Tower:
    """Lay out a tower of `depth` hidden layers, each half as wide as its input, 2·dim at first."""
    columns, widths = factors + dim, [max(1, 2 * dim >> k) for k in range(1, depth + 1) if dim]
    row, hidden = 2 * columns + dim, []
    for width in widths[:-1]:
        hidden.append(row)
        row += width
    products, row = row, row + factors
    hidden, logit = [*hidden, row], row + sum(widths[-1:])
    layers = [
        (factors, dim, hidden[0], dim, dim, 0),
        (columns + factors, dim, 2 * columns, dim, dim + dim * dim, -1),
    ]
    weight = dim + 2 * dim * dim
    for k in range(1, len(widths)):
        below, above = widths[k - 1 : k + 1]
        layers.append((hidden[k - 1], below, hidden[k], above, weight + above, weight))
        weight += above + below * above
    layers.append((products, factors + sum(widths[-1:]), logit, 1, weight + 1, weight))
    return Tower(
        factors=np.int64(factors),
        dim=np.int64(dim),
        products=np.int64(products),
        logit=np.int64(logit),
        units=np.int64(logit + 1),
        layers=np.array(layers, dtype=np.int64),
    )


def n_weights(tower: Tower) -> int:
    """Return how many dense weights there are."""
    _, n_in, _, n_out, matrix, _ = tower.layers[-1].tolist()
    return matrix + n_in * n_out


def room_rows(tower: Tower) -> int:
    """Return how many rows of CHUNK floats a thread needs."""
    return 2 * int(tower.units) + 1


def start_weights(tower: Tower, seed: int) -> np.ndarray:
    """Draw matrices by Glorot and Bengio (AISTATS 2010): U(±√(6/(in + out))); biases are 0."""
    weights = np.zeros(n_weights(tower), dtype=np.float32)
    for number, (_, n_in, _, n_out, matrix, _) in enumerate(tower.layers.tolist()):
        drawn = counter.uniform(counter.key(seed, _WEIGHTS, number), np.arange(n_in * n_out))
        inputs = 2 * n_in if number < 2 else n_in
        limit = math.sqrt(6 / max(inputs + n_out, 1))
        weights[matrix : matrix + n_in * n_out] = limit * (2 * drawn - 1)
    return weights


# --- one chunk of samples -----------------------------------------------------------------------


@inline
def gather(room, lane, at, table, row, columns):
    """Stand a row of the table in a lane, its first column at room row `at`; zeros for row -1."""
    for c in range(columns):
        room[at + c, lane] = table[row, c] if row >= 0 else np.float32(0)


@inline
def spread(room, at, value):
    """Give every sample the same value of a unit."""
    for lane in range(CHUNK):
        room[at, lane] = value


@inline
def affine(room, weights, layer):
    """out_j = b_j + Σ_i w_ij·x_i, added in the order of i."""
    source, n_in, out, n_out = layer[0], layer[1], layer[2], layer[3]
    matrix, bias = layer[4], layer[5]
    for j in range(n_out):
        spread(room, out + j, weights[bias + j] if bias >= 0 else np.float32(0))
    for i in range(n_in):
        for j in range(n_out):
            add_scaled(room, out + j, room, source + i, weights[matrix + i * n_out + j])


@inline
def relu(x):
    """max(x, 0)."""
    return x if x > 0 else np.float32(0)


@inline
def rectify(room, layer):
    """a_j = ReLU(a_j) for each unit of a layer."""
    for row in range(layer[2], layer[2] + layer[3]):
        for lane in range(CHUNK):
            room[row, lane] = relu(room[row, lane])


@inline
def forward(room, weights, tower):
    """Fill the room above the rows of users and items, up to the logits."""
    columns = tower.factors + tower.dim
    for f in range(tower.factors):
        multiply(room, tower.products + f, room, f, room, columns + f)
    mine, theirs = tower.layers[0], tower.layers[1]
    affine(room, weights, mine)
    affine(room, weights, theirs)
    for j in range(tower.dim):
        add_scaled(room, mine[2] + j, room, theirs[2] + j, np.float32(1))
    rectify(room, mine)
    upper(room, weights, tower)


@inline
def upper(room, weights, tower):
    """Fill the layers above the first, and the logits."""
    for k in range(2, len(tower.layers) - 1):
        affine(room, weights, tower.layers[k])
        rectify(room, tower.layers[k])
    affine(room, weights, tower.layers[-1])


@inline
def backward(room, weights, dense, tower):
    """Fill the gradients of the room's rows and of the weights from those of the logits."""
    layers, units, columns = tower.layers, tower.units, tower.factors + tower.dim
    spread(room, 2 * units, np.float32(1))
    pull_back(room, weights, dense, layers[-1], units)
    for k in range(len(layers) - 2, 1, -1):
        close(room, layers[k], units)
        pull_back(room, weights, dense, layers[k], units)
    mine, theirs = layers[0], layers[1]
    close(room, mine, units)
    for j in range(tower.dim):
        copy(room, units + theirs[2] + j, room, units + mine[2] + j, np.float32(1))
    pull_back(room, weights, dense, mine, units)
    pull_back(room, weights, dense, theirs, units)
    for f in range(tower.factors):
        above = units + tower.products + f
        multiply(room, units + f, room, above, room, columns + f)
        multiply(room, units + columns + f, room, above, room, f)


@inline
def close(room, layer, units):
    """ReLU: no gradient passes where it gave 0."""
    for row in range(layer[2], layer[2] + layer[3]):
        for lane in range(CHUNK):
            if room[row, lane] <= 0:
                room[units + row, lane] = np.float32(0)


@inline
def pull_back(room, weights, dense, layer, units):
    """∂w_ij = Σ g_j·x_i and ∂b_j = Σ g_j over the samples; ∂x_i = Σ_j w_ij·g_j."""
    source, n_in, out, n_out = layer[0], layer[1], layer[2], layer[3]
    matrix, bias = layer[4], layer[5]
    if bias >= 0:
        for j in range(n_out):
            dense[bias + j] = dot(room, units + out + j, room, 2 * units)
    for i in range(n_in):
        spread(room, units + source + i, np.float32(0))
        for j in range(n_out):
            at, above = matrix + i * n_out + j, units + out + j
            dense[at] = dot(room, source + i, room, above)
            add_scaled(room, units + source + i, room, above, weights[at])


# --- scoring ------------------------------------------------------------------------------------


def pair_logits(
    tower: Tower,
    table: np.ndarray,
    weights: np.ndarray,
    pairs: tuple[np.ndarray, np.ndarray],
    n_users: int,
) -> np.ndarray:
    """Return the logit of each pair (users, items: int32 (n,)), float32.

    Parameters
    ----------
    tower : Tower
    table : float32 (n_users + n_items, width)
        Rows of users, then of items, as made by `lanes.table`.
    weights : float32 (n_weights(tower),)
    """
    out = np.empty(len(pairs[0]), dtype=np.float32)
    _pairs(tower, table, weights, *pairs, n_users, _room(tower), out)
    return out


def all_logits(
    tower: Tower, table: np.ndarray, weights: np.ndarray, users: np.ndarray, n_users: int
) -> np.ndarray:
    """Return the logits of `users` (int32 (b,)) and all items, as `pair_logits`: (b, n_items)."""
    n_items, room = len(table) - n_users, _room(tower)
    out = np.empty((len(users), n_items), dtype=np.float32)
    columns = int(tower.factors + tower.dim)
    rows = np.arange(n_users, len(table), dtype=np.int32)
    mine, theirs = (_halves_room(len(side), columns) for side in (users, rows))
    _halves(tower, table, weights, users, 0, room, mine)
    _halves(tower, table, weights, rows, 1, room, theirs)
    _cross(tower, weights, mine, theirs, room, out)
    return out


def _room(tower: Tower) -> np.ndarray:
    return rows.table(room_rows(tower), CHUNK)


def _halves_room(n: int, columns: int) -> np.ndarray:
    chunks = -(-n // CHUNK)
    return rows.table(chunks * columns, CHUNK).reshape(chunks, columns, CHUNK)


@kernel
def _pairs(tower, table, weights, users, items, n_users, room, out):
    columns = tower.factors + tower.dim
    for first in range(0, len(out), CHUNK):
        count = min(CHUNK, len(out) - first)
        for lane in range(count):
            gather(room, lane, 0, table, users[first + lane], columns)
            gather(room, lane, columns, table, items[first + lane] + n_users, columns)
        forward(room, weights, tower)
        for lane in range(count):
            out[first + lane] = room[tower.logit, lane]


@kernel
def _halves(tower, table, weights, rows, side, room, out):
    """out[chunk] = the GMF factors and then the half of layer 1 of users (side 0) or items (1)."""
    columns, layer = tower.factors + tower.dim, tower.layers[side]
    for chunk in range(len(out)):
        first = chunk * CHUNK
        for lane in range(min(CHUNK, len(rows) - first)):
            gather(room, lane, side * columns, table, rows[first + lane], columns)
        affine(room, weights, layer)
        for f in range(tower.factors):
            copy(out[chunk], f, room, side * columns + f, np.float32(1))
        for j in range(tower.dim):
            copy(out[chunk], tower.factors + j, room, layer[2] + j, np.float32(1))


@kernel
def _cross(tower, weights, mine, theirs, room, out):
    factors, hidden = tower.factors, tower.layers[0][2]
    for user in range(len(out)):
        own, place = mine[user // CHUNK], user % CHUNK
        for chunk in range(len(theirs)):
            halves = theirs[chunk]
            for f in range(factors):
                copy(room, tower.products + f, halves, f, own[f, place])
            for j in range(tower.dim):
                join(room, hidden + j, own[factors + j, place], halves, factors + j)
            upper(room, weights, tower)
            first = chunk * CHUNK
            for lane in range(min(CHUNK, out.shape[1] - first)):
                out[user, first + lane] = room[tower.logit, lane]


@inline
def join(room, row, half, halves, at):
    """a = ReLU(the user's half + each item's half)."""
    for lane in range(CHUNK):
        room[row, lane] = relu(half + halves[at, lane])
