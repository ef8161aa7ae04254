"""NeuMF in plain NumPy: what the kernels of `models.mlp_tower` must equal."""

from itertools import pairwise

import numpy as np


def unpacked(weights, factors, dim, depth):
    """Split flat weights into (matrix [in, out], bias) a layer; last the output's."""
    widths = [2 * dim, *[max(1, 2 * dim // 2**k) for k in range(1, depth + 1)]] if dim else [0]
    shapes = [*pairwise(widths), (factors + widths[-1], 1)]
    layers = []
    for n_in, n_out in shapes:
        bias, matrix, weights = np.split(weights, [n_out, n_out + n_in * n_out])
        layers.append((matrix.reshape(n_in, n_out), bias))
    assert len(weights) == 0
    return layers


def twin_logit(p, q, weights, factors, dim, depth):
    """b + h·[p ⊙ q ; MLP([p;q])], equation (12) of He et al. (2017)."""
    *hidden, (h, b) = unpacked(np.asarray(weights, dtype=np.float64), factors, dim, depth)
    a = np.concatenate([p[factors:], q[factors:]])
    for matrix, bias in hidden:
        a = np.maximum(bias + a @ matrix, 0)
    return float((b + np.concatenate([p[:factors] * q[:factors], a]) @ h)[0])
