"""Training that starts from another model: old points stay near where they were."""

from pathlib import Path

import numpy as np
import pytest
from command import done, refused

import trimetric as tm
from trimetric.errors import CheckpointMismatch, ParameterError, Unsupported
from trimetric.models.starting import moved, shared_rows
from trimetric.testing.cases import learned, planted

METRIC = ["centroid", "sml", "cml"]
QUICK = {"dim": 8, "epochs": 6, "temperature": 0.2}
CENTROID = {"kappa": 1.0, "reconstruction": 0.25, "reconstruction_dim": 6}


def make(name: str, **settings: object) -> tm.SML:
    own = {"centroid": CENTROID, "cml": {"temperature": None}}.get(name, {})
    return tm.create(name, **{**QUICK, **own, **settings})


@pytest.fixture(scope="module")
def days() -> tuple[tm.Interactions, tm.Interactions]:
    """Return a log, and one of a later day: some users and items are gone, others are new."""
    whole = tm.synthetic.planted(120, 80, dim=4, clusters=4, per_user=9, seed=1).interactions
    first = whole.take((whole.users < 100) & (whole.items < 70)).compact()
    return first, whole.take((whole.users >= 10) & (whole.items >= 5)).compact()


@pytest.mark.parametrize("name", METRIC)
def test_points_move_less_than_without(name: str, days: tuple) -> None:
    first, later = days
    old = make(name).fit(first)
    fresh, begun = make(name, seed=1).fit(later), make(name, seed=1).fit(later, start=old)
    far = moved(old.scorer, fresh.scorer, shared_rows(old._fitted, later))
    told = begun.provenance["start"]
    assert (told["users"], told["items"]) == (90, 65)
    for side in ("users", "items"):
        assert 0 < told["moved"][side] < far[side]
    near = make(name, seed=1).fit(later, start=old, anchor=0.5).provenance["start"]["moved"]
    assert near["items"] < told["moved"]["items"]
    assert near["users"] < told["moved"]["users"]


@pytest.mark.parametrize("name", METRIC)
def test_an_anchor_of_1_holds_points(name: str, days: tuple, tmp_path: Path) -> None:
    first, later = days
    old = make(name).fit(first, out=tmp_path / "old")
    model = make(name, seed=1).fit(later, start=tmp_path / "old", anchor=1)
    rows = shared_rows(old._fitted, later)
    if name == "centroid":  # its points are composed of others'
        [before, after] = (m._fitted.scorer.fold_in.trained.items for m in (old, model))
        assert np.allclose(before[rows.old_items, :8], after[rows.new_items, :8], atol=1e-6)
        return
    assert np.array_equal(
        old.user_embeddings[rows.old_users], model.user_embeddings[rows.new_users]
    )
    assert np.array_equal(
        old.item_embeddings[rows.old_items], model.item_embeddings[rows.new_items]
    )
    assert model.provenance["start"]["moved"] == {"users": 0.0, "items": 0.0}


def test_learned_margins_begin_where_they_were(days: tuple) -> None:
    first, later = days
    settings = {**QUICK, "variant": "all"}
    old = tm.SML(**settings).fit(first)
    model = tm.SML(**{**settings, "epochs": 0}).fit(later, start=old)
    rows = shared_rows(old._fitted, later)
    assert np.array_equal(old.user_margins[rows.old_users], model.user_margins[rows.new_users])
    assert np.array_equal(old.item_margins[rows.old_items], model.item_margins[rows.new_items])


@pytest.mark.parametrize("name", METRIC)
def test_no_bit_depends_on_threads(name: str, days: tuple) -> None:
    first, later = days
    old = make(name).fit(first)
    one, two = (make(name).fit(later, start=old, anchor=0.1, threads=threads) for threads in (1, 2))
    assert learned(one) == learned(two)


def test_settings_that_were_found_are_taken_over(days: tuple) -> None:
    first, later = days
    old = tm.CentroidML(dim=8, epochs=4).fit(first)
    model = tm.CentroidML(dim=8, epochs=4).fit(later, start=old)
    assert model.tuned == old.tuned


def test_a_run_is_resumed_from_the_same_start_only(days: tuple, tmp_path: Path) -> None:
    first, later = days
    old, other = make("sml").fit(first), make("sml", seed=9).fit(first)
    whole = learned(make("sml").fit(later, start=old, anchor=0.1))

    class Stop(tm.Callback):
        def on_epoch(self, row: dict) -> None:
            if row["epoch"] == 3:
                raise KeyboardInterrupt

    run = {"out": tmp_path / "m", "checkpoint_seconds": 0.0}
    with pytest.raises(KeyboardInterrupt):
        make("sml").fit(later, start=old, anchor=0.1, callbacks=[Stop()], **run)
    assert (tmp_path / "m/checkpoint/model.json").exists()
    for wrong in ({"start": other, "anchor": 0.1}, {"start": old, "anchor": 0.2}, {}):
        with pytest.raises(CheckpointMismatch):
            make("sml").fit(later, resume=True, **wrong, **run)
    model = make("sml").fit(later, start=old, anchor=0.1, resume=True, **run)
    assert learned(model) == whole


def test_what_cannot_be_started_from(days: tuple) -> None:
    first, later = days
    old = make("sml").fit(first)
    text = tm.Interactions.from_arrays(["a", "b"], ["x", "y"])
    numbers = tm.Interactions.from_arrays([900, 901, 902], [800, 801, 800])
    other, elsewhere = (text, numbers) if first.user_ids.kind == "int" else (numbers, text)
    for model, data, given, kind, told in (
        (make("cml"), later, {"start": old}, ParameterError, "start must be a trained cml"),
        (make("sml"), later, {"start": make("sml")}, ParameterError, "start must be a trained"),
        (make("sml", dim=9), later, {"start": old}, ParameterError, "has 8 columns, this one 9"),
        (make("sml"), other, {"start": old}, ParameterError, "give ids of one type"),
        (make("sml"), elsewhere, {"start": old}, ParameterError, "knows none of the users"),
        (make("sml"), later, {"anchor": 0.5}, ParameterError, "anchor needs start"),
        (make("sml"), later, {"start": old, "anchor": 2}, ParameterError, "anchor must be in 0..1"),
        (tm.BPR(), later, {"start": old}, Unsupported, "bpr cannot start from another model"),
        (tm.EASE(), later, {"start": old}, Unsupported, "ease cannot start from another model"),
    ):
        with pytest.raises(kind, match=told):
            model.fit(data, **given)


def test_on_the_command_line(tmp_path: Path) -> None:
    planted().to_frame().write_csv(tmp_path / "log.csv")
    fit = ["fit", "log.csv", "--model", "sml", "--set", "epochs=3", "--set", "dim=8"]
    done(*fit, "--set", "temperature=.2", "--out", "m", cwd=tmp_path)
    told = done(*fit, "--start", "m", "--anchor", ".2", "--out", "m2", cwd=tmp_path)
    assert "users and 40 items began where they were; they have moved by" in told
    assert "no such folder" in refused(*fit, "--start", "m9", "--out", "m3", cwd=tmp_path)
