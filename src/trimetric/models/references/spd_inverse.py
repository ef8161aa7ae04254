"""The inverse of a large symmetric positive definite matrix, in place, half of it stored.

The matrix is kept as square tiles of float64, those on and below the diagonal. NumPy's own
factorisations would need three full matrices; here a matrix of n rows takes 4n² bytes. The tiles
are fixed, and each is computed by one thread with a single-threaded BLAS, so that the number of
threads does not change a bit. BLAS and LAPACK differ between machines, and so may the last bits.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from trimetric.engine.threads import ThreadTeam, thread_count

TILE = 512

Tiles = dict[tuple[int, int], np.ndarray]
"""Tile (i, j), i >= j, holds rows i·TILE .. and columns j·TILE .. of the matrix."""


def spans(n: int) -> list[tuple[int, int]]:
    """Return the (first, stop) of the rows of each tile of a matrix of n rows."""
    return [(low, min(low + TILE, n)) for low in range(0, n, TILE)]


def shared(team: ThreadTeam, work: Callable[[Any], None], jobs: list) -> None:
    """Call `work` for each of `jobs`, each by one thread of the team."""

    def mine(me: int) -> None:
        for job in jobs[me :: team.threads]:
            work(job)

    team.run(mine)


def invert(tiles: Tiles) -> None:
    """Replace a symmetric positive definite matrix by its inverse.

    The sweep operator (Goodnight, The American Statistician 1979), a block of rows at a time: n³
    floating-point operations.

    Parameters
    ----------
    tiles : Tiles
        Overwritten.
    """
    size = 1 + max((row for row, _ in tiles), default=-1)
    with ThreadTeam(thread_count()) as team, threadpool_limits(1, user_api="blas"):
        for pivot in range(size):
            _sweep(tiles, pivot, size, team)
    for tile in tiles.values():
        np.negative(tile, out=tile)


def _sweep(tiles: Tiles, pivot: int, size: int, team: ThreadTeam) -> None:
    """Sweep the rows of one tile, k.

    A_kk → −A_kk⁻¹, A_ik → A_ik A_kk⁻¹, A_ij → A_ij − A_ik A_kk⁻¹ A_kj. The matrix stays symmetric;
    once all rows are swept it is −A⁻¹.
    """
    inverse = np.linalg.inv(tiles[pivot, pivot])
    inverse = (inverse + inverse.T) / 2
    below_pivot = [row for row in range(size) if row != pivot]
    before = {
        row: tiles[row, pivot] if row > pivot else tiles[pivot, row].T.copy() for row in below_pivot
    }
    after: dict[int, np.ndarray] = {}

    def scale(row: int) -> None:
        after[row] = before[row] @ inverse

    def update(place: tuple[int, int]) -> None:
        tiles[place] -= after[place[0]] @ before[place[1]].T

    shared(team, scale, below_pivot)
    shared(team, update, [place for place in tiles if pivot not in place])
    for row in below_pivot:
        if row > pivot:
            tiles[row, pivot] = after[row]
        else:
            tiles[pivot, row] = np.ascontiguousarray(after[row].T)
    tiles[pivot, pivot] = -inverse
