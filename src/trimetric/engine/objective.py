"""The objective of SML, equations (5)-(6), one small function a term.

For a triplet of user u, item v and negative item v⁻, with rank weight w (1 in the paper):

    w·[d²(u,v) − d²(u,v⁻) + m_u]₊ + λ·[d²(u,v) − d²(v,v⁻) + n_v]₊ − γ/512·(m_u + n_v)

The paper's L_AM averages the margins over all users and items; the released code, and we, over the
mini-batch, so that each triplet carries γ/B of its own two margins. B is fixed at 512 here, the
paper's batch size, whatever the batch size in use: γ keeps one meaning.

Write p = (u, v, v⁻) for the three points, a = 2w or 0 and b = 2λ or 0 for how strongly the active
hinges pull. Because all three edges of the triangle take part, each point's gradient has one form,
the corners in turn playing the parts (x, y, z):

    ∂/∂p_r = a·(x − z) + b·(y − z),    x, y, z = p[2−r], p[−r], p[1−r]  (indices modulo 3)

    u :  a(β_v⁻ − β_v) + b(α_u − β_v)
    v :  a(β_v − α_u) + b(β_v⁻ − α_u)
    v⁻:  a(α_u − β_v⁻) + b(β_v − β_v⁻)
"""

import numpy as np

from trimetric.engine.compile import inline

GAMMA_BATCH = 512


@inline
def user_hinge(d_uv, d_un, m):
    """d²(u,v) − d²(u,v⁻) + m_u, the bracket of equation (3) with the margin of (6)."""
    return d_uv - d_un + m


@inline
def item_hinge(d_uv, d_vn, n):
    """d²(u,v) − d²(v,v⁻) + n_v, the bracket of equation (4)."""
    return d_uv - d_vn + n


@inline
def corners(role):
    """Return which of (u, v, v⁻) play (x, y, z) in the gradient of corner `role` (0, 1, 2).

    Shifts of packed digits instead of branches, which a processor could not predict.
    """
    return 2 - role, (0b01_10_00 >> 2 * role) & 3, (0b10_00_01 >> 2 * role) & 3


@inline
def margin_gradient(pull, gamma):
    """∂/∂m_u = a/2 − γ/512, ∂/∂n_v = b/2 − γ/512; `gamma` is γ/512."""
    return np.float32(0.5) * pull - gamma
