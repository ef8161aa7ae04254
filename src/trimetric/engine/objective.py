"""The objective of SML, equation (6), and its gradients: one function per term.

For a triplet of user u, item v and negative item v⁻ at the points α_u, β_v and β_v⁻:

    L = w·[d²(u,v) − d²(u,v⁻) + m_u]₊ + λ·[d²(u,v) − d²(v,v⁻) + n_v]₊ − γ/512·(m_u + n_v)

w is the rank weight of CML, 1 in the paper of SML. The paper's last term averages the margins over
all users and items; the released code, and this one, average over the mini-batch, so that each
triplet carries γ/B of its own two margins. B is fixed at 512 here, the paper's batch size, whatever
the batch size in use: γ keeps one meaning.

The gradients are written in a = 2w where the user hinge is active, else 0, and b = 2λ where the
item hinge is active, else 0.
"""

import math

import numpy as np

from trimetric.engine.compile import inline
from trimetric.engine.rows import add_triplet_gradient, triplet_gradient

GAMMA_BATCH = 512


@inline
def user_hinge(d_uv, d_un, m):
    """d²(u,v) − d²(u,v⁻) + m_u, the bracket of equation (3) with the margin of (6)."""
    return d_uv - d_un + m


@inline
def item_hinge(d_uv, d_vn, n):
    """d²(u,v) − d²(v,v⁻) + n_v, the bracket of equation (4) with the margin of (6)."""
    return d_uv - d_vn + n


@inline
def active_weight(hinge, weight):
    """∂(weight·[hinge]₊)/∂hinge: the weight where the hinge is active, else 0.

    NaN counts as active, so that it shows in the loss.
    """
    return np.float32(weight * (not hinge <= 0))


@inline
def hinge_loss(hinge, weight):
    """weight·[hinge]₊, the first and second term of equation (6)."""
    return np.float32(active_weight(hinge, weight) * hinge)


@inline
def margin_loss(m, n, gamma):
    """−γ/512·(m_u + n_v), the third term of equation (6); `gamma` is γ/512."""
    return -gamma * (m + n)


@inline
def triplet_loss(user, item, w, lam, m, n, gamma):
    """The loss L of one triplet, equation (6), from its two hinges."""
    return hinge_loss(user, w) + hinge_loss(item, lam) + margin_loss(m, n, gamma)


@inline
def user_gradient(g, k, points, u, v, n, a, b, add):
    """∂L/∂α_u = a·(β_v⁻ − β_v) + b·(α_u − β_v) of equation (6).

    Write it to g[k], or add it where `add` is true; return ‖g[k]‖². `u`, `v` and `n` are the rows
    of the three points.
    """
    if add:
        return add_triplet_gradient(g, k, points, n, u, v, a, b)
    return triplet_gradient(g, k, points, n, u, v, a, b)


@inline
def item_gradient(g, k, points, u, v, n, a, b, add):
    """∂L/∂β_v = a·(β_v − α_u) + b·(β_v⁻ − α_u) of equation (6); see `user_gradient`."""
    if add:
        return add_triplet_gradient(g, k, points, v, n, u, a, b)
    return triplet_gradient(g, k, points, v, n, u, a, b)


@inline
def negative_gradient(g, k, points, u, v, n, a, b, add):
    """∂L/∂β_v⁻ = a·(α_u − β_v⁻) + b·(β_v − β_v⁻) of equation (6); see `user_gradient`."""
    if add:
        return add_triplet_gradient(g, k, points, u, v, n, a, b)
    return triplet_gradient(g, k, points, u, v, n, a, b)


@inline
def user_margin_gradient(a, gamma):
    """∂L/∂m_u = a/2 − γ/512 of equation (6); `gamma` is γ/512."""
    return np.float32(0.5) * a - gamma


@inline
def item_margin_gradient(b, gamma):
    """∂L/∂n_v = b/2 − γ/512 of equation (6); `gamma` is γ/512."""
    return np.float32(0.5) * b - gamma


def rank_weights(n_items: int, candidates: int) -> np.ndarray:
    """Return CML's w = ln(1 + rank) for 0 .. S impostors among S candidates, float32.

    The rank is estimated as |V|·impostors/S (Hsieh et al. 2017, section 3.2.2).
    """
    ranks = (n_items * impostors / candidates for impostors in range(candidates + 1))
    return np.array([math.log1p(rank) for rank in ranks], dtype=np.float32)
