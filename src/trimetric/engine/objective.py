"""The objective of SML, equations (5)-(6), one small function a term.

For a triplet of user u, item v and negative item v⁻, with rank weight w (1 in the paper):

    w·[d²(u,v) − d²(u,v⁻) + m_u]₊ + λ·[d²(u,v) − d²(v,v⁻) + n_v]₊ − γ/512·(m_u + n_v)

The paper's L_AM averages the margins over all users and items; the released code, and we, over the
mini-batch, so that each triplet carries γ/B of its own two margins. B is fixed at 512 here, the
paper's batch size, whatever the batch size in use: γ keeps one meaning.

Every gradient is a sum of differences of two rows, scaled by a = w or 0 and b = λ or 0, by whether
each hinge is active. Functions add to row k of `g`.
"""

import numpy as np

from trimetric.engine.lanes import add_difference
from trimetric.engine.policy import inline

GAMMA_BATCH = 512
_TWO = np.float32(2)


@inline
def user_hinge(d_uv, d_un, m):  # type: ignore[no-untyped-def]
    """d²(u,v) − d²(u,v⁻) + m_u, the bracket of equation (3) with the margin of (6)."""
    return d_uv - d_un + m


@inline
def item_hinge(d_uv, d_vn, n):  # type: ignore[no-untyped-def]
    """d²(u,v) − d²(v,v⁻) + n_v, the bracket of equation (4)."""
    return d_uv - d_vn + n


@inline
def add_user_gradient(g, k, users, items, triplet, a, b):  # type: ignore[no-untyped-def]
    """∂/∂α_u = 2a(β_v⁻ − β_v) + 2b(α_u − β_v); `triplet` = (u, v, v⁻)."""
    u, v, n = triplet
    if a != 0:
        add_difference(g, k, items, n, items, v, _TWO * a)
    if b != 0:
        add_difference(g, k, users, u, items, v, _TWO * b)


@inline
def add_item_gradient(g, k, users, items, triplet, a, b):  # type: ignore[no-untyped-def]
    """∂/∂β_v = 2a(β_v − α_u) + 2b(β_v⁻ − α_u)."""
    u, v, n = triplet
    if a != 0:
        add_difference(g, k, items, v, users, u, _TWO * a)
    if b != 0:
        add_difference(g, k, items, n, users, u, _TWO * b)


@inline
def add_negative_gradient(g, k, users, items, triplet, a, b):  # type: ignore[no-untyped-def]
    """∂/∂β_v⁻ = 2a(α_u − β_v⁻) + 2b(β_v − β_v⁻)."""
    u, v, n = triplet
    if a != 0:
        add_difference(g, k, users, u, items, n, _TWO * a)
    if b != 0:
        add_difference(g, k, items, v, items, n, _TWO * b)


@inline
def margin_gradient(active, gamma):  # type: ignore[no-untyped-def]
    """∂/∂m_u = a − γ/512, and ∂/∂n_v = b − γ/512; `gamma` is γ/512."""
    return active - gamma
