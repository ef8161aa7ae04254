"""The most multiply-adds that a thread can do, and the rate of the closed-form loop's products."""

import time

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from trimetric.engine.blocks import pull_candidates, push_candidates, score_candidates
from trimetric.engine.centroid_session import make_workspace
from trimetric.engine.compile import kernel
from trimetric.engine.rows import LANES

VECTOR = ir.VectorType(ir.FloatType(), LANES)
UNROLLED = 16


def chains(count):
    """Return a kernel of `count` independent chains of multiply-adds of sixteen lanes.

    It takes (rounds, factor) and does rounds × UNROLLED × count × 16 multiply-adds in registers.
    """

    @intrinsic
    def run(context, rounds, factor):
        def code(context, builder, signature, values):
            kind = ir.FunctionType(VECTOR, [VECTOR] * 3)
            fma = cgutils.get_or_insert_function(builder.module, kind, "llvm.fma.v16f32")
            nothing, zero = ir.Constant(VECTOR, ir.Undefined), ir.Constant(ir.IntType(32), 0)
            lane = builder.insert_element(nothing, values[1], zero)
            mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
            every = builder.shuffle_vector(lane, nothing, mask)
            sums = [cgutils.alloca_once(builder, VECTOR) for _ in range(count)]
            for number, total in enumerate(sums):
                builder.store(ir.Constant(VECTOR, [float(number + 1)] * LANES), total)
            with cgutils.for_range(builder, values[0]):
                for _ in range(UNROLLED):
                    for total in sums:
                        builder.store(builder.call(fma, [builder.load(total), every, every]), total)
            whole = builder.load(sums[0])
            for total in sums[1:]:
                whole = builder.fadd(whole, builder.load(total))
            found = builder.extract_element(whole, zero)
            for number in range(1, LANES):
                at = ir.Constant(ir.IntType(32), number)
                found = builder.fadd(found, builder.extract_element(whole, at))
            return found

        return types.float32(types.int64, types.float32), code

    @njit(nogil=True)
    def chain(rounds, factor):
        return run(np.int64(rounds), np.float32(factor))

    return chain


def peak(seconds=0.3):
    """Return one thread's multiply-adds a second: the best of some numbers of chains."""
    best = 0.0
    for count in (5, 8, 10, 12, 16, 24):  # fits 16 registers of half the width, or 32
        chain, rounds = chains(count), 100_000
        chain(1, 0.5)
        ends = time.perf_counter() + seconds
        while time.perf_counter() < ends:
            began = time.perf_counter()
            chain(rounds, 0.5)
            taken = time.perf_counter() - began
            best = max(best, rounds * UNROLLED * count * LANES / taken)
    return best


@kernel
def scores(times, rows, workspace, params):
    w = workspace
    for _ in range(times):
        score_candidates(0, rows, w.scaled, w.panels, params.dim + 1, params.candidates, w.scores)


@kernel
def pulls(times, rows, workspace, params):
    w = workspace
    for _ in range(times):
        w.pulled[:] = 0
        pull_candidates(0, rows, w.scores, w.targets, params.candidates, w.pulled)


@kernel
def transposed(times, rows, workspace, params):
    w = workspace
    for _ in range(times):
        push_candidates(0, len(w.gradients), w.scores, w.points, rows, w.gradients)


PRODUCTS = {
    "score_candidates": scores,
    "pull_candidates": pulls,
    "transposed product": transposed,
}


def products(state, settings, params, rows, size):
    """Return, by name, what runs a product of the loop `n` times on one thread."""
    workspace = make_workspace(state, params, rows, 1, 1)
    rng = np.random.default_rng(0)
    for table in (workspace.targets, workspace.panels, workspace.scaled, workspace.points):
        table[:] = rng.standard_normal(table.shape, dtype=np.float32)
    workspace.scores[:] = rng.random(workspace.scores.shape, dtype=np.float32)
    return {
        name: lambda times, run=run: run(times, rows, workspace, params)
        for name, run in PRODUCTS.items()
    }
