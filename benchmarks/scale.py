"""Training in parts at size: memory, disk, time, the same bits, and Ray beside one process.

    python benchmarks/scale.py size [--interactions 1e7,1e8] [--users-to-rank 20000] [--resume]
    python benchmarks/scale.py memory [--interactions 1e8]
    python benchmarks/scale.py ray [--interactions 5e6]
    python benchmarks/scale.py bits [--interactions 2e5]
    python benchmarks/scale.py kills [--count 20]
        [--folder /tmp/trimetric-scale] [--threads 2] [--no-record]

The log is generated: I interactions of I/20 users with I/200 items, items drawn with the density
1/(2√x) of their rank, in Parquet files of 20 M rows. Models have 32 dimensions and a temperature of
.2; SML draws the nearest of 100 candidates. Each step runs in a process of its own, whose peak of
memory (VmHWM) counts, with all libraries; disk is what the folder holds at its fullest. With
--resume, `size` goes on with what an interrupted run left; training then counts from there, and
the record says which share of the epoch that was.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

import record

FILE_ROWS = 20_000_000
USERS_IN_PART = 1_500_000
SETTINGS = {
    "sml": {"dim": 32, "temperature": 0.2},
    "centroid": {"dim": 32, "temperature": 0.2, "kappa": 1.0, "reconstruction": 0.0},
}


def generate(interactions, folder):
    """Write a log to a folder of Parquet files."""
    import polars as pl

    folder.mkdir(parents=True, exist_ok=True)
    users, items = interactions // 20, interactions // 200
    for start in range(0, interactions, FILE_ROWS):
        rng = np.random.default_rng(start)
        n = min(FILE_ROWS, interactions - start)
        columns = {"user": rng.integers(0, users, n), "item": (items * rng.random(n) ** 2)}
        frame = pl.DataFrame(columns).with_columns(pl.col("item").cast(pl.Int64))
        frame.write_parquet(folder / f"part-{start // FILE_ROWS:04d}.parquet")


def parts_for(interactions):
    """Return P."""
    return max(8, -(-interactions // 20 // USERS_IN_PART))


def on_disk(folder):
    """Return the bytes of all files in a folder."""
    return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())


def step(name, folder, threads, **spec):
    """Run a step in a fresh process; return its figures, and the most that the folder held."""
    told = json.dumps({"step": name, "folder": str(folder), **spec})
    command = [sys.executable, __file__, "--child", told]
    env = {**os.environ, "TRIMETRIC_THREADS": str(threads), "POLARS_MAX_THREADS": str(threads)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
    most = 0
    while process.poll() is None:
        with suppress(OSError):  # a file went meanwhile
            most = max(most, on_disk(folder))
        time.sleep(2)
    if process.returncode:
        raise SystemExit(f"{name} ended with status {process.returncode}")
    found = json.loads(process.stdout.read().splitlines()[-1])
    found["disk_gb"] = round(most / 1e9, 2)
    print(f"  {name}: {found}", flush=True)
    return found


def child(spec):
    """Do one step, and print its figures as JSON."""
    import trimetric as tm

    folder, name = Path(spec["folder"]), spec["step"]
    found = {}
    began = time.perf_counter()
    if name == "prepare":
        logs = f"{folder}/log/*.parquet"
        made = tm.prepare(logs, folder / "prepared", partitions=spec["parts"], progress=False)
        found = {"pairs": len(made), "users": made.n_users, "items": made.n_items}
    elif name == "train":
        found = trained(spec, folder)
    elif name == "recommend":
        model = tm.ShardedModel.open(folder / "m").part(0)
        users = model.user_ids[: spec["users"]]
        model.recommend(users[:100])  # compiled before the clock starts
        began = time.perf_counter()
        for start in range(0, len(users), 2000):
            model.recommend(users[start : start + 2000], k=10)
        found = {"users": len(users)}
    found["seconds"] = round(time.perf_counter() - began, 2)
    found["peak_gb"] = round(record.memory("VmHWM") / 1e9, 3)
    print(json.dumps(found))


def trained(spec, folder):
    """Train in one of the ways; return seconds of epochs, and a digest of the tensors if asked."""
    import polars as pl

    import trimetric as tm

    model = tm.create(spec["model"], epochs=spec["epochs"], **SETTINGS[spec["model"]])
    prepared, out = tm.Prepared(folder / "prepared"), folder / "m"
    way, share = spec["way"], 1.0
    if spec.get("resume") and "digest" not in spec:
        spec = {**spec, "digest": True}
    if way == "memory":
        log = pl.concat([pl.read_parquet(path) for path in sorted((folder / "log").iterdir())])
        data = tm.Interactions(log)
        del log
        model.fit(data, partitions=prepared.n_parts, progress=False)
        history = model.history
    else:
        journal = out / "checkpoint" / "run.json"
        begun = bool(spec.get("resume")) and journal.exists()
        if begun:
            done = json.loads(journal.read_text())["run"]["batch"]
            share = 1 - done / prepared.n_parts**2
        seconds = 0 if spec.get("digest") and spec.get("resume") else 30
        model.fit(
            prepared, False, out=out, ray=spec.get("ray"), progress=False, resume=begun,
            checkpoint_seconds=seconds,
        )  # fmt: skip
        history = tm.ShardedModel.open(out).history
    epochs = [row["seconds"] for row in history]
    found = {"epoch_seconds": epochs, "triplets": history[0]["triplets"]}
    found["share"] = round(share, 4)
    found["m_per_second"] = round(share * history[0]["triplets"] / min(epochs[-2:]) / 1e6, 3)
    if spec.get("digest"):
        whole = model if way == "memory" else tm.load(out)
        tensors = sorted(whole.tensors().items())
        found["sha256"] = record.digest(piece for named in tensors for piece in named)
    return found


def size(options):
    """Ingest, one epoch and lists, at several sizes."""
    rows = record.read("scale_size").get("rows", {}) if not options.no_record else {}
    for interactions in options.interactions:
        folder = options.folder / f"{interactions:.0e}"
        print(f"{interactions:,} interactions, P = {parts_for(interactions)}", flush=True)
        parts, kept = parts_for(interactions), folder / "figures.json"
        if options.resume and kept.exists():
            about = json.loads(kept.read_text())
        else:
            shutil.rmtree(folder, ignore_errors=True)
            began = time.perf_counter()
            generate(interactions, folder / "log")
            written = round(time.perf_counter() - began, 1)
            log_gb = round(on_disk(folder) / 1e9, 2)
            about = {"parts": parts, "log_gb": log_gb, "generated_s": written}
            about["prepare"] = step("prepare", folder, options.threads, parts=parts)
            kept.write_text(json.dumps(about))
            shutil.rmtree(folder / "log")
        spec = {"model": "sml", "way": "files", "epochs": 1}
        if options.resume:
            spec |= {"resume": True, "digest": False}
        about["train"] = step("train", folder, options.threads, **spec)
        ranked = min(options.users_to_rank, interactions // 20 // parts // 2)
        about["recommend"] = step("recommend", folder, options.threads, users=ranked)
        rows[f"{interactions:.0e}"] = about
        shutil.rmtree(folder)
        if not options.no_record:
            record.write("scale_size", {"goal": "peak <= 8 GiB, time linear", "rows": rows})
    for name in ("prepare", "train"):
        line = {
            n: round(1e9 * row[name]["seconds"] / row[name].get("share", 1) / float(n))
            for n, row in rows.items()
        }
        print(f"{name}: nanoseconds per interaction {line}")
    peak = max(row[s]["peak_gb"] for row in rows.values() for s in ("prepare", "train"))
    print(f"largest peak of memory {peak} GB (goal: 8 GiB)")


def prepared_log(options, interactions):
    """Generate and prepare a log; return its folder."""
    folder = options.folder / f"{interactions:.0e}"
    shutil.rmtree(folder, ignore_errors=True)
    generate(interactions, folder / "log")
    parts = parts_for(interactions)
    step("prepare", folder, options.threads, parts=parts)
    return folder


def memory(options):
    """Out of core beside in memory."""
    rows = {}
    for interactions in options.interactions:
        folder = prepared_log(options, interactions)
        found = {
            way: step("train", folder, options.threads, model="sml", way=way,
                      epochs=2)
            for way in ("memory", "files")
        }  # fmt: skip
        found["ratio"] = round(found["files"]["m_per_second"] / found["memory"]["m_per_second"], 3)
        print(f"out of core is {found['ratio']}x of in memory (goal: 0.8)")
        rows[f"{interactions:.0e}"] = found
        shutil.rmtree(folder)
    if not options.no_record:
        record.write("scale_memory", {"goal": 0.8, "rows": rows})


def ray(options):
    """Ray with two workers of one thread beside one process of two threads."""
    rows = {}
    for interactions in options.interactions:
        folder = prepared_log(options, interactions)
        for model in ("sml", "centroid"):
            spec = {"model": model, "epochs": 3}
            found = {
                "process": step("train", folder, 2, way="files", **spec),
                "ray": step("train", folder, 2, way="ray", ray="local", **spec),
            }
            found["ratio"] = round(
                found["ray"]["m_per_second"] / found["process"]["m_per_second"], 3
            )
            print(f"{model}: Ray is {found['ratio']}x of one process (goal: 0.85)")
            rows[f"{model} {interactions:.0e}"] = found
        shutil.rmtree(folder)
    if not options.no_record:
        record.write("scale_ray", {"goal": 0.85, "rows": rows})


def bits(options):
    """The same bits however and wherever parts are trained."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
    from raylets import cluster

    rows = {}
    for interactions in options.interactions:
        folder = prepared_log(options, interactions)
        for model in ("sml", "centroid"):
            spec = {"model": model, "epochs": 2, "digest": True}
            found = {
                "memory, 2 threads": step("train", folder, 2, way="memory", **spec),
                "files, 1 thread": step("train", folder, 1, way="files", **spec),
                "files, 2 threads": step("train", folder, 2, way="files", **spec),
                "Ray, 1 worker": step("train", folder, 1, way="ray", ray="local", **spec),
            }
            for nodes in (2, 4):
                with cluster(nodes, 1) as running:
                    address = getattr(running, "address", running)
                    found[f"Ray, {nodes} raylets"] = step(
                        "train", folder, 2, way="ray", ray=address, **spec
                    )
            same = len({one["sha256"] for one in found.values()}) == 1
            print(f"{model}: {'identical' if same else 'DIFFERENT'} in {len(found)} ways")
            rows[model] = {"identical": same, **{w: one["sha256"] for w, one in found.items()}}
        shutil.rmtree(folder)
    if not options.no_record:
        record.write("scale_bits", {"goal": "identical", "rows": rows})


def processes(*words):
    """Return the numbers of processes whose command lines hold all words."""
    found = []
    for path in Path("/proc").iterdir():
        with suppress(OSError):
            if path.name.isdecimal():
                line = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                found += [int(path.name)] if all(word in line for word in words) else []
    return found


def until_done(rng, folder, count, disturb, **spec):
    """Train in a process, and disturb it `count` times at random moments; return its digest."""
    told = json.dumps({"step": "train", "folder": str(folder), **spec})
    command = [sys.executable, __file__, "--child", told]
    env = {**os.environ, "TRIMETRIC_THREADS": "2"}
    disturbed = starts = 0
    while True:
        starts += 1
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=env, start_new_session=True
        )
        while process.poll() is None and disturbed < count:
            time.sleep(float(rng.uniform(0.2, 3)))
            if process.poll() is None and disturb(process):
                disturbed += 1
        out, _ = process.communicate()
        if process.returncode == 0:
            digest = json.loads(out.splitlines()[-1])["sha256"]
            return {"sha256": digest, "kills": disturbed, "starts": starts}
        if process.returncode != -signal.SIGKILL:
            raise SystemExit(f"training ended with status {process.returncode}")


def kills(options):
    """The same bits whatever is killed."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
    from raylets import cluster

    rng = np.random.default_rng(0)
    folder = prepared_log(options, options.interactions[0])
    spec = {"model": "centroid", "epochs": 40, "digest": True}
    expected = step("train", folder, 2, way="files", **spec)["sha256"]
    rows = {"undisturbed": {"sha256": expected}}

    def kill_group(process):
        os.killpg(process.pid, signal.SIGKILL)
        return True

    half = max(1, options.count // 2)
    rows["process in files"] = until_done(
        rng, folder, half, kill_group, way="files", resume=True, **spec
    )
    with cluster(2, 1) as running:
        extra = [running.add_node(num_cpus=1)]

        def kill_worker_or_raylet(process):
            if rng.random() < 0.2:
                running.remove_node(extra.pop(), allow_graceful=False)
                extra.append(running.add_node(num_cpus=1))
                return True
            workers = processes("ray::_call")
            for worker in workers[:1]:
                os.kill(worker, signal.SIGKILL)
            return bool(workers)

        rows["workers and raylets"] = until_done(
            rng, folder, options.count, kill_worker_or_raylet, way="ray", ray=running.address,
            **spec,
        )  # fmt: skip
    rows["driver on Ray"] = until_done(
        rng, folder, half, kill_group, way="ray", ray="local", resume=True, **spec
    )
    left = [path.name for path in (folder / "m").iterdir() if path.name.startswith((".", "check"))]
    same = all(row["sha256"] == expected for row in rows.values())
    print(f"{'identical' if same else 'DIFFERENT'}; left behind: {left or 'nothing'}; {rows}")
    shutil.rmtree(folder)
    if not options.no_record:
        record.write("scale_kills", {"goal": "identical", "left": left, "rows": rows})


WAYS = {
    "kills": (kills, "2e5"),
    "size": (size, "1e7,1e8"),
    "memory": (memory, "1e8"),
    "ray": (ray, "5e6"),
    "bits": (bits, "2e5"),
}


def main():
    if sys.argv[1] == "--child":
        child(json.loads(sys.argv[2]))
        return 0
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("way", choices=sorted(WAYS))
    parser.add_argument("--interactions")
    parser.add_argument("--folder", type=Path, default=Path("/tmp/trimetric-scale"))
    parser.add_argument("--users-to-rank", type=int, default=20_000)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-record", action="store_true")
    parser.add_argument("--resume", action="store_true")
    options = parser.parse_args()
    run, usual = WAYS[options.way]
    given = options.interactions or usual
    options.interactions = [int(float(one)) for one in given.split(",")]
    run(options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
