"""Artifacts whose checksums are right and whose content is not: refused when loaded."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trimetric as tm
from trimetric.errors import ArtifactError, ParameterError
from trimetric.storage import artifact

NAMES = ("centroid", "sml", "bpr", "ials", "ease", "itemknn", "popularity", "fml", "lrml")
QUICK = {"dim": 8, "epochs": 1}


@pytest.fixture(scope="module", params=NAMES)
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tm.synthetic.planted(n_users=40, n_items=40, per_user=8).interactions
    model = tm.create(request.param)
    known = {name: value for name, value in QUICK.items() if name in model.get_params()}
    folder = tmp_path_factory.mktemp("m") / request.param
    tm.create(request.param, **known).fit(data.changed(weights=None)).save(folder)
    return folder


def altered(saved: Path, out: Path, change: Any) -> Path:
    """Save the artifact again with something changed, its checksums right."""
    loaded = artifact.load(saved, "model")
    meta, tensors = json.loads(json.dumps(loaded.meta)), dict(loaded.tensors)
    change(meta, tensors)
    artifact.save(out, "model", meta, tensors)
    return out


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e20, -3e38])
def test_what_is_not_finite_is_refused(saved: Path, tmp_path: Path, value: float) -> None:
    tensors = artifact.load(saved, "model").tensors
    what = r"values beyond 1e\+15" if np.isfinite(value) else "NaN or infinity"
    for name, array in tensors.items():
        if array.dtype.kind != "f":
            continue

        def change(meta: dict, tensors: dict, name: str = name) -> None:
            tensors[name] = tensors[name].copy()
            tensors[name].flat[-1] = value

        with pytest.raises(ArtifactError, match=f"tensor '{name}' holds {what}"):
            tm.load(altered(saved, tmp_path / name, change))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("history",), "none"),
        (("history",), {"epoch": 1}),
        (("history",), [1, 2]),
        (("data",), []),
        (("data",), None),
        (("data", "tuned"), [1]),
        (("data", "tuned"), "temperature"),
        (("params",), []),
        (("params", "no such setting"), 1),
    ],
)
def test_plain_values_of_other_types(
    saved: Path, tmp_path: Path, path: tuple[str, ...], value: Any
) -> None:
    def change(meta: dict, tensors: dict) -> None:
        for step in path[:-1]:
            meta = meta[step]
        meta[path[-1]] = value

    with pytest.raises(ArtifactError):
        tm.load(altered(saved, tmp_path / "m", change))


@pytest.mark.parametrize("value", [1e308, -1, "hot", [1], True])
@pytest.mark.parametrize("saved", ["centroid", "sml"], indirect=True)
def test_what_was_tuned_is_a_possible_value(saved: Path, tmp_path: Path, value: Any) -> None:
    def change(meta: dict, tensors: dict) -> None:
        meta["data"]["tuned"] = {**meta["data"].get("tuned", {}), "temperature": value}

    with pytest.raises(ArtifactError, match="temperature must be"):
        tm.load(altered(saved, tmp_path / "m", change))


@pytest.mark.parametrize("saved", ["centroid"], indirect=True)
@pytest.mark.parametrize("value", [0, -1, "1"])
def test_units_of_weights(saved: Path, tmp_path: Path, value: Any) -> None:
    def change(meta: dict, tensors: dict) -> None:
        meta["data"]["tuned"] = {**meta["data"].get("tuned", {}), "weight_unit": value}

    with pytest.raises(ArtifactError, match="weight_unit must be"):
        tm.load(altered(saved, tmp_path / "m", change))


@pytest.mark.parametrize("weight", [1e-45, 1e-39, 1e-10, 1e10, 1e38, 3e38])
@pytest.mark.parametrize("name", ["sml", "centroid", "ease", "itemknn", "ials", "bpr"])
def test_weights_that_vanish_or_overflow(name: str, weight: float) -> None:
    data = tm.synthetic.planted(n_users=40, n_items=40, per_user=8).interactions
    model = tm.create(name, **(QUICK if name in ("sml", "centroid", "bpr") else {})).fit(data)
    with pytest.raises(ParameterError, match="above 0 and finite, 1e-09 to 1e"):
        model.recommend_for(data.item_ids[:2], weights=[weight, weight])
    for possible in (1e-9, 1e9):
        scores = model.recommend_for(data.item_ids[:2], weights=[possible] * 2)["score"]
        assert scores.is_finite().all()
