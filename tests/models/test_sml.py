"""SML, CML and the ablations: settings, margins, odd data, and a planted space found again."""

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from popularity import Popularity

import trimetric as tm
from trimetric.errors import DataError, ParameterError, UnknownIds
from trimetric.models import REGISTRY, create
from trimetric.models.config import declared
from trimetric.models.sml import VARIANTS
from trimetric.models.triplet import TripletConfig
from trimetric.storage import artifact

PAIRS = tm.synthetic.planted(80, 50, dim=4, clusters=4, per_user=6, seed=1).interactions


def learned(model: tm.SML) -> bytes:
    return b"".join(array.tobytes() for array in model.tensors().values())


# --- settings -----------------------------------------------------------------------------------

INTS = {
    "dim": (1, 4096),
    "epochs": (0, 100_000),
    "batch_size": (1, 10**6),
    "candidates": (1, 60_000),
    "validate_every": (1, 100_000),
    "validate_users": (0, 10**9),
    "patience": (0, 100_000),
    "seed": (-(2**63), 2**63 - 1),
}
FLOATS = {
    "lr": (1e-6, 10),
    "lam": (0, 1000),
    "gamma": (0, 1e6),
    "radius": (1e-6, 1000),
    "margin": (1e-6, 1000),
    "item_margin": (1e-6, 1000),
    "init_mean": (-1000, 1000),
    "init_std": (0, 1000),
}
WORDS = {
    "optimizer": ["rowwise-adagrad", "adagrad", "adam"],
    "negatives": ["uniform", "popularity", "hardest"],
}
JUNK = st.one_of(
    st.none(), st.text(), st.binary(), st.booleans(), st.lists(st.integers()), st.floats()
)


@st.composite
def outside(draw: st.DrawFn) -> tuple[str, Any]:
    name = draw(st.sampled_from(sorted(INTS | FLOATS)))
    low, high = (INTS | FLOATS)[name]
    away = draw(st.integers(1) if name in INTS else st.floats(1.001))
    return name, draw(st.sampled_from([low - away, high + away]))


@given(outside())
@example(("lr", 0))
@example(("lr", math.nan))
@example(("margin", 0))
@example(("item_margin", -1.0))
@example(("radius", 0))
@example(("init_std", -1e-9))
@example(("lam", 10**400))
@example(("dim", 0))
def test_a_number_out_of_range(setting: tuple[str, Any]) -> None:
    name, value = setting
    with pytest.raises(ParameterError, match=rf"^{name} must be (in|above|a number).* got "):
        tm.SML(**{name: value})


@given(st.sampled_from(sorted(tm.SML().get_params())), JUNK)
@example("dim", math.inf)
@example("negatives", "²")
@example("negatives", True)
def test_junk_is_refused_or_has_a_meaning(name: str, value: Any) -> None:
    try:
        params = tm.SML(**{name: value}).get_params()
    except ParameterError:
        return
    assert tm.SML(**params).get_params() == params
    setting = declared(TripletConfig)[name]
    assert type(params[name]) is setting.kind or (setting.optional and params[name] is None)


@pytest.mark.parametrize(("name", "limits"), sorted((INTS | FLOATS).items()))
def test_the_limits_themselves_are_fine(name: str, limits: tuple[float, float]) -> None:
    for value in limits:
        assert tm.SML(**{name: value}).get_params()[name] == value
        scalar = np.int64(value) if name in INTS else np.float64(value)
        assert tm.SML(**{name: scalar}).get_params()[name] == value


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"dim": 0}, r"dim must be in 1\.\.4096, got 0; 64-128 suits most data"),
        ({"lr": "fast"}, "lr must be a number, got 'fast'"),
        ({"optimizer": "sgd"}, "optimizer must be one of rowwise-adagrad, adagrad, adam"),
        ({"negatives": "easy"}, "negatives must be one of uniform, popularity, hardest"),
        ({"metric": "accuracy"}, "unknown metric 'accuracy'; choose precision@K"),
        ({"margin": 0}, "margin must be above 0 and at most 1000, got 0"),
        ({"schedule": "cosine"}, "schedule must be one of linear, constant"),
        ({"negatives": "uniform", "rank_weight": True}, "rank_weight needs negatives='hardest'"),
        ({"variant": "base+q"}, r"variant must be one of base, base\+u"),
        ({"preset": "best"}, "preset must be one of paper, released"),
        ({"lamda": 1}, "unknown setting 'lamda'; did you mean lam\\? sml has adaptive_items"),
    ],
)
def test_refusals_say_what_would_do(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ParameterError, match=told):
        tm.SML(**given)


def test_a_number_of_negatives() -> None:
    for one in (1, "1"):
        assert tm.SML(negatives=one).config.negatives == "uniform"
    for many in (50, "50", np.int64(50)):
        config = tm.SML(negatives=many).config
        assert (config.negatives, config.candidates) == ("hardest", 50)
    with pytest.raises(ParameterError, match="candidates must be in 1"):
        tm.SML(negatives=0)


def test_the_paper() -> None:
    wanted = {
        "batch_size": 512,
        "optimizer": "adam",
        "lr": 0.05,
        "schedule": "constant",
        "negatives": "uniform",
        "dim": 100,
        "radius": 1.0,
        "lam": 0.01,
        "gamma": 10.0,
        "init_mean": 0.1,
        "init_std": 0.03**0.5,
        "adaptive_users": True,
        "adaptive_items": True,
        "sphere": False,
        "margin": 1.0,
        "item_margin": 1.0,
        "rank_weight": False,
    }
    assert tm.SML(preset="paper").get_params().items() >= wanted.items()
    fixed = {"lam": 0.0, "adaptive_users": False, "adaptive_items": False}
    assert tm.CML(preset="paper").get_params().items() >= (wanted | fixed).items()
    assert tm.SML(preset="paper", lr=0.01).config.lr == 0.01
    assert tm.SML(preset="paper", variant="base").config.lam == 0


def test_ablations_are_settings() -> None:
    switches = {
        "base": (False, False, False),
        "base+u": (False, True, False),
        "base+s": (True, False, False),
        "base+s+p": (True, False, True),
        "base+s+u": (True, True, False),
        "all": (True, True, True),
    }
    for variant, wanted in switches.items():
        config = tm.SML(variant=variant).config
        assert (config.lam > 0, config.adaptive_users, config.adaptive_items) == wanted
        if variant in REGISTRY:
            assert create(variant).config == config
    assert set(switches) == set(VARIANTS)
    assert tm.SML(variant="base+s").config == tm.SML().config


def test_cml_is_sml_without_its_new_terms() -> None:
    same = {"dim": 8, "epochs": 4, "lr": 0.1, "margin": 0.9, "rank_weight": True, "candidates": 20}
    cml = tm.CML(**same).fit(PAIRS)
    off = {"lam": 0, "adaptive_users": False, "adaptive_items": False}
    for sml in (tm.SML(**same, **off), tm.SML(**same, variant="base")):
        assert learned(sml.fit(PAIRS)) == learned(cml)
    assert learned(tm.SML(**cml.get_params()).fit(PAIRS)) == learned(cml)


@pytest.mark.parametrize("given", [{"lam": 0.1}, {"adaptive_users": True}, {"variant": "all"}])
def test_cml_refuses_what_would_make_it_sml(given: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match=r"always .* in cml, got .*; SML"):
        tm.CML(**given)
    assert tm.CML(lam=0, variant="base").config == tm.CML().config


# --- the space ----------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", WORDS["optimizer"])
@pytest.mark.parametrize("negatives", WORDS["negatives"])
@pytest.mark.parametrize(("radius", "sphere"), [(1.0, False), (2.0, True)])
def test_positions_stay_in_the_ball(
    optimizer: str, negatives: str, radius: float, sphere: bool
) -> None:
    model = tm.SML(
        dim=20, epochs=3, lr=1, optimizer=optimizer, negatives=negatives, radius=radius,
        sphere=sphere, variant="all",
    ).fit(PAIRS)  # fmt: skip
    lengths = np.linalg.norm(np.concatenate([model.user_embeddings, model.item_embeddings]), axis=1)
    assert lengths.max() <= radius * 1.00001
    assert lengths.max() > radius * 0.99
    if sphere:
        assert lengths.min() > radius * 0.99999
    margins = np.concatenate([model.user_margins, model.item_margins])
    assert margins.min() > 0
    assert margins.max() <= np.float32(model.config.margin)


def margins(**given: Any) -> list[np.ndarray]:
    """Return user and item margins after 0, 1, 2, ... epochs."""
    made = [
        tm.SML(dim=8, batch_size=64, epochs=n, schedule="constant", variant="all", **given).fit(
            PAIRS
        )
        for n in range(5)
    ]
    for model in made:
        model.fit(PAIRS)
    return [
        np.array([model.user_margins for model in made]),
        np.array([model.item_margins for model in made]),
    ]


@pytest.mark.parametrize("optimizer", WORDS["optimizer"])
def test_gamma_512_holds_margins_up(optimizer: str) -> None:
    """An active hinge pulls by 1 or λ, and γ/512 = 1 is as strong."""
    users, items = margins(optimizer=optimizer, gamma=512, lam=1.0)
    assert (users == users[0, 0]).all()
    assert (items == items[0, 0]).all()
    users, items = margins(optimizer=optimizer, gamma=480, lam=0.9)
    assert (users[-1] < users[0]).mean() > 0.2
    assert (items == items[0, 0]).all()


@pytest.mark.parametrize("optimizer", WORDS["optimizer"])
def test_without_gamma_margins_fall(optimizer: str) -> None:
    for over_epochs in margins(optimizer=optimizer, gamma=0, lam=1.0):
        assert (np.diff(over_epochs, axis=0) <= 0).all()
        assert (over_epochs[-1] < 0.9 * over_epochs[0]).mean() > 0.9


def test_margins_rise_again_when_hinges_rest() -> None:
    """Uniform negatives soon violate nothing, and γ then lifts what early epochs lowered."""
    users, _ = margins(gamma=100, lam=0.1, negatives="uniform", lr=0.3)
    assert users[-1].mean() > users[1:].min(axis=0).mean()


@pytest.mark.parametrize("preset", ["paper", "released"])
def test_item_margins_of_the_paper_stay_at_one(preset: str) -> None:
    """The paper's Figure 6, Instant Video: n_v feels λ·active − γ/512 = .01 − .0195 < 0."""
    model = tm.SML(preset=preset, dim=8, epochs=10).fit(PAIRS)
    assert (model.item_margins == 1).all()
    assert (model.user_margins < 1).mean() > 0.5


def test_margins_that_are_not_learned_stay() -> None:
    model = tm.SML(variant="base+s", margin=1.7, item_margin=0.4, gamma=0, epochs=3).fit(PAIRS)
    assert model.user_margins is model.item_margins is None
    assert model.scorer.margins_at(0, 0) == (1.7, 0.4)


def test_fixed_margins_are_the_points_of_margins_that_gamma_holds_up(tmp_path: Path) -> None:
    """The default is what γ = 512 gave with learned margins; artifacts hold no margins then."""
    given = {"dim": 8, "epochs": 4, "temperature": 0.2}
    fixed, held = tm.SML(**given).fit(PAIRS), tm.SML(**given, variant="all", gamma=512).fit(PAIRS)
    assert (held.user_margins == np.float32(0.8)).all()
    assert (held.item_margins == np.float32(0.8)).all()
    assert fixed.user_embeddings.tobytes() == held.user_embeddings.tobytes()
    assert fixed.item_embeddings.tobytes() == held.item_embeddings.tobytes()
    assert set(fixed.tensors()) == {"users", "items"}
    for model in (fixed, held):
        model.save(tmp_path / "m")
        again = tm.load(tmp_path / "m")
        assert learned(again) == learned(model)
        assert again.scorer.margins_at(3, 5) == model.scorer.margins_at(3, 5)


def test_artifacts_of_the_version_before_hold_fixed_margins_too(tmp_path: Path) -> None:
    model = tm.SML(dim=4, epochs=1, temperature=0.2).fit(PAIRS)
    model.save(tmp_path)
    saved = artifact.load(tmp_path)
    old = {"user_margins": np.ones(80, np.float32), "item_margins": np.ones(50, np.float32)}
    artifact.save(tmp_path, "model", saved.meta, saved.tensors | old)
    assert learned(tm.load(tmp_path)) == learned(model)


# --- odd data -----------------------------------------------------------------------------------


def test_a_user_with_every_item_is_skipped() -> None:
    users, items = ["a", "a", "b", "b", "b", "c"], [1, 2, 1, 2, 3, 3]
    with pytest.warns(UserWarning, match="1 of the users have every item .* first is 'b'") as told:
        model = tm.SML(dim=4, epochs=3).fit((users, items))
    assert told[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        start = tm.SML(dim=4, epochs=0).fit((users, items))
    assert (model.user_embeddings == start.user_embeddings).all(axis=1).tolist() == [
        False,
        True,
        False,
    ]
    assert model.history[0]["triplets"] == 3
    assert model.recommend("b").height == 0
    assert model.recommend("c")["rank"].to_list() == [1, 2]


def test_nothing_to_contrast() -> None:
    for users, items in ((["a"], ["x"]), (["a", "b"], ["x", "x"]), ([1, 1, 2, 2], [1, 2, 1, 2])):
        with pytest.raises(DataError, match=r"every user .* has all \d items"):
            tm.SML().fit((users, items))


def test_one_user() -> None:
    data = tm.Interactions.from_arrays(["a", "b"], ["x", "y"])
    alone = data.take(np.array([0]))
    model = tm.SML(dim=2).fit(alone)
    [score] = model.score([("a", "y")])
    assert model.recommend("a").rows() == [("a", "y", 1, score, -score)]


def test_validation_data_that_cannot_be_used() -> None:
    model = tm.SML(dim=4, epochs=2)
    with pytest.raises(DataError, match=r"1 users and 2 items are unknown"):
        model.fit(PAIRS, valid=(["me", "me"], ["x", "y"]))
    with pytest.raises(DataError, match="validation"):
        model.fit(PAIRS, valid=PAIRS.take(np.zeros(len(PAIRS), dtype=bool)))
    with pytest.raises(DataError, match="not seen in training"):
        model.fit(PAIRS, valid=PAIRS)
    assert "not trained" in repr(model)


def test_unknown_users_in_validation_data_are_left_out() -> None:
    split = tm.split_per_user(PAIRS, test=0.1, valid=0.2)
    frame = split.valid.to_frame()
    stranger = frame.with_columns(user=frame["user"] + "?")
    more = tm.Interactions.from_frame(frame.vstack(stranger))
    given = {"dim": 8, "epochs": 3, "validate_every": 1}
    with_strangers = tm.SML(**given).fit(split.train, valid=more)
    without = tm.SML(**given).fit(split.train, valid=split.valid)
    assert learned(with_strangers) == learned(without)
    for one, two in zip(with_strangers.history, without.history, strict=True):
        assert one["ndcg@10"] == two["ndcg@10"]


# --- a planted space ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def planted() -> tuple[Any, tm.Split]:
    made = tm.synthetic.planted(1000, 400, dim=4, clusters=8, per_user=12, spread=0.15, seed=3)
    return made, tm.split_per_user(made.interactions, test=0.2, valid=0.1)


@pytest.mark.parametrize(
    "given", [{}, {"negatives": "uniform"}, {"preset": "released"}, {"variant": "base"}], ids=str
)
def test_a_planted_space_is_found_again(planted: tuple[Any, tm.Split], given: dict) -> None:
    made, split = planted
    model = tm.SML(dim=16, epochs=40, **given).fit(split.train)

    def quality(ranker: Any) -> float:
        return tm.evaluate(ranker, split).metrics["ndcg@10"]

    assert quality(model) > 3 * quality(Popularity(split.train))
    assert quality(model) > 10 * quality(tm.SML(dim=16, epochs=0).fit(split.train))

    near = model.similar_items(model.item_ids.values, k=10)
    cluster = dict(zip(model.item_ids.values, made.item_clusters.tolist(), strict=True))
    together = [cluster[one] == cluster[other] for one, other in near[["item", "similar"]].rows()]
    assert np.mean(together) > 0.6  # by chance 1 in 8

    def ranks(users: np.ndarray, items: np.ndarray) -> np.ndarray:
        return ((users[:, None] - items) ** 2).sum(axis=2).ravel().argsort().argsort()

    spearman = np.corrcoef(
        ranks(model.user_embeddings, model.item_embeddings), ranks(made.users, made.items)
    )[0, 1]
    assert spearman > 0.25


def test_a_user_of_the_test_part_alone_counts_as_unknown() -> None:
    data = tm.Interactions.from_arrays(["a", "b", "b", "c", "d"], ["x", "x", "y", "y", "z"])
    train = data.take(data.users != 2)
    model = tm.SML(dim=4, epochs=2).fit(train)
    assert "c" in list(model.user_ids.values)
    with pytest.raises(UnknownIds, match="'c'"):
        model.recommend("c")
    popular = model.recommend("c", on_unknown="popular")
    assert popular["item"].to_list() == ["x", "y", "z"]
    assert popular["score"].null_count() == 3
