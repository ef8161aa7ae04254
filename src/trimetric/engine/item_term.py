"""The item-centric term of the loop of `centroids`: equation (4) of the SML paper, in closed form.

For each positive (u, v), beside ℓ(u, v), and weighted by λ:

    ℓ_item(u, v) = ln(1 + Σ_{j∈I∖v} (S₀/|I|)·exp((d²(x_u, t_v) − d²(t_v, t_j) + n)/τ))

I is a run of the block's candidates J, the next one each block. Distances are those of points
without their biases; d²(x_u, t_v) leaves v and u out of each other as ℓ does, but ‖x_u‖² is that of
the user with all items. Since

    d²(x_u, t_v) − d²(t_v, t_j) = ‖x_u‖² − 1 − 2·x_u·t_v + 2·t_v·t_j

the sum over I is one number of an item. With q = 1 − e^{−ℓ_item}, a positive adds λ·q to the pull
between x_u and t_v, and the item's sum M_v of λ·q over its users pushes t_v and each t_j apart by
2·M_v times the softmax share of j. Both sides of a push move. A positive that counts twice has its
ℓ_item and its λ·q twice.

The sum over I is the same for all users of v, so that a pool of each user's own cannot narrow it:
with pools the term is left out, as it is for users who have no candidate in J. New users, who are
placed among items that are held still, have none either.

Beside the stages of `centroids` there are three, in parallel over the distinct items of the block:

    list_items     one thread lists them
    score_items    the sum over I, before users are evaluated
    push_items     shares times M_v, and the gradient of t_v, after them
"""

from typing import NamedTuple

import numpy as np

from trimetric.engine.blocks import (
    in_tiles,
    part_of_tiles,
    score_width,
    user_at,
)
from trimetric.engine.compile import callee, inline
from trimetric.engine.elementary import log, sigmoid, softplus
from trimetric.engine.rows import (
    LANES,
    TILE,
    add_product,
    add_scaled,
    copy,
    dot,
    exp_row,
    largest,
    product,
    scale,
    squared_norm,
    table,
    transposed_product,
)


class ItemTerm(NamedTuple):
    """Memory for the term: D distinct items in a block of B users, and I candidates."""

    listed: np.ndarray  # int64[1]: distinct items in the block
    items: np.ndarray  # int32[D]
    place: np.ndarray  # int64[n_items]: stamp of the block + place in `items`; else less than it
    targets: np.ndarray  # float32[D', width]: t_v, 0 in column `dim`
    norms: np.ndarray  # float32[D']: ‖y_v + κ·Q_v/(..)‖
    scaled: np.ndarray  # float32[D', width]: 2·t_v/τ
    scores: np.ndarray  # float32[D', I' + padding]: 2·t_v·t_j/τ, then M_v times shares
    sums: np.ndarray  # float32[D]: Σ exp(2·t_v·t_j/τ − the largest), 0 if no j is left
    logs: np.ndarray  # float32[D]: ln of the sum with its share S₀/|I|, less 1/τ
    masses: np.ndarray  # float32[D]: M_v
    pushes: np.ndarray  # float32[D', width]: gradient of y_v by its pushes
    gradients: np.ndarray  # float32[I', width]: half of the gradient of t_j
    pulls: np.ndarray  # float32[B]: Σ λ·q over a user's items
    squares: np.ndarray  # float32[B]: ‖x_u‖²


def item_term(n_items: int, dim: int, block: int, entries: int, candidates: int) -> ItemTerm:
    """Return memory for blocks of `block` users with `entries` interactions; none for 0 candidates.

    Parameters
    ----------
    n_items, dim, block, entries : int
    candidates : int
        |I|, a multiple of 16.
    """
    items = min(n_items, entries) if candidates else 0
    rows = in_tiles(items)
    return ItemTerm(
        listed=np.zeros(1, dtype=np.int64),
        items=np.zeros(items, dtype=np.int32),
        place=np.zeros(n_items if candidates else 0, dtype=np.int64),
        targets=table(rows, dim + 1),
        norms=np.ones(rows, dtype=np.float32),
        scaled=table(rows, dim + 1),
        scores=table(rows, score_width(candidates)),
        sums=np.zeros(items, dtype=np.float32),
        logs=np.zeros(items, dtype=np.float32),
        masses=np.zeros(items, dtype=np.float32),
        pushes=table(rows, dim + 1),
        gradients=table(candidates, dim + 1),
        pulls=np.zeros(block, dtype=np.float32),
        squares=np.zeros(block, dtype=np.float32),
    )


@inline
def run_of(number, params):
    """Return the places in J where I begins and ends."""
    size, panels = params.item_candidates, (params.candidates + LANES - 1) // LANES
    runs = (panels * LANES + size - 1) // size
    run = number % runs
    low, high = panels * run // runs * LANES, panels * (run + 1) // runs * LANES
    return low, min(high, params.candidates)


@inline
def stamp_of(number, term):
    """Return the block's stamp in `place`."""
    return (number + 1) * len(term.items)


@inline
def part_of(me, threads, term):
    """Return this thread's places in `items`: whole tiles, and the end of those in use."""
    low, high = part_of_tiles(me, threads, term.listed[0])
    return low, high, min(high, term.listed[0])


@inline
def list_items(block, count, number, positives, settings, term, params):
    """List the items that users of the block have, in the order in which they are met."""
    stamp, listed = stamp_of(number, term), 0
    for r in range(count):
        u = user_at(block, r, settings, params)
        for k in range(positives.indptr[u], positives.indptr[u + 1]):
            v = positives.items[k]
            if term.place[v] < stamp:
                term.place[v] = stamp + listed
                term.items[listed] = v
                listed += 1
    term.listed[0] = listed


@callee
def score_items(me, threads, number, candidate_stamp, workspace, params):
    """Compute the sum over I for this thread's items, whose targets and norms are known."""
    w, term, depth = workspace, workspace.term, params.dim + 1
    low, high, last = part_of(me, threads, term)
    begin, end = run_of(number, params)
    for k in range(low, last):
        term.targets[k, params.dim] = 0
        copy(term.scaled, k, term.targets, k, np.float32(2) * params.rate)
    for k in range(low, high, TILE):
        for j in range(begin, end, LANES):
            product(term.scores, k, j - begin, term.scaled, k, 0,
                    w.panels, j // LANES * depth, 0, params.dim)  # fmt: skip
    share = params.log_reference - log(np.float64(end - begin)) - np.float64(params.rate)
    for k in range(low, last):
        scores, own = term.scores[k], w.place[term.items[k]] - candidate_stamp
        scores[end - begin :] = -np.inf
        if begin <= own < end:
            scores[own - begin] = -np.inf
        top = largest(term.scores, k)
        term.sums[k] = 0
        if top > -np.inf:
            term.sums[k] = exp_row(term.scores, k, top)
            term.logs[k] = np.float32(log(np.float64(term.sums[k])) + share + top)


@inline
def begin_user(r, workspace):
    """Note ‖x_u‖² before the items of the user in place r are looked at."""
    workspace.term.squares[r] = squared_norm(workspace.points, r) - np.float32(0.25)
    workspace.term.pulls[r] = 0


@inline
def pull_of_item(v, r, product_, count, number, workspace, params):
    """Return λ·q of a positive with 2·x_u·t_v = product_; add λ·ℓ_item to the user's loss.

    Both as often as the positive counts.
    """
    term = workspace.term
    k = term.place[v] - stamp_of(number, term)
    if term.sums[k] == 0:
        return np.float32(0)
    gap = (term.squares[r] - product_ + params.item_margin) * params.rate + term.logs[k]
    weight = count * params.item_weight
    pull = weight * sigmoid(gap)
    workspace.loss[r] += weight * softplus(gap)
    term.pulls[r] += pull
    return pull


@callee
def push_items(me, threads, count, number, workspace, column, params):
    """Compute M_v from entry[:, column], scale shares by it, and find the gradient of y_v."""
    w, term, stamp = workspace, workspace.term, stamp_of(number, workspace.term)
    low, high, last = part_of(me, threads, term)
    begin, end = run_of(number, params)
    for k in range(low, last):
        term.masses[k] = 0
    for e in range(w.first[count]):
        k = term.place[w.entry_items[e]] - stamp
        if low <= k < last:
            term.masses[k] += w.entry[e, column]
    for k in range(low, last):
        scale(term.pushes, k, np.float32(0))
        if term.sums[k] > 0:
            scale(term.scores, k, term.masses[k] / term.sums[k])
        else:  # no j is left
            term.scores[k] = 0
    for k in range(low, high, TILE):
        for c in range(0, term.pushes.shape[1], LANES):
            add_product(term.pushes, k, c, term.scores, k, 0, w.targets, begin, c, end - begin)
    for k in range(low, last):
        term.pushes[k, params.dim] = 0
        along = dot(term.pushes, k, term.targets, k)
        add_scaled(term.pushes, k, term.targets, k, -along)
        scale(term.pushes, k, np.float32(2) / term.norms[k])


@callee
def add_pushes(low, high, number, workspace, params):
    """Add the pushes to gradients[j] for candidates low .. high − 1, whole tiles."""
    w, term = workspace, workspace.term
    begin, end = run_of(number, params)
    for j in range(max(low, begin), min(high, end), TILE):
        for c in range(0, term.gradients.shape[1], LANES):
            transposed_product(term.gradients, j - begin, c, term.scores, j - begin, 0,
                               term.targets, 0, c, term.listed[0])  # fmt: skip
        for i in range(j, min(j + TILE, end)):
            add_scaled(w.gradients, i, term.gradients, i - begin, np.float32(1))


@inline
def add_push(g, i, v, number, term):
    """Add the pushes of positive item v to its gradient g[i]."""
    add_scaled(g, i, term.pushes, term.place[v] - stamp_of(number, term), np.float32(1))
