"""A server whose model is changed, whose log nobody reads, and who may ask it."""

from pathlib import Path

import pytest
from serving import serving, trained

import trimetric as tm


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("served") / "m"
    trained("sml").save(out)
    return out


def test_forgetting_and_marking_over_http(folder: Path) -> None:
    key = {"X-API-Key": "secret"}
    with serving(folder, TRIMETRIC_API_KEY="secret") as server:
        body = {"users": [1], "items": [3]}
        assert server.ask("/v1/forget", body)[0] == 401
        status, receipt = server.ask("/v1/forget", body, **key)
        assert (status, receipt["users"], receipt["items"]) == (200, [1], [3])
        assert receipt["checksum_after"].startswith(receipt["version"])
        assert server.ask("/v1/recommend?user=1", **key)[0] == 404
        assert server.ask("/v1/forget", body, **key)[0] == 404
        listed = server.ask("/v1/recommend?user=2&k=3", **key)[1]["recommendations"]
        first = listed[0]["item"]
        marked = server.ask("/v1/unavailable", {"items": [first, 999]}, **key)[1]
        assert (marked["unavailable"], marked["unknown"]) == (1, 1)
        listed = server.ask("/v1/recommend?user=2&k=50", **key)[1]["recommendations"]
        assert first not in [row["item"] for row in listed]
        body = {"users": [2], "k": 50}
        [found] = server.ask("/v1/recommend", body, **key)[1]["results"]
        assert found["recommendations"] == listed
    left = tm.load(folder)
    assert 1 not in left.user_ids.values
    assert left.unavailable.to_list() == [first]


def test_every_line_of_the_log_is_json_where_no_terminal_reads(tmp_path: Path) -> None:
    trained("sml").save(tmp_path / "m")
    (tmp_path / "items.csv").write_text("sku,title\n1001,none of the model\n1002,neither\n")
    with serving(tmp_path / "m", "--items", tmp_path / "items.csv") as server:
        events = [line["event"] for line in server.lines]
        assert server.stop() == 0
    assert server.said == []
    assert any("the ids of items are in its column 'sku'" in event for event in events)
    [none] = [line for line in server.lines if "it has none of the model's" in line["event"]]
    assert none["level"] == "warning"
    assert "--id-column" in none["event"]
