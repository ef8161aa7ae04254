"""Each command, on generated data."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from command import COMMAND, document, done, environment, inside, refused, tensors, trimetric

import trimetric as tm
from trimetric.cli import compare

COMMANDS = (
    "demo",
    "fit",
    "evaluate",
    "recommend",
    "similar-items",
    "similar-users",
    "explain",
    "update",
    "data",
)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a split of generated data and a model trained on it."""
    folder = tmp_path_factory.mktemp("room")
    done("data", "split", "planted", "--how", "per-user", "--out", "split", cwd=folder)
    fit = ("fit", "split/train.parquet", "--valid", "split/valid.parquet", "--out", "model")
    done(*fit, "--set", "epochs=10", cwd=folder)
    return folder


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("home/me/log.csv", "log.csv"),
        ("--out=home/me/report", "--out=report"),
        ("--lists=ours=home/me/ours.csv", "--lists=ours=ours.csv"),
        ("data/year=2024/x.parquet", "x.parquet"),
        ("/year=2024/x.parquet", "x.parquet"),
        ("sml.lr=.05", "sml.lr=.05"),
        ("--json", "--json"),
        ("/", "/"),
    ],
)
def test_reports_tell_the_command_without_folders(
    word: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["/bin/trimetric", "compare", word])
    assert compare.command() == f"trimetric compare {told}"


def test_help_names_every_command() -> None:
    told = trimetric("--help").stdout
    assert all(command in told for command in COMMANDS)


def test_the_version() -> None:
    assert done("--version") == f"trimetric {tm.__version__}\n"


def test_importing_the_commands_costs_nothing() -> None:
    heavy = "{'numpy', 'polars', 'numba', 'rich'}"
    code = f"import sys, trimetric.cli.app; print({heavy} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.stdout == "set()\n"


def test_a_model_recommends_what_the_library_does(room: Path) -> None:
    users = ["u0003", "u0001"]
    found = document("recommend", "model", *("--user", users[0], "--user", users[1]), cwd=room)
    expected = tm.load(room / "model").recommend(users, 10)
    assert pl.DataFrame(found["recommendations"]).equals(
        expected.cast({"rank": pl.Int64, "score": pl.Float64})
    )


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_all_users_to_a_file(room: Path, suffix: str) -> None:
    out = room / f"all{suffix}"
    told = document("recommend", "model", "--all", "-k", 3, "--out", out.name, cwd=room)
    assert told["rows"] == 2000 * 3
    read = {".parquet": pl.read_parquet, ".csv": pl.read_csv, ".jsonl": pl.read_ndjson}[suffix]
    model = tm.load(room / "model")
    expected = model.recommend(model.user_ids.values, 3)
    found = read(out)
    assert found["item"].equals(expected["item"])
    assert found["user"].equals(expected["user"])
    np.testing.assert_allclose(found["score"], expected["score"], rtol=1e-6)


def test_blocks_join_to_one_file(tmp_path: Path) -> None:
    from trimetric.storage.tables import write_blocks

    blocks = [pl.DataFrame({"user": [n, n], "rank": [1, 2]}) for n in range(5)]
    for suffix, read in ((".parquet", pl.read_parquet), (".csv", pl.read_csv)):
        assert write_blocks(tmp_path / f"x{suffix}", iter(blocks)) == 10
        assert read(tmp_path / f"x{suffix}").equals(pl.concat(blocks))


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_a_block_that_fails_leaves_the_old_file(tmp_path: Path, suffix: str) -> None:
    from trimetric.errors import UnknownIds
    from trimetric.storage.tables import write_blocks

    def blocks():
        yield pl.DataFrame({"user": [1]})
        raise UnknownIds("user", [7], "sorry")

    out = tmp_path / f"x{suffix}"
    out.write_text("old")
    with pytest.raises(UnknownIds, match="7"):
        write_blocks(out, blocks())
    assert out.read_text() == "old"
    with pytest.raises(UnknownIds):
        write_blocks(tmp_path / "a/b/rows.csv", blocks())
    assert list(tmp_path.iterdir()) == [out]
    assert write_blocks(tmp_path / "a/b/rows.csv", iter([pl.DataFrame({"a": [1]})])) == 1


def test_users_from_a_file_and_from_standard_input(room: Path) -> None:
    (room / "users.txt").write_text("u0001\n\nu0002\n")
    named = ("--user", "u0001", "--user", "u0002")
    expected = document("recommend", "model", *named, "-k", 2, cwd=room)
    assert document("recommend", "model", "--users-file", "users.txt", "-k", 2, cwd=room) == (
        expected
    )
    piped = trimetric(
        *("recommend", "model", "--users-file", "-", "-k", 2, "--json"),
        cwd=room,
        input="u0001\nu0002",
    )
    assert json.loads(piped.stdout) == expected


def test_ids_cannot_steer_a_terminal(tmp_path: Path) -> None:
    ids = ["\x1b[31mred", "b\x07ell", "new\nline", "[bold]x[/bold]", "日本"]
    model = tm.SML(dim=4, epochs=1, temperature=0.2).fit((["u"] * 3 + ["v"] * 2, ids))
    model.save(tmp_path / "m")
    shown = done("recommend", "m", "--user", "v", cwd=tmp_path)
    shown += done("explain", "m", "--user", "v", "--item", ids[0], cwd=tmp_path)
    for one in (r"\x1b[31mred", r"b\x07ell", r"new\nline", "[bold]x[/bold]", "日本"):
        assert one in shown
    assert not set(shown) & {"\x1b", "\x07"}
    asked = ("recommend", "m", "-k", 2, "--json")
    assert done(*asked, "--liked", ids[0], cwd=tmp_path) == done(
        *asked, "--item", ids[0], cwd=tmp_path
    )


def test_a_line_of_a_file_ends_where_the_line_does(tmp_path: Path) -> None:
    from trimetric.cli.reading import lines

    odd = ["a\u2028b", "c\x85d", "e\x0cf", "plain"]
    (tmp_path / "ids.txt").write_bytes("\r\n".join(["", *odd, ""]).encode())
    assert lines("--users-file", str(tmp_path / "ids.txt")) == odd


def test_ids_with_blanks_around_are_found_in_files(tmp_path: Path) -> None:
    pairs = [("ann", "tea"), ("bob", " jam "), ("bob", "tea"), (" eve", "egg"), ("cat", "egg")]
    tm.Popularity().fit(pairs).save(tmp_path / "m")
    (tmp_path / "deny.txt").write_text(" jam \r\n  tea\t\r\nham\r\n \r\n")
    ran = inside("recommend", "m", "cat", "--deny-file", "deny.txt", "--json", cwd=tmp_path)
    assert json.loads(ran.stdout)["recommendations"] == []
    assert "1 of 3 ids in --deny-file deny.txt are unknown to the model: 'ham'" in ran.stderr
    (tmp_path / "users.txt").write_text(" eve\n  bob\n")
    found = document("recommend", "m", "--users-file", "users.txt", "-k", 1, cwd=tmp_path)
    assert [row["user"] for row in found["recommendations"]] == [" eve", "bob"]
    ran = inside("unavailable", "m", "--item", "jam", "--item", "tea", cwd=tmp_path)
    assert "1 of 2 ids are unknown to the model: 'jam'; did you mean ' jam '?" in ran.stderr
    (tmp_path / "gone.txt").write_text(" jam \n")
    assert "forgot 0 users, 1 items" in done(
        "forget", "m", "--items-file", "gone.txt", cwd=tmp_path
    )


def test_a_table_of_items_in_another_form_is_told_what_to_do(tmp_path: Path) -> None:
    tm.Popularity().fit([("ann", "tea"), ("bob", "jam")]).save(tmp_path / "m")
    (tmp_path / "items.csv").write_bytes("item,title\ntea,Tee grün\n".encode("cp1252"))
    for command in ("recommend", "similar-items"):
        told = refused(command, "m", "--items", "items.csv", cwd=tmp_path)
        assert "items.csv: line 2 is not UTF-8 text; save the table of items as csv in" in told
        assert "--encoding" not in told
    (tmp_path / "items.pdf").write_bytes(b"%PDF")
    told = refused("recommend", "m", "--items", "items.pdf", cwd=tmp_path)
    assert "cannot tell the format from the extension '.pdf'; save the table" in told


def test_seen_items_come_back_when_asked_for(room: Path) -> None:
    asked = ("recommend", "model", "--user", "u0001", "-k", 800)
    fresh = document(*asked, cwd=room)["recommendations"]
    every = document(*asked, "--include-seen", cwd=room)["recommendations"]
    model = tm.load(room / "model")
    assert len(every) == len(model.item_ids)
    assert len(every) - len(fresh) == model.seen.counts[1]


def test_allowed_and_denied_items_from_files(room: Path) -> None:
    (room / "allow.txt").write_text("i001\ni005\ni009\ni404\nnone\n")
    (room / "deny.txt").write_text("i005\n")
    (room / "empty.txt").write_text("")
    asked = ("recommend", "model", "--user", "u0001", "--user", "u0002", "--include-seen")
    rules = ("--allow-file", "allow.txt", "--deny-file", "deny.txt")
    expected = tm.load(room / "model").recommend(
        ["u0001", "u0002"], exclude_seen=False, allow=["i001", "i009", "i404"]
    )
    for more in ((), ("--approximate",)):
        found = document(*asked, *rules, *more, cwd=room)["recommendations"]
        assert (
            pl.DataFrame(found)
            .select("user", "item", "rank")
            .equals(expected.select("user", "item", "rank").cast({"rank": pl.Int64}))
        )
    told = "1 of 5 ids in --allow-file allow.txt are unknown to the model"
    assert told in inside(*asked, *rules, cwd=room).stderr
    assert inside(*asked, *rules, "--quiet", cwd=room).stderr == ""
    everything = document(*asked, cwd=room)
    assert document(*asked, "--deny-file", "empty.txt", cwd=room) == everything
    assert "--allow-file empty.txt holds no ids" in refused(
        *asked, "--allow-file", "empty.txt", cwd=room
    )
    new = ("recommend", "model", "--item", "i001", "--allow-file", "allow.txt", "--json")
    assert {row["item"] for row in json.loads(done(*new, cwd=room))["recommendations"]} == {
        "i005", "i009", "i404"
    }  # fmt: skip


def test_a_list_longer_than_the_catalogue_is_short(room: Path) -> None:
    rows = document("recommend", "model", "--user", "u0001", "-k", 5000, cwd=room)
    assert 0 < len(rows["recommendations"]) < 800


def test_unknown_users(room: Path) -> None:
    asked = ("recommend", "model", "--user", "nobody", "--user", "u0001", "-k", 2)
    assert "1 unknown user: 'nobody'" in refused(*asked, cwd=room)
    skipped = document(*asked, "--on-unknown", "skip", cwd=room)["recommendations"]
    assert [row["user"] for row in skipped] == ["u0001"] * 2
    popular = document(*asked, "--on-unknown", "popular", cwd=room)["recommendations"]
    assert [(row["user"], row["score"] is None) for row in popular] == [
        ("nobody", True), ("nobody", True), ("u0001", False), ("u0001", False)
    ]  # fmt: skip


def test_neighbours(room: Path) -> None:
    model = tm.load(room / "model")
    item = model.item_ids.values[0]
    found = document("similar-items", "model", "--item", item, "-k", 3, cwd=room)["similar"]
    assert [row["similar"] for row in found] == model.similar_items([item], 3)["similar"].to_list()
    found = document("similar-users", "model", "--user", "u0001", "-k", 3, cwd=room)["similar"]
    assert [row["rank"] for row in found] == [1, 2, 3]


def test_evaluation_is_that_of_the_library(room: Path) -> None:
    files = ("--test", "split/test.parquet", "--valid", "split/valid.parquet")
    found = document("evaluate", "model", *files, "--at", "5,10", cwd=room)
    split = tm.split_per_user(tm.synthetic.planted().interactions, test=0.1, valid=0.1)
    model = tm.load(room / "model")
    expected = tm.evaluate(model, split, tm.FullRanking(at=(5, 10)))
    assert found["metrics"] == expected.metrics
    table = done("evaluate", "model", *files, cwd=room)
    assert "NDCG" in table
    assert f"{expected['ndcg@10']:.4f}" in table
    sampled = ("--protocol", "sampled-99")
    assert "sampled-99" in done("evaluate", "model", *files, *sampled, cwd=room)


def test_unknown_users_in_the_test_file_are_counted(room: Path) -> None:
    test = pl.read_parquet(room / "split/test.parquet")
    more = pl.DataFrame({"user": ["stranger"] * 3, "item": test["item"][:3]})
    pl.concat([test, more]).write_parquet(room / "strangers.parquet")
    counts = document("evaluate", "model", "--test", "strangers.parquet", cwd=room)["counts"]
    assert (counts["unknown_users"], counts["dropped_unknown"]) == (1, 3)
    assert "1 of the users" in " ".join(
        done("evaluate", "model", "--test", "strangers.parquet", cwd=room).split()
    )


def test_threads_change_no_bit_and_settings_are_kept(tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text('model = "cml"\nepochs = 3\ndim = 16\nlr = 0.1\n')
    for threads in (1, 2, 3):
        found = document(
            *("fit", "planted", "--config", "my.toml", "--set", "dim=24", "--set", "negatives=5"),
            *("--threads", threads, "--out", f"m{threads}"),
            cwd=tmp_path,
        )
    settings = found["settings"]
    assert found["model"] == "cml"
    assert [settings[name] for name in ("epochs", "dim", "lr")] == [3, 24, 0.1]
    assert (settings["negatives"], settings["candidates"]) == ("hardest", 5)
    assert tensors(tmp_path / "m1") == tensors(tmp_path / "m2") == tensors(tmp_path / "m3")


def test_what_is_held_out_to_stop_counts_as_seen(tmp_path: Path) -> None:
    fit = ("fit", "planted", "--set", "epochs=2", "--set", "dim=8", "--out")
    found = document(*fit, "a", cwd=tmp_path)
    whole = tm.synthetic.planted().interactions
    assert found["train"]["pairs"] + found["valid"]["pairs"] == len(whole)
    assert np.array_equal(tm.load(tmp_path / "a").seen.items, whole.items)
    found = document(*fit, "b", "--valid", "none", cwd=tmp_path)
    assert (found["valid"], found["train"]["pairs"]) == (None, len(whole))
    assert tensors(tmp_path / "a") != tensors(tmp_path / "b")


def test_a_shipped_split_is_respected(tmp_path: Path) -> None:
    split = tm.split_random(tm.synthetic.planted().interactions)
    parts = {"train": split.train, "val": split.valid, "Test": split.test}
    frames = [p.to_frame().with_columns(split=pl.lit(name)) for name, p in parts.items()]
    pl.concat(frames).write_parquet(tmp_path / "whole.parquet")
    found = document(
        *("fit", "whole.parquet", "--set", "epochs=2", "--set", "dim=8", "--out", "m"), cwd=tmp_path
    )
    assert found["train"]["pairs"] == len(split.train)
    assert found["valid"]["pairs"] == len(split.valid)
    counts = document("evaluate", "m", "--test", "whole.parquet", cwd=tmp_path)["counts"]
    assert counts["held_out"] == len(split.test)
    assert counts["dropped_seen"] == 0


@pytest.mark.parametrize("how", ["random", "per-user", "leave-one-out", "temporal", "column"])
def test_a_split_is_that_of_the_library(tmp_path: Path, how: str) -> None:
    whole = tm.synthetic.planted(n_users=100, n_items=60, per_user=10).interactions.to_frame()
    labels = [("train", "valid", "test")[n % 3] for n in range(len(whole))]
    whole = whole.with_columns(timestamp=pl.int_range(len(whole)), split=pl.Series(labels))
    whole.write_parquet(tmp_path / "d.parquet")
    told = document("data", "split", "d.parquet", "--how", how, "--out", "s", cwd=tmp_path)
    assert json.loads((tmp_path / "s/split.json").read_text()) == told
    parts = [pl.read_parquet(tmp_path / f"s/{name}.parquet") for name in ("train", "valid", "test")]
    assert [len(part) for part in parts] == list(told["pairs"].values())
    assert parts[0].columns == ["user", "item", "timestamp"]
    assert pl.concat(parts).sort("user", "item").equals(whole.drop("split").sort("user", "item"))


def test_a_split_is_replaced_whole_and_nothing_else_is(tmp_path: Path) -> None:
    done("data", "split", "planted", "--out", "s", cwd=tmp_path)
    done("data", "split", "planted", "--out", "s", "--valid", 0, cwd=tmp_path)
    names = sorted(path.name for path in (tmp_path / "s").iterdir())
    assert names == ["split.json", "test.parquet", "train.parquet"]
    (tmp_path / "s/mine.txt").write_text("mine")
    assert "mine.txt" in refused("data", "split", "planted", "--out", "s", cwd=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_inspection_counts(tmp_path: Path) -> None:
    text = (
        "user,item,rating,timestamp\na,x,5,0\na,y,3,86400\na,x,4,100\nb,x,,5\nb,y,nan,5\nb,y,1,9\n"
    )
    (tmp_path / "d.csv").write_text(text)
    found = document("data", "inspect", "d.csv", cwd=tmp_path)
    assert (found["users"], found["items"], found["pairs"], found["density"]) == (2, 2, 3, 0.75)
    assert (found["rows"]["nulls"], found["rows"]["duplicates"]) == (2, 1)
    assert found["ratings"] == {"1": 1, "3": 1, "4": 1}
    assert found["time"]["to"] == "1970-01-02 00:00:00 UTC"
    assert found["pairs_a_user"] == {"min": 1, "median": 1.5, "mean": 1.5, "max": 2}
    assert "density" in done("data", "inspect", "d.csv", cwd=tmp_path)


def test_the_list_of_data_sets() -> None:
    rows = document("data", "list")["data_sets"]
    assert "ml_1m" in [row["name"] for row in rows]
    assert all(row["path"] is None for row in rows)
    assert "not found" in done("data", "list")


def test_a_reader_that_leaves_early_is_no_error(room: Path) -> None:
    asked = [*COMMAND, "recommend", "model", "--user", "u0001", "-k", "500", "--json"]
    with subprocess.Popen(
        asked, cwd=room, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as ran:
        assert ran.stdout is not None
        assert ran.stderr is not None
        ran.stdout.close()
        said = ran.stderr.read()
    assert (ran.returncode, said) == (0, b"")
