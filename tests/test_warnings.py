"""Warnings name the line that asked, not one of the library."""

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

import trimetric as tm
from trimetric.data.titles import titles
from trimetric.evaluation.metrics import metric

PAIRS = [("ann", "tea"), ("ann", "jam"), ("bob", "tea"), ("bob", "egg")]


class Failing(tm.Callback):
    def on_end(self, *_: object) -> None:
        raise ValueError("no")


def read_null_words(folder: Path) -> None:
    (folder / "log.csv").write_text("user,item\nann,tea\nbob,NULL\nNULL,tea\n")
    tm.Interactions.read(folder / "log.csv")


def match_no_titles(folder: Path) -> None:
    (folder / "items.csv").write_text("item,title\nx,X\n")
    titles(folder / "items.csv", tm.Interactions(PAIRS).item_ids)


ASKED: dict[str, Callable[[Path], object]] = {
    "taken as an id": read_null_words,
    "has none of the model's": match_no_titles,
    "is taken as micro_recall@5": lambda _: metric("hr@5"),
    "have every item": lambda _: tm.CML(epochs=1, dim=2).fit([*PAIRS, ("ann", "egg")]),
    "failed in on_end": lambda _: tm.BPR(epochs=1, dim=2).fit(PAIRS, callbacks=[Failing()]),
    "unknown and left out": lambda _: (
        tm.Popularity().fit(PAIRS).recommend_for(["tea", "x"], on_unknown="skip")
    ),
    "unavailable items are unknown": lambda _: tm.Popularity().fit(PAIRS).set_unavailable(["x"]),
    "have an unknown id": lambda _: (
        tm.Popularity().fit(PAIRS).score([("ann", "x")], on_unknown="skip")
    ),
}


@pytest.mark.parametrize("text", ASKED)
def test_a_warning_is_of_the_line_that_asked(text: str, tmp_path: Path) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ASKED[text](tmp_path)
    told = [one for one in caught if text in str(one.message)]
    assert told
    assert {one.filename for one in told} == {__file__}
