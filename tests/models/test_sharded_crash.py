"""Whatever the moment a save in parts dies, the folder holds the old model or the new one."""

import subprocess
import sys
from pathlib import Path

# Dies at the n-th call that Python's audit announces, n = 0, 7, 14, ...
STEPS = """
import os, sys
import numpy as np
import trimetric as tm
from trimetric.models.sharded import ShardedModel
from trimetric.models.sharded_writing import ShardedWriter

data = tm.synthetic.planted(n_users=20, n_items=12, per_user=3).interactions
models = [tm.SML(dim=4, epochs=0, temperature=.2, seed=n).fit(data, progress=False) for n in (0, 1)]
ways = (3, 2)
folder = sys.argv[1]
models[0].save(folder, partitions=ways[0])
found, moments = set(), 0
for last in range(int(sys.argv[2]), 3000, 7):
    child = os.fork()
    if child == 0:
        left = last
        def count(event, args):
            global left
            if event.split(".")[0] in ("open", "os", "shutil", "tempfile", "fcntl", "glob"):
                if left == 0:
                    os.kill(os.getpid(), 9)
                left -= 1
        sys.addaudithook(count)
        models[1].save(folder, partitions=ways[1])
        os._exit(0)
    _, status = os.waitpid(child, 0)
    moments += 1
    whole = ShardedModel.open(folder)
    users = whole.whole().user_embeddings
    turn = next(n for n in (0, 1) if np.array_equal(users, models[n].user_embeddings))
    assert whole.n_parts == ways[turn]
    found.add(turn)
    models[0].save(folder, partitions=ways[0])
    left = sorted(path.name for path in os.scandir(folder))
    assert len(left) == 2 + 2 * (ways[0] + 1), left
    if status == 0:
        break
print(moments, sorted(found), flush=True)
"""


def test_killed_at_each_step_it_always_loads_whole(tmp_path: Path) -> None:
    command = [sys.executable, "-c", STEPS, str(tmp_path / "m"), "0"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    moments, found = ran.stdout.split(maxsplit=1)
    assert int(moments) > 10
    assert found.strip() == "[0, 1]"
