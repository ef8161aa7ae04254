"""The covariance penalty of CML (Hsieh et al., WWW 2017, section 3.4) and its gradient.

With y_n the N points of a mini-batch (user, item and negative item of each triplet, repeats
included), μ their mean and C = 1/N·Σ (y_n − μ)(y_n − μ)ᵀ:

    L_c = λ_c/N·(‖C‖_F − ‖diag C‖₂),    ∂L_c/∂y_n = 2λ_c/N²·(C/‖C‖_F − diag C/‖diag C‖₂)·(y_n − μ)

It is 0 where no two columns covary. The mean drops out of the gradient, since Σ (y_n − μ) = 0.
Each row of C is summed by one thread in the order of the triplets, so that no bit depends on the
number of threads. It costs 6·dim row operations a triplet, several times the rest.
"""

import numpy as np

from trimetric.engine.compile import inline
from trimetric.engine.rows import add_scaled, copy, scale, squared_norm


@inline
def count_points(triplets, count):
    """Return N: three points for each triplet that has a negative."""
    n = 0
    for t in range(count):
        n += 3 * (triplets[t, 2] >= 0)
    return n


@inline
def sum_covariance(me, threads, count, points, workspace):
    """Sum this thread's rows of N·C over the mini-batch, and the mean, which each keeps for itself.

    `workspace.covariance` is (dim, width); rows 2·me and 2·me + 1 of `workspace.centering` are the
    thread's mean and room for one centred point.
    """
    covariance, centering = workspace.covariance, workspace.centering
    mean, centred, triplets = 2 * me, 2 * me + 1, workspace.triplets
    dim, n = len(covariance), count_points(triplets, count)
    if n == 0:
        return
    scale(centering, mean, np.float32(0))
    for t in range(count):
        if triplets[t, 2] >= 0:
            for role in range(3):
                add_scaled(centering, mean, points, triplets[t, role], np.float32(1))
    scale(centering, mean, np.float32(1.0 / n))
    first, end = dim * me // threads, dim * (me + 1) // threads
    for i in range(first, end):
        scale(covariance, i, np.float32(0))
    for t in range(count):
        if triplets[t, 2] >= 0:
            for role in range(3):
                centre(centering, centred, points, triplets[t, role], mean)
                for i in range(first, end):
                    add_scaled(covariance, i, centering, centred, centering[centred, i])


@inline
def centre(centering, centred, points, point, mean):
    """Write y − μ of a point to its row of `centering`."""
    copy(centering, centred, points, point, np.float32(1))
    add_scaled(centering, centred, centering, mean, np.float32(-1))


@inline
def norms(covariance):
    """Return ‖C‖_F and ‖diag C‖₂ of a matrix."""
    whole, diagonal = np.float32(0), np.float32(0)
    for i in range(len(covariance)):
        whole += squared_norm(covariance, i)
        diagonal += covariance[i, i] * covariance[i, i]
    return np.sqrt(whole), np.sqrt(diagonal)


@inline
def penalty(count, workspace, weight):
    """L_c of the mini-batch; `weight` is λ_c."""
    n = count_points(workspace.triplets, count)
    if n == 0:
        return 0.0
    whole, diagonal = norms(workspace.covariance)  # of N·C
    return float(weight) * (float(whole) - float(diagonal)) / float(n) / float(n)


@inline
def add_covariance_gradient(me, g, k, point, times, n, points, workspace, weight, lengths):
    """Add `times`·∂L_c/∂y of one point to g[k]; return ‖g[k]‖².

    `n` is N, `weight` λ_c, and `lengths` are the `norms`: C/‖C‖ is the same for N·C.
    """
    covariance, centering = workspace.covariance, workspace.centering
    centred = 2 * me + 1
    centre(centering, centred, points, point, 2 * me)
    step = np.float32(2.0 * weight * times / n / n)
    whole = step / lengths[0] if lengths[0] > 0 else np.float32(0)
    diagonal = step / lengths[1] if lengths[1] > 0 else np.float32(0)
    for i in range(len(covariance)):
        y = centering[centred, i]
        add_scaled(g, k, covariance, i, whole * y)
        g[k, i] -= diagonal * covariance[i, i] * y
    return squared_norm(g, k)
