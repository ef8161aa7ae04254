"""A model as tools of agents: the SDK's own client against real processes."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from command import COMMAND, environment, refused

import trimetric as tm
from trimetric.testing.cases import planted

mcp = pytest.importorskip("mcp")
from mcp.client.client import Client  # noqa: E402
from mcp.client.streamable_http import streamable_http_client  # noqa: E402

QUICK = {"dim": 8, "epochs": 2, "temperature": 0.2, "kappa": 0.0, "reconstruction": 0.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    at = tmp_path_factory.mktemp("agents")
    data = planted()
    tm.CentroidML(**QUICK).fit(data, out=at / "m")
    tm.Popularity().fit(data, out=at / "popular")
    ids = data.item_ids.values.to_list()
    titles = [f'The "{number}th" Film <b> 🎬' for number in range(len(ids))]
    pl.DataFrame({"item": ids, "title": titles}).write_csv(at / "items.csv")
    return at


def ask(folder: Path, what: Callable[[Client], Awaitable[Any]], *args: str) -> Any:
    """Start `trimetric mcp` in a process of its own, and ask it something."""
    server = mcp.StdioServerParameters(
        command=sys.executable,
        args=["-m", "trimetric", "mcp", *args],
        env=environment(),
        cwd=str(folder),
    )

    async def talk() -> Any:
        async with Client(server) as client:
            return await what(client)

    return asyncio.run(asyncio.wait_for(talk(), 60))


async def call(client: Client, tool: str, **given: Any) -> Any:
    answer = await client.call_tool(tool, given)
    if answer.is_error:
        return answer.content[0].text
    assert answer.structured_content == json.loads(answer.content[0].text)
    return answer.structured_content


def test_every_tool_answers_as_the_library_does(folder: Path) -> None:
    model = tm.load(folder / "m")
    user, item = model.user_ids.values[3], model.recommend([model.user_ids.values[3]], 1)["item"][0]
    mine = model.known.item_ids.decode(model.known.items_of(3)).to_list()

    async def everything(client: Client) -> dict[str, Any]:
        return {
            "tools": await client.list_tools(),
            "search": await call(client, "search", text="7TH"),
            "recommend": await call(client, "recommend", user=user, k=3),
            "recommend_for": await call(client, "recommend_for", items=mine, k=3),
            "similar_items": await call(client, "similar_items", item=item, k=2),
            "similar_users": await call(client, "similar_users", user=str(user), k=2),
            "explain": await call(client, "explain", user=user, item=item),
            "explain_for": await call(client, "explain_for", items=mine, item=item),
        }

    told = ask(folder, everything, "m", "--items", "items.csv", "-q")
    tools = {tool.name: tool for tool in told.pop("tools").tools}
    assert tools.keys() == told.keys()
    for tool in tools.values():
        assert tool.description
        assert tool.annotations.read_only_hint
        assert tool.input_schema["type"] == "object"
    assert tools["recommend"].input_schema["properties"]["k"]["maximum"] == 100
    found = [entry["title"] for entry in told["search"]["items"]]
    assert found
    assert all("7th" in title for title in found)
    for name, expected in (
        ("recommend", model.recommend([user], 3)),
        ("recommend_for", model.recommend_for(mine, 3)),
    ):
        listed = told[name]["recommendations"]
        assert [entry["item"] for entry in listed] == expected["item"].to_list()
        assert [entry["distance"] for entry in listed] == expected["distance"].to_list()
        assert all(entry["title"].startswith("The ") for entry in listed)
    near = model.similar_items([item], 2)["similar"].to_list()
    assert [entry["item"] for entry in told["similar_items"]["similar"]] == near
    assert len(told["similar_users"]["similar"]) == 2
    for name in ("explain", "explain_for"):
        assert next(iter(told[name])) == "sentence"
        assert told[name]["sentence"].startswith("“The ")


@pytest.mark.slow
def test_mistakes_are_told_with_a_remedy(folder: Path) -> None:
    async def wrong(client: Client) -> list[str]:
        return [
            await call(client, "recommend", user="nobody"),
            await call(client, "similar_items", item="nothing"),
            await call(client, "recommend", user=1, k=0),
            await call(client, "recommend", user=1, k=101),
            await call(client, "recommend_for", items=[]),
        ]

    nobody, nothing, few, many, none = ask(folder, wrong, "m", "-q")
    assert "1 unknown user: 'nobody'; the model was not trained on them" in nobody
    assert "1 unknown item: 'nothing'" in nothing
    assert "`search` finds items" in nothing
    assert "greater than or equal to 1" in few
    assert "less than or equal to 100" in many
    assert "at least 1 item" in none


@pytest.mark.slow
def test_only_what_the_model_can_answer_is_offered(folder: Path) -> None:
    async def tools(client: Client) -> list[str]:
        return [tool.name for tool in (await client.list_tools()).tools]

    assert ask(folder, tools, "popular", "-q") == [
        "search",
        "recommend",
        "recommend_for",
        "explain",
        "explain_for",
    ]


@pytest.mark.slow
def test_a_newer_artifact_takes_over(folder: Path, tmp_path: Path) -> None:
    data = planted()
    tm.Popularity().fit(data, out=tmp_path / "m")

    async def both(client: Client) -> tuple[Any, Any, Any]:
        user = data.user_ids.values[int(data.users[data.items == 5][0])]
        before = await call(client, "recommend", user=user, exclude_seen=False, k=1)
        tm.Popularity().fit(data.take(data.items == 5), out=tmp_path / "m")
        after = await call(client, "recommend", user=user, exclude_seen=False, k=1)
        (tmp_path / "m/model.json").write_text("{")
        last = await call(client, "recommend", user=user, exclude_seen=False, k=1)
        return before, after, last

    before, after, last = ask(tmp_path, both, "m", "-q")
    assert after["recommendations"][0]["item"] == data.item_ids.values[5]
    assert before != after
    assert last == after


@pytest.mark.slow
def test_over_http_with_a_key(folder: Path) -> None:
    arguments = ["mcp", "m", "--http", "--port", "0", "--api-key", "secret"]
    with subprocess.Popen(
        [*COMMAND, *arguments], cwd=folder, env=environment(), stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stderr is not None
        url = server.stderr.readline().split()[-1]
        assert url.endswith("/mcp")

        async def talk(key: str) -> Any:
            import httpx2

            headers = {"Authorization": f"Bearer {key}"}
            async with (
                httpx2.AsyncClient(headers=headers) as http,
                Client(streamable_http_client(url, http_client=http)) as client,
            ):
                return await call(client, "search", text="", limit=2)

        told = asyncio.run(talk("secret"))
        assert len(told["items"]) == 2
        with pytest.raises(BaseException, match=r"401|[Uu]nauthorized|key|unhandled"):
            asyncio.run(talk("wrong"))
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) in (0, -signal.SIGTERM)


@pytest.mark.slow
def test_other_machines_need_a_key(folder: Path) -> None:
    told = refused("mcp", folder / "m", "--http", "--host", "0.0.0.0")
    assert "lets other machines in; set an API key" in told
    empty = refused("mcp", folder / "m", "--http", "--host", "0.0.0.0", "--api-key", "")
    assert empty == told
    assert "no such folder" in refused("mcp", folder / "m9")


def test_items_are_in_a_file_of_this_machine(folder: Path) -> None:
    told = refused("mcp", folder / "m", "--items", "s3://shop/items.csv")
    assert "--items s3://shop/items.csv is a URI, not a path" in told
