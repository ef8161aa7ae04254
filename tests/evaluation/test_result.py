"""What a result says, of two users and three held-out items, worked out by hand."""

import json
import re
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from trimetric.data import Vocabulary
from trimetric.errors import ParameterError
from trimetric.evaluation import FullRanking, SampledCandidates, metric
from trimetric.evaluation.list_ranks import ListRanking
from trimetric.evaluation.metrics import Ranks
from trimetric.evaluation.result import Counts, Result

RANKS = Ranks(
    np.array([1, 3, 2], dtype=np.int32), np.array([0, 2, 3]), np.array([9, 2], dtype=np.int64)
)
"""User a has the ranks 1 and 3 among 9 items, user c has the rank 2 among 2."""

IDS = Vocabulary.from_values(pl.Series(["a", "b", "c"]))


def result(**given: Any) -> Result:
    of: dict[str, Any] = {
        "model": "Mine",
        "protocol": FullRanking(at=(1, 2)),
        "part": "test",
        "counts": Counts(2, 3),
        "data": {"name": "log"},
        "versions": {"python": "3"},
        "ranks": RANKS,
        "users": np.array([0, 2], dtype=np.int32),
        "vocabulary": IDS,
    }
    return Result(**{**of, **given})


# --- counts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counts", "lines"),
    [
        ({}, []),
        (
            {"unknown_users": 1000, "unknown_items": 2, "dropped_unknown": 3000},
            ["left out 3,000 interactions: the model does not know 1,000 of the users and 2"],
        ),
        ({"dropped_unknown": 1}, ["left out 1 interactions: the model does not know 0 of the"]),
        ({"unknown_users": 4, "unknown_items": 5}, []),
        ({"dropped_seen": 1}, ["left out 1 interactions that training had seen"]),
        ({"dropped_valid": 1}, ["left out 1 interactions that the model was validated on"]),
        ({"cold_items": 1}, ["1 of them are of items without training interactions; they count"]),
        (
            {"dropped_unknown": 1, "dropped_seen": 2, "dropped_valid": 3, "cold_items": 4},
            ["left out 1 ", "left out 2 ", "left out 3 ", "4 of them are of items"],
        ),
    ],
)
def test_counts_say_what_there_is_to_say(counts: dict[str, int], lines: list[str]) -> None:
    first, *rest = Counts(1234, 5678, **counts).lines()
    assert first == "1,234 users, 5,678 held-out interactions"
    assert len(rest) == len(lines)
    assert all(said.startswith(line) for said, line in zip(rest, lines, strict=True))
    names = "unknown_users unknown_items dropped_unknown dropped_seen dropped_valid cold_items"
    assert all(getattr(Counts(1, 1), name) == 0 for name in names.split())


# --- figures --------------------------------------------------------------------------------------


def test_figures_of_the_protocol() -> None:
    found = result()
    assert found.metrics["recall@1"] == (1 / 2 + 0) / 2
    assert found.metrics["recall@2"] == (1 / 2 + 1) / 2
    assert found.metrics["micro_recall@2"] == 2 / 3
    assert found.metrics["auc"] == pytest.approx(((1 - 1 / 14) + 0) / 2)
    assert {name.partition("@")[2] for name in found.metrics} == {"1", "2", ""}
    assert found["recall@3"] == 1
    assert "recall@3" not in found.metrics
    assert found.values("recall@1").tolist() == [0.5, 0]
    assert found.user_ids.to_list() == ["a", "c"]
    assert found.reported == found.metrics
    with pytest.raises(ParameterError, match="unknown metric"):
        found["accuracy"]


def test_figures_that_were_asked_for() -> None:
    found = result(asked=("mrr@5", "recall@1"))
    assert [*found.metrics.items()] == [("mrr@5", (1 + 1 / 2) / 2), ("recall@1", 0.25)]
    assert found.to_dict()["users_counted"] == {"mrr@5": 2, "recall@1": 2}
    assert found.per_user().columns == ["user", "held_out", "candidates", "mrr@5", "recall@1"]


def test_users_with_too_few_held_out_items_do_not_count() -> None:
    """Each metric counts those whom the protocol counts, by whatever way it is asked."""
    strict = result(protocol=FullRanking(at=(1,), min_held_out=2))
    assert strict["recall@1"] == strict.metrics["recall@1"] == 0.5
    assert strict.values("recall@1").tolist() == pytest.approx([0.5, np.nan], nan_ok=True)
    assert strict["recall@2"] == 0.5  # though the protocol does not list it
    assert result(protocol=strict.protocol, asked=("recall@1",)).metrics == {"recall@1": 0.5}
    assert strict.to_dict()["users_counted"]["recall@1"] == 1


def test_figures_of_lists_are_those_that_lists_tell() -> None:
    lists = result(protocol=ListRanking(FullRanking(at=(1, 2)), 3))
    assert lists["recall@2"] == 0.75
    with pytest.raises(ParameterError, match="do not tell map"):
        lists["map"]
    with pytest.raises(ParameterError, match="do not tell recall@4"):
        lists.values("recall@4")


# --- frames and documents -------------------------------------------------------------------------


def test_frames() -> None:
    found = result(asked=("recall@2", "mrr", "recall@10"))
    frame = found.to_frame()
    assert frame.rows() == [("recall", 2, 0.75), ("mrr", None, 0.75), ("recall", 10, 1.0)]
    assert frame.schema == {"metric": pl.String, "k": pl.Int64, "value": pl.Float64}
    users = found.per_user("recall@2", "auc")
    assert users.columns == ["user", "held_out", "candidates", "recall@2", "auc"]
    assert users.rows()[0][:4] == ("a", 2, 9, 0.5)
    assert users.rows()[1] == ("c", 1, 2, 1.0, 0.0)


def test_a_document_has_everything_but_the_users() -> None:
    none = Ranks(np.zeros(0, dtype=np.int32), np.array([0, 0]), np.array([5]))
    found = result(ranks=none, remarks=("beware",), asked=("recall@1",))
    document = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert [*document] == [
        *("model", "part", "protocol", "metrics", "users_counted", "counts", "notes", "data"),
        "versions",
    ]
    assert document["metrics"] == {"recall@1": None}
    assert document["users_counted"] == {"recall@1": 0}
    assert document["counts"] == {"users": 2, "held_out": 3} | dict.fromkeys(
        ("unknown_users", "unknown_items", "dropped_unknown", "dropped_seen", "dropped_valid",
         "cold_items"), 0
    )  # fmt: skip
    assert document["notes"][-1] == "beware"
    protocol = document["protocol"]
    assert (protocol["name"], protocol["at"]) == ("full", [1, 2])
    assert protocol["description"] == FullRanking().describe()
    assert protocol["exclude"] == "train+valid"
    listed = result(protocol=ListRanking(FullRanking(at=(1,)), 3), lists={"depth": 3})
    document = json.loads(json.dumps(listed.to_dict()))
    assert document["lists"] == {"depth": 3}
    assert (document["protocol"]["at"], document["protocol"]["depth"]) == ([1], 3)


def test_what_is_no_dataclass_has_no_settings() -> None:
    class Theirs:
        name, metrics = "theirs", FullRanking(at=(1,)).metrics

        def describe(self) -> str:
            return "their own way"

        def notes(self, ranks: Ranks) -> list[str]:
            return [f"of {ranks.n_users} users"]

    former = replace(metric("recall@1"), name="hr@1")  # as versions before wrote it
    found = result(protocol=Theirs())
    found.protocol.metrics = [former, *Theirs.metrics]
    assert found.metrics["hr@1"] == found["recall@1"]
    assert [*found.reported] == [one.name for one in Theirs.metrics]
    found = result(protocol=Theirs(), remarks=("beware",))
    assert found.to_dict()["protocol"] == {"name": "theirs", "description": "their own way"}
    assert found.notes == ["of 2 users", "beware"]


# --- for people -----------------------------------------------------------------------------------


def cells(text: str) -> list[list[str]]:
    """Return the cells of a table that was drawn as text."""
    rows = [line.replace("┃", "│").split("│") for line in text.splitlines()]
    return [[cell.strip() for cell in row[1:-1]] for row in rows if len(row) > 2]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (
            ("recall@1", "mrr", "auc", "recall@2", "ndcg_full@2"),
            [
                ["metric", "@1", "@2", "whole list"],
                ["Recall", "0.2500", "0.7500", ""],
                ["MRR", "", "", "0.7500"],
                ["AUC", "", "", "0.4643"],
                ["NDCG, full", "", "0.5000", ""],
            ],
        ),
        (
            ("recall@2", "hit@1"),
            [["metric", "@2", "@1"], ["Recall", "0.7500", ""], ["Hit rate", "", "0.5000"]],
        ),
        (("mrr",), [["metric", "whole list"], ["MRR", "0.7500"]]),
    ],
)
def test_tables(asked: tuple[str, ...], expected: list[list[str]]) -> None:
    found = result(asked=asked, remarks=("beware",), counts=Counts(2, 3, dropped_seen=7))
    text = str(found)
    assert cells(text)[0] == expected[0]
    shown = [row for row in cells(text)[1:] if row[0]]
    for row, wanted in zip(shown, expected[1:], strict=True):
        assert row[0] == wanted[0]
        assert row[1:] == wanted[1:]
    lines = text.splitlines()
    assert lines[0].strip() == "Mine, test, full"
    said = " ".join(line.strip() for line in lines)
    assert FullRanking().describe() in said
    assert said.endswith(
        "2 users, 3 held-out interactions left out 7 interactions that training had seen beware"
    )
    assert lines[-1] == "beware"  # at the left
    assert max(map(len, lines)) == 72
    page = found._repr_html_()
    head, *rows = (
        re.findall("<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall("<tr>.*?</tr>", page)
    )
    whole = expected[0][-1:] == ["whole list"]  # which the page has in any case
    assert head == [*expected[0], *([] if whole else ["whole list"])]
    assert [row[0] for row in rows] == [row[0] for row in expected[1:]]
    for row, wanted in zip(rows, expected[1:], strict=True):
        assert [value != "" for value in row] == [
            value != "" for value in [*wanted, *([] if whole else [""])]
        ]
    for line in ("Mine, test, full", FullRanking().describe(), "beware", "had seen"):
        assert line in page


def test_tables_as_text_are_as_wide_as_a_page() -> None:
    text = str(result(asked=tuple(f"recall@{k}" for k in range(1, 20))))
    assert max(map(len, text.splitlines())) == 100


def test_a_table_says_where_no_user_counts() -> None:
    one = Ranks(np.array([1], dtype=np.int32), np.array([0, 1]), np.array([1]))
    found = result(ranks=one, asked=("auc", "recall@1"), users=np.array([1]))
    assert np.isnan(found["auc"])
    rows = {row[0]: row[1:] for row in cells(str(found))}
    assert rows["AUC"] == ["", "-"]
    assert rows["Recall"] == ["1.0000", ""]


def test_a_line_of_it() -> None:
    found = result(asked=("recall@1", "mrr"), counts=Counts(1234, 3))
    assert repr(found) == "Result(Mine, test, full, 1,234 users: recall@1=0.2500, mrr=0.7500)"


def test_candidates_that_were_sampled_have_their_notes() -> None:
    found = result(protocol=SampledCandidates(5, at=(1,)), remarks=("beware",))
    first, last = found.notes
    assert "fewer than 5 candidates" in first
    assert last == "beware"
