"""How soon quick requests are answered alone, and beside clients whose requests take long.

Four clients ask in turn for recommendations, similar items and users, users, items and searches of
a model of ml_1m, 5 ms apart, on the machine that serves; beside them, in a process of their own,
other clients send slow requests without a pause: explanations of a model of the most active users,
batches of 1,000 users, diverse lists, what lies between two users, and, for a new model each time,
the map. Every answer must be right by its status.

    python benchmarks/serve_cost.py [--seconds 10] [--model FOLDER]
"""

import argparse
import asyncio
import json
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import record
from serve import server

CLIENTS, PAUSE = 4, 0.005
GOAL_MS = 50


def request(path, body=None):
    if body is None:
        return f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode()
    text = json.dumps(body)
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(text)}\r\n\r\n"
    return (head + text).encode()


def quick_requests(known):
    """Return requests that take little, by path."""
    users, items = known["users"], known["items"]
    return {
        "recommend": [request(f"/v1/recommend?user={user}") for user in users],
        "similar-items": [request(f"/v1/similar-items?item={item}") for item in items],
        "similar-users": [request(f"/v1/similar-users?user={user}") for user in users],
        "user": [request(f"/v1/user?user={user}") for user in users],
        "item": [request(f"/v1/item?item={item}") for item in items],
        "items": [request(f"/v1/items?search={item}") for item in items],
    }


def slow_requests(known):
    """Return numbers of clients and requests that take long, by pattern."""
    users, items, active = known["users"], known["items"], known["active"]
    chance = random.Random(0)
    explain = [
        request(f"/v1/explain?user={user}&item={chance.choice(items)}&k=1000") for user in active
    ]
    batch = [
        request("/v1/recommend", {"users": chance.sample(users, 1000), "k": 100}) for _ in range(20)
    ]
    diverse = [
        request("/v1/recommend", {"users": chance.sample(users, 50), "k": 100, "diversity": 0.5})
        for _ in range(20)
    ]
    between = [
        request(f"/v1/between?user={one}&other={chance.choice(active)}&k=1000") for one in active
    ]
    map_of = [request(f"/v1/map?model={name}") for name in known["maps"]]
    return {
        "8 clients that ask for explanations": (8, explain),
        "4 clients with batches of 1,000 users": (4, batch),
        "4 clients with diverse lists": (4, diverse),
        "8 clients that compare two users": (8, between),
        "the map of a model": (1, map_of),
        "all of these": (12, explain + batch + diverse + between + map_of),
    }


async def answered(reader, writer, sent):
    """Send a request and read the answer; return the seconds it took."""
    began = time.perf_counter()
    writer.write(sent)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"content-length: ")[2].partition(b"\r")[0])
    await reader.readexactly(length)
    if not head.startswith(b"http/1.1 200"):
        raise RuntimeError(f"{sent[:100]!r} got {head[:100]!r}")
    return time.perf_counter() - began


async def clients(port, requests, count, until, pause, seed=0):
    """Send requests, chosen at random, over `count` connections until a time; yields seconds."""
    seconds = []

    async def one(number):
        chance = random.Random(seed + number)
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 26)
        while time.monotonic() < until:
            name, sent = chance.choice(requests)
            seconds.append((name, await answered(reader, writer, sent)))
            if pause:
                await asyncio.sleep(pause)
        writer.close()

    await asyncio.gather(*(one(number) for number in range(count)))
    return seconds


def slow_clients():
    """Be the process of the slow clients: reads what to send, and tells how much was answered."""
    spec = json.loads(sys.stdin.readline())
    count, requests = slow_requests(spec["known"])[spec["pattern"]]
    asked = [("slow", sent) for sent in requests]
    until = time.monotonic() + spec["seconds"]
    done = asyncio.run(clients(spec["port"], asked, count, until, 0))
    print(json.dumps({"answered": len(done), "median s": statistics.median(s for _, s in done)}))


def percentiles(seconds):
    """Return p50 and p99 in ms."""
    ms = sorted(1e3 * one for one in seconds)
    return {"p50 ms": round(ms[len(ms) // 2], 2), "p99 ms": round(ms[int(len(ms) * 0.99)], 2)}


def quick_figures(port, known, seconds):
    asked = [(name, sent) for name, many in quick_requests(known).items() for sent in many]
    until = time.monotonic() + seconds
    found = asyncio.run(clients(port, asked, CLIENTS, until, PAUSE))
    figures = {"requests": len(found), **percentiles([took for _, took in found])}
    by_path = {
        name: percentiles([took for path, took in found if path == name])["p99 ms"]
        for name in quick_requests(known)
    }
    return {**figures, "p99 ms by path": by_path}


def measured(port, known, seconds):
    """Return p50 and p99 of quick requests, alone and beside each pattern of slow ones."""
    quick_figures(port, known, 1)  # warms up
    figures = {"alone": quick_figures(port, known, seconds)}
    print("alone", figures["alone"], flush=True)
    for pattern in slow_requests(known):
        spec = {"port": port, "known": known, "pattern": pattern, "seconds": seconds + 1}
        with subprocess.Popen(
            [sys.executable, __file__, "--slow-clients"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as beside:
            beside.stdin.write(json.dumps(spec) + "\n")
            beside.stdin.flush()
            time.sleep(1)
            figures[pattern] = quick_figures(port, known, seconds)
            figures[pattern]["slow"] = json.loads(beside.communicate()[0])
        print(pattern, figures[pattern], flush=True)
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--model", type=Path, help="a saved model of ml_1m; trained otherwise")
    parser.add_argument("--slow-clients", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.slow_clients:
        slow_clients()
        return 0

    import trimetric as tm

    if options.model is None and "ml_1m" not in tm.datasets.available():
        print("ml_1m was not found: set TRIMETRIC_DATA to the folder that holds it")
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        folders = [Path(temporary) / name for name in ("m", "for-the-map", "for-all")]
        if options.model is not None:
            shutil.copytree(options.model, folders[0])
        else:
            data = tm.datasets.load("ml_1m", min_rating=4)
            tm.SML(seed=0, temperature=0.2).fit(data).save(folders[0])
        for folder in folders[1:]:
            shutil.copytree(folders[0], folder)
        model = tm.load(folders[0])
        counts = model.seen.counts
        chance = random.Random(0)
        ids = model.user_ids.values.filter(counts > 0).to_list()
        known = {
            "users": chance.sample(ids, min(len(ids), 1500)),
            "items": chance.sample(model.item_ids.values.to_list(), min(len(model.item_ids), 500)),
            "active": model.user_ids.decode(counts.argsort()[-50:].astype("int32")).to_list(),
            "maps": [folder.name for folder in folders[1:]],
        }
        command = [sys.executable, "-c", "from trimetric.cli import main; main()", "serve"]
        command += [*map(str, folders), "--port", "0", "--no-watch"]
        with server(command) as (_, url):
            figures = measured(int(url.rpartition(":")[2]), known, options.seconds)
    worst = max(row["p99 ms"] for row in figures.values())
    print(f"worst p99 {worst} ms, goal {GOAL_MS} ms")
    sizes = {"users": len(ids), "items": len(model.item_ids), "dim": model.config.dim}
    record.write("serve_cost", {"seconds a run": options.seconds, **sizes, **figures})
    return 0


if __name__ == "__main__":
    sys.exit(main())
