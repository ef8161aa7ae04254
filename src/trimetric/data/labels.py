"""What a column of the parts of a split may hold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

TRAIN, VALID, TEST = 0, 1, 2
LABELS = {
    "train": TRAIN,
    "training": TRAIN,
    "valid": VALID,
    "val": VALID,
    "validation": VALID,
    "dev": VALID,
    "test": TEST,
    "testing": TEST,
}


def unknown(names: Sequence[str]) -> list[str]:
    """Return the labels that name no part."""
    return [str(name) for name in names if name.strip().lower() not in LABELS]


def codes(labels: np.ndarray) -> np.ndarray | None:
    """Return TRAIN, VALID or TEST for each label; None if a label names no part."""
    names, rows = np.unique(labels, return_inverse=True)
    if unknown(names.tolist()):
        return None
    return np.array([LABELS[str(name).strip().lower()] for name in names])[rows]
