"""Settings reach what they set: a model that ignored one would train the same."""

import numpy as np
import pytest

import trimetric as tm
from trimetric.models import SYSTEMS, create

DATA = tm.synthetic.planted(120, 60, dim=4, per_user=8, seed=1).interactions


@pytest.mark.parametrize("model", SYSTEMS)
@pytest.mark.parametrize("std", [0.001, 0.002, 0.004])
def test_points_begin_with_the_deviation_that_is_set(model, std):
    made = create(model, dim=16, epochs=0, init_std=std, seed=3).fit(DATA, progress=False)
    tables = [
        table
        for name, table in made.tensors().items()
        if name.startswith(("user", "item")) and "neighbours" not in name
    ]
    assert len(tables) >= 2
    for table in tables:
        assert np.isclose(table[:, :16].std(), std, rtol=0.12)


@pytest.mark.parametrize("clip", [0.001, 0.01])
def test_no_row_of_lrml_moves_further_than_its_clip(clip):
    settings = {"dim": 8, "epochs": 1, "optimizer": "sgd", "lr": 1.0, "schedule": "constant"}
    settings |= {"batch_size": 1_000_000, "init_std": 0.3, "seed": 3}
    start = create("lrml", **{**settings, "epochs": 0}).fit(DATA, progress=False).tensors()
    ended = create("lrml", **settings, clip=clip).fit(DATA, progress=False).tensors()
    free = create("lrml", **settings, clip=1000.0).fit(DATA, progress=False).tensors()
    moved, freely = (
        np.concatenate([
            np.linalg.norm(now[name] - start[name], axis=1)
            for name in ("user_vectors", "item_vectors")
        ])
        for now in (ended, free)
    )  # fmt: skip
    assert moved.max() <= clip * 1.001
    assert np.isclose(moved.max(), clip, rtol=0.01)
    assert np.median(freely) > clip


@pytest.mark.parametrize("model", ["fml", "sml", "cml"])
def test_no_deviation_is_one_over_the_root_of_dim(model):
    settings = {"dim": 6, "epochs": 0, "seed": 3}
    default, none, said = (
        create(model, **settings, **more).fit(DATA, progress=False).tensors()["users"]
        for more in ({}, {"init_std": None}, {"init_std": 6**-0.5})
    )
    assert (default == said).all()
    assert (none == said).all()
