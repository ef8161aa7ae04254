"""The row operations as LLVM vectors; `rows_numpy` defines them under the same names.

Plain Numba, with sixteen accumulators or a loop over lanes, gives the same bits but compiles to
scalar code; benchmarks/results/row_arithmetic.json records what that costs.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from trimetric.engine.rows_numpy import (
    CONSECUTIVE,
    COUNTED,
    GROUP,
    LN2_HIGH,
    LN2_LOW,
    LOG2E,
    SMALLEST_EXPONENT,
    TAYLOR,
    TILE,
)

_I32 = ir.IntType(32)
_VECTOR = ir.VectorType(ir.FloatType(), 16)


def _at(number: int) -> ir.Constant:
    return ir.Constant(_I32, number)


def _every(value: Any) -> ir.Constant:
    return ir.Constant(_VECTOR, [float(np.float32(value))] * 16)


class _Rows:
    """The arguments of an operation while its code is written: rows by chunk, scalars by lane."""

    def __init__(self, context: Any, builder: Any, signature: Any, values: Any) -> None:
        self.context, self.builder = context, builder
        self.types, self.values = signature.args, values
        self.chunks: Any = None

    def row(self, position: int, number_at: int | None = None) -> Any:
        """Point at a row: the table is argument `position`, its row number the next one's."""
        return self.row_of(position, self.integer(position + 1 if number_at is None else number_at))

    def row_of(self, position: int, number: Any) -> Any:
        """Point at row `number`, an integer of the generated code, of argument `position`."""
        array = self.array(position)
        width = cgutils.unpack_tuple(self.builder, array.shape)[1]
        if self.chunks is None:
            self.chunks = self.builder.udiv(width, ir.Constant(width.type, 16))
        start = self.builder.gep(array.data, [self.builder.mul(number, width)])
        return self.builder.bitcast(start, _VECTOR.as_pointer())

    def below(self, row: Any, count: int) -> Any:
        """Point at the row that comes `count` rows after `row`."""
        step = self.builder.mul(self.chunks, ir.Constant(self.chunks.type, count))
        return self.builder.gep(row, [step])

    def element(self, position: int, number_at: int) -> Any:
        """Point at an element of the list that is argument `position`."""
        return self.builder.gep(self.array(position).data, [self.integer(number_at)])

    def array(self, position: int) -> Any:
        """Return the argument as an array."""
        kind = self.types[position]
        return self.context.make_array(kind)(self.context, self.builder, self.values[position])

    def integer(self, position: int) -> Any:
        """Return the argument as an index."""
        return self.as_index(self.values[position], self.types[position])

    def as_index(self, number: Any, kind: Any = types.int32) -> Any:
        """Return a number of the generated code as an index."""
        return self.context.cast(self.builder, number, kind, types.intp)

    def scalar(self, position: int) -> Any:
        """Repeat the argument, as float32, over the lanes."""
        kind = self.types[position]
        return self.lanes_of(
            self.context.cast(self.builder, self.values[position], kind, types.float32)
        )

    def lanes_of(self, value: Any) -> Any:
        """Repeat a float32 of the generated code over the lanes."""
        nothing = ir.Constant(_VECTOR, ir.Undefined)
        lane0 = self.builder.insert_element(nothing, value, ir.Constant(_I32, 0))
        return self.builder.shuffle_vector(
            lane0, nothing, ir.Constant(ir.VectorType(_I32, 16), [0] * 16)
        )

    def load(self, row: Any, chunk: Any) -> Any:
        return self.builder.load(self.builder.gep(row, [chunk]), align=4)

    def store(self, value: Any, row: Any, chunk: Any) -> None:
        self.builder.store(value, self.builder.gep(row, [chunk]), align=4)

    def each_chunk(self, body: Callable[[Any], None]) -> None:
        with cgutils.for_range(self.builder, self.chunks) as loop:
            body(loop.index)

    def sum_of_squares(self, term: Callable[[Any], Any]) -> Any:
        """Add term(chunk)² over the chunks; see `sum_over_chunks`."""

        def square(chunk: Any) -> Any:
            value = term(chunk)
            return self.builder.fmul(value, value)

        return self.sum_over_chunks(square)

    def sum_over_chunks(self, term: Callable[[Any], Any]) -> Any:
        """Add term(chunk) over the chunks lane by lane, then the lanes in halves."""
        return self.lane_sum(self.sums_over_chunks(lambda chunk: [term(chunk)], 1)[0])

    def sums_over_chunks(self, terms: Callable[[Any], list[Any]], count: int) -> list[Any]:
        """Return `count` such sums, made side by side, as vectors whose lanes are not added yet."""
        sums = [cgutils.alloca_once(self.builder, _VECTOR) for _ in range(count)]
        for total in sums:
            self.builder.store(_every(0.0), total)

        def body(chunk: Any) -> None:
            for total, value in zip(sums, terms(chunk), strict=True):
                self.builder.store(self.builder.fadd(self.builder.load(total), value), total)

        self.each_chunk(body)
        return [self.builder.load(total) for total in sums]

    def squared_distances(self, x: Any, others: list[Any]) -> list[Any]:
        """Return the sums of (x − y)² for each row y, the lanes not added yet."""

        def squares(chunk: Any) -> list[Any]:
            origin = self.load(x, chunk)
            differences = [self.builder.fsub(origin, self.load(y, chunk)) for y in others]
            return [self.builder.fmul(value, value) for value in differences]

        return self.sums_over_chunks(squares, len(others))

    def lane_sums(self, totals: list[Any]) -> Any:
        """Add the lanes of each of n vectors (a power of two, 16 at most) in halves, side by side.

        Halves of two vectors are added by one addition as long as there are two. The result holds n
        sums, each equal to that of `lane_sum` to the last bit.
        """
        width = 16
        while width > 1:
            width //= 2
            single = len(totals) == 1
            pairs = zip(totals[::2], totals[::2] if single else totals[1::2], strict=True)
            totals = [self._halves_added(*pair, width) for pair in pairs]
        return totals[0]

    def _halves_added(self, first: Any, second: Any, width: int) -> Any:
        """Each vector is made of groups of 2·width lanes; add the two halves of each group."""
        lanes = first.type.count
        groups = range(0, lanes if first is second else 2 * lanes, 2 * width)
        low = [lane for group in groups for lane in range(group, group + width)]
        kind = ir.VectorType(_I32, len(low))
        high = ir.Constant(kind, [lane + width for lane in low])
        return self.builder.fadd(
            self.builder.shuffle_vector(first, second, ir.Constant(kind, low)),
            self.builder.shuffle_vector(first, second, high),
        )

    def lane_sum(self, total: Any) -> Any:
        """Add the lanes of a vector in halves."""
        return self.builder.extract_element(self.lane_sums([total]), _at(0))

    def sqrt(self, value: Any) -> Any:
        return self._call("llvm.sqrt.v16f32", value)

    def nearest_integer(self, value: Any) -> Any:
        """Round to the nearest integer, ties to even."""
        return self._call("llvm.rint.v16f32", value)

    def fused(self, a: Any, b: Any, c: Any) -> Any:
        """Return a·b + c, rounded once."""
        return self._call("llvm.fma.v16f32", a, b, c)

    def _call(self, name: str, *values: Any) -> Any:
        kind = ir.FunctionType(_VECTOR, [_VECTOR] * len(values))
        return self.builder.call(
            cgutils.get_or_insert_function(self.builder.module, kind, name), values
        )

    def at(self, position: int, row: Any, column: Any) -> Any:
        """Point at an element of argument `position`, and return the width of its rows too."""
        array = self.array(position)
        width = cgutils.unpack_tuple(self.builder, array.shape)[1]
        start = self.builder.gep(array.data, [self.builder.mul(row, width)])
        return self.builder.gep(start, [column]), width


def _emit(code: Callable[[_Rows], Any]) -> Callable:
    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        result = code(_Rows(context, builder, signature, values))
        return context.get_dummy_value() if result is None else result

    return generate


@intrinsic
def squared_distance(typing, a, i, b, j):  # noqa: D103
    def code(r: _Rows) -> Any:
        x, y = r.row(0), r.row(2)
        return r.sum_of_squares(lambda c: r.builder.fsub(r.load(x, c), r.load(y, c)))

    return types.float32(a, i, b, j), _emit(code)


@intrinsic
def squared_distances(typing, a, i, b, rows, k, out):  # noqa: D103
    def code(r: _Rows) -> None:
        x, builder = r.row(0), r.builder
        listed, answer = r.element(3, 4), r.element(5, 4)
        numbers = [builder.load(builder.gep(listed, [_at(n)])) for n in range(GROUP)]
        others = [r.row_of(2, r.as_index(number)) for number in numbers]

        for n, total in enumerate(r.squared_distances(x, others)):
            builder.store(r.lane_sum(total), builder.gep(answer, [_at(n)]))

    return types.void(a, i, b, rows, k, out), _emit(code)


@intrinsic
def consecutive_distances(typing, a, i, b, start, out, at):  # noqa: D103
    def code(r: _Rows) -> None:
        x, answer, builder = r.row(0), r.element(4, 5), r.builder
        first = r.row(2)
        others = [r.below(first, n) for n in range(CONSECUTIVE)]

        sums = r.lane_sums(r.squared_distances(x, others))
        builder.store(sums, builder.bitcast(answer, sums.type.as_pointer()), align=4)

    return types.void(a, i, b, start, out, at), _emit(code)


@intrinsic
def add_consecutive(typing, out, k, b, start, weights, at):  # noqa: D103
    def code(r: _Rows) -> None:
        to, first, builder = r.row(0), r.row(2), r.builder
        others = [r.below(first, n) for n in range(CONSECUTIVE)]
        weights = [builder.gep(r.element(4, 5), [_at(n)]) for n in range(CONSECUTIVE)]
        factors = [r.lanes_of(builder.load(weight)) for weight in weights]

        def add(c: Any) -> None:
            total = r.load(to, c)
            for factor, y in zip(factors, others, strict=True):
                total = builder.fadd(total, builder.fmul(factor, r.load(y, c)))
            r.store(total, to, c)

        r.each_chunk(add)

    return types.void(out, k, b, start, weights, at), _emit(code)


def _count_code(comparison: str) -> Callable[[_Rows], Any]:
    def code(r: _Rows) -> Any:
        b, limit = r.builder, r.scalar(2)
        start = b.bitcast(r.element(0, 1), _VECTOR.as_pointer())
        lanes = ir.VectorType(_I32, 16)
        total = ir.Constant(lanes, [0] * 16)
        for n in range(COUNTED // 16):
            value = b.load(b.gep(start, [_at(n)]), align=4)
            total = b.add(total, b.zext(b.fcmp_ordered(comparison, value, limit), lanes))
        kind = ir.FunctionType(_I32, [lanes])
        name = "llvm.vector.reduce.add.v16i32"
        return b.call(cgutils.get_or_insert_function(b.module, kind, name), [total])

    return code


@intrinsic
def count_above(typing, a, start, limit):  # noqa: D103
    return types.int32(a, start, limit), _emit(_count_code(">"))


@intrinsic
def count_at_least(typing, a, start, limit):  # noqa: D103
    return types.int32(a, start, limit), _emit(_count_code(">="))


@intrinsic
def squared_norm(typing, a, i):  # noqa: D103
    def code(r: _Rows) -> Any:
        x = r.row(0)
        return r.sum_of_squares(lambda c: r.load(x, c))

    return types.float32(a, i), _emit(code)


@intrinsic
def dot(typing, a, i, b, j):  # noqa: D103
    def code(r: _Rows) -> Any:
        x, y = r.row(0), r.row(2)
        return r.sum_over_chunks(lambda c: r.builder.fmul(r.load(x, c), r.load(y, c)))

    return types.float32(a, i, b, j), _emit(code)


def _triplet_code(add: bool) -> Callable[[_Rows], Any]:
    def code(r: _Rows) -> Any:
        out, b = r.row(0), r.builder
        x, y, z = (r.row(2, number) for number in (3, 4, 5))
        weight_x, weight_y = r.scalar(6), r.scalar(7)

        def gradient(c: Any) -> Any:
            origin = r.load(z, c)
            first = b.fmul(weight_x, b.fsub(r.load(x, c), origin))
            second = b.fmul(weight_y, b.fsub(r.load(y, c), origin))
            total = b.fadd(first, second)
            value = b.fadd(r.load(out, c), total) if add else total
            r.store(value, out, c)
            return value

        return r.sum_of_squares(gradient)

    return code


@intrinsic
def triplet_gradient(typing, g, k, points, x, y, z, a, b):  # noqa: D103
    return types.float32(g, k, points, x, y, z, a, b), _emit(_triplet_code(add=False))


@intrinsic
def add_triplet_gradient(typing, g, k, points, x, y, z, a, b):  # noqa: D103
    return types.float32(g, k, points, x, y, z, a, b), _emit(_triplet_code(add=True))


@intrinsic
def scale(typing, g, k, factor):  # noqa: D103
    def code(r: _Rows) -> None:
        out, f = r.row(0), r.scalar(2)
        r.each_chunk(lambda c: r.store(r.builder.fmul(r.load(out, c), f), out, c))

    return types.void(g, k, factor), _emit(code)


@intrinsic
def copy(typing, out, k, a, i, factor):  # noqa: D103
    def code(r: _Rows) -> None:
        to, x, f = r.row(0), r.row(2), r.scalar(4)
        r.each_chunk(lambda c: r.store(r.builder.fmul(f, r.load(x, c)), to, c))

    return types.void(out, k, a, i, factor), _emit(code)


@intrinsic
def add_scaled(typing, out, k, a, i, factor):  # noqa: D103
    def code(r: _Rows) -> None:
        to, x, f, b = r.row(0), r.row(2), r.scalar(4), r.builder
        r.each_chunk(lambda c: r.store(b.fadd(r.load(to, c), b.fmul(f, r.load(x, c))), to, c))

    return types.void(out, k, a, i, factor), _emit(code)


@intrinsic
def multiply(typing, out, k, a, i, b, j):  # noqa: D103
    def code(r: _Rows) -> None:
        to, x, y = r.row(0), r.row(2), r.row(4)
        r.each_chunk(lambda c: r.store(r.builder.fmul(r.load(x, c), r.load(y, c)), to, c))

    return types.void(out, k, a, i, b, j), _emit(code)


@intrinsic
def sgd_step(typing, g, k, a, i, rate):  # noqa: D103
    def code(r: _Rows) -> Any:
        out, x, eta = r.row(0), r.row(2), r.scalar(4)

        def moved(c: Any) -> Any:
            value = r.builder.fsub(r.load(x, c), r.builder.fmul(eta, r.load(out, c)))
            r.store(value, out, c)
            return value

        return r.sum_of_squares(moved)

    return types.float32(g, k, a, i, rate), _emit(code)


@intrinsic
def adagrad_step(typing, g, k, a, i, squares, p, rate):  # noqa: D103
    def code(r: _Rows) -> Any:
        out, x, past, eta = r.row(0), r.row(2), r.row(4), r.scalar(6)

        def moved(c: Any) -> Any:
            gradient = r.load(out, c)
            total = r.builder.fadd(r.load(past, c), r.builder.fmul(gradient, gradient))
            r.store(total, past, c)
            change = r.builder.fdiv(r.builder.fmul(eta, gradient), r.sqrt(total))
            value = r.builder.fsub(r.load(x, c), change)
            r.store(value, out, c)
            return value

        return r.sum_of_squares(moved)

    return types.float32(g, k, a, i, squares, p, rate), _emit(code)


@intrinsic
def adam_step(typing, g, k, a, i, first, p, second, q, rate, correction):  # noqa: D103
    def code(r: _Rows) -> Any:
        out, x, mean, spread = r.row(0), r.row(2), r.row(4), r.row(6)
        eta, bias, b = r.scalar(8), r.scalar(9), r.builder

        def blend(row: Any, c: Any, keep: float, take: float, value: Any) -> Any:
            old, new = b.fmul(_every(keep), r.load(row, c)), b.fmul(_every(take), value)
            total = b.fadd(old, new)
            r.store(total, row, c)
            return total

        def moved(c: Any) -> Any:
            gradient = r.load(out, c)
            centre = blend(mean, c, 0.9, 0.1, gradient)
            square = blend(spread, c, 0.999, 0.001, b.fmul(gradient, gradient))
            root = b.fadd(r.sqrt(b.fmul(square, bias)), _every(1e-8))
            value = b.fsub(r.load(x, c), b.fdiv(b.fmul(eta, centre), root))
            r.store(value, out, c)
            return value

        return r.sum_of_squares(moved)

    return types.float32(g, k, a, i, first, p, second, q, rate, correction), _emit(code)


def _product_code(add: bool, transposed: bool) -> Callable[[_Rows], None]:
    def code(r: _Rows) -> None:
        b = r.builder
        out, out_width = r.at(0, r.integer(1), r.integer(2))
        if transposed:
            weight, weight_width = r.at(3, r.integer(5), r.integer(4))
        else:
            weight, weight_width = r.at(3, r.integer(4), r.integer(5))
        term, term_width = r.at(6, r.integer(7), r.integer(8))
        steps = r.integer(9)
        one = ir.Constant(steps.type, 1)
        across, along = (one, weight_width) if transposed else (weight_width, one)

        def row_of(start: Any, step: Any, n: int) -> Any:
            return b.gep(start, [b.mul(step, ir.Constant(step.type, n))])

        targets = [b.bitcast(row_of(out, out_width, n), _VECTOR.as_pointer()) for n in range(TILE)]
        weights = [row_of(weight, across, n) for n in range(TILE)]
        sums = [cgutils.alloca_once(b, _VECTOR) for _ in range(TILE)]
        for total, target in zip(sums, targets, strict=True):
            b.store(b.load(target, align=4) if add else _every(0.0), total)
        with cgutils.for_range(b, steps) as loop:
            place = b.gep(term, [b.mul(loop.index, term_width)])
            value = b.load(b.bitcast(place, _VECTOR.as_pointer()), align=4)
            offset = b.mul(loop.index, along)
            for total, first in zip(sums, weights, strict=True):
                factor = r.lanes_of(b.load(b.gep(first, [offset])))
                b.store(r.fused(factor, value, b.load(total)), total)
        for total, target in zip(sums, targets, strict=True):
            b.store(b.load(total), target, align=4)

    return code


@intrinsic
def product(typing, out, i, c, w, wi, wk, t, k, tc, n):  # noqa: D103
    return types.void(out, i, c, w, wi, wk, t, k, tc, n), _emit(_product_code(False, False))


@intrinsic
def add_product(typing, out, i, c, w, wi, wk, t, k, tc, n):  # noqa: D103
    return types.void(out, i, c, w, wi, wk, t, k, tc, n), _emit(_product_code(True, False))


@intrinsic
def transposed_product(typing, out, i, c, w, wi, wk, t, k, tc, n):  # noqa: D103
    return types.void(out, i, c, w, wi, wk, t, k, tc, n), _emit(_product_code(False, True))


@intrinsic
def largest(typing, a, i):  # noqa: D103
    def code(r: _Rows) -> Any:
        x, b = r.row(0), r.builder
        best = cgutils.alloca_once(b, _VECTOR)
        b.store(_every(-np.inf), best)

        def take(c: Any) -> None:
            value, before = r.load(x, c), b.load(best)
            b.store(b.select(b.fcmp_ordered(">", value, before), value, before), best)

        r.each_chunk(take)
        total = b.load(best)
        winner = b.extract_element(total, _at(0))
        for lane in range(1, 16):
            value = b.extract_element(total, _at(lane))
            winner = b.select(b.fcmp_ordered(">", value, winner), value, winner)
        return winner

    return types.float32(a, i), _emit(code)


@intrinsic
def exp_row(typing, a, i, shift):  # noqa: D103
    def code(r: _Rows) -> Any:
        row, least, b = r.row(0), r.scalar(2), r.builder
        lanes = ir.VectorType(_I32, 16)

        def exponential(c: Any) -> Any:
            x = b.fsub(r.load(row, c), least)
            low = _every(SMALLEST_EXPONENT)
            below = b.fcmp_ordered("<", x, low)
            kept = b.select(below, low, x)
            n = r.nearest_integer(b.fmul(kept, _every(LOG2E)))
            minus = b.fneg(n)
            rest = r.fused(minus, _every(LN2_HIGH), kept)
            rest = r.fused(minus, _every(LN2_LOW), rest)
            series = _every(TAYLOR[0])
            for term in TAYLOR[1:]:
                series = r.fused(series, rest, _every(term))
            exponent = b.add(b.fptosi(n, lanes), ir.Constant(lanes, [127] * 16))
            power = b.bitcast(b.shl(exponent, ir.Constant(lanes, [23] * 16)), _VECTOR)
            value = b.select(below, _every(0.0), b.fmul(series, power))
            r.store(value, row, c)
            return value

        return r.sum_over_chunks(exponential)

    return types.float32(a, i, shift), _emit(code)


@intrinsic
def prefetch(typing, a, i):  # noqa: D103
    def code(r: _Rows) -> None:
        row, byte = r.row(0), ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte, _I32, _I32, _I32])
        function = cgutils.get_or_insert_function(r.builder.module, kind, "llvm.prefetch.p0")
        read, near, data = (ir.Constant(_I32, n) for n in (0, 3, 1))

        def fetch_line(c: Any) -> None:
            address = r.builder.bitcast(r.builder.gep(row, [c]), byte)
            r.builder.call(function, [address, read, near, data])

        r.each_chunk(fetch_line)

    return types.void(a, i), _emit(code)
