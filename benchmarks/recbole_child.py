"""RecBole's own trainer on the pairs it is given, for baselines.py; started by it.

What is timed is `Trainer._train_epoch`: the data loader with its negative sampling, the loss, the
gradients and the optimiser, as RecBole has them.
"""

import os
import tempfile
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.utils import get_model, get_trainer

import record


def write(path, folder):
    """Write the pairs as RecBole reads them."""
    with np.load(path) as file:
        pairs = np.stack([file["users"], file["items"]], axis=1)
    (folder / "pairs").mkdir()
    with open(folder / "pairs" / "pairs.inter", "w") as out:
        out.write("user_id:token\titem_id:token\n")
        np.savetxt(out, pairs, fmt="%d", delimiter="\t")


def trainer(spec, folder):
    """Return RecBole's trainer and the loader of all pairs."""
    everything = {"split": {"RS": [1, 0, 0]}, "group_by": "none", "order": "RO", "mode": "full"}
    given = {
        "data_path": str(folder),
        "checkpoint_dir": str(folder),
        "eval_args": everything,
        "use_gpu": False,
        "show_progress": False,
    }
    config = Config(model=spec["form"], dataset="pairs", config_dict=given | spec["settings"])
    loader, *_ = data_preparation(config, create_dataset(config))
    model = get_model(spec["form"])(config, loader.dataset)
    return get_trainer(config["MODEL_TYPE"], spec["form"])(config, model), loader


def ways(folder, spec):
    """Return the ways to train that are worth a try."""
    write(spec["data"], folder)
    recbole, loader = trainer(spec, folder)

    def epochs(threads):
        def run(batches=None):
            torch.set_num_threads(threads)
            recbole._train_epoch(islice(loader, batches) if batches else loader, 0)

        return run

    return {
        f"as RecBole comes, threads={threads}": epochs(threads) for threads in (spec["threads"], 1)
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # RecBole leaves files where it is run
        record.serve(partial(ways, Path(folder)), "recbole", "torch", "numpy", "pandas")
