"""SML and CML: one trainer, different settings.

SML (Li et al., AAAI 2020) pushes the negative item away from the user and from the positive item,
by margins learned for each user and item, equation (6). Without the item's side (λ = 0) and with
fixed margins it is CML (Hsieh et al., WWW 2017), equation (3).
"""

import warnings
from collections.abc import Callable, Mapping
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
        "lam": 0.01,
        "gamma": 10.0,
        "init_mean": 0.1,
        "init_std": 0.03**0.5,
    },
    "released": {
        "negatives": "uniform",
        "rank_weight": False,
        "optimizer": "adagrad",
        "lr": 0.05,
        "lam": 0.01,
        "gamma": 10.0,
        "epochs": 800,
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
        chosen_settings = dict(self.defaults)
        chosen_settings |= _lookup("preset", preset, PRESETS)
        chosen_settings |= _lookup("variant", variant, VARIANTS)
        self.config = TripletConfig(**{**chosen_settings, **settings, **self.fixed})
        self.history = []

    def get_params(self) -> dict[str, Any]:
        """Return the settings by name."""
        return self.config.to_dict()

    def fit(
        self,
        train: Any,
        valid: Any = None,
        *,
        out: str | Path | None = None,
        resume: bool = False,
        threads: int | None = None,
        progress: bool | None = None,
    ) -> Self:
        """Train on interactions.

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
        valid = self._align(valid, data)
        self._check_data(data)
        checkpoints = self._checkpoints(data, valid, out, resume)
        learner = _Learner(self._settings(), data)
        self.user_ids, self.item_ids, self.seen = data.user_ids, data.item_ids, Csr.of(data)
        self._points, self._margins = learner.session.space.points, learner.session.space.margins
        run = training.train(
            learner,
            self._plan(),
            self._validation(data, valid, threads),
            checkpoints=checkpoints,
            resume=resume,
            threads=threads,
            progress=chosen(progress),
        )
        self.history = run.history
        self._data = {
            "train": {"name": data.name, "fingerprint": data.fingerprint, "pairs": len(data)},
            "best_epoch": run.best_epoch,
            "stopped": run.stopped,
        }
        if checkpoints and out is not None:
            self.save(out)
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
            warnings.warn(
                f"{int(full.sum())} users have every item and are skipped in training",
                stacklevel=3,
            )

    def _checkpoints(
        self, data: Interactions, valid: Interactions | None, out: Any, resume: bool
    ) -> training.Checkpoints | None:
        if out is None:
            if resume:
                raise ParameterError("resume needs out, the folder that holds the checkpoint")
            return None
        folder = Path(out)
        bytes_a_point = 4 * 2 * (self.config.dim + 8)
        artifact.probe(folder, bytes_a_point * (data.n_users + data.n_items))
        identity = {
            "model": self.name,
            **self.get_params(),
            "train": data.fingerprint,
            "valid": None if valid is None else valid.fingerprint,
        }
        return training.Checkpoints(folder / "checkpoint", identity)

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
    defaults: ClassVar[dict[str, Any]] = {"rank_weight": True, "candidates": 20}
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


def _lookup(kind: str, name: str | None, choices: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    if name is None:
        return {}
    if name not in choices:
        raise ParameterError(f"{kind} must be one of {', '.join(choices)}, got {name!r}")
    return choices[name]
