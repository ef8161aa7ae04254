"""The margins that explanations of CentroidML show: those of hinges that it was trained with."""

from pathlib import Path

import numpy as np
import pytest

import trimetric as tm


@pytest.mark.parametrize(("lam", "n"), [(0.0, None), (0.2, 0.7)])
def test_an_item_has_a_margin_where_it_has_a_hinge(lam: float, n: float | None, tmp_path: Path):
    rng = np.random.default_rng(0)
    users, items = np.nonzero(rng.random((30, 40)) < 0.2)
    model = tm.create(
        "centroid", dim=4, epochs=2, batch_size=8, temperature=0.3, kappa=1.0, reconstruction=0.0,
        margin=0.9, lam=lam, item_margin=0.7, item_candidates=16,
    )  # fmt: skip
    model.fit((users, items), progress=False)
    model.save(tmp_path / "model")
    for one in (model, tm.load(tmp_path / "model")):
        assert one.scorer.margins_at(0, 0) == (0.9, n)
