"""LRML's scores: sixteen pairs of a user and an item side by side.

−D(u,v) = −‖α_u + r − β_v‖², r = Σ_s a_s·M_s, a = softmax((α_u ⊙ β_v)·K_s). A pair is a lane: a row
of an array holds one column of the vectors, or one slot's attention, of sixteen pairs. Each lane
has the same operations in the same order, so that a score has the same bits for a single pair and
for all items of a user, whose lanes are laid out once.
"""

from typing import NamedTuple

import numpy as np

from trimetric.engine import rows
from trimetric.engine.blocks import in_lanes, in_tiles
from trimetric.engine.compile import inline, kernel
from trimetric.engine.rows import LANES, TILE, add_scaled, copy, exp_row, multiply, product
from trimetric.models.lrml_answers import Relations


class Lanes(NamedTuple):
    """Values of sixteen pairs, float32[., 16]: rows are columns of vectors, or slots."""

    users: np.ndarray  # α_u
    items: np.ndarray  # β_v
    products: np.ndarray  # α_u ⊙ β_v
    attention: np.ndarray  # a_s, slots in whole tiles
    relation: np.ndarray  # r, columns in whole tiles
    sums: np.ndarray  # of the softmax, then of D
    keys: np.ndarray  # K, float32[slots in whole tiles, width]
    memory: np.ndarray  # M transposed, float32[columns in whole tiles, slots in whole lanes]


def pair_scores(learned: Relations, users: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Return −D for pairs of rows (int32 (n,)), float32."""
    out = np.empty(len(users), dtype=np.float32)
    sizes = learned.n_users, learned.n_slots
    _pairs(learned.rows, users, items, sizes, _lanes(learned), out)
    return out


def all_scores(learned: Relations, users: np.ndarray) -> np.ndarray:
    """Return −D of `users` (int32 (b,)) and all items, as `pair_scores`: float32 (b, n_items)."""
    n_items, dim = len(learned.rows) - learned.n_users, learned.dim
    out = np.empty((len(users), n_items), dtype=np.float32)
    columns = rows.table(in_lanes(n_items) // LANES * dim, LANES)
    by_lane = columns.reshape(-1, dim, LANES).transpose(0, 2, 1)
    for first in range(0, n_items, LANES):
        vectors = learned.rows[learned.n_users + first :][:LANES, :dim]
        by_lane[first // LANES, : len(vectors)] = vectors
    _cross(learned.rows, users, columns, learned.n_slots, _lanes(learned), out)
    return out


def _lanes(learned: Relations) -> Lanes:
    """Return the working arrays of one thread, and the slots as `product` takes them."""
    slots, dim = learned.n_slots, learned.dim
    keys = rows.table(in_tiles(slots), dim)
    keys[:slots, :dim] = learned.slots[:slots, :dim]
    memory = rows.table(in_tiles(dim), slots)
    memory[:dim, :slots] = learned.slots[slots:, :dim].T
    return Lanes(
        users=rows.table(dim, LANES),
        items=rows.table(dim, LANES),
        products=rows.table(dim, LANES),
        attention=rows.table(in_tiles(slots), LANES),
        relation=rows.table(in_tiles(dim), LANES),
        sums=rows.table(1, LANES),
        keys=keys,
        memory=memory,
    )


@kernel
def _pairs(table, users, items, sizes, lanes, out):
    (n_users, n_slots), dim = sizes, len(lanes.users)
    for first in range(0, len(out), LANES):
        count = min(LANES, len(out) - first)
        for lane in range(count):
            u, v = users[first + lane], items[first + lane] + n_users
            for c in range(dim):
                lanes.users[c, lane], lanes.items[c, lane] = table[u, c], table[v, c]
        distances(lanes.items, 0, n_slots, lanes)
        for lane in range(count):
            out[first + lane] = -lanes.sums[0, lane]


@kernel
def _cross(table, users, columns, n_slots, lanes, out):
    dim = len(lanes.users)
    for row in range(len(users)):
        for c in range(dim):
            for lane in range(LANES):
                lanes.users[c, lane] = table[users[row], c]
        for first in range(0, out.shape[1], LANES):
            distances(columns, first // LANES * dim, n_slots, lanes)
            for lane in range(min(LANES, out.shape[1] - first)):
                out[row, first + lane] = -lanes.sums[0, lane]


@inline
def distances(items, at, n_slots, lanes):
    """sums[0] = D of each lane; rows of `items` from `at` are the columns of its item."""
    dim = len(lanes.users)
    for c in range(dim):
        multiply(lanes.products, c, lanes.users, c, items, at + c)
    for s in range(0, n_slots, TILE):
        product(lanes.attention, s, 0, lanes.keys, s, 0, lanes.products, 0, 0, dim)
    softmax(n_slots, lanes.attention, lanes.sums)
    for c in range(0, dim, TILE):
        product(lanes.relation, c, 0, lanes.memory, c, 0, lanes.attention, 0, 0, n_slots)
    lanes.sums[0] = 0
    for c in range(dim):
        for lane in range(LANES):
            gap = lanes.users[c, lane] + lanes.relation[c, lane] - items[at + c, lane]
            lanes.sums[0, lane] += gap * gap


@inline
def softmax(n, attention, sums):
    """Turn logits of n slots into attention, each lane's largest logit subtracted first."""
    copy(sums, 0, attention, 0, np.float32(1))
    for s in range(1, n):
        for lane in range(LANES):
            sums[0, lane] = max(sums[0, lane], attention[s, lane])
    for s in range(n):
        add_scaled(attention, s, sums, 0, np.float32(-1))
        exp_row(attention, s, np.float32(0))
    sums[0] = 0
    for s in range(n):
        add_scaled(sums, 0, attention, s, np.float32(1))
    for s in range(n):
        for lane in range(LANES):
            attention[s, lane] /= sums[0, lane]
