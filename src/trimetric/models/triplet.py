"""SML and CML: one trainer, different settings.

SML (Li et al., AAAI 2020) pushes the negative item away from the user and from the positive item,
by margins learned for each user and item, equation (6). Without the item's side (λ = 0) and with
fixed margins it is CML (Hsieh et al., WWW 2017), equation (3).
"""

import warnings
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import fields
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from trimetric import artifact, training
from trimetric.data.csr import Csr
from trimetric.data.interactions import Interactions
from trimetric.engine.lanes import padded_table
from trimetric.engine.ranking import held_out_ranks, pair_distances, top_k
from trimetric.engine.session import Session, Settings
from trimetric.errors import DataError, ParameterError
from trimetric.evaluation import validator
from trimetric.models.base import Recommender
from trimetric.models.config import TripletConfig
from trimetric.progress import chosen

VARIANTS: dict[str, dict[str, Any]] = {
    "base": {"lam": 0.0, "adaptive_users": False, "adaptive_items": False},
    "base+u": {"lam": 0.0, "adaptive_users": True, "adaptive_items": False},
    "base+s": {"adaptive_users": False, "adaptive_items": False},
    "base+s+p": {"adaptive_users": False, "adaptive_items": True},
    "base+s+u": {"adaptive_users": True, "adaptive_items": False},
    "all": {"adaptive_users": True, "adaptive_items": True},
}
"""The ablations of the paper's Table 4: s the item's side, u and p learned margins."""

PRESETS: dict[str, dict[str, Any]] = {
    "paper": {
        "negatives": "uniform",
        "rank_weight": False,
        "optimizer": "adam",
        "lr": 0.05,
        "schedule": "constant",
        "lam": 0.01,
        "gamma": 10.0,
        "init_mean": 0.1,
        "init_std": 0.03**0.5,
        "margin": 1.0,
        "item_margin": 1.0,
    },
    "released": {
        "negatives": "uniform",
        "rank_weight": False,
        "optimizer": "adagrad",
        "lr": 0.05,
        "schedule": "constant",
        "lam": 0.01,
        "gamma": 10.0,
        "epochs": 800,
        "margin": 1.0,
        "item_margin": 1.0,
    },
}
"""Settings of the paper (for Instant Video) and of the authors' code."""

_NAMES = {item.name for item in fields(TripletConfig)}


class SML(Recommender):
    """Symmetric metric learning with adaptive margins.

    Parameters
    ----------
    preset : str, optional
        "paper" or "released"; other settings given here override it.
    variant : str, optional
        An ablation of the paper's Table 4: base, base+u, base+s, base+s+p, base+s+u or all.
    **settings
        Fields of `TripletConfig`.

    Raises
    ------
    ParameterError
        A setting is unknown or out of range.
    """

    name: ClassVar[str] = "sml"
    capabilities: ClassVar[frozenset[str]] = frozenset(
        {"metric space", "similar items", "similar users"}
    )
    defaults: ClassVar[dict[str, Any]] = {}
    fixed: ClassVar[dict[str, Any]] = {}

    def __init__(
        self, *, preset: str | None = None, variant: str | None = None, **settings: Any
    ) -> None:
        unknown = sorted(settings.keys() - _NAMES)
        if unknown:
            raise ParameterError(
                f"unknown setting {unknown[0]!r}; {self.name} has {', '.join(sorted(_NAMES))}"
            )
        given = _lookup("variant", variant, VARIANTS) | settings
        for name, value in self.fixed.items():
            if given.get(name, value) != value:
                raise ParameterError(
                    f"{name} is always {value} in {self.name}, got {given[name]!r};"
                    " SML is the model to change it in"
                )
        preset_settings = _lookup("preset", preset, PRESETS)
        self.config = TripletConfig(**self.defaults | preset_settings | given | self.fixed)
        self.history = []

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the settings by name; `deep` is scikit-learn's and changes nothing."""
        return self.config.to_dict()

    def fit(
        self,
        train: Any,
        valid: Any = None,
        *,
        out: str | Path | None = None,
        resume: bool = False,
        checkpoint_seconds: float = training.CHECKPOINT_SECONDS,
        threads: int | None = None,
        progress: bool | None = None,
    ) -> Self:
        """Train on interactions. If that fails, the model is as it was before.

        Parameters
        ----------
        train : Interactions, path, data set name, frame, sparse matrix or (users, items)
        valid : the same, optional
            Held-out interactions that decide when to stop and which weights to keep. Users and
            items that `train` does not know are left out.
        out : path, optional
            Save checkpoints while training, and the model at the end, to this folder.
        resume : bool
            Go on from the checkpoint in `out`, if there is one.
        checkpoint_seconds : float
            The least time between two checkpoints.
        threads : int, optional
            All processors unless given; the result does not depend on it.
        progress : bool, optional
            Show progress on standard error; by default only on a terminal.

        Returns
        -------
        self

        Raises
        ------
        DataError
            The data cannot be used: no interactions, or no user with an item left to contrast.
        ParameterError
            `resume` without `out`.
        CheckpointMismatch, Diverged, Interrupted, OutputError
            See `training.train`.
        """
        data = Interactions.of(train)
        self._check_data(data)
        valid = self._align(valid, data)
        if resume and out is None:
            raise ParameterError("resume needs out, the folder that holds the checkpoint")
        learner, checkpoints = _Learner(self._settings(), data), None
        if out is not None:
            artifact.probe(Path(out), 2 * sum(array.nbytes for array in learner.arrays.values()))
            checkpoints = training.Checkpoints(
                Path(out) / "checkpoint", self._identity(data, valid), checkpoint_seconds
            )
        trained = copy(self)
        trained.user_ids, trained.item_ids, trained.seen = (
            data.user_ids,
            data.item_ids,
            Csr.of(data),
        )
        trained._points, trained._margins = learner.arrays["points"], learner.arrays["margins"]
        run = training.train(
            learner,
            self._plan(),
            trained._validation(data, valid, threads),
            checkpoints=checkpoints,
            resume=resume,
            threads=threads,
            progress=chosen(progress),
        )
        trained.history = run.history
        trained._data = {
            "train": _described(data),
            "valid": None if valid is None else _described(valid),
            "best_epoch": run.best_epoch,
            "stopped": run.stopped,
        }
        self.__dict__ = trained.__dict__
        if checkpoints:
            self.save(checkpoints.folder.parent)
            training.discard(checkpoints)
        return self

    # --- the space ------------------------------------------------------------------------------

    @property
    def users(self) -> np.ndarray:
        """Positions α, float32 (n_users, dim), in the order of `user_ids`."""
        return self._points[: len(self.user_ids), : self.config.dim]

    @property
    def items(self) -> np.ndarray:
        """Positions β, float32 (n_items, dim), in the order of `item_ids`."""
        return self._points[len(self.user_ids) :, : self.config.dim]

    @property
    def user_margins(self) -> np.ndarray:
        """Margins m, float32 (n_users,)."""
        return self._margins[: len(self.user_ids)]

    @property
    def item_margins(self) -> np.ndarray:
        """Margins n, float32 (n_items,)."""
        return self._margins[len(self.user_ids) :]

    def score_rows(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Return −d² for pairs of rows (int32 (n,)), float32."""
        return -pair_distances(self.users, self.items, users, items)

    def held_out_ranks(self, held: Csr, excluded: Csr, threads: int | None = None) -> np.ndarray:
        """Rank each held-out item of each user among the items that are not excluded."""
        return held_out_ranks(self.users, self.items, held, excluded, threads)

    def _nearest_items(
        self, users: np.ndarray, k: int, excluded: Csr, threads: int | None
    ) -> tuple[np.ndarray, np.ndarray]:
        found, distances = top_k(self.users[users], self.items, k, excluded, threads)
        return found, -distances

    def _neighbours(
        self, kind: str, rows: np.ndarray, k: int, threads: int | None
    ) -> tuple[np.ndarray, np.ndarray]:
        points = self.items if kind == "item" else self.users
        itself = Csr(np.arange(len(rows) + 1, dtype=np.int64), rows.astype(np.int32))
        found, distances = top_k(points[rows], points, k, itself, threads)
        return found, -distances

    def _shown_score(self, scores: np.ndarray) -> np.ndarray:
        return -scores

    # --- saving ---------------------------------------------------------------------------------

    def _tensors(self) -> dict[str, np.ndarray]:
        return {
            "users": self.users,
            "items": self.items,
            "user_margins": self.user_margins,
            "item_margins": self.item_margins,
        }

    def _restore(self, tensors: Mapping[str, np.ndarray], where: str) -> None:
        n_users, n_items, dim = len(self.user_ids), len(self.item_ids), self.config.dim
        expected = {
            "users": ((n_users, dim), np.float32),
            "items": ((n_items, dim), np.float32),
            "user_margins": ((n_users,), np.float32),
            "item_margins": ((n_items,), np.float32),
        }
        artifact.check(tensors, expected, where)
        self._points = padded_table(np.concatenate([tensors["users"], tensors["items"]]))
        self._margins = np.concatenate([tensors["user_margins"], tensors["item_margins"]])

    # --- fitting --------------------------------------------------------------------------------

    def _settings(self) -> Settings:
        given = {item.name: getattr(self.config, item.name) for item in fields(Settings)}
        if self.config.init_std is None:
            given["init_std"] = self.config.dim**-0.5
        return Settings(**given)

    def _plan(self) -> training.Plan:
        config = self.config
        return training.Plan(config.epochs, config.metric, config.validate_every, config.patience)

    def _align(self, valid: Any, data: Interactions) -> Interactions | None:
        if valid is None:
            return None
        aligned, report = Interactions.of(valid).align(data.user_ids, data.item_ids)
        if len(aligned) == 0:
            raise DataError(
                f"no validation interaction has a user and an item of the training data"
                f" ({report.unknown_users} users and {report.unknown_items} items are unknown);"
                " give validation data of the same users and items"
            )
        return aligned

    def _check_data(self, data: Interactions) -> None:
        if len(data) == 0:
            raise DataError("the training data has no interactions; nothing can be learned")
        full = np.diff(data.indptr) >= data.n_items
        if full.all():
            raise DataError(
                f"every user of the training data has all {data.n_items} items, so that no negative"
                " item exists; metric learning needs items that a user has not interacted with"
            )
        if full.any():
            first = data.user_ids.decode(np.flatnonzero(full)[:1])[0]
            warnings.warn(
                f"{int(full.sum())} of the users have every item and are skipped in training;"
                f" the first is {first!r}",
                stacklevel=3,
            )

    def _identity(self, data: Interactions, valid: Interactions | None) -> dict[str, Any]:
        """Return what a checkpoint must share with this run."""
        return {
            "model": self.name,
            **self.get_params(),
            "train": data.fingerprint,
            "valid": None if valid is None else valid.fingerprint,
        }

    def _validation(
        self, data: Interactions, valid: Interactions | None, threads: int | None
    ) -> Callable[[], float] | None:
        if valid is None:
            return None
        measure = validator(valid, data, self.config.metric, threads=threads)
        return lambda: measure(self)


class CML(SML):
    """Collaborative metric learning: the user's hinge alone, fixed margins, rank weights.

    The paper of SML sets w = 1 and draws one uniform negative: `preset="paper"`.
    """

    name: ClassVar[str] = "cml"
    defaults: ClassVar[dict[str, Any]] = {"rank_weight": True}
    fixed: ClassVar[dict[str, Any]] = {
        "lam": 0.0,
        "adaptive_users": False,
        "adaptive_items": False,
    }


class _Learner:
    """A `Session` as the training loop wants it."""

    kept = ("points", "margins")

    def __init__(self, settings: Settings, data: Interactions) -> None:
        self.session = Session(settings, data.users, data.items, data.indptr, data.n_items)
        self.run = self.session.run
        self.arrays = self.session.arrays
        self.n_batches = self.session.n_batches
        self.triplets = len(data)

    def summary(self) -> dict[str, float]:
        totals = self.session.totals
        seen = max(totals.triplets, 1)
        return {
            "loss": totals.loss / seen,
            "active": totals.user_hinges / seen,
            "triplets": totals.triplets,
        }


def _described(data: Interactions) -> dict[str, Any]:
    return {"name": data.name, "fingerprint": data.fingerprint, "pairs": len(data)}


def _lookup(kind: str, name: str | None, choices: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    if name is None:
        return {}
    if name not in choices:
        raise ParameterError(f"{kind} must be one of {', '.join(choices)}, got {name!r}")
    return choices[name]
