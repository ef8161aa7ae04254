"""How many recommendations a second are served, and how soon, beside implicit in the same server.

wrk asks for ten items for random users of ml_1m, over 16 and over 64 connections that stay open,
on the machine that serves. Nothing is cached: every request is ranked. The peer is implicit's
`recommend` of factors of the same width, under the same uvicorn with as little around it as will
do. Servers take turns. Answers are compared with `model.recommend` first. The server's memory is
looked at before and after 100,000 requests.

    python benchmarks/serve.py [--rounds 3] [--seconds 10] [--model FOLDER]
"""

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import record

HERE = Path(__file__).parent
CONNECTIONS = (16, 64)
REQUESTS = 100_000
K = 10
ASK = f"""
math.randomseed(1)
local users = {{USERS}}
request = function()
  return wrk.format("GET", "/v1/recommend?user=" .. users[math.random(#users)] .. "&k={K}")
end
done = function(summary, latency, requests)
  local bad = summary.errors
  io.write(string.format(
    '\\n{{"requests":%d,"us":%d,"p50":%d,"p99":%d,"p999":%d,"bad":%d}}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    latency:percentile(99.9), bad.connect + bad.read + bad.write + bad.status + bad.timeout))
end
"""


@contextmanager
def server(command):
    """Run a server that tells its address on standard error; yields the process and the URL."""
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        for line in process.stderr:
            if line.startswith("{") and '"ready"' in line:
                yield process, json.loads(line)["url"]
                break
        else:
            raise RuntimeError(f"{command[0]} ended with status {process.wait()}")
    finally:
        process.terminate()
        process.wait()


def asked(url, script, connections, seconds):
    """Have wrk ask for some seconds; return what it found."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", script, url]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    if found["bad"]:
        raise RuntimeError(f"{found['bad']} answers of {url} were lost or refused")
    return {
        "requests/s": found["requests"] / found["us"] * 1e6,
        "p50 ms": found["p50"] / 1e3,
        "p99 ms": found["p99"] / 1e3,
        "p99.9 ms": found["p999"] / 1e3,
    }


def compared(url, model, users):
    """Raise unless these users get what the model recommends, to the last digit."""
    for user in users:
        with urllib.request.urlopen(f"{url}/v1/recommend?user={user}&k={K}") as reply:
            rows = json.load(reply)["recommendations"]
        expected = model.recommend([user], K).select("item", "rank", "score").rows()
        if [(row["item"], row["rank"], row["score"]) for row in rows] != expected:
            raise RuntimeError(f"user {user} got {rows}, not {expected}")


def resident(process):
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def memory(process, url, script):
    """Return the server's memory in MB before and after so many requests."""
    before, sent = resident(process), 0
    while sent < REQUESTS:
        sent += round(asked(url, script, 16, 5)["requests/s"] * 5)
    after = resident(process)
    return {
        "requests": sent,
        "MB before": round(before / 1e6, 1),
        "MB after": round(after / 1e6, 1),
    }


def middle(rows):
    return {name: round(statistics.median(row[name] for row in rows), 3) for name in rows[0]}


def measured(options, folder):
    import trimetric as tm

    model = tm.load(folder)
    users = model.user_ids.values.filter(model.seen.counts > 0).to_list()
    script = folder / "ask.lua"
    script.write_text(ASK.replace("USERS", ",".join(map(str, users))))
    ours = [sys.executable, "-c", "from trimetric.cli import main; main()", "serve", str(folder)]
    peer = [sys.executable, str(HERE / "serve_implicit.py"), str(folder)]
    figures = {"users": len(users), "items": len(model.item_ids), "dim": model.config.dim, "k": K}
    with server([*ours, "--port", "0", "--no-watch"]) as (process, url), server(peer) as theirs:
        compared(url, model, random.Random(0).sample(users, 200))
        urls = {"trimetric": url, "implicit": theirs[1]}
        for address in urls.values():
            asked(address, script, 16, 2)  # warms up
        for connections in CONNECTIONS:
            rows = {name: [] for name in urls}
            for _ in range(options.rounds):
                for name, address in urls.items():
                    rows[name].append(asked(address, script, connections, options.seconds))
            rates = {n: [row["requests/s"] for row in found] for n, found in rows.items()}
            figures[f"{connections} connections"] = {
                **{name: middle(found) for name, found in rows.items()},
                "ratio": round(record.ratio(rates["trimetric"], rates["implicit"]), 3),
            }
            print(connections, "connections", figures[f"{connections} connections"], flush=True)
        figures["memory"] = memory(process, url, script)
        print("memory", figures["memory"])
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--model", type=Path, help="a saved model of ml_1m; trained otherwise")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        print("wrk was not found: install Debian's package wrk")
        return 0

    import trimetric as tm

    if "ml_1m" not in tm.datasets.available():
        print("ml_1m was not found: set TRIMETRIC_DATA to the folder that holds it")
        return 0
    with tempfile.TemporaryDirectory() as room:
        folder = Path(room) / "ml_1m"
        if options.model is not None:
            shutil.copytree(options.model, folder)
        else:
            data = tm.datasets.load("ml_1m", min_rating=4)
            tm.SML(seed=0, temperature=0.2).fit(data).save(folder)
        began = time.monotonic()
        figures = measured(options, folder)
    print(f"{time.monotonic() - began:.0f} s")
    record.write("serve", {"rounds": options.rounds, "seconds a run": options.seconds, **figures})
    return 0


if __name__ == "__main__":
    sys.exit(main())
