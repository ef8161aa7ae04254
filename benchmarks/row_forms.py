"""Training and ranking by one form of the row arithmetic; run by row_arithmetic.py.

The specification names the form, "emitted" (`engine.rows_llvm`) or "plain": Numba with sixteen
accumulators, in the order of `engine.rows_numpy`, hence with the same bits. It also lists Numba's
undocumented options to leave out.
"""

import numpy as np

import record

DIMS, CANDIDATES = (64, 100, 128), (1, 60)
SIZE = (20_000, 10_000, 150_000)  # users, items, interactions
QUERIES = 4000
ZERO = np.float32(0)

SUMS = {  # name -> arguments, rows, the value of a lane, and whether it is stored to out[c]
    "squared_distance": ("a, i, b, j", "x, y = a[i], b[j]", "x[{c}] - y[{c}]", False),
    "squared_norm": ("a, i", "x = a[i]", "x[{c}]", False),
    "triplet_gradient": (
        "g, k, points, i, j, n, a, b",
        "out, x, y, z = g[k], points[i], points[j], points[n]",
        "(a * (x[{c}] - z[{c}]) + b * (y[{c}] - z[{c}]))",
        True,
    ),
    "add_triplet_gradient": (
        "g, k, points, i, j, n, a, b",
        "out, x, y, z = g[k], points[i], points[j], points[n]",
        "out[{c}] + (a * (x[{c}] - z[{c}]) + b * (y[{c}] - z[{c}]))",
        True,
    ),
    "sgd_step": ("g, k, a, i, rate", "out, x = g[k], a[i]", "x[{c}] - rate * out[{c}]", True),
}


def source(name):
    """Return the code of an operation that returns the sum of the squares of its values."""
    arguments, rows, value, stored = SUMS[name]
    lines = [f"def {name}({arguments}):", f"    {rows}"]
    lines += [f"    s{lane} = ZERO" for lane in range(16)]
    lines += ["    for c in range(0, len(x), 16):"]
    for lane in range(16):
        lines.append(f"        v{lane} = {value.format(c=f'c + {lane}')}")
        lines += [f"        out[c + {lane}] = v{lane}"] if stored else []
    lines += [f"        s{lane} += v{lane} * v{lane}" for lane in range(16)]
    for half in (8, 4, 2, 1):
        lines += [f"    s{lane} += s{lane + half}" for lane in range(half)]
    return "\n".join([*lines, "    return s0"])


def use_plain_forms():
    """Replace the operations that training and ranking spend their time in."""
    from trimetric.engine import rows
    from trimetric.engine.compile import inline

    space = {"ZERO": ZERO}
    for name in SUMS:
        exec(source(name), space)
        setattr(rows, name, inline(space[name]))
    squared_distance = rows.squared_distance

    @inline
    def squared_distances(a, i, b, numbers, k, out):
        for n in range(k, k + 4):
            out[n] = squared_distance(a, i, b, numbers[n])

    @inline
    def copy(out, k, a, i, factor):
        for c in range(a.shape[1]):
            out[k, c] = factor * a[i, c]

    rows.squared_distances, rows.copy = squared_distances, copy


def ways(spec):
    """Return what trains `n` mini-batches of each kind, and what ranks."""
    from trimetric.engine import compile as compiling

    for name in spec["without"]:
        compiling.KERNEL_OPTIONS.pop(name, None)
        compiling.INLINE_OPTIONS.pop(name, None)
    if spec["form"] == "plain":
        use_plain_forms()
    from train import session
    from trimetric.data import synthetic
    from trimetric.engine.threads import ThreadTeam
    from trimetric.engine.topk import top_k

    users, items = synthetic.scale(*SIZE)
    team, made = ThreadTeam(spec["threads"]), {}

    def trains(dim, candidates):
        rules = {"negatives": "uniform"} if candidates == 1 else {"temperature": 0.2}
        trained = session((users, items, *SIZE[:2]), dim=dim, candidates=candidates, **rules)

        def run(batches):
            end = trained.n_batches if batches is None else batches
            trained.run(1, 0, team, lambda batch: batch >= end)

        return run

    for candidates in CANDIDATES:
        for dim in DIMS:
            made[f"train, S = {candidates}, d = {dim}"] = trains(dim, candidates)
    points = np.random.default_rng(0).normal(0, 0.1, (sum(SIZE[:2]), 100)).astype(np.float32)
    queries, targets = points[:QUERIES], points[SIZE[0] :]
    made["top-10 of 10,000, d = 100"] = lambda _: record.on_threads(
        spec["threads"], lambda: top_k(queries, targets, 10)
    )
    return made


if __name__ == "__main__":
    record.serve(ways, "numba")
