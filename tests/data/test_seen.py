"""What batches of a table show: added up in any order, and kept as JSON."""

import json

from trimetric.data.seen import Seen


def first():
    return Seen(
        ids={"user": "whole", "item": "point"},
        null_words={"user": {"NA": 1}},
        numbers={"rating": {"numbers"}},
        times={"numbers"},
        patterns=["%Y%m%d", "%Y%m%d%H%M"],
        example="20101201",
    )


def second():
    return Seen(
        ids={"user": "text", "item": "point"},
        null_words={"user": {"NA": 2, "NULL": 1}, "item": {"-": 1}},
        numbers={"rating": {"truth"}, "weight": {"numbers"}},
        times={"dates"},
        patterns=["%Y%m%d%H%M"],
        example="201012010826",
    )


def test_what_files_showed_adds_up():
    for one, other in ((first(), second()), (second(), first())):
        example = one.example
        one.add(other)
        one.add(Seen())
        assert one == Seen(
            ids={"user": "text", "item": "point"},
            null_words={"user": {"NA": 3, "NULL": 1}, "item": {"-": 1}},
            numbers={"rating": {"numbers", "truth"}, "weight": {"numbers"}},
            times={"numbers", "dates"},
            patterns=["%Y%m%d%H%M"],
            example=example,
        )
    empty = Seen()
    empty.add(first())
    assert empty == first()


def test_it_comes_back_from_json():
    for one in (Seen(), first(), second()):
        assert Seen.from_json(json.loads(json.dumps(one.to_json()))) == one
