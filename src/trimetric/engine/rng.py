"""The scalar, compiled forms of `trimetric.counter`, and a random order that needs no memory."""

from typing import Any, NamedTuple

import numpy as np

from trimetric import counter
from trimetric.counter import GOLDEN
from trimetric.engine.compile import inline, kernel

_M1, _M2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_LOW = np.uint64(0xFFFF)
_ONE, _16, _30, _27, _31, _32 = (np.uint64(n) for n in (1, 16, 30, 27, 31, 32))


@inline
def mix(x):
    """Scramble a uint64 by the bijection of `trimetric.counter.mix`."""
    x = (x ^ (x >> _30)) * _M1
    x = (x ^ (x >> _27)) * _M2
    return x ^ (x >> _31)


@inline
def bits(key, position):
    """Return the random uint64 at `position` (int >= 0) of stream `key`."""
    return mix(key + (np.uint64(position) + _ONE) * GOLDEN)


@inline
def below(key, position, n):
    """Return a random integer in [0, n), n < 2**31; its bias is below 2**-32 of a draw."""
    return scaled(bits(key, position), n)


@inline
def scaled(word, n):
    """Return an integer in [0, n), n < 2**31, from the upper half of a random word."""
    return np.int64(((word >> _32) * np.uint64(n)) >> _32)


class Order(NamedTuple):
    """A random order of range(n); see `shuffled`."""

    n: Any
    mask: Any
    half: Any
    rounds: Any  # six uint64


def order(key: np.uint64, n: int) -> Order:
    """Return the random order `key` of range(n), n >= 1, ready for `shuffled`."""
    width = max(1, (n - 1).bit_length())
    rounds = tuple(counter.bits(key, np.arange(6)))
    return Order(np.uint64(n), np.uint64(2**width - 1), np.uint64((width + 1) // 2), rounds)


@inline
def shuffled(position, order):
    """Return the place of `position` in the order.

    Odd multiplication, addition and a shifted exclusive or are each a bijection on the smallest
    2**b >= n; six rounds are composed, and results outside range(n) go through them again, which
    keeps it a bijection. No order is stored, and each place is computed alone.
    """
    x = np.uint64(position)
    while True:
        for state in order.rounds:
            x = (x * (state | _ONE) + (state >> _32)) & order.mask
            x = x ^ (x >> order.half)
        if x < order.n:
            return np.int64(x)


@kernel
def fill_normal(table, dim, key, shape):
    """Fill `dim` columns with mean + std·`trimetric.counter.normal`; `shape` = (mean, std)."""
    mean, std = shape
    for i in range(len(table)):
        for k in range(dim):
            total = np.int64(0)
            for word in range(3):
                value = bits(key, (i * dim + k) * 3 + word)
                for _ in range(4):
                    total += np.int64(value & _LOW)
                    value >>= _16
            table[i, k] = mean + std * ((total * 2 - 12 * 65535) / 131072.0)
