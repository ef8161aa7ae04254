"""A model in parts is served as the whole one is, its users left in files."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from serving import serving, trained

from trimetric.models.sharded import ShardedModel
from trimetric.serve.items import ItemsTable
from trimetric.serve.served_model import load
from trimetric.space.exact import is_mapped


@pytest.mark.parametrize("kind", ["sml", "centroid"])
def test_users_stay_in_files(kind: str, tmp_path: Path) -> None:
    model = trained(kind)
    model.save(tmp_path / "m", partitions=3)
    served = load(
        tmp_path / "m", "m", ItemsTable(pl.DataFrame({"item": []}, schema={"item": pl.Int64}))
    )
    assert is_mapped(served.scorer.points)
    assert is_mapped(served.known.seen.items)
    assert served.version == ShardedModel.open(tmp_path / "m").checksum[:12]
    users = model.user_ids[:9]
    assert served.model.recommend(users, 5).equals(model.recommend(users, 5))
    assert served.model.similar_users(users, 5).equals(model.similar_users(users, 5))
    assert np.array_equal(served.popularity, model.known.popularity)
    left = {path.suffix for path in (tmp_path / "m").iterdir()}
    assert left == {".json", ".safetensors"}


@pytest.mark.slow
def test_answers_and_swaps(tmp_path: Path) -> None:
    one, other = trained(seed=0), trained(seed=1)
    one.save(tmp_path / "whole")
    one.save(tmp_path / "parts", partitions=3)
    users = one.user_ids[:6].to_list()
    with serving(tmp_path / "whole", tmp_path / "parts") as server:
        for path, body in (
            ("/v1/recommend", {"users": users, "k": 3}),
            ("/v1/recommend-for", {"items": one.item_ids[:2].to_list(), "k": 3}),
        ):
            answers = []
            for name in ("whole", "parts"):
                status, answer = server.ask(path, {**body, "model": name})
                assert status == 200, answer
                answers.append({k: v for k, v in answer.items() if k not in ("model", "version")})
            assert answers[0] == answers[1]
        for page in ("similar-users", "user"):
            answers = [
                server.ask(f"/v1/{page}?user={users[0]}&model={name}")[1]
                for name in ("whole", "parts")
            ]
            for answer in answers:
                del answer["model"], answer["version"]
            assert answers[0] == answers[1]
        other.save(tmp_path / "parts", partitions=2)
        assert server.event("swapped")["model"] == "parts"
        status, answer = server.ask("/v1/recommend", {"users": users[:1], "k": 3, "model": "parts"})
        assert status == 200
        expected = other.recommend(users[:1], 3)["item"].to_list()
        assert [row["item"] for row in answer["results"][0]["recommendations"]] == expected
        assert server.stop() == 0
