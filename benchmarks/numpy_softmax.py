"""The objective of CentroidML as one would write it with NumPy and BLAS, for closed_form.py.

`trimetric.engine.centroids` has the formulas; κ = 0 here. Blocks of users share their candidates,
matrix products make scores and gradients, and row-wise Adagrad steps along the sphere. What runs
over histories, sums of items and of what they get, is compiled by Numba on as many threads.
"""

import math
import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # waiting threads leave the cores to BLAS

import numba
import numpy as np
from numba import njit, prange

OPTIONS = {
    "parallel": True,
    "fastmath": {"reassoc", "contract", "nsz"},
    "cache": True,
    "error_model": "numpy",
}
START = np.float32(0.1)  # of Adagrad's sums of squares
LEAST_SQUARE, LEAST_LENGTH = np.float32(0.05), np.float32(1e-3)


@njit(**OPTIONS)
def add_items(first, entry_items, items, weights, out):
    """out[r] = Σ h_i·y_i over the items of user r of the block."""
    for r in prange(len(first) - 1):
        out[r] = 0
        for e in range(first[r], first[r + 1]):
            i = entry_items[e]
            h = weights[i]
            for k in range(out.shape[1]):
                out[r, k] += h * items[i, k]


@njit(**OPTIONS)
def pull_positives(first, entry_items, items, bias, weights, z, p, log_sum, scalars, out):
    """Fill what each interaction says of its item and of the user; see the engine's namesake."""
    own, margin, rate = scalars
    of_z, of_p, of_bias, of_weight, z_gradient, p_gradient, active, loss = out
    share, two, one, dim = np.float32(1) - own, np.float32(2), np.float32(1), z.shape[1]
    for r in prange(len(first) - 1):
        z_gradient[r], p_gradient[r], active[r], loss[r], of_sum = 0, 0, 0, 0, np.float32(0)
        zz = np.float32(0)
        for k in range(dim):
            zz += z[r, k] * z[r, k]
        for e in range(first[r], first[r + 1]):
            v = entry_items[e]
            h, zy, py = weights[v], np.float32(0), np.float32(0)
            for k in range(dim):
                zy += z[r, k] * items[v, k]
                py += p[r, k] * items[v, k]
            without = zz - two * h * zy + h * h
            length = np.sqrt(max(without, LEAST_SQUARE))
            s = (zy - h) / length
            turn = s if without >= LEAST_SQUARE else np.float32(0)
            gap = (two * (own * py + share * s) + bias[v] - margin) * rate - log_sum[r]
            q = one / (one + np.exp(gap))
            loss[r] += max(-gap, np.float32(0)) + np.log1p(np.exp(-abs(gap)))
            active[r] += q
            by_length, in_own = two * q * share / length, two * q * own
            of_z[e] = -by_length - h * by_length * turn / length
            of_p[e], of_bias[e] = -in_own, -q
            of_weight[e] = by_length * (one - turn * (zy - h) / length)
            along = -by_length * (one + turn * h / length)
            for k in range(dim):
                z_gradient[r, k] += along * items[v, k]
                p_gradient[r, k] -= in_own * items[v, k]
            of_sum += by_length * turn / length
        for k in range(dim):
            z_gradient[r, k] += of_sum * z[r, k]


@njit(**OPTIONS)
def add_entries(start, order, rows, entry_users, items, weights, z, p, of, z_gradient, gradients):
    """Add the interactions of each item to its row of the gradients."""
    of_z, of_p, of_bias, of_weight = of
    by_item, by_bias, by_weight = gradients
    for slot in prange(len(rows)):
        v, h = rows[slot], weights[rows[slot]]
        for n in range(start[slot], start[slot + 1]):
            e = order[n]
            r, along = entry_users[e], np.float32(0)
            for k in range(z.shape[1]):
                by_item[slot, k] += of_z[e] * z[r, k] + h * z_gradient[r, k] + of_p[e] * p[r, k]
                along += z_gradient[r, k] * items[v, k]
            by_bias[slot] += of_bias[e]
            by_weight[slot] += of_weight[e] + along


def unit(rows):
    return rows / np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None]


class Softmax:
    """Trains on interactions sorted by user; `settings` are those of CentroidML."""

    def __init__(self, data, settings):
        self.items_of, self.indptr = np.asarray(data.items), np.asarray(data.indptr)
        self.settings, self.rng = settings, np.random.default_rng(0)
        counts = np.diff(self.indptr)
        self.kept = np.flatnonzero((counts > 0) & (counts < data.n_items))
        n_users, n_items, dim = data.n_users, data.n_items, settings["dim"]
        self.items, self.own = (
            unit(self.rng.standard_normal((n, dim), dtype=np.float32)) for n in (n_items, n_users)
        )
        self.bias, self.weights = np.zeros(n_items, np.float32), np.ones(n_items, np.float32)
        self.squares = {
            name: np.full(n, START)
            for name, n in (("item", n_items), ("own", n_users), ("bias", n_items),
                            ("weight", n_items))
        }  # fmt: skip
        self.slot = np.full(n_items, -1, dtype=np.int64)

    def epoch(self, number):
        """Train on all users once; return the mean loss of an interaction."""
        s, total = self.settings, 0.0
        lr, order = s["lr"] * (1 - number / s["epochs"]), self.rng.permutation(self.kept)
        for low in range(0, len(order), s["batch_size"]):
            total += self.block(order[low : low + s["batch_size"]], np.float32(lr))
        return total / len(self.items_of)

    def points(self, users):
        """Return where each interaction begins, the items, z and its length, and x."""
        counts = self.indptr[users + 1] - self.indptr[users]
        first = np.concatenate([[0], np.cumsum(counts)])
        place = np.repeat(self.indptr[users] - first[:-1], counts) + np.arange(first[-1])
        entry_items, z = self.items_of[place], np.empty((len(users), self.items.shape[1]), "f4")
        add_items(first, entry_items, self.items, self.weights, z)
        length = np.maximum(np.sqrt(np.einsum("ij,ij->i", z, z)), LEAST_LENGTH)[:, None]
        omega = np.float32(self.settings["own"])
        return first, entry_items, z, length, (1 - omega) / length * z + omega * self.own[users]

    def block(self, users, lr):
        """Take one step on a block of users and the candidates that it shares."""
        s, n_items, slot = self.settings, len(self.items), self.slot
        omega, rate = np.float32(s["own"]), np.float32(1 / s["temperature"])
        first, entry_items, z, length, x = self.points(users)
        entry_users = np.repeat(np.arange(len(users)), np.diff(first))
        size = min(s["candidates"] or n_items, n_items)
        chosen = self.rng.choice(n_items, size, replace=False, shuffle=False)
        slot[chosen] = np.arange(size)
        p, targets = self.own[users], self.items[chosen]

        shares = (2 * rate * x) @ targets.T
        shares += rate * self.bias[chosen]
        at = slot[entry_items]
        shares[entry_users[at >= 0], at[at >= 0]] = -np.inf
        top = shares.max(axis=1, keepdims=True)
        np.exp(np.subtract(shares, top, out=shares), out=shares)
        total = shares.sum(axis=1)
        log_share = math.log(min(100.0, n_items**0.5) / size)
        log_sum = (np.log(total) + top[:, 0] + log_share).astype(np.float32)

        of = tuple(np.empty(len(entry_items), np.float32) for _ in range(4))
        z_gradient, p_gradient = np.empty_like(z), np.empty_like(z)
        active, loss = (np.empty(len(users), np.float32) for _ in range(2))
        pull_positives(
            first, entry_items, self.items, self.bias, self.weights, z, p, log_sum,
            (omega, np.float32(s["margin"]), rate),
            (*of, z_gradient, p_gradient, active, loss),
        )  # fmt: skip
        shares *= (active / total)[:, None]
        pulled = shares @ targets
        factor = 2 * (1 - omega) / length
        along = np.einsum("ij,ij->i", pulled, z)[:, None] / (length * length)
        z_gradient += factor * (pulled - along * z)
        p_gradient += 2 * omega * pulled

        others = np.unique(entry_items[at < 0])
        slot[others] = size + np.arange(len(others))
        rows = np.concatenate([chosen, others])
        gradients = np.zeros((len(rows), x.shape[1]), np.float32), *np.zeros((2, len(rows)), "f4")
        np.matmul(shares.T, 2 * x, out=gradients[0][:size])
        gradients[1][:size] = shares.sum(axis=0)
        slots = slot[entry_items]
        start = np.concatenate([[0], np.cumsum(np.bincount(slots, minlength=len(rows)))])
        add_entries(
            start, np.argsort(slots, kind="stable"), rows, entry_users, self.items, self.weights,
            z, p, of, z_gradient, gradients,
        )  # fmt: skip
        slot[rows] = -1
        self.on_sphere(self.own, "own", users, p_gradient, lr * np.float32(s["own_rate"]))
        self.on_sphere(self.items, "item", rows, gradients[0], lr)
        rate = lr * np.float32(s["bias_rate"])
        self.bias[rows] -= self.adagrad("bias", rows, gradients[1], rate)
        slope, rate = gradients[2] * self.weights[rows], lr * np.float32(s["weight_rate"])
        self.weights[rows] *= np.exp(-self.adagrad("weight", rows, slope, rate))
        return float(loss.sum())

    def on_sphere(self, table, name, rows, gradient, rate):
        old = table[rows]
        gradient -= np.einsum("ij,ij->i", gradient, old)[:, None] * old
        square = np.einsum("ij,ij->i", gradient, gradient)
        sums = self.squares[name][rows] + square / np.float32(table.shape[1])
        self.squares[name][rows] = sums
        table[rows] = unit(old - (rate / np.sqrt(sums))[:, None] * gradient)

    def adagrad(self, name, rows, gradient, rate):
        sums = self.squares[name][rows] + gradient * gradient
        self.squares[name][rows] = sums
        return rate * gradient / np.sqrt(sums)

    def tables(self):
        """Return x_u of all users, y_v and b_v."""
        return self.points(np.arange(len(self.own)))[4], self.items, self.bias


def on_threads(count):
    """Keep BLAS and Numba to so many threads."""
    from threadpoolctl import threadpool_limits

    numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))
    return threadpool_limits(count)
