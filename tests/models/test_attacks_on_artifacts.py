"""Artifacts changed at random: refused, or loaded and all answers finite; never a crash."""

import random
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from campaign import note, sizes
from command import environment
from mutations import damage, mutate

import trimetric as tm

READER = Path(__file__).parents[1] / "support" / "mutant_reader.py"
SETTINGS = {"dim": 8, "epochs": 1, "temperature": 0.2, "seed": 0}
WHOLE = ("sml", "centroid", "bpr", "ials", "ease", "itemknn", "popularity", "ncf", "lrml", "fml")
PARTS = ("sml", "centroid")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return models of several kinds, whole and in parts, ids of numbers and of texts."""
    folder = tmp_path_factory.mktemp("saved")
    data = tm.synthetic.planted(40, 30, per_user=6).interactions.changed(weights=None)
    texts = tm.Interactions.from_arrays(
        [f"u{user}" for user in data.users], [f"i{item}" for item in data.items]
    )
    split = tm.split_per_user(data, test=0.1, valid=0.1, seed=0)
    folders = []
    for number, name in enumerate((*WHOLE, *(f"{name} in parts" for name in PARTS))):
        kind = name.partition(" ")[0]
        known = tm.create(kind).get_params()
        model = tm.create(kind, **{key: v for key, v in SETTINGS.items() if key in known})
        if number % 3 == 1:
            model.fit(texts)
        elif number % 3 == 2:
            model.fit(split.train, split.valid)
            if "in parts" not in name:
                model.set_unavailable(model.item_ids.values[:3].to_list())
        else:
            model.fit(data)
        model.save(folder / name, **({"partitions": 3} if "in parts" in name else {}))
        folders.append(folder / name)
    return folders


class Reader:
    """A process that reads artifacts, and is started anew where one ends it."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None

    def read(self, folder: Path) -> str:
        """Return what came of reading a folder; how the process ended, if it did."""
        if self.process is None:
            self.process = subprocess.Popen(
                [sys.executable, str(READER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, text=True, env=environment(TRIMETRIC_THREADS="2"),
            )  # fmt: skip
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(folder, file=self.process.stdin, flush=True)
        line = self.process.stdout.readline().rstrip("\n")
        if not line:
            line, self.process = f"ended with status {self.process.wait()}", None
        return line

    def close(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.communicate()


@pytest.mark.parametrize("count", sizes(24, 1000))
@pytest.mark.parametrize("checksums", ["right", "wrong"])
def test_mutations(checksums: str, count: int, saved: list[Path], tmp_path: Path) -> None:
    came, faults, reader = Counter[str](), [], Reader()
    for folder in saved:
        assert reader.read(folder) == "answers", folder.name
    for number in range(count):
        chance = random.Random(number)
        source = saved[number % len(saved)]
        folder = Path(shutil.copytree(source, tmp_path / "m"))
        if checksums == "right":
            done = mutate(chance.choice(sorted(folder.glob("*.json"))), chance)
        else:
            done = damage(folder, chance)
        found = reader.read(folder)
        came[found.partition(" ")[0]] += 1
        if found not in ("refused", "answers"):
            faults.append(f"{number} {source.name}: {done}: {found}")
        shutil.rmtree(folder)
    reader.close()
    note(f"mutations of artifacts, checksums {checksums}", mutations=count, **came)
    assert not faults, "\n".join(faults)
    assert came["refused"] > count // 2
