"""Training that starts from another model: old points stay near where they were."""

from pathlib import Path

import numpy as np
import pytest
from command import done, inside, refused

import trimetric as tm
from trimetric.errors import CheckpointMismatch, ParameterError, Unsupported
from trimetric.models.starting import Held, SharedRows, moved, shared_rows
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


@pytest.mark.parametrize(("before", "after"), [(40.0, None), (40.0, 3.0), (None, 40.0)])
def test_weights_are_measured_by_their_own_mean(
    before: float | None, after: float | None, days: tuple
) -> None:
    """Weights that are all alike are as none, whatever those of the old model were."""

    def weighted(data: tm.Interactions, weight: float | None) -> tm.Interactions:
        if weight is None:
            return data
        return tm.Interactions.from_frame(data.to_frame().with_columns(w=weight), weight="w")

    first, later = days
    plain = make("centroid").fit(later, start=make("centroid").fit(first))
    old = make("centroid").fit(weighted(first, before))
    model = make("centroid").fit(weighted(later, after), start=old)
    assert model.item_embeddings == pytest.approx(plain.item_embeddings, abs=1e-5)
    assert max(row["active"] for row in model.history) < 1.01
    items = model.item_ids.decode(model.known.items_of(3)).to_list()
    weights = None if after is None else [after] * len(items)
    found, expected = model.fold_in(items, weights=weights), plain.fold_in(items)
    assert found == pytest.approx(expected, abs=1e-4)


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


@pytest.mark.parametrize("sides", [("user", "item"), ("user",), ("item",)])
def test_learned_margins_begin_where_they_were(sides: tuple, days: tuple) -> None:
    first, later = days
    settings = {"dim": 8, "epochs": 20, "temperature": None, "lr": 0.1, "gamma": 1.0}
    adaptive = {f"adaptive_{side}s": side in sides for side in ("user", "item")}
    old = tm.SML(**settings, **adaptive).fit(first)
    model = tm.SML(**{**settings, "epochs": 0}, **adaptive).fit(later, start=old)
    rows = shared_rows(old._fitted, later)
    for side, before, after in (
        ("user", rows.old_users, rows.new_users),
        ("item", rows.old_items, rows.new_items),
    ):
        learned_then, now = getattr(old, f"{side}_margins"), getattr(model, f"{side}_margins")
        if side not in sides:
            assert learned_then is now is None
            continue
        assert np.std(learned_then) > 0.01
        assert np.array_equal(learned_then[before], now[after])


def test_centroids_begin_where_they_were(days: tuple) -> None:
    first, later = days
    old = make("centroid", own=0.4, bias_rate=0.1).fit(first)
    model = make("centroid", own=0.4, bias_rate=0.1, epochs=0, seed=1).fit(later, start=old)
    rows = shared_rows(old._fitted, later)
    then, now = (m._fitted.scorer.fold_in for m in (old, model))
    assert np.std(then.trained.items[:, 8]) > 0
    for before, after in (
        (then.trained.items[rows.old_items, :9], now.trained.items[rows.new_items, :9]),
        (then.trained.weights[rows.old_items], now.trained.weights[rows.new_items]),
        (then.trained.own[rows.old_users, :8], now.trained.own[rows.new_users, :8]),
        (then.second.items[rows.old_items], now.second.items[rows.new_items]),
        (then.second.weights[rows.old_items], now.second.weights[rows.new_items]),
    ):
        assert before.size > 0
        assert np.allclose(before, after, atol=1e-6)


@pytest.mark.parametrize("changes", [{"own": 0.0}, {"reconstruction": 0.0}])
def test_centroids_begin_where_only_one_model_has_a_part(changes: dict, days: tuple) -> None:
    first, later = days
    for then, now in ((changes, {}), ({}, changes)):
        old = make("centroid", **{"own": 0.4, **then}).fit(first)
        model = make("centroid", **{"own": 0.4, **now}, epochs=0).fit(later, start=old)
        rows = shared_rows(old._fitted, later)
        items = [m._fitted.scorer.fold_in.trained.items for m in (old, model)]
        assert np.allclose(items[0][rows.old_items, :8], items[1][rows.new_items, :8], atol=1e-6)


@pytest.mark.parametrize("radius", [None, 0.7])
def test_rows_are_drawn_back_by_a_share_of_the_way(radius: float | None) -> None:
    array, values = np.random.default_rng(0).normal(size=(2, 4, 3)).astype(np.float32)
    rows, before = np.array([2, 0]), array.copy()
    Held(array, rows, values[:2, :2], radius).draw_back(0.3)
    assert np.array_equal(array[[1, 3]], before[[1, 3]])
    assert np.array_equal(array[:, 2], before[:, 2])
    for row, value in zip(rows, values[:, :2], strict=False):
        near = 0.7 * before[row, :2] + 0.3 * value
        if radius is not None:
            near = radius * near / np.linalg.norm(near)
        assert np.allclose(array[row, :2], near, rtol=1e-5)


def test_a_row_drawn_to_the_centre_of_its_sphere_stays_a_number() -> None:
    array = np.array([[1.0, 0.0]], dtype=np.float32)
    Held(array, np.array([0]), -array, 1.0).draw_back(0.5)
    assert np.array_equal(array, [[0.0, 0.0]])


def test_how_far_points_have_moved(days: tuple) -> None:
    first, later = days
    old, new = make("sml").fit(first), make("sml", seed=1).fit(later)
    rows = shared_rows(old._fitted, later)
    apart = old.user_embeddings[:, None] - old.item_embeddings
    unit = np.median(np.linalg.norm(apart, axis=2))  # of all pairs, not 10,000 drawn ones
    told = moved(old.scorer, new.scorer, rows)
    for side, points in (("users", "user_embeddings"), ("items", "item_embeddings")):
        then = getattr(old, points)[getattr(rows, f"old_{side}")]
        now = getattr(new, points)[getattr(rows, f"new_{side}")]
        far = np.median(np.linalg.norm(then - now, axis=1)) / unit
        assert told[side] == pytest.approx(far, rel=0.02)
        assert round(told[side], 4) == told[side] != round(told[side], 3)
    none = SharedRows(*[np.zeros(0, dtype=np.int64)] * 4)
    assert moved(old.scorer, new.scorer, none) == {"users": 0.0, "items": 0.0}


def test_as_many_users_as_items_may_be_shared(days: tuple) -> None:
    first, _ = days
    old = make("sml").fit(first)
    ids = [old.user_ids[:3], old.item_ids[:3]]
    told = make("sml").fit([*zip(*ids, strict=True)], start=old).provenance["start"]
    assert (told["users"], told["items"]) == (3, 3)


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
        *(
            (make("sml"), later, {"start": old, "anchor": no}, ParameterError, "must be in 0..1")
            for no in (2, -0.5, np.nan, True, "0.5", None)
        ),
        (tm.FML(), later, {"start": old}, Unsupported, "fml cannot start from another model"),
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
    for given in ((), ("--start", "m"), ("--start", "m", "--anchor", ".3")):
        told = refused(*fit, *given, "--out", "m2", "--resume", cwd=tmp_path)
        assert "finished model of another run" in told
    assert "finished model of another run" in refused(
        *fit, "--start", "m2", "--out", "m", "--resume", cwd=tmp_path
    )
    done(*fit, "--set", "temperature=.2", "--set", "seed=1", "--out", "other", cwd=tmp_path)
    again = ("--start", "other", "--anchor", ".2", "--out", "m2", "--resume")
    assert "finished model of another run" in refused(*fit, *again, cwd=tmp_path)
    again = ("--start", "m", "--anchor", ".2", "--out", "m2", "--resume")
    assert "nothing to resume" in inside(*fit, *again, cwd=tmp_path).stderr
