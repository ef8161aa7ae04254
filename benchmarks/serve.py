"""How many recommendations a second are served, and how soon, beside implicit in the same server.

wrk asks for ten items for random users of ml_1m, over 16 and over 64 connections that stay open,
on the machine that serves. Nothing is cached: every request is ranked. The peer is implicit's
`recommend` of factors of the same width, under the same framework and server with as little around
it as will do. Servers take turns. Answers are compared with `model.recommend` first. The server's
memory is measured before and after 100,000 requests.

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
REQUESTS_OF_WRK = f"""
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
    """Run a server that logs its URL to standard error; yields the process and the URL."""
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


def load(url, script, connections, seconds):
    """Let wrk send requests for some seconds; return rates and times."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", script, url]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    result = json.loads(done.stdout.splitlines()[-1])
    if result["bad"]:
        raise RuntimeError(f"{result['bad']} answers of {url} were lost or refused")
    return {
        "requests/s": result["requests"] / result["us"] * 1e6,
        "p50 ms": result["p50"] / 1e3,
        "p99 ms": result["p99"] / 1e3,
        "p99.9 ms": result["p999"] / 1e3,
    }


def check_answers(url, model, users):
    """Raise unless these users get what the model recommends, to the last digit."""
    for user in users:
        with urllib.request.urlopen(f"{url}/v1/recommend?user={user}&k={K}") as reply:
            rows = json.load(reply)["recommendations"]
        expected = model.recommend([user], K).select("item", "rank", "score", "distance").rows()
        if [tuple(row.values()) for row in rows] != expected:
            raise RuntimeError(f"user {user} got {rows}, not {expected}")


def resident(process):
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def memory(process, url, script):
    """Return the server's memory in MB before and after so many requests."""
    before, sent = resident(process), 0
    while sent < REQUESTS:
        sent += round(load(url, script, 16, 5)["requests/s"] * 5)
    after = resident(process)
    return {
        "requests": sent,
        "MB before": round(before / 1e6, 1),
        "MB after": round(after / 1e6, 1),
    }


def median(rows):
    return {name: round(statistics.median(row[name] for row in rows), 3) for name in rows[0]}


def measured(options, folder):
    import trimetric as tm

    model = tm.load(folder)
    users = model.user_ids.values.filter(model.seen.counts > 0).to_list()
    script = folder / "requests.lua"
    script.write_text(REQUESTS_OF_WRK.replace("USERS", ",".join(map(str, users))))
    ours = [sys.executable, "-c", "from trimetric.cli import main; main()", "serve", str(folder)]
    peer = [sys.executable, str(HERE / "serve_implicit.py"), str(folder)]
    figures = {"users": len(users), "items": len(model.item_ids), "dim": model.config.dim, "k": K}
    with server([*ours, "--port", "0", "--no-watch"]) as (process, url), server(peer) as theirs:
        check_answers(url, model, random.Random(0).sample(users, 200))
        urls = {"trimetric": url, "implicit": theirs[1]}
        for address in urls.values():
            load(address, script, 16, 2)  # warms up
        for connections in CONNECTIONS:
            rows = {name: [] for name in urls}
            for _ in range(options.rounds):
                for name, address in urls.items():
                    rows[name].append(load(address, script, connections, options.seconds))
            rates = {n: [row["requests/s"] for row in runs] for n, runs in rows.items()}
            figures[f"{connections} connections"] = {
                **{name: median(runs) for name, runs in rows.items()},
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
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "ml_1m"
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
