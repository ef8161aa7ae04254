"""Lists made elsewhere: the figures of the model that wrote them, and what is met in lists."""

import os

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import trimetric as tm
from trimetric.data.csr import Csr
from trimetric.errors import DataError, ParameterError, TrimetricError, Unsupported
from trimetric.evaluation import FullRanking, SampledCandidates, compare, evaluate
from trimetric.evaluation.lists import RankedLists

DATA = tm.synthetic.planted(150, 80, dim=4, clusters=4, per_user=12, seed=1).interactions
SPLIT = tm.split_per_user(DATA, seed=3)
MODELS = {
    "ease": tm.EASE(),
    "popularity": tm.Popularity(),
    "itemknn": tm.ItemKNN(),
    "sml": tm.SML(epochs=3, dim=8),
}
TRAIN = {1: [10, 11], 2: [10, 12], 3: [11]}
TEST = {1: [12, 13], 2: [11], 3: [10, 13], 9: [10]}


def pairs(by_user):
    return tm.Interactions.from_arrays(
        [u for u, items in by_user.items() for _ in items],
        [i for items in by_user.values() for i in items],
    )


def small(test=TEST):
    """Items 10..14, of which 14 is in nobody's test; users 1..3 and 9, who is in test alone."""
    train, held = pairs(TRAIN | {4: [13, 14]}), pairs(test)
    return tm.Split(train, None, held, {})


def frame(lists, **columns):
    rows = [(u, i, r) for u, items in lists.items() for r, i in enumerate(items, 1)]
    return pl.DataFrame(rows, schema=["user", "item", "rank"], orient="row").with_columns(**columns)


# --- the figures of a model -----------------------------------------------------------------------


@pytest.fixture(scope="module", params=MODELS)
def trained(request):
    model = MODELS[request.param].fit(SPLIT.train, SPLIT.valid)
    model.mark_seen(SPLIT.valid)
    return model


@pytest.mark.parametrize("kind", ["parquet", "csv", "jsonl"])
def test_lists_written_by_a_model_have_its_own_figures(trained, kind, tmp_path):
    from trimetric.models.batch import recommend_to_file

    out = tmp_path / f"lists.{kind}"
    recommend_to_file(trained, out, k=20, progress=False)
    own, found = evaluate(trained, SPLIT), evaluate(out, SPLIT)
    assert found.metrics == {name: v for name, v in own.metrics.items() if "@" in name}
    assert found.counts == own.counts
    assert found.users.tolist() == own.users.tolist()
    np.testing.assert_array_equal(found.values("ndcg@7"), own.values("ndcg@7"))
    assert found.lists["depth"] == 20
    assert found.model == f"lists.{kind}"


def test_lists_that_hold_everything_tell_sampled_ranks_too(trained):
    lists = trained.recommend(trained.user_ids.values, len(trained.item_ids))
    fewer = SampledCandidates(499, at=(lists["rank"].max(),))  # than the cutoff, for most users
    for name in (
        "sampled-9",
        "dpcml",
        FullRanking(at=(3, 70)),
        SampledCandidates(15, seed=4),
        fewer,
    ):
        own, found = evaluate(trained, SPLIT, name), evaluate(lists, SPLIT, name)
        for metric, value in found.metrics.items():
            np.testing.assert_equal(value, own.metrics[metric], err_msg=metric)
    with pytest.raises(DataError, match=r"hold fewer than 10 of their sampled-40 candidates"):
        evaluate(lists.filter(pl.col("rank") <= 12), SPLIT, "sampled-40")
    user, item = SPLIT.test.to_frame().select("user", "item").row(0)
    one_less = lists.filter((pl.col("user") != user) | (pl.col("item") != item))
    with pytest.raises(DataError, match=r"the lists of 1 users hold fewer than 20"):
        evaluate(one_less, SPLIT, SampledCandidates(9, at=(20,)))


def test_lists_made_without_leaving_out_what_was_seen_are_the_same_further_up():
    model = MODELS["ease"].fit(SPLIT.train)
    lists = model.recommend(model.user_ids.values, 80, exclude_seen=False)
    own, found = evaluate(model, SPLIT), evaluate(lists, SPLIT)
    assert found.metrics == {name: v for name, v in own.metrics.items() if "@" in name}
    assert found.lists["seen"] > 0
    again = evaluate(lists, SPLIT, exclude_seen=False)
    alone = evaluate(model, SPLIT, exclude_seen=False)
    assert again.metrics == {name: v for name, v in alone.metrics.items() if "@" in name}
    assert again.lists["seen"] == 0


def test_the_fold_in_split_takes_lists():
    split = tm.split_users(DATA, seed=1)
    model = tm.EASE().fit(split.train)
    own = evaluate(model, split)
    history = split.history.align(split.history.compact().user_ids, model.item_ids)[0]
    scorer = model.folded_in(Csr.of(history))
    rows = np.arange(history.n_users, dtype=np.int32)
    listed, _ = scorer.nearest(rows, 20, exclude=Csr.of(history))
    users = np.repeat(history.user_ids.values.to_numpy(), 20)
    lists = pl.DataFrame(
        {"user": users, "item": model.item_ids.decode(listed.ravel())}
    ).with_columns(rank=pl.Series(np.tile(np.arange(20), len(rows))))
    found = evaluate(lists, split)
    assert found.metrics == {name: v for name, v in own.metrics.items() if "@" in name}


def test_models_and_lists_are_tested_over_the_same_users():
    results = {
        name: evaluate(MODELS[name].fit(SPLIT.train), SPLIT) for name in ("ease", "popularity")
    }
    lists = MODELS["ease"].recommend(MODELS["ease"].user_ids.values, 40)
    results["lists"] = evaluate(lists, SPLIT, name="theirs")
    values = {name: result.values("ndcg@10") for name, result in results.items()}
    worse, same = compare(values, "ease")[::-1][1], compare(values, "ease")[-1]
    assert worse.name == "popularity"
    assert worse.significant
    assert same.p == 1


# --- what the columns are -------------------------------------------------------------------------

LISTS = {1: [12, 14, 13], 2: [13, 11], 3: [14, 10, 13]}


def forms():
    plain = frame(LISTS)
    ranks = plain["rank"].to_numpy()
    scored = plain.select("user", "item", score=10 - ranks * 1.5)
    renamed = plain.rename({"user": "customer", "item": "sku", "rank": "position"})
    ids = {"user": "customer", "item": "sku"}
    return {
        "rank": (plain, {}),
        "shuffled": (plain[::-1], {}),
        "ranks from 0 with gaps": (plain.with_columns(rank=pl.col("rank") * 3 - 3), {}),
        "score": (scored[::-1], {}),
        "both: rank decides": (plain.with_columns(score=pl.col("rank")), {}),
        "score by name decides": (
            scored.with_columns(rank=pl.lit(1)),
            {"score": "score"},
        ),
        "ties by order given": (scored.with_columns(score=pl.lit(1)), {}),
        "order given": (plain.drop("rank"), {"rank": False, "score": False}),
        "names": (renamed, {**ids, "rank": "position"}),
        "pandas": (pd.DataFrame(plain.to_dict(as_series=False)), {}),
        "pyarrow": (plain.to_arrow(), {}),
        "pyarrow, own": (pa.table(plain.to_dict(as_series=False)), {}),
        "mapping": (plain.to_dict(as_series=False), {}),
        "lazy": (plain.lazy(), {}),
        "rows": (plain.to_dicts(), {}),
        "a list in each row, in order": (
            plain.group_by("user", maintain_order=True).agg("item"),
            {},
        ),
        "pandas, a list in each row, in order": (
            pd.DataFrame({"user": list(LISTS), "item": list(LISTS.values())}),
            {"rank": False, "score": False},
        ),
        "mapping, order given": (RankedLists.from_dict(LISTS), {}),
    }


@pytest.mark.parametrize("form", forms())
def test_every_form_gives_the_same(form):
    source, columns = forms()[form]
    found = evaluate(source, small(), FullRanking(at=(1, 2)), **columns)
    # User 1 has hits at 1 and 3, user 2 at 2, user 3 at 2 and 3.
    assert found.values("recall@2").tolist() == [0.5, 1, 0.5]
    assert found.values("mrr@2").tolist() == [1, 0.5, 0.5]
    assert found.metrics["hit_rate@1"] == pytest.approx(1 / 3)
    assert found.metrics["micro_recall@2"] == pytest.approx(3 / 5)
    assert found.counts.unknown_users == 1
    by_score = ("score", "score by name decides", "ties by order given")
    ordered_by = (
        "score"
        if form in by_score
        else "order given"
        if "order" in form and form not in by_score
        else "rank"
    )
    assert found.lists["ordered_by"] == ordered_by


def test_lists_of_a_mapping():
    texts = {"b": ["y", "x"], "a": pd.Series(["x"]), "c": ()}
    lists = RankedLists.from_dict(texts, name="theirs")
    assert (lists.users.to_list(), lists.items.to_list()) == (["b", "b", "a"], ["y", "x", "x"])
    assert (lists.name, lists.ordered_by, lists.text) == ("theirs", "order given", False)
    with pytest.raises(DataError, match=r"no column 'user'; columns: '1', '2', '3'.*from_dict"):
        evaluate(LISTS, small())
    for wrong, told in (
        ({1: "abc"}, "the list of 1 is none but 'abc'"),
        ({1: 5}, "the list of 1 is none but 5"),
        ({1: {12}}, r"the list of 1 is none but \{12\}"),
        ({1: {12: 0.5}, 2: [12]}, "some users have scores, others have none"),
        ({1: {12: None}}, "'score' holds no value in row 1"),
        ({1: {12: "high"}}, "'score' holds 'high', not a number"),
        ({1: [(12, 0.5)]}, r"the list of 1 holds \(12, 0.5\), which is no id; give {item: score}"),
        ({1: [12, None]}, "'item' holds no value in row 2"),
        ({1: [], 2: []}, "lists has no rows"),
    ):
        with pytest.raises(DataError, match=told):
            RankedLists.from_dict(wrong)
    with pytest.raises(ParameterError, match=r"expected {user: items}, got a list"):
        RankedLists.from_dict([[1, 2]])


def test_scores_order_the_lists_of_a_mapping_and_ties_stay():
    runs = {"b": {"x": 0.5, "y": 2, "z": 0.5}, "a": {}, "c": {"x": -1.0}}
    lists = RankedLists.from_dict(runs)
    assert lists.ordered_by == "score"
    of_b = lists.items.filter(lists.users == "b").to_list()
    assert (of_b, sorted(set(lists.users))) == (["y", "x", "z"], ["b", "c"])


def test_lists_that_were_read_keep_their_form_and_take_another_name():
    read = RankedLists.of(frame(LISTS), name="ours")
    assert RankedLists.of(read) is read
    other = RankedLists.of(read, name="theirs")
    assert (other.name, other.items is read.items) == ("theirs", True)


def test_ids_of_text_files_are_those_of_the_data(tmp_path):
    texts = tm.Interactions.from_arrays(["007", "007", "8"], ["1", "2", "1"])
    held = tm.Interactions.from_arrays(["8"], ["2"])
    (tmp_path / "l.csv").write_text("user,item,rank\n8,2,1\n8,1,2\n")
    found = evaluate(tmp_path / "l.csv", tm.Split(texts, None, held, {}), FullRanking(at=(1,)))
    assert found.metrics["hit_rate@1"] == 1
    numbers = tm.Interactions.from_arrays([7, 7, 8], [1, 2, 1])
    (tmp_path / "l.csv").write_text("user,item,rank\n8,2,1\nstranger,1,2\n")
    split = tm.Split(numbers, None, tm.Interactions.from_arrays([8], [2]), {})
    assert evaluate(str(tmp_path / "l.csv"), split, FullRanking(at=(1,)))["hit_rate@1"] == 1
    with pytest.raises(DataError, match="user ids are str, those of the data are int"):
        evaluate(frame({"8": ["2"]}), split)


# --- what is met in lists, and said ---------------------------------------------------------------


def test_users_without_a_list_count_as_0():
    found = evaluate(frame({1: [12, 13]}), small(), FullRanking(at=(2,)))
    assert found.values("recall@2").tolist() == [1, 0, 0]
    assert found.metrics["recall@2"] == pytest.approx(1 / 3)
    assert found.lists["users_without_list"] == 2
    assert any("2 users have no list, and count as 0" in note for note in found.notes)


def test_seen_items_and_repeats_are_left_out_and_what_follows_moves_up():
    clean = evaluate(frame({1: [14, 12, 13]}), small(), FullRanking(at=(1, 2)))
    for met, items in (
        ("seen", [14, 10, 12, 13]),
        ("seen", [10, 11, 14, 12, 13]),
        ("repeats", [14, 14, 12, 13]),
        ("repeats", [14, 12, 14, 13, 12]),
    ):
        found = evaluate(frame({1: items}), small(), FullRanking(at=(1, 2)))
        assert found.metrics == clean.metrics
        assert found.lists[met] == len(items) - 3
        assert found.lists["seen"] + found.lists["repeats"] == len(items) - 3


def test_unknown_items_keep_their_places():
    found = evaluate(frame({1: [77, 12, 77, 78], 3: [78, 10]}), small(), FullRanking(at=(1, 2)))
    assert found.values("mrr@2").tolist() == [0.5, 0, 0.5]
    assert found.lists["unknown_items"] == 4
    assert found.lists["repeats"] == 0


def test_short_lists_and_lists_not_used_are_counted():
    lists = frame({1: [12, 13, 14], 2: [11], 3: [10, 12, 13, 14], 4: [10], 9: [10], 55: [10]})
    found = evaluate(lists, small(), FullRanking(at=(4,)))
    assert found.ranks.n_candidates.tolist() == [3, 3, 4]
    assert found.lists["short"] == 1  # user 1 has no more candidates than three
    assert found.lists["lists_not_used"] == 3  # of 4, of 9, who is not known, and of 55
    assert found.lists["users_without_list"] == 0
    said = " ".join(found.notes)
    assert "1 users have lists shorter than 4" in said
    of_two = evaluate(frame({1: [12], 2: [11]}), small({2: [11]}), FullRanking(at=(1,)))
    assert (of_two.lists["lists_not_used"], of_two.lists["users_without_list"]) == (1, 0)


def test_cutoffs_beyond_the_longest_list_are_refused_or_left_out():
    lists = frame({1: [12, 13], 2: [11]})
    with pytest.raises(ParameterError, match="longest list has 2 items, which tells nothing at 5;"):
        evaluate(lists, small(), FullRanking(at=(1, 5, 7)))
    found = evaluate(lists, small())
    assert {name.split("@")[1] for name in found.metrics} == {"2"}
    assert any("nothing to say at 5" in note for note in found.notes)
    assert found["recall@1"] == pytest.approx((0.5 + 1 + 0) / 3)
    longer = evaluate(frame({1: [12, 13, *range(70, 78)]}), small())
    assert {name.split("@")[1] for name in longer.metrics} == {"5", "10"}
    for name in ("map", "auc", "mrr", "ndcg@3"):
        with pytest.raises(ParameterError, match=f"do not tell {name}"):
            found[name]
        with pytest.raises(ParameterError, match="do not tell"):
            found.values(name)


def test_held_out_interactions_alone_are_enough_and_the_limits_are_said():
    found = evaluate(frame({1: [10, 12], 9: [10]}), pairs(TEST), FullRanking(at=(2,)))
    assert found.counts.users == 4
    assert found.values("recall@2").tolist() == [0.5, 0, 0, 1]
    assert any("without training data nobody can tell" in note for note in found.notes)


def test_results_of_lists_are_json_tables_and_frames():
    found = evaluate(frame(LISTS), small(), FullRanking(at=(2,)), name="theirs")
    document = found.to_dict()
    assert document["lists"]["ordered_by"] == "rank"
    assert document["protocol"]["depth"] == 3
    assert document["protocol"]["at"] == [2]
    assert document["model"] == "theirs"
    assert [column.header for column in found.table().columns] == ["metric", "@2"]
    assert found.per_user()["recall@2"].to_list() == [0.5, 1, 0.5]
    assert "theirs" in found._repr_html_()


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_hits_are_those_of_a_plain_loop(data):
    ids = st.integers(10, 18)
    lists = {
        user: data.draw(st.lists(ids, min_size=1, max_size=8), label=str(user))
        for user in (1, 2, 3)
        if user == 1 or data.draw(st.booleans())
    }
    assume(any(item <= 14 for one in lists.values() for item in one))  # else they are refused
    k = data.draw(st.integers(1, max(map(len, lists.values()))))
    found = evaluate(frame(lists), small(), FullRanking(at=(k,)))
    for user, recall in zip(found.user_ids, found.values(f"recall@{k}"), strict=True):
        places = []
        for item in lists.get(user, []):
            if item not in TRAIN[user] and (item not in places or item > 14):
                places.append(item)
        hits = len(set(places[:k]) & set(TEST[user]))
        assert recall == hits / len(TEST[user])


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda f: f.drop("rank"), "no column rank or score"),
        (lambda f: f.drop("item"), "no column 'item'"),
        (lambda f: f.rename({"user": "u"}), "no column 'user'"),
        (lambda f: f.with_columns(rank=pl.Series([1, None, *[3] * 6])), "'rank' holds no value in"),
        (lambda f: f.with_columns(rank=pl.lit(True)), "holds Boolean; a list is ordered by"),
        (lambda f: f.with_columns(rank=pl.concat_list("rank")), "a list is ordered by numbers"),
        (lambda f: f.with_columns(rank=pl.Series([*"x2345678"])), "'x', not a number, in row 1"),
        (lambda f: f.drop("rank").with_columns(score=pl.lit(float("nan"))), "nan, not a number"),
        (lambda f: f.with_columns(item=pl.Series([12, None, *[13] * 6])), "'item' holds no value"),
        (lambda f: f.clear(), "lists has no rows"),
        (lambda f: f.with_columns(user=pl.col("user") + 1000), "no user with held-out items"),
        (lambda f: f.with_columns(item=pl.col("item") + 1000), "no listed item is in the data"),
    ],
)  # fmt: skip
def test_lists_that_cannot_be_read_name_the_column_and_row(change, told):
    with pytest.raises(DataError, match=told):
        evaluate(change(frame(LISTS)), small())


def test_more_refusals(tmp_path):
    lists = frame(LISTS)
    for wrong, told in (
        ({"rank": "rank", "score": "rank"}, "not both"),
        ({"rank": 3}, "must be the name of a column"),
        ({"user": False}, "must be the name of a column"),
        ({"user": "item"}, "is given two roles"),
        ({"protocol": 5}, "protocol must be one such as"),
        ({"protocol": FullRanking}, "protocol must be one such as"),
        ({"exclude_seen": "no"}, "exclude_seen must be True or False"),
        ({"protocol": "as-released"}, "cannot be evaluated by as-released"),
        ({"protocol": "sampled-9", "exclude_seen": False}, "goes with full rankings"),
        ({"part": "train"}, "part must be"),
    ):
        with pytest.raises(ParameterError, match=told):
            evaluate(lists, small(), **wrong)
    with pytest.raises(DataError, match="does not exist"):
        evaluate(tmp_path / "none.csv", small())
    with pytest.raises(DataError, match="no column rank or score"):
        evaluate(lists, small(), rank=False)
    with pytest.raises(DataError, match="column 'place' holds 'x', not a number"):
        evaluate(lists.with_columns(place=pl.lit("x")), small(), rank="place")
    with pytest.raises(DataError, match="theirs has no rows"):
        evaluate(lists.clear(), small(), name="theirs")
    for n, named in ((20, "'c19'; name"), (21, r"'c19', \.\.\.; name")):
        with pytest.raises(DataError, match=named):
            evaluate(pl.DataFrame({f"c{i}": [1] for i in range(n)}), small())
    MODELS["popularity"].fit(SPLIT.train).save(tmp_path / "m")
    with pytest.raises(ParameterError, match="is a saved model: give trimetric"):
        evaluate(tmp_path / "m", SPLIT)


# --- what can be evaluated at all -----------------------------------------------------------------


def test_a_scorer_is_evaluated_as_its_model():
    model = tm.SML(epochs=2, dim=8).fit(SPLIT.train)
    assert evaluate(model.scorer, SPLIT).metrics == evaluate(model, SPLIT).metrics
    with pytest.raises(ParameterError, match="knows rows and no ids"):
        evaluate(model.scorer, SPLIT.test)
    with pytest.raises(DataError, match=r"the split 4 and 5"):
        evaluate(model.scorer, small())


@pytest.mark.parametrize(
    "call",
    [
        lambda: evaluate(tm.SML(), SPLIT),
        lambda: evaluate(tm.EASE(), SPLIT.test),
        lambda: evaluate(tm.SML, SPLIT),
        lambda: evaluate(None, SPLIT),
        lambda: evaluate(5, SPLIT),
        lambda: evaluate(SPLIT, SPLIT),
        lambda: evaluate(SPLIT.test, SPLIT),
        lambda: evaluate(SPLIT.test.to_frame(), SPLIT),
        lambda: evaluate(SPLIT.test.to_frame().to_pandas(), SPLIT),
        lambda: evaluate(MODELS["popularity"].fit(SPLIT.train), MODELS["popularity"]),
        lambda: evaluate(MODELS["popularity"].fit(SPLIT.train), None),
        lambda: evaluate(MODELS["popularity"].fit(SPLIT.train), 7),
        lambda: evaluate(MODELS["popularity"].fit(SPLIT.train), SPLIT, user="customer"),
        lambda: evaluate(np.zeros((3, 3)), SPLIT),
        lambda: evaluate(object(), SPLIT),
    ],
)
def test_what_is_no_model_and_no_lists_is_refused_by_name(call):
    with pytest.raises(TrimetricError) as told:
        call()
    assert isinstance(told.value, ParameterError | DataError | Unsupported)
    assert any(word in str(told.value) for word in ("give", "fit", "leave it out"))


# --- files of other libraries ---------------------------------------------------------------------


def run_lines(separator=" ", decimal="."):
    lines = [
        (user, "Q0", item, place, f"{1 - place / 100:.3f}".replace(".", decimal), "run")
        for user, items in LISTED.items()
        for place, item in enumerate(items)
    ]
    return "".join(separator.join(map(str, line)) + "\n" for line in lines)


LISTED = {1: [13, 12], 2: [11, 13], 3: [14, 10]}


def test_a_run_of_trec_has_the_figures_of_its_lists(tmp_path):
    (tmp_path / "run.trec").write_text(run_lines())
    form = {"format": "csv", "separator": " ", "header": False}
    expected = evaluate(RankedLists.from_dict(LISTED), small(), at=2)
    for order in ({"rank": "4"}, {"score": "5"}):
        lists = RankedLists.of(tmp_path / "run.trec", user="1", item="3", **order, **form)
        assert evaluate(lists, small(), at=2).metrics == expected.metrics
    with pytest.raises(DataError, match="cannot tell the format"):
        RankedLists.of(tmp_path / "run.trec")
    with pytest.raises(ParameterError, match="separator is for files"):
        RankedLists.of(frame(LISTED), separator=" ")


def test_scores_with_a_decimal_comma(tmp_path):
    path = tmp_path / "lists.csv"
    path.write_text("user;q;item;n;score;run\n" + run_lines(";", ","))
    expected = evaluate(RankedLists.from_dict(LISTED), small(), at=2).metrics
    assert evaluate(RankedLists.of(path, decimal=","), small(), at=2).metrics == expected
    with pytest.raises(DataError, match=r"holds '1,000', not a number.*give decimal=','"):
        RankedLists.of(path)
    path.write_text("user;item;score\n1;13;1.000,5\n")
    with pytest.raises(DataError, match=r"holds '1\.000,5', not a number"):
        RankedLists.of(path, decimal=",")


@pytest.mark.parametrize("names", [("user_id", "item_id"), ("userId", "movieId"), ("uid", "iid")])
def test_columns_of_ids_are_found_by_their_usual_names(names):
    expected = evaluate(frame(LISTED), small(), at=2)
    found = evaluate(
        frame(LISTED).rename(dict(zip(("user", "item"), names, strict=True))), small(), at=2
    )
    assert found.metrics == expected.metrics
    said = [f"users from column {names[0]!r}", f"items from column {names[1]!r}"]
    assert found.notes == [*said, *expected.notes]


def test_columns_of_ids_that_are_not_found_are_told():
    two = frame(LISTED).rename({"user": "user_id"}).with_columns(uid=pl.col("user_id"))
    with pytest.raises(DataError, match="may be 'user_id' or 'uid': say which with user="):
        evaluate(two, small())
    for said in ({}, {"user": None}, {"user": "user", "item": None}):
        with pytest.raises(DataError, match=r"no column 'user'; columns: 'who'"):
            evaluate(frame(LISTED).rename({"user": "who"}), small(), **said)


class Named(os.PathLike):
    def __init__(self, path):
        self.path = path

    def __fspath__(self):
        return str(self.path)


def test_paths_of_any_kind_and_no_path(tmp_path):
    frame(TEST).write_csv(tmp_path / "lists.csv")
    read = RankedLists.of(tmp_path / "lists.csv")
    again = RankedLists.of(Named(tmp_path / "lists.csv"))
    assert again.users.equals(read.users)
    assert again.name == "lists.csv"
    with pytest.raises(ParameterError, match="lists is the empty text ''; give a path"):
        RankedLists.of("")
    with pytest.raises(ParameterError, match="path is the empty text ''; give a path"):
        tm.beyond_accuracy(frame(TEST), small(), 2, items="", columns=["genre"])


def test_defaults_of_files_may_be_said_of_frames():
    lists = RankedLists.of(frame(TEST), format=None, decimal=".", null=())
    assert len(lists.users) == sum(map(len, TEST.values()))
    with pytest.raises(ParameterError, match="separator is for files, and lists is none"):
        RankedLists.of(frame(TEST), format=None, separator=";")


@pytest.mark.parametrize("at", [b"\x05", np.array(5), "5"])
def test_cutoffs_are_numbers(at):
    with pytest.raises(ParameterError, match="at must be cutoffs such as"):
        evaluate(frame(TEST), small(), at=at)
    with pytest.raises(ParameterError, match="at must be cutoffs such as"):
        FullRanking(at=at)
    with pytest.raises(ParameterError, match="metrics must be names"):
        evaluate(frame(TEST), small(), metrics=np.array("ndcg"))
