"""Whatever the moment a save in parts dies, the folder holds the old model or the new one."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from trimetric.models.sharded import ShardedModel

PARTS = (3, 2)
SAVER = """
import sys
import trimetric as tm

models = [tm.load(f"{sys.argv[1]}/{n}") for n in (0, 1)]
turn = 0
while True:
    models[turn].save(f"{sys.argv[1]}/m", partitions=(3, 2)[turn])
    print(turn, flush=True)
    turn = 1 - turn
"""


@pytest.mark.slow
def test_killed_at_random_moments_it_always_loads_whole(tmp_path: Path) -> None:
    import trimetric as tm

    data = tm.synthetic.planted(n_users=20, n_items=12, per_user=3).interactions
    models = [
        tm.SML(dim=4, epochs=0, temperature=0.2, seed=seed).fit(data, progress=False)
        for seed in (0, 1)
    ]
    for turn, model in enumerate(models):
        model.save(tmp_path / str(turn))
    moments = random.Random(3)
    for _ in range(6):
        command = [sys.executable, "-c", SAVER, str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(moments.uniform(0, 0.1))
            child.send_signal(signal.SIGKILL)
        found = ShardedModel.open(tmp_path / "m")
        points = found.whole().user_embeddings
        [turn] = [n for n in (0, 1) if np.array_equal(points, models[n].user_embeddings)]
        assert found.n_parts == PARTS[turn]
    models[0].save(tmp_path / "m", partitions=PARTS[0])  # sweeps what the killed ones left
    assert len([*(tmp_path / "m").iterdir()]) == 2 + 2 * (PARTS[0] + 1)
