"""Checks of saved models: the same when loaded, refused when damaged."""

from dataclasses import replace

import numpy as np

from trimetric.errors import ArtifactError
from trimetric.models import from_artifact, registered
from trimetric.storage import artifact
from trimetric.testing.cases import Case, folder, raises


def check_saved_and_loaded(case: Case) -> None:
    """A loaded model answers as the saved one did, and saves to the same bytes."""
    model, users = case.model, case.data.user_ids.values
    with folder() as at:
        model.save(at / "one")
        again = case.load(at / "one")
        again.save(at / "two")
        first, second = (
            {path.name: path.read_bytes() for path in (at / name).iterdir()}
            for name in ("one", "two")
        )
    assert first == second
    assert type(again) is type(model)
    assert again.get_params() == model.get_params()
    assert again.history == model.history
    assert again.recommend(users).equals(model.recommend(users))


def check_wrong_artifacts(case: Case) -> None:
    """A tensor too few or too many, of another shape or type, and ids that do not fit are refused.

    The message names the folder.
    """
    with folder() as at:
        case.model.save(at / "good")
        good = artifact.load(at / "good")

    def refused(message: str, **changes: np.ndarray | None) -> None:
        tensors = {name: a for name, a in (good.tensors | changes).items() if a is not None}
        with registered(case.kind), raises(ArtifactError, message):
            from_artifact(replace(good, tensors=tensors), "the bad folder")

    for name, array in good.tensors.items():
        more = np.concatenate([array, array[-1:]])
        other = array.astype(np.float64 if array.dtype != np.float64 else np.float32)
        for wrong in (None, more, array[:-1], array[None], other):
            refused("the bad folder", **{name: wrong})
    refused("unexpected tensor 'extra'", extra=np.zeros(1))
    seen = case.model.seen.items
    for bad in (seen[::-1], seen + np.int32(10**6), -seen):
        refused("do not fit", seen_items=bad)


def check_wrong_manifests(case: Case) -> None:
    """A folder that names a model or a setting that does not exist is refused."""
    with folder() as at:
        case.model.save(at / "good")
        good = artifact.load(at / "good")
        for change in ({"model": "oracle"}, {"model": ["sml"]}, {"params": {"bogus": 1}}):
            artifact.save(at / "bad", "model", good.meta | change, good.tensors)
            with raises(ArtifactError, r"oracle|sml|bogus"):
                case.load(at / "bad")
