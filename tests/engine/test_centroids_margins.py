"""Margins of users in the closed form: held or learned, on any number of threads."""

import numpy as np
import pytest

import trimetric as tm
from trimetric.engine.centroid_session import with_user_margins
from trimetric.models.centroid import CentroidML

DATA = tm.synthetic.planted(90, 60, dim=4, clusters=4, per_user=8, seed=5).interactions
QUICK = {
    "dim": 8, "epochs": 6, "batch_size": 16, "temperature": 0.3, "kappa": 0.5,
    "reconstruction": 0.0, "margin": 0.7,
}  # fmt: skip


class Margined(CentroidML):
    """Centroid with margins of users."""

    given: tuple = ()
    margins: np.ndarray

    def learner(self, data, pool, tuned):
        session = super().learner(data, pool, tuned)
        start, share, step = self.given
        self.margins = np.full(data.n_users, start, dtype=np.float32)
        session.params = with_user_margins(session.params, self.margins, share=share, step=step)
        return session


def trained(given, threads=1, **settings):
    model = Margined(**{**QUICK, **settings})
    model.given = given
    return model.fit(DATA, threads=threads, progress=False)


def test_the_same_margin_for_all_users_is_one_margin() -> None:
    plain = CentroidML(**QUICK).fit(DATA, progress=False)
    held = trained((0.7, 0.0, 0.0), margin=0.1)
    assert held.scorer.points.tobytes() == plain.scorer.points.tobytes()
    other = trained((0.2, 0.0, 0.0))
    assert other.scorer.points.tobytes() != plain.scorer.points.tobytes()
    assert (held.margins == np.float32(0.7)).all()


@pytest.mark.parametrize(("share", "falls"), [(0.0, True), (1.0, False)])
def test_a_learned_margin_falls_where_more_than_its_share_pulls(share, falls) -> None:
    model = trained((0.7, share, 0.1))
    if falls:
        assert (model.margins < 0.7).all()
        assert (model.margins >= 0).all()
    else:  # q is never above 1, so that the limit holds
        assert (model.margins == np.float32(0.7)).all()


def test_no_bit_depends_on_the_threads() -> None:
    one, three = trained((0.7, 0.5, 0.1)), trained((0.7, 0.5, 0.1), threads=3)
    assert one.margins.tobytes() == three.margins.tobytes()
    assert one.scorer.points.tobytes() == three.scorer.points.tobytes()
    assert len(np.unique(one.margins)) > 10
