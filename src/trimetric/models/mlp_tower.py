"""A tower of dense layers beside a product of factors: NeuMF's score, forward and backward.

The logit of a user and an item with rows [p_GMF | p_MLP] and [q_GMF | q_MLP] is, by equation (12)
of He et al. (WWW 2017),

    b + h·[p_GMF ⊙ q_GMF ; a_L],   a_1 = ReLU(b_1 + W_p p_MLP + W_q q_MLP),
                                   a_k = ReLU(b_k + W_k a_{k−1})

Without GMF columns it is their MLP (10), without MLP columns their GMF (8)-(9). `CHUNK` samples
are computed side by side in an array of values: a row per unit, a column (lane) per sample. Each
lane has the same operations in the same order, so that a logit has the same bits in training, for a
single pair and for all pairs. The first layer's halves, b_1 + W_p p and W_q q, are summed apart:
once per user and once per item where all pairs are scored.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from trimetric import counter
from trimetric.engine import rows
from trimetric.engine.compile import inline, kernel
from trimetric.engine.gradients import CHUNK
from trimetric.engine.rows import add_scaled, copy, dot, multiply

_WEIGHTS = 4  # stream of random numbers; those before are the session's


class Tower(NamedTuple):
    """Row of each unit in the array of units, and place of each weight in the flat weights.

    The rows: user (GMF, MLP), item (GMF, MLP), the item's half of layer 1, hidden layers but
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


def make_tower(factors: int, dim: int, depth: int) -> Tower:
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
    """Return the number of dense weights."""
    _, n_in, _, n_out, matrix, _ = tower.layers[-1].tolist()
    return matrix + n_in * n_out


def workspace_rows(tower: Tower) -> int:
    """Return the number of rows of CHUNK floats that a thread needs."""
    return 2 * int(tower.units) + 1


def start_weights(tower: Tower, seed: int) -> np.ndarray:
    """Draw matrices by Glorot and Bengio (AISTATS 2010): U(±√(6/(in + out))); biases are 0."""
    weights = np.zeros(n_weights(tower), dtype=np.float32)
    for number, (_, n_in, _, n_out, matrix, _) in enumerate(tower.layers.tolist()):
        values = counter.uniform(counter.key(seed, _WEIGHTS, number), np.arange(n_in * n_out))
        inputs = 2 * n_in if number < 2 else n_in
        limit = math.sqrt(6 / max(inputs + n_out, 1))
        weights[matrix : matrix + n_in * n_out] = limit * (2 * values - 1)
    return weights


# --- one chunk of samples -----------------------------------------------------------------------


@inline
def gather(values, lane, at, table, row, columns):
    """Copy a row of the table to a lane, its first column to unit `at`; zeros for row -1."""
    for c in range(columns):
        values[at + c, lane] = table[row, c] if row >= 0 else np.float32(0)


@inline
def fill(values, at, value):
    """Give every sample the same value of a unit."""
    for lane in range(CHUNK):
        values[at, lane] = value


@inline
def affine(values, weights, layer):
    """out_j = b_j + Σ_i w_ij·x_i, added in the order of i."""
    source, n_in, out, n_out = layer[0], layer[1], layer[2], layer[3]
    matrix, bias = layer[4], layer[5]
    for j in range(n_out):
        fill(values, out + j, weights[bias + j] if bias >= 0 else np.float32(0))
    for i in range(n_in):
        for j in range(n_out):
            add_scaled(values, out + j, values, source + i, weights[matrix + i * n_out + j])


@inline
def relu(x):
    """max(x, 0)."""
    return x if x > 0 else np.float32(0)


@inline
def rectify(values, layer):
    """a_j = ReLU(a_j) for each unit of a layer."""
    for row in range(layer[2], layer[2] + layer[3]):
        for lane in range(CHUNK):
            values[row, lane] = relu(values[row, lane])


@inline
def forward(values, weights, tower):
    """Compute all units from those of users and items, up to the logits."""
    columns = tower.factors + tower.dim
    for f in range(tower.factors):
        multiply(values, tower.products + f, values, f, values, columns + f)
    user_half, item_half = tower.layers[0], tower.layers[1]
    affine(values, weights, user_half)
    affine(values, weights, item_half)
    for j in range(tower.dim):
        add_scaled(values, user_half[2] + j, values, item_half[2] + j, np.float32(1))
    rectify(values, user_half)
    upper_layers(values, weights, tower)


@inline
def upper_layers(values, weights, tower):
    """Compute the layers above the first, and the logits."""
    for k in range(2, len(tower.layers) - 1):
        affine(values, weights, tower.layers[k])
        rectify(values, tower.layers[k])
    affine(values, weights, tower.layers[-1])


@inline
def backward(values, weights, dense, tower):
    """Compute the gradients of all units and of the weights from those of the logits."""
    layers, units, columns = tower.layers, tower.units, tower.factors + tower.dim
    fill(values, 2 * units, np.float32(1))
    affine_backward(values, weights, dense, layers[-1], units)
    for k in range(len(layers) - 2, 1, -1):
        rectify_backward(values, layers[k], units)
        affine_backward(values, weights, dense, layers[k], units)
    user_half, item_half = layers[0], layers[1]
    rectify_backward(values, user_half, units)
    for j in range(tower.dim):
        copy(values, units + item_half[2] + j, values, units + user_half[2] + j, np.float32(1))
    affine_backward(values, weights, dense, user_half, units)
    affine_backward(values, weights, dense, item_half, units)
    for f in range(tower.factors):
        above = units + tower.products + f
        multiply(values, units + f, values, above, values, columns + f)
        multiply(values, units + columns + f, values, above, values, f)


@inline
def rectify_backward(values, layer, units):
    """ReLU: no gradient passes where it gave 0."""
    for row in range(layer[2], layer[2] + layer[3]):
        for lane in range(CHUNK):
            if values[row, lane] <= 0:
                values[units + row, lane] = np.float32(0)


@inline
def affine_backward(values, weights, dense, layer, units):
    """∂w_ij = Σ g_j·x_i and ∂b_j = Σ g_j over the samples; ∂x_i = Σ_j w_ij·g_j."""
    source, n_in, out, n_out = layer[0], layer[1], layer[2], layer[3]
    matrix, bias = layer[4], layer[5]
    if bias >= 0:
        for j in range(n_out):
            dense[bias + j] = dot(values, units + out + j, values, 2 * units)
    for i in range(n_in):
        fill(values, units + source + i, np.float32(0))
        for j in range(n_out):
            at, above = matrix + i * n_out + j, units + out + j
            dense[at] = dot(values, source + i, values, above)
            add_scaled(values, units + source + i, values, above, weights[at])


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
        Rows of users, then of items, as made by `rows.table`.
    weights : float32 (n_weights(tower),)
    """
    out = np.empty(len(pairs[0]), dtype=np.float32)
    _pairs(tower, table, weights, *pairs, n_users, _values(tower), out)
    return out


def all_logits(
    tower: Tower, table: np.ndarray, weights: np.ndarray, users: np.ndarray, n_users: int
) -> np.ndarray:
    """Return the logits of `users` (int32 (b,)) and all items, as `pair_logits`: (b, n_items)."""
    n_items, values = len(table) - n_users, _values(tower)
    out = np.empty((len(users), n_items), dtype=np.float32)
    columns = int(tower.factors + tower.dim)
    items = np.arange(n_users, len(table), dtype=np.int32)
    user_halves, item_halves = (_half_table(len(side), columns) for side in (users, items))
    _halves(tower, table, weights, users, 0, values, user_halves)
    _halves(tower, table, weights, items, 1, values, item_halves)
    _cross(tower, weights, user_halves, item_halves, values, out)
    return out


def _values(tower: Tower) -> np.ndarray:
    return rows.table(workspace_rows(tower), CHUNK)


def _half_table(n: int, columns: int) -> np.ndarray:
    chunks = -(-n // CHUNK)
    return rows.table(chunks * columns, CHUNK).reshape(chunks, columns, CHUNK)


@kernel
def _pairs(tower, table, weights, users, items, n_users, values, out):
    columns = tower.factors + tower.dim
    for first in range(0, len(out), CHUNK):
        count = min(CHUNK, len(out) - first)
        for lane in range(count):
            gather(values, lane, 0, table, users[first + lane], columns)
            gather(values, lane, columns, table, items[first + lane] + n_users, columns)
        forward(values, weights, tower)
        for lane in range(count):
            out[first + lane] = values[tower.logit, lane]


@kernel
def _halves(tower, table, weights, rows, side, values, out):
    """out[chunk] = the GMF factors and then the half of layer 1 of users (side 0) or items (1)."""
    columns, layer = tower.factors + tower.dim, tower.layers[side]
    for chunk in range(len(out)):
        first = chunk * CHUNK
        for lane in range(min(CHUNK, len(rows) - first)):
            gather(values, lane, side * columns, table, rows[first + lane], columns)
        affine(values, weights, layer)
        for f in range(tower.factors):
            copy(out[chunk], f, values, side * columns + f, np.float32(1))
        for j in range(tower.dim):
            copy(out[chunk], tower.factors + j, values, layer[2] + j, np.float32(1))


@kernel
def _cross(tower, weights, user_halves, item_halves, values, out):
    factors, hidden = tower.factors, tower.layers[0][2]
    for user in range(len(out)):
        half, column = user_halves[user // CHUNK], user % CHUNK
        for chunk in range(len(item_halves)):
            items = item_halves[chunk]
            for f in range(factors):
                copy(values, tower.products + f, items, f, half[f, column])
            for j in range(tower.dim):
                add_halves(values, hidden + j, half[factors + j, column], items, factors + j)
            upper_layers(values, weights, tower)
            first = chunk * CHUNK
            for lane in range(min(CHUNK, out.shape[1] - first)):
                out[user, first + lane] = values[tower.logit, lane]


@inline
def add_halves(values, row, half, items, at):
    """a = ReLU(the user's half + each item's half)."""
    for lane in range(CHUNK):
        values[row, lane] = relu(half + items[at, lane])
