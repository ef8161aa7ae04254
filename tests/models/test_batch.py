"""Lists for many users written from Python: resumable, to the same bytes."""

from pathlib import Path

import polars as pl
import pytest

import trimetric as tm
from trimetric.errors import Interrupted, OutputError, ParameterError, UnknownIds
from trimetric.models import batch
from trimetric.models.batch import recommend_to_file

PAIRS = tm.synthetic.planted(100, 60, per_user=8).interactions


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> tm.SML:
    """Return a model whose 100 users take ten blocks of lists of 10."""
    monkeypatch.setattr(batch, "ROWS_PER_BLOCK", 100)
    return tm.SML(dim=4, epochs=1, temperature=0.2).fit(PAIRS)


def interrupt_after(model: tm.SML, calls: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let the model be interrupted at its n-th call; returns a list that grows with each call."""
    made: list[int] = []
    recommend = model.recommend

    def counted(users, *args, **options):
        made.append(len(users))
        if len(made) > calls:
            raise KeyboardInterrupt
        return recommend(users, *args, **options)

    monkeypatch.setattr(model, "recommend", counted)
    return made


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_all_users_and_some(model: tm.SML, tmp_path: Path, suffix: str) -> None:
    read = {"parquet": pl.read_parquet, "csv": pl.read_csv, "jsonl": pl.read_ndjson}[suffix]
    everyone = model.recommend(model.user_ids.values, 10)
    assert recommend_to_file(model, tmp_path / f"all.{suffix}") == len(everyone)
    columns = ["user", "item", "rank"]
    written = read(tmp_path / f"all.{suffix}").select(columns)
    assert written.equals(everyone.select(columns).cast(written.schema))
    some = [model.user_ids.values[7], model.user_ids.values[3]]
    allowed = model.item_ids.values[:20]
    options = {"allow": allowed, "exclude_seen": False}
    assert recommend_to_file(model, tmp_path / f"some.{suffix}", some, 5, **options) == 10
    written = read(tmp_path / f"some.{suffix}").select(columns)
    assert written.equals(model.recommend(some, 5, **options).select(columns).cast(written.schema))


def test_an_interrupted_run_goes_on_to_the_same_bytes(
    model: tm.SML, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    recommend_to_file(model, tmp_path / "whole.parquet")
    out = tmp_path / "r.parquet"
    with monkeypatch.context() as patch:
        interrupt_after(model, 4, patch)
        with pytest.raises(Interrupted, match="40 of 100 users are done"):
            recommend_to_file(model, out)
    assert not out.exists()
    made = interrupt_after(model, 100, monkeypatch)
    capsys.readouterr()
    recommend_to_file(model, out)
    assert made == [10] * 6
    assert capsys.readouterr().err == "going on after 40 of 100 users\n"
    assert out.read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.parquet", "whole.parquet"]


def test_blocks_stay_where_the_folder_was_filled_meanwhile(
    model: tm.SML, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    out, recommend = tmp_path / "lists", model.recommend

    def filling(users, *args, **options):
        out.mkdir(exist_ok=True)
        (out / "mine.txt").touch()
        return recommend(users, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(model, "recommend", filling)
        with pytest.raises(OutputError, match="lists"):
            recommend_to_file(model, f"{out}/")
    assert "100 of 100 users are done and kept" in capsys.readouterr().err
    (out / "mine.txt").unlink()
    made = interrupt_after(model, 0, monkeypatch)
    recommend_to_file(model, f"{out}/")
    assert not made
    assert len(list(out.iterdir())) == 10


@pytest.mark.parametrize("change", ["model", "users", "deny", "k"])
def test_blocks_of_another_run_are_not_used(
    model: tm.SML, tmp_path: Path, change: str, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    out, other = tmp_path / "r.csv", model
    with monkeypatch.context() as patch:
        interrupt_after(model, 4, patch)
        with pytest.raises(Interrupted):
            recommend_to_file(model, out)
    options: dict = {}
    if change == "model":
        other = tm.SML(dim=4, epochs=1, temperature=0.2, seed=1).fit(PAIRS)
    elif change == "users":
        options["users"] = model.user_ids.values[::-1]
    else:
        options[change] = 9 if change == "k" else [model.item_ids.values[0]]
    recommend_to_file(other, out, **options)
    assert "of another run: " in capsys.readouterr().err
    recommend_to_file(other, tmp_path / "fresh.csv", **options, progress=False)
    assert out.read_bytes() == (tmp_path / "fresh.csv").read_bytes()


def test_ids_are_read_as_recommend_reads_them(model: tm.SML, tmp_path: Path) -> None:
    first = model.user_ids.values[0]
    assert recommend_to_file(model, tmp_path / "one.parquet", first, 3) == 3
    for allow in ("i00", 7):
        with pytest.raises(ParameterError, match="allow must be a list of ids"):
            recommend_to_file(model, tmp_path / "no.parquet", allow=allow)


def test_refusals(model: tm.SML, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"out must end in .parquet, .csv or .jsonl"):
        recommend_to_file(model, tmp_path / "r.xlsx")
    with pytest.raises(ParameterError, match="k must be"):
        recommend_to_file(model, tmp_path / "r.csv", k=0)
    with pytest.raises(UnknownIds, match="nobody"):
        recommend_to_file(model, tmp_path / "r.csv", ["nobody"])
    assert list(tmp_path.iterdir()) == []
    assert recommend_to_file(model, tmp_path / "r.csv", ["nobody"], on_unknown="skip") == 0


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"diversity": None}, "diversity must be a number in 0..1, got None"),
        ({"diversity": "0.5"}, "diversity must be a number in 0..1, got '0.5'"),
        ({"diversity": True}, "diversity must be a number in 0..1, got True"),
        ({"rerank": "nearest"}, "rerank must be mmr or dpp, got 'nearest'"),
        ({"exclude_seen": "no"}, "exclude_seen must be True or False"),
        ({"on_unknown": None}, "on_unknown must be error, popular or skip"),
        ({"then": 3}, "then must be a function of a frame, got 3"),
        ({"progress": "no"}, "progress must be True or False"),
    ],
)
def test_options_of_other_types(option, words, tmp_path):
    model = tm.Popularity().fit([(1, 2), (2, 3), (3, 4)])
    with pytest.raises(ParameterError, match=words):
        recommend_to_file(model, tmp_path / "lists.csv", **option)
    assert not list(tmp_path.iterdir())
