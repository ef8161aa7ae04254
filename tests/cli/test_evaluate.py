"""`trimetric evaluate` and `compare`: lists made elsewhere, split folders, refusals."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from command import document, done, inside, refused

import trimetric as tm


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a split, a model, lists it wrote, and a table of items."""
    folder = tmp_path_factory.mktemp("room")
    small = tm.synthetic.planted(150, 80, dim=4, clusters=4, per_user=12, seed=1).interactions
    small.to_frame().write_csv(folder / "log.csv")
    done("data", "split", "log.csv", "--how", "per-user", "--out", "parts", cwd=folder)
    done("fit", "parts/train.parquet", "--model", "ease", "--out", "m", cwd=folder)
    done("recommend", "m", "--all", "-k", "40", "--out", "lists.csv", cwd=folder)
    items = pl.DataFrame({"sku": small.item_ids.values})
    items.with_columns(genre=pl.Series(["Drama|War", "War", "Comedy", "Drama"] * 20)).write_csv(
        folder / "items.csv"
    )
    return folder


def test_a_folder_of_parts_is_all_that_is_needed(room: Path) -> None:
    found = document("evaluate", "m", "--split", "parts", cwd=room)
    expected = tm.evaluate(tm.load(room / "m"), tm.Split.load(room / "parts"))
    assert found["metrics"] == expected.metrics
    files = ("--test", "parts/test.parquet", "--valid", "parts/valid.parquet")
    assert document("evaluate", "m", *files, cwd=room)["metrics"] == expected.metrics
    assert found["notes"] == []


@pytest.mark.parametrize(
    "given",
    [
        ["--split", "parts"],
        [f"--{part}=parts/{part}.parquet" for part in ("train", "valid", "test")],
    ],
)
def test_lists_have_the_figures_of_the_model(room: Path, given: list[str]) -> None:
    own = document("evaluate", "m", "--split", "parts", cwd=room)["metrics"]
    found = document("evaluate", "--lists", "lists.csv", *given, cwd=room)
    assert found["metrics"] == {name: v for name, v in own.items() if "@" in name}
    assert found["folder"] is None
    assert found["model"] == "lists.csv"
    table = done("evaluate", "--lists", "lists.csv", *given, cwd=room)
    for word in ("lists.csv, test, full", "NDCG", "Hit rate", "by lists of up to 40"):
        assert word in " ".join(table.split())
    assert "HR (" not in table


def test_columns_by_name_and_rows_in_order(room: Path) -> None:
    own = document("evaluate", "--lists", "lists.csv", "--split", "parts", cwd=room)["metrics"]
    lists = pl.read_csv(room / "lists.csv").rename({"user": "who", "item": "what", "rank": "at"})
    lists.sample(fraction=1, shuffle=True, seed=0).write_parquet(room / "named.parquet")
    ids = ("--user-column", "who", "--item-column", "what")
    found = document(
        *("evaluate", "--lists", "named.parquet", *ids, "--rank-column", "at", "--split", "parts"),
        cwd=room,
    )
    assert found["metrics"] == own
    lists.select("who", "what").write_csv(room / "ordered.csv")
    order = ("--rank-column", "none", "--score-column", "none")
    given = ("evaluate", "--lists", "ordered.csv", *ids, "--split", "parts")
    assert document(*given, *order, cwd=room)["metrics"] == own
    assert document(*given, *order, "--time-format", "ms", cwd=room)["metrics"] == own  # of logs
    assert "--rank-column none and --score-column none" in refused(*given, cwd=room)


def test_beyond_accuracy_is_that_of_the_library(room: Path) -> None:
    more = ("--beyond", "5", "--items", "items.csv", "--items-id", "sku", "--by", "genre")
    more += ("--value-separator", "|", "--reference", "lists.csv", "--split", "parts")
    found = document("evaluate", "m", *more, cwd=room)["beyond_accuracy"]
    model, split = tm.load(room / "m"), tm.Split.load(room / "parts")
    described = {"items": room / "items.csv", "columns": ["genre"], "item_column": "sku"}
    expected = tm.beyond_accuracy(
        model, split, 5, **described, separator="|", reference=room / "lists.csv"
    )
    assert found == expected
    assert found["serendipity@5"] == 0
    assert found["calibration genre@5"] > 0
    theirs = document("evaluate", "--lists", "lists.csv", *more, cwd=room)["beyond_accuracy"]
    assert theirs == found
    shown = done("evaluate", "m", *more, cwd=room)
    assert "Beyond accuracy" in shown
    assert f"{found['gini@5']:.4f}" in shown


def test_validation_items_that_were_not_given_are_left_out(room: Path) -> None:
    fit = ("fit", "parts/train.parquet", "--valid", "parts/valid.parquet", "--set", "epochs=1")
    done(*fit, "--model", "sml", "--set", "dim=4", "--out", "s", cwd=room)
    found = document("evaluate", "s", "--test", "parts/test.parquet", cwd=room)
    whole = document("evaluate", "s", "--split", "parts", cwd=room)
    for one in (found, whole):
        assert one["notes"] == []
        assert one["protocol"]["exclude"] == "train+valid"
    assert found["metrics"] == whole["metrics"]
    chose = document("evaluate", "s", "--test", "parts/valid.parquet", cwd=room)
    assert chose["part"] == "valid"
    assert "chose it" in chose["notes"][0]
    of_all = document("evaluate", "s", "--test", "log.csv", cwd=room)
    assert of_all["metrics"] == whole["metrics"]
    assert of_all["counts"]["dropped_valid"] > 0
    repeats = document("evaluate", "s", "--split", "parts", "--include-seen", cwd=room)
    assert repeats["protocol"]["exclude"] == "none"


def test_users_held_out_whole(room: Path) -> None:
    split = ("data", "split", "log.csv", "--how", "users", "--history", "0.5", "--test", "0.2")
    made = document(*split, "--out", "strangers", cwd=room)
    assert made["users_held_out"] == 30
    done("fit", "strangers/train.parquet", "--model", "itemknn", "--out", "k", cwd=room)
    found = document("evaluate", "k", "--split", "strangers", cwd=room)
    assert found["counts"]["users"] == 30
    done(
        "fit",
        "strangers/train.parquet",
        "--model",
        "mlp",
        "--set",
        "epochs=1",
        "--out",
        "b",
        cwd=room,
    )
    assert "mlp cannot place a new user" in refused(
        "evaluate", "b", "--split", "strangers", cwd=room
    )


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([], "give the folder of a model, or --lists FILE"),
        (["m", "--lists", "lists.csv"], "give the folder of a model, or --lists FILE"),
        (["m"], "--test FILE, or --split FOLDER"),
        (["m", "--split", "parts", "--test", "log.csv"], "--split has all parts"),
        (["m", "--split", "."], "split.json cannot be read"),
        (["m", "--split", "parts", "--rank-column", "r"], "are those of --lists"),
        (["m", "--split", "parts", "--by", "genre"], "go with --beyond K"),
        (["m", "--split", "parts", "--beyond", "5", "--by", "genre"], "columns of --items"),
        (["m", "--split", "parts", "--beyond", "0"], "k must be a whole number in 1..1000"),
        (["m", "--test", "parts/test.parquet", "--beyond", "5"], "--beyond needs"),
        (["--lists", "lists.csv", "--test", "log.csv", "--valid", "log.csv"], "needs --train"),
        (["--lists", "nowhere.csv", "--split", "parts"], "nowhere.csv does not exist"),
        (["--lists", "m", "--split", "parts"], "m is a saved model"),
        (["--lists", "lists.csv", "--split", "parts", "--at", "50"], "tells nothing at 50"),
        (["--lists", "log.csv", "--split", "parts"], "no column rank or score"),
        (["--lists", "lists.csv", "--split", "parts", "--protocol", "as-released"], "full, dpcml"),
        (["--lists", "lists.csv", "--split", "parts", "--protocol", "sampled-9"], "hold fewer"),
        (["m", "--split", "parts", "--protocol", "sampled-9", "--include-seen"], "--include-seen"),
    ],
)  # fmt: skip
def test_mistakes_are_told(room: Path, given: list[str], told: str) -> None:
    ran = inside("evaluate", *given, cwd=room)
    assert ran.returncode == 2, ran.stderr
    assert told in ran.stderr
    assert len(ran.stderr.splitlines()) == 1


def test_how_lists_are_written_can_be_said(room: Path) -> None:
    split = ["--split", "parts"]
    own = document("evaluate", "--lists", "lists.csv", *split, cwd=room)["metrics"]
    lists = pl.read_csv(room / "lists.csv").with_columns(q=pl.lit("Q0"), run=pl.lit("theirs"))
    lists = lists.select("user", "q", "item", "rank", "score", "run")
    lists.write_csv(room / "run.trec", separator=" ", include_header=False)
    form = ["--format", "csv", "--separator", "space", "--no-header"]
    columns = ["--user-column", "1", "--item-column", "3", "--rank-column", "4"]
    found = document("evaluate", "--lists", "run.trec", *split, *form, *columns, cwd=room)
    assert found["metrics"] == own
    lists.rename({"user": "user_id", "item": "item_id"}).write_csv(room / "lenskit.csv")
    found = document("evaluate", "--lists", "lenskit.csv", *split, cwd=room)
    assert found["metrics"] == own
    assert found["notes"][:2] == ["users from column 'user_id'", "items from column 'item_id'"]
    lists.rename({"user": "who"}).write_csv(room / "odd.csv")
    told = refused("evaluate", "--lists", "odd.csv", *split, cwd=room)
    assert "odd.csv has no column 'user'; columns: 'who'" in told
    assert "name the column with --user-column" in told


# --- compare --------------------------------------------------------------------------------------


def test_lists_are_compared_with_models(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from trimetric.experiments import report

    monkeypatch.setattr(report, "_images", lambda figures: ({}, "not drawn"))
    compare = ("compare", "log.csv", "--how", "per-user", "--trials", "1", "--seeds", "1", "-q")
    lists = ("--lists", "theirs=lists.csv", "--threads", "1", "--out", "c")
    found = document(*compare, "--models", "popularity", *lists, cwd=room)["models"]
    assert [row["model"] for row in found] == ["theirs", "popularity"]
    own = document("evaluate", "m", "--split", "parts", cwd=room)["metrics"]
    assert found[0]["ndcg@10"] == own["ndcg@10"]
    assert found[1]["behind_best"]["significant"]
    assert found[0]["cpu_seconds"] is None
    pages = (room / "c" / "report.md").read_text()
    assert "lists made elsewhere" in pages
    assert json.loads((room / "c" / "report.json").read_bytes())["sections"]
    alone = done(*compare, "--models", "none", *lists, cwd=room)
    assert "theirs" in alone
    for wrong, told in (
        (["--lists", "lists.csv"], "takes NAME=FILE"),
        (["--lists", "a=lists.csv", "--lists", "a=lists.csv"], "each name once"),
        (["--lists", "ease=lists.csv"], "which is a model"),
        (["--lists", "a=lists.csv", "--metric", "map"], "do not tell map"),
        (["--lists", "a=nowhere.csv"], "nowhere.csv does not exist"),
        (["--models", "none"], "got 'none'"),
    ):
        ran = inside(*compare, "--models", "popularity", *wrong, "--out", "d", cwd=room)
        assert (ran.returncode, told in ran.stderr) == (2, True), ran.stderr


@pytest.mark.slow
def test_one_rule_on_what_is_known_on_every_way_in(tmp_path: Path) -> None:
    """In memory, from files, by lists and in a comparison one model has one figure."""
    pytest.importorskip("optuna")
    pytest.importorskip("jinja2")
    rng = np.random.default_rng(3)
    times = np.arange(1200)
    users = rng.integers(0, 30 + times // 20)  # of 90 users, some come after the cuts
    items = (rng.beta(0.7, 2, 1200) * (30 + times / 60)).astype(int)
    pl.DataFrame({"user": users, "item": items, "timestamp": times}).write_csv(tmp_path / "log.csv")
    log = tm.Interactions.read(tmp_path / "log.csv")
    split = tm.split_temporal(log, test=0.15, valid=0.1)
    for name in ("ease", "itemknn"):
        whole = tm.evaluate(tm.create(name).fit(split.train), split)
        assert whole.counts.unknown_users > 0
        temporal = ("--how", "temporal", "--test", "0.15", "--valid", "0.1")
        done("data", "split", "log.csv", *temporal, "--out", "parts", cwd=tmp_path)
        done("fit", "parts/train.parquet", "--model", name, "--out", "m", cwd=tmp_path)
        files = document("evaluate", "m", "--split", "parts", cwd=tmp_path)
        assert files["metrics"] == whole.metrics
        asked = ("compare", "log.csv", *temporal, "--models", name, "--trials", "1")
        compared = document(*asked, "--seeds", "1", "--out", f"c-{name}", "--quiet", cwd=tmp_path)
        [row] = compared["models"]
        assert {key: row[key] for key in whole.metrics} == whole.metrics
        done("recommend", "m", "--all", "--out", "lists.csv", "-k", "50", cwd=tmp_path)
        lists = document("evaluate", "--lists", "lists.csv", "--split", "parts", cwd=tmp_path)
        assert lists["metrics"]["ndcg@10"] == pytest.approx(whole["ndcg@10"])
        assert lists["counts"]["users"] == files["counts"]["users"] == whole.counts.users
