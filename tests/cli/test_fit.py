"""What people type to `fit`, and what it says: settings, cores, the last epoch, progress."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from command import COMMAND, document, done, environment, inside, refused

import trimetric as tm
from trimetric import progress
from trimetric.data import Interactions

QUICK = ("fit", "bookshop", "--set", "temperature=.2", "--dim", 8)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Return a small log: users and items of it have one to four interactions."""
    rows = [(u, i) for u in range(1, 5) for i in range(1, u + 1)] + [(9, 77)]
    path = tmp_path / "log.csv"
    pl.DataFrame(rows, schema=["user", "item"], orient="row").write_csv(path)
    return path


# --- settings -----------------------------------------------------------------------------------


def test_common_settings_have_options(tmp_path: Path) -> None:
    found = document(*QUICK, "--epochs", 2, "--lr", 0.1, "--seed", 7, "--out", "m", cwd=tmp_path)
    settings = found["settings"]
    assert [settings[name] for name in ("epochs", "dim", "lr", "seed")] == [2, 8, 0.1, 7]
    by_set = ("--set", "epochs=2", "--set", "lr=.1", "--set", "seed=7", "--set", "dim=8")
    same = document(
        *("fit", "bookshop", "--set", "temperature=.2", *by_set, "--out", "n"), cwd=tmp_path
    )
    assert same["settings"] == settings
    (tmp_path / "my.toml").write_text("epochs = 5\ndim = 4\n")
    mixed = document(*QUICK, "--config", "my.toml", "--epochs", 1, "--out", "m", cwd=tmp_path)
    assert [mixed["settings"][name] for name in ("epochs", "dim")] == [1, 8]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--epochs", 2, "--set", "epochs=3"), "epochs is given twice, by --set and by --epochs"),
        (("--model", "ease", "--epochs", 2), "--epochs: ease has no such setting; it has "),
        (("--model", "popularity", "--dim", 8), "--dim: popularity has no such setting"),
        (("--epochs", -1), "epochs must be"),
        (("--dim", "many"), "--dim"),
        (("--lr", 0), "lr must be"),
    ],
)
def test_settings_that_cannot_be(tmp_path: Path, options: tuple, said: str) -> None:
    assert said in refused("fit", "planted", *options, "--out", "m", cwd=tmp_path)
    assert not (tmp_path / "m").exists()


# --- cores --------------------------------------------------------------------------------------


def test_a_core_and_its_counts(tmp_path: Path, log: Path) -> None:
    ran = inside(
        *("data", "split", log, "--k-core", 2, "--out", "s", "--how", "column"), cwd=tmp_path
    )
    assert "with at least 2 interactions a user and 2 an item, repeatedly:" in ran.stderr
    found = document("data", "inspect", log, "--k-core", 2, cwd=tmp_path)
    core = Interactions.read(log).k_core(users=2, items=2)
    assert (found["users"], found["items"], found["pairs"]) == (core.n_users, 3, 8)
    assert found["rows"]["below_core"] == 3
    ran = inside("data", "inspect", log, "--min-user-interactions", 2, cwd=tmp_path)
    assert "3 of 5 users, 4 of 5 items and 9 of 11 interactions are left" in ran.stderr
    ran = inside(
        *("fit", log, "--min-item-interactions", 2, "--min-user-interactions", 3, "--out", "m"),
        *("--model", "popularity"),
        cwd=tmp_path,
    )
    assert "a user and 2 an item" in ran.stderr
    assert tm.load(tmp_path / "m").user_ids.values.to_list() == [3, 4]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--k-core", 0), "--k-core must be at least 1, got 0"),
        (("--min-item-interactions", -3), "--min-item-interactions must be at least 1"),
        (("--k-core", 2, "--min-user-interactions", 3), "give --k-core, or"),
        (("--k-core", 50), "ask for a smaller core"),
    ],
)
def test_cores_that_cannot_be(tmp_path: Path, log: Path, options: tuple, said: str) -> None:
    assert said in refused("data", "inspect", log, *options, cwd=tmp_path)


# --- what is said -------------------------------------------------------------------------------


def test_a_best_epoch_that_is_the_last_says_how_to_go_on(tmp_path: Path) -> None:
    rising = inside(*QUICK, "--epochs", 3, "--out", "m", cwd=tmp_path)
    assert tm.load(tmp_path / "m").provenance["best_epoch"] == 3
    assert "that is the last epoch: more may be better; train again with --epochs 6" in (
        rising.stdout
    )
    assert "the best epoch is the last, 3: more may be better (epochs=6)" in rising.stderr
    falling = inside(
        *(
            "fit",
            "planted",
            "--model",
            "cml",
            "--epochs",
            8,
            "--lr",
            5,
            "--set",
            "validate_every=1",
        ),
        *("--set", "schedule=constant", "--out", "n"),
        cwd=tmp_path,
    )
    assert tm.load(tmp_path / "n").provenance["best_epoch"] < 8
    assert "the last" not in falling.stdout + falling.stderr.replace("in the last", "")
    none = inside(*QUICK, "--epochs", 2, "--valid", "none", "--out", "n", cwd=tmp_path)
    assert "more may be better" not in none.stdout + none.stderr


@pytest.mark.parametrize("model", ["ease", "popularity", "itemknn"])
def test_models_without_epochs_do_not_speak_of_stopping(tmp_path: Path, model: str) -> None:
    split = tm.split_random(tm.datasets.load("planted"), seed=0)
    parts = {"train": split.train, "valid": split.valid}
    frames = [p.to_frame().with_columns(split=pl.lit(name)) for name, p in parts.items()]
    pl.concat(frames).write_parquet(tmp_path / "shipped.parquet")
    for data in ("planted", "shipped.parquet"):
        ran = inside("fit", data, "--model", model, "--out", "m", cwd=tmp_path)
        assert ran.returncode == 0, ran.stderr
        told = ran.stdout + ran.stderr
        assert not any(word in told for word in ("stop", "epoch", "held out", "valid"))
    found = document("fit", "planted", "--model", model, "--out", "m", cwd=tmp_path)
    assert (found["best_epoch"], found["stopped"]) == (None, None)
    split.valid.to_frame().write_parquet(tmp_path / "valid.parquet")
    ran = inside(
        *("fit", "planted", "--model", model, "--valid", "valid.parquet", "--out", "m"),
        cwd=tmp_path,
    )
    assert "training on all of it; nothing is decided by valid.parquet" in ran.stderr
    assert "stop" not in ran.stdout + ran.stderr
    assert tm.load(tmp_path / "m").provenance["valid"]["pairs"] == len(split.valid)
    said = refused("fit", "planted", "--model", model, "--valid-share", 0.1, "--out", "m")
    assert "leave out --valid-share" in said


@pytest.mark.slow
def test_overwriting_says_so(tmp_path: Path) -> None:
    fit = (*QUICK, "--epochs", 1, "--out", "m")
    assert "replaced" not in inside(*fit, cwd=tmp_path).stderr
    assert "m is there already, and is replaced at the end" in inside(*fit, cwd=tmp_path).stderr
    assert document(*fit, cwd=tmp_path)["replaced"] is True
    assert inside(*fit, "--quiet", cwd=tmp_path).stderr == ""
    for command in (
        ("export", "m", "--to", "npy", "--out", "e"),
        ("recommend", "m", "--user", "reader-0001", "--out", "r.csv"),
        ("recommend", "m", "--item", "B0001", "--out", "new.csv"),
        ("similar-users", "m", "--user", "reader-0001", "--out", "u.jsonl"),
    ):
        assert "replaced" not in inside(*command, cwd=tmp_path).stderr
        again = inside(*command, cwd=tmp_path)
        assert f"{command[-1]} is there already, and is replaced" in again.stderr
        assert document(*command, cwd=tmp_path)["replaced"] is True
    split = ("data", "split", "bookshop", "--out", "s")
    assert "replaced" not in inside(*split, cwd=tmp_path).stderr
    assert "s is there already, and is replaced" in inside(*split, cwd=tmp_path).stderr
    assert "replaced" not in inside("recommend", "m", "--all", "--out", "-", cwd=tmp_path).stderr
    day = ("update", "m", "--with", "s/test.parquet", "--epochs", 0, "--out", "m")
    assert "m is there already" in inside(*day, cwd=tmp_path).stderr


# --- progress -----------------------------------------------------------------------------------

SLOW = """
import sys, time
import numpy as np
from trimetric import progress, training
progress.EVERY = float(sys.argv[1])

class Learner:
    saved, n_batches, samples = ("x",), 50, 5000
    arrays = {"x": np.ones(1)}
    def run(self, epoch, first, team, pause):
        for batch in range(first, self.n_batches):
            time.sleep(0.02)
            if pause(batch + 1):
                return batch + 1
        return self.n_batches
    def summary(self):
        return {"loss": 1.0, "active": 1.0, "triplets": 100}

with progress.heartbeat("reading x"):
    time.sleep(1)
training.train(Learner(), training.Plan(2), progress=progress.make_reporter(True))
with progress.counting("users", 100, True) as counter:
    for n in range(0, 101, 10):
        counter.done(n)
        time.sleep(0.1)
with progress.heartbeat("hidden", False):
    time.sleep(1)
"""


@pytest.mark.slow
def test_lines_where_there_is_no_terminal() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", SLOW, "0.3"], capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    told = ran.stderr.splitlines()
    assert 2 <= sum(line.startswith("reading x: ") for line in told) <= 4
    within = [line for line in told if line.startswith("epoch   1/2") and "% " in line]
    assert len(within) >= 2
    assert all("left" in line for line in within[:2])
    assert any("of 100 users" in line and line.endswith(" left") for line in told)
    assert not any("hidden" in line for line in told)
    still = subprocess.run([sys.executable, "-c", SLOW, "60"], capture_output=True, text=True)
    assert len(still.stderr.splitlines()) == 2  # the two epochs


def test_a_closed_form_is_seen_to_work(tmp_path: Path) -> None:
    code = COMMAND[2].replace("main()", "") + "\nfrom trimetric import progress\n"
    code += "progress.EVERY = 0.05\n"
    rng = np.random.default_rng(0)
    pairs = rng.integers(0, 2500, (60_000, 2))
    pl.DataFrame({"user": pairs[:, 0], "item": pairs[:, 1]}).write_parquet(tmp_path / "d.parquet")
    ran = subprocess.run(
        [
            sys.executable,
            "-c",
            code + "main()",
            "fit",
            "d.parquet",
            "--model",
            "ease",
            "--out",
            "m",
        ],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    assert "training ease: " in ran.stderr


def test_a_share_for_valid_is_told_its_option() -> None:
    said = refused("fit", "planted", "--valid", ".2", "--out", "m")
    assert "--valid takes a file, or none; --valid-share .2 holds out a share" in said


def test_words_of_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [progress.duration(s) for s in (0.4, 89, 90, 5399, 5400)] == [
        "0 s", "89 s", "2 min", "90 min", "1.5 h",
    ]  # fmt: skip
    assert [progress.elapsed(s) for s in (10, 59.9, 60, 100.9, 3725)] == [
        "10 s", "60 s", "1 min 0 s", "1 min 40 s", "62 min 5 s",
    ]  # fmt: skip
    cases = [(3, 3, 3), (3, 2, 3), (2, 2, 3), (0, 0, 0)]
    assert [progress.ended_at_best(*case) for case in cases] == [True, False, False, False]
    began = time.monotonic()
    with progress.heartbeat("quick"):
        pass
    assert time.monotonic() - began < 1
    assert done("--version")
