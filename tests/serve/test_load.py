"""Many clients at once: no answer is wrong, none is lost, and memory does not grow."""

import asyncio
import json
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from campaign import note, sizes
from serving import Server, resident, serving, trained

pytestmark = pytest.mark.slow

CLIENTS = 200
REQUESTS = 100_000
TAKEN = {"parameters", "requestBody"}


class Crowd:
    """Clients that ask again and again, and compare what they get with what they should.

    Parameters
    ----------
    port : int
    right : dict
        The recommendations by version and user.
    """

    def __init__(self, port: int, right: dict[str, dict[int, Any]]) -> None:
        self.port, self.right = port, right
        self.seen: Counter[str] = Counter()
        self.wrong: list[Any] = []
        self.lost: list[str] = []
        self.left = -1  # requests still to send; -1 is without end

    async def client(self, number: int) -> None:
        """Ask until the address is gone, or nothing is left to send."""
        user = number
        while self.left:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except ConnectionRefusedError:
                return
            try:
                while self.left:
                    self.left -= 1
                    user = (user * 7 + 3) % 60
                    if not await self.ask(reader, writer, user - 5):
                        break
            except (OSError, asyncio.IncompleteReadError) as error:
                self.lost.append(repr(error))
            writer.close()

    async def ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, user: int
    ) -> bool:
        """Send one request and judge the answer; return whether the connection stays open."""
        line = f"GET /v1/recommend?user={user}&k=10 HTTP/1.1\r\nhost: localhost\r\n\r\n"
        writer.write(line.encode())
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        body = await reader.readexactly(int(length[1]) if length else 0)
        found = json.loads(body)
        rows = [(row["item"], row["score"]) for row in found.get("recommendations", ())]
        if head[:12] != b"HTTP/1.1 200" or rows != self.right[found["version"]][user]:
            self.wrong.append((head, body))
        self.seen[found.get("version")] += 1
        return b"connection: close" not in head


def recommended(model: Any) -> dict[int, Any]:
    """Return what each user should get."""
    frame = model.recommend(model.user_ids.values, 10)
    rows: dict[int, Any] = {user: [] for user in model.user_ids.values}
    for user, item, score in frame.select("user", "item", "score").iter_rows():
        rows[user].append((item, score))
    return rows


def test_200_clients_swaps_and_a_signal_to_stop(tmp_path: Path) -> None:
    models = [trained(seed=seed) for seed in (0, 1)]
    folder = tmp_path / "served"
    models[0].save(folder)

    async def run(server: Server) -> Crowd:
        crowd = Crowd(server.port, {})
        versions = [server.event("ready")["models"]["served"]]
        await asyncio.to_thread(models[1].save, folder)
        versions.append((await asyncio.to_thread(server.event, "swapped"))["to"])
        crowd.right = dict(zip(versions, map(recommended, models), strict=True))
        clients = [asyncio.create_task(crowd.client(n)) for n in range(CLIENTS)]
        for swap in range(6):
            await asyncio.to_thread(models[swap % 2].save, folder)
            server.process.send_signal(signal.SIGHUP)
            await asyncio.to_thread(server.event, "swapped", swap + 2)
            if swap == 3:  # a damaged one in between changes nothing
                manifest = folder / "model.json"
                whole = manifest.read_bytes()
                manifest.write_bytes(whole[:-9])
                server.process.send_signal(signal.SIGHUP)
                await asyncio.to_thread(server.event, "swap refused")
                manifest.write_bytes(whole)
            await asyncio.sleep(0.2)
        server.process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(asyncio.gather(*clients), 60)
        return crowd

    with serving(folder) as server:
        crowd = asyncio.run(run(server))
        assert server.process.wait(30) == 0
        assert not [line for line in server.lines if line["event"] in ("fault", "cut off")]
    assert crowd.wrong == []
    assert crowd.lost == []
    assert len(crowd.seen) == 2
    assert min(crowd.seen.values()) > CLIENTS
    print(dict(crowd.seen), server.event("stopped"))


@pytest.mark.long
def test_memory_stays_flat(tmp_path: Path) -> None:
    model = trained()
    model.save(tmp_path / "m")

    async def ask(crowd: Crowd, n: int) -> None:
        crowd.left = n
        await asyncio.gather(*(crowd.client(number) for number in range(16)))

    with serving(tmp_path / "m", "--no-watch") as server:
        version = server.event("ready")["models"]["m"]
        crowd = Crowd(server.port, {version: recommended(model)})
        asyncio.run(ask(crowd, 4000))
        before = resident(server)
        asyncio.run(ask(crowd, REQUESTS))
        after = resident(server)
        assert (crowd.wrong, crowd.lost) == ([], [])
    print(f"{before / 1e6:.1f} MB before, {after / 1e6:.1f} MB after {REQUESTS:,} requests")
    assert after < before + (4 << 20)
    note("requests with flat memory", requests=REQUESTS, bytes_before=before, bytes_after=after)


@pytest.mark.parametrize("cases", sizes(400, 10_000))
def test_what_schemathesis_sends_is_no_fault(cases: int, tmp_path: Path) -> None:
    trained().save(tmp_path / "m")
    trained("ease").save(tmp_path / "ease")
    with serving(tmp_path / "m", tmp_path / "ease") as server:
        paths = server.ask("/openapi.json")[1]["paths"].values()
        # Those that take nothing are asked once.
        varied = [one for path in paths for one in path.values() if set(one) & TAKEN]
        examples = -(-cases // len(varied))
        command = [
            str(Path(sys.executable).with_name("schemathesis")), "run",
            f"{server.url}/openapi.json", "--max-examples", str(examples), "--phases", "fuzzing",
            "--seed", "1", "--generation-database", "none", "--warnings", "off", "--no-color",
            # An id given twice and weights that do not fit are no matter of a schema.
            "--exclude-checks", "positive_data_acceptance",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, done.stdout
        sent = re.search(r"([\d,]+) generated", done.stdout)
        assert sent
        lines = server.ask("/metrics")[1].splitlines()
        assert not [line for line in lines if 'status="5' in line]
        assert not [line for line in server.lines if line["event"] == "fault"]
    note("requests of schemathesis", generated=int(sent[1].replace(",", "")), faults=0)
