"""What is learned has the bits that version 0.1 gave: checksums recorded with its code."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

import trimetric as tm

RECORDED: dict[str, Any] = json.loads(Path(__file__).with_name("bits_of_0_1.json").read_text())
"""Model, settings and SHA-256 of each tensor, by run. 0.1 also saved margins that were fixed."""


@pytest.fixture(scope="module")
def split(real_data: Path) -> tm.Split:
    return tm.split_per_user(tm.datasets.load("ml_100k", min_rating=4), test=0.2, valid=0.2, seed=0)


@pytest.mark.parametrize("run", RECORDED)
def test_the_bits_of_0_1(run: str, split: tm.Split) -> None:
    recorded = RECORDED[run]
    model = tm.create(recorded["model"], **recorded["settings"], validate_every=1)
    tensors = model.fit(split.train, split.valid, progress=False).tensors()
    checksums = {name: hashlib.sha256(a.tobytes()).hexdigest()[:16] for name, a in tensors.items()}
    assert checksums == recorded["sha256"]
